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
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

/*
 * No system that we know of is asked for this in the words of POSIX, so a thread does it: the only one
 * that this library ever makes, in a process whose parent has asked for it.  The number may
 * mean something else by the time, if the process has closed what it did not open: then nobody is killed.
 */
struct watch {
        int socket;
        ino_t ino;
};

static void *
watch_peer(void *arg)
{
        struct watch *watch = arg;
        struct pollfd p = { .fd = watch->socket, .events = 0 };
        struct stat st;

        while (mproc__plat_poll(&p, 1, MPROC__NEVER) >= 0 && !(p.revents & (POLLHUP | POLLNVAL)))
                ;
        if ((p.revents & POLLHUP) && fstat(watch->socket, &st) == 0 && st.st_ino == watch->ino)
                (void)kill(getpid(), SIGKILL);
        free(watch);
        return NULL;
}

int
mproc__plat_die_with_peer(int socket)
{
        struct watch *watch = malloc(sizeof *watch);
        sigset_t all, mask;
        pthread_t thread;
        struct stat st;
        int r;

        if (!watch || fstat(socket, &st) != 0) {
                r = watch ? -errno : -ENOMEM;
                free(watch);
                return r;
        }
        watch->socket = socket;
        watch->ino = st.st_ino;
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &mask);
        r = -pthread_create(&thread, NULL, watch_peer, watch);
        (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
        if (r < 0)
                free(watch);
        else
                (void)pthread_detach(thread);
        return r;
}
