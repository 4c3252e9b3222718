// SPDX-License-Identifier: MIT
// bench/peers/boost.cc - Boost.Process as a contender.  Runs in: the workers of the peers.
#include "peers.h"

extern "C" {
#include "worker.h"
}

#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <exception>

extern "C" int
bench_boost(void)
{
        try {
                boost::process::child child(static_cast<const char *>(bench_program), BENCH_ARG_RETURN);
                child.wait();
                if (child.exit_code() == 0)
                        return 0;
                bench_say("Boost.Process: exit code %d", child.exit_code());
        } catch (const std::exception &error) {
                bench_say("Boost.Process: %s", error.what());
        }
        return -1;
}
