/* SPDX-License-Identifier: MIT */
/*
 * bench/run.h - one run of the bench: who takes part, and all that was measured.
 */
#ifndef MPROC_BENCH_RUN_H
#define MPROC_BENCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_MAX_SIZES   8
#define BENCH_MAX_SAMPLES 1024

enum bench_group { BENCH_CORE, BENCH_PEERS, BENCH_PYTHON, BENCH_GROUPS };

/* In the order of the table. */
enum bench_who {
        RAW_FORK,
        MPROC_FORK,
        VFORK_EXEC,
        POSIX_SPAWN,
        MPROC_SPAWN,
        BARE_SERVER,
        MPROC_FORKSERVER,
        LIBUV,
        GLIB,
        GLIB_LEAVE_FDS,
        APR,
        BOOST,
        PYTHON_FORK,
        PYTHON_SPAWN,
        PYTHON_FORKSERVER,
        BENCH_WHO_COUNT
};

#define BENCH_NOBODY BENCH_WHO_COUNT

struct bench_info {
        const char *name;  /* for workers and CSV */
        const char *label; /* for people */
        enum bench_group group;
        enum bench_who baseline; /* of its own unit: what its ratio is made against; or BENCH_NOBODY */
};

extern const struct bench_info bench_infos[BENCH_WHO_COUNT];

/* Figures of one contender at one size: nanoseconds in the order of measuring, 0 for a failure. */
struct bench_series {
        size_t count;
        uint64_t ns[BENCH_MAX_SAMPLES];
};

struct bench_run {
        /* What is asked for. */
        const char *program;       /* this executable */
        const char *peers;         /* the peers' worker, or NULL */
        const char *python;        /* a Python interpreter, or NULL */
        const char *python_worker; /* its script */
        const char *out;           /* where the CSV files go, or NULL */
        double seconds;            /* how long to measure, about */
        size_t sizes_mib[BENCH_MAX_SIZES];
        size_t size_count;

        /* What came out. */
        bool present[BENCH_WHO_COUNT][BENCH_MAX_SIZES];
        struct bench_series series[BENCH_WHO_COUNT][BENCH_MAX_SIZES];
        long long idle_bytes[3]; /* of a child of fork, spawn, forkserver; -1 if unknown */
};

/* conductor.c: start the workers, let them take turns, end them.  0, or -1 after words. */
int bench_conduct(struct bench_run *run);

/* report.c: the tables, the CSV files, the targets. */
void bench_report(const struct bench_run *run);

/* "0", "64 MiB", "1 GiB" */
const char *bench_size_name(size_t mib, char text[32]);

#endif
