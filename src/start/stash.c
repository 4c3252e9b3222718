/* SPDX-License-Identifier: MIT */
/*
 * start/stash.c - see stash.h.
 *
 * Runs in: parent (send), child (the rest).
 * Owns: in a child, the two descriptors once taken out, for the life of the
 * process; under MPROC__LOCK_STASH.
 */
#include "start/stash.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/platform.h"
#include "program/program.h"
#include "start/channel.h"
#include "start/start.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

static bool waiting; /* in the channel, not taken out yet */
static int beacon_fd = -1;
static int server_fd = -1;

int
mproc__stash_send(int channel, int beacon, int server)
{
        int fds[2] = { beacon, server };
        char mark = server >= 0 ? 2 : 1;
        struct iovec iov = { .iov_base = &mark, .iov_len = 1 };
        int r = mproc__send_fds(channel, &iov, 1, fds, (size_t)mark, MPROC__AT_ONCE, NULL);

        if (r == -ETOOMANYREFS)
                return mproc__fail(r, "too many descriptors of this user are on their way in sockets: raise the limit "
                                      "on open files (RLIMIT_NOFILE), which the system also uses for these");
        if (r < 0)
                return mproc__fail(r, "handing the program's descriptors to a child: %s", mproc_strerror(r));
        return 0;
}

/* Called with MPROC__LOCK_STASH held. */
static void
take_locked(void)
{
        int fds[MPROC__FDPASS_MAX];
        size_t nfds = 0;
        char mark;
        ssize_t n;

        if (!waiting)
                return;
        waiting = false;
        n = mproc__channel_recv(mproc__self.channel, &mark, 1, fds, &nfds, MPROC__AT_ONCE);
        if (n == 1 && nfds > 0)
                beacon_fd = fds[0];
        if (n == 1 && nfds > 1)
                server_fd = fds[1];
        for (size_t i = 2; i < nfds; i++)
                mproc__plat_close(&fds[i]);
}

void
mproc__stash_take(void)
{
        mproc__lock(MPROC__LOCK_STASH);
        take_locked();
        mproc__unlock(MPROC__LOCK_STASH);
}

/* program/program.c asks for the beacon once and keeps it. */
static int
take_beacon(int *ret_fd)
{
        mproc__stash_take();
        if (beacon_fd < 0)
                return mproc__fail(MPROC_EPROGRAM, "the program's beacon did not arrive with this process's start");
        *ret_fd = beacon_fd;
        return 0;
}

int
mproc__stash_server(void)
{
        mproc__stash_take();
        return server_fd;
}

void
mproc__stash_expect(void)
{
        waiting = true;
        mproc__program_set_source(take_beacon);
}
