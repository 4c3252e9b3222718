/* SPDX-License-Identifier: MIT */
/*
 * first.c - the first program: a child process puts "hello" into a queue.
 * Usage: first [fork|spawn|forkserver]
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
        mproc_init(argc, argv); /* a child started by spawn or forkserver runs its target in here and never returns */
        mproc_set_start_method(argc > 1 ? argv[1] : "spawn");

        mproc_queue *q;
        mproc_process *p;
        char text[16];

        mproc_queue_create(NULL, 0, &q); /* NULL: the default context */
        mproc_process_create(NULL, foo, MPROC_ARGS(q), &p);
        mproc_process_start(p);
        mproc_queue_get(q, text, sizeof text, NULL, MPROC_FOREVER);
        puts(text);
        mproc_process_join(p, MPROC_FOREVER);
        mproc_process_free(p);
        mproc_queue_free(q);
        return 0;
}
