/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/child.c - fork, and the signals of a new child.
 *
 * Runs in: parent, fork server, child; what sets signals also between vfork and exec,
 * in the parent's memory.  Owns: nothing.
 */
#include "platform/platform.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/*
 * ThreadSanitizer's sigaction() keeps a table, which lies in the parent's memory if the child has
 * borrowed that: so glibc's is called by its other name.
 */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if (defined __SANITIZE_THREAD__ || __has_feature(thread_sanitizer)) && defined __GLIBC__
extern int __sigaction(int, const struct sigaction *, struct sigaction *);
#define sigaction(number, new_, old) __sigaction(number, new_, old)
#endif

int
mproc__plat_fork(pid_t *ret_pid)
{
        pid_t pid = fork(); /* returns in two processes */

        if (pid < 0)
                return -errno;
        *ret_pid = pid;
        return 0;
}

void
mproc__plat_ignore_signals(void)
{
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
                (void)sigaction(signals[i], &ignore, NULL);
}

void
mproc__plat_reset_handlers(void)
{
        for (int s = 1; s < 65; s++) {
                struct sigaction action;

                if (s == SIGKILL || s == SIGSTOP || sigaction(s, NULL, &action) != 0)
                        continue;
                if (action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && !(action.sa_flags & SA_SIGINFO)))
                        continue;
                action.sa_handler = SIG_DFL;
                action.sa_flags = 0;
                (void)sigaction(s, &action, NULL);
        }
}

void
mproc__plat_reset_signals(void)
{
        sigset_t none;

        mproc__plat_reset_handlers();
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}
