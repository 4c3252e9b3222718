/* SPDX-License-Identifier: MIT */
/*
 * bench/heap/main.c - mproc-bench-heap: blocks in shared memory, beside Boost's, and beside malloc, which shares
 * nothing.
 *
 * Runs in: the conductor; member_main in its members.  Measured as the queues are: short windows, again and again,
 * those who are compared one after the other, forth and back.
 */
#define _GNU_SOURCE
#include "crew.h"
#include "figures.h"
#include "heap.h"

#include <mproc/mproc.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW          0.03
#define HELD            1000 /* blocks at a time */
#define PAIRS           64   /* counted together, so that counting costs nothing */
#define REPETITIONS_MIN 5
#define REPETITIONS_MAX 128
#define ROWS_MAX        4
#define COLUMNS         4

/* held: allocate many of different sizes, then free them, in another order; else one at a time, of 64 bytes. */
static const struct column {
        const char *name;
        unsigned members;
        bool held;
} columns[COLUMNS] = { { "one, alone", 1, false },
                       { "one, two proc.", 2, false },
                       { "1000, alone", 1, true },
                       { "1000, two proc.", 2, true } };

static struct {
        const struct bench_heap *rows[ROWS_MAX];
        size_t row_count, repetitions;
        double pairs[COLUMNS][ROWS_MAX][REPETITIONS_MAX]; /* per second; 0: none */
        const char *out;
        double seconds;
} run;

/* --- measuring ------------------------------------------------------------------------------------------- */

struct job {
        const struct bench_heap *heap;
        void *handle;
        bool held;
};

static void
take_one_at_a_time(struct crew_shared *shared, size_t index, const struct job *job)
{
        uint64_t count = 0;

        for (;;) {
                for (int i = 0; i < PAIRS; i++) {
                        uint64_t block = job->heap->alloc(job->handle, 64);

                        if (!block)
                                crew_fail(shared, "no block");
                        job->heap->dealloc(job->handle, block);
                }
                crew_count(shared, index, count += PAIRS);
        }
}

static void
take_many(struct crew_shared *shared, size_t index, const struct job *job)
{
        uint64_t blocks[HELD], count = 0;

        for (;;) {
                for (unsigned i = 0; i < HELD; i++)
                        if (!(blocks[i] = job->heap->alloc(job->handle, 16 + i * 37 % 240)))
                                crew_fail(shared, "no block");
                for (unsigned i = 0; i < HELD; i++)
                        job->heap->dealloc(job->handle, blocks[i * 7 % HELD]);
                crew_count(shared, index, count += HELD);
        }
}

static void
member_main(struct crew_shared *shared, size_t index, void *arg)
{
        const struct job *job = arg;

        if (job->held)
                take_many(shared, index, job);
        else
                take_one_at_a_time(shared, index, job);
}

/* Pairs of alloc and dealloc a second, of all members together. */
static double
measure(const struct bench_heap *heap, const struct column *column)
{
        struct job job = { .heap = heap, .handle = heap->create(), .held = column->held };
        struct crew crew;
        double rate = 0;

        if (job.handle && crew_start(&crew, column->members, true, member_main, &job) == 0) {
                rate = crew_rate(&crew, WINDOW);
                crew_end(&crew);
        }
        if (rate <= 0)
                fprintf(stderr, "%s, %s: no figure\n", heap->label, column->name);
        if (job.handle)
                heap->destroy(job.handle);
        return rate > 0 ? rate : 0;
}

static void
conduct(void)
{
        uint64_t begin = crew_now_ns();

        do {
                for (size_t column = 0; column < COLUMNS; column++)
                        for (size_t i = 0; i < run.row_count; i++) {
                                size_t row = run.repetitions % 2 ? run.row_count - 1 - i : i;

                                run.pairs[column][row][run.repetitions] = measure(run.rows[row], &columns[column]);
                        }
                run.repetitions++;
        } while (run.repetitions < REPETITIONS_MIN ||
                 (run.repetitions < REPETITIONS_MAX && (double)(crew_now_ns() - begin) / 1e9 < run.seconds));
}

/* --- report ---------------------------------------------------------------------------------------------- */

