/* SPDX-License-Identifier: MIT */
/*
 * sync/turns.h - who is next, so that nobody waits for a lock for ever.
 *
 * A lock that is given up may be taken by whoever comes by, which is fast, since those who
 * sleep need long to wake up.  But only so often: while somebody waits, the
 * acquisitions that pass him by are counted, and after MPROC__TURNS_PASSES of them, or when
 * he was woken MPROC__TURNS_LOSSES times in vain, the gate is closed: the lock belongs to
 * those who are waiting at that moment, in whatever order, once each.  Who comes later waits
 * before the gate.  It opens when the last of them has had the lock or given up.
 *
 * So of n threads that wait none is passed by more often than MPROC__TURNS_PASSES + 2 n
 * times (the rest of a gate that was closed when it came, the passes, those who are behind
 * the gate with it).  Not counted: who does not wait, or whose time is up, takes a
 * lock that he finds free, gate or not; he would otherwise be told that a free
 * lock is not to be had.
 *
 * All this is advice.  Who owns the lock is told by its word alone; whatever stands here, a
 * lock that is free is taken: a thread before the gate that sees the lock free and the gate
 * unchanged for MPROC__TURNS_STUCK_NS takes those behind it for dead (killed, stopped, or
 * not given a processor), opens it and takes the lock.  So a death here delays others
 * once, by that time, and leaves nothing: the count of those who wait is begun anew in the same
 * step, and the living find that out by its epoch when they wake up.
 */
#ifndef MPROC_SYNC_TURNS_H
#define MPROC_SYNC_TURNS_H

#include "platform/futex.h"

#include <stdbool.h>
#include <stdint.h>

#define MPROC__TURNS_PASSES   10000
#define MPROC__TURNS_LOSSES   8
#define MPROC__TURNS_STUCK_NS INT64_C(50000000)

/*
 * In shared memory, beside the lock's word; all zeros at first.  Changed by anybody, in single steps.
 *   gate      ticket(16) left(16): closed while left > 0, for all but those with an older ticket; left:
 *             how many of them have not had the lock yet
 *   waiting   epoch(16) count(16): how many wait; counts of another epoch are void
 *   tickets   the next ticket
 *   passed    acquisitions since somebody waits or the gate was closed
 */
struct mproc__turns {
        mproc__word gate;
        mproc__word waiting;
        mproc__word tickets;
        mproc__word passed;
};

/* One thread's wait; all zeros at first. */
struct mproc__turn {
        bool counted;
        uint16_t ticket;
        uint16_t epoch;
        unsigned losses;
        uint32_t stuck; /* a gate that nobody came through, 0: none */
};

static inline bool
mproc__turns_closed(const struct mproc__turns *turns)
{
        return (atomic_load_explicit(&turns->gate, memory_order_relaxed) & 0xffff) != 0;
}

/* May the lock, which is free, be taken by him? */
static inline bool
mproc__turns_mine(const struct mproc__turns *turns, const struct mproc__turn *turn)
{
        uint32_t gate = atomic_load_explicit(&turns->gate, memory_order_relaxed);

        return (gate & 0xffff) == 0 || gate == turn->stuck ||
               (turn->counted && (int16_t)(turn->ticket - (gate >> 16)) < 0);
}

/* Before each sleep: he waits. */
void mproc__turns_wait(struct mproc__turns *turns, struct mproc__turn *turn);

/* He has the lock, or gives up. */
void mproc__turns_leave(struct mproc__turns *turns, struct mproc__turn *turn);

void mproc__turns_close(struct mproc__turns *turns);

/* The lock is about to be given up. */
static inline void
mproc__turns_pass(struct mproc__turns *turns)
{
        uint32_t passed;

        if ((atomic_load_explicit(&turns->waiting, memory_order_relaxed) & 0xffff) == 0 || mproc__turns_closed(turns))
                return;
        passed = atomic_load_explicit(&turns->passed, memory_order_relaxed) + 1;
        atomic_store_explicit(&turns->passed, passed, memory_order_relaxed);
        if (passed >= MPROC__TURNS_PASSES)
                mproc__turns_close(turns);
}

/* Nothing to count and no gate: the ordinary case. */
static inline bool
mproc__turns_idle(const struct mproc__turns *turns)
{
        return ((atomic_load_explicit(&turns->waiting, memory_order_relaxed) |
                 atomic_load_explicit(&turns->gate, memory_order_relaxed)) &
                0xffff) == 0;
}

#endif
