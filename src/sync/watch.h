/* SPDX-License-Identifier: MIT */
/*
 * sync/watch.h - looking at a word for a while before sleeping on it.
 *
 * Runs in: every process that waits for a lock or a counter.  Owns: nothing.
 *
 * A sleep costs more than itself: whoever ends it makes a system call, and the sleeper runs again some ten
 * microseconds later.  So a word that will change soon is watched instead.  Three rules:
 *
 *   - The pauses between two looks grow.  Each look takes the word's cache line away from those who work
 *     with it; beside one who looks rarely, another one does many operations in a row.
 *   - After a few microseconds the processor is offered to others before each look.  Where there are more
 *     processes than processors, one of them may be the one who is waited for; if nobody wants it, next to
 *     nothing happens.  Besides, who stands in line for a lock in this way does not sleep, and
 *     as long as nobody sleeps, giving the lock up costs no system call.
 *   - How long to watch is learned.  A thread that slept for long watches half as long the next time; one whose
 *     sleep was shorter than a watch had better watched, and will, for as long as is allowed.  So a
 *     thread to which something happens once in a while burns a few microseconds each time.
 *
 * All of this is about speed alone: a watch may end at any time.
 */
#ifndef MPROC_SYNC_WATCH_H
#define MPROC_SYNC_WATCH_H

#include "platform/futex.h"

#include <stdbool.h>
#include <stdint.h>

#define MPROC__WATCH_ALONE    10             /* rounds before the processor is offered to others */
#define MPROC__WATCH_GAP      16             /* pauses, at most: with an offer 0.5 to 1.5 microseconds */
#define MPROC__WATCH_WORTH_NS INT64_C(50000) /* a sleep of less had better been a watch */

/* What a thread has learned, about one kind of waiting; zero at first.  Belongs to the thread. */
struct mproc__patience {
        int halvings;
};

struct mproc__watch {
        int round, rounds, gap;
};

/*
 * rounds: how long, at most.  fine: in so many rounds before these the pauses do not grow, where an answer ought to
 * be seen at once.
 */
static inline struct mproc__watch
mproc__watch_begin(const struct mproc__patience *patience, int fine, int rounds)
{
        rounds >>= patience->halvings;
        if (rounds < MPROC__WATCH_ALONE)
                rounds = MPROC__WATCH_ALONE;
        return (struct mproc__watch){ -fine, mproc__word_spin_limit() == 0 ? -fine : rounds, 1 };
}

/* The word has not changed yet.  True, after a pause: look again; false: it is time to sleep. */
static inline bool
mproc__watch_on(struct mproc__watch *watch)
{
        if (watch->round >= watch->rounds)
                return false;
        for (int i = 0; i < watch->gap; i++)
                mproc__word_pause();
        if (watch->round >= MPROC__WATCH_ALONE)
                mproc__word_yield();
        if (watch->round >= 0 && watch->gap < MPROC__WATCH_GAP)
                watch->gap = watch->gap * 3 / 2 + 1 < MPROC__WATCH_GAP ? watch->gap * 3 / 2 + 1 : MPROC__WATCH_GAP;
        watch->round++;
        return true;
}

/* After a sleep of so long. */
static inline void
mproc__watch_learn(struct mproc__patience *patience, int64_t slept_ns)
{
        if (slept_ns < MPROC__WATCH_WORTH_NS)
                patience->halvings = 0;
        else if (patience->halvings < 5)
                patience->halvings++;
}

#endif
