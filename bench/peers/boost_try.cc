// SPDX-License-Identifier: MIT
// bench/peers/boost_try.cc - what boost.cc needs to link, so that the build can try whether Boost.Process is here.
#include "peers.h"

extern "C" {
#include "worker.h"
}

char bench_program[4096];

extern "C" void
bench_say(const char *, ...)
{
}

int
main()
{
        return bench_boost();
}
