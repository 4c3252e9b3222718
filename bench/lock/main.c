/* SPDX-License-Identifier: MIT */
/*
 * bench/lock/main.c - mproc-bench-lock: mproc's locks beside those of libc and Boost.
 *
 * Runs in: the conductor; member_main in its members.  Measured as the queues are: short
 * windows, again and again, those who are compared one after the other, forth and back.
 */
#define _GNU_SOURCE
#include "crew.h"
#include "figures.h"
#include "lock.h"

#include <mproc/mproc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW          0.02
#define PAIRS           32 /* counted together, so that counting costs nothing */
#define REPETITIONS_MIN 5
#define REPETITIONS_MAX 128
#define MANY            10000 /* locks created at a time */
#define ROWS_MAX        8
#define COLUMNS         6

static const struct column {
        const char *name;
        unsigned members;
        bool pinned;
} columns[COLUMNS] = {
        { "1 pin", 1, true },   { "1 free", 1, false }, { "2 pin", 2, true },
        { "2 free", 2, false }, { "4 pin", 4, true },   { "4 free", 4, false },
};

static struct {
        const struct bench_lock *rows[ROWS_MAX];
        size_t row_count, repetitions;
        double pairs[COLUMNS][ROWS_MAX][REPETITIONS_MAX]; /* per second; 0: none */
        double create_ns[REPETITIONS_MAX];
        const char *out;
        double seconds;
} run;

/* --- measuring ------------------------------------------------------------------------------------ */

struct job {
        const struct bench_lock *lock;
        void *handle;
        volatile uint64_t *guarded;
};

static void
member_main(struct crew_shared *shared, size_t index, void *arg)
{
        const struct job *job = arg;
        uint64_t count = 0;

        for (;;) {
                if (job->lock->pairs(job->handle, job->guarded, PAIRS) < 0)
                        crew_fail(shared, "acquire or release failed");
                crew_count(shared, index, count += PAIRS);
        }
}

/* The lock and what it guards lie in lines of their own. */
static double
measure(const struct bench_lock *lock, const struct column *column)
{
        struct job job = { .lock = lock };
        struct crew crew;
        double rate = 0;
        char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
                return 0;
        job.guarded = (volatile uint64_t *)(void *)(memory + 2048);
        job.handle = lock->create(memory);
        if (job.handle && crew_start(&crew, column->members, column->pinned, member_main, &job) == 0) {
                rate = crew_rate(&crew, WINDOW);
                crew_end(&crew);
        }
        if (rate <= 0)
                fprintf(stderr, "%s, %s: no figure\n", lock->label, column->name);
        if (job.handle)
                lock->destroy(job.handle);
        munmap(memory, 4096);
        return rate > 0 ? rate : 0;
}

static double
measure_creation(void)
{
        static mproc_lock *locks[MANY];
        uint64_t begin = crew_now_ns(), spent;
        size_t i, count;

        for (count = 0; count < MANY && mproc_lock_create(NULL, &locks[count]) == 0; count++)
                continue;
        spent = crew_now_ns() - begin;
        for (i = 0; i < count; i++)
                mproc_lock_free(locks[i]);
        if (count < MANY)
                fprintf(stderr, "lock creation: %s\n", mproc_last_error());
        return count == MANY ? (double)spent / MANY : 0;
}

static void
conduct(void)
{
        uint64_t begin = crew_now_ns();
        size_t column, i, row;

        do {
                for (column = 0; column < COLUMNS; column++)
                        for (i = 0; i < run.row_count; i++) {
                                row = run.repetitions % 2 ? run.row_count - 1 - i : i;
                                run.pairs[column][row][run.repetitions] = measure(run.rows[row], &columns[column]);
                        }
                run.create_ns[run.repetitions] = measure_creation();
                run.repetitions++;
        } while (run.repetitions < REPETITIONS_MIN ||
                 (run.repetitions < REPETITIONS_MAX && (double)(crew_now_ns() - begin) / 1e9 < run.seconds));
}

/* --- report ----------------------------------------------------------------------------------------- */

static struct spread
spread_of(const double *values, const double *others)
{
        double kept[REPETITIONS_MAX];
        size_t i, count = 0;

        for (i = 0; i < run.repetitions; i++)
                if (values[i] > 0 && (!others || others[i] > 0))
                        kept[count++] = others ? values[i] / others[i] : values[i];
        return bench_spread(kept, count);
}

