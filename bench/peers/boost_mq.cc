// SPDX-License-Identifier: MIT
// bench/peers/boost_mq.cc - Boost.Interprocess message_queue as a transport.  Runs in: the conductor and its members.
#include "queue/transport.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdio>
#include <exception>
#include <unistd.h>

namespace ipc = boost::interprocess;

// The name goes at once; the members inherit the mapping.
static void *
create(const bench_shape *shape)
{
        char name[64];

        snprintf(name, sizeof name, "mproc-bench-%ld-%u", static_cast<long>(getpid()), bench_serial());
        try {
                auto *queue = new ipc::message_queue(ipc::create_only, name, shape->capacity, shape->len);

                ipc::message_queue::remove(name);
                return queue;
        } catch (const std::exception &error) {
                bench_fail("%s", error.what());
                return nullptr;
        }
}

static int
put(void *channel, const void *data, size_t len)
{
        try {
                static_cast<ipc::message_queue *>(channel)->send(data, len, 0);
                return 1;
        } catch (const std::exception &error) {
                return bench_fail("%s", error.what());
        }
}

static int
get(void *channel, void *buffer, size_t len)
{
        ipc::message_queue::size_type received;
        unsigned priority;

        try {
                static_cast<ipc::message_queue *>(channel)->receive(buffer, len, received, priority);
                return received == len ? 1 : bench_fail("a message of another length");
        } catch (const std::exception &error) {
                return bench_fail("%s", error.what());
        }
}

static void
destroy(void *channel)
{
        delete static_cast<ipc::message_queue *>(channel);
}

extern const bench_transport bench_boost_mq = {
        "boost_mq",
        "Boost message_queue",
        BENCH_FLOW | BENCH_TRIP | BENCH_SLEEP | BENCH_ONE,
        0,
        0,
        create,
        nullptr,
        put,
        get,
        destroy,
        nullptr,
};
