/* SPDX-License-Identifier: MIT */
/*
 * mproc/connection.h - connections: whole messages between two processes.
 *
 * A message is sent whole or not at all as far as the receiver can see: it gets
 * one complete message, an end of file between messages, or an error that says
 * that the other side died in the middle of one.  A connection has one owner:
 * given to a process as an argument or sent through another connection, it is
 * closed here.  Threads may share a connection: a message is never mixed with
 * another.
 */
#ifndef MPROC_CONNECTION_H
#define MPROC_CONNECTION_H

#include <mproc/args.h>
#include <mproc/context.h>
#include <mproc/process.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many descriptors may go beside one message. */
#define MPROC_CONNECTION_MAX_FDS 253

/*
 * Two connected ends, each of which sends and receives.  The caller owns both.
 * -EMFILE, -ENFILE, -ENOMEM.  Does not block.  MT-Safe.
 * Origin: multiprocessing.Pipe().
 */
MPROC_API int mproc_pipe_create(mproc_context *ctx, mproc_connection **ret_a, mproc_connection **ret_b);

/* One way: *ret_reader only receives, *ret_writer only sends.  Origin: Pipe(duplex=False). */
MPROC_API int mproc_pipe_create_oneway(mproc_context *ctx, mproc_connection **ret_reader,
                                       mproc_connection **ret_writer);

enum mproc_connection_flags { MPROC_CONNECTION_READ = 1, MPROC_CONNECTION_WRITE = 2 };

/*
 * A connection over a descriptor that speaks the protocol: a socket from
 * elsewhere, whose other end is a connection too.  On success the descriptor
 * belongs to the connection.  -EINVAL: no direction; -EBADF;
 * -ENOTSOCK: not a stream socket of AF_UNIX.
 * Origin: multiprocessing.connection.Connection.
 */
MPROC_API int mproc_connection_from_fd(mproc_context *ctx, int fd, int flags, mproc_connection **ret_connection);

/*
 * Send one message of len_bytes (0 is a message too; no upper limit but
 * memory).  Blocks while the other side is slow, at most timeout_ms, which
 * holds in the middle of a message too; when it strikes there
 * (MPROC_ETIMEDOUT), the rest cannot be sent any more: the connection is then
 * broken for sending, and later sends give MPROC_EBROKEN.
 * -EPIPE: the other side is closed.  MPROC_EREADONLY, MPROC_ECLOSED,
 * MPROC_EMOVED.  No SIGPIPE is raised.  EINTR is invisible.  MT-Safe.
 * Origin: Connection.send_bytes.
 */
MPROC_API int mproc_connection_send(mproc_connection *connection, const void *data, size_t len_bytes,
                                    int64_t timeout_ms);

/*
 * The same with descriptors beside it; the receiver gets duplicates, the
 * caller keeps his.  -EINVAL: more than MPROC_CONNECTION_MAX_FDS; -EBADF.
 */
MPROC_API int mproc_connection_send_fds(mproc_connection *connection, const void *data, size_t len_bytes,
                                        const int *fds, size_t nfds, int64_t timeout_ms);

/*
 * Receive one message into a buffer of capacity bytes.  *ret_len_bytes (may be
 * NULL) is set to its length.  MPROC_ETOOSMALL: it is longer; *ret_len_bytes is
 * set, the message stays and can be received with more room.
 * MPROC_EEOF: the other side is closed and everything was received.
 * MPROC_EBROKEN: it died inside a message.  MPROC_ETIMEDOUT: nothing is lost;
 * what has arrived of the message is kept for the next call.
 * MPROC_EWRITEONLY, MPROC_ECLOSED, MPROC_EMOVED, MPROC_EPROTO, -ENOMEM.
 * Descriptors that came beside the message are closed.  MT-Safe.
 * Origin: Connection.recv_bytes_into.
 */
MPROC_API int mproc_connection_recv(mproc_connection *connection, void *buffer, size_t capacity,
                                    size_t *ret_len_bytes, int64_t timeout_ms);

/* The same into memory of its own: *ret_data (never NULL on success) is freed with free().  Origin: recv_bytes. */
MPROC_API int mproc_connection_recv_alloc(mproc_connection *connection, void **ret_data, size_t *ret_len_bytes,
                                          int64_t timeout_ms);

/*
 * The same with the descriptors that came beside it: at most *nfds are stored
 * in fds, close-on-exec and owned by the caller; *nfds is set to their number.
 * MPROC_ETOOSMALL also if more came than fit: *nfds tells, the message stays.
 * -EMFILE: no room for them in this process; the message stays.
 */
MPROC_API int mproc_connection_recv_fds(mproc_connection *connection, void *buffer, size_t capacity,
                                        size_t *ret_len_bytes, int *fds, size_t *nfds, int64_t timeout_ms);

