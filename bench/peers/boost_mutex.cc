// SPDX-License-Identifier: MIT
// bench/peers/boost_mutex.cc - Boost's interprocess_mutex as a contender.  Runs in: the conductor and its members.
#include "lock/lock.h"

#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <exception>
#include <new>

using mutex = boost::interprocess::interprocess_mutex;

static void *
create(void *memory)
{
        try {
                return new (memory) mutex;
        } catch (const std::exception &) {
                return nullptr;
        }
}

static int
pairs(void *lock, volatile uint64_t *guarded, unsigned count)
{
        try {
                while (count-- > 0) {
                        static_cast<mutex *>(lock)->lock();
                        *guarded = *guarded + 1;
                        static_cast<mutex *>(lock)->unlock();
                }
                return 0;
        } catch (const std::exception &) {
                return -1;
        }
}

// Its destructor insists on a free mutex, and the members were killed: it goes with the memory.
static void
destroy(void *)
{
}

extern const bench_lock bench_lock_boost = {
        "boost_mutex", "Boost interprocess_mutex", sizeof(mutex), create, pairs, destroy,
};
