/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/spawn.c - making processes by vfork, exec and fork.
 *
 * Runs in: parent, fork server; what is named ..._in_child runs between vfork
 * and exec, in the parent's memory or, where vfork() is fork(), in a copy.
 * Owns: nothing after it returns.
 *
 * fork() would run the handlers of pthread_atfork, ours among them, which take locks that
 * our callers hold; and posix_spawn() cannot close what it is not told of.  vfork() has left the
 * standard, and no system.
 */
#include "platform/platform.h"
#include "platform/portable/self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define AT_ONCE 128 /* descriptors that are asked about in one call */

enum step { STEP_DESCRIPTORS, STEP_EXEC };
static const char *const steps[] = { [STEP_DESCRIPTORS] = "descriptors", [STEP_EXEC] = "exec" };

struct failure {
        int error;
        enum step step;
};

struct child {
        const struct mproc__plat_spawn *spawn;
        const char *path;
        sigset_t mask;              /* the parent's own */
        int report;                 /* where the child tells of its failure */
        volatile int shares_memory; /* written by the child */
};

/*
 * Everything above 3 but `keep`.  Asking poll() which are open costs one call for many;
 * where it is refused (more than the limit on open files), each is closed on suspicion.
 */
static void
close_above_3_in_child(int keep)
{
        struct pollfd p[AT_ONCE];
        long end = sysconf(_SC_OPEN_MAX);

        for (long first = 4; first < (end > 0 ? end : 65536); first += AT_ONCE) {
                bool known;

                for (int i = 0; i < AT_ONCE; i++)
                        p[i] = (struct pollfd){ .fd = (int)first + i, .events = 0 };
                known = poll(p, AT_ONCE, 0) >= 0;
                for (int i = 0; i < AT_ONCE; i++)
                        if (p[i].fd != keep && !(known && (p[i].revents & POLLNVAL)))
                                (void)close(p[i].fd);
        }
}

static void
fail_in_child(const struct child *c, enum step step)
{
        struct failure failure = { .error = errno, .step = step };

        (void)!write(c->report, &failure, sizeof failure);
        _exit(127);
}

/*
 * All signals are blocked, since a caught one must not run its handler here, until the
 * caught ones are back at their default.
 */
static void
exec_in_child(struct child *c)
{
        int fd = c->spawn->fd3;

        c->shares_memory = 1;
        if (fd == 3 ? fcntl(3, F_SETFD, 0) != 0 : dup2(fd, 3) < 0)
                fail_in_child(c, STEP_DESCRIPTORS);
        close_above_3_in_child(c->report);
        if (c->spawn->ignore_signals)
                mproc__plat_ignore_signals();
        else if (!c->spawn->stay_blocked)
                mproc__plat_reset_signals();
        if (c->spawn->keep_signals)
                (void)sigprocmask(SIG_SETMASK, &c->mask, NULL);
        (void)execve(c->path, c->spawn->argv, environ);
        fail_in_child(c, STEP_EXEC);
}

/* In a function of its own: what the child writes on the stack is not in use when it returns in the parent. */
static __attribute__((noinline)) pid_t
start_child(struct child *c)
{
        pid_t pid = vfork(); /* returns in two processes */

        if (pid == 0)
                exec_in_child(c);
        return pid;
}

/* Two descriptors above 3, close-on-exec. */
static int
make_report(int ret[2])
{
        int fd[2], r = 0;

        if (pipe2(fd, O_CLOEXEC) != 0)
                return -errno;
        for (int i = 0; i < 2; i++) {
                ret[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, 4);
                if (ret[i] < 0)
                        r = -errno;
                (void)close(fd[i]);
        }
        if (r < 0) {
                mproc__plat_close(&ret[0]);
                mproc__plat_close(&ret[1]);
        }
        return r;
}

/*
 * The exec closes the child's end of the pipe.  But another thread may have forked a process
 * that has a copy; so where vfork() is true to its name, and the child has exec'd or ended
 * by now, the pipe is not waited for.
 */
static int
await_exec(struct child *c, int from, const char **reterr_step)
{
        struct failure failure;
        ssize_t n;

        if (c->shares_memory)
                (void)fcntl(from, F_SETFL, O_NONBLOCK);
        while ((n = read(from, &failure, sizeof failure)) < 0 && errno == EINTR)
                ;
        if (n != (ssize_t)sizeof failure)
                return 0;
        *reterr_step = steps[failure.step];
        return failure.error;
}

int
mproc__plat_spawn(struct mproc__plat_spawn *spawn, pid_t *ret_pid, int *ret_pidfd)
{
        char self[4096];
        struct child c = { .spawn = spawn };
        int report[2] = { -1, -1 }, cancel, err;
        sigset_t all;
        pid_t pid;

        spawn->reterr_step = "executable";
        if (!(c.path = spawn->path ? spawn->path : mproc__self_executable(self, sizeof self)))
                return -ENOENT;
        spawn->reterr_step = "pipe from the child";
        if ((err = -make_report(report)) != 0)
                return -err;
        c.report = report[1];
        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_BLOCK, &all, &c.mask);
        spawn->reterr_step = "fork";
        pid = start_child(&c);
        err = pid < 0 ? errno : 0;
        (void)pthread_sigmask(SIG_SETMASK, &c.mask, NULL);
        mproc__plat_close(&report[1]);
        if (pid > 0 && (err = await_exec(&c, report[0], &spawn->reterr_step)) != 0)
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        mproc__plat_close(&report[0]);
        if (err == 0) {
                *ret_pid = pid;
                *ret_pidfd = -1;
        }
        (void)pthread_setcancelstate(cancel, NULL);
        return -err;
}

int
mproc__plat_fork_sibling(pid_t *ret_pid, int *ret_pidfd)
{
        (void)ret_pid;
        (void)ret_pidfd;
        return -ENOSYS;
}
