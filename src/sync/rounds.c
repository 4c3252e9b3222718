/* SPDX-License-Identifier: MIT */
/*
 * sync/rounds.c - the rounds of a barrier; see rounds.h.
 *
 * Runs in: every process that uses a barrier.  Owns: nothing.
 */
#include "sync/rounds.h"
#include "core/point.h"
#include "platform/platform.h"
#include "sync/waits.h"

#include <errno.h>
#include <limits.h>
#include <mproc/error.h>

#define MS          INT64_C(1000000)
#define SLICE_FIRST (10 * MS)
#define SLICE_LAST  (100 * MS)
#define WATCHED     8

_Static_assert(MPROC__SLOT_BITS + MPROC__SLOT_GENERATION_BITS == 29, "a slot's id fits");

/* --- the state ---------------------------------------------------------------------------------------- */

#define BROKEN      1u
#define COUNT_SHIFT 1
#define COUNT_ONE   (1u << COUNT_SHIFT)
#define COUNT_MASK  0x1fffu
#define ROUND_SHIFT 14
#define ROUND_MASK  0x3ffffu

static uint32_t
round_of(uint32_t state)
{
        return state >> ROUND_SHIFT;
}

static uint32_t
count_of(uint32_t state)
{
        return state >> COUNT_SHIFT & COUNT_MASK;
}

static uint32_t
next_round(uint32_t state)
{
        return (round_of(state) + 1) << ROUND_SHIFT;
}

/* This round goes on: not over, not broken. */
static bool
goes_on(uint32_t state, uint32_t round)
{
        return round_of(state) == round && !(state & BROKEN);
}

/* --- tickets ------------------------------------------------------------------------------------------- */

enum { WAITING, PASSED, BROKE };
#define ID_MASK     0x1fffffffu
#define MARK_SHIFT  30
#define SERIAL_MASK 0x3fffu

static uint32_t
id_of(uint64_t ticket)
{
        return (uint32_t)ticket & ID_MASK;
}

static uint32_t
mark_of(uint64_t ticket)
{
        return (uint32_t)ticket >> MARK_SHIFT;
}

static uint32_t
ticket_round(uint64_t ticket)
{
        return (uint32_t)(ticket >> 32) >> ROUND_SHIFT;
}

/* What comes after `old` there.  The serial number tells two uses in one round apart. */
static uint64_t
new_ticket(uint64_t old, uint32_t round, uint32_t id)
{
        uint32_t serial = ((uint32_t)(old >> 32) + 1) & SERIAL_MASK;

        return (uint64_t)(round << ROUND_SHIFT | serial) << 32 | id;
}

static bool
waits_in(uint64_t ticket, uint32_t round)
{
        return id_of(ticket) != 0 && mark_of(ticket) == WAITING && ticket_round(ticket) == round;
}

static _Atomic uint64_t *
own_ticket(struct mproc__party *party)
{
        return &party->view.ticket[party->ticket];
}

/* All that wait in this round, and have not looked yet, are told how it went. */
static void
mark_all(const struct mproc__barrier_view *view, uint32_t round, uint32_t mark)
{
        for (uint32_t i = 0; i < view->tickets; i++) {
                uint64_t t = atomic_load(&view->ticket[i]);

                while (waits_in(t, round) &&
                       !atomic_compare_exchange_weak(&view->ticket[i], &t, t | (uint64_t)mark << MARK_SHIFT))
                        ;
        }
}

/* --- breaking ------------------------------------------------------------------------------------------ */

static void
wake_all(struct mproc__rounds *rounds)
{
        (void)mproc__word_wake(&rounds->state, INT_MAX);
}

static void
note_why(struct mproc__rounds *rounds, uint32_t round, enum mproc__broken_by reason, uint32_t who)
{
        uint64_t v = atomic_load(&rounds->why);

        if (v == 0 || v >> 32 != round)
                (void)atomic_compare_exchange_strong(&rounds->why, &v,
                                                     (uint64_t)round << 32 | (uint64_t)reason << 29 | who);
}

/* False: it was over or broken already. */
static bool
break_round(struct mproc__rounds *rounds, uint32_t round, enum mproc__broken_by reason, uint32_t who)
{
        uint32_t v = atomic_load(&rounds->state);

        while (goes_on(v, round)) {
                note_why(rounds, round, reason, who);
                if (!atomic_compare_exchange_weak(&rounds->state, &v, v | BROKEN))
                        continue;
                MPROC_POINT("barrier.break.broken");
                wake_all(rounds);
                return true;
        }
        return false;
}

/* After a slice: is somebody dead behind us, in the round that goes on? */
static void
watch(struct mproc__party *party)
{
        struct mproc__rounds *rounds = party->view.rounds;
        uint32_t state = atomic_load(&rounds->state);
        unsigned living = 0;

        for (uint32_t i = 1; i < party->view.tickets && living < WATCHED; i++) {
                uint64_t t = atomic_load(&party->view.ticket[(party->ticket + i) % party->view.tickets]);

                if (!waits_in(t, round_of(state)))
                        continue;
                if (mproc__slot_is_dead(id_of(t))) {
                        (void)break_round(rounds, round_of(state), MPROC__BROKEN_DEATH, id_of(t));
                        return;
                }
                living++;
        }
}

