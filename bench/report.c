/* SPDX-License-Identifier: MIT */
/*
 * bench/report.c - what was measured, as tables, CSV files and a list of targets.
 *
 * Runs in: the conductor, after the workers have ended.
 */
#define _GNU_SOURCE
#include "figures.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

/* --- figures ------------------------------------------------------------------------------------ */

static struct spread
cost_us(const struct bench_series *series)
{
        double values[BENCH_MAX_SAMPLES];
        size_t i, count = 0;

        for (i = 0; i < series->count; i++)
                if (series->ns[i] != 0)
                        values[count++] = (double)series->ns[i] / 1000.0;
        return bench_spread(values, count);
}

/* Of two series of one unit: figures with the same index were measured side by side. */
static struct spread
ratio(const struct bench_series *one, const struct bench_series *other)
{
        size_t i, count = 0, n = one->count < other->count ? one->count : other->count;
        double values[BENCH_MAX_SAMPLES];

        for (i = 0; i < n; i++)
                if (one->ns[i] != 0 && other->ns[i] != 0)
                        values[count++] = (double)one->ns[i] / (double)other->ns[i];
        return bench_spread(values, count);
}

static struct spread
ratio_to_baseline(const struct bench_run *run, int who, size_t size)
{
        static const struct spread none;
        enum bench_who baseline = bench_infos[who].baseline;

        if (baseline == BENCH_NOBODY || !run->present[who][size])
                return none;
        return ratio(&run->series[who][size], &run->series[baseline][size]);
}

/* --- tables ------------------------------------------------------------------------------------- */

static bool
present_anywhere(const struct bench_run *run, int who)
{
        size_t size;

        for (size = 0; size < run->size_count; size++)
                if (run->present[who][size])
                        return true;
        return false;
}

static void
print_head(const struct bench_run *run, const char *title, const char *corner)
{
        char name[32];
        size_t size;

        printf("%s\n\n%-30s", title, corner);
        for (size = 0; size < run->size_count; size++)
                printf("%11s", bench_size_name(run->sizes_mib[size], name));
        printf("\n");
}

static void
print_costs(const struct bench_run *run)
{
        struct spread cost;
        char text[32];
        size_t size;
        int who;

        print_head(run, "Start, exit and join of an empty child: medians in microseconds",
                   "private memory of the parent");
        for (who = 0; who < BENCH_WHO_COUNT; who++) {
                if (!present_anywhere(run, who))
                        continue;
                printf("%-30s", bench_infos[who].label);
                for (size = 0; size < run->size_count; size++) {
                        cost = cost_us(&run->series[who][size]);
                        printf("%11s", cost.count > 0 ? bench_commas(cost.median, text) : "-");
                }
                printf("\n");
        }
        printf("\n");
}

static void
print_spread(const struct spread *spread)
{
        char text[32];

        snprintf(text, sizeof text, "%.2f", spread->median);
        printf("%11s", spread->count > 0 ? text : "-");
}

/* Those that are measured with all sizes in turn can be compared with themselves. */
static void
print_growth(const struct bench_run *run)
{
        static const int whos[] = { POSIX_SPAWN, MPROC_SPAWN, BARE_SERVER, MPROC_FORKSERVER };
        struct spread spread;
        char label[64];
        size_t size, i;

        for (i = 0; i < sizeof whos / sizeof whos[0]; i++) {
                snprintf(label, sizeof label, "%s, size / 0", bench_infos[whos[i]].name);
                printf("%-30s%11s", label, "");
                for (size = 1; size < run->size_count; size++) {
                        spread = ratio(&run->series[whos[i]][size], &run->series[whos[i]][0]);
                        print_spread(&spread);
                }
                printf("\n");
        }
}

static void
print_ratios(const struct bench_run *run)
{
        struct spread spread;
        char label[64];
        size_t size;
        int who;

        print_head(run, "Ratios, medians of neighbours in time", "");
        for (who = 0; who < BENCH_WHO_COUNT; who++) {
                if (bench_infos[who].baseline == BENCH_NOBODY || !present_anywhere(run, who))
                        continue;
                snprintf(label, sizeof label, "%s / %s", bench_infos[who].name,
                         bench_infos[bench_infos[who].baseline].name);
                printf("%-30s", label);
                for (size = 0; size < run->size_count; size++) {
                        spread = ratio_to_baseline(run, who, size);
                        print_spread(&spread);
                }
                printf("\n");
        }
        print_growth(run);
        printf("\n");
}

