/* SPDX-License-Identifier: MIT */
/*
 * bench/pool/main.c - mproc-bench-pool: what a task of a pool costs, beside other ways to have two workers.
 *
 * Runs in: one process and its workers.  All contenders take turns, round by round; what is told are medians, and
 * ratios of medians of the same run.  A task of the first table doubles a number; one of the second keeps a processor
 * busy for a given time, and its ideal is that time divided by two workers.
 */
#define _GNU_SOURCE
#include "figures.h"
#include "peers/pools.h"

#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 7

static mproc_pool *pool;
static const char *python, *python_script;

static double
now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
give_up(const char *what)
{
        fprintf(stderr, "mproc-bench-pool: %s: %s\n", what, mproc_last_error());
        exit(1);
}

/* --- contenders ---------------------------------------------------------------------------------------------- */

static int
map_function(const void *item, void *result, const void *shared)
{
        (void)shared;
        *(int64_t *)result = bench_pool_work(*(const int64_t *)item);
        return 0;
}

static void
mproc_map(const int64_t *items, int64_t *results, size_t count, size_t chunk)
{
        mproc_map_opts opts = { .chunk = chunk };

        if (mproc_pool_map_opts(pool, map_function, items, count, sizeof *items, results, sizeof *results, &opts) < 0)
                give_up("map");
}

#ifdef BENCH_HAVE_OPENMP
static void
openmp_map(const int64_t *items, int64_t *results, size_t count, size_t chunk)
{
        openmp_pool_map(items, results, count, chunk ? chunk : count / 32 + 1);
}
#endif

static void
pipe_map(const int64_t *items, int64_t *results, size_t count, size_t chunk)
{
        pipe_pool_map(items, results, count, chunk ? chunk : count / 32 + 1);
}

struct contender {
        const char *name;
        void (*map)(const int64_t *items, int64_t *results, size_t count, size_t chunk);
};

static const struct contender contenders[] = {
        { "mproc", mproc_map },
        { "pipes by hand", pipe_map },
#ifdef BENCH_HAVE_OPENMP
        { "OpenMP tasks", openmp_map },
#endif
};
#define CONTENDERS (sizeof contenders / sizeof *contenders)

/* --- trivial tasks --------------------------------------------------------------------------------------------- */

static double
python_ns(size_t chunk, size_t count)
{
        char command[512], line[64];
        double value = -1;
        FILE *f;

        if (!python)
                return -1;
        (void)snprintf(command, sizeof command, "'%s' '%s' %zu %zu", python, python_script, chunk, count);
        if ((f = popen(command, "r")) == NULL)
                return -1;
        if (fgets(line, sizeof line, f))
                value = strtod(line, NULL);
        (void)pclose(f);
        return value;
}

static void
await_idle(void)
{
        (void)nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
}

static void
measure_all(const int64_t *items, int64_t *results, size_t count, size_t chunk, double *ret_ns)
{
        static double times[CONTENDERS][ROUNDS];

        for (size_t c = 0; c < CONTENDERS; c++) /* pages, caches */
                contenders[c].map(items, results, count, chunk);
        for (int round = 0; round < ROUNDS; round++)
                for (size_t c = 0; c < CONTENDERS; c++) {
                        double start;

                        await_idle(); /* OpenMP's threads spin for a while when their work is done */
                        start = now_ns();

                        contenders[c].map(items, results, count, chunk);
                        times[c][round] = (now_ns() - start) / (double)count;
                }
        for (size_t c = 0; c < CONTENDERS; c++)
                ret_ns[c] = bench_spread(times[c], ROUNDS).median;
}

static void
print_time(double ns)
{
        if (ns < 0)
                printf("%16s", "-");
        else
                printf("%13.0f ns", ns);
}

static double chunk_1_ns, default_ns;

static void
trivial_tasks(FILE *csv)
{
        static const size_t chunks[] = { 1, 16, 0 };
        const size_t count = 200000;
        int64_t *items = calloc(count, sizeof *items), *results = calloc(count, sizeof *results);

        if (!items || !results)
                give_up("memory");
        for (size_t i = 0; i < count; i++)
                items[i] = (int64_t)i;
        printf("A trivial task of a map, two workers\n%-10s", "chunk");
        for (size_t c = 0; c < CONTENDERS; c++)
                printf("%16s", contenders[c].name);
        printf("%16s\n", "Python's Pool");
        for (size_t i = 0; i < 3; i++) {
                double ns[CONTENDERS], py;
                char chunk[16] = "default";

                measure_all(items, results, count, chunks[i], ns);
                py = python_ns(chunks[i], chunks[i] == 1 ? 20000 : count);
                if (chunks[i])
                        (void)snprintf(chunk, sizeof chunk, "%zu", chunks[i]);
                printf("%-10s", chunk);
                for (size_t c = 0; c < CONTENDERS; c++) {
                        print_time(ns[c]);
                        if (csv)
                                fprintf(csv, "trivial,%s,%s,%.1f\n", chunk, contenders[c].name, ns[c]);
                }
                print_time(py);
                if (csv && py >= 0)
                        fprintf(csv, "trivial,%s,Python's Pool,%.1f\n", chunk, py);
                printf("\n");
                if (chunks[i] == 1)
                        chunk_1_ns = ns[0];
                if (chunks[i] == 0)
                        default_ns = ns[0];
        }
        free(items);
        free(results);
}

/* --- tasks that take their time -----------------------------------------------------------------------------------
 */

static double efficiency_20us;

