/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/process.c - pidfds: naming, signalling and waiting for one process.
 *
 * Runs in: every process.  Owns: nothing.
 *
 * Some C libraries and headers lack what is used here, so numbers and structs of
 * the kernel's interface are carried along; whether the running kernel knows
 * them is found out by asking it.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#define WAIT_BY_PIDFD 3 /* P_PIDFD */

/* PIDFD_GET_INFO with PIDFD_INFO_EXIT (Linux 6.15): a status that nobody can take away. */
struct pidfd_info {
        uint64_t mask;
        uint64_t cgroupid;
        uint32_t ids[11];
        int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info) == 64, "first published size of the kernel's struct");
#define GET_INFO  _IOWR(0xFF, 11, struct pidfd_info)
#define INFO_EXIT (UINT64_C(1) << 3)

int
mproc__plat_pidfd_open(pid_t pid, int *ret_pidfd)
{
        static _Atomic bool missing;
        long fd;

        if (missing || mproc__plat_under_valgrind())
                return -ENOSYS;
        fd = syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0 && errno == ENOSYS)
                missing = true;
        if (fd < 0)
                return -errno;
        if ((fd = mproc__plat_off_streams((int)fd)) < 0)
                return (int)fd;
        *ret_pidfd = (int)fd; /* close-on-exec by definition */
        return 0;
}

bool
mproc__plat_has_pidfds(void)
{
        static _Atomic int known; /* 1: yes, -1: no */
        int fd = -1;

        if (!known) {
                known = mproc__plat_pidfd_open(getpid(), &fd) == 0 ? 1 : -1;
                mproc__plat_close(&fd);
        }
        return known > 0;
}

int
mproc__plat_pidfd_signal(int pidfd, int signal)
{
        return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : -errno;
}

static void
exit_from_status(int status, struct mproc__exit *ret)
{
        if (WIFSIGNALED(status)) {
                ret->exitcode = -WTERMSIG(status);
                ret->core_dumped = WCOREDUMP(status);
        } else {
                ret->exitcode = WEXITSTATUS(status);
        }
}

bool
mproc__plat_pidfd_exit(int pidfd, struct mproc__exit *ret)
{
        struct pidfd_info info = { .mask = INFO_EXIT };

        if (pidfd < 0 || ioctl(pidfd, (int)GET_INFO, &info) != 0 || !(info.mask & INFO_EXIT))
                return false;
        memset(ret, 0, sizeof *ret);
        exit_from_status(info.exit_code, ret);
        return true;
}

/* Kernels 5.2 and 5.3 make pidfds, but cannot wait for one: there, the pid will do. */
static long
wait_for(pid_t pid, int pidfd, siginfo_t *info, int options, struct rusage *usage)
{
        long r = -1;

        errno = EINVAL;
        do {
                if (pidfd >= 0)
                        r = syscall(SYS_waitid, WAIT_BY_PIDFD, pidfd, info, options, usage);
                if (r != 0 && errno == EINVAL)
                        r = syscall(SYS_waitid, P_PID, pid, info, options, usage);
        } while (r != 0 && errno == EINTR);
        return r;
}

enum mproc__wait_result
mproc__plat_wait(pid_t pid, int pidfd, struct mproc__exit *ret)
{
        siginfo_t info;
        struct rusage usage;

        memset(&info, 0, sizeof info);
        memset(&usage, 0, sizeof usage);
        if (wait_for(pid, pidfd, &info, WEXITED | WNOHANG, &usage) != 0)
                return MPROC__WAIT_FOREIGN; /* ECHILD */
        if (info.si_pid == 0)
                return MPROC__WAIT_RUNNING;
        memset(ret, 0, sizeof *ret);
        ret->exitcode = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
        ret->core_dumped = info.si_code == CLD_DUMPED;
        ret->has_usage = true;
        ret->usage = usage;
        return MPROC__WAIT_ENDED;
}

/*
 * What /proc tells of a process whose main thread has ended: it is dead if no other
 * thread is left.  False when in doubt.
 */
static bool
is_zombie(pid_t pid)
{
        char path[40], text[512], state = 0, *p;
        long threads = 0;
        int fd;
        ssize_t n;

        (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
        if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
                return false;
        n = read(fd, text, sizeof text - 1);
        mproc__plat_close(&fd);
        if (n <= 0)
                return false;
        text[n] = 0;
        if (!(p = strrchr(text, ')')) ||
            sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld", &state,
                   &threads) != 2)
                return false;
        return (state == 'Z' || state == 'X') && threads <= 1;
}

enum mproc__process_life
mproc__plat_process_life(pid_t pid)
{
        if (kill(pid, 0) != 0 && errno == ESRCH)
                return MPROC__PROCESS_ENDED;
        return is_zombie(pid) ? MPROC__PROCESS_ENDED : MPROC__PROCESS_RUNS;
}

/*
 * The kernel sends the owner of an O_ASYNC socket a signal of its choice when
 * the peer closes it; the choice is SIGKILL.  PR_SET_PDEATHSIG would follow the
 * parent's *thread* that started us, and miss a parent that died before the call;
 * this follows the parent's end of the channel, and the look after arming sees a
 * parent that was gone already.  Data would ring too: the caller has seen to it
 * that none is on its way any more.
 */
int
mproc__plat_die_with_peer(int socket)
{
        struct pollfd p = { .fd = socket, .events = 0 };
        int flags = fcntl(socket, F_GETFL);

        if (flags < 0 || fcntl(socket, F_SETSIG, SIGKILL) != 0 || fcntl(socket, F_SETOWN, getpid()) != 0 ||
            fcntl(socket, F_SETFL, flags | O_ASYNC) != 0)
                return -errno;
        if (mproc__plat_poll(&p, 1, 0) > 0 && (p.revents & POLLHUP))
                (void)kill(getpid(), SIGKILL);
        return 0;
}

void
mproc__plat_wait_end(pid_t pid, int pidfd)
{
        siginfo_t info;

        (void)wait_for(pid, pidfd, &info, WEXITED | WNOWAIT, NULL);
}

bool
mproc__plat_is_child(int pidfd)
{
        siginfo_t info;

        return syscall(SYS_waitid, WAIT_BY_PIDFD, pidfd, &info, WEXITED | WNOHANG | WNOWAIT, NULL) == 0 ||
               errno == EINVAL;
}
