/* SPDX-License-Identifier: MIT */
/*
 * mproc/process.h - processes: create, start, wait for, signal, look at.
 *
 * A process object belongs to the process that created it.  All functions may
 * be called from any thread; a free must not race with another use of the same
 * handle.
 */
#ifndef MPROC_PROCESS_H
#define MPROC_PROCESS_H

#include <mproc/args.h>
#include <mproc/context.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_process mproc_process;

/* What exitcode tells when the child is gone, but somebody else took its status from the system. */
#define MPROC_EXITCODE_UNKNOWN (-4096)

/* Options of a process; zero always means the default.  Three-way ones: 0 default, 1 yes, -1 no. */
typedef struct mproc_process_opts {
        const char *name;        /* default "Process-1", "Process-1:2", ...; copied */
        int daemon;              /* default: as the creating process */
        int die_with_parent;     /* killed when the parent ends, however it ends; default: daemons only */
        int keep_signals;        /* default no: caught signals go back to default and the mask is emptied */
        int inherit_connections; /* fork only; default no: connections not among the arguments are closed in the child */
        int reserved[11];
} mproc_process_opts;

#define MPROC_PROCESS_OPTS_INIT { NULL, 0, 0, 0, 0, { 0 } }

/*
 * Make a process object that will run target(args) when started.  ctx NULL:
 * the default context.  Arguments are taken over as args.h tells.  The caller
 * owns *ret_process and ends it with mproc_process_free.
 * MPROC_EDAEMON: a non-daemonic child asked for in a daemon (a daemon's children
 * are daemons).  MPROC_EHANDLE: an argument is not a live handle of its type.
 * MPROC_EMOVED, MPROC_ECLOSED: an argument that was given away or closed; -EBUSY:
 * a connection that is in the middle of a message.  -EBADF, -EMFILE: an fd argument.  -EINVAL: no target.  -ENOMEM.
 * Does not block.  MT-Safe.  Origin: multiprocessing.Process.
 */
MPROC_API int mproc_process_create(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args,
                                   mproc_process **ret_process);

/* The same with options; opts may be NULL.  -EINVAL: an option out of its range. */
MPROC_API int mproc_process_create_opts(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args,
                                        const mproc_process_opts *opts, mproc_process **ret_process);

/*
 * Start it: once.  Returns when the process exists; what then goes wrong in it
 * is told by exitcode and error.  Reaps children that have ended.
 * MPROC_ECONTEXT: an argument of the fork context cannot go to this process;
 * nothing was started.  MPROC_EBOOTSTRAP: mproc_init has not run here.
 * MPROC_ESTARTED, MPROC_ENOTCHILD (created by another process), MPROC_ECLOSED.
 * MPROC_EPRELOAD: the fork server could not prepare itself.
 * Negated errno with words that name the step: -EAGAIN (process limit),
 * -ENOMEM, -EMFILE, -ENFILE, -ENOENT, -EACCES (executable), ...
 * After a failure the object can be started again or freed.  A connection among
 * the arguments belongs to the child after success: its handle here is closed.
 * Blocks for the start itself only.  MT-Safe.  Origin: Process.start.
 */
MPROC_API int mproc_process_start(mproc_process *process);

/*
 * Wait until the process has ended.  0: it has.  MPROC_ETIMEDOUT.
 * MPROC_ENOTSTARTED, MPROC_ENOTCHILD, MPROC_ECLOSED.  Repeatable.  EINTR is
 * invisible.  MT-Safe: several threads may join one process.
 * Origin: Process.join.
 */
MPROC_API int mproc_process_join(mproc_process *process, int64_t timeout_ms);

/*
 * 1 while it runs, 0 before its start and after its end; 1 for the calling
 * process itself.  MPROC_ENOTCHILD, MPROC_ECLOSED.  Does not block.  MT-Safe.
 * Origin: Process.is_alive.
 */
MPROC_API int mproc_process_is_alive(mproc_process *process);

/*
 * How it ended: 0..255, -N for death by signal N, or MPROC_EXITCODE_UNKNOWN
 * when another part of the program reaped it and the system cannot tell.
 * MPROC_ENOTSTARTED, MPROC_ERUNNING, MPROC_ENOTCHILD, MPROC_ECLOSED; then
 * *ret_exitcode is untouched.  Does not block.  MT-Safe.  Origin: Process.exitcode.
 */
MPROC_API int mproc_process_exitcode(mproc_process *process, int *ret_exitcode);