static struct spread
spread_of(const double *values, const double *others)
{
        double kept[REPETITIONS_MAX];
        size_t count = 0;

        for (size_t i = 0; i < run.repetitions; i++)
                if (values[i] > 0 && (!others || others[i] > 0))
                        kept[count++] = others ? values[i] / others[i] : values[i];
        return bench_spread(kept, count);
}

/* The time that mproc needs, divided by the other's; -1: not measured. */
static double
time_beside(size_t column, const struct bench_heap *other)
{
        for (size_t row = 1; row < run.row_count; row++)
                if (run.rows[row] == other) {
                        struct spread ratio = spread_of(run.pairs[column][row], run.pairs[column][0]);

                        return ratio.count > 0 ? ratio.median : -1;
                }
        return -1;
}

static void
print_table(void)
{
        printf("Allocate and free a block: medians in nanoseconds a pair, for each process.  One block of 64 bytes "
               "at a "
               "time, or 1000\nof 16 to 255 bytes that are freed in another order.\n\n%-36s",
               "");
        for (size_t column = 0; column < COLUMNS; column++)
                printf("%17s", columns[column].name);
        printf("\n");
        for (size_t row = 0; row < run.row_count; row++) {
                printf("%-36s", run.rows[row]->label);
                for (size_t column = 0; column < COLUMNS; column++) {
                        struct spread spread = spread_of(run.pairs[column][row], NULL);

                        if (spread.count > 0)
                                printf("%17.1f", 1e9 * columns[column].members / spread.median);
                        else
                                printf("%17s", "-");
                }
                printf("\n");
        }
        printf("\nMedians of %zu repetitions.\n\n", run.repetitions);
}

static const struct bench_heap *
boost(void)
{
#ifdef BENCH_HAVE_BOOST_IPC
        return &bench_heap_boost;
#else
        return NULL;
#endif
}

static void
report_targets(void)
{
        struct spread pair = spread_of(run.pairs[0][0], NULL);
        const struct bench_target targets[] = {
                { "a small block, alone: alloc and dealloc, nanoseconds", 100,
                  pair.count > 0 ? 1e9 / pair.median : -1, false },
                { "1000 blocks, alone: time / malloc", 3, time_beside(2, &bench_heap_malloc), false },
                { "1000 blocks, two processes: time / Boost.Interprocess", 0.5, time_beside(3, boost()), false },
        };
        size_t count = sizeof targets / sizeof targets[0];

        bench_print_targets("Targets", targets, count);
        bench_write_targets(run.out, "heap-targets.csv", targets, count);
}

static void
write_csv(void)
{
        FILE *file = bench_open_csv(run.out, "heap.csv");

        if (file == NULL)
                return;
        fprintf(file, "contender,label,processes,held,samples,median_pairs_per_s,p10,p90\n");
        for (size_t column = 0; column < COLUMNS; column++)
                for (size_t row = 0; row < run.row_count; row++) {
                        struct spread spread = spread_of(run.pairs[column][row], NULL);

                        fprintf(file, "%s,\"%s\",%u,%d,%zu,%.0f,%.0f,%.0f\n", run.rows[row]->name,
                                run.rows[row]->label, columns[column].members, columns[column].held ? HELD : 1,
                                spread.count, spread.median, spread.low, spread.high);
                }
        fclose(file);
}

int
main(int argc, char **argv)
{
        static const struct bench_heap *const all[] = {
                &bench_heap_mproc,
                &bench_heap_malloc,
#ifdef BENCH_HAVE_BOOST_IPC
                &bench_heap_boost,
#endif
        };

        mproc_init(argc, argv);
        run.seconds = 10;
        for (argv++; *argv != NULL; argv++)
                if (argv[1] != NULL && strcmp(*argv, "--seconds") == 0)
                        run.seconds = strtod(*++argv, NULL);
                else if (argv[1] != NULL && strcmp(*argv, "--out") == 0)
                        run.out = *++argv;
                else {
                        fprintf(stderr, "usage: mproc-bench-heap [--seconds N] [--out DIRECTORY]\n");
                        return 2;
                }
        run.row_count = sizeof all / sizeof all[0];
        memcpy(run.rows, all, sizeof all);
        conduct();
        bench_print_machine();
        print_table();
        report_targets();
        write_csv();
        if (run.out != NULL)
                printf("\nWritten: %s/heap.csv, heap-targets.csv\n", run.out);
        return 0;
}