/*
 * Sleep once, while the state is v.  *slice_ns grows.  That a round is over and nobody has woken us means that
 * somebody died who should have.
 */
static void
sleep_once(struct mproc__party *party, uint32_t v, int64_t deadline_ns, int64_t *slice_ns)
{
        struct mproc__rounds *rounds = party->view.rounds;
        int64_t until = mproc__plat_now_ns() + *slice_ns;
        int r;

        MPROC_POINT("barrier.wait.sleep");
        r = mproc__word_wait(&rounds->state, v, until < deadline_ns ? until : deadline_ns);
        MPROC_POINT("barrier.wait.woken");
        if (r != -ETIMEDOUT && r != -EINTR)
                return;
        if (r == -ETIMEDOUT)
                *slice_ns = *slice_ns * 2 < SLICE_LAST ? *slice_ns * 2 : SLICE_LAST;
        if (!goes_on(atomic_load(&rounds->state), round_of(v)))
                wake_all(rounds);
        else
                watch(party);
}

/* --- coming -------------------------------------------------------------------------------------------- */

/* Those of the dead are used if there is no other, but not in silence. */
static bool
take_ticket(struct mproc__party *party, uint32_t i, bool from_dead)
{
        struct mproc__rounds *rounds = party->view.rounds;
        uint32_t round = round_of(atomic_load(&rounds->state));
        uint64_t t = atomic_load(&party->view.ticket[i]);

        if (id_of(t) != 0) {
                if (!from_dead || !mproc__slot_is_dead(id_of(t)))
                        return false;
                if (waits_in(t, round))
                        (void)break_round(rounds, round, MPROC__BROKEN_DEATH, id_of(t));
        }
        party->ticket = i;
        return atomic_compare_exchange_strong(&party->view.ticket[i], &t, new_ticket(t, round, party->me));
}

static int
take_any_ticket(struct mproc__party *party)
{
        uint32_t n = party->view.tickets, first = mproc__word_thread()->tid;

        for (uint32_t i = 0; i < 2 * n; i++)
                if (take_ticket(party, (first % n + i) % n, i >= n))
                        return 0;
        return -EAGAIN;
}

/* True: this one has come. */
static bool
try_to_come(struct mproc__party *party, uint32_t v)
{
        _Atomic uint64_t *own = own_ticket(party);

        atomic_store(own, new_ticket(atomic_load(own), round_of(v), party->me));
        MPROC_POINT("barrier.arrive.written");
        if (!atomic_compare_exchange_strong(&party->view.rounds->state, &v, v + COUNT_ONE))
                return false;
        MPROC_POINT("barrier.arrive.counted");
        party->round = round_of(v);
        party->index = count_of(v);
        return true;
}

static int
come(struct mproc__party *party, int64_t deadline_ns)
{
        int64_t slice = SLICE_FIRST;

        for (;;) {
                uint32_t v = atomic_load(&party->view.rounds->state);

                if (v & BROKEN)
                        return MPROC_EBROKEN;
                if (count_of(v) < party->view.parties) {
                        if (try_to_come(party, v))
                                return 0;
                        continue;
                }
                if (mproc__deadline_passed(deadline_ns))
                        return MPROC_ETIMEDOUT;
                sleep_once(party, v, deadline_ns, &slice);
        }
}

int
mproc__rounds_arrive(struct mproc__party *party, int64_t deadline_ns)
{
        int r;

        if (mproc__rounds_broken(&party->view))
                return MPROC_EBROKEN;
        if ((r = take_any_ticket(party)) < 0)
                return r;
        MPROC_POINT("barrier.arrive.taken");
        if ((r = come(party, deadline_ns)) < 0)
                mproc__rounds_leave(party);
        return r;
}

void
mproc__rounds_leave(struct mproc__party *party)
{
        _Atomic uint64_t *own = own_ticket(party);

        atomic_store(own, new_ticket(atomic_load(own), 0, 0));
}

bool
mproc__party_is_last(const struct mproc__party *party)
{
        return party->index + 1 == party->view.parties;
}

/* --- how a round ends ------------------------------------------------------------------------------------ */

/* How it went, seen from a state that was read before: 1 not over, 0 passed, MPROC_EBROKEN. */
static int
outcome(struct mproc__party *party, uint32_t state)
{
        uint32_t mark = mark_of(atomic_load(own_ticket(party)));

        if (mark != WAITING)
                return mark == PASSED ? 0 : MPROC_EBROKEN;
        if (round_of(state) != party->round)
                return 0;
        return (state & BROKEN) ? MPROC_EBROKEN : 1;
}

