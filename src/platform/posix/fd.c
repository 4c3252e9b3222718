/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/fd.c - descriptors, close-on-exec from birth.
 *
 * Runs in: every process.  Owns: nothing; what it makes belongs to the caller.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#if defined __linux__
#include <sys/syscall.h>
#endif
#include <unistd.h>

void
mproc__plat_close(int *fd)
{
        int saved;

        if (*fd < 0)
                return;
        saved = errno;
        (void)close(*fd); /* EINTR: on Linux the descriptor is gone all the same */
        *fd = -1;
        if (errno != saved) /* not written to without need: it may lie in memory that was just forked */
                errno = saved;
}

int
mproc__plat_dup(int fd, int *ret_fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (copy < 0)
                return -errno;
        *ret_fd = copy;
        return 0;
}

int
mproc__plat_off_streams(int fd)
{
        int copy = -1, r;

        if (fd < 0 || fd > 2)
                return fd;
        r = mproc__plat_dup(fd, &copy);
        mproc__plat_close(&fd);
        return r < 0 ? r : copy;
}

int
mproc__plat_socketpair(int type, int ret_fd[2])
{
        int fd[2];

        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) != 0)
                return -errno;
        for (int i = 0; i < 2; i++) {
                int moved = mproc__plat_off_streams(fd[i]);

                if (moved < 0) {
                        mproc__plat_close(&fd[1 - i]);
                        return moved;
                }
                fd[i] = moved;
        }
        ret_fd[0] = fd[0];
        ret_fd[1] = fd[1];
        return 0;
}

int
mproc__plat_lock_byte(int fd, int command, short type, off_t byte)
{
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        while (fcntl(fd, command, &lock) != 0)
                if (errno != EINTR)
                        return errno == EACCES ? -EAGAIN : -errno;
        return 0;
}

/*
 * musl copies what travels beside a message, to make its padding zero, and has room for 252
 * descriptors; the kernel takes 253.  Our padding is zero, and the rest is as the kernel wants it.
 */
ssize_t
mproc__plat_sendmsg(int socket, const struct msghdr *message, int flags)
{
        ssize_t n = sendmsg(socket, message, flags);

#if defined SYS_sendmsg && !defined __GLIBC__
        if (n < 0 && errno == ENOMEM && message->msg_controllen > 1024)
                n = syscall(SYS_sendmsg, socket, message, flags);
#endif
        return n;
}
