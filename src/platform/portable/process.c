/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/process.c - processes by their pids.
 *
 * Runs in: every process.  Owns: nothing.
 *
 * There is nothing here that holds on to a process: a pid means our child until
 * somebody has waited for it, and anybody after.
 */
#include "platform/platform.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool
mproc__plat_under_valgrind(void)
{
        const char *preload = getenv("LD_PRELOAD");

        return preload && strstr(preload, "vgpreload");
}

int
mproc__plat_pidfd_open(pid_t pid, int *ret_pidfd)
{
        (void)pid;
        (void)ret_pidfd;
        return -ENOSYS;
}

bool
mproc__plat_has_pidfds(void)
{
        return false;
}

int
mproc__plat_pidfd_signal(int pidfd, int signal)
{
        (void)pidfd;
        (void)signal;
        return -ENOSYS;
}

bool
mproc__plat_pidfd_exit(int pidfd, struct mproc__exit *ret)
{
        (void)pidfd;
        (void)ret;
        return false;
}

bool
mproc__plat_is_child(int pidfd)
{
        (void)pidfd;
        return false;
}

/* wait4() is in no standard and on every system. */
enum mproc__wait_result
mproc__plat_wait(pid_t pid, int pidfd, struct mproc__exit *ret)
{
        struct rusage usage;
        int status;
        pid_t r;

        (void)pidfd;
        memset(&usage, 0, sizeof usage);
        while ((r = wait4(pid, &status, WNOHANG, &usage)) < 0 && errno == EINTR)
                ;
        if (r < 0)
                return MPROC__WAIT_FOREIGN; /* ECHILD */
        if (r == 0)
                return MPROC__WAIT_RUNNING;
        memset(ret, 0, sizeof *ret);
        ret->exitcode = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
#ifdef WCOREDUMP
        ret->core_dumped = WIFSIGNALED(status) && WCOREDUMP(status);
#endif
        ret->has_usage = true;
        ret->usage = usage;
        return MPROC__WAIT_ENDED;
}

void
mproc__plat_wait_end(pid_t pid, int pidfd)
{
        siginfo_t info;

        (void)pidfd;
        while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
                ;
}

/* The system tells the parent alone whether a process that has its pid yet has ended. */
enum mproc__process_life
mproc__plat_process_life(pid_t pid)
{
        return kill(pid, 0) != 0 && errno == ESRCH ? MPROC__PROCESS_ENDED : MPROC__PROCESS_UNKNOWN;
}

int
mproc__plat_die_with_peer(int socket)
{
        (void)socket;
        return -ENOSYS;
}
