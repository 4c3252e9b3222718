/* SPDX-License-Identifier: MIT */
/*
 * preload.c - work that is done once in the fork server and shared by all children.
 * Usage: preload [forkserver|spawn|fork]
 *
 * A table of primes takes a while to compute.  Preloaded, the fork server
 * computes it before its first fork; each child then finds it in its memory,
 * which it shares with the server page by page, and costs no more to start.
 * Under the other methods every child has to compute a table of its own.
 */
#include <mproc/mproc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LIMIT    20000000 /* of the table: all primes below it */
#define CHILDREN 4

static struct {
        pid_t made_by;         /* 0: by nobody yet */
        bool composite[LIMIT]; /* composite[n]: n is no prime */
} table;

struct answer {
        pid_t pid, table_made_by;
        int64_t nth, prime;
        double table_ms; /* how long the child waited for its table */
};

static double
now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "preload: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

/* What the fork server is told to call.  Nothing happens if the table is there. */
static int
make_table(void)
{
        if (table.made_by != 0)
                return 0;
        table.composite[0] = table.composite[1] = true;
        for (size_t n = 2; n * n < LIMIT; n++)
                for (size_t multiple = n * n; !table.composite[n] && multiple < LIMIT; multiple += n)
                        table.composite[multiple] = true;
        table.made_by = getpid();
        return 0;
}

static int64_t
nth_prime(int64_t nth)
{
        for (int64_t n = 2; n < LIMIT; n++)
                if (!table.composite[n] && --nth == 0)
                        return n;
        return -1;
}

/* The target: which prime is wanted, and the queue for the answer. */
static int
child(mproc_args *args)
{
        double begin = now_ms();
        struct answer answer = { .pid = getpid(), .nth = mproc_args_int(args, 0) };

        make_table();
        answer.table_ms = now_ms() - begin;
        answer.table_made_by = table.made_by;
        answer.prime = nth_prime(answer.nth);
        return mproc_queue_put(mproc_args_queue(args, 1), &answer, sizeof answer, MPROC_FOREVER);
}

int
main(int argc, char **argv)
{
        mproc_preload preload = { .function = make_table };
        mproc_process *children[CHILDREN];
        mproc_context *ctx;
        mproc_queue *answers;
        struct answer answer;
        double begin;

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : "forkserver", &ctx));
        must(mproc_set_forkserver_preload(&preload,
                                          1)); /* before the server's start: it begins with the first child */
        must(mproc_queue_create(ctx, 0, &answers));

        for (int i = 0; i < CHILDREN; i++) {
                begin = now_ms();
                must(mproc_process_create(ctx, child, MPROC_ARGS((i + 1) * 100000, answers), &children[i]));
                must(mproc_process_start(children[i]));
                must(mproc_queue_get(answers, &answer, sizeof answer, NULL, MPROC_FOREVER));
                must(mproc_process_join(children[i], MPROC_FOREVER));
                printf("prime number %lld is %lld: child %d waited %.1f ms for the table, made by %s; %.1f ms in "
                       "all\n",
                       (long long)answer.nth, (long long)answer.prime, (int)answer.pid, answer.table_ms,
                       answer.table_made_by == answer.pid ? "itself" : "the fork server", now_ms() - begin);
                mproc_process_free(children[i]);
        }
        mproc_queue_free(answers);
        return 0;
}
