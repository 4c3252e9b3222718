/* SPDX-License-Identifier: MIT */
/*
 * start/channel.c - see channel.h.
 *
 * Runs in: parent, forked child.
 * Owns: the list of open ends, under MPROC__LOCK_STASH, which a fork takes, too.
 */
#include "start/channel.h"
#include "core/locks.h"
#include "platform/platform.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static int *ends;
static size_t count, capacity;

static int
reserve_locked(void)
{
        size_t wanted = capacity ? capacity * 2 : 16;
        int *more;

        if (count + 2 <= capacity)
                return 0;
        if (!(more = realloc(ends, wanted * sizeof *more)))
                return -ENOMEM;
        ends = more;
        capacity = wanted;
        return 0;
}

int
mproc__channel_make(int ret_fd[2])
{
        int r;

        mproc__lock(MPROC__LOCK_STASH);
        r = reserve_locked();
        if (r == 0 && (r = mproc__plat_socketpair(SOCK_SEQPACKET, ret_fd)) == 0) {
                ends[count++] = ret_fd[0];
                ends[count++] = ret_fd[1];
        }
        mproc__unlock(MPROC__LOCK_STASH);
        return r;
}

/* Without memory for the note a forked sibling keeps the descriptor: no reason to fail. */
static void
note_locked(int fd)
{
        if (fd >= 0 && reserve_locked() == 0)
                ends[count++] = fd;
}

void
mproc__channel_note(int fd)
{
        mproc__lock(MPROC__LOCK_STASH);
        note_locked(fd);
        mproc__unlock(MPROC__LOCK_STASH);
}

void
mproc__channel_open_pidfd(pid_t pid, int *ret_pidfd)
{
        mproc__lock(MPROC__LOCK_STASH);
        *ret_pidfd = -1;
        if (mproc__plat_pidfd_open(pid, ret_pidfd) == 0) {
                if (mproc__plat_is_child(*ret_pidfd))
                        note_locked(*ret_pidfd);
                else /* reaped by somebody else already: the number may be a stranger's by now */
                        mproc__plat_close(ret_pidfd);
        }
        mproc__unlock(MPROC__LOCK_STASH);
}

void
mproc__channel_close(int *fd)
{
        if (*fd < 0)
                return;
        mproc__lock(MPROC__LOCK_STASH);
        for (size_t i = count; i > 0; i--) { /* the newest is the likeliest */
                if (ends[i - 1] != *fd)
                        continue;
                ends[i - 1] = ends[--count];
                break;
        }
        mproc__plat_close(fd);
        mproc__unlock(MPROC__LOCK_STASH);
}

ssize_t
mproc__channel_recv(int channel, void *buffer, size_t len, int *fds, size_t *nfds, int64_t deadline)
{
        ssize_t n = 0;

        for (int seen = 0; n == 0 && seen < 3; seen++)
                n = mproc__recv_fds(channel, buffer, len, fds, nfds, deadline);
        return n;
}

void
mproc__channels_forked(int own)
{
        for (size_t i = 0; i < count; i++)
                if (ends[i] != own)
                        mproc__plat_close(&ends[i]);
        count = 0; /* the list itself is used again, if need be: freeing it would touch memory that the parent shares */
}
