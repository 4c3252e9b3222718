/* SPDX-License-Identifier: MIT */
/*
 * mproc/joinable_queue.h - queues whose messages are tasks, the last of which can be waited for.
 *
 * A joinable queue is a queue: everything in queue.h and lease.h works on it.  Besides it knows
 * how many of its tasks are unfinished: put and not yet got, or got and not yet told done.
 * The number is exact and no process that dies can falsify it.
 *
 * What a consumer took and did not finish before it died:
 *   - got by mproc_queue_get, it is lost: mproc_queue_join says so instead of waiting for ever, and
 *     goes on saying so until the tasks are done by others or dropped;
 *   - got by mproc_queue_get_leased, it comes back: nothing is lost, and join just waits.
 */
#ifndef MPROC_JOINABLE_QUEUE_H
#define MPROC_JOINABLE_QUEUE_H

#include <mproc/lease.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A new one: mproc_queue_create_opts with `joinable`.  At most 65,536 tasks may be taken and not done at a
 * time (or as many as opts.leases says); a get beyond that is -ENOBUFS.  Errors as mproc_queue_create_opts.
 * Origin: multiprocessing.JoinableQueue.
 */
MPROC_API int mproc_joinable_queue_create(mproc_context *ctx, size_t maxsize, mproc_queue **ret_queue);

/*
 * A task that was taken by mproc_queue_get is done: one of this process's, if it has any; else
 * one that another process took, a dead one first.  Leased tasks are done by mproc_lease_ack.  Does not
 * block.  MPROC_ERELEASED: called more often than tasks were taken.  MPROC_EUNSUPPORTED: the queue is not
 * joinable.  MPROC_EHANDLE, MPROC_ECLOSED.  MT-Safe.  Origin: JoinableQueue.task_done.
 */
MPROC_API int mproc_queue_task_done(mproc_queue *queue);

/*
 * Wait until no task is unfinished, at most timeout_ms.  MPROC_ELOST: tasks went with a process that
 * died; mproc_last_error tells how many and names it; see mproc_queue_drop_lost.  MPROC_ETIMEDOUT, with the
 * number of unfinished tasks in words; MPROC_EUNSUPPORTED, MPROC_ECLOSED, MPROC_EHANDLE.  EINTR is invisible.
 * MT-Safe.  Origin: JoinableQueue.join.
 */
MPROC_API int mproc_queue_join(mproc_queue *queue, int64_t timeout_ms);

/* How many tasks are unfinished at this moment.  MPROC_EUNSUPPORTED, MPROC_ECLOSED, MPROC_EHANDLE.  MT-Safe. */
MPROC_API int mproc_queue_unfinished(mproc_queue *queue, size_t *ret_count);

/*
 * Count the lost tasks as finished, so that join can go on; *ret_count (may be NULL) is how many.
 * MPROC_EUNSUPPORTED, MPROC_ECLOSED, MPROC_EHANDLE.  MT-Safe.
 */
MPROC_API int mproc_queue_drop_lost(mproc_queue *queue, size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
