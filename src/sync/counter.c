/* SPDX-License-Identifier: MIT */
/*
 * sync/counter.c - sleeping until a counter moves.
 *
 * Runs in: every process that uses a queue or a semaphore.  Owns: nothing.
 */
#include "sync/counter.h"

#include <errno.h>
#include <mproc/error.h>

#define US                INT64_C(1000)

#define NOWAIT_SLICE      (1000 * US)
#define NOWAIT_LIMIT      (1000000 * US)
#define SHORT_SLICE_FIRST (200 * US)
#define SHORT_SLICE_LAST  (50000 * US)

/* Look for a while, with growing pauses, about 30 microseconds in all; not at all with one processor. */
static bool
moved_soon(mproc__word *n, uint32_t old)
{
        unsigned rounds = mproc__word_spin_limit() ? 10 : 0, gap = 4;

        for (unsigned i = 0; i < rounds; i++) {
                if (atomic_load_explicit(n, memory_order_acquire) != old)
                        return true;
                for (unsigned k = 0; k < gap; k++)
                        mproc__word_pause();
                if (gap < 128)
                        gap *= 2;
        }
        return atomic_load_explicit(n, memory_order_acquire) != old;
}

static bool
flag_is_set(void *arg)
{
        const _Atomic bool *stop = arg;

        return stop && atomic_load(stop);
}

int
mproc__counter_sleep(mproc__word *n, mproc__word *armed, struct mproc__robust *theirs, struct mproc__robust *mine,
                     uint32_t old, int64_t deadline_ns, const _Atomic bool *stop)
{
        return mproc__counter_sleep_unless(n, armed, theirs, NULL, mine, old, deadline_ns, flag_is_set,
                                           (void *)(uintptr_t)stop);
}

int
mproc__counter_sleep_unless(mproc__word *n, mproc__word *armed, struct mproc__robust *theirs, mproc__word *busy,
                            struct mproc__robust *mine, uint32_t old, int64_t deadline_ns, bool (*stopped)(void *arg),
                            void *arg)
{
        struct mproc__word_thread *self = mproc__word_thread();
        int64_t slice = SHORT_SLICE_FIRST;
        unsigned slices = 0;

        for (;;) {
                int64_t until;
                int r;

                if (moved_soon(n, old))
                        return 0;
                atomic_store_explicit(armed, old, memory_order_seq_cst);
                MPROC_POINT("counter.armed");
                if (stopped(arg))
                        return MPROC_ECLOSED;
                /* Somebody inside may have looked at `armed` before, and die before he looks again. */
                if (mproc__robust_owner(theirs) != 0 || (busy && atomic_load(busy) != 0)) {
                        until = mproc__plat_now_ns() + slice;
                        slice = slice < SHORT_SLICE_LAST ? slice * 2 : slice;
                } else {
                        until = mproc__plat_now_ns() + mproc__robust_slice_ns(self, slices++);
                }
                if (until > deadline_ns)
                        until = deadline_ns;
                r = mproc__word_wait(n, old, until);
                MPROC_POINT("counter.woken");
                mproc__word_set_pending(self, &mine->word);
                if (atomic_load_explicit(n, memory_order_acquire) != old) {
                        MPROC__TSAN_ACQUIRE(n);
                        return 0;
                }
                if (r == -ETIMEDOUT && until == deadline_ns)
                        return MPROC_ETIMEDOUT;
        }
}

int
mproc__counter_enter(struct mproc__robust *lock, int64_t deadline_ns, bool nowait, bool (*hopeless)(void *arg),
                     void *arg, const _Atomic bool *stop)
{
        struct mproc__word_thread *self = mproc__word_thread();
        int64_t last;
        int r;

        if (!nowait)
                return mproc__robust_lock_slow(lock, self, deadline_ns, stop);
        last = mproc__plat_now_ns() + NOWAIT_LIMIT;
        do {
                if (hopeless(arg)) {
                        mproc__word_clear_pending(self);
                        return MPROC_ETIMEDOUT;
                }
                mproc__word_set_pending(self, &lock->word);
                r = mproc__robust_lock_slow(lock, self, mproc__plat_now_ns() + NOWAIT_SLICE, stop);
        } while (r == MPROC_ETIMEDOUT && !mproc__deadline_passed(last));
        return r;
}

uint32_t
mproc__counter_distance(mproc__word *behind, mproc__word *ahead)
{
        uint32_t b = atomic_load_explicit(behind, memory_order_acquire), a, again;

        for (;;) {
                a = atomic_load_explicit(ahead, memory_order_acquire);
                again = atomic_load_explicit(behind, memory_order_acquire);
                if (again == b)
                        return a - b;
                b = again;
        }
}
