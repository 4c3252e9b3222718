/* SPDX-License-Identifier: MIT */
/*
 * crash.c - children that go wrong, and what their parent learns of it.
 * Usage: crash [fork|spawn|forkserver]
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "crash: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

/* Dies by SIGABRT, as a failed assert does. */
static int
aborts(mproc_args *args)
{
        (void)args;
        abort();
}

/* Ends with an exit code of its own: main() would do it so. */
static int
exits_with_3(mproc_args *args)
{
        (void)args;
        return 3;
}

/* Returns the code of what failed: the words of it reach the parent. */
static int
misses_a_semaphore(mproc_args *args)
{
        mproc_semaphore *semaphore;

        (void)args;
        return mproc_semaphore_attach(NULL, "/nobody-made-this-one", &semaphore);
}

/* Asks for an argument that it was not given: ends in that call. */
static int
wants_a_queue(mproc_args *args)
{
        return mproc_queue_put(mproc_args_queue(args, 0), "", 0, MPROC_FOREVER);
}

static void
tell(const char *name, mproc_context *ctx, mproc_main_fn *target, mproc_arglist args)
{
        mproc_report report;
        mproc_process *p;

        must(mproc_process_create(ctx, target, args, &p));
        must(mproc_process_start(p));
        must(mproc_process_join(p, MPROC_FOREVER));
        must(mproc_process_report(p, &report));
        printf("%s: exit code %d", name, report.exitcode);
        if (report.signal != 0)
                printf(", killed by %s%s", strsignal(report.signal), report.core_dumped ? ", core dumped" : "");
        if (report.error != 0)
                printf(", %s at \"%s\"", mproc_error_name(report.error), report.step);
        if (report.has_usage)
                printf(", %lld us of CPU", (long long)(report.user_us + report.system_us));
        printf("\n");
        if (*mproc_process_error(p)) /* the same as report.text, but never cut */
                printf("        %s\n", mproc_process_error(p));
        mproc_process_free(p);
}

int
main(int argc, char **argv)
{
        mproc_context *ctx;

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : NULL, &ctx));
        tell("aborts", ctx, aborts, MPROC_NO_ARGS);
        tell("exits_with_3", ctx, exits_with_3, MPROC_NO_ARGS);
        tell("misses_a_semaphore", ctx, misses_a_semaphore, MPROC_NO_ARGS);
        tell("wants_a_queue", ctx, wants_a_queue, MPROC_ARGS("a string"));
        return 0;
}
