/* SPDX-License-Identifier: MIT */
/*
 * mproc/queue.h - queues: messages from many producers to many consumers.
 *
 * First in, first out over all processes.  A put returns when the message is in
 * shared memory, so a process may end, and be joined, before anybody has
 * received what it put.  A process killed at any moment leaves its message
 * either whole in the queue or not there at all, and holds nobody up.
 */
#ifndef MPROC_QUEUE_H
#define MPROC_QUEUE_H

#include <mproc/args.h>
#include <mproc/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A new queue, empty.  maxsize: how many messages it holds before put waits;
 * 0 means no limit but memory (and 2^30 - 1 messages).  The caller owns *ret_queue.
 * -EINVAL: maxsize too large; -EMFILE, -ENOMEM, -ENOSPC.  MT-Safe.
 * Origin: multiprocessing.Queue(maxsize).
 */
MPROC_API int mproc_queue_create(mproc_context *ctx, size_t maxsize, mproc_queue **ret_queue);

/* What else a queue may be told when it is made; zero always means the default. */
typedef struct mproc_queue_opts {
        size_t maxsize;   /* how many messages it holds before put waits */
        size_t max_bytes; /* how many bytes, the lengths of its messages added up, it holds before put waits */
        size_t leases;    /* how many messages may be leased at a time, at most 65,536; 0: none.  See lease.h */
        int joinable;     /* 1: its messages are tasks that are waited for.  See joinable_queue.h */
        int objects;      /* 1: descriptors and mproc's objects can be put into it.  See queue_args.h */
        size_t reserved[8];
} mproc_queue_opts;

/* clang-format off */
#define MPROC_QUEUE_OPTS_INIT { 0, 0, 0, 0, 0, { 0 } }
/* clang-format on */

/*
 * The same with options; opts may be NULL.  A limit on bytes is exact: a message goes in when its length and the
 * lengths of those that are in make no more than max_bytes; one that is longer by itself is refused
 * by put, with -EMSGSIZE; an empty one always fits.  -EINVAL: an option is out of its range; MPROC_EPROGRAM
 * (leases, joinable): there is no telling who is dead.
 */
MPROC_API int mproc_queue_create_opts(mproc_context *ctx, const mproc_queue_opts *opts, mproc_queue **ret_queue);

/*
 * Put a copy of a message of len_bytes (0 is a message too).  Waits for room at
 * most timeout_ms.  MPROC_EFULL: none came.  MPROC_ECLOSED: closed for this
 * process.  -ENOMEM, -ENOSPC: no memory for it; -EMSGSIZE; MPROC_ECORRUPT.
 * MPROC_EDEADLK: called from a signal handler that interrupted another call on it;
 * MPROC_EHANDLE: queue is NULL.  EINTR is invisible.  MT-Safe.  Origin: Queue.put.
 */
MPROC_API int mproc_queue_put(mproc_queue *queue, const void *data, size_t len_bytes, int64_t timeout_ms);

/*
 * Take the oldest message into a buffer of capacity bytes; *ret_len_bytes (may
 * be NULL) is its length.  Waits for one at most timeout_ms.  MPROC_EEMPTY: none
 * came.  MPROC_ETOOSMALL: it is longer, *ret_len_bytes is set, the message
 * stays in place.  MPROC_ECLOSED, MPROC_ECORRUPT, MPROC_EDEADLK, MPROC_EHANDLE as put.  EINTR is invisible.  MT-Safe.
 * Origin: Queue.get.
 */
MPROC_API int mproc_queue_get(mproc_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes,
                              int64_t timeout_ms);

/* The same into memory of its own: *ret_data (never NULL on success) is freed with free().  -ENOMEM. */
MPROC_API int mproc_queue_get_alloc(mproc_queue *queue, void **ret_data, size_t *ret_len_bytes, int64_t timeout_ms);

/* A message among several: where it is, and how long. */
typedef struct mproc_message {
        const void *data;
        size_t len_bytes;
} mproc_message;

/*
 * Put copies of count messages, in this order, in as few steps as room allows: those for which there is room at
 * once get in together, and nothing of others comes between them.  Waits for room for the rest, at most
 * timeout_ms in all.  *ret_done (may be NULL): how many are in, also when it fails; the
 * others are not.  Errors as put.  MT-Safe.
 */
MPROC_API int mproc_queue_put_many(mproc_queue *queue, const mproc_message *messages, size_t count, size_t *ret_done,
                                   int64_t timeout_ms);

/*
 * Take what is there, at most count messages and as many as the buffer has room for: waits for the first one
 * at most timeout_ms, for others not at all.  They lie in the buffer one behind the other, each at a
 * multiple of 16 bytes from its start; ret_messages[i] tells where, and *ret_count (at least 1) how many.
 * MPROC_EEMPTY; MPROC_ETOOSMALL: the first one is longer than the buffer, ret_messages[0].len_bytes
 * is set, nothing was taken.  Other errors as get.  MT-Safe.
 */
MPROC_API int mproc_queue_get_many(mproc_queue *queue, mproc_message *ret_messages, size_t count, void *buffer,
                                   size_t capacity, size_t *ret_count, int64_t timeout_ms);

/* How many messages it holds at this moment: exact.  MPROC_ECLOSED.  Origin: Queue.qsize. */
MPROC_API int mproc_queue_qsize(mproc_queue *queue, size_t *ret_count);

MPROC_API int mproc_queue_empty(mproc_queue *queue); /* 1, 0, or MPROC_ECLOSED */
MPROC_API int mproc_queue_full(mproc_queue *queue);  /* 1, 0, or MPROC_ECLOSED */

/* This process is done with the queue; others are not touched.  The handle is still to be freed.  Origin:
 * Queue.close. */
MPROC_API int mproc_queue_close(mproc_queue *queue);

/* End the handle.  The queue's memory goes when its last handle in any process has gone.  NULL is fine. */
MPROC_API void mproc_queue_free(mproc_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
