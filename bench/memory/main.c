/* SPDX-License-Identifier: MIT */
/*
 * bench/memory/main.c - mproc-bench-memory: mproc's shared memory beside the bare calls of the system.
 *
 * Runs in: one process.  Each job is done by the library and by hand, in windows of a few milliseconds, one after
 * the other, forth and back: what is told is the ratio of the two in the same round.
 */
#define _GNU_SOURCE
#include "crew.h"
#include "figures.h"

#include <fcntl.h>
#include <mproc/mproc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_NS       4000000
#define REPETITIONS_MIN 10
#define REPETITIONS_MAX 512
#define PAGE            4096

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#endif
#ifndef F_SEAL_SHRINK
#define F_SEAL_SHRINK 2
#endif

static mproc_value *value;
static _Atomic long *word;
static char name[64];

/* --- what is done: 0 or a negative code ------------------------------------------------------------------ */

static void
touch(char *p, size_t len)
{
        for (size_t i = 0; i < len; i += PAGE)
                ((volatile char *)p)[i] = 1;
}

static int
ours_unnamed(size_t size, int touched)
{
        mproc_shm *shm;
        int r = mproc_shm_create(NULL, NULL, size, &shm);

        if (r < 0)
                return r;
        if (touched)
                touch(mproc_shm_data(shm), size);
        mproc_shm_free(shm);
        return 0;
}

