/* SPDX-License-Identifier: MIT */
/*
 * mproc/pool.h - pools: work for N processes, results back, whoever is killed meanwhile.
 *
 *      mproc_pool *pool;
 *      mproc_pool_create(NULL, 0, NULL, &pool);                    a worker for each usable processor
 *      mproc_pool_map(pool, square, numbers, count, sizeof *numbers, squares, sizeof *squares);
 *      mproc_pool_free(pool);
 *
 * A worker that dies fails exactly the task that it ran, or has it run again, as often as the policy says, and is
 * replaced.  Everything else goes on.
 *
 * A pool makes no thread.  Workers fetch their work and deliver results by themselves; what else there is to
 * do (replace a dead worker, end a task at its time limit, run callbacks) is done inside the calls that wait
 * for something of the pool, by whichever thread is in one, or by a thread that calls mproc_pool_run for that.
 *
 * A pool belongs to the process that made it; all functions may be called from any of its threads.
 */
#ifndef MPROC_POOL_H
#define MPROC_POOL_H

#include <mproc/array.h>
#include <mproc/context.h>
#include <mproc/future.h>
#include <mproc/process.h>
#include <mproc/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a progress hook is told. */
typedef struct mproc_progress {
        uint64_t tasks; /* given to the pool so far */
        uint64_t done;  /* of these, ended, failures included */
        uint64_t failed;
        unsigned replacements; /* workers that were replaced because they died */
        int64_t elapsed_ms;    /* since the pool was made, or since it last had nothing to do */
        int64_t left_ms;       /* estimated; -1: no telling yet */
        double rate;           /* tasks a second */
} mproc_progress;

typedef void mproc_progress_fn(mproc_pool *pool, const mproc_progress *progress, void *arg);

/* Options of a pool; zero always means the default. */
typedef struct mproc_pool_opts {
        mproc_main_fn *initializer; /* run once in each worker, before its first task; fails with anything but 0 */
        mproc_arglist initializer_args; /* borrowed for the create call */
        uint64_t tasks_per_worker; /* then it is replaced by a fresh one, after the chunk it is at; default: no limit
                                    */
        unsigned retries;          /* how often a task is run again whose worker died; default 0: it fails at once */
        int64_t time_limit_ms;     /* of each task: it is ended, and has failed; default: none */
        mproc_progress_fn
                *progress; /* called at most ten times a second, and once all is done, by threads that wait */
        void *progress_arg;
        const char *name; /* of the workers: "NAME-1", ...; default "Pool-1-worker"; copied */
        int reserved[16];
} mproc_pool_opts;

/*
 * Make a pool of so many workers, 0: one for each processor that this process may use (mproc_cpu_count).
 * Returns when all are ready.  ctx NULL: the default context.  opts may be NULL.
 * A worker's failing initializer fails the call: its code and words.  MPROC_EWORKER: workers died before they were
 * ready, three in a row.  -EINVAL: options; more than 1024 workers.  Errors of mproc_process_start; -ENOMEM, -EMFILE.
 * Blocks until then.  MT-Safe.  Origin: multiprocessing.Pool.
 */
MPROC_API int mproc_pool_create(mproc_context *ctx, unsigned workers, const mproc_pool_opts *opts,
                                mproc_pool **ret_pool);

/* --- tasks ------------------------------------------------------------------------------------------------- */

/*
 * Give the pool a task; the future stands for its outcome, is the caller's, and is ended with mproc_future_free. Does
 * not wait.  Arguments are taken over as mproc_process_create does.  Objects and descriptors among them go to one
 * worker directly.  MPROC_ECONTEXT: an object of the fork context, for a pool of another.  MPROC_ECLOSED: the
 * pool is closed or was terminated.  MPROC_ENOTCHILD: it is another process's. MPROC_ETARGET, MPROC_EHANDLE,
 * MPROC_EMOVED, -EBADF, -ENOMEM, -EMSGSIZE.  MT-Safe.  Origin: Pool.apply_async.
 */
MPROC_API int mproc_pool_apply_async(mproc_pool *pool, mproc_task_fn *function, mproc_arglist args,
                                     mproc_future **ret_future);

