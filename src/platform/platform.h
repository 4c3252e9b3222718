/* SPDX-License-Identifier: MIT */
/*
 * platform/platform.h - all that mproc asks of a system.
 *
 * posix/ answers what POSIX can, linux/ the rest; portable/ stands in for linux/ where there is none of
 * that, or none is wanted (docs/portability.md).  No other folder has an #ifdef of a system.  Functions return 0 or a negated errno and set no words, unless
 * told otherwise.  Every descriptor is close-on-exec from birth.
 */
#ifndef MPROC_PLATFORM_H
#define MPROC_PLATFORM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* --- time: deadlines are nanoseconds on CLOCK_MONOTONIC ------------------------------------- */

#define MPROC__NEVER   INT64_MAX
#define MPROC__AT_ONCE INT64_C(0) /* long past: do not wait */

int64_t mproc__plat_now_ns(void);
int64_t mproc__deadline(int64_t timeout_ms);       /* negative: MPROC__NEVER; saturates */
bool mproc__deadline_passed(int64_t deadline_ns);
void mproc__plat_sleep_ns(int64_t ns);             /* ends early on a signal */

/*
 * poll(2) with a deadline, EINTR hidden.  Returns the number of ready ones, 0
 * when the deadline passed, or a negated errno.
 */
int mproc__plat_poll(struct pollfd *fds, size_t count, int64_t deadline_ns);

/* --- descriptors ----------------------------------------------------------------------------- */

void mproc__plat_close(int *fd);                         /* closes if >= 0, sets it to -1, keeps errno */
int mproc__plat_dup(int fd, int *ret_fd);                /* close-on-exec duplicate */

/*
 * The descriptor, or a copy of it above 2, or a negated errno; one of the two is closed.  A program may
 * run with its standard streams closed: what it prints must not go into a descriptor of ours in their place.
 */
int mproc__plat_off_streams(int fd);
int mproc__plat_socketpair(int type, int ret_fd[2]);     /* AF_UNIX */
int mproc__plat_memfd(const char *name, int *ret_fd);    /* anonymous shared file, empty */

/* A lock of one byte: F_SETLK, F_SETLKW or their F_OFD_ siblings; EINTR hidden, -EAGAIN: somebody else has it. */
int mproc__plat_lock_byte(int fd, int command, short type, off_t byte);

struct msghdr;
ssize_t mproc__plat_sendmsg(int socket, const struct msghdr *message, int flags); /* sendmsg(2), with its errno */

/* --- identity ----------------------------------------------------------------------------------- */

int mproc__plat_random(void *buffer, size_t len);
int mproc__plat_thread_count(void);                      /* threads of this process; 1 if unknown */
bool mproc__plat_is_main_thread(void);                   /* of a forked child: its only one */
bool mproc__plat_single_threaded(void);                  /* surely; false when in doubt */
uint64_t mproc__plat_process_start_time(pid_t pid);      /* ticks since boot; 0 if unknown */
int mproc__plat_cpu_count(void);
bool mproc__plat_under_valgrind(void);                   /* a debugger that knows less than the kernel */

int64_t mproc__plat_resident_bytes(pid_t pid);           /* memory of a process in use; 0 if unknown */

/* --- starting processes: see linux/spawn.c ------------------------------------------------------ */

struct mproc__plat_spawn {
        const char *path;     /* NULL: the executable that is running, even if replaced on disk */
        char *const *argv;
        int fd3;              /* becomes descriptor 3 of the child; all above 3 are closed */
        bool ignore_signals;  /* SIGINT, SIGTERM, SIGHUP and SIGQUIT are ignored from birth: a helper process */
        bool stay_blocked;    /* all signals stay blocked until the new program says otherwise: a helper process */
        bool keep_signals;    /* mask and ignored signals stay as they are */
        const char *reterr_step; /* on failure: "clone", "exec", "executable" ... */
};

/*
 * The cost does not depend on this process's size.  *ret_pidfd is -1 where the
 * system has none.  Failure of the exec is told here, the child reaped.
 */
int mproc__plat_spawn(struct mproc__plat_spawn *spawn, pid_t *ret_pid, int *ret_pidfd);

/* fork(); returns in two processes. */
int mproc__plat_fork(pid_t *ret_pid);

/*
 * A fork whose child becomes a child of this process's parent (CLONE_PARENT).
 * Only for a process with one thread.  -ENOSYS where it cannot be done soundly.
 * Returns in two processes: *ret_pid is 0 in the child.
 */
int mproc__plat_fork_sibling(pid_t *ret_pid, int *ret_pidfd);

int mproc__plat_pidfd_open(pid_t pid, int *ret_pidfd); /* -ENOSYS where there are none */
bool mproc__plat_has_pidfds(void);
int mproc__plat_pidfd_signal(int pidfd, int signal);
bool mproc__plat_is_child(int pidfd); /* of ours, and not reaped yet */

enum mproc__wait_result {
        MPROC__WAIT_RUNNING,
        MPROC__WAIT_ENDED,  /* reaped, or told by the system: exit is filled in */
        MPROC__WAIT_FOREIGN /* not ours to wait for: another parent's, or reaped by someone else */
};

struct mproc__exit {
        int exitcode; /* 0..255 or -signal */
        bool core_dumped;
        bool has_usage;
        struct rusage usage;
};

/* Look whether a child has ended and reap it; never blocks.  pidfd -1: by pid. */
enum mproc__wait_result mproc__plat_wait(pid_t pid, int pidfd, struct mproc__exit *ret_exit);

/* Sleep until a child has ended, without reaping it; returns early if it is not ours to wait for. */
void mproc__plat_wait_end(pid_t pid, int pidfd);

/* Has a process ended, reaped or not?  Some systems tell that to its parent alone. */
enum mproc__process_life { MPROC__PROCESS_RUNS, MPROC__PROCESS_ENDED, MPROC__PROCESS_UNKNOWN };
enum mproc__process_life mproc__plat_process_life(pid_t pid);

/* The status of a process that is gone, from its pidfd alone: true if the system still knows. */
bool mproc__plat_pidfd_exit(int pidfd, struct mproc__exit *ret_exit);

/* Have this process killed when the other end of a socket is closed.  Race-free; one per process. */
int mproc__plat_die_with_peer(int socket);

/* Signals as a new child should have them: caught ones default, mask empty.  Async-signal-safe. */
void mproc__plat_reset_signals(void);
void mproc__plat_reset_handlers(void); /* the first half */

/* SIGINT, SIGTERM, SIGHUP and SIGQUIT are ignored, as helper processes do.  Async-signal-safe. */
void mproc__plat_ignore_signals(void);

/* What the fork server's child does first, with few pages touched: see linux/newborn.c. */
pid_t mproc__plat_newborn_pid(void);
void mproc__plat_newborn_move(int from, int to);           /* dup3, close-on-exec, and close */
void mproc__plat_newborn_mask(uint64_t mask);              /* signal n is bit n - 1 */
void mproc__plat_newborn_exit(int exitcode) __attribute__((noreturn)); /* _exit(2) */
bool mproc__plat_newborn_stands_in(const char *directory); /* is it the working directory, by name? */

/* Names this process for ps and debuggers. */
void mproc__plat_set_process_name(const char *name);

#endif
