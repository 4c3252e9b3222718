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
