/* SPDX-License-Identifier: MIT */
/*
 * sync/barrier.c - mproc_barrier: nobody goes on before all have come.
 *
 * Runs in: every process.  Owns: places in a small segment; its handles.
 *
 * The protocol and its argument are in sync/rounds.h.  Code of the user, the action, runs in
 * the process that came last, inside its round: no lock is held, and if it dies there, the
 * round is broken as if it had died waiting.
 */
#include "sync/barrier.h"
#include "context/context.h"
#include "core/error.h"
#include "core/object.h"
#include "core/point.h"
#include "platform/platform.h"
#include "program/program.h"
#include "shm/small.h"
#include "sync/rounds.h"
#include "wire/codec.h"

#include <errno.h>
#include <mproc/barrier.h>
#include <stdio.h>
#include <stdlib.h>

#define BARRIER_MAGIC 0x6d706261u

/* In shared memory.  The first three: constant once the creator's call has returned. */
struct barrier_shm {
        uint32_t magic;
        uint32_t parties;
        int64_t timeout_ms;
        uint64_t reserved[4];
        struct mproc__rounds rounds;
        _Atomic uint64_t ticket[]; /* two for each party */
};
_Static_assert(sizeof(struct barrier_shm) == 64, "layout of a barrier");

static uint32_t
shm_bytes(uint32_t parties)
{
        return (uint32_t)(sizeof(struct barrier_shm) + 2 * parties * sizeof(uint64_t));
}

struct mproc_barrier {
        struct mproc__object object;
        struct mproc__small place;
        struct mproc__barrier_view view;
        int64_t timeout_ms;
};

/* --- making one --------------------------------------------------------------------------------------- */

static int
make(struct mproc__small *place, uint32_t parties, bool fork_only, struct mproc_barrier **ret)
{
        struct mproc_barrier *barrier = calloc(1, sizeof *barrier);
        struct barrier_shm *shm = mproc__small_at(place);

        if (!barrier) {
                mproc__small_unref(place);
                return mproc__fail(-ENOMEM, "no memory for a barrier");
        }
        barrier->place = *place;
        barrier->timeout_ms = shm->timeout_ms;
        barrier->view.rounds = &shm->rounds;
        barrier->view.ticket = shm->ticket;
        barrier->view.parties = parties;
        barrier->view.tickets = 2 * parties;
        mproc__object_init(&barrier->object, &mproc__barrier_type, fork_only);
        *ret = barrier;
        return 0;
}

int
mproc_barrier_create(mproc_context *ctx, unsigned parties, int64_t timeout_ms, mproc_barrier **ret_barrier)
{
        struct mproc_barrier *barrier;
        struct mproc__small place;
        struct barrier_shm *shm;
        int r;

        if (parties < 1 || parties > MPROC_BARRIER_PARTIES_MAX)
                return mproc__fail(-EINVAL, "a barrier has 1 to %d parties; %u were asked for",
                                   MPROC_BARRIER_PARTIES_MAX, parties);
        ctx = mproc__context_resolve(ctx);
        if ((r = mproc__program_need_beacon()) < 0) /* parties are told by slots */
                return r;
        if ((r = mproc__small_create_bytes("barrier", shm_bytes(parties), &place)) < 0)
                return r;
        shm = mproc__small_at(&place);
        shm->parties = parties;
        shm->timeout_ms = timeout_ms;
        shm->magic = BARRIER_MAGIC;
        if ((r = make(&place, parties, mproc__context_is_fork(ctx), &barrier)) < 0)
                return r;
        if ((r = mproc__object_publish(&barrier->object)) < 0) {
                mproc__object_unref(&barrier->object);
                return r;
        }
        *ret_barrier = barrier;
        return 0;
}

void
mproc_barrier_free(mproc_barrier *barrier)
{
        mproc__object_free(barrier ? &barrier->object : NULL);
}

/* --- words ---------------------------------------------------------------------------------------------- */

static int
check(const struct mproc_barrier *barrier)
{
        return barrier ? 0 : mproc__fail(MPROC_EHANDLE, "a barrier is wanted, NULL was given");
}

/* "process Worker-3 (pid 12)", as far as it is known. */
static void
tell_who(mproc__slot_id who, char *ret_text, size_t size)
{
        char name[MPROC__SLOT_NAME_MAX];
        pid_t pid = mproc__slot_pid(who);

        mproc__slot_name(who, name);
        if (pid == 0)
                (void)snprintf(ret_text, size, "a process");
        else
                (void)snprintf(ret_text, size, "process %s%s(pid %ld)", name, name[0] ? " " : "", (long)pid);
}

static int
fail_broken(const struct mproc_barrier *barrier)
{
        mproc__slot_id who;
        enum mproc__broken_by why = mproc__rounds_why(&barrier->view, &who);
        char text[MPROC__SLOT_NAME_MAX + 40];

        tell_who(who, text, sizeof text);
        switch (why) {
        case MPROC__BROKEN_DEATH:
                return mproc__fail(MPROC_EBROKEN, "the barrier is broken: %s died waiting there", text);
        case MPROC__BROKEN_TIMEOUT:
                return mproc__fail(MPROC_EBROKEN, "the barrier is broken: the time that %s had to wait was up", text);
        case MPROC__BROKEN_ABORT:
                return mproc__fail(MPROC_EBROKEN, "the barrier is broken: %s aborted it", text);
        case MPROC__BROKEN_RESET:
                return mproc__fail(MPROC_EBROKEN, "the barrier was reset by %s", text);
        case MPROC__BROKEN_ACTION:
                return mproc__fail(MPROC_EBROKEN, "the barrier is broken: its action failed in %s", text);
        case MPROC__BROKEN_UNKNOWN:
                break;
        }
        return mproc__fail(MPROC_EBROKEN, "the barrier is broken");
}