static void
print_memory(const struct bench_run *run)
{
        static const char *const methods[3] = { "fork", "spawn", "forkserver" };
        int i;

        printf("Memory of an idle child (unique set size, KiB):");
        for (i = 0; i < 3; i++)
                if (run->idle_bytes[i] >= 0)
                        printf("  %s %lld", methods[i], run->idle_bytes[i] / 1024);
                else
                        printf("  %s unknown", methods[i]);
        printf("\n\n");
}

/* --- targets -------------------------------------------------------------------------------------- */

static double
worst_ratio(const struct bench_run *run, int who)
{
        struct spread spread;
        double worst = -1;
        size_t size;

        for (size = 0; size < run->size_count; size++) {
                spread = ratio_to_baseline(run, who, size);
                if (spread.count > 0 && spread.median > worst)
                        worst = spread.median;
        }
        return worst;
}

/* The largest size that was measured against the first, which is 0. */
static double
growth(const struct bench_run *run, int who)
{
        struct spread spread;
        size_t size;

        for (size = run->size_count - 1; size > 0; size--) {
                spread = ratio(&run->series[who][size], &run->series[who][0]);
                if (spread.count > 0)
                        return spread.median;
        }
        return -1;
}

#define TARGETS 6

static void
make_targets(const struct bench_run *run, struct bench_target targets[TARGETS])
{
        double kib = run->idle_bytes[2] >= 0 ? (double)run->idle_bytes[2] / 1024.0 : -1;
        const struct bench_target all[TARGETS] = {
                { "spawn / posix_spawn of the same program", 1.25, worst_ratio(run, MPROC_SPAWN), false },
                { "forkserver / bare fork server", 1.30, worst_ratio(run, MPROC_FORKSERVER), false },
                { "fork / raw fork + wait", 1.15, worst_ratio(run, MPROC_FORK), false },
                { "spawn from the largest parent / from the smallest", 1.10, growth(run, MPROC_SPAWN), false },
                { "forkserver from the largest parent / from the smallest", 1.10, growth(run, MPROC_FORKSERVER),
                  false },
                { "idle forkserver child, KiB of its own", 250, kib, false },
        };

        memcpy(targets, all, sizeof all);
}

/* --- CSV ------------------------------------------------------------------------------------------- */

static void
write_costs(const struct bench_run *run)
{
        FILE *file = bench_open_csv(run->out, "start-cost.csv");
        struct spread cost, against;
        size_t size;
        int who;

        if (file == NULL)
                return;
        fprintf(file, "contender,label,parent_mib,samples,median_us,p10_us,p90_us,"
                      "baseline,ratio_median,ratio_p10,ratio_p90\n");
        for (who = 0; who < BENCH_WHO_COUNT; who++)
                for (size = 0; size < run->size_count; size++) {
                        cost = cost_us(&run->series[who][size]);
                        if (cost.count == 0)
                                continue;
                        fprintf(file, "%s,\"%s\",%zu,%zu,%.1f,%.1f,%.1f,", bench_infos[who].name,
                                bench_infos[who].label, run->sizes_mib[size], cost.count, cost.median, cost.low,
                                cost.high);
                        against = ratio_to_baseline(run, who, size);
                        if (against.count > 0)
                                fprintf(file, "%s,%.3f,%.3f,%.3f\n", bench_infos[bench_infos[who].baseline].name,
                                        against.median, against.low, against.high);
                        else
                                fprintf(file, ",,,\n");
                }
        fclose(file);
}

static void
write_memory(const struct bench_run *run)
{
        static const char *const methods[3] = { "fork", "spawn", "forkserver" };
        FILE *file = bench_open_csv(run->out, "idle-memory.csv");
        int i;

        if (file == NULL)
                return;
        fprintf(file, "method,unique_bytes\n");
        for (i = 0; i < 3; i++)
                if (run->idle_bytes[i] >= 0)
                        fprintf(file, "%s,%lld\n", methods[i], run->idle_bytes[i]);
        fclose(file);
}

void
bench_report(const struct bench_run *run)
{
        struct bench_target targets[TARGETS];

        make_targets(run, targets);
        bench_print_machine();
        print_costs(run);
        print_ratios(run);
        print_memory(run);
        bench_print_targets("Targets (of a ratio to a baseline, the worst size counts)", targets, TARGETS);
        write_costs(run);
        write_memory(run);
        bench_write_targets(run->out, "targets.csv", targets, TARGETS);
        if (run->out != NULL)
                printf("\nWritten: %s/start-cost.csv, idle-memory.csv, targets.csv\n", run->out);
}