/* The time of one for a pair, divided by the time of the other: pinned and not, the worse; -1: not measured. */
static double
worst_time(const struct bench_lock *lock, const struct bench_lock *other, unsigned members)
{
        double worst = -1;
        size_t column, one, two;

        for (one = 0; one < run.row_count && run.rows[one] != lock; one++)
                continue;
        for (two = 0; two < run.row_count && run.rows[two] != other; two++)
                continue;
        for (column = 0; column < COLUMNS && one < run.row_count && two < run.row_count; column++) {
                struct spread ratio = spread_of(run.pairs[column][two], run.pairs[column][one]);

                if (columns[column].members == members && ratio.count > 0 && ratio.median > worst)
                        worst = ratio.median;
        }
        return worst;
}

static double
throughput(const struct bench_lock *lock)
{
        double time = worst_time(lock, &bench_lock_robust, 2);

        return time > 0 ? 1 / time : -1;
}

static void
print_table(void)
{
        char text[32];
        size_t column, row;

        printf("Acquire, add one, release: medians in nanoseconds a pair, by number of processes, pinned or "
               "free\n\n%-31s",
               "");
        for (column = 0; column < COLUMNS; column++)
                printf("%10s", columns[column].name);
        printf("\n");
        for (row = 0; row < run.row_count; row++) {
                printf("%-31s", run.rows[row]->label);
                for (column = 0; column < COLUMNS; column++) {
                        struct spread spread = spread_of(run.pairs[column][row], NULL);

                        snprintf(text, sizeof text, "%.1f", spread.count > 0 ? 1e9 / spread.median : 0);
                        printf("%10s", spread.count > 0 ? text : "-");
                }
                printf("\n");
        }
        printf("\nmproc Lock, creation of %d: %.0f ns each.  Medians of %zu repetitions.\n\n", MANY,
               spread_of(run.create_ns, NULL).median, run.repetitions);
}

static void
report_targets(void)
{
        struct spread creation = spread_of(run.create_ns, NULL);
        const struct bench_target targets[] = {
                { "internal lock, alone: time / robust pthread mutex", 0.85,
                  worst_time(&bench_lock_internal, &bench_lock_robust, 1), false },
                { "user's Lock, alone: time / robust pthread mutex", 1.1,
                  worst_time(&bench_lock_mproc, &bench_lock_robust, 1), false },
                { "internal lock, two processes: throughput / robust mutex", 1, throughput(&bench_lock_internal),
                  true },
                { "user's Lock, two processes: throughput / robust mutex", 1, throughput(&bench_lock_mproc), true },
                { "creation of a Lock, microseconds", 1, creation.count > 0 ? creation.median / 1000 : -1, false },
        };
        size_t count = sizeof targets / sizeof targets[0];

        bench_print_targets("Targets (pinned or not, the worse one counts)", targets, count);
        bench_write_targets(run.out, "lock-targets.csv", targets, count);
}

static void
write_csv(void)
{
        FILE *file = bench_open_csv(run.out, "lock.csv");
        size_t column, row;

        if (file == NULL)
                return;
        fprintf(file, "contender,label,processes,pinned,samples,median_pairs_per_s,p10,p90\n");
        for (column = 0; column < COLUMNS; column++)
                for (row = 0; row < run.row_count; row++) {
                        struct spread spread = spread_of(run.pairs[column][row], NULL);

                        fprintf(file, "%s,\"%s\",%u,%d,%zu,%.0f,%.0f,%.0f\n", run.rows[row]->name,
                                run.rows[row]->label, columns[column].members, columns[column].pinned, spread.count,
                                spread.median, spread.low, spread.high);
                }
        fclose(file);
}

int
main(int argc, char **argv)
{
        static const struct bench_lock *const all[] = {
                &bench_lock_internal, &bench_lock_mproc,  &bench_semaphore_mproc,
                &bench_lock_pthread,  &bench_lock_robust, &bench_lock_sem,
#ifdef BENCH_HAVE_BOOST_IPC
                &bench_lock_boost,
#endif
        };

        mproc_init(argc, argv);
        run.seconds = 30;
        for (argv++; *argv != NULL; argv++)
                if (argv[1] != NULL && strcmp(*argv, "--seconds") == 0)
                        run.seconds = strtod(*++argv, NULL);
                else if (argv[1] != NULL && strcmp(*argv, "--out") == 0)
                        run.out = *++argv;
                else {
                        fprintf(stderr, "usage: mproc-bench-lock [--seconds N] [--out DIRECTORY]\n");
                        return 2;
                }
        run.row_count = sizeof all / sizeof all[0];
        memcpy(run.rows, all, sizeof all);
        (void)measure_creation(); /* the first takes the program's files with it */
        conduct();
        bench_print_machine();
        print_table();
        report_targets();
        write_csv();
        if (run.out != NULL)
                printf("\nWritten: %s/lock.csv, lock-targets.csv\n", run.out);
        return 0;
}