static int
fail(const struct mproc_barrier *barrier, int code, bool inside)
{
        uint32_t parties = barrier->view.parties;

        switch (code) {
        case MPROC_EBROKEN:
                return fail_broken(barrier);
        case MPROC_ETIMEDOUT:
                return inside ? mproc__fail(code,
                                            "not all of the barrier's %u parties came in time; it is broken now",
                                            parties)
                              : mproc__fail(code,
                                            "the last round of the barrier was not over in time: its action still "
                                            "runs");
        case -EAGAIN:
                return mproc__fail(code,
                                   "%u processes are inside the barrier, which has %u parties, and none of them "
                                   "is dead",
                                   2 * parties, parties);
        default:
                return code; /* the action's, with its words */
        }
}

/* --- waiting -------------------------------------------------------------------------------------------- */

/* What it wrote to mproc_last_error stands; if it wrote nothing, at least the fact. */
static int
run_action(struct mproc__party *party, mproc_action_fn *action, void *arg)
{
        int r = action(arg);

        if (r >= 0)
                return 0;
        mproc__rounds_break(party, MPROC__BROKEN_ACTION);
        if (mproc__fail_code() != r)
                (void)mproc__fail(r, "the barrier's action failed");
        return r;
}

static int
end_round(struct mproc__party *party, mproc_action_fn *action, void *arg)
{
        int r = mproc__rounds_check(party);

        MPROC_POINT("barrier.wait.checked");
        if (r == 0 && action)
                r = run_action(party, action, arg);
        return r < 0 ? r : mproc__rounds_pass(party);
}

int
mproc_barrier_wait_action(mproc_barrier *barrier, mproc_action_fn *action, void *arg, int64_t timeout_ms)
{
        struct mproc__party party = { 0 };
        int64_t deadline_ns;
        int r;

        if ((r = check(barrier)) < 0 || (r = mproc__slot_self(&party.me)) < 0)
                return r;
        if (timeout_ms < 0)
                timeout_ms = barrier->timeout_ms;
        deadline_ns = timeout_ms == 0 ? MPROC__AT_ONCE : mproc__deadline(timeout_ms);
        party.view = barrier->view;
        if ((r = mproc__rounds_arrive(&party, deadline_ns)) < 0)
                return fail(barrier, r, false);
        r = mproc__party_is_last(&party) ? end_round(&party, action, arg) : mproc__rounds_wait(&party, deadline_ns);
        mproc__rounds_leave(&party);
        return r < 0 ? fail(barrier, r, true) : (int)party.index;
}

int
mproc_barrier_wait(mproc_barrier *barrier, int64_t timeout_ms)
{
        return mproc_barrier_wait_action(barrier, NULL, NULL, timeout_ms);
}

int
mproc_barrier_abort(mproc_barrier *barrier)
{
        mproc__slot_id me;
        int r;

        if ((r = check(barrier)) < 0 || (r = mproc__slot_self(&me)) < 0)
                return r;
        mproc__rounds_abort(&barrier->view, me);
        return 0;
}

int
mproc_barrier_reset(mproc_barrier *barrier)
{
        mproc__slot_id me;
        int r;

        if ((r = check(barrier)) < 0 || (r = mproc__slot_self(&me)) < 0)
                return r;
        mproc__rounds_reset(&barrier->view, me);
        return 0;
}

int
mproc_barrier_parties(mproc_barrier *barrier)
{
        int r = check(barrier);

        return r < 0 ? r : (int)barrier->view.parties;
}

int
mproc_barrier_n_waiting(mproc_barrier *barrier)
{
        int r = check(barrier);

        return r < 0 ? r : (int)mproc__rounds_count(&barrier->view);
}

int
mproc_barrier_broken(mproc_barrier *barrier)
{
        int r = check(barrier);

        return r < 0 ? r : mproc__rounds_broken(&barrier->view);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
barrier_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        mproc__small_encode(&((struct mproc_barrier *)object)->place, encoder);
        return 0;
}

/* The number of parties tells how far the tickets go: read it once, and only then look whether they fit. */
static int
check_place(const struct mproc__small *place, uint32_t *ret_parties)
{
        const struct barrier_shm *shm = mproc__small_at(place);
        uint32_t parties = *(const volatile uint32_t *)&shm->parties;

        if (shm->magic != BARRIER_MAGIC || parties < 1 || parties > MPROC_BARRIER_PARTIES_MAX ||
            !mproc__small_has(place, shm_bytes(parties)))
                return mproc__fail(MPROC_ECORRUPT, "what came as a barrier is none");
        *ret_parties = parties;
        return 0;
}

static int
barrier_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_barrier *barrier;
        struct mproc__small place;
        uint32_t parties;
        int r = mproc__small_decode(decoder, "barrier", &place);

        if (r < 0)
                return r;
        if ((r = check_place(&place, &parties)) < 0) {
                mproc__small_unref(&place);
                return r;
        }
        if ((r = make(&place, parties, false, &barrier)) < 0)
                return r;
        *ret = &barrier->object;
        return 0;
}

static void
barrier_destroy(struct mproc__object *object)
{
        struct mproc_barrier *barrier = (struct mproc_barrier *)object;

        mproc__small_unref(&barrier->place);
        free(barrier);
}

const struct mproc__object_type mproc__barrier_type = {
        .name = "barrier",
        .arg_type = MPROC_ARG_BARRIER,
        .encode = barrier_encode,
        .decode = barrier_decode,
        .destroy = barrier_destroy,
};
