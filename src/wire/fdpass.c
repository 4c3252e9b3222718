/* SPDX-License-Identifier: MIT */
/*
 * wire/fdpass.c - bytes on a stream socket with descriptors beside them.
 *
 * Runs in: every process.  Owns nothing: sockets and descriptors are the caller's.
 *
 * Every transfer is tried first and waited for afterwards, and every system
 * call carries MSG_DONTWAIT: so the deadline holds whatever the socket's own
 * O_NONBLOCK says, and that flag, which other processes may share, is never
 * touched.
 */
#include "wire/fdpass.h"

#include "platform/platform.h"

#include <errno.h>
#include <mproc/error.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/*
 * Room for the descriptors and for what else a foreign socket may have been set
 * to deliver with each message (credentials, a security label, a pidfd): were
 * there no room for that, it would cost us descriptors.
 */
#define CONTROL_BYTES (CMSG_SPACE(sizeof(int) * MPROC__FDPASS_MAX) + 512)

union control {
        struct cmsghdr align;
        char bytes[CONTROL_BYTES];
};

/* Wait until the socket may be tried again.  A deadline that has passed is not asked for one chance more. */
static int
wait_for(int socket, short events, int64_t deadline)
{
        struct pollfd item = { .fd = socket, .events = events };
        int r;

        if (deadline != MPROC__NEVER && mproc__deadline_passed(deadline))
                return MPROC_ETIMEDOUT;
        r = mproc__plat_poll(&item, 1, deadline);
        return r < 0 ? r : r == 0 ? MPROC_ETIMEDOUT : 0;
}

/* Step over n bytes that have gone; false if none are left. */
static bool
advance(struct msghdr *message, size_t n)
{
        while (message->msg_iovlen > 0 && n >= message->msg_iov->iov_len) {
                n -= message->msg_iov->iov_len;
                message->msg_iov++;
                message->msg_iovlen--;
        }
        if (message->msg_iovlen == 0)
                return false;
        message->msg_iov->iov_base = (char *)message->msg_iov->iov_base + n;
        message->msg_iov->iov_len -= n;
        return true;
}

static void
attach_fds(struct msghdr *message, union control *control, const int *fds, size_t nfds)
{
        struct cmsghdr *cmsg;

        memset(control, 0, CMSG_SPACE(sizeof(int) * nfds));
        message->msg_control = control;
        message->msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
        cmsg = CMSG_FIRSTHDR(message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
}

/* What a failed send means: 0 to try again. */
static int
send_failure(int socket, int err, int64_t deadline)
{
        switch (err) {
        case EINTR:
                return 0;
        case EAGAIN:
#if EWOULDBLOCK != EAGAIN
        case EWOULDBLOCK:
#endif
                return wait_for(socket, POLLOUT, deadline);
        case ECONNRESET: /* closed by the peer with bytes of ours unread: for a sender that is a broken pipe */
                return -EPIPE;
        default:
                return -err;
        }
}

int
mproc__send_fds(int socket, struct iovec *iov, int niov, const int *fds, size_t nfds, int64_t deadline,
                size_t *ret_sent)
{
        union control control;
        struct msghdr message;
        size_t sent = 0;
        ssize_t n;
        int r = 0;

        memset(&message, 0, sizeof(message));
        message.msg_iov = iov;
        message.msg_iovlen = niov;
        if (nfds > MPROC__FDPASS_MAX)
                r = -EINVAL;
        else if (nfds > 0)
                attach_fds(&message, &control, fds, nfds);
        if (r == 0 && !advance(&message, 0) && nfds > 0)
                r = -EINVAL; /* descriptors need a byte to travel with */
        while (r == 0 && message.msg_iovlen > 0) {
                n = mproc__plat_sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0) {
                        r = send_failure(socket, errno, deadline);
                        continue;
                }
                if (n > 0) { /* the descriptors have gone with the first byte */
                        message.msg_control = NULL;
                        message.msg_controllen = 0;
                }
                sent += (size_t)n;
                advance(&message, (size_t)n);
        }
        if (ret_sent != NULL)
                *ret_sent = sent;
        return r;
}

static void
close_all(int *fds, size_t nfds)
{
        for (size_t i = 0; i < nfds; i++)
                mproc__plat_close(&fds[i]);
}

/*
 * Take the descriptors out of the control data.  A pidfd that a foreign
 * socket's SO_PASSPIDFD delivers is nobody's wish here and is closed.  Several
 * SCM_RIGHTS blocks are not what Linux delivers, but nothing forbids them.
 */
static void
detach_fds(struct msghdr *message, int *fds, size_t *nfds)
{
        struct cmsghdr *cmsg;
        size_t count;
        int fd;

        *nfds = 0;
        for (cmsg = CMSG_FIRSTHDR(message); cmsg != NULL; cmsg = CMSG_NXTHDR(message, cmsg)) {
                if (cmsg->cmsg_level != SOL_SOCKET || (cmsg->cmsg_type != SCM_RIGHTS && cmsg->cmsg_type != SCM_PIDFD))
                        continue;
                count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count; i++) {
                        memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
                        if (cmsg->cmsg_type != SCM_RIGHTS || *nfds == MPROC__FDPASS_MAX)
                                mproc__plat_close(&fd);
                        else if ((fd = mproc__plat_off_streams(fd)) >= 0)
                                fds[(*nfds)++] = fd;
                        else
                                message->msg_flags |= MSG_CTRUNC; /* lost, as if there had been no number for it */
                }
        }
}

/* What a failed receive means: 0 to try again. */
static int
receive_failure(int socket, int err, int64_t deadline)
{
        switch (err) {
        case EINTR:
                return 0;
        case EAGAIN:
#if EWOULDBLOCK != EAGAIN
        case EWOULDBLOCK:
#endif
                return wait_for(socket, POLLIN, deadline);
        default:
                return -err;
        }
}

static ssize_t
receive(int socket, void *buffer, size_t len, int *fds, size_t *nfds, int64_t deadline, int flags)
{
        struct iovec iov = { .iov_base = buffer, .iov_len = len };
        union control control;
        struct msghdr message;
        ssize_t n;
        int r;

        for (;;) {
                memset(&message, 0, sizeof(message));
                message.msg_iov = &iov;
                message.msg_iovlen = 1;
                if (fds != NULL) { /* without room for them the kernel drops them: none is ever installed */
                        message.msg_control = &control;
                        message.msg_controllen = sizeof(control);
                        *nfds = 0;
                }
                n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
                if (n >= 0)
                        break;
                if (errno == ECONNRESET) /* closed by the peer with bytes of ours unread: the end, for a receiver */
                        return 0;
                if ((r = receive_failure(socket, errno, deadline)) < 0)
                        return r;
        }
        if (fds == NULL)
                return n;
        detach_fds(&message, fds, nfds);
        if (message.msg_flags & MSG_CTRUNC) {
                /*
                 * There was room for all in the control buffer, so the kernel
                 * stopped because this process's table, or the system's, is
                 * full.  What did arrive is of no use without the rest.
                 */
                close_all(fds, *nfds);
                *nfds = 0;
                return -EMFILE;
        }
        return n;
}

ssize_t
mproc__recv_fds(int socket, void *buffer, size_t len, int *fds, size_t *nfds, int64_t deadline)
{
        return receive(socket, buffer, len, fds, nfds, deadline, 0);
}

ssize_t
mproc__peek_fds(int socket, void *buffer, size_t len, int *fds, size_t *nfds, int64_t deadline)
{
        return receive(socket, buffer, len, fds, nfds, deadline, MSG_PEEK);
}
