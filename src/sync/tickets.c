/* SPDX-License-Identifier: MIT */
/*
 * sync/tickets.c - the tickets of those who wait on a condition; see tickets.h.
 *
 * Runs in: every process that uses a condition.  Owns: nothing.
 */
#include "sync/tickets.h"
#include "core/point.h"
#include "platform/platform.h"

#include <errno.h>
#include <mproc/error.h>

#define MS          INT64_C(1000000)
#define SLICE_FIRST (10 * MS)
#define SLICE_LAST  (100 * MS)
#define WATCHED     8 /* living waiters behind one's own ticket: further a waiter does not look */
#define NOTIFIED    0x80000000u
#define ID          0x1fffffffu
#define START       (UINT32_MAX - 15) /* numbers wrap around soon, in every condition */
#define HEAD_FAR    (UINT32_C(1) << 30)

_Static_assert(MPROC__SLOT_BITS + MPROC__SLOT_GENERATION_BITS == 29, "a slot's id fits");
_Static_assert(HEAD_FAR / 2 % MPROC__TICKETS == 0, "head keeps its index when it is pulled up");
_Static_assert((MPROC__TICKETS & (MPROC__TICKETS - 1)) == 0, "numbers of tickets may wrap around");

static uint32_t
index_of(uint32_t number)
{
        return (number - START) % MPROC__TICKETS;
}

/* Two threads of the process that holds the lock may be in here, if they use the lock wrongly: never back. */
static void
raise_to(mproc__word *word, uint32_t number)
{
        uint32_t v = atomic_load_explicit(word, memory_order_relaxed);

        while ((int32_t)(number - v) > 0 &&
               !atomic_compare_exchange_weak_explicit(word, &v, number, memory_order_relaxed, memory_order_relaxed))
                ;
}

/*
 * Numbers are compared by how far they lie apart, so `head`, which only a notify raises, must not fall behind
 * by half of all there are, however many waits are not notified.  As far as this it may be moved: the
 * index stays the same, and from any number a full round meets every ticket.
 */
static void
pull_head(struct mproc__tickets *tickets, uint32_t entered)
{
        uint32_t head = atomic_load_explicit(&tickets->head, memory_order_relaxed);

        if (__builtin_expect(entered - head > HEAD_FAR, 0))
                raise_to(&tickets->head, head + HEAD_FAR / 2);
}

void
mproc__tickets_init(struct mproc__tickets *tickets)
{
        atomic_init(&tickets->entered, START);
        atomic_init(&tickets->head, START);
}

/*
 * Those of the dead are looked for only if there is no other.  What such a one was told and could not
 * pass on yet is ours then: this wait returns at once.
 */
static bool
take_one(mproc__word *word, mproc__slot_id me, bool from_dead)
{
        uint32_t v = atomic_load(word);

        if ((v & ID) == 0)
                return atomic_compare_exchange_strong(word, &v, me);
        return from_dead && mproc__slot_is_dead(v & ID) &&
               atomic_compare_exchange_strong(word, &v, (v & NOTIFIED) | me);
}

/*
 * Killed between taking a ticket and raising `entered`: the lock's owner died, and the ticket is of
 * the dead, whether notify finds it or not.
 */
int
mproc__tickets_take(struct mproc__tickets *tickets, mproc__slot_id me)
{
        uint32_t first = atomic_load_explicit(&tickets->entered, memory_order_relaxed);

        for (uint32_t i = 0; i < 2 * MPROC__TICKETS; i++) {
                uint32_t index = index_of(first + i);

                raise_to(&tickets->high, index + 1);
                if (!take_one(&tickets->word[index], me, i >= MPROC__TICKETS))
                        continue;
                MPROC_POINT("condition.wait.taken");
                raise_to(&tickets->entered, first + i + 1);
                pull_head(tickets, first + i + 1);
                return (int)index;
        }
        return -EAGAIN;
}

void
mproc__tickets_give(struct mproc__tickets *tickets, unsigned index)
{
        atomic_store(&tickets->word[index], 0);
}

/* --- notify ------------------------------------------------------------------------------------------ */

