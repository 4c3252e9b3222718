/* SPDX-License-Identifier: MIT */
/*
 * pool/table.h - what a pool and its workers share.
 *
 * One piece of memory: head, records of the workers, ring of what is ready, slots of jobs, and the areas in which
 * the jobs' items and results lie (pool/areas.h).  The pool's process makes jobs; workers fetch them by
 * themselves.  Nobody ever waits for another process here, so nobody can be kept waiting by a dead one.
 *
 * A job is a function and `count` items, cut into chunks.  The state of a chunk is one word, and it alone decides:
 *
 *      OPEN      start: nobody has it; the items before `start` have ended
 *      RUNNING   worker: that worker has it, from `start` on
 *      DONE      all its items have ended
 *
 *   OPEN -> RUNNING     a worker, by compare-and-swap: exactly one gets it.
 *   RUNNING -> DONE, RUNNING -> OPEN   that worker while it lives; after its death the pool's process.
 *
 * All else about who does what is advice: `next` is where to look for an open chunk, the ring tells where to look
 * for a job.  If it is wrong somebody looks in vain, or the pool's process, which sees each death, sets it right.
 *
 * Who ran what when it died.  A worker writes into its record, in this order: the job it enters, the chunk that
 * it is about to claim, and, before each item, that item.  When it is dead, the job's state word for that chunk
 * tells whether it had it; the item in the record, which it was at.  What lies before that item is done and its
 * results are in place, since they are written there directly; what lies after it has not been touched.  So exactly
 * one item pays.
 *
 * Ending one item.  A worker is killed to end its item (a time limit, a cancel), but may go on to the next in the
 * same moment, and that one must not pay.  So the killer first sets DOOMED in `current`, by compare-and-swap with the
 * item he means.  The worker takes leave of each item by an exchange; if it finds DOOMED there it begins nothing more
 * and waits for the end.
 *
 * An open chunk is not overlooked.  Who finds that a job has none moves `front` on, then looks at `shaky`.  The
 * pool's process, when it opens a chunk of a dead worker again, sets `shaky`, opens it, then looks at `front`: if
 * that has passed the job, it lists it again.  If a worker moves `front` after that look, it finds `shaky` and rings.
 *
 * Reuse of a slot.  A ring entry is slot and generation.  A worker first writes the entry into its record (`job`),
 * then looks whether the slot still has that generation.  The pool's process takes the generation away first and then
 * looks at all records: while one has the entry, slot and areas stay as they are.  Both orders are sequentially
 * consistent, so one of the two sees the other.  A worker that is stopped there for an hour delays the reuse of one
 * slot.
 */
#ifndef MPROC_POOL_TABLE_H
#define MPROC_POOL_TABLE_H

#include "platform/futex.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MPROC__POOL_MAGIC       0x6d70706cu
#define MPROC__POOL_VERSION     1u
#define MPROC__POOL_WORKERS_MAX 1024u
#define MPROC__POOL_SLOTS       16384u                  /* jobs at a time; the others wait in the pool's process */
#define MPROC__POOL_RING        (2 * MPROC__POOL_SLOTS) /* entries: a job may be listed more than once */
#define MPROC__POOL_NEAR_BYTES  (UINT64_C(32) << 20)    /* areas that every process has mapped all the time */
#define MPROC__POOL_INLINE      128                     /* arguments and results that need no area */
#define MPROC__POOL_TEXT        200

/* --- the state of a chunk ------------------------------------------------------------------------------------ */

enum mproc__chunk_kind { MPROC__CHUNK_OPEN = 0, MPROC__CHUNK_RUNNING = 1, MPROC__CHUNK_DONE = 2 };

static inline uint64_t
mproc__chunk_state(enum mproc__chunk_kind kind, unsigned worker, uint64_t start)
{
        return start << 18 | (uint64_t)worker << 2 | kind;
}

static inline enum mproc__chunk_kind
mproc__chunk_kind(uint64_t state)
{
        return (enum mproc__chunk_kind)(state & 3);
}

static inline unsigned
mproc__chunk_worker(uint64_t state)
{
        return state >> 2 & 0xffff;
}