static void
efficiency(FILE *csv)
{
        static const int64_t lengths_us[] = { 1, 5, 20, 100, 1000, 10000 };

        printf("\nParallel efficiency: the ideal time of two workers, divided by what it took; default chunk\n%-10s",
               "task");
        for (size_t c = 0; c < CONTENDERS; c++)
                printf("%16s", contenders[c].name);
        printf("\n");
        efficiency_20us = 1;
        for (size_t i = 0; i < sizeof lengths_us / sizeof *lengths_us; i++) {
                size_t count = (size_t)(60000 / lengths_us[i]);
                int64_t *items, *results;
                double ns[CONTENDERS];

                count = count < 32 ? 32 : count;
                items = calloc(count, sizeof *items);
                results = calloc(count, sizeof *results);
                if (!items || !results)
                        give_up("memory");
                for (size_t k = 0; k < count; k++)
                        items[k] = -lengths_us[i] * 1000;
                measure_all(items, results, count, 0, ns);
                printf("%7lld us", (long long)lengths_us[i]);
                for (size_t c = 0; c < CONTENDERS; c++) {
                        double e = (double)lengths_us[i] * 1000 / 2 / ns[c];

                        printf("%16.3f", e);
                        if (csv)
                                fprintf(csv, "efficiency,%lld,%s,%.4f\n", (long long)lengths_us[i],
                                        contenders[c].name, e);
                        if (c == 0 && lengths_us[i] >= 20 && e < efficiency_20us)
                                efficiency_20us = e;
                }
                printf("\n");
                free(items);
                free(results);
        }
}

/* --- large results
 * -------------------------------------------------------------------------------------------------- */

static char *source; /* in each worker */

static int
make_source(mproc_args *args)
{
        size_t len = (size_t)mproc_args_int(args, 0);

        if (!(source = malloc(len)))
                return -12;
        memset(source, 1, len);
        return 0;
}

/* A result that lies in the worker's memory, and has to get out of it. */
static int
copy_task(mproc_args *args, mproc_result *result)
{
        return mproc_result_bytes(result, source, (size_t)mproc_args_int(args, 0));
}

static double transfer_worst;

static void
transfers(FILE *csv, size_t most)
{
        mproc_pool_opts opts = { .initializer = make_source, .initializer_args = MPROC_ARGS(most) };
        char *from = malloc(most), *to = malloc(most);
        mproc_pool *one;

        if (!from || !to || mproc_pool_create(NULL, 1, &opts, &one) < 0)
                give_up("a pool for large results");
        memset(from, 1, most);
        memset(to, 2, most);
        printf("\nA large result, from the worker's memory to a look at it here, beside memcpy\n%-10s%16s%16s%16s\n",
               "size", "mproc", "memcpy", "bandwidth ratio");
        transfer_worst = 1e9;
        for (size_t size = 1 << 20; size <= most; size *= 8) {
                double ours[ROUNDS], theirs[ROUNDS], a, b;

                for (int round = -1; round < ROUNDS; round++) {
                        mproc_future *future;
                        const void *data;
                        double start = now_ns();
                        volatile char sum = 0;

                        if (mproc_pool_apply_async(one, copy_task, MPROC_ARGS(size), &future) < 0 ||
                            mproc_future_view(future, &data, NULL, MPROC_FOREVER) < 0)
                                give_up("a large result");
                        sum = (char)(sum + ((const char *)data)[size - 1]);
                        if (round >= 0)
                                ours[round] = now_ns() - start;
                        mproc_future_free(future);
                        start = now_ns();
                        memcpy(to, from, size);
                        __asm__ volatile("" ::"r"(to) : "memory");
                        if (round >= 0)
                                theirs[round] = now_ns() - start;
                }
                a = bench_spread(ours, ROUNDS).median;
                b = bench_spread(theirs, ROUNDS).median;
                printf("%6zu MiB%13.2f ms%13.2f ms%16.2f\n", size >> 20, a / 1e6, b / 1e6, b / a);
                if (csv)
                        fprintf(csv, "transfer,%zu,mproc,%.0f\ntransfer,%zu,memcpy,%.0f\n", size, a, size, b);
                if (b / a < transfer_worst)
                        transfer_worst = b / a;
        }
        free(from);
        free(to);
        mproc_pool_free(one);
}

int
main(int argc, char **argv)
{
        const char *out = NULL;
        size_t most_mib = 512;
        FILE *csv;

        mproc_init(argc, argv);
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--out") == 0 && i + 1 < argc)
                        out = argv[++i];
                else if (strcmp(argv[i], "--python") == 0 && i + 2 < argc)
                        python = argv[++i], python_script = argv[++i];
                else if (strcmp(argv[i], "--transfer-mib") == 0 && i + 1 < argc)
                        most_mib = strtoul(argv[++i], NULL, 10);
        }
        bench_print_machine();
        csv = bench_open_csv(out, "pool.csv");
        if (csv)
                fprintf(csv, "part,of,who,value\n");
        if (mproc_pool_create(NULL, 2, NULL, &pool) < 0)
                give_up("a pool");
        pipe_pool_open();
        trivial_tasks(csv);
        efficiency(csv);
        pipe_pool_close();
        mproc_pool_free(pool);
        transfers(csv, most_mib << 20);
        if (csv)
                (void)fclose(csv);

        struct bench_target targets[] = {
                { "a trivial task at chunk 1, nanoseconds", 1500, chunk_1_ns, false },
                { "a trivial task at the default chunk, nanoseconds", 30, default_ns, false },
                { "parallel efficiency of tasks of 20 us and more", 0.9, efficiency_20us, true },
                { "bandwidth of large results, as memcpy's", 0.7, transfer_worst, true },
        };
        bench_print_targets("Pool", targets, sizeof targets / sizeof *targets);
        bench_write_targets(out, "pool-targets.csv", targets, sizeof targets / sizeof *targets);
        return 0;
}
