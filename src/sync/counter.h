/* SPDX-License-Identifier: MIT */
/*
 * sync/counter.h - counting up, and sleeping until somebody does.
 *
 * Queues and semaphores have two ends.  Each end is a robust lock and a counter that only
 * the lock's holder changes: what was put is what tail.n counts, what was taken is
 * what head.n counts.  Counting up is the commit: before it nothing has happened, after it
 * all has, and there is no third state for a dying process to leave behind.
 *
 * One thread at a time sleeps on a counter, the leader: he holds the lock of his own
 * end meanwhile, so the others queue up on that lock.  Before he sleeps he leaves a
 * ticket in `armed`: the count that he waits to be left.  Tickets are never cleared; they
 * are void once the count has moved on.
 *
 * Why no wake-up is lost.  The word that the leader sleeps on is the counter itself.
 *   - Nobody dies: either the committer sees the ticket (before he counts, or in his
 *     second look after he gave his lock back), or the leader sees the new count.
 *   - The committer dies: before the count, nothing was committed; in
 *     mproc__word_add_and_wake_one, both or neither happened; after a plain store and
 *     before his second look, he was inside when the leader left his ticket, so
 *     the leader saw his lock held and sleeps in short slices.
 *   - The leader dies, asleep or just woken: he owns the lock of his end, the system
 *     hands it to a follower, and the follower looks at the counter.
 *   - Both die: both rules hold by themselves; nobody carries an obligation in a register.
 */
#ifndef MPROC_SYNC_COUNTER_H
#define MPROC_SYNC_COUNTER_H

#include "core/point.h"
#include "sync/robust.h"

/*
 * Counters start shortly before they wrap around, so that every queue and semaphore
 * lives through it.
 */
#define MPROC__COUNTER_START (UINT32_MAX - 15)

/*
 * Sleep until *n is no longer `old`.  Held: `mine`, the lock of the caller's own end; `theirs` is
 * the lock of those who count n.  0, MPROC_ETIMEDOUT, MPROC_ECLOSED (*stop; may be NULL).
 */
int mproc__counter_sleep(mproc__word *n, mproc__word *armed, struct mproc__robust *theirs, struct mproc__robust *mine,
                         uint32_t old, int64_t deadline_ns, const _Atomic bool *stop);

/*
 * The same, for ends that have a second way of being busy (*busy is not 0; may be NULL), and for more than one
 * reason to stop: stopped(arg) is asked before each sleep, whoever makes it true wakes all who sleep
 * on n; from one who was just on his way to sleep that is hidden until the end of a slice.
 */
int mproc__counter_sleep_unless(mproc__word *n, mproc__word *armed, struct mproc__robust *theirs, mproc__word *busy,
                                struct mproc__robust *mine, uint32_t old, int64_t deadline_ns,
                                bool (*stopped)(void *arg), void *arg);

/* Count n from `old` to old + k.  The lock of that end is held.  True: a sleeper, if any, has been woken. */
static inline bool
mproc__counter_commit(mproc__word *n, mproc__word *armed, uint32_t old, unsigned k)
{
        if (__builtin_expect(atomic_load_explicit(armed, memory_order_seq_cst) == old, 0)) {
                (void)mproc__word_add_and_wake_one(n, k);
                return true;
        }
        atomic_store_explicit(n, old + k, memory_order_release);
        return false;
}

/* After the lock was given back: has somebody gone to sleep between our look at `armed` and our count? */
static inline void
mproc__counter_look_again(mproc__word *n, mproc__word *armed, uint32_t old, bool woken)
{
        if (!woken && __builtin_expect(atomic_load_explicit(armed, memory_order_seq_cst) == old, 0))
                (void)mproc__word_wake(n, 1);
}

/*
 * Take the lock of one's own end for an operation that waits until the deadline.  One that does not wait
 * at all (nowait) still waits for whoever is inside for the length of his critical
 * section, at most a second; but not for a sleeping leader: hopeless() tells that
 * there is nothing to be had now, and ends it.  Results as mproc__robust_lock; `pending`
 * is set by a failed mproc__robust_try before.
 */
int mproc__counter_enter(struct mproc__robust *lock, int64_t deadline_ns, bool nowait, bool (*hopeless)(void *arg),
                         void *arg, const _Atomic bool *stop);

/*
 * How far `ahead` is in front of `behind`, exactly, at one moment between call and return:
 * ahead never goes back, and behind did not move while it was read.
 */
uint32_t mproc__counter_distance(mproc__word *behind, mproc__word *ahead);

#endif
