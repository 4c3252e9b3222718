/* SPDX-License-Identifier: MIT */
/*
 * pool_death_test.c - pools whose workers die, hang, are cancelled or terminated; pools in forked children and in
 * workers; threads; signals.
 *
 * Runs in: test processes.
 */
#include "pool_help.h"

#include <pthread.h>

/* --- deaths ----------------------------------------------------------------------------------------------------- */

static int
die_at_77(const void *item, void *result, const void *shared)
{
        int64_t v = *(const int64_t *)item;

        (void)shared;
        if (v % 100 == 77)
                (void)kill(getpid(), v % 200 == 77 ? SIGKILL : SIGSEGV);
        *(int64_t *)result = v + 1;
        return 0;
}

static void
check_deadly_map(mproc_pool *pool, size_t count, size_t chunk)
{
        int64_t *items = numbers(count), *results = calloc(count, sizeof *results);
        int *codes = calloc(count, sizeof *codes);
        mproc_map_opts opts = { .codes = codes, .chunk = chunk };

        CHECK_CODE(mproc_pool_map_opts(pool, die_at_77, items, count, sizeof *items, results, sizeof *results, &opts),
                   MPROC_EWORKER);
        CHECK_CONTAINS(mproc_last_error(), "was killed by signal");
        for (size_t i = 0; i < count; i++) {
                CHECK_INT(codes[i], i % 100 == 77 ? MPROC_EWORKER : 0);
                CHECK_INT(results[i], i % 100 == 77 ? 0 : (int64_t)i + 1);
        }
        free(items);
        free(results);
        free(codes);
}

START_METHOD_TEST(exactly_the_deadly_items_of_a_map_fail)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_pool_stats_all stats;

        check_deadly_map(pool, 1000, 0);
        check_deadly_map(pool, 300, 1);
        check_deadly_map(pool, 300, 7);
        check_deadly_map(pool, 300, 300);
        CHECK_OK(mproc_pool_stats(pool, &stats, NULL, 0));
        CHECK_INT(stats.deaths, 19);
        CHECK_INT(stats.failed, 19);
        CHECK_INT(stats.done, 1900);
        finish_pool(pool);
}

START_METHOD_TEST(a_deadly_task_fails_and_the_others_do_not)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_future *f[40];
        mproc_task_report report;
        int64_t sum;

        for (int i = 0; i < 40; i++)
                f[i] = i % 10 == 5 ? give_task(pool, kill_myself, MPROC_NO_ARGS)
                                   : give_task(pool, add, MPROC_ARGS(i, 1));
        for (int i = 0; i < 40; i++) {
                if (i % 10 == 5) {
                        CHECK_CODE(mproc_future_get(f[i], NULL, 0, NULL, LONG_MS), MPROC_EWORKER);
                        CHECK_OK(mproc_future_report(f[i], &report));
                        CHECK_INT(report.signal, SIGKILL);
                        CHECK_INT(report.exitcode, -SIGKILL);
                        CHECK_INT(report.number, i);
                        CHECK_INT(report.tries, 1);
                        CHECK(report.worker_pid > 0);
                } else {
                        CHECK_OK(mproc_future_get_int(f[i], &sum, LONG_MS));
                        CHECK_INT(sum, i + 1);
                }
                mproc_future_free(f[i]);
        }
        finish_pool(pool);
}

static int
leave(mproc_args *args, mproc_result *result)
{
        (void)result;
        _exit((int)mproc_args_int(args, 0));
}

START_METHOD_TEST(a_task_that_leaves_by_exit_has_failed)
{
        mproc_pool *pool = make_pool(ctx, 1, NULL);
        mproc_future *f = give_task(pool, leave, MPROC_ARGS(3));
        mproc_task_report report;

        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_EWORKER);
        CHECK_CONTAINS(mproc_last_error(), "left by exit(3)");
        CHECK_OK(mproc_future_report(f, &report));
        CHECK_INT(report.exitcode, 3);
        CHECK_INT(report.signal, 0);
        mproc_future_free(f);
        finish_pool(pool);
}

/* --- retries ------------------------------------------------------------------------------------------------------
 */

/* Dies unless the semaphore has run out. */
static int
die_while_there_are_permits(mproc_args *args, mproc_result *result)
{
        if (mproc_semaphore_acquire(mproc_args_semaphore(args, 0), MPROC_NOWAIT) == 0)
                (void)kill(getpid(), SIGKILL);
        return mproc_result_int(result, 42);
}

