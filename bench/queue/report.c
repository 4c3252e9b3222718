/* SPDX-License-Identifier: MIT */
/*
 * bench/queue/report.c - what was measured, as tables, a CSV file and a list of targets.
 *
 * Runs in: the conductor, after the measuring.
 */
#define _GNU_SOURCE
#include "run.h"

#include <string.h>

#define NO_ROW QUEUE_ROWS_MAX

static const char *const kind_names[] = { [BENCH_FLOW] = "throughput",
                                          [BENCH_TRIP] = "round trip",
                                          [BENCH_SLEEP] = "round trip asleep",
                                          [BENCH_ONE] = "capacity 1" };

/* --- figures ------------------------------------------------------------------------------------ */

static bool
is_trip(const struct bench_column *column)
{
        return column->kind == BENCH_TRIP || column->kind == BENCH_SLEEP;
}

static struct spread
spread_of(const struct bench_queue_run *run, size_t column, size_t row)
{
        double values[QUEUE_REPETITIONS_MAX];
        size_t i, count = 0;

        for (i = 0; i < run->repetitions; i++)
                if (run->cells[column][row].values[i] > 0)
                        values[count++] = run->cells[column][row].values[i];
        return bench_spread(values, count);
}

/* The median of one divided by the other, repetition by repetition; -1: none. */
static double
ratio(const struct bench_queue_run *run, size_t column, size_t row, size_t other_column, size_t other_row)
{
        double values[QUEUE_REPETITIONS_MAX];
        size_t i, count = 0;

        for (i = 0; i < run->repetitions; i++) {
                double one = run->cells[column][row].values[i], other = run->cells[other_column][other_row].values[i];

                if (one > 0 && other > 0)
                        values[count++] = one / other;
        }
        return count > 0 ? bench_spread(values, count).median : -1;
}

/* How many times as fast is mproc's queue?  -1: not measured. */
static double
times_as_fast(const struct bench_queue_run *run, size_t column, size_t row)
{
        return is_trip(&run->columns[column]) ? ratio(run, column, row, column, 0)
                                              : ratio(run, column, 0, column, row);
}

/* --- tables ------------------------------------------------------------------------------------- */

enum view { VIEW_SHAPES_PINNED, VIEW_SHAPES, VIEW_SIZES, VIEW_ONE_AND_LARGE, VIEW_TRIPS, VIEWS };

static const char *const view_titles[VIEWS] = {
        [VIEW_SHAPES_PINNED] = "Thousands of messages of 64 bytes a second, each process pinned to a CPU",
        [VIEW_SHAPES] = "Thousands of messages of 64 bytes a second, nobody pinned",
        [VIEW_SIZES] = "Thousands of messages a second by size, 1->1, pinned",
        [VIEW_ONE_AND_LARGE] =
                "Thousands of messages a second, 1->1: room for one of 64 bytes; 1 MiB; pinned or free",
        [VIEW_TRIPS] = "Round trips of 64 bytes: medians in nanoseconds; pinned or free",
};

static bool
is_seen(enum view view, const struct bench_column *column)
{
        const struct bench_shape *shape = &column->shape;

        switch (view) {
        case VIEW_SHAPES_PINNED:
        case VIEW_SHAPES:
                return column->table == TABLE_SHAPES && (view == VIEW_SHAPES_PINNED) == (shape->pinned != 0);
        case VIEW_SIZES:
                return column->kind == BENCH_FLOW && shape->pinned && shape->producers + shape->consumers == 2;
        case VIEW_ONE_AND_LARGE:
                return column->table == TABLE_ONE || (column->table == TABLE_SIZES && shape->len == 1048576);
        default:
                return column->table == TABLE_TRIPS;
        }
}

static size_t
columns_of(const struct bench_queue_run *run, enum view view, size_t columns[QUEUE_COLUMNS_MAX])
{
        size_t i, j, count = 0;

        for (i = 0; i < run->column_count; i++) {
                if (!is_seen(view, &run->columns[i]))
                        continue;
                for (j = count++; j > 0 && view == VIEW_SIZES && /* one of them stands with the shapes */
                                  run->columns[columns[j - 1]].shape.len > run->columns[i].shape.len;
                     j--)
                        columns[j] = columns[j - 1];
                columns[j] = i;
        }
        return count;
}

static const char *
size_name(size_t len, char text[32])
{
        if (len >= 1048576)
                snprintf(text, 32, "%zu MiB", len / 1048576);
        else if (len >= 1024)
                snprintf(text, 32, "%zu KiB", len / 1024);
        else
                snprintf(text, 32, "%zu B", len);
        return text;
}

