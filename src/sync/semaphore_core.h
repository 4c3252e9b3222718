/* SPDX-License-Identifier: MIT */
/*
 * sync/semaphore_core.h - a semaphore from inside.
 *
 *      semaphore_make.c   making and ending handles, names, a semaphore as an argument
 *      semaphore.c        acquiring, releasing, looking
 *      permits.c          who holds how many, where that is written down
 */
#ifndef MPROC_SYNC_SEMAPHORE_CORE_H
#define MPROC_SYNC_SEMAPHORE_CORE_H

#include "program/names.h"
#include "shm/small.h"
#include "sync/counter.h"
#include "sync/permits.h"
#include "sync/semaphore.h"
#include "sync/turns.h"

#include <mproc/sync.h>
#include <stddef.h>

/*
 * In shared memory.  Down to reserved: constant once the creator's call has returned.
 *   tail.lock   held to release; tail.n: changed by its holder
 *   head.lock   held to acquire, also asleep; head.n, tail.armed: changed by its holder
 *   head.turns  who may take that lock next (turns.h); tail.turns is not used
 * Anybody reads n and armed.
 */
struct mproc__semaphore_end {
        struct mproc__robust lock;
        mproc__word n;
        mproc__word armed;
        struct mproc__turns turns;
        uint32_t reserved;
};
struct mproc__semaphore_shm {
        uint32_t magic;
        uint32_t version;
        uint64_t namespace_id; /* in which thread ids mean what the locks say */
        uint32_t most;         /* the value's bound, at most MPROC_SEMAPHORE_MAX */
        uint32_t bounded;      /* 1: to release beyond it is an error of the caller */
        uint32_t holders;      /* how many the table of holders has; 0: none, nothing is restored */
        uint32_t reserved;
        struct mproc__semaphore_end tail;
        struct mproc__semaphore_end head;
        struct mproc__permits permits; /* if there are holders */
};
_Static_assert(sizeof(struct mproc__semaphore_end) == 32, "layout of a semaphore");
_Static_assert(offsetof(struct mproc__semaphore_shm, permits) <= MPROC__SMALL_BYTES,
               "most semaphores fit into one place");
_Static_assert(offsetof(struct mproc__semaphore_shm, permits) % 8 == 0, "the table of holders is aligned");
_Static_assert(sizeof(struct mproc__semaphore_shm) +
                               MPROC__PERMITS_HOLDERS_MAX * sizeof(struct mproc__permits_holder) +
                               MPROC__NAMED_HEADER_BYTES <=
                       4096,
               "a named semaphore fits into a page");

struct mproc_semaphore {
        struct mproc__object object;
        struct mproc__semaphore_shm *shm;
        uint32_t most; /* copies of what is constant, checked when the handle was made */
        bool bounded;
        struct mproc__permits_view permits;
        struct mproc__small place; /* anonymous; segment NULL: named */
        int fd;                    /* named: its file and mapping */
        void *base;
};

/* MPROC_ECORRUPT, with words. */
int mproc__semaphore_fail_corrupt(void);

#endif
