/* SPDX-License-Identifier: MIT */
/*
 * target_prog METHOD [wait] - a program whose target is a static function.
 *
 * It is built in many ways: dynamic, static, static-pie, stripped, without a build-id.  With "wait"
 * it says "ready" and goes on when its standard input is closed, by which time its
 * file may have been replaced.  Ends with 0 if its child did as it should, or
 * tells why not.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
answer(mproc_args *args)
{
        return (int)mproc_args_int(args, 0) + 2;
}

static int
complain(const char *what, int code)
{
        fprintf(stderr, "%s: %s: %s\n", what, mproc_error_name(code), mproc_last_error());
        return 1;
}

static int
start_one(mproc_context *ctx)
{
        mproc_process *p;
        int r, exitcode = -1;

        if ((r = mproc_process_create(ctx, answer, MPROC_ARGS(40), &p)) < 0)
                return complain("create", r);
        if ((r = mproc_process_start(p)) < 0)
                return complain("start", r);
        if ((r = mproc_process_join(p, MPROC_FOREVER)) < 0 || (r = mproc_process_exitcode(p, &exitcode)) < 0)
                return complain("join", r);
        if (exitcode != 42)
                fprintf(stderr, "exit code %d: %s\n", exitcode, mproc_process_error(p));
        mproc_process_free(p);
        return exitcode == 42 ? 0 : 1;
}

int
main(int argc, char **argv)
{
        mproc_context *ctx;
        char byte;
        int r;

        mproc_init(argc, argv);
        if ((r = mproc_get_context(argc > 1 ? argv[1] : "", &ctx)) < 0)
                return complain("context", r);
        if (argc > 2 && strcmp(argv[2], "wait") == 0) {
                puts("ready");
                fflush(stdout);
                while (read(0, &byte, 1) > 0)
                        ;
        }
        return start_one(ctx) || start_one(ctx);
}
