/* SPDX-License-Identifier: MIT */
/*
 * bench/peers/main.c - the worker of the peers: mproc-bench-peers SIZE_MIB PROGRAM.
 *
 * A program of its own, so that the libraries it loads make neither the empty
 * program slower to start nor mproc's parent larger.
 */
#include "peers.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>

static const struct bench_contender peers[] = {
#ifdef BENCH_HAVE_LIBUV
        { "libuv", bench_libuv },
#endif
#ifdef BENCH_HAVE_GLIB
        { "glib", bench_glib },   { "glib_leave_fds", bench_glib_leave_fds },
#endif
#ifdef BENCH_HAVE_APR
        { "apr", bench_apr },
#endif
#ifdef BENCH_HAVE_BOOST
        { "boost", bench_boost },
#endif
        { NULL, NULL },
};

int
main(int argc, char **argv)
{
        if (argc != 3) {
                fprintf(stderr, "usage: mproc-bench-peers SIZE_MIB PROGRAM\n");
                return 2;
        }
        snprintf(bench_program, sizeof bench_program, "%s", argv[2]);
        return bench_worker((size_t)strtoul(argv[1], NULL, 10), peers);
}
