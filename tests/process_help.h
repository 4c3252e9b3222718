/* SPDX-License-Identifier: MIT */
/*
 * process_help.h - what the tests of processes have in common: targets that do one
 * thing, and starting, joining and judging in one call.
 */
#ifndef PROCESS_HELP_H
#define PROCESS_HELP_H

#include "support/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 30000 /* a wait that is not meant to run out */

/* --- targets ---------------------------------------------------------------------------------------- */

static inline int
return_argument(mproc_args *args)
{
        return mproc_args_count(args) ? (int)mproc_args_int(args, 0) : 0;
}

/* Until it gets a byte on the pipe, argument 0.  An end of file may never come: a fork inherits the other end, too.
 */
static inline int
wait_for_byte(mproc_args *args)
{
        char byte;

        while (read(mproc_args_fd(args, 0), &byte, 1) < 0 && errno == EINTR)
                ;
        return 0;
}

/* Says on the pipe, argument 0, that it runs, and then does so until it is ended. */
static inline int
tell_and_run_on(mproc_args *args)
{
        write_all(mproc_args_fd(args, 0), "x", 1);
        for (;;)
                pause();
        return 0;
}

/* --- a process in one line ---------------------------------------------------------------------------- */

static inline mproc_process *
create(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args)
{
        mproc_process *p = NULL;

        CHECK_OK(mproc_process_create(ctx, target, args, &p));
        return p;
}

static inline mproc_process *
start(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args)
{
        mproc_process *p = create(ctx, target, args);

        CHECK_OK(mproc_process_start(p));
        return p;
}

static inline mproc_process *
start_opts(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args, const mproc_process_opts *opts)
{
        mproc_process *p = NULL;

        CHECK_OK(mproc_process_create_opts(ctx, target, args, opts, &p));
        CHECK_OK(mproc_process_start(p));
        return p;
}

/* For programs that end with children: the handle stays within reach, or it would be taken for a leak. */
static inline mproc_process *
keep(mproc_process *p)
{
        static mproc_process *kept[16];
        static size_t count;

        CHECK(count < 16);
        return kept[count++] = p;
}

/* Join it, free it, tell how it ended. */
static inline int
finish(mproc_process *p)
{
        int exitcode = -9999;

        CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        if (*mproc_process_error(p))
                fprintf(stderr, "%s ended with %d: %s\n", mproc_process_name(p), exitcode, mproc_process_error(p));
        mproc_process_free(p);
        return exitcode;
}

static inline int
run(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args)
{
        return finish(start(ctx, target, args));
}

/* Start, join, and fill in the report of one that is meant to fail. */
static inline mproc_report
run_report(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args)
{
        mproc_process *p = start(ctx, target, args);
        mproc_report report;

        CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_process_report(p, &report));
        mproc_process_free(p);
        return report;
}

/* --- pipes -------------------------------------------------------------------------------------------- */

struct pipe_ends {
        int in, out;
};

static inline struct pipe_ends
make_pipe(void)
{
        int fd[2];

        CHECK(pipe2(fd, O_CLOEXEC) == 0);
        return (struct pipe_ends){ fd[1], fd[0] };
}

static inline void
close_pipe(struct pipe_ends *ends)
{
        if (ends->in >= 0)
                close(ends->in);
        if (ends->out >= 0)
                close(ends->out);
        ends->in = ends->out = -1;
}

/* So many processes that wait for a byte go on. */
static inline void
let_go(struct pipe_ends *ends, int count)
{
        for (int i = 0; i < count; i++)
                write_all(ends->in, "x", 1);
        close_pipe(ends);
}

/* One byte, sent when somebody has come so far. */
static inline void
await_byte(int fd)
{
        char byte;
        ssize_t n;

        do
                n = read(fd, &byte, 1);
        while (n < 0 && errno == EINTR);
        CHECK_MSG(n == 1, "nobody said that he has come so far");
}

#endif