static inline uint64_t
mproc__chunk_start(uint64_t state)
{
        return state >> 18;
}

/* --- an item that a worker is at -------------------------------------------------------------------------------- */

/*
 * A mark: serial(23) item + 1 (40) DOOMED(1).  The serial is counted by the worker with each chunk, so that whoever
 * means one item does not hit the same item of another job.
 */
#define MPROC__ITEM_NONE   UINT64_C(0)
#define MPROC__ITEM_DOOMED UINT64_C(1)
#define MPROC__ITEMS_MAX   ((UINT64_C(1) << 40) - 2)

static inline uint64_t
mproc__item_mark(uint64_t serial, uint64_t item)
{
        return serial << 41 | (item + 1) << 1;
}

static inline uint64_t
mproc__item_of(uint64_t mark) /* mark is not NONE */
{
        return (mark >> 1 & ((UINT64_C(1) << 40) - 1)) - 1;
}

/* --- in shared memory ----------------------------------------------------------------------------------------------
 */

enum mproc__worker_status {
        MPROC__WORKER_STARTING = 0,
        MPROC__WORKER_READY,
        MPROC__WORKER_FAILED,
        MPROC__WORKER_RETIRED
};

/*
 * A worker's record.  Written by that worker alone, but for DOOMED in `current`, set by the pool's process, which
 * also writes all of it while no such worker lives.
 */
struct mproc__worker_shm {
        _Atomic uint64_t job;     /* the ring entry of the job it is in, or 0 */
        _Atomic uint64_t chunk;   /* the chunk that it claims or has */
        _Atomic uint64_t current; /* the item that it is at, as mproc__item_mark, or NONE */
        _Atomic int64_t since_ns; /* when it began that item, if its job has a time limit; written before current */
        _Atomic uint64_t tasks;   /* items ended */
        _Atomic int64_t busy_ns;
        _Atomic uint32_t status; /* enum mproc__worker_status */
        int32_t code;            /* FAILED: why */
        _Atomic uint64_t failed; /* of these, failed */
        _Atomic uint64_t mail;   /* packets sent to it (pool/mail.c); written by the pool's process */
        _Atomic uint64_t opened; /* of these */
        char text[176];
};
_Static_assert(sizeof(struct mproc__worker_shm) == 256, "layout of a worker's record");

enum mproc__job_kind { MPROC__JOB_TASK = 1, MPROC__JOB_MAP = 2 };

/* The first failure of a job.  owner: claimed by compare-and-swap; who has claimed it writes the rest, then READY. */
#define MPROC__FAILURE_READY 0x80000000u
struct mproc__failure_shm {
        _Atomic uint32_t owner; /* 0, or worker + 1, and READY */
        int32_t code;
        int32_t result;
        int32_t pid;
        uint64_t item;
        char text[MPROC__POOL_TEXT];
};

/* What a task gave back.  Written by the worker that runs the task, before the chunk is DONE. */
struct mproc__result_shm {
        uint32_t type; /* mproc_arg_type; MPROC_ARG_NONE: nothing */
        uint32_t file; /* the place in the worker's file of results (pool/results.h); 0: below */
        uint64_t at;   /* there */
        uint64_t len;
        uint32_t worker;
        uint32_t reserved;
        uint8_t data[MPROC__POOL_INLINE];
};

/*
 * A job.  Written by the pool's process before the slot gets its generation, constant from then on, but for what
 * stands between the lines.
 */