/* How a process ended, in full. */
typedef struct mproc_report {
        int exitcode;          /* as mproc_process_exitcode */
        int signal;            /* the signal that killed it, or 0 */
        int core_dumped;       /* 1 if it left a core */
        int error;             /* negative code of what failed in it, or 0 */
        int has_usage;         /* the three figures below are known */
        int64_t user_us;       /* CPU time in user mode, microseconds */
        int64_t system_us;     /* CPU time in the kernel, microseconds */
        int64_t maxrss_bytes;  /* greatest resident size */
        char step[32];         /* where it failed: "start", "target", "argument", "run", ...; "exit": it left by exit(); "" */
        char text[480];        /* in words; as mproc_process_error, cut to fit */
} mproc_report;

/* Fill in a report of a process that has ended.  Errors as mproc_process_exitcode.  MT-Safe. */
MPROC_API int mproc_process_report(mproc_process *process, mproc_report *ret_report);

/*
 * What went wrong with the child, in words: its own, if it could still speak, else
 * the signal that killed it; "" if nothing went wrong or it still runs.  Belongs to the process object.  MT-Safe.
 * Origin: the traceback that multiprocessing prints.
 */
MPROC_API const char *mproc_process_error(mproc_process *process);

/* Its process id, 0 before the start.  Does not tell whether it lives.  MT-Safe.  Origin: Process.pid. */
MPROC_API pid_t mproc_process_pid(mproc_process *process);

/* Its name; belongs to the object, until set_name replaces it.  Origin: Process.name. */
MPROC_API const char *mproc_process_name(mproc_process *process);

/* Rename it: seen by the child if done before the start.  -ENOMEM, -EINVAL (NULL).  MT-Safe. */
MPROC_API int mproc_process_set_name(mproc_process *process, const char *name);

/* 1 if it is a daemon: ended with its parent, never waited for at exit.  Origin: Process.daemon. */
MPROC_API int mproc_process_daemon(mproc_process *process);

/* MPROC_ESTARTED; MPROC_EDAEMON: a daemon's child stays a daemon.  MT-Safe. */
MPROC_API int mproc_process_set_daemon(mproc_process *process, int daemon);

/*
 * A descriptor that becomes readable (POLLIN or POLLHUP) when the process has
 * ended, for poll and event loops.  Belongs to the object; do not read or close
 * it.  MPROC_ENOTSTARTED, MPROC_ENOTCHILD, MPROC_ECLOSED.  Origin: Process.sentinel.
 */
MPROC_API int mproc_process_sentinel(mproc_process *process);

/*
 * Send SIGTERM, SIGKILL or SIGINT; no effect, and 0, once it has ended: a
 * recycled process id is never hit.  MPROC_ENOTSTARTED, MPROC_ENOTCHILD,
 * MPROC_ECLOSED, -EPERM.  Its own children are not signalled, but those that
 * die with their parent follow.  MT-Safe.
 * Origin: Process.terminate, kill, interrupt.
 */
MPROC_API int mproc_process_terminate(mproc_process *process);
MPROC_API int mproc_process_kill(mproc_process *process);
MPROC_API int mproc_process_interrupt(mproc_process *process);

/*
 * Give back its descriptors; afterwards only name, pid, daemon and free work.
 * MPROC_ERUNNING: join or terminate it first.  A second close is fine.
 * MT-Safe.  Origin: Process.close.
 */
MPROC_API int mproc_process_close(mproc_process *process);

/*
 * End the handle.  A process that still runs goes on, and is reaped and, at the
 * program's exit, joined or terminated as if the handle still existed.
 * NULL is fine.  Cannot fail; keeps errno.
 */
MPROC_API void mproc_process_free(mproc_process *process);

/*
 * The children of this process that are alive, as new handles in an array that
 * the caller frees with mproc_process_list_free.  Reaps those that have ended.
 * -ENOMEM.  Does not block.  MT-Safe.  Origin: multiprocessing.active_children.
 */
MPROC_API int mproc_active_children(mproc_process ***ret_list, size_t *ret_count);
MPROC_API void mproc_process_list_free(mproc_process **list, size_t count);

/* This process, as an object; static, not to be freed.  Origin: multiprocessing.current_process. */
MPROC_API mproc_process *mproc_current_process(void);

/*
 * The process that started this one, or NULL in one that mproc did not start;
 * static.  name, pid, is_alive, join and sentinel work on it.
 * Origin: multiprocessing.parent_process.
 */
MPROC_API mproc_process *mproc_parent_process(void);

/* What happens to children when this process ends normally, by exit() or by return from main. */
enum mproc_exit_policy {
        MPROC_EXIT_JOIN, /* the default, as in the original: daemons are terminated, the others joined */
        MPROC_EXIT_LEAVE /* opt out: nothing is signalled, nothing waited for */
};
MPROC_API int mproc_set_exit_policy(enum mproc_exit_policy policy);

#ifdef __cplusplus
}
#endif
#endif
