/* SPDX-License-Identifier: MIT */
/*
 * mproc/future.h - futures: the outcome of work that was given to a pool.
 *
 * A future is done when its task, or its whole map, has ended: with a result, or failed, or cancelled.  Handles
 * belong to the process that made the pool.  All functions may be called from any of its threads; a free must not
 * race with another use of the same handle.
 */
#ifndef MPROC_FUTURE_H
#define MPROC_FUTURE_H

#include <mproc/args.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_pool mproc_pool;
typedef struct mproc_future mproc_future;

/*
 * Wait until it is done, however it ended.  0, MPROC_ETIMEDOUT, MPROC_EHANDLE (NULL), MPROC_ENOTCHILD (another
 * process's pool).  MT-Safe.  Origin: AsyncResult.wait.
 */
MPROC_API int mproc_future_wait(mproc_future *future, int64_t timeout_ms);

/* 1 if it is done, else 0.  Does not block.  Origin: AsyncResult.ready. */
MPROC_API int mproc_future_ready(mproc_future *future);

/*
 * Wait, and have the result of a task in a buffer; *ret_len_bytes (may be NULL) is its length.  0, or the failure:
 * the task's own code; MPROC_ETASK: it returned a number above 0; MPROC_EWORKER: its worker died of it;
 * MPROC_EOVERTIME; MPROC_ECANCELLED; mproc_last_error has the words, mproc_future_report the rest.
 * MPROC_ETIMEDOUT: not done yet.  MPROC_ETOOSMALL: *ret_len_bytes tells how much is needed; may be asked
 * again.  Of a map: its outcome, and no bytes.  Repeatable.  MT-Safe.  Origin: AsyncResult.get.
 */
MPROC_API int mproc_future_get(mproc_future *future, void *buffer, size_t capacity, size_t *ret_len_bytes,
                               int64_t timeout_ms);

/*
 * The same in place: *ret_data (NULL for no bytes) points to the result, read-only, until the future is freed.  Large
 * results are not copied.
 */
MPROC_API int mproc_future_view(mproc_future *future, const void **ret_data, size_t *ret_len_bytes,
                                int64_t timeout_ms);

/* The same for results of one type.  MPROC_EARGTYPE: the task gave another one. */
MPROC_API int mproc_future_get_int(mproc_future *future, int64_t *ret_value, int64_t timeout_ms);
MPROC_API int mproc_future_get_uint(mproc_future *future, uint64_t *ret_value, int64_t timeout_ms);
MPROC_API int mproc_future_get_double(mproc_future *future, double *ret_value, int64_t timeout_ms);
MPROC_API int mproc_future_get_string(mproc_future *future, const char **ret_text, int64_t timeout_ms);

/* How it ended. */
typedef struct mproc_task_report {
        int code;         /* 0, or as mproc_future_get tells; of a map: of the first failure */
        int result;       /* what the function returned, if it did */
        uint64_t number;  /* the task's number in its pool; of a map's failure: the item's index */
        pid_t worker_pid; /* who ran it last; 0: nobody */
        int exitcode;     /* of a worker that died: as mproc_process_exitcode; else 0 */
        int signal;       /* the signal that killed it, or 0 */
        unsigned tries;   /* how often it was begun */
        char text[256];   /* in words */
} mproc_task_report;

/* Fill it in.  MPROC_ERUNNING: not done yet.  Does not block.  MT-Safe. */
MPROC_API int mproc_future_report(mproc_future *future, mproc_task_report *ret_report);

/*
 * Cancel: what has not been started never will be; what runs is ended by killing its worker, which is replaced.
 * 0: it was cancelled, and is done; mproc_future_get then gives MPROC_ECANCELLED.  MPROC_ERELEASED: too
 * late, it had ended.  MT-Safe.  Origin: Future.cancel, and what it lacks.
 */
MPROC_API int mproc_future_cancel(mproc_future *future);

/*
 * Have a function called when it is done, by a thread that waits for something of the pool, or at once by this one if
 * it is done already.  It may use the future and the pool, but not free the pool.  One a future.
 * -EBUSY: it has one.  MT-Safe.  Origin: callback and error_callback of apply_async.
 */
typedef void mproc_done_fn(mproc_future *future, void *arg);
MPROC_API int mproc_future_on_done(mproc_future *future, mproc_done_fn *callback, void *arg);

/* End the handle; the work goes on.  Views of its result are gone.  NULL is fine.  Cannot fail.  Keeps errno. */
MPROC_API void mproc_future_free(mproc_future *future);

#ifdef __cplusplus
}
#endif
#endif
