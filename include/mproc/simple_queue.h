/* SPDX-License-Identifier: MIT */
/*
 * mproc/simple_queue.h - the smallest queue that works: put, get, empty, close.
 *
 * It is a queue of queue.h without a limit, with all its promises, behind fewer functions.  One
 * takes it where a reader shall see that nothing else is done with it: nobody gives up waiting,
 * nobody polls, counts, joins or leases.  Whoever needs more later takes an mproc_queue; both are
 * the same underneath, and as fast.
 */
#ifndef MPROC_SIMPLE_QUEUE_H
#define MPROC_SIMPLE_QUEUE_H

#include <mproc/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A new one, empty, without a limit.  Errors as mproc_queue_create.  Origin: multiprocessing.SimpleQueue. */
MPROC_API int mproc_simple_queue_create(mproc_context *ctx, mproc_simple_queue **ret_queue);

/* Put a copy of a message.  Waits for nobody but who is putting, too.  Errors as mproc_queue_put.  MT-Safe. */
MPROC_API int mproc_simple_queue_put(mproc_simple_queue *queue, const void *data, size_t len_bytes);

/*
 * Take the oldest message; waits until there is one.  *ret_len_bytes (may be NULL) is its length.
 * MPROC_ETOOSMALL: it is longer than capacity and stays in place.  Other errors as mproc_queue_get.  MT-Safe.
 */
MPROC_API int mproc_simple_queue_get(mproc_simple_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes);

/* 1: there is nothing in it; 0; MPROC_ECLOSED, MPROC_EHANDLE. */
MPROC_API int mproc_simple_queue_empty(mproc_simple_queue *queue);

/* This process is done with it; those who wait in get are sent away with MPROC_ECLOSED.  Still to be freed. */
MPROC_API int mproc_simple_queue_close(mproc_simple_queue *queue);

/* End the handle.  NULL is fine. */
MPROC_API void mproc_simple_queue_free(mproc_simple_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