/*
 * Give it and wait for its end; the result into a buffer as mproc_future_get does.  The outcome of the task is the
 * outcome of the call.  MT-Safe.  Origin: Pool.apply.
 */
MPROC_API int mproc_pool_apply(mproc_pool *pool, mproc_task_fn *function, mproc_arglist args, void *buffer,
                               size_t capacity, size_t *ret_len_bytes);

/* --- maps -------------------------------------------------------------------------------------------------- */

/* Options of a map; zero always means the default. */
typedef struct mproc_map_opts {
        size_t chunk;       /* items that a worker takes at a time; default: by count and workers */
        const void *shared; /* constant bytes that each call is given; copied once */
        size_t shared_bytes;
        int *codes;       /* count of them: what each item's function returned, or why it failed; valid when done */
        unsigned retries; /* as the pool's; default: the pool's */
        int64_t time_limit_ms; /* of each item; default: the pool's */
        int reserved[16];
} mproc_map_opts;

/*
 * results[i] = function(items[i]) for all i < count, by all workers: known from qsort.  item_size and result_size
 * in bytes; either may be 0 with its pointer NULL.  Waits for all; items fail one by one, and the
 * call returns the first failure that was seen, with words that name the item.  Results of failed items are
 * all zeros.  -EINVAL, -EMSGSIZE (sizes beyond memory), -ENOMEM, -ENOSPC; otherwise as mproc_pool_apply_async.
 * MT-Safe. Origin: Pool.map.
 */
MPROC_API int mproc_pool_map(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count,
                             size_t item_size, void *results, size_t result_size);

MPROC_API int mproc_pool_map_opts(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count,
                                  size_t item_size, void *results, size_t result_size, const mproc_map_opts *opts);

/*
 * The same without waiting.  items and shared are copied in this call; results and codes are written by the call that
 * finds the map done, so they have to live until the future is done, or freed: then they are left alone.
 * Origin: Pool.map_async.
 */
MPROC_API int mproc_pool_map_async(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count,
                                   size_t item_size, void *results, size_t result_size, const mproc_map_opts *opts,
                                   mproc_future **ret_future);

/*
 * A map over the items of a shared array, each of them in place: nothing is copied, each worker gets its slice.
 * Results go to another array of at least as many items, of any size, or to the same one: then item and result of a
 * call are the same place; or nowhere: results NULL.  What is there is not cleared before, nor after a failure.
 * -EINVAL: results has fewer items.  MPROC_EHANDLE: not an array.  MPROC_ECONTEXT: one of the fork context, and the
 * workers are not.  Otherwise as mproc_pool_map_opts; opts may be NULL.
 */
MPROC_API int mproc_pool_map_array(mproc_pool *pool, mproc_map_fn *function, mproc_array *items, mproc_array *results,
                                   const mproc_map_opts *opts);
MPROC_API int mproc_pool_map_array_async(mproc_pool *pool, mproc_map_fn *function, mproc_array *items,
                                         mproc_array *results, const mproc_map_opts *opts, mproc_future **ret_future);

/* --- iterators --------------------------------------------------------------------------------------------- */

typedef struct mproc_imap mproc_imap;

/*
 * Where an imap's items come from: writes the next one and returns 1, or returns 0 at the end, or a negative code to
 * end it as failed.  Called by mproc_imap_next, in its thread.
 */
typedef int mproc_source_fn(void *item, void *arg);

typedef struct mproc_imap_opts {
        size_t chunk;  /* items a worker takes at a time; default 1 */
        size_t ahead;  /* items fetched before their results are asked for, at most; default: 4 chunks a worker */
        int unordered; /* 1: results as they come */
        const void *shared; /* as in a map */
        size_t shared_bytes;
        int reserved[16];
} mproc_imap_opts;

/*
 * A map over items that do not lie in an array, or are too many: they are fetched as results are taken, never
 * more than `ahead` in advance.  opts may be NULL.  The caller owns *ret_imap and ends it with mproc_imap_free.
 * Errors as mproc_pool_map_async.  Origin: Pool.imap, Pool.imap_unordered, with the look-ahead bounded.
 */
MPROC_API int mproc_pool_imap(mproc_pool *pool, mproc_map_fn *function, mproc_source_fn *source, void *source_arg,
                              size_t item_size, size_t result_size, const mproc_imap_opts *opts,
                              mproc_imap **ret_imap);

