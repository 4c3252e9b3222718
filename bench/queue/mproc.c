/* SPDX-License-Identifier: MIT */
/* bench/queue/mproc.c - mproc's queue.  Runs in: the conductor and its members. */
#include "transport.h"

#include <mproc/mproc.h>
#include <stdlib.h>

static void *
make(size_t maxsize)
{
        mproc_context *ctx;
        mproc_queue *queue;

        if (mproc_get_context("fork", &ctx) < 0 || mproc_queue_create(ctx, maxsize, &queue) < 0) {
                bench_fail("%s", mproc_last_error());
                return NULL;
        }
        return queue;
}

static void *
create(const struct bench_shape *shape)
{
        return make(shape->capacity);
}

static void *
create_unlimited(const struct bench_shape *shape)
{
        (void)shape;
        return make(0);
}

static int
put(void *channel, const void *data, size_t len)
{
        return mproc_queue_put(channel, data, len, MPROC_FOREVER) == 0 ? 1 : bench_fail("%s", mproc_last_error());
}

static int
get(void *channel, void *buffer, size_t len)
{
        return mproc_queue_get(channel, buffer, len, NULL, MPROC_FOREVER) == 0 ? 1
                                                                               : bench_fail("%s", mproc_last_error());
}

static void
destroy(void *channel)
{
        mproc_queue_free(channel);
}

const struct bench_transport bench_mproc = {
        .name = "mproc",
        .label = "mproc Queue",
        .kinds = BENCH_FLOW | BENCH_TRIP | BENCH_SLEEP | BENCH_ONE,
        .create = create,
        .put = put,
        .get = get,
        .destroy = destroy,
};

const struct bench_transport bench_mproc_unlimited = {
        .name = "mproc_unlimited",
        .label = "mproc Queue, unlimited",
        .kinds = BENCH_FLOW,
        .create = create_unlimited,
        .put = put,
        .get = get,
        .destroy = destroy,
};

/* --- sixteen at a time ------------------------------------------------------------------------------ */

static int
put_many(void *channel, const void *data, size_t len)
{
        mproc_message messages[BENCH_BATCH];
        int i;

        for (i = 0; i < BENCH_BATCH; i++)
                messages[i] = (mproc_message){ (const char *)data + (size_t)i * len, len };
        return mproc_queue_put_many(channel, messages, BENCH_BATCH, NULL, MPROC_FOREVER) == 0
                       ? BENCH_BATCH
                       : bench_fail("%s", mproc_last_error());
}

/* The buffer has room for sixteen of them, and is a page at least. */
static int
get_many(void *channel, void *buffer, size_t len)
{
        mproc_message messages[BENCH_BATCH];
        size_t capacity = len < 256 ? 4096 : BENCH_BATCH * len, count;

        return mproc_queue_get_many(channel, messages, BENCH_BATCH, buffer, capacity, &count, MPROC_FOREVER) == 0
                       ? (int)count
                       : bench_fail("%s", mproc_last_error());
}

const struct bench_transport bench_mproc_many = {
        .name = "mproc_many",
        .label = "mproc Queue, 16 at a time",
        .kinds = BENCH_FLOW,
        .max_len = 4096,
        .create = create,
        .put = put_many,
        .get = get_many,
        .destroy = destroy,
};
