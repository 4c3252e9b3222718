/* SPDX-License-Identifier: MIT */
/* bench/peers/nng.c - nng push and pull over ipc as a transport.  Runs in: the conductor and its members. */
#define _GNU_SOURCE
#include "queue/transport.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct channel {
        char address[64]; /* without the consumer's number; in the abstract namespace, so nothing is left */
        struct bench_shape shape;
        nng_socket socket; /* a member's */
};

static void *
create(const struct bench_shape *shape)
{
        struct channel *channel = calloc(1, sizeof *channel);

        if (channel) {
                channel->shape = *shape;
                snprintf(channel->address, sizeof channel->address, "abstract://mproc-bench-%ld-%u", (long)getpid(),
                         bench_serial());
        }
        return channel;
}

/* Consumers have an address each; producers are connected with all of them, and serve them in turn. */
static int
open_end(void *arg, int producer, unsigned index)
{
        struct channel *channel = arg;
        char address[96];
        unsigned i;
        int r = producer ? nng_push0_open(&channel->socket) : nng_pull0_open(&channel->socket);

        if (r != 0)
                return bench_fail("%s", nng_strerror(r));
        (void)nng_socket_set_size(channel->socket, NNG_OPT_RECVMAXSZ, 0);
        (void)nng_socket_set_int(channel->socket, producer ? NNG_OPT_SENDBUF : NNG_OPT_RECVBUF,
                                 (int)channel->shape.capacity);
        for (i = 0; i < channel->shape.consumers; i++) {
                if (!producer && i != index)
                        continue;
                snprintf(address, sizeof address, "%s-%u", channel->address, i);
                r = producer ? nng_dial(channel->socket, address, NULL, 0)
                             : nng_listen(channel->socket, address, NULL, 0);
                if (r != 0)
                        return bench_fail("%s", nng_strerror(r));
        }
        return 0;
}

static int
put(void *channel, const void *data, size_t len)
{
        int r = nng_send(((struct channel *)channel)->socket, (void *)data, len, 0);

        return r == 0 ? 1 : bench_fail("%s", nng_strerror(r));
}

static int
get(void *channel, void *buffer, size_t len)
{
        size_t size = len;
        int r = nng_recv(((struct channel *)channel)->socket, buffer, &size, 0);

        return r == 0 && size == len ? 1 : bench_fail("%s", nng_strerror(r));
}

const struct bench_transport bench_nng = {
        .name = "nng",
        .label = "nng ipc, push/pull",
        .kinds = BENCH_FLOW | BENCH_TRIP | BENCH_SLEEP,
        .create = create,
        .open = open_end,
        .put = put,
        .get = get,
        .destroy = free,
};
