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

/*
 * Without copies.  reserve gives len_bytes of the queue's own memory to write a message into (at a multiple of 16
 * bytes); commit puts it, with at most that length; cancel forgets it.  peek shows the oldest message where it
 * lies; release takes it; unpeek leaves it, the first in line.  The thread that began ends it.
 *
 * In between, that end of the queue is this process's: others who put (get) wait, so do not take long.  The other end
 * goes on.  If the process dies, nothing was put and the space is used again (nothing was taken), and the
 * others go on within 100 ms.  Worth while from some ten thousand bytes on; for less put and get are faster.
 *
 * reserve and peek wait as put and get do, and fail as they do; MPROC_EDEADLK: this thread has one already.
 * MPROC_EUNSUPPORTED: peek at a queue with leases or tasks.  MPROC_EPROGRAM: there is no telling who is dead.
 * commit: -EMSGSIZE: more than was reserved, which is still there.  commit, cancel, release, unpeek do not
 * block; MPROC_ERELEASED: this thread has nothing there.  MT-Safe.
 */
MPROC_API int mproc_queue_reserve(mproc_queue *queue, size_t len_bytes, void **ret_data, int64_t timeout_ms);
MPROC_API int mproc_queue_commit(mproc_queue *queue, size_t len_bytes);
MPROC_API int mproc_queue_cancel(mproc_queue *queue);
MPROC_API int mproc_queue_peek(mproc_queue *queue, const void **ret_data, size_t *ret_len_bytes, int64_t timeout_ms);
MPROC_API int mproc_queue_release(mproc_queue *queue);
MPROC_API int mproc_queue_unpeek(mproc_queue *queue);

/* How many messages it holds at this moment: exact.  MPROC_ECLOSED.  Origin: Queue.qsize. */
MPROC_API int mproc_queue_qsize(mproc_queue *queue, size_t *ret_count);

MPROC_API int mproc_queue_empty(mproc_queue *queue); /* 1, 0, or MPROC_ECLOSED */
MPROC_API int mproc_queue_full(mproc_queue *queue);  /* 1: a put would wait; 0, or MPROC_ECLOSED */

/* This process is done with the queue; others are not touched.  The handle is still to be freed.  Origin:
 * Queue.close. */
MPROC_API int mproc_queue_close(mproc_queue *queue);

/*
 * The end, for all processes and for ever: puts fail with MPROC_ECLOSED from now on, those that wait, too; gets go on
 * until the queue is empty, then fail with MPROC_ECLOSED.  A message whose put had begun is delivered or
 * its put fails, nothing else.  May be called twice.  Blocks for at most 20 ms.  MPROC_ECLOSED: closed
 * for this process.  MT-Safe.  Origin: queue.Queue.shutdown.
 */
MPROC_API int mproc_queue_shutdown(mproc_queue *queue);

/*
 * Note that a process is going to put: a child of this one that has been started, or, if process is NULL, this one.
 * Once one has been noted, gets from the empty queue fail with MPROC_ECLOSED when no such process is left: each has
 * died, however, or closed or freed the queue, or called remove_producer.  A death is noticed within 100 ms.  To
 * start several, a process notes itself first, then each child, then removes itself: so there is always one
 * until all are noted.  Others may put, too; they do not count.  MPROC_ENOTSTARTED; -EAGAIN: 128 are noted
 * already.  MT-Safe.  No origin.
 */
struct mproc_process;
MPROC_API int mproc_queue_add_producer(mproc_queue *queue, struct mproc_process *process);
MPROC_API int mproc_queue_remove_producer(mproc_queue *queue); /* this process puts no more */

/*
 * A descriptor to poll for POLLIN in a loop of one's own (epoll, libuv, glib); it is the queue's, not to be read or
 * closed, and valid until the handle is freed.  Readable means: look.  Then call get with MPROC_NOWAIT until it
 * says MPROC_EEMPTY, which also prepares the next ring; whoever stops before is told again.
 * Several processes and threads may poll: all are woken, the first ones get.  One thing is left to chance, if another
 * poller is killed between silencing the bell and looking again; a timer that calls get now and then (mproc_wait does
 * so each 100 ms) rules it out.  With EPOLLET, too, where get has to be called until MPROC_EEMPTY each time; not in
 * the portable build.  That the last producer has died also shows only to who looks.
 * MPROC_ECLOSED.  MT-Safe.
 */
MPROC_API int mproc_queue_fileno(mproc_queue *queue);

/* End the handle.  The queue's memory goes when its last handle in any process has gone.  NULL is fine. */
MPROC_API void mproc_queue_free(mproc_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