static void
column_name(enum view view, const struct bench_column *column, char text[64])
{
        const char *where = column->shape.pinned ? "pin" : "free";
        char size[32];

        size_name(column->shape.len, size);
        switch (view) {
        case VIEW_SIZES:
                snprintf(text, 64, "%s", size);
                break;
        case VIEW_ONE_AND_LARGE:
                snprintf(text, 64, "%s %s", column->kind == BENCH_ONE ? "one" : size, where);
                break;
        case VIEW_TRIPS:
                snprintf(text, 64, "%s %s", column->kind == BENCH_TRIP ? "busy" : "asleep", where);
                break;
        default:
                snprintf(text, 64, "%u->%u", column->shape.producers, column->shape.consumers);
        }
}

static void
print_cell(double value, bool figure)
{
        char text[32];

        if (value < 0)
                snprintf(text, sizeof text, "-");
        else if (value < (figure ? 10 : 100))
                snprintf(text, sizeof text, value < 10 ? "%.2f" : "%.1f", value);
        else
                bench_commas(value, text);
        printf("%12s", text);
}

static void
print_row(const struct bench_queue_run *run, const size_t *columns, size_t count, size_t row, bool ratios)
{
        struct spread spread;
        size_t i;

        for (i = 0; i < count && spread_of(run, columns[i], row).count == 0; i++)
                continue;
        if (i == count || (ratios && row == 0))
                return;
        printf("%-31s", run->rows[row]->label);
        for (i = 0; i < count; i++) {
                spread = spread_of(run, columns[i], row);
                if (ratios)
                        print_cell(times_as_fast(run, columns[i], row), false);
                else
                        print_cell(spread.count == 0                    ? -1
                                   : is_trip(&run->columns[columns[i]]) ? spread.median
                                                                        : spread.median / 1000,
                                   true);
        }
        printf("\n");
}

static void
print_view(const struct bench_queue_run *run, enum view view)
{
        size_t columns[QUEUE_COLUMNS_MAX], count = columns_of(run, view, columns), i, row;
        char name[64];

        printf("%s\n\n%-31s", view_titles[view], "");
        for (i = 0; i < count; i++) {
                column_name(view, &run->columns[columns[i]], name);
                printf("%12s", name);
        }
        printf("\n");
        for (row = 0; row < run->row_count; row++)
                print_row(run, columns, count, row, false);
        printf("\nmproc Queue is so many times as fast as\n");
        for (row = 1; row < run->row_count; row++)
                print_row(run, columns, count, row, true);
        printf("\n");
}

/* --- targets -------------------------------------------------------------------------------------- */

static size_t
row_of(const struct bench_queue_run *run, const char *name)
{
        size_t row;

        for (row = 0; row < run->row_count && strcmp(run->rows[row]->name, name) != 0; row++)
                continue;
        return row < run->row_count ? row : NO_ROW;
}

/* Of the columns of this kind, size and shape, pinned and not: the one with the worst ratio counts. */
static double
worst(const struct bench_queue_run *run, unsigned kind, size_t len, unsigned members, const char *one,
      const char *other)
{
        size_t row = row_of(run, one), other_row = row_of(run, other), i;
        bool at_most = kind == BENCH_TRIP || kind == BENCH_SLEEP;
        double value, result = -1;

        if (row == NO_ROW || other_row == NO_ROW)
                return -1;
        for (i = 0; i < run->column_count; i++) {
                const struct bench_column *column = &run->columns[i];

                if (column->kind != kind || column->shape.len != len ||
                    column->shape.producers + column->shape.consumers != members)
                        continue;
                value = ratio(run, i, row, i, other_row);
                if (value >= 0 && (result < 0 || (at_most ? value > result : value < result)))
                        result = value;
        }
        return result;
}

/* mproc 4->4 against mproc 1->1. */
static double
worst_crowd(const struct bench_queue_run *run)
{
        double value, result = -1;
        size_t i, j;

        for (i = 0; i < run->column_count; i++)
                for (j = 0; j < run->column_count; j++) {
                        const struct bench_shape *one = &run->columns[j].shape, *many = &run->columns[i].shape;

                        if (run->columns[i].table != TABLE_SHAPES || run->columns[j].table != TABLE_SHAPES ||
                            one->producers + one->consumers != 2 || many->producers + many->consumers != 8 ||
                            one->pinned != many->pinned)
                                continue;
                        value = ratio(run, i, 0, j, 0);
                        if (value >= 0 && (result < 0 || value < result))
                                result = value;
                }
        return result;
}

static double
worst_of_peers(const struct bench_queue_run *run, size_t len)
{
        static const char *const peers[] = { "pipe", "seqpacket", "posix_mq" };
        double value, result = -1;
        size_t i;

        for (i = 0; i < sizeof peers / sizeof peers[0]; i++) {
                value = worst(run, BENCH_FLOW, len, 2, "mproc", peers[i]);
                if (value >= 0 && (result < 0 || value < result))
                        result = value;
        }
        return result;
}