/* True if a living waiter has been told. */
static bool
notify_one(mproc__word *word)
{
        uint32_t v = atomic_load(word);

        if ((v & ID) == 0 || (v & NOTIFIED))
                return false;
        MPROC_POINT("condition.notify.found");
        if (mproc__word_set_top_and_wake_one(word) > 0)
                return true;
        MPROC_POINT("condition.notify.marked");
        v = atomic_load(word);
        if ((v & ID) == 0)
                return false;
        if (!mproc__slot_is_dead(v & ID))
                return true;
        (void)atomic_compare_exchange_strong(word, &v, 0);
        return false;
}

/* All that wait have numbers from head to entered; a full round from any number meets every ticket. */
void
mproc__tickets_notify(struct mproc__tickets *tickets, unsigned n)
{
        uint32_t head = atomic_load_explicit(&tickets->head, memory_order_relaxed);
        uint32_t entered = atomic_load_explicit(&tickets->entered, memory_order_relaxed);
        uint32_t most = entered - head < MPROC__TICKETS ? entered - head : MPROC__TICKETS, i;

        for (i = 0; i < most && n > 0; i++)
                if (notify_one(&tickets->word[index_of(head + i)]))
                        n--;
        raise_to(&tickets->head, i < MPROC__TICKETS ? head + i : entered);
}

/* --- wait -------------------------------------------------------------------------------------------- */

/* One ticket behind ours.  True: it was owed to somebody, and now we are notified. */
static bool
inherit_from(mproc__word *word, mproc__word *mine, mproc__slot_id me, unsigned *living)
{
        uint32_t v = atomic_load(word), own = me;

        if ((v & ID) == 0)
                return false;
        if (!mproc__slot_is_dead(v & ID)) {
                *living += !(v & NOTIFIED);
                return false;
        }
        if (!(v & NOTIFIED)) {
                (void)atomic_compare_exchange_strong(word, &v, 0);
                return false;
        }
        /* If this fails we have been notified ourselves, and what is owed there is for somebody else. */
        if (atomic_compare_exchange_strong(mine, &own, NOTIFIED | me)) {
                MPROC_POINT("condition.inherit.marked");
                (void)atomic_compare_exchange_strong(word, &v, 0);
        }
        return true;
}

static bool
inherit(struct mproc__tickets *tickets, unsigned index, mproc__slot_id me)
{
        uint32_t high = atomic_load_explicit(&tickets->high, memory_order_relaxed);
        unsigned living = 0;

        if (high > MPROC__TICKETS)
                return false;
        for (uint32_t i = 1; i < high && living < WATCHED; i++)
                if (inherit_from(&tickets->word[(index + i) % high], &tickets->word[index], me, &living))
                        return true;
        return false;
}

/* Whoever finds that out first when he acquires the lock is told; the others have woken up for no reason. */
static bool
owner_is_dead(mproc__word *owner_word, mproc__word *mine, mproc__slot_id me)
{
        uint32_t owner = owner_word ? atomic_load(owner_word) & ID : 0, own = me;

        if (owner == 0 || !mproc__slot_is_dead(owner))
                return false;
        (void)atomic_compare_exchange_strong(mine, &own, NOTIFIED | me);
        MPROC_POINT("condition.alarm.marked");
        return true;
}

int
mproc__tickets_sleep(struct mproc__tickets *tickets, unsigned index, mproc__slot_id me, mproc__word *owner_word,
                     int64_t deadline_ns)
{
        mproc__word *word = &tickets->word[index];
        int64_t slice = SLICE_FIRST;

        for (;;) {
                uint32_t v = atomic_load(word);
                int64_t until;
                int r;

                if (v != me)
                        return 0;
                if (mproc__deadline_passed(deadline_ns))
                        return atomic_compare_exchange_strong(word, &v, 0) ? MPROC_ETIMEDOUT : 0;
                until = mproc__plat_now_ns() + slice;
                if (until > deadline_ns)
                        until = deadline_ns;
                MPROC_POINT("condition.wait.sleep");
                r = mproc__word_wait(word, me, until);
                MPROC_POINT("condition.wait.woken");
                if (r == -ETIMEDOUT)
                        slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
                /* Nor is a waiter to be kept from it by signals. */
                if ((r == -ETIMEDOUT || r == -EINTR) &&
                    (inherit(tickets, index, me) || owner_is_dead(owner_word, word, me)))
                        return 0;
        }
}
