/* SPDX-License-Identifier: MIT */
/*
 * pool/pool.h - a pool as the process that made it sees it.
 *
 * Runs in: the pool's process.
 *
 * One mutex for all of it.  What is to be done for a pool is done by a thread that waits, the driver: there is at
 * most one at a time; it sleeps in poll, without the mutex, on the bell and the workers' sentinels.  Other threads
 * that wait sleep on `changed`.  A driver who has what he waited for hands the wheel to one of them.
 */
#ifndef MPROC_POOL_POOL_H
#define MPROC_POOL_POOL_H

#include "platform/platform.h"
#include "pool/areas.h"
#include "pool/results.h"
#include "sync/watch.h"
#include "wire/codec.h"

#include <mproc/pool.h>
#include <pthread.h>

/* --- jobs ------------------------------------------------------------------------------------------------- */

enum mproc__job_state { MPROC__JOB_BACKLOG, MPROC__JOB_ACTIVE, MPROC__JOB_ENDED };

/* How often the worker died that ran an item; kept for items to which that happened. */
struct mproc__tries {
        uint64_t item;
        unsigned deaths;
        struct mproc__tries *next;
};

/* A job and its future are one. */
struct mproc_future {
        struct mproc_pool *pool; /* one reference */
        unsigned refs;           /* the user's handle, and the pool's until it has ended */
        enum mproc__job_state state;
        enum mproc__job_kind kind;
        struct mproc_future *next, *prev; /* in the backlog, in the list of the active, or among those to call back */

        /* what is to be done */
        uint64_t number;
        uint64_t function_at;
        uint32_t function_len;
        struct mproc__encoder encoded; /* of what has descriptors: kept until it has ended, to be sent again */
        uint64_t count, chunk, chunks, item_size, result_size;
        uint64_t items_at, results_at, codes_at, shared_at, shared_len, states_at, args_at, args_len;
        uint64_t area_at, area_len; /* all these */
        uint8_t args_inline[MPROC__POOL_INLINE];
        void *results; /* the user's; NULL: not wanted any more */
        int *codes;
        unsigned retries;
        int64_t time_limit_ns;

        /* while it is active */
        uint32_t slot, generation;
        int worker;                /* of a task with descriptors: to whom it was sent last; else -1 */
        uint64_t listed_at;        /* its last place in the ring */
        struct mproc__view states; /* opened when a worker has died in it */
        uint64_t settled;          /* chunks before this one are DONE: where to look on */
        struct mproc__tries *tries;
        bool cancelled;
        uint64_t failed_items;
        uint64_t cancelled_items; /* ended by us while they ran: their chunks are past them */

        /* how it ended */
        int code;
        int function_result;
        uint64_t failed_item;
        pid_t worker_pid;
        int exitcode;
        unsigned deaths; /* of workers that ran the item that died last */
        char *text;
        mproc_arg_type type;
        uint64_t len;
        void *data; /* a copy of the result; or NULL, and it lies in: */
        struct mproc__results_file *file;
        uint32_t place;
        uint64_t at;
        struct mproc__view view;

        mproc_done_fn *callback;
        void *callback_arg;
};

struct mproc__jobs {
        struct mproc_future *first, *last;
};

void mproc__jobs_append(struct mproc__jobs *list, struct mproc_future *job);
void mproc__jobs_remove(struct mproc__jobs *list, struct mproc_future *job);

/* What the pool's process knows of a slot. */
struct mproc__slot {
        struct mproc_future *job; /* NULL: free, or lingering */
        uint32_t generation;      /* the last one */
        uint32_t next;
        uint64_t area_at, area_len; /* lingering: to be given back with it */
};

/* --- workers -------------------------------------------------------------------------------------------------- */

