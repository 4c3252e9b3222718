/* SPDX-License-Identifier: MIT */
/*
 * sync/event.c - mproc_event: a flag that processes wait for.
 *
 * Runs in: every process.  Owns: a place in a small segment; its handles.
 *
 * All there is is one word, which is also what waiters sleep on:
 *
 *      round(30) WAITERS(1) UNSET(1)
 *
 *   set     with WAITERS: one step { word &= ~(WAITERS | UNSET); wake all }, which no signal
 *           cuts; otherwise UNSET is cleared by a compare-and-swap.
 *   clear   a compare-and-swap from set to round + 1, UNSET.
 *   wait    adds WAITERS, and sleeps while the word is what it was.
 *
 * A round ends when a set one is cleared.  So a waiter who finds another round than the one he
 * began in knows that the event has been set meanwhile: a set that is cleared at
 * once wakes all whom it found, though they run later.
 *
 * Why no wake-up is lost, and whoever is killed.  A waiter owes nothing to anybody: his death leaves
 * at most a stale WAITERS, which costs the next set a system call.  WAITERS is cleared only
 * together with waking all, in one step; the word has no other state.  The step of set is
 * right whatever the word has become since it was looked at: set stays set; and if it was
 * set, cleared, and waited for again by others, it is set once more, which this call
 * was asked for and has not done before.  A setter that is killed has done all or
 * nothing.  No lock, no memory, no `pending`: nothing that a signal handler could meet half done.
 */
#include "sync/event.h"
#include "context/context.h"
#include "core/error.h"
#include "core/point.h"
#include "platform/futex.h"
#include "platform/platform.h"
#include "shm/small.h"
#include "sync/waits.h"
#include "wire/codec.h"

#include <errno.h>
#include <mproc/event.h>
#include <stdlib.h>

#define UNSET       1u
#define WAITERS     2u
#define ROUND       4u
#define EVENT_MAGIC 0x6d706576u

/*
 * In shared memory.  magic: constant once the creator's call has returned.  word: changed
 * by anybody who sets, clears or waits, in single steps.
 */
struct event_shm {
        uint32_t magic;
        mproc__word word;
};
_Static_assert(sizeof(struct event_shm) <= MPROC__SMALL_BYTES, "an event fits into its place");

struct mproc_event {
        struct mproc__object object;
        struct mproc__small place;
        mproc__word *word;
};

static int
make(struct mproc__small *place, bool fork_only, struct mproc_event **ret)
{
        struct mproc_event *event = calloc(1, sizeof *event);

        if (!event) {
                mproc__small_unref(place);
                return mproc__fail(-ENOMEM, "no memory for an event");
        }
        event->place = *place;
        event->word = &((struct event_shm *)mproc__small_at(place))->word;
        mproc__object_init(&event->object, &mproc__event_type, fork_only);
        *ret = event;
        return 0;
}

int
mproc_event_create(mproc_context *ctx, mproc_event **ret_event)
{
        struct mproc__small place;
        struct mproc_event *event;
        struct event_shm *shm;
        int r;

        ctx = mproc__context_resolve(ctx);
        if ((r = mproc__small_create("event", &place)) < 0)
                return r;
        shm = mproc__small_at(&place);
        atomic_init(&shm->word, UNSET);
        shm->magic = EVENT_MAGIC;
        if ((r = make(&place, mproc__context_is_fork(ctx), &event)) < 0)
                return r;
        if ((r = mproc__object_publish(&event->object)) < 0) {
                mproc__object_unref(&event->object);
                return r;
        }
        *ret_event = event;
        return 0;
}

static int
check(const struct mproc_event *event)
{
        return event ? 0 : mproc__fail(MPROC_EHANDLE, "an event is wanted, NULL was given");
}

