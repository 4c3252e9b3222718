/* SPDX-License-Identifier: MIT */
/*
 * sync/robust.h - the lock inside shared objects, which survives its owner.
 *
 * One word: MPROC__WORD_WAITERS | MPROC__WORD_OWNER_DIED | the owner's thread id.
 * Held inside the library only, one at a time by a thread, never while code of
 * the user runs.  The death of the owner hands it to the next, who is told.
 *
 * Four rules, each of which has a story in docs/locking.md:
 *   1. WAITERS stays set when the lock is handed over or given up.
 *   2. Giving up a lock with WAITERS and waking one sleeper are one step.
 *   3. WAITERS is cleared only in one step with waking everybody.
 *   4. `pending` names the word from before the first attempt until after the last
 *      wake, through every sleep: so a sleeper that dies after it was woken
 *      does not take the wake-up with it.
 */
#ifndef MPROC_SYNC_ROBUST_H
#define MPROC_SYNC_ROBUST_H

#include "platform/futex.h"
#include "platform/platform.h"

#include <stdint.h>

/* A lock that lies in shared memory; all zeros is free. */
struct mproc__robust {
        mproc__word word;
};

#define MPROC__ROBUST_RECOVERED 1 /* positive: held, and the last owner died inside */

/* The first attempt alone.  If it is false, `pending` is set: go on with mproc__robust_lock_slow. */
static inline bool mproc__robust_try(struct mproc__robust *lock, struct mproc__word_thread *self);

int mproc__robust_lock_slow(struct mproc__robust *lock, struct mproc__word_thread *self, int64_t deadline_ns,
                            const _Atomic bool *stop);
void mproc__robust_unlock_slow(struct mproc__robust *lock, struct mproc__word_thread *self);

/*
 * Take it, waiting until the deadline.  0, MPROC__ROBUST_RECOVERED, MPROC_ETIMEDOUT,
 * MPROC_EDEADLK (this thread holds it: a signal handler interrupted one of our
 * calls), MPROC_ECLOSED (*stop became true while waiting; stop may be NULL).
 * Sets no words.
 */
static inline bool
mproc__robust_try(struct mproc__robust *lock, struct mproc__word_thread *self)
{
        uint32_t free = 0;

        mproc__word_set_pending(self, &lock->word);
        return __builtin_expect(atomic_compare_exchange_strong_explicit(&lock->word, &free, self->tid,
                                                                        memory_order_seq_cst, memory_order_relaxed),
                                1);
}

static inline int
mproc__robust_lock(struct mproc__robust *lock, int64_t deadline_ns, const _Atomic bool *stop)
{
        struct mproc__word_thread *self = mproc__word_thread();

        if (mproc__robust_try(lock, self))
                return 0;
        return mproc__robust_lock_slow(lock, self, deadline_ns, stop);
}

static inline void
mproc__robust_unlock(struct mproc__robust *lock)
{
        struct mproc__word_thread *self = mproc__word_thread();
        uint32_t mine = self->tid;

        if (__builtin_expect(!atomic_compare_exchange_strong_explicit(&lock->word, &mine, 0, memory_order_seq_cst,
                                                                      memory_order_relaxed),
                             0))
                mproc__robust_unlock_slow(lock, self);
        mproc__word_clear_pending(self);
}

/* Who is inside, 0 if nobody.  Ordered with all other sequentially consistent steps. */
static inline uint32_t
mproc__robust_owner(struct mproc__robust *lock)
{
        return atomic_load_explicit(&lock->word, memory_order_seq_cst) & MPROC__WORD_OWNER;
}

/* How long a sleep may be that relies on the system telling of a death, the n-th time in a row. */
int64_t mproc__robust_slice_ns(const struct mproc__word_thread *self, unsigned n);

#endif
