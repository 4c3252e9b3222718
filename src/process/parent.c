/* SPDX-License-Identifier: MIT */
/*
 * process/parent.c - watching the process that started this one.
 *
 * Runs in: child.
 * Owns: a pidfd of the parent, opened on first need; under MPROC__LOCK_CHILDREN.
 *
 * That the parent is dead is seen from the channel, whose other end only it holds, or
 * in a forked child from getppid(); its pid could be another's by now.  A pidfd is opened
 * first and that looked at afterwards: the parent lived when the pidfd was opened.
 */
#include "process/process.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/platform.h"
#include "start/start.h"
#include "sync/waits.h"

#include <mproc/process.h>
#include <stdio.h>
#include <unistd.h>

static int pidfd = -1;

/* Without a channel we are its child in the system's sense, until it dies. */
static bool
is_gone(void)
{
        struct pollfd p = { .fd = mproc__self.channel, .events = 0 };

        if (mproc__self.channel < 0)
                return getppid() != mproc__self.parent_pid;
        return mproc__plat_poll(&p, 1, MPROC__AT_ONCE) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/* For sync/waits.h. */
static void
describe(void *arg, struct mproc__wait_subject *ret)
{
        (void)arg;
        ret->kind = MPROC__WAIT_END;
        ret->holder_count = 1;
        ret->holder[0].pid = (uint32_t)mproc__self.parent_pid;
        (void)snprintf(ret->what, sizeof ret->what, "%s", mproc__self.parent_name);
}

static int
poll_until(void *arg, int64_t deadline_ns)
{
        return mproc__plat_poll(arg, 1, deadline_ns) > 0 ? 0 : MPROC_ETIMEDOUT;
}

int
mproc__parent_wait(int64_t deadline_ns)
{
        struct pollfd p = { .fd = mproc__self.channel, .events = 0 }; /* the end is told without being asked for */
        int r;

        if (is_gone())
                return 0;
        if (p.fd < 0) {
                p.fd = mproc__parent_sentinel();
                p.events = POLLIN;
        }
        if (p.fd < 0)
                return 0;
        if (deadline_ns != MPROC__AT_ONCE && mproc__waits_on())
                r = mproc__wait_watched(poll_until, describe, &p, deadline_ns);
        else
                r = poll_until(&p, deadline_ns);
        if (r == 0)
                return 0;
        mproc__fail_words(r, "the parent %s (pid %ld) still runs", mproc__self.parent_name,
                          (long)mproc__self.parent_pid);
        mproc__wait_add_words();
        return r;
}

int
mproc__parent_sentinel(void)
{
        int r = 0;

        mproc__lock(MPROC__LOCK_CHILDREN);
        if (pidfd < 0) {
                r = mproc__plat_pidfd_open(mproc__self.parent_pid, &pidfd);
                if (r == 0 && is_gone())
                        mproc__plat_close(&pidfd); /* it may be a stranger's */
        }
        mproc__unlock(MPROC__LOCK_CHILDREN);
        if (pidfd < 0)
                return mproc__fail(r < 0 ? r : MPROC_ECLOSED, "the parent %s (pid %ld) has ended, or the system has no "
                                                              "descriptor for it", mproc__self.parent_name,
                                   (long)mproc__self.parent_pid);
        return pidfd;
}
