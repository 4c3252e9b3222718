/* SPDX-License-Identifier: MIT */
/*
 * channel/simple_queue.c - mproc_simple_queue: an mproc_queue of which less is seen.
 *
 * Runs in: every process.  Owns: nothing; the handle is a queue's.
 */
#include "channel/queue.h"
#include "wire/args.h"

#include <mproc/simple_queue.h>

/* The type is never defined: it only keeps the two apart in programs. */
static mproc_queue *
inside(mproc_simple_queue *queue)
{
        return (mproc_queue *)queue;
}

int
mproc_simple_queue_create(mproc_context *ctx, mproc_simple_queue **ret_queue)
{
        mproc_queue *queue;
        int r = mproc_queue_create(ctx, 0, &queue);

        if (r == 0)
                *ret_queue = (mproc_simple_queue *)queue;
        return r;
}

int
mproc_simple_queue_put(mproc_simple_queue *queue, const void *data, size_t len_bytes)
{
        return mproc_queue_put(inside(queue), data, len_bytes, MPROC_FOREVER);
}

int
mproc_simple_queue_get(mproc_simple_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes)
{
        return mproc_queue_get(inside(queue), buffer, capacity, ret_len_bytes, MPROC_FOREVER);
}

int
mproc_simple_queue_empty(mproc_simple_queue *queue)
{
        return mproc_queue_empty(inside(queue));
}

int
mproc_simple_queue_close(mproc_simple_queue *queue)
{
        return mproc_queue_close(inside(queue));
}

void
mproc_simple_queue_free(mproc_simple_queue *queue)
{
        mproc_queue_free(inside(queue));
}

/* --- as an argument ---------------------------------------------------------------------------------- */

mproc_arg
mproc_arg_simple_queue(mproc_simple_queue *queue)
{
        return mproc_arg_queue(inside(queue));
}

mproc_simple_queue *
mproc_args_simple_queue(mproc_args *args, size_t index)
{
        return (mproc_simple_queue *)mproc_args_queue(args, index);
}
