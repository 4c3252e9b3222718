/* SPDX-License-Identifier: MIT */
/*
 * wire/fdpass.h - bytes on a stream socket with descriptors beside them.
 *
 * All calls handle EINTR, short transfers and a deadline (platform.h), raise no
 * SIGPIPE and receive descriptors close-on-exec.
 */
#ifndef MPROC_WIRE_FDPASS_H
#define MPROC_WIRE_FDPASS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MPROC__FDPASS_MAX 253 /* SCM_MAX_FD: per message of the kernel */

/*
 * Send all of iov (consumed: its elements are changed) with nfds descriptors beside the first byte.
 * *ret_sent (may be NULL) counts the bytes that went out, also on failure.
 * 0, -EPIPE (nobody can receive), MPROC_ETIMEDOUT, -errno.  Sets no words.
 */
int mproc__send_fds(int socket, struct iovec *iov, int niov, const int *fds, size_t nfds, int64_t deadline,
                    size_t *ret_sent);

/*
 * Receive between 1 and len bytes: returns their number, 0 at end of file, or
 * MPROC_ETIMEDOUT, -errno (-EMFILE when descriptors were lost for want of room in the
 * table).  fds has room for MPROC__FDPASS_MAX; *nfds is set.  fds NULL: descriptors that come are closed.
 */
ssize_t mproc__recv_fds(int socket, void *buffer, size_t len, int *fds, size_t *nfds, int64_t deadline);

/*
 * The same without taking anything away: the bytes are still there, and the
 * descriptors are duplicates of those that are.  So a table with no room
 * (-EMFILE) loses nothing.  May return fewer bytes than are there.  Linux looks
 * at all that is queued, however little is asked for, up to the first byte with
 * descriptors: a slow call where there are none and much is queued.
 */
ssize_t mproc__peek_fds(int socket, void *buffer, size_t len, int *fds, size_t *nfds, int64_t deadline);

#endif
