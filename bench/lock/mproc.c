/* SPDX-License-Identifier: MIT */
/* bench/lock/mproc.c - the user's locks of mproc.  Runs in: the conductor and its members. */
#include "lock.h"

#include <mproc/mproc.h>

static void *
create_lock(void *memory)
{
        mproc_lock *lock;

        (void)memory;
        return mproc_lock_create(NULL, &lock) == 0 ? lock : NULL;
}

static int
lock_pairs(void *lock, volatile uint64_t *guarded, unsigned pairs)
{
        while (pairs-- > 0) {
                if (mproc_lock_acquire(lock, MPROC_FOREVER) < 0)
                        return -1;
                ++*guarded;
                if (mproc_lock_release(lock) < 0)
                        return -1;
        }
        return 0;
}

static void
destroy_lock(void *lock)
{
        mproc_lock_free(lock);
}

const struct bench_lock bench_lock_mproc = {
        .name = "mproc_lock",
        .label = "mproc Lock",
        .create = create_lock,
        .pairs = lock_pairs,
        .destroy = destroy_lock,
};

static void *
create_semaphore(void *memory)
{
        mproc_semaphore *semaphore;

        (void)memory;
        return mproc_semaphore_create(NULL, NULL, 1, &semaphore) == 0 ? semaphore : NULL;
}

static int
semaphore_pairs(void *semaphore, volatile uint64_t *guarded, unsigned pairs)
{
        while (pairs-- > 0) {
                if (mproc_semaphore_acquire(semaphore, MPROC_FOREVER) < 0)
                        return -1;
                ++*guarded;
                if (mproc_semaphore_release(semaphore) < 0)
                        return -1;
        }
        return 0;
}

static void
destroy_semaphore(void *semaphore)
{
        mproc_semaphore_free(semaphore);
}

const struct bench_lock bench_semaphore_mproc = {
        .name = "mproc_semaphore",
        .label = "mproc Semaphore(1)",
        .create = create_semaphore,
        .pairs = semaphore_pairs,
        .destroy = destroy_semaphore,
};
