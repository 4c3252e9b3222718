/* SPDX-License-Identifier: MIT */
/*
 * bench/queue/run.h - one run of the queue bench: columns of what is asked, rows of who
 * answers, and all figures.
 */
#ifndef MPROC_BENCH_QUEUE_RUN_H
#define MPROC_BENCH_QUEUE_RUN_H

#include "figures.h"
#include "transport.h"

#define QUEUE_REPETITIONS_MAX 64
#define QUEUE_COLUMNS_MAX     32
#define QUEUE_ROWS_MAX        16

enum bench_table { TABLE_SHAPES, TABLE_SIZES, TABLE_ONE, TABLE_TRIPS, TABLES };

struct bench_column {
        enum bench_table table;
        unsigned kind; /* one of BENCH_FLOW, ... */
        struct bench_shape shape;
};

/* Messages per second, or nanoseconds of a round trip, in the order of measuring; 0: none. */
struct bench_cell {
        bool absent; /* cannot be, or has failed */
        double values[QUEUE_REPETITIONS_MAX];
};

struct bench_queue_run {
        double seconds;  /* how long to measure, about */
        const char *out; /* where the CSV files go, or NULL */
        size_t repetitions;
        size_t column_count, row_count;
        struct bench_column columns[QUEUE_COLUMNS_MAX];
        const struct bench_transport *rows[QUEUE_ROWS_MAX];
        struct bench_cell cells[QUEUE_COLUMNS_MAX][QUEUE_ROWS_MAX];
};

/* measure.c: one figure, in a window of so many seconds; below 0: bench_why tells. */
double bench_measure(const struct bench_transport *transport, const struct bench_column *column, double seconds);

/* report.c: the tables, the targets, the CSV files. */
void bench_queue_report(const struct bench_queue_run *run);

#endif
