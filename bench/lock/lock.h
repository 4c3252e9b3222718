/* SPDX-License-Identifier: MIT */
/*
 * bench/lock/lock.h - locks that processes share.  A contender is a table of functions.
 */
#ifndef MPROC_BENCH_LOCK_H
#define MPROC_BENCH_LOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_lock {
        const char *name, *label;
        size_t bytes; /* of shared memory that it wants, zeros to begin with */
        /* In the conductor: make it.  Its handle, NULL if that is not possible. */
        void *(*create)(void *memory);
        /*
         * In a member: acquire, add one to *guarded, release; `pairs` times.  A loop in each contender,
         * so that nothing but the lock is between.  Below 0: failed.
         */
        int (*pairs)(void *lock, volatile uint64_t *guarded, unsigned pairs);
        void (*destroy)(void *lock);
};

extern const struct bench_lock bench_lock_mproc, bench_semaphore_mproc, bench_lock_internal;
extern const struct bench_lock bench_lock_pthread, bench_lock_robust, bench_lock_sem, bench_lock_boost;

#ifdef __cplusplus
}
#endif
#endif
