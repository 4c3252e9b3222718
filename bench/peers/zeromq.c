/* SPDX-License-Identifier: MIT */
/* bench/peers/zeromq.c - ZeroMQ PUSH and PULL over ipc as a transport.  Runs in: the conductor and its members. */
#define _GNU_SOURCE
#include "queue/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

struct channel {
        char address[64]; /* without the consumer's number; in the abstract namespace, so nothing is left */
        struct bench_shape shape;
        void *socket; /* a member's */
};

static void *
create(const struct bench_shape *shape)
{
        struct channel *channel = calloc(1, sizeof *channel);

        if (channel) {
                channel->shape = *shape;
                snprintf(channel->address, sizeof channel->address, "ipc://@mproc-bench-%ld-%u", (long)getpid(),
                         bench_serial());
        }
        return channel;
}

/* Consumers have an address each; producers are connected with all of them, and serve them in turn. */
static int
open_end(void *arg, int producer, unsigned index)
{
        static void *context;
        struct channel *channel = arg;
        int limit = (int)channel->shape.capacity, interval_ms = 1;
        char address[96];
        unsigned i;

        if (context == NULL)
                context = zmq_ctx_new();
        channel->socket = zmq_socket(context, producer ? ZMQ_PUSH : ZMQ_PULL);
        if (channel->socket == NULL)
                return bench_fail("%s", zmq_strerror(zmq_errno()));
        zmq_setsockopt(channel->socket, ZMQ_SNDHWM, &limit, sizeof limit);
        zmq_setsockopt(channel->socket, ZMQ_RCVHWM, &limit, sizeof limit);
        zmq_setsockopt(channel->socket, ZMQ_RECONNECT_IVL, &interval_ms, sizeof interval_ms);
        for (i = 0; i < channel->shape.consumers; i++) {
                if (!producer && i != index)
                        continue;
                snprintf(address, sizeof address, "%s-%u", channel->address, i);
                if ((producer ? zmq_connect : zmq_bind)(channel->socket, address) < 0)
                        return bench_fail("%s", zmq_strerror(zmq_errno()));
        }
        return 0;
}

static int
put(void *channel, const void *data, size_t len)
{
        return zmq_send(((struct channel *)channel)->socket, data, len, 0) >= 0
                       ? 1
                       : bench_fail("%s", zmq_strerror(zmq_errno()));
}

static int
get(void *channel, void *buffer, size_t len)
{
        return zmq_recv(((struct channel *)channel)->socket, buffer, len, 0) == (int)len
                       ? 1
                       : bench_fail("%s", zmq_strerror(zmq_errno()));
}

const struct bench_transport bench_zeromq = {
        .name = "zeromq",
        .label = "ZeroMQ ipc, push/pull",
        .kinds = BENCH_FLOW | BENCH_TRIP | BENCH_SLEEP,
        .create = create,
        .open = open_end,
        .put = put,
        .get = get,
        .destroy = free,
};