struct mproc__member {
        mproc_process *process; /* NULL: none */
        bool ready;
        int mail; /* our end of its socket, or -1 */
        struct mproc__results_file *results;
        uint64_t doomed_entry, doomed_item; /* what it is being killed for; entry 0: nothing */
        int doomed_code;
        unsigned restarts;
        bool being_killed; /* by us */
};

struct mproc__function_name {
        void (*function)(void);
        uint64_t at;
        uint32_t len;
};

struct mproc_pool {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        unsigned refs;
        pid_t creator;
        mproc_context *context;
        bool closed, terminated, ended; /* ended: no worker lives, none will be started */
        _Atomic bool stopped;           /* by mproc_pool_stop */
        int start_failure;              /* why the last worker was not ready before it died; 0: none */
        int broken;                     /* workers cannot be had any more: why */
        char *broken_text;
        bool creating; /* mproc_pool_create decides on deaths */
        bool driving;
        unsigned waiting; /* threads that sleep on `changed` */

        int fd, bell;
        struct mproc__pool_shm *shm;
        struct mproc__areas areas;
        struct mproc__function_name *functions;
        size_t nfunctions;

        char *name;
        unsigned workers;
        struct mproc__member *crew;
        struct mproc__patience patience; /* the driver's */
        struct pollfd *polled;           /* the driver's: the bell, then each worker */
        unsigned early_deaths;           /* in a row, before they were ready */
        unsigned unready;                /* workers that have been started and have not said that they are ready */
        struct mproc__encoder initializer_encoded;
        unsigned retries;
        int64_t time_limit_ns;

        struct mproc__jobs backlog, active, to_call;
        struct mproc__jobs mail_backlog, active_mail; /* the same, of tasks with descriptors */
        struct mproc__slot *slots;                    /* of MPROC__POOL_SLOTS */
        uint32_t free_slots, slots_made; /* a list through slots[].next, ended by 0: numbers start at 1 */
        uint32_t lingering;              /* another: those that a worker still looked at */
        unsigned limited;                /* active jobs with a time limit */
        int64_t least_limit_ns;          /* no job of this pool had a shorter one */
        unsigned cancelling;             /* jobs that were cancelled and have not ended */
        int64_t start_again_ns;          /* when to try to start workers again; MPROC__NEVER: none is missing */

        uint64_t given, done, failed, retried, cancelled;
        unsigned deaths;
        mproc_progress_fn *progress;
        void *progress_arg;
        int64_t progress_since_ns, progress_next_ns;
        uint64_t progress_done; /* at that time */
};

/* Is this pool ours to use?  With words.  MPROC_EHANDLE, MPROC_ENOTCHILD. */
int mproc__pool_check(const mproc_pool *pool);

/* Give the mutex up, after calling back what has ended meanwhile; frees the pool if nothing refers to it any more. */
void mproc__pool_unlock(mproc_pool *pool);

/* A time limit in nanoseconds; beyond a century is none. */
static inline int64_t
mproc__pool_limit_ns(int64_t ms)
{
        return ms < INT64_C(3155760000000) ? ms * 1000000 : 0;
}

/* --- pool/jobs.c: from the user to the workers and back; under the mutex --------------------------------------- */

/* The name of a function, in an area.  With words. */
int mproc__jobs_function(mproc_pool *pool, void (*function)(void), uint64_t *ret_at, uint32_t *ret_len);

/* A job that is ready goes into the backlog, and further if there is room.  Its future has the pool's reference, too.
 */
void mproc__jobs_give(mproc_pool *pool, struct mproc_future *job);

void mproc__jobs_feed(mproc_pool *pool);    /* from the backlog to the workers */
void mproc__jobs_collect(mproc_pool *pool); /* what workers have marked */
void mproc__jobs_tidy(mproc_pool *pool);    /* slots that a worker still looked at */
int mproc__jobs_attach(mproc_pool *pool, struct mproc_future *job,
                       unsigned worker); /* its descriptors, to a new worker */