static int
wait_for_round(struct mproc__party *party, int64_t deadline_ns)
{
        unsigned spins = mproc__word_spin_limit();
        int64_t slice = SLICE_FIRST;

        for (;;) {
                uint32_t v = atomic_load(&party->view.rounds->state);
                int r = outcome(party, v);

                if (r <= 0) {
                        MPROC__TSAN_ACQUIRE(&party->view.rounds->state);
                        return r;
                }
                if (spins > 0 && deadline_ns != MPROC__AT_ONCE) {
                        spins--;
                        mproc__word_pause();
                        continue;
                }
                if (mproc__deadline_passed(deadline_ns)) {
                        if (break_round(party->view.rounds, party->round, MPROC__BROKEN_TIMEOUT, party->me))
                                return MPROC_ETIMEDOUT;
                        continue;
                }
                sleep_once(party, v, deadline_ns, &slice);
        }
}

/* For sync/waits.h. */
static void
describe(void *arg, struct mproc__wait_subject *ret)
{
        mproc__wait_number(arg, "the others at barrier", ret->what);
}

int
mproc__rounds_wait(struct mproc__party *party, int64_t deadline_ns)
{
        struct mproc__wait note = { 0 };
        int r;

        mproc__wait_note(&note, describe, party->view.rounds);
        r = wait_for_round(party, deadline_ns);
        mproc__wait_end(&note, false, describe, party->view.rounds);
        return r;
}

int
mproc__rounds_check(struct mproc__party *party)
{
        uint32_t last = party->me;

        for (uint32_t i = 0; i < party->view.tickets; i++) {
                uint64_t t = atomic_load(&party->view.ticket[i]);

                if (!waits_in(t, party->round) || id_of(t) == last || id_of(t) == party->me)
                        continue;
                last = id_of(t);
                if (mproc__slot_is_dead(last)) {
                        (void)break_round(party->view.rounds, party->round, MPROC__BROKEN_DEATH, last);
                        return MPROC_EBROKEN;
                }
        }
        return 0;
}

int
mproc__rounds_pass(struct mproc__party *party)
{
        struct mproc__rounds *rounds = party->view.rounds;
        uint32_t full = party->round << ROUND_SHIFT | party->view.parties << COUNT_SHIFT;

        mark_all(&party->view, (party->round - 1) & ROUND_MASK, PASSED);
        MPROC_POINT("barrier.pass.marked");
        if (!atomic_compare_exchange_strong(&rounds->state, &full, next_round(full)))
                return MPROC_EBROKEN;
        MPROC_POINT("barrier.pass.passed");
        if (party->view.parties > 1)
                wake_all(rounds);
        return 0;
}

void
mproc__rounds_break(struct mproc__party *party, enum mproc__broken_by reason)
{
        (void)break_round(party->view.rounds, party->round, reason, party->me);
}

/* --- from outside --------------------------------------------------------------------------------------- */

void
mproc__rounds_abort(const struct mproc__barrier_view *view, mproc__slot_id me)
{
        uint32_t v = atomic_load(&view->rounds->state);

        if (v & BROKEN)
                return;
        note_why(view->rounds, round_of(v), MPROC__BROKEN_ABORT, me);
        MPROC_POINT("barrier.abort.noted");
        (void)mproc__word_set_low_and_wake_all(&view->rounds->state, BROKEN);
}

/* While it is broken, nobody comes: the state stays as it is until somebody resets it. */
void
mproc__rounds_reset(const struct mproc__barrier_view *view, mproc__slot_id me)
{
        struct mproc__rounds *rounds = view->rounds;
        uint32_t v = atomic_load(&rounds->state);

        if (!(v & BROKEN) && count_of(v) == 0)
                return;
        while (!(v & BROKEN)) {
                (void)break_round(rounds, round_of(v), MPROC__BROKEN_RESET, me);
                v = atomic_load(&rounds->state);
        }
        mark_all(view, round_of(v), BROKE);
        mark_all(view, (round_of(v) - 1) & ROUND_MASK, PASSED);
        MPROC_POINT("barrier.reset.marked");
        if (atomic_compare_exchange_strong(&rounds->state, &v, next_round(v))) {
                MPROC_POINT("barrier.reset.whole");
                wake_all(rounds);
        }
}

bool
mproc__rounds_broken(const struct mproc__barrier_view *view)
{
        return atomic_load(&view->rounds->state) & BROKEN;
}

uint32_t
mproc__rounds_count(const struct mproc__barrier_view *view)
{
        uint32_t v = atomic_load(&view->rounds->state);

        return (v & BROKEN) ? 0 : count_of(v);
}

enum mproc__broken_by
mproc__rounds_why(const struct mproc__barrier_view *view, mproc__slot_id *ret_who)
{
        uint64_t why = atomic_load(&view->rounds->why);

        *ret_who = (mproc__slot_id)why & ID_MASK;
        return (enum mproc__broken_by)((uint32_t)why >> 29);
}
