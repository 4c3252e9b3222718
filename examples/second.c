/* SPDX-License-Identifier: MIT */
/*
 * second.c - the first program again, with a context object: a program, or a
 * library, may use several start methods and leaves the default alone.
 * Usage: second [fork|spawn|forkserver]
 */
#include <mproc/mproc.h>
#include <stdio.h>

static int
foo(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        return mproc_queue_put(q, "hello", sizeof "hello", MPROC_FOREVER);
}

int
main(int argc, char **argv)
{
        mproc_init(argc, argv);

        mproc_context *ctx;
        mproc_queue *q;
        mproc_process *p;
        char text[16];

        mproc_get_context(argc > 1 ? argv[1] : "spawn", &ctx); /* static: never freed */
        mproc_queue_create(ctx, 0, &q);
        mproc_process_create(ctx, foo, MPROC_ARGS(q), &p);
        mproc_process_start(p);
        mproc_queue_get(q, text, sizeof text, NULL, MPROC_FOREVER);
        puts(text);
        mproc_process_join(p, MPROC_FOREVER);
        mproc_process_free(p);
        mproc_queue_free(q);
        return 0;
}