void mproc__jobs_look_at_cancelled(mproc_pool *pool);
void mproc__jobs_send_again(mproc_pool *pool, int worker); /* descriptors that died with it */
void mproc__jobs_spread(mproc_pool *pool); /* tasks that wait for a worker, to one that has nothing to do */

/* One of its chunks is open again, or may have been overlooked. */
void mproc__jobs_list_again(mproc_pool *pool, struct mproc_future *job);

/* An item has failed without its worker's word. */
void mproc__jobs_fail_item(mproc_pool *pool, struct mproc_future *job, uint64_t item, int code, pid_t pid,
                           int exitcode, const char *words);

/* Look whether it has ended, and if so, end it. */
void mproc__jobs_look(mproc_pool *pool, struct mproc_future *job);

void mproc__jobs_cancel(mproc_pool *pool, struct mproc_future *job, bool running); /* or only what has not begun */
void mproc__jobs_fail_all(mproc_pool *pool, int code, const char *words);

/* The states of its chunks; NULL: no memory to map them. */
_Atomic uint64_t *mproc__jobs_states(mproc_pool *pool, struct mproc_future *job);

/* Free what a job holds in the pool's memory and its own; the last reference is gone. */
void mproc__job_destroy(struct mproc_future *job);

/* Are there jobs that have not ended? */
static inline bool
mproc__pool_has_work(const mproc_pool *pool)
{
        return pool->active.first || pool->active_mail.first || pool->backlog.first || pool->mail_backlog.first;
}

static inline struct mproc__job_shm *
mproc__job_shm(const mproc_pool *pool, const struct mproc_future *job)
{
        return &pool->shm->jobs[job->slot];
}

/* --- pool/crew.c: the workers; under the mutex --------------------------------------------------------------------
 */

int mproc__crew_start(mproc_pool *pool); /* all of them; with words */
void mproc__crew_look(mproc_pool *pool); /* bury the dead, replace them */
void mproc__crew_wake(mproc_pool *pool, uint64_t work);

/* Kill it for what it is at: true, if it was still at that item. */
bool mproc__crew_doom(mproc_pool *pool, unsigned worker, uint64_t entry, uint64_t mark, int code);

/* End items that run too long; returns when the next one may have to be, or MPROC__NEVER. */
int64_t mproc__crew_limits(mproc_pool *pool);

void mproc__crew_kill(mproc_pool *pool); /* terminate and wait, in bounded time; then none is left */
bool mproc__crew_gone(mproc_pool *pool);

/* --- pool/drive.c
 * --------------------------------------------------------------------------------------------------- */

/* Under the mutex, which is given up meanwhile: wait until done(arg).  0, MPROC_ETIMEDOUT. */
int mproc__pool_wait(mproc_pool *pool, bool (*done)(mproc_pool *pool, void *arg), void *arg, int64_t deadline_ns);

/* All there is to do at this moment. */
void mproc__pool_attend(mproc_pool *pool);

/* --- pool/future.c
 * ---------------------------------------------------------------------------------------------------- */

/* A job of this pool, with the user's reference and the pool's; NULL: no memory. */
struct mproc_future *mproc__future_new(mproc_pool *pool, enum mproc__job_kind kind);

/* One that was never given: with the area that it has. */
void mproc__future_abandon(struct mproc_future *future);

/* The user's own wait for what was just given: its outcome, and its future is freed.  Without the mutex. */
int mproc__future_finish(mproc_future *future, void *buffer, size_t capacity, size_t *ret_len_bytes);

/* --- pool/pool.c: may it be given work?  Under the mutex; with words
 * --------------------------------------------------- */

int mproc__pool_check_open(const mproc_pool *pool);

/* --- pool/progress.c
 * --------------------------------------------------------------------------------------------------- */

bool mproc__progress_owed(const mproc_pool *pool);         /* its last word */
int64_t mproc__progress_tell(mproc_pool *pool, bool last); /* calls the hook if it is time; when the next is */

#endif