static int
raw_unnamed(size_t size, int touched)
{
        int fd = memfd_create("raw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        void *p;

        if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0 ||
            (p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
                return -1;
        if (touched)
                touch(p, size);
        munmap(p, size);
        return close(fd);
}

static int
ours_page(void)
{
        return ours_unnamed(PAGE, 0);
}

static int
raw_page(void)
{
        return raw_unnamed(PAGE, 0);
}

static int
ours_touched(void)
{
        return ours_unnamed(1 << 20, 1);
}

static int
raw_touched(void)
{
        return raw_unnamed(1 << 20, 1);
}

static int
ours_sparse(void)
{
        return ours_unnamed((size_t)64 << 30, 0);
}

static int
raw_sparse(void)
{
        return raw_unnamed((size_t)64 << 30, 0);
}

static int
ours_named(void)
{
        mproc_shm *maker, *guest;
        int r;

        if ((r = mproc_shm_create(NULL, name, PAGE, &maker)) < 0)
                return r;
        if ((r = mproc_shm_attach(NULL, name, &guest)) == 0) {
                r = mproc_shm_unlink(name);
                mproc_shm_free(guest);
        }
        mproc_shm_free(maker);
        return r;
}

static int
raw_named(void)
{
        int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600), other;
        void *p, *q;

        if (fd < 0 || ftruncate(fd, PAGE) != 0 ||
            (p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
                return -1;
        if ((other = shm_open(name, O_RDWR, 0)) < 0 ||
            (q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0)) == MAP_FAILED)
                return -1;
        shm_unlink(name);
        munmap(p, PAGE);
        munmap(q, PAGE);
        close(other);
        return close(fd);
}

static int
ours_array(void)
{
        mproc_array *array;
        int r = mproc_array_create(NULL, MPROC_TYPE(double), 1000, &array);

        if (r == 0)
                mproc_array_free(array);
        return r;
}

static int
raw_array(void)
{
        return raw_unnamed(1000 * sizeof(double), 0);
}

static int
ours_add(void)
{
        return mproc_value_add(value, 1);
}

/* As much as a call of a function that does it: the compiler must not see through it. */
__attribute__((noinline)) static int
raw_add(void)
{
        atomic_fetch_add(word, 1);
        return 0;
}

static struct job {
        const char *name, *label;
        int (*ours)(void), (*raw)(void);
        unsigned batch; /* done between two looks at the clock */
        double ours_ns[REPETITIONS_MAX], raw_ns[REPETITIONS_MAX];
} jobs[] = {
        { .name = "page", .label = "no name, 4 KiB: create, free", .ours = ours_page, .raw = raw_page, .batch = 16 },
        { .name = "touched",
          .label = "no name, 1 MiB: create, touch all, free",
          .ours = ours_touched,
          .raw = raw_touched,
          .batch = 1 },
        { .name = "sparse",
          .label = "no name, 64 GiB: create, free",
          .ours = ours_sparse,
          .raw = raw_sparse,
          .batch = 16 },
        { .name = "named",
          .label = "name, 4 KiB: create, attach, unlink, free",
          .ours = ours_named,
          .raw = raw_named,
          .batch = 4 },
        { .name = "array",
          .label = "array of 1000 doubles: create, free",
          .ours = ours_array,
          .raw = raw_array,
          .batch = 16 },
        { .name = "add", .label = "value: add", .ours = ours_add, .raw = raw_add, .batch = 1024 },
};

#define JOBS (sizeof jobs / sizeof jobs[0])

/* --- measuring ------------------------------------------------------------------------------------------- */

static size_t repetitions;

/* Nanoseconds each, -1 after a failure. */
static double
measure(int (*what)(void), unsigned batch)
{
        uint64_t begin = crew_now_ns(), now;
        uint64_t count = 0;

        do {
                for (unsigned i = 0; i < batch; i++)
                        if (what() < 0)
                                return -1;
                count += batch;
                now = crew_now_ns();
        } while (now - begin < WINDOW_NS);
        return (double)(now - begin) / (double)count;
}

static void
conduct(double seconds)
{
        uint64_t begin = crew_now_ns();

        do {
                for (size_t i = 0; i < JOBS; i++) {
                        struct job *job = &jobs[i];
                        bool first = repetitions % 2 == 0;

                        if (first)
                                job->ours_ns[repetitions] = measure(job->ours, job->batch);
                        job->raw_ns[repetitions] = measure(job->raw, job->batch);
                        if (!first)
                                job->ours_ns[repetitions] = measure(job->ours, job->batch);
                }
                repetitions++;
        } while (repetitions < REPETITIONS_MIN ||
                 (repetitions < REPETITIONS_MAX && (double)(crew_now_ns() - begin) / 1e9 < seconds));
}

static struct spread
spread_of(const double *values, const double *others)
{
        double kept[REPETITIONS_MAX];
        size_t count = 0;

        for (size_t i = 0; i < repetitions; i++)
                if (values[i] > 0 && (!others || others[i] > 0))
                        kept[count++] = others ? values[i] / others[i] : values[i];
        return bench_spread(kept, count);
}

/* --- report ---------------------------------------------------------------------------------------------- */

static void
print_table(void)
{
        char ours[32], raw[32];

        printf("Medians of %zu repetitions in nanoseconds, and of the ratio of the two in one "
               "round\n\n%-44s%12s%12s%9s\n",
               repetitions, "", "mproc", "by hand", "ratio");
        for (size_t i = 0; i < JOBS; i++) {
                struct spread a = spread_of(jobs[i].ours_ns, NULL), b = spread_of(jobs[i].raw_ns, NULL);
                struct spread ratio = spread_of(jobs[i].ours_ns, jobs[i].raw_ns);

                if (ratio.count == 0)
                        printf("%-44s%33s\n", jobs[i].label, "no figure");
                else
                        printf("%-44s%12s%12s%9.2f\n", jobs[i].label, bench_commas(a.median, ours),
                               bench_commas(b.median, raw), ratio.median);
        }
        printf("\n");
}

static double
ratio_of(size_t job)
{
        struct spread ratio = spread_of(jobs[job].ours_ns, jobs[job].raw_ns);

        return ratio.count > 0 ? ratio.median : -1;
}

static void
report_targets(const char *out)
{
        const struct bench_target targets[] = {
                { "no name, 4 KiB, create and free: time / memfd and mmap", 1.25, ratio_of(0), false },
                { "no name, 1 MiB, all touched: time / memfd and mmap", 1.05, ratio_of(1), false },
                { "no name, 64 GiB, create and free: time / memfd and mmap", 1.25, ratio_of(2), false },
        };

        bench_print_targets("Targets", targets, sizeof targets / sizeof targets[0]);
        bench_write_targets(out, "shm-targets.csv", targets, sizeof targets / sizeof targets[0]);
}

static void
write_csv(const char *out)
{
        FILE *file = bench_open_csv(out, "shm.csv");

        if (file == NULL)
                return;
        fprintf(file, "job,label,samples,mproc_ns,by_hand_ns,ratio,ratio_p10,ratio_p90\n");
        for (size_t i = 0; i < JOBS; i++) {
                struct spread ratio = spread_of(jobs[i].ours_ns, jobs[i].raw_ns);

                fprintf(file, "%s,\"%s\",%zu,%.1f,%.1f,%.3f,%.3f,%.3f\n", jobs[i].name, jobs[i].label, ratio.count,
                        spread_of(jobs[i].ours_ns, NULL).median, spread_of(jobs[i].raw_ns, NULL).median, ratio.median,
                        ratio.low, ratio.high);
        }
        fclose(file);
}

int
main(int argc, char **argv)
{
        double seconds = 10;
        const char *out = NULL;

        mproc_init(argc, argv);
        for (argv++; *argv != NULL; argv++)
                if (argv[1] != NULL && strcmp(*argv, "--seconds") == 0)
                        seconds = strtod(*++argv, NULL);
                else if (argv[1] != NULL && strcmp(*argv, "--out") == 0)
                        out = *++argv;
                else {
                        fprintf(stderr, "usage: mproc-bench-memory [--seconds N] [--out DIRECTORY]\n");
                        return 2;
                }
        snprintf(name, sizeof name, "/mproc-bench-memory-%d", (int)getpid());
        word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (word == MAP_FAILED || mproc_value_create(NULL, MPROC_TYPE(long), &value) < 0 || ours_named() < 0) {
                fprintf(stderr, "mproc-bench-memory: %s\n", mproc_last_error());
                return 1;
        }
        conduct(seconds);
        bench_print_machine();
        print_table();
        report_targets(out);
        write_csv(out);
        if (out != NULL)
                printf("\nWritten: %s/shm.csv, shm-targets.csv\n", out);
        mproc_value_free(value);
        return 0;
}
