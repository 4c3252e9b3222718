/* SPDX-License-Identifier: MIT */
/*
 * A small program of somebody else's: smoke [METHOD].  A child gets a number, a
 * text and a queue, and answers; exit status 0 if all went as it should.
 * It is C and C++ at once.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <string.h>

static int
answer(mproc_args *args)
{
        const char *text = mproc_args_string(args, 1);

        if (mproc_queue_put(mproc_args_queue(args, 2), text, strlen(text) + 1, 10000) < 0)
                return 1;
        return (int)mproc_args_int(args, 0);
}

static int
run(mproc_context *ctx)
{
        mproc_queue *queue = NULL;
        mproc_process *process = NULL;
        char text[32] = "";
        int exitcode = -1, r;

        if ((r = mproc_queue_create(ctx, 0, &queue)) < 0 ||
            (r = mproc_process_create(ctx, answer, MPROC_ARGS(7, "hello", queue), &process)) < 0 ||
            (r = mproc_process_start(process)) < 0 ||
            (r = mproc_queue_get(queue, text, sizeof text, NULL, 60000)) < 0 ||
            (r = mproc_process_join(process, 60000)) < 0 || (r = mproc_process_exitcode(process, &exitcode)) < 0)
                fprintf(stderr, "%s: %s\n", mproc_strerror(r), mproc_last_error());
        if (r == 0 && (exitcode != 7 || strcmp(text, "hello") != 0)) {
                fprintf(stderr, "exit code %d, text \"%s\": %s\n", exitcode, text, mproc_process_error(process));
                r = -1;
        }
        mproc_process_free(process);
        mproc_queue_free(queue);
        return r;
}

int
main(int argc, char **argv)
{
        mproc_context *ctx = NULL;

        mproc_init(argc, argv);
        if (strcmp(mproc_version(), MPROC_VERSION) != 0) {
                fprintf(stderr, "library %s, header %s\n", mproc_version(), MPROC_VERSION);
                return 1;
        }
        if (mproc_get_context(argc > 1 ? argv[1] : "spawn", &ctx) < 0)
                return 1;
        return run(ctx) == 0 ? 0 : 1;
}
