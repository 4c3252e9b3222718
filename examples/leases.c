/* SPDX-License-Identifier: MIT */
/*
 * leases.c - a work queue that survives kill -9 of any worker.
 * Usage: leases [fork|spawn|forkserver]
 *
 * Workers lease jobs, put the results into another queue, and only then ack.  While they work the
 * parent kills one after the other; a killed worker's job is delivered again.  So each job is
 * done at least once, and who collects the results must know a repeated one: by its number.
 * One job kills every worker that touches it; it is given up when it has done so three times.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS 3
#define JOBS    60
#define POISON  13
#define TRIES   3

struct job {
        int number; /* -1: there are no more */
        unsigned limit;
};

struct result {
        int number;
        int given_up;
        unsigned primes;
};

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "leases: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

static unsigned
count_primes(unsigned limit)
{
        unsigned count = 0;

        for (unsigned n = 2; n < limit; n++) {
                unsigned d = 2;

                while (d * d <= n && n % d != 0)
                        d++;
                count += d * d > n;
        }
        return count;
}

static int
work(mproc_args *args)
{
        mproc_queue *jobs = mproc_args_queue(args, 0), *results = mproc_args_queue(args, 1);

        for (;;) {
                mproc_lease lease;
                struct job job;
                struct result result;
                int r;

                if ((r = mproc_queue_get_leased(jobs, &job, sizeof job, NULL, &lease, MPROC_FOREVER)) < 0)
                        return r;
                if (job.number < 0)
                        return mproc_lease_return(&lease); /* for the others, too */
                result = (struct result){ .number = job.number };
                if (job.number == POISON && mproc_lease_deliveries(&lease) > TRIES)
                        result.given_up = 1;
                else if (job.number == POISON)
                        raise(SIGSEGV);
                else
                        result.primes = count_primes(job.limit);
                if ((r = mproc_queue_put(results, &result, sizeof result, MPROC_FOREVER)) < 0 ||
                    (r = mproc_lease_ack(&lease)) < 0)
                        return r;
        }
}

static mproc_process *
start_worker(mproc_context *ctx, mproc_queue *jobs, mproc_queue *results)
{
        mproc_process *worker;

        must(mproc_process_create(ctx, work, MPROC_ARGS(jobs, results), &worker));
        must(mproc_process_start(worker));
        return worker;
}

/* Whoever has ended, however, is replaced. */
static void
look_after(mproc_context *ctx, mproc_process **worker, mproc_queue *jobs, mproc_queue *results)
{
        for (int i = 0; i < WORKERS; i++) {
                if (mproc_process_is_alive(worker[i]))
                        continue;
                mproc_process_free(worker[i]);
                worker[i] = start_worker(ctx, jobs, results);
        }
}

int
main(int argc, char **argv)
{
        mproc_queue_opts opts = { .leases = WORKERS };
        mproc_process *worker[WORKERS];
        mproc_queue *jobs, *results;
        mproc_context *ctx;
        int done[JOBS] = { 0 }, left = JOBS, given_up = 0, killed = 0;
        struct job job = { 0, 0 };

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : NULL, &ctx));
        must(mproc_queue_create_opts(ctx, &opts, &jobs));
        must(mproc_queue_create(ctx, 0, &results));
        for (; job.number < JOBS; job.number++) {
                job.limit = 1000u * (unsigned)(job.number + 1);
                must(mproc_queue_put(jobs, &job, sizeof job, MPROC_FOREVER));
        }
        for (int i = 0; i < WORKERS; i++)
                worker[i] = start_worker(ctx, jobs, results);

        while (left > 0) {
                struct result result;
                int r = mproc_queue_get(results, &result, sizeof result, NULL, 50);

                if (r == MPROC_EEMPTY) {
                        look_after(ctx, worker, jobs, results);
                        continue;
                }
                must(r);
                if (done[result.number]++ == 0) {
                        left--;
                        given_up += result.given_up;
                        if (left % 10 == 5) { /* wherever it is */
                                must(mproc_process_kill(worker[killed++ % WORKERS]));
                                look_after(ctx, worker, jobs, results);
                        }
                }
        }
        printf("%d jobs done, %d given up, %d workers killed by the parent\n", JOBS - given_up, given_up, killed);

        job.number = -1;
        must(mproc_queue_put(jobs, &job, sizeof job, MPROC_FOREVER));
        for (int i = 0; i < WORKERS; i++) {
                must(mproc_process_join(worker[i], MPROC_FOREVER));
                mproc_process_free(worker[i]);
        }
        mproc_queue_free(jobs);
        mproc_queue_free(results);
        return 0;
}