#define MIB ((size_t)1 << 20)

static void
report_targets(const struct bench_queue_run *run)
{
        const struct bench_target targets[] = {
                { "64 B, 1->1 / Boost message_queue", 8, worst(run, BENCH_FLOW, 64, 2, "mproc", "boost_mq"), true },
                { "64 B, 1->1 / POSIX mq", 20, worst(run, BENCH_FLOW, 64, 2, "mproc", "posix_mq"), true },
                { "64 B, 1->1 / Python Queue", 100, worst(run, BENCH_FLOW, 64, 2, "mproc", "python_queue"), true },
                { "64 B, 1->1, unlimited / Boost message_queue", 8,
                  worst(run, BENCH_FLOW, 64, 2, "mproc_unlimited", "boost_mq"), true },
                { "64 B, 1->1, unlimited / POSIX mq", 20,
                  worst(run, BENCH_FLOW, 64, 2, "mproc_unlimited", "posix_mq"), true },
                { "64 B, 1->1, unlimited / Python Queue", 100,
                  worst(run, BENCH_FLOW, 64, 2, "mproc_unlimited", "python_queue"), true },
                { "64 B, room for one / Boost message_queue", 8, worst(run, BENCH_ONE, 64, 2, "mproc", "boost_mq"),
                  true },
                { "64 B, room for one / POSIX mq", 20, worst(run, BENCH_ONE, 64, 2, "mproc", "posix_mq"), true },
                { "64 B, room for one / Python Queue", 100, worst(run, BENCH_ONE, 64, 2, "mproc", "python_queue"),
                  true },
                { "64 B, 1->1, sixteen at a time / one at a time", 2.5,
                  worst(run, BENCH_FLOW, 64, 2, "mproc_many", "mproc"), true },
                { "64 B, 4->4 / Boost message_queue", 6, worst(run, BENCH_FLOW, 64, 8, "mproc", "boost_mq"), true },
                { "64 B, 4->4 / 1->1", 0.7, worst_crowd(run), true },
                { "1 MiB, 1->1 / memcpy in and out of one buffer", 0.6,
                  worst(run, BENCH_FLOW, MIB, 2, "mproc", "memcpy_handoff"), true },
                { "1 MiB, 1->1 / the best of pipe, seqpacket, POSIX mq", 2, worst_of_peers(run, MIB), true },
                { "round trip, both busy / spinning SPSC ring", 3,
                  worst(run, BENCH_TRIP, 64, 2, "mproc", "spin_spsc"), false },
                { "round trip, asleep / bare futex", 1.15, worst(run, BENCH_SLEEP, 64, 2, "mproc", "bare_futex"),
                  false },
        };
        size_t count = sizeof targets / sizeof targets[0];

        bench_print_targets("Targets (pinned or not, the worse one counts)", targets, count);
        bench_write_targets(run->out, "queue-targets.csv", targets, count);
}

/* --- CSV ------------------------------------------------------------------------------------------- */

static void
write_csv(const struct bench_queue_run *run)
{
        FILE *file = bench_open_csv(run->out, "queue.csv");
        size_t i, row;

        if (file == NULL)
                return;
        fprintf(file, "contender,label,kind,bytes,producers,consumers,capacity,pinned,samples,"
                      "median,p10,p90,unit,times_as_fast_is_mproc\n");
        for (i = 0; i < run->column_count; i++)
                for (row = 0; row < run->row_count; row++) {
                        const struct bench_column *column = &run->columns[i];
                        const struct bench_shape *shape = &column->shape;
                        struct spread spread = spread_of(run, i, row);
                        double ratio = times_as_fast(run, i, row);

                        if (spread.count == 0)
                                continue;
                        fprintf(file, "%s,\"%s\",%s,%zu,%u,%u,%u,%d,%zu,%.1f,%.1f,%.1f,%s,", run->rows[row]->name,
                                run->rows[row]->label, kind_names[column->kind], shape->len, shape->producers,
                                shape->consumers, shape->capacity, shape->pinned, spread.count, spread.median,
                                spread.low, spread.high, is_trip(column) ? "ns" : "messages/s");
                        if (ratio >= 0)
                                fprintf(file, "%.3f", ratio);
                        fprintf(file, "\n");
                }
        fclose(file);
}

void
bench_queue_report(const struct bench_queue_run *run)
{
        int view;

        bench_print_machine();
        for (view = 0; view < VIEWS; view++)
                print_view(run, (enum view)view);
        printf("Medians of %zu repetitions; ratios within a repetition.\n\n", run->repetitions);
        report_targets(run);
        write_csv(run);
        if (run->out != NULL)
                printf("\nWritten: %s/queue.csv, queue-targets.csv\n", run->out);
}
