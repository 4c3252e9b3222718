/* SPDX-License-Identifier: MIT */
/*
 * sync/robust.c - the lock inside shared objects: when it is not free at once.
 *
 * Runs in: every process that uses a shared object.  Owns: nothing.
 */
#include "sync/robust.h"
#include "core/point.h"
#include "sync/watch.h"

#include <errno.h>
#include <mproc/error.h>

#define MS     INT64_C(1000000)
#define ROUNDS 100 /* of watching: those who stand in line are better awake than asleep */

static _Thread_local struct mproc__patience patience MPROC__WORD_TLS;

/*
 * Where the system tells of the dead, a sleep needs no end of its own; the long slice is
 * a net for what no model has (a thread's memory taken away before its exit was
 * worked off).  Elsewhere slices are what brings a lost wake-up back.
 */
int64_t
mproc__robust_slice_ns(const struct mproc__word_thread *self, unsigned n)
{
        if (self->told_of_dead)
                return 5000 * MS;
        return n == 0 ? 20 * MS : n == 1 ? 50 * MS : 100 * MS;
}

/*
 * After a slice: an owner that does not exist any more cannot give the lock up.  Put
 * the system's mark in its place; of several who find this one succeeds.  An id
 * that is in use again may hide a dead owner for as long; it is only the net.
 */
static bool
bury_owner(struct mproc__robust *lock, uint32_t seen)
{
        return mproc__word_owner_is_gone(seen & MPROC__WORD_OWNER) &&
               atomic_compare_exchange_strong(&lock->word, &seen,
                                              (seen & MPROC__WORD_WAITERS) | MPROC__WORD_OWNER_DIED);
}

static int
give_up(struct mproc__word_thread *self, int code)
{
        mproc__word_clear_pending(self);
        return code;
}

/*
 * `pending` names the word already, and is set again after each sleep, because a
 * signal handler may have used a robust mutex of libc meanwhile.
 */
int
mproc__robust_lock_slow(struct mproc__robust *lock, struct mproc__word_thread *self, int64_t deadline_ns,
                        const _Atomic bool *stop)
{
        struct mproc__watch watch = mproc__watch_begin(&patience, 0, ROUNDS);
        unsigned slices = 0;

        for (;;) {
                uint32_t v = atomic_load_explicit(&lock->word, memory_order_relaxed);
                int64_t begin, until;
                int r;

                if ((v & MPROC__WORD_OWNER) == 0) {
                        if (!atomic_compare_exchange_weak_explicit(&lock->word, &v,
                                                                   (v & MPROC__WORD_WAITERS) | self->tid,
                                                                   memory_order_seq_cst, memory_order_relaxed))
                                continue;
                        MPROC__TSAN_ACQUIRE(&lock->word);
                        return (v & MPROC__WORD_OWNER_DIED) ? MPROC__ROBUST_RECOVERED : 0;
                }
                if (mproc__word_is_mine(self, v))
                        return give_up(self, MPROC_EDEADLK);
                if (stop && atomic_load(stop))
                        return give_up(self, MPROC_ECLOSED);
                if (mproc__watch_on(&watch))
                        continue;
                if (!(v & MPROC__WORD_WAITERS)) {
                        if (!atomic_compare_exchange_weak_explicit(&lock->word, &v, v | MPROC__WORD_WAITERS,
                                                                   memory_order_relaxed, memory_order_relaxed))
                                continue;
                        v |= MPROC__WORD_WAITERS;
                }
                begin = mproc__plat_now_ns();
                until = begin + mproc__robust_slice_ns(self, slices);
                if (until > deadline_ns)
                        until = deadline_ns;
                MPROC_POINT("robust.lock.sleep");
                r = mproc__word_wait(&lock->word, v, until);
                MPROC_POINT("robust.lock.woken");
                mproc__word_set_pending(self, &lock->word);
                /* Who tries again and again for less than a slice is not told in vain that the lock is held. */
                if (r == -ETIMEDOUT && until == deadline_ns && (self->told_of_dead || !bury_owner(lock, v)))
                        return give_up(self, MPROC_ETIMEDOUT);
                slices += r == -ETIMEDOUT;
                if (r == -ETIMEDOUT || r == -EINTR) /* not to be kept from it by signals */
                        (void)bury_owner(lock, v);
                if (r != -EAGAIN)
                        mproc__watch_learn(&patience, mproc__plat_now_ns() - begin);
                if (r == 0)
                        watch = mproc__watch_begin(&patience, 0, ROUNDS);
        }
}

/* The word is ours, with WAITERS.  Rules 2 and 3; if nobody slept, the bit was stale. */
void
mproc__robust_unlock_slow(struct mproc__robust *lock, struct mproc__word_thread *self)
{
        (void)self;
        MPROC_POINT("robust.unlock.contended");
        if (mproc__word_free_and_wake_one(&lock->word) > 0)
                return;
        MPROC_POINT("robust.unlock.stale");
        (void)mproc__word_clear_waiters_and_wake_all(&lock->word);
}