START_METHOD_TEST(a_task_whose_worker_dies_is_run_again)
{
        mproc_pool_opts opts = { .retries = 3 };
        mproc_pool *pool = make_pool(ctx, 2, &opts);
        mproc_pool_stats_all stats;
        mproc_semaphore *permits;
        mproc_future *f;
        int64_t value = 0;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 3, &permits));
        f = give_task(pool, die_while_there_are_permits, MPROC_ARGS(permits));
        CHECK_OK(mproc_future_get_int(f, &value, LONG_MS));
        CHECK_INT(value, 42);
        mproc_future_free(f);
        CHECK_OK(mproc_pool_stats(pool, &stats, NULL, 0));
        CHECK_INT(stats.retried, 3);
        CHECK_INT(stats.deaths, 3);
        mproc_semaphore_free(permits);
        finish_pool(pool);
}

START_METHOD_TEST(a_task_that_kills_every_worker_is_given_up)
{
        mproc_pool_opts opts = { .retries = 2 };
        mproc_pool *pool = make_pool(ctx, 2, &opts);
        mproc_future *f = give_task(pool, kill_myself, MPROC_NO_ARGS);
        mproc_task_report report;

        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_EWORKER);
        CHECK_CONTAINS(mproc_last_error(), "task 0: ");
        CHECK_CONTAINS(mproc_last_error(), "tried 3 times");
        CHECK_OK(mproc_future_report(f, &report));
        CHECK_INT(report.tries, 3);
        mproc_future_free(f);
        finish_pool(pool);
}

/* --- killed from outside
 * ----------------------------------------------------------------------------------------------- */

static pid_t
worker_pid(mproc_pool *pool, unsigned i)
{
        mproc_worker_stats workers[8];

        CHECK_OK(mproc_pool_stats(pool, NULL, workers, 8));
        return workers[i].pid;
}

START_METHOD_TEST(idle_workers_that_are_killed_are_replaced)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t sum = 0;

        for (int i = 0; i < 5; i++) {
                pid_t a = worker_pid(pool, 0), b = worker_pid(pool, 1);

                if (a > 0)
                        CHECK(kill(a, SIGKILL) == 0 || errno == ESRCH);
                if (b > 0)
                        CHECK(kill(b, SIGKILL) == 0 || errno == ESRCH);
                /* A worker may have been killed at the task: then it has failed, and nothing else has. */
                (void)mproc_pool_apply(pool, add, MPROC_ARGS(1, 2), &sum, sizeof sum, NULL);
        }
        sum = 0;
        CHECK_OK(mproc_pool_apply(pool, add, MPROC_ARGS(1, 2), &sum, sizeof sum, NULL));
        CHECK_INT(sum, 3);
        finish_pool(pool);
}

START_METHOD_TEST(a_stopped_worker_holds_nobody_up)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        pid_t stopped = worker_pid(pool, 0);
        int64_t sum;

        CHECK(kill(stopped, SIGSTOP) == 0);
        for (int i = 0; i < 100; i++) {
                CHECK_OK(mproc_pool_apply(pool, add, MPROC_ARGS(i, 2), &sum, sizeof sum, NULL));
                CHECK_INT(sum, i + 2);
        }
        CHECK_OK(mproc_pool_terminate(pool)); /* in bounded time */
        mproc_pool_free(pool);
}

/* --- limits, cancelling
 * ------------------------------------------------------------------------------------------------- */

START_METHOD_TEST(a_task_that_runs_too_long_is_ended)
{
        mproc_pool_opts opts = { .time_limit_ms = 300 };
        mproc_pool *pool = make_pool(ctx, 2, &opts);
        mproc_event *event;
        mproc_future *f;
        int64_t sum = 0, t = monotonic_ms();

        CHECK_OK(mproc_event_create(ctx, &event));
        f = give_task(pool, hang, MPROC_ARGS(event));
        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_EOVERTIME);
        CHECK(monotonic_ms() - t >= 299);
        CHECK_CONTAINS(mproc_last_error(), "longer than its limit of 300 ms");
        mproc_future_free(f);
        CHECK_OK(mproc_pool_apply(pool, add, MPROC_ARGS(1, 2), &sum, sizeof sum, NULL));
        CHECK_INT(sum, 3);
        mproc_event_free(event);
        finish_pool(pool);
}

static int
sleep_at_three(const void *item, void *result, const void *shared)
{
        (void)shared;
        while (*(const int64_t *)item == 3)
                (void)pause();
        *(int64_t *)result = 1;
        return 0;
}

