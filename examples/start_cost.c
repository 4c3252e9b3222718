/* SPDX-License-Identifier: MIT */
/*
 * start_cost.c - what it costs to start a process and to wait for its end.
 * Usage: start_cost [fork|spawn|forkserver [COUNT]]
 * Prints the median of COUNT starts (200) in microseconds.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int
nothing(mproc_args *args)
{
        (void)args;
        return 0;
}

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "start_cost: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

static double
now_us(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double
start_and_join_us(mproc_context *ctx)
{
        mproc_process *p;
        double begin = now_us(), end;

        must(mproc_process_create(ctx, nothing, MPROC_NO_ARGS, &p));
        must(mproc_process_start(p));
        must(mproc_process_join(p, MPROC_FOREVER));
        end = now_us();
        mproc_process_free(p);
        return end - begin;
}

static int
by_size(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
        mproc_context *ctx;
        size_t count;
        double *us;

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : NULL, &ctx));
        count = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
        us = count > 0 && count <= 1000000 ? malloc(count * sizeof *us) : NULL;
        if (us == NULL) {
                fprintf(stderr, "start_cost: COUNT is 1 to 1000000\n");
                return 2;
        }
        start_and_join_us(ctx); /* the first start also starts the fork server, if there is to be one */
        for (size_t i = 0; i < count; i++)
                us[i] = start_and_join_us(ctx);
        qsort(us, count, sizeof *us, by_size);
        printf("%.0f\n", us[count / 2]);
        free(us);
        return 0;
}