int
mproc_event_set(mproc_event *event)
{
        uint32_t v;
        int r;

        if ((r = check(event)) < 0)
                return r;
        v = atomic_load(event->word);
        while (v & UNSET) {
                if (v & WAITERS) {
                        MPROC_POINT("event.set.waiters");
                        (void)mproc__word_clear_low_and_wake_all(event->word, WAITERS | UNSET);
                        break;
                }
                if (atomic_compare_exchange_weak(event->word, &v, v & ~UNSET))
                        break;
        }
        MPROC_POINT("event.set.done");
        return 0;
}

int
mproc_event_clear(mproc_event *event)
{
        uint32_t v;
        int r;

        if ((r = check(event)) < 0)
                return r;
        v = atomic_load(event->word);
        while (!(v & UNSET))
                if (atomic_compare_exchange_weak(event->word, &v, ((v & ~WAITERS) + ROUND) | UNSET))
                        break;
        MPROC_POINT("event.clear.done");
        return 0;
}

int
mproc_event_is_set(mproc_event *event)
{
        int r = check(event);

        return r < 0 ? r : !(atomic_load(event->word) & UNSET);
}

/* For sync/waits.h. */
static void
describe(void *arg, struct mproc__wait_subject *ret)
{
        mproc__wait_number(arg, "event", ret->what);
}

/* The first look is v, and it was not set.  0 or MPROC_ETIMEDOUT. */
static int
sleep_until_set(mproc__word *word, uint32_t v, int64_t deadline_ns)
{
        uint32_t round = v / ROUND;
        unsigned spins = mproc__word_spin_limit();

        for (;; v = atomic_load(word)) {
                if (!(v & UNSET) || v / ROUND != round)
                        return 0;
                if (spins > 0) {
                        spins--;
                        mproc__word_pause();
                        continue;
                }
                if (mproc__deadline_passed(deadline_ns))
                        return MPROC_ETIMEDOUT;
                if (!(v & WAITERS)) {
                        if (!atomic_compare_exchange_weak(word, &v, v | WAITERS))
                                continue;
                        v |= WAITERS;
                }
                MPROC_POINT("event.wait.sleep");
                (void)mproc__word_wait(word, v, deadline_ns);
                MPROC_POINT("event.wait.woken");
        }
}

int
mproc_event_wait(mproc_event *event, int64_t timeout_ms)
{
        struct mproc__wait note = { 0 };
        uint32_t v;
        int r;

        if ((r = check(event)) < 0)
                return r;
        v = atomic_load(event->word);
        if ((v & UNSET) && timeout_ms == 0) {
                r = MPROC_ETIMEDOUT;
        } else if (v & UNSET) {
                mproc__wait_note(&note, describe, event->word);
                r = sleep_until_set(event->word, v, mproc__deadline(timeout_ms));
                mproc__wait_end(&note, false, describe, event->word);
        }
        if (r < 0)
                return mproc__fail(r, "the event was not set in time");
        MPROC__TSAN_ACQUIRE(event->word);
        return 0;
}

void
mproc_event_free(mproc_event *event)
{
        mproc__object_free(event ? &event->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
event_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        mproc__small_encode(&((struct mproc_event *)object)->place, encoder);
        return 0;
}

static int
event_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc__small place;
        struct mproc_event *event;
        int r = mproc__small_decode(decoder, "event", &place);

        if (r < 0)
                return r;
        if (((struct event_shm *)mproc__small_at(&place))->magic != EVENT_MAGIC) {
                mproc__small_unref(&place);
                return mproc__fail(MPROC_ECORRUPT, "what came as an event is none");
        }
        if ((r = make(&place, false, &event)) < 0)
                return r;
        *ret = &event->object;
        return 0;
}

static void
event_destroy(struct mproc__object *object)
{
        struct mproc_event *event = (struct mproc_event *)object;

        mproc__small_unref(&event->place);
        free(event);
}

const struct mproc__object_type mproc__event_type = {
        .name = "event",
        .arg_type = MPROC_ARG_EVENT,
        .encode = event_encode,
        .decode = event_decode,
        .destroy = event_destroy,
};