/*
 * Give a connection away through another one.  On success `gift` is closed
 * here; it is still to be freed.  Errors as send; MPROC_EMOVED if given before;
 * -EINVAL if both are the same; -EBUSY if another thread is using the gift;
 * -EMSGSIZE if the gift itself holds back a message with too many descriptors.  MT-Safe.
 */
MPROC_API int mproc_connection_send_connection(mproc_connection *connection, mproc_connection *gift,
                                               int64_t timeout_ms);

/*
 * Receive such a gift.  MPROC_EPROTO: the next message is not one; it stays.
 * -EMFILE: it stays, too.  -ENOTSOCK: what came is no connection.
 */
MPROC_API int mproc_connection_recv_connection(mproc_connection *connection, mproc_connection **ret_gift,
                                               int64_t timeout_ms);

/*
 * 0 if a receive would find something (a message or the end of file) without
 * waiting; MPROC_ETIMEDOUT.  MPROC_ECLOSED, MPROC_EWRITEONLY.  MT-Safe.
 * Origin: Connection.poll.
 */
MPROC_API int mproc_connection_poll(mproc_connection *connection, int64_t timeout_ms);

/*
 * The descriptor, for poll and event loops: readable when data or the end of
 * file is there.  After a receive that timed out or found its buffer too small,
 * use mproc_connection_poll instead: part of a message may be kept in memory.
 * Belongs to the connection.  MPROC_ECLOSED.  Origin: Connection.fileno.
 */
MPROC_API int mproc_connection_fileno(mproc_connection *connection);

MPROC_API int mproc_connection_readable(mproc_connection *connection); /* 1 or 0 */
MPROC_API int mproc_connection_writable(mproc_connection *connection); /* 1 or 0 */
MPROC_API int mproc_connection_closed(mproc_connection *connection);   /* 1 or 0 */

/* Close it; the handle remains and is to be freed.  A second close is fine.  Origin: Connection.close. */
MPROC_API int mproc_connection_close(mproc_connection *connection);

/* End the handle, closing it if need be.  NULL is fine.  Keeps errno. */
MPROC_API void mproc_connection_free(mproc_connection *connection);

/* Something to wait for.  Set one of the handles or fd (and events), the rest zero: see the macros. */
typedef struct mproc_waitable {
        mproc_arg_type type; /* MPROC_ARG_CONNECTION, _QUEUE, _FD, or MPROC_ARG_NONE for a process */
        int fd;
        short events; /* for MPROC_ARG_FD: poll events wanted; 0 means POLLIN */
        short ready;  /* set by mproc_wait: 0, or 1 (for MPROC_ARG_FD the poll events seen) */
        const void *handle;
} mproc_waitable;

#ifndef __cplusplus
/* MPROC_WAIT(process), MPROC_WAIT(connection), MPROC_WAIT(queue), MPROC_WAIT(fd): one element for mproc_wait. */
#define MPROC_WAIT(x)                                   \
        (_Generic((x),                                  \
                mproc_process *: mproc_wait_process,    \
                mproc_connection *: mproc_wait_connection, \
                mproc_queue *: mproc_wait_queue,        \
                int: mproc_wait_fd)(x))
#endif
MPROC_API mproc_waitable mproc_wait_process(mproc_process *process);
MPROC_API mproc_waitable mproc_wait_connection(mproc_connection *connection);
MPROC_API mproc_waitable mproc_wait_queue(mproc_queue *queue);
MPROC_API mproc_waitable mproc_wait_fd(int fd);
#ifdef __cplusplus
} /* overloads are C++'s way to say it */
inline mproc_waitable MPROC_WAIT(mproc_process *process) { return mproc_wait_process(process); }
inline mproc_waitable MPROC_WAIT(mproc_connection *connection) { return mproc_wait_connection(connection); }
inline mproc_waitable MPROC_WAIT(mproc_queue *queue) { return mproc_wait_queue(queue); }
inline mproc_waitable MPROC_WAIT(int fd) { return mproc_wait_fd(fd); }
extern "C" {
#endif

/*
 * Wait until at least one of the items is ready: a process ended, a connection
 * or queue has something to receive (or its end), a descriptor has an event.
 * Returns how many are ready (each one's `ready` is set, the others' cleared),
 * or MPROC_ETIMEDOUT.  The same item may stand there twice.
 * MPROC_ECLOSED, MPROC_ENOTSTARTED, MPROC_EHANDLE, -EBADF (a closed descriptor
 * is an error, not an event), MPROC_EWRITEONLY: the words name the item.  -EINVAL: nothing to
 * wait for, for ever.  -ENOMEM.  EINTR is invisible.  MT-Safe.
 * Origin: multiprocessing.connection.wait.
 */
MPROC_API int mproc_wait(mproc_waitable *items, size_t count, int64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
