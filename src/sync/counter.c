/* SPDX-License-Identifier: MIT */
/*
 * sync/counter.c - sleeping until a counter moves.
 *
 * Runs in: every process that uses a queue or a semaphore.  Owns: nothing.
 */
#include "sync/counter.h"
#include "sync/watch.h"

#include <errno.h>
#include <mproc/error.h>

#define US                INT64_C(1000)

#define NOWAIT_SLICE      (1000 * US)
#define NOWAIT_LIMIT      (1000000 * US)
#define SHORT_SLICE_FIRST (200 * US)
#define SHORT_SLICE_LAST  (50000 * US)
#define FINE_ROUNDS       20 /* of watching */
#define ROUNDS            60

static _Thread_local struct mproc__patience patience MPROC__WORD_TLS;

/* Watch it for a while, closely at first: in a dialogue the answer is there within a microsecond. */
static bool
moved_soon(mproc__word *n, uint32_t old)
{
        struct mproc__watch watch = mproc__watch_begin(&patience, FINE_ROUNDS, ROUNDS);

        while (atomic_load_explicit(n, memory_order_acquire) == old)
                if (!mproc__watch_on(&watch))
                        return false;
        return true;
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
                int64_t begin, until;
                int r;

                if (moved_soon(n, old))
                        return 0;
                atomic_store_explicit(armed, old, memory_order_seq_cst);
                MPROC_POINT("counter.armed");
                if (stopped(arg))
                        return MPROC_ECLOSED;
                /* Somebody inside may have looked at `armed` before, and die before he looks again. */
                begin = mproc__plat_now_ns();
                if (mproc__robust_owner(theirs) != 0 || (busy && atomic_load(busy) != 0)) {
                        until = begin + slice;
                        slice = slice < SHORT_SLICE_LAST ? slice * 2 : slice;
                } else {
                        until = begin + mproc__robust_slice_ns(self, slices++);
                }
                if (until > deadline_ns)
                        until = deadline_ns;
                r = mproc__word_wait(n, old, until);
                MPROC_POINT("counter.woken");
                mproc__word_set_pending(self, &mine->word);
                if (r != -EAGAIN)
                        mproc__watch_learn(&patience, mproc__plat_now_ns() - begin);
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
