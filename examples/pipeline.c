/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - four stages, each a process, with bounded queues between them.
 * Usage: pipeline [fork|spawn|forkserver]
 *
 * The first stage makes numbers, the second squares them, the third throws the odd ones away, the
 * fourth adds up; it is the slow one.  No queue ever holds more than a few messages, so the
 * fast stages wait for the slow one: that is back-pressure, and nothing but maxsize is needed for it.
 * When a stage is through it shuts its output down, and the next one drains it.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NUMBERS = 1000, ROOM = 8 };

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "pipeline: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

/* Every stage ends like this: with the input at its end, it ends its output. */
static int
finish(int result, mproc_queue *out)
{
        return result == MPROC_ECLOSED ? mproc_queue_shutdown(out) : result;
}

static int
make(mproc_args *args)
{
        mproc_queue *out = mproc_args_queue(args, 0);
        int r;

        for (long n = 1; n <= NUMBERS; n++)
                if ((r = mproc_queue_put(out, &n, sizeof n, MPROC_FOREVER)) < 0)
                        return r;
        return mproc_queue_shutdown(out);
}

static int
square(mproc_args *args)
{
        mproc_queue *in = mproc_args_queue(args, 0), *out = mproc_args_queue(args, 1);
        long n;
        int r;

        while ((r = mproc_queue_get(in, &n, sizeof n, NULL, MPROC_FOREVER)) == 0) {
                n *= n;
                if ((r = mproc_queue_put(out, &n, sizeof n, MPROC_FOREVER)) < 0)
                        return r;
        }
        return finish(r, out);
}

static int
keep_even(mproc_args *args)
{
        mproc_queue *in = mproc_args_queue(args, 0), *out = mproc_args_queue(args, 1);
        long n;
        int r;

        while ((r = mproc_queue_get(in, &n, sizeof n, NULL, MPROC_FOREVER)) == 0)
                if (n % 2 == 0 && (r = mproc_queue_put(out, &n, sizeof n, MPROC_FOREVER)) < 0)
                        return r;
        return finish(r, out);
}

struct result {
        long sum;
        size_t most; /* that was ever seen waiting in front of the last stage */
};

static int
add_up(mproc_args *args)
{
        mproc_queue *in = mproc_args_queue(args, 0), *out = mproc_args_queue(args, 1);
        struct result result = { 0, 0 };
        size_t waiting;
        long n;
        int r;

        while ((r = mproc_queue_get(in, &n, sizeof n, NULL, MPROC_FOREVER)) == 0) {
                if ((r = mproc_queue_qsize(in, &waiting)) < 0)
                        return r;
                if (waiting > result.most)
                        result.most = waiting;
                result.sum += n;
                nanosleep(&(struct timespec){ 0, 20000 }, NULL); /* it takes its time */
        }
        if (r == MPROC_ECLOSED)
                r = mproc_queue_put(out, &result, sizeof result, MPROC_FOREVER);
        return finish(r, out);
}

int
main(int argc, char **argv)
{
        static mproc_main_fn *const stages[] = { square, keep_even, add_up };
        mproc_process *p[4];
        mproc_queue *q[4];
        struct result result;

        mproc_init(argc, argv);
        if (argc > 1)
                must(mproc_set_start_method(argv[1]));

        for (int i = 0; i < 4; i++)
                must(mproc_queue_create(NULL, ROOM, &q[i]));
        must(mproc_process_create(NULL, make, MPROC_ARGS(q[0]), &p[0]));
        for (int i = 0; i < 3; i++)
                must(mproc_process_create(NULL, stages[i], MPROC_ARGS(q[i], q[i + 1]), &p[i + 1]));
        for (int i = 0; i < 4; i++)
                must(mproc_process_start(p[i]));

        must(mproc_queue_get(q[3], &result, sizeof result, NULL, MPROC_FOREVER));
        for (int i = 0; i < 4; i++) {
                must(mproc_process_join(p[i], MPROC_FOREVER));
                mproc_process_free(p[i]);
                mproc_queue_free(q[i]);
        }
        printf("sum of the even squares: %ld\n", result.sum);
        printf("never more than %d waited: %s\n", ROOM, result.most <= ROOM ? "yes" : "no");
        return 0;
}