START_METHOD_TEST(one_item_of_a_map_runs_too_long)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t *items = numbers(20), results[20];
        int codes[20];
        mproc_map_opts opts = { .time_limit_ms = 200, .codes = codes, .chunk = 5 };

        CHECK_CODE(
                mproc_pool_map_opts(pool, sleep_at_three, items, 20, sizeof *items, results, sizeof *results, &opts),
                MPROC_EOVERTIME);
        CHECK_CONTAINS(mproc_last_error(), "item 3 of 20");
        for (int i = 0; i < 20; i++) {
                CHECK_INT(codes[i], i == 3 ? MPROC_EOVERTIME : 0);
                CHECK_INT(results[i], i != 3);
        }
        free(items);
        finish_pool(pool);
}

START_METHOD_TEST(tasks_are_cancelled_waiting_and_running)
{
        mproc_pool *pool = make_pool(ctx, 1, NULL);
        mproc_future *running, *waiting, *after;
        mproc_pool_stats_all stats;
        mproc_event *event;
        int64_t sum = 0;

        CHECK_OK(mproc_event_create(ctx, &event));
        running = give_task(pool, hang, MPROC_ARGS(event));
        CHECK_OK(mproc_event_wait(event, scaled_ms(LONG_MS)));
        waiting = give_task(pool, kill_myself, MPROC_NO_ARGS);
        after = give_task(pool, add, MPROC_ARGS(3, 4));
        CHECK_OK(mproc_future_cancel(waiting));
        CHECK_CODE(mproc_future_get(waiting, NULL, 0, NULL, 0), MPROC_ECANCELLED);
        CHECK_INT(mproc_future_ready(running), 0);
        CHECK_CODE(mproc_future_wait(running, 10), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_future_cancel(running));
        CHECK_CODE(mproc_future_get(running, NULL, 0, NULL, 0), MPROC_ECANCELLED);
        CHECK_OK(mproc_future_get_int(after, &sum, LONG_MS));
        CHECK_INT(sum, 7);
        CHECK_CODE(mproc_future_cancel(after), MPROC_ERELEASED);
        CHECK_OK(mproc_pool_stats(pool, &stats, NULL, 0));
        CHECK_INT(stats.tasks, 3);
        CHECK_INT(stats.done, 1);
        CHECK_INT(stats.cancelled, 2);
        CHECK_INT(stats.failed, 0);
        mproc_future_free(running);
        mproc_future_free(waiting);
        mproc_future_free(after);
        mproc_event_free(event);
        finish_pool(pool);
}

static int
wait_for_ever(const void *item, void *result, const void *shared)
{
        (void)item;
        (void)result;
        (void)shared;
        for (;;)
                (void)pause();
        return 0;
}

START_METHOD_TEST(a_map_is_cancelled_as_a_whole)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t *items = numbers(100), sum = 0;
        mproc_worker_stats workers[2];
        mproc_pool_stats_all stats;
        mproc_future *f;

        CHECK_OK(mproc_pool_map_async(pool, wait_for_ever, items, 100, sizeof *items, NULL, 0, NULL, &f));
        WAIT_UNTIL(mproc_pool_stats(pool, NULL, workers, 2) == 0 && workers[0].busy && workers[1].busy, LONG_MS);
        CHECK_OK(mproc_future_cancel(f));
        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, 0), MPROC_ECANCELLED);
        mproc_future_free(f);
        CHECK_OK(mproc_pool_apply(pool, add, MPROC_ARGS(1, 2), &sum, sizeof sum, NULL));
        CHECK_INT(sum, 3);
        CHECK_OK(mproc_pool_stats(pool, &stats, NULL, 0));
        CHECK_INT(stats.done, 1);
        CHECK_INT(stats.cancelled, 100);
        CHECK_INT(stats.failed, 0);
        free(items);
        finish_pool(pool);
}

/* --- ending a pool
 * ----------------------------------------------------------------------------------------------------- */

static int
hang_on(mproc_args *args, mproc_result *result)
{
        (void)signal(SIGTERM, SIG_IGN);
        return hang(args, result);
}

START_METHOD_TEST(terminate_ends_a_worker_that_ignores_it)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_future *f[20];
        mproc_event *event;

        CHECK_OK(mproc_event_create(ctx, &event));
        for (int i = 0; i < 20; i++)
                f[i] = give_task(pool, hang_on, MPROC_ARGS(event));
        CHECK_OK(mproc_event_wait(event, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_pool_terminate(pool));
        CHECK_OK(mproc_pool_terminate(pool));
        for (int i = 0; i < 20; i++) {
                CHECK_INT(mproc_future_ready(f[i]), 1);
                CHECK_CODE(mproc_future_get(f[i], NULL, 0, NULL, 0), MPROC_ECANCELLED);
                mproc_future_free(f[i]);
        }
        CHECK_OK(mproc_pool_join(pool, 0));
        mproc_event_free(event);
        mproc_pool_free(pool);
}

