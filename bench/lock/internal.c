/* SPDX-License-Identifier: MIT */
/*
 * bench/lock/internal.c - the lock inside mproc's shared objects, which no user sees.
 *
 * Runs in: the conductor and its members.  A shared library of its own, with the parts of
 * mproc that it needs inside, so that this lock is compiled and linked as it is in mproc.
 */
#include "lock.h"
#include "sync/robust.h"

static void *
create(void *memory)
{
        return memory; /* all zeros is free */
}

static int
pairs(void *lock, volatile uint64_t *guarded, unsigned count)
{
        while (count-- > 0) {
                if (mproc__robust_lock(lock, INT64_MAX, NULL) < 0)
                        return -1;
                ++*guarded;
                mproc__robust_unlock(lock);
        }
        return 0;
}

static void
destroy(void *lock)
{
        (void)lock;
}

__attribute__((visibility("default"))) const struct bench_lock bench_lock_internal = {
        .name = "mproc_internal",
        .label = "mproc, internal lock",
        .bytes = sizeof(struct mproc__robust),
        .create = create,
        .pairs = pairs,
        .destroy = destroy,
};
