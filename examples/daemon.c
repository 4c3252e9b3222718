/* SPDX-License-Identifier: MIT */
/*
 * daemon.c - a worker that serves a queue for as long as its parent lives.
 * Usage: daemon [fork|spawn|forkserver]
 *
 * Nobody tells the worker to stop.  It is a daemon: when the parent ends, the
 * library ends it, and if the parent is killed, the system does.
 */
#include <ctype.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "daemon: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

/* Give back each line in capitals, for ever. */
static int
serve(mproc_args *args)
{
        mproc_queue *requests = mproc_args_queue(args, 0), *answers = mproc_args_queue(args, 1);
        char line[256];
        int r;

        while ((r = mproc_queue_get(requests, line, sizeof line, NULL, MPROC_FOREVER)) == 0) {
                for (char *c = line; *c; c++)
                        *c = (char)toupper((unsigned char)*c);
                if ((r = mproc_queue_put(answers, line, strlen(line) + 1, MPROC_FOREVER)) < 0)
                        break;
        }
        return r; /* negative: the words go to the parent */
}

int
main(int argc, char **argv)
{
        static const char *const lines[] = { "one worker,", "one queue each way,", "no farewell" };
        mproc_process_opts opts = { .name = "capitals", .daemon = 1 };
        mproc_queue *requests, *answers;
        mproc_process *worker;
        mproc_context *ctx;
        char line[256];

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : NULL, &ctx));
        must(mproc_queue_create(ctx, 0, &requests));
        must(mproc_queue_create(ctx, 0, &answers));
        must(mproc_process_create_opts(ctx, serve, MPROC_ARGS(requests, answers), &opts, &worker));
        must(mproc_process_start(worker));

        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
                must(mproc_queue_put(requests, lines[i], strlen(lines[i]) + 1, MPROC_FOREVER));
                must(mproc_queue_get(answers, line, sizeof line, NULL, MPROC_FOREVER));
                printf("%s -> %s\n", lines[i], line);
        }

        printf("%s (pid %d) is %s; it ends with this process\n", mproc_process_name(worker),
               (int)mproc_process_pid(worker), mproc_process_is_alive(worker) == 1 ? "alive" : "gone");
        mproc_process_free(worker); /* ends the handle, not the process */
        mproc_queue_free(requests);
        mproc_queue_free(answers);
        return 0;
}