START_METHOD_TEST(a_pool_that_is_freed_at_work_leaves_nothing)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t *items = numbers(1000);
        mproc_future *f;

        CHECK_OK(mproc_pool_map_async(pool, wait_for_ever, items, 1000, sizeof *items, NULL, 0, NULL, &f));
        mproc_pool_free(pool);
        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, 0), MPROC_ECANCELLED);
        mproc_future_free(f);
        free(items);
}

START_METHOD_TEST(close_and_join_finish_what_was_given)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t *items = numbers(10000), *results = calloc(10000, sizeof *results);
        mproc_future *f;

        CHECK_OK(mproc_pool_map_async(pool, double_it, items, 10000, sizeof *items, results, sizeof *results,
                                      &(mproc_map_opts){ .chunk = 1 }, &f));
        CHECK_OK(mproc_pool_close(pool));
        CHECK_OK(mproc_pool_join(pool, LONG_MS));
        CHECK_INT(mproc_future_ready(f), 1);
        CHECK_OK(mproc_future_get(f, NULL, 0, NULL, 0));
        CHECK_INT(results[9999], 19998);
        mproc_future_free(f);
        mproc_pool_free(pool);
        free(items);
        free(results);
}

START_METHOD_TEST(workers_are_replaced_after_so_many_tasks)
{
        mproc_pool_opts opts = { .tasks_per_worker = 10 };
        mproc_pool *pool = make_pool(ctx, 2, &opts);
        mproc_worker_stats workers[2];
        mproc_pool_stats_all stats;
        int64_t *items = numbers(200), results[200];

        CHECK_OK(mproc_pool_map_opts(pool, double_it, items, 200, sizeof *items, results, sizeof *results,
                                     &(mproc_map_opts){ .chunk = 1 }));
        CHECK_INT(results[199], 398);
        CHECK_OK(mproc_pool_stats(pool, &stats, workers, 2));
        CHECK_INT(stats.deaths, 0);
        CHECK(workers[0].restarts + workers[1].restarts >= 18);
        free(items);
        finish_pool(pool);
}

/* --- signals
 * ------------------------------------------------------------------------------------------------------------- */

static mproc_pool *to_stop;

static void
stop_pool(int sig)
{
        (void)sig;
        mproc_pool_stop(to_stop);
}

START_METHOD_TEST(stop_from_a_signal_handler_ends_the_wait)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t *items = numbers(100);
        mproc_worker_stats workers[2];
        mproc_future *f, *late;

        CHECK_OK(mproc_pool_map_async(pool, wait_for_ever, items, 100, sizeof *items, NULL, 0, NULL, &f));
        WAIT_UNTIL(mproc_pool_stats(pool, NULL, workers, 2) == 0 && workers[0].busy && workers[1].busy, LONG_MS);
        to_stop = pool;
        CHECK(signal(SIGINT, stop_pool) != SIG_ERR);
        CHECK(kill(0, SIGINT) == 0); /* as a terminal would: workers ignore it */
        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_ECANCELLED);
        CHECK_CONTAINS(mproc_last_error(), "stopped");
        CHECK_CODE(mproc_pool_apply_async(pool, add, MPROC_ARGS(1, 2), &late), MPROC_ECLOSED);
        CHECK_CODE(mproc_pool_run(pool, 0), MPROC_ECLOSED);
        mproc_future_free(f);
        mproc_pool_free(pool);
        free(items);
}

/* --- threads, forks, pools in pools
 * ----------------------------------------------------------------------------------------- */

static void *
use_pool(void *arg)
{
        for (int i = 0; i < 300; i++) {
                int64_t sum = 0;

                if (i % 60 == 59) {
                        mproc_future *f = give_task(arg, kill_myself, MPROC_NO_ARGS);

                        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_EWORKER);
                        mproc_future_free(f);
                        continue;
                }
                CHECK_OK(mproc_pool_apply(arg, add, MPROC_ARGS(i, 2), &sum, sizeof sum, NULL));
                CHECK_INT(sum, i + 2);
        }
        return NULL;
}