struct mproc__job_shm {
        _Atomic uint32_t generation; /* 0: not in use */
        uint32_t kind;
        uint64_t number;      /* of the first item among the tasks of the pool */
        uint64_t function_at; /* the function's name, in an area */
        uint32_t function_len;
        uint32_t args_fds; /* descriptors that come by mail */
        uint64_t args_at;  /* the encoded arguments; 0: inside `args` */
        uint64_t args_len;
        uint64_t count, chunk, chunks;
        uint64_t item_size, result_size;
        uint64_t items_at, results_at, codes_at, shared_at, shared_len, states_at; /* areas; 0: none */
        uint64_t area_at, area_len; /* all these lie in here, if it is not near */
        int64_t time_limit_ns;      /* 0: none */
        /* --- */
        _Atomic uint64_t next;  /* advice: no open chunk before this one */
        _Atomic uint64_t left;  /* chunks that are not DONE; exact unless `shaky` */
        _Atomic uint64_t state; /* the chunk's, if there is only one */
        _Atomic uint32_t stop;  /* begin nothing more */
        _Atomic uint32_t shaky; /* a worker died here: `left` may be too great; tell of each chunk */
        _Atomic uint32_t any_failed;
        uint32_t reserved;
        struct mproc__failure_shm failure;
        struct mproc__result_shm result;
        /* --- */
        uint8_t args[MPROC__POOL_INLINE];
};
_Static_assert(sizeof(struct mproc__job_shm) <= 768, "layout of a job");

#define MPROC__POOL_DONE_WORDS (MPROC__POOL_SLOTS / 64)

struct mproc__pool_shm {
        /* constant: */
        uint32_t magic, version;
        uint32_t workers;
        uint32_t initializer_len;
        uint64_t initializer_at; /* its name, in an area; len 0: none */
        uint64_t initializer_args_at, initializer_args_len;
        uint32_t initializer_fds; /* descriptors that come in the first packet of mail */
        uint32_t reserved;
        uint64_t tasks_per_worker; /* 0: no limit */
        uint64_t results_idle_max; /* bytes that a worker's file of results keeps for those to come */
        /* The workers' sleep: changed whenever there is something new; WAITERS: somebody may sleep on it. */
        _Alignas(128) mproc__word work;
        _Atomic uint32_t quit; /* workers leave when they find nothing to do */
        /* The pool's process sleeps by poll, and wants its bell rung. */
        _Alignas(128) _Atomic uint32_t watch;
        /* The ring: entries front .. tail - 1.  front: advanced by workers, past jobs that have no open chunk. */
        _Alignas(128) _Atomic uint64_t front;
        _Alignas(128) _Atomic uint64_t tail; /* by the pool's process alone */
        /* Jobs that somebody should look at.  Set by workers, word first, cleared by the pool's process, summary
         * first. */
        _Alignas(128) _Atomic uint64_t done_summary[MPROC__POOL_DONE_WORDS / 64];
        _Atomic uint64_t done[MPROC__POOL_DONE_WORDS];
        _Alignas(128) _Atomic uint64_t ring[MPROC__POOL_RING];
        _Alignas(128) struct mproc__job_shm jobs[MPROC__POOL_SLOTS];
        _Alignas(128) struct mproc__worker_shm records[MPROC__POOL_WORKERS_MAX];
};

#define MPROC__POOL_TABLE_BYTES  ((sizeof(struct mproc__pool_shm) + 65535) / 65536 * 65536)
#define MPROC__POOL_MAPPED_BYTES (MPROC__POOL_TABLE_BYTES + MPROC__POOL_NEAR_BYTES)

static inline uint64_t
mproc__entry(uint32_t slot, uint32_t generation)
{
        return (uint64_t)generation << 32 | slot;
}

static inline uint32_t
mproc__entry_slot(uint64_t entry)
{
        return (uint32_t)entry % MPROC__POOL_SLOTS;
}

/* --- the bell ------------------------------------------------------------------------------------------------------
 */

/* Does somebody have to be told by the bell?  After what he waits for has been made visible. */
static inline bool
mproc__pool_wants_bell(struct mproc__pool_shm *shm)
{
        return atomic_load(&shm->watch) && atomic_exchange(&shm->watch, 0);
}

/* --- the workers' sleep
 * ---------------------------------------------------------------------------------------------- */

/*
 * `work` is a count, made by the pool's process after work was made visible, and the top bit: somebody may sleep.
 * Workers set that bit before they sleep on the word as it is then.  The pool's process clears it in the step that
 * counts, wakes as many as there is work for, and sets it again if that many were asleep: there may be more.
 */
#define MPROC__WORK_WAITERS 0x80000000u

#endif
