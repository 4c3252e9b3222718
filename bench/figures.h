/* SPDX-License-Identifier: MIT */
/*
 * bench/figures.h - what all parts of the bench do with their figures: medians,
 * numbers for people, targets, CSV files.
 */
#ifndef MPROC_BENCH_FIGURES_H
#define MPROC_BENCH_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct spread {
        size_t count;
        double median, low, high; /* low, high: the 10th and the 90th of a hundred */
};

/* Sorts the values. */
struct spread bench_spread(double *values, size_t count);

const char *bench_commas(double value, char text[32]); /* 163 -> "163", 47622 -> "47,622" */

/* The system, its CPUs, its load; says so if others kept it busy. */
void bench_print_machine(void);

/* NULL if out is NULL, or after words. */
FILE *bench_open_csv(const char *out, const char *name);

struct bench_target {
        const char *text;
        double limit, value; /* value < 0: not measured */
        bool at_least;       /* otherwise at most */
};

void bench_print_targets(const char *title, const struct bench_target *targets, size_t count);
void bench_write_targets(const char *out, const char *name, const struct bench_target *targets, size_t count);

#endif