START_METHOD_TEST(many_threads_use_one_pool)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        pthread_t threads[4];

        for (int i = 0; i < 4; i++)
                CHECK(pthread_create(&threads[i], NULL, use_pool, pool) == 0);
        for (int i = 0; i < 4; i++)
                CHECK(pthread_join(threads[i], NULL) == 0);
        finish_pool(pool);
}

static void *
wait_for_pool(void *arg)
{
        CHECK_CODE(mproc_pool_run(arg, MPROC_FOREVER), MPROC_ECLOSED);
        return NULL;
}

START_METHOD_TEST(a_pool_is_freed_while_others_wait_for_it)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_event *event;
        pthread_t threads[3];
        mproc_future *f;

        CHECK_OK(mproc_event_create(ctx, &event));
        f = give_task(pool, hang, MPROC_ARGS(event));
        for (int i = 0; i < 3; i++)
                CHECK(pthread_create(&threads[i], NULL, wait_for_pool, pool) == 0);
        CHECK_OK(mproc_event_wait(event, scaled_ms(LONG_MS)));

        WAIT_UNTIL(count_sleeping_threads() == 3, LONG_MS); /* all three are in the call */
        mproc_pool_free(pool);
        for (int i = 0; i < 3; i++)
                CHECK(pthread_join(threads[i], NULL) == 0);
        mproc_future_free(f);
        mproc_event_free(event);
}

START_METHOD_TEST(a_forked_child_is_refused_the_pool)
{
        mproc_pool *pool = make_pool(ctx, 1, NULL);
        mproc_future *f = give_task(pool, add, MPROC_ARGS(1, 2));
        int64_t sum = 0;
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                mproc_future *g;

                CHECK_CODE(mproc_pool_apply_async(pool, add, MPROC_ARGS(1, 2), &g), MPROC_ENOTCHILD);
                CHECK_CONTAINS(mproc_last_error(), "only that one can use it");
                CHECK_CODE(mproc_future_wait(f, 0), MPROC_ENOTCHILD);
                mproc_future_free(f);
                mproc_pool_free(pool);
                _exit(0);
        }
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK_OK(mproc_future_get_int(f, &sum, LONG_MS));
        CHECK_INT(sum, 3);
        mproc_future_free(f);
        finish_pool(pool);
}

/* In a worker: a pool of its own. */
static int
sum_in_pool(mproc_args *args, mproc_result *result)
{
        int64_t *items = numbers(100), results[100], sum = 0;
        mproc_pool *pool;
        int r;

        (void)args;
        if ((r = mproc_pool_create(NULL, 2, NULL, &pool)) == 0 &&
            (r = mproc_pool_map(pool, double_it, items, 100, sizeof *items, results, sizeof *results)) == 0)
                for (int i = 0; i < 100; i++)
                        sum += results[i];
        mproc_pool_free(r < 0 ? NULL : pool);
        free(items);
        return r < 0 ? r : mproc_result_int(result, sum);
}

START_METHOD_TEST(a_worker_has_a_pool_of_its_own)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_future *f[3];
        int64_t sum = 0;

        for (int i = 0; i < 3; i++)
                f[i] = give_task(pool, sum_in_pool, MPROC_NO_ARGS);
        for (int i = 0; i < 3; i++) {
                CHECK_OK(mproc_future_get_int(f[i], &sum, LONG_MS));
                CHECK_INT(sum, 9900);
                mproc_future_free(f[i]);
        }
        finish_pool(pool);
}

/* --- progress
 * ---------------------------------------------------------------------------------------------------------------- */

static void
note_progress(mproc_pool *pool, const mproc_progress *progress, void *arg)
{
        (void)pool;
        CHECK(progress->done <= progress->tasks);
        ((mproc_progress *)arg)[0] = *progress;
}

static int
nap(const void *item, void *result, const void *shared)
{
        (void)item;
        (void)result;
        (void)shared;
        sleep_ms(20);
        return 0;
}

START_METHOD_TEST(progress_is_told_while_somebody_waits)
{
        mproc_progress last = { 0 };
        mproc_pool_opts opts = { .progress = note_progress, .progress_arg = &last };
        mproc_pool *pool = make_pool(ctx, 2, &opts);
        int64_t *items = numbers(30);

        CHECK_OK(mproc_pool_map_opts(pool, nap, items, 30, sizeof *items, NULL, 0, &(mproc_map_opts){ .chunk = 1 }));
        CHECK_INT(last.tasks, 30);
        CHECK(last.done > 0);
        free(items);
        finish_pool(pool);
}