/*
 * The next result: 0, and it is written to result (which may be NULL), its item's number to *ret_number (may be
 * NULL). MPROC_EEOF: there are no more.  MPROC_ETIMEDOUT: not yet; nothing is lost.  Else the code of the item's
 * failure, with words; *ret_number tells which; the next call goes on with the next.  One thread at a time.
 * Origin: IMapIterator.next.
 */
MPROC_API int mproc_imap_next(mproc_imap *imap, void *result, uint64_t *ret_number, int64_t timeout_ms);

/* End it; what has not been started is cancelled.  NULL is fine. */
MPROC_API void mproc_imap_free(mproc_imap *imap);

/* --- looking after it -------------------------------------------------------------------------------------- */

/*
 * Do what there is to do for a pool, until its tasks are done or the timeout: replace dead workers, keep time limits,
 * run callbacks and the progress hook.  0: there is nothing left to do; MPROC_ETIMEDOUT; MPROC_ECLOSED: it
 * was stopped or terminated.  A program that wants it done in the background calls this from a thread of its own.
 * MT-Safe.
 */
MPROC_API int mproc_pool_run(mproc_pool *pool, int64_t timeout_ms);

/*
 * Ask everybody to stop, from any thread or from a signal handler: tasks that have not been started are cancelled,
 * those that run are ended, and calls that wait return, with MPROC_ECANCELLED where their work did not get done. Does
 * not block.  Async-signal-safe.  The pool is then to be freed.
 */
MPROC_API void mproc_pool_stop(mproc_pool *pool);

/* Take no more tasks; what was given is done.  A second close is fine.  MT-Safe.  Origin: Pool.close. */
MPROC_API int mproc_pool_close(mproc_pool *pool);

/*
 * Wait until all tasks are done and the workers have ended.  MPROC_ERUNNING: close or terminate it first.
 * MPROC_ETIMEDOUT.  MT-Safe.  Origin: Pool.join.
 */
MPROC_API int mproc_pool_join(mproc_pool *pool, int64_t timeout_ms);

/*
 * End it now: tasks that are not done are cancelled, workers are terminated, those that ignore that are killed half a
 * second later.  Returns when they are gone.  MT-Safe.  Origin: Pool.terminate.
 */
MPROC_API int mproc_pool_terminate(mproc_pool *pool);

/*
 * End the handle: terminates what still runs.  Futures that are not freed yet stay valid.  NULL is fine.
 * In a forked child it does nothing.  Cannot fail.  Keeps errno.
 */
MPROC_API void mproc_pool_free(mproc_pool *pool);

/* How many workers it has. */
MPROC_API unsigned mproc_pool_workers(const mproc_pool *pool);

/* One worker, and all together. */
typedef struct mproc_worker_stats {
        pid_t pid;              /* 0: being replaced */
        uint64_t tasks;         /* ended by it and its predecessors */
        int64_t busy_us;        /* time it and its predecessors spent on tasks */
        int64_t resident_bytes; /* memory in use; 0: unknown */
        unsigned restarts;      /* how often it was replaced, for whatever reason */
        int busy;               /* 1: at a task now */
} mproc_worker_stats;

typedef struct mproc_pool_stats_all {
        unsigned workers;
        uint64_t tasks, done, failed, retried, cancelled;
        unsigned deaths; /* workers that died */
} mproc_pool_stats_all;

/*
 * Fill in what is known: *ret_all (may be NULL), and up to capacity of ret_workers (may be NULL if 0).  Does not
 * block. MPROC_ENOTCHILD.  MT-Safe.
 */
MPROC_API int mproc_pool_stats(mproc_pool *pool, mproc_pool_stats_all *ret_all, mproc_worker_stats *ret_workers,
                               size_t capacity);

/*
 * A ready-made progress hook: a bar on standard error, if that is a terminal, with tasks done, rate, time left and
 * failures.  Set mproc_pool_opts.progress to it; arg: a const char * to stand in front, or NULL.
 */
MPROC_API void mproc_progress_bar(mproc_pool *pool, const mproc_progress *progress, void *arg);

#ifdef __cplusplus
}
#endif
#endif
