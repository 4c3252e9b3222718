/* SPDX-License-Identifier: MIT */
/*
 * bench/figures.c - medians, numbers for people, targets, CSV files.
 *
 * Runs in: the conductors, after the measuring.
 */
#define _GNU_SOURCE
#include "figures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static int
compare_doubles(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double
quantile(const double *sorted, size_t count, double q)
{
        double at = q * (double)(count - 1);
        size_t below = (size_t)at;

        if (below + 1 >= count)
                return sorted[count - 1];
        return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

struct spread
bench_spread(double *values, size_t count)
{
        struct spread spread = { count, 0, 0, 0 };

        if (count == 0)
                return spread;
        qsort(values, count, sizeof *values, compare_doubles);
        spread.median = quantile(values, count, 0.5);
        spread.low = quantile(values, count, 0.1);
        spread.high = quantile(values, count, 0.9);
        return spread;
}

const char *
bench_commas(double value, char text[32])
{
        char digits[32];
        int len = snprintf(digits, sizeof digits, "%.0f", value), i, n = 0;

        for (i = 0; i < len && n < 30; i++) {
                if (i > 0 && (len - i) % 3 == 0)
                        text[n++] = ',';
                text[n++] = digits[i];
        }
        text[n] = '\0';
        return text;
}

/* The bench itself keeps about one CPU busy, for most of the time. */
void
bench_print_machine(void)
{
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        double load[3] = { 0, 0, 0 };
        struct utsname system;

        if (uname(&system) != 0 || getloadavg(load, 3) < 1)
                return;
        printf("%s %s, %ld CPUs, load %.1f\n", system.sysname, system.release, cpus, load[0]);
        if (load[0] > (double)cpus + 1)
                printf("Other work kept the machine busy: the times are too long, the ratios are rough.\n");
        printf("\n");
}

FILE *
bench_open_csv(const char *out, const char *name)
{
        char path[4096];
        FILE *file;

        if (out == NULL)
                return NULL;
        snprintf(path, sizeof path, "%s/%s", out, name);
        file = fopen(path, "we");
        if (file == NULL)
                fprintf(stderr, "bench: %s: %s\n", path, strerror(errno));
        return file;
}

/* --- targets -------------------------------------------------------------------------------------- */

static const char *
verdict(const struct bench_target *target)
{
        if (target->value < 0)
                return "not measured";
        if (target->at_least)
                return target->value >= target->limit ? "reached" : "not reached";
        return target->value <= target->limit ? "reached" : "not reached";
}

static const char *
figure(double value, char text[32])
{
        snprintf(text, 32, value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value);
        return text;
}

void
bench_print_targets(const char *title, const struct bench_target *targets, size_t count)
{
        char limit[32], value[32];
        size_t i;

        printf("%s\n\n%-62s%16s%10s\n", title, "", "target", "here");
        for (i = 0; i < count; i++)
                printf("%-62s%9s%7s%10s  %s\n", targets[i].text, targets[i].at_least ? "at least" : "at most",
                       figure(targets[i].limit, limit), targets[i].value < 0 ? "-" : figure(targets[i].value, value),
                       verdict(&targets[i]));
}

void
bench_write_targets(const char *out, const char *name, const struct bench_target *targets, size_t count)
{
        FILE *file = bench_open_csv(out, name);
        size_t i;

        if (file == NULL)
                return;
        fprintf(file, "target,sense,limit,value,verdict\n");
        for (i = 0; i < count; i++) {
                fprintf(file, "\"%s\",%s,%g,", targets[i].text, targets[i].at_least ? "at least" : "at most",
                        targets[i].limit);
                if (targets[i].value >= 0)
                        fprintf(file, "%.3f", targets[i].value);
                fprintf(file, ",%s\n", verdict(&targets[i]));
        }
        fclose(file);
}
