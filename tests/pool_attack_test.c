/* SPDX-License-Identifier: MIT */
/*
 * pool_attack_test.c - pools in uncommon company: after deaths nobody spins; hosts that ignore SIGCHLD, have few
 * descriptors, fork beside a driver, or leave with a pool at work; callbacks that end futures and give tasks.
 *
 * Runs in: test processes.
 */
#include "pool_help.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

/* --- nobody spins ------------------------------------------------------------------------------------------- */

static int64_t
cpu_ms(clockid_t clock)
{
        struct timespec t;

        CHECK(clock_gettime(clock, &t) == 0);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t
cpu_ms_of(pid_t pid)
{
        clockid_t clock;

        CHECK(clock_getcpuclockid(pid, &clock) == 0);
        return cpu_ms(clock);
}

/* Item 0 kills its worker, item 7 takes long. */
static int
die_then_sleep(const void *item, void *result, const void *shared)
{
        int64_t v = *(const int64_t *)item;

        (void)shared;
        if (v == 0)
                (void)kill(getpid(), SIGKILL);
        if (v == 7)
                (void)usleep(600 * 1000);
        *(int64_t *)result = v;
        return 0;
}

START_METHOD_TEST(nobody_spins_while_the_last_item_of_a_map_with_a_death_runs)
{
        mproc_pool *pool = make_pool(ctx, 3, NULL);
        int64_t *items = numbers(8), results[8];
        mproc_map_opts opts = { .chunk = 1 };
        mproc_worker_stats workers[3];
        int64_t before = cpu_ms(CLOCK_PROCESS_CPUTIME_ID);
        mproc_future *future;

        CHECK_OK(mproc_pool_map_async(pool, die_then_sleep, items, 8, sizeof *items, results, sizeof *results, &opts,
                                      &future));
        CHECK_CODE(mproc_future_get(future, NULL, 0, NULL, LONG_MS), MPROC_EWORKER);
        CHECK(cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - before < 200);
        CHECK_OK(mproc_pool_stats(pool, NULL, workers, 3));
        for (int i = 0; i < 3; i++)
                CHECK(cpu_ms_of(workers[i].pid) < 200);
        mproc_future_free(future);
        free(items);
        finish_pool(pool);
}

/* --- callbacks ------------------------------------------------------------------------------------------------ */

struct chain {
        mproc_pool *pool;
        atomic_int called;
};

static void
give_the_next(mproc_future *future, void *arg)
{
        struct chain *chain = arg;
        mproc_future *next;

        mproc_future_free(future);
        if (atomic_fetch_add(&chain->called, 1) >= 200)
                return;
        CHECK_OK(mproc_pool_apply_async(chain->pool, add, MPROC_ARGS(1, 2), &next));
        CHECK_OK(mproc_future_on_done(next, give_the_next, chain));
}

TEST(callbacks_free_their_futures_and_give_tasks)
{
        struct chain chain = { .pool = make_pool(NULL, 2, NULL) };

        for (int i = 0; i < 5; i++)
                CHECK_OK(mproc_future_on_done(give_task(chain.pool, add, MPROC_ARGS(i, 1)), give_the_next, &chain));
        while (chain.called < 205)
                (void)mproc_pool_run(chain.pool, 50);
        finish_pool(chain.pool);
}

/* --- hosts ------------------------------------------------------------------------------------------------------ */

START_METHOD_TEST(a_host_that_ignores_sigchld_has_deaths_replaced)
{
        mproc_pool *pool;
        int64_t sum = 0;

        (void)signal(SIGCHLD, SIG_IGN);
        pool = make_pool(ctx, 2, NULL);
        for (int i = 0; i < 3; i++) {
                CHECK_CODE(mproc_pool_apply(pool, kill_myself, MPROC_NO_ARGS, NULL, 0, NULL), MPROC_EWORKER);
                CHECK_OK(mproc_pool_apply(pool, add, MPROC_ARGS(i, 2), &sum, sizeof sum, NULL));
                CHECK_INT(sum, i + 2);
        }
        finish_pool(pool);
        (void)signal(SIGCHLD, SIG_DFL);
}

START_METHOD_TEST(few_descriptors_fail_a_create_with_words_and_leave_none)
{
        struct rlimit old, few;
        mproc_pool *pool = make_pool(ctx, 1, NULL);
        int before, failed = 0;

        finish_pool(pool);
        before = count_fds();
        CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
        for (rlim_t n = 4; n < 40; n += 2) {
                few = old;
                few.rlim_cur = n;
                CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
                if (mproc_pool_create(ctx, 2, NULL, &pool) == 0) {
                        CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
                        finish_pool(pool);
                } else {
                        CHECK(strlen(mproc_last_error()) > 0);
                        CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
                        failed++;
                }
                CHECK_MSG(count_fds() <= before, "limit %d: %d descriptors, %d before:\n%s", (int)n, count_fds(),
                          before, list_fds());
        }
        CHECK(failed > 0);
}

/* The dead cannot be replaced while there are no descriptors: the pool is given up, or gets on. */
START_METHOD_TEST(a_death_without_descriptors_for_a_replacement_hangs_nobody)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        struct rlimit old, few;
        mproc_future *f[8];

        for (int i = 0; i < 8; i++)
                f[i] = i % 2 ? give_task(pool, add, MPROC_ARGS(i, 1)) : give_task(pool, kill_myself, MPROC_NO_ARGS);
        CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
        few = old;
        few.rlim_cur = 3;
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        for (int i = 0; i < 8; i++) {
                CHECK(mproc_future_wait(f[i], LONG_MS) == 0);
                mproc_future_free(f[i]);
        }
        CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
        mproc_pool_free(pool);
}

/* --- leaving, forking ---------------------------------------------------------------------------------------------
 */

static int
leave_with_a_pool(mproc_args *args)
{
        mproc_context *ctx;
        mproc_pool *pool;
        mproc_event *event = mproc_args_event(args, 1);

        CHECK_OK(mproc_get_context(mproc_args_string(args, 0), &ctx));
        pool = make_pool(ctx, 2, NULL);
        (void)give_task(pool, hang, MPROC_ARGS(event));
        CHECK_OK(mproc_event_wait(event, LONG_MS));
        exit(0);
}

START_METHOD_TEST(who_leaves_by_exit_takes_its_workers_along)
{
        mproc_process *process;
        mproc_event *event;
        int exitcode;

        CHECK_OK(mproc_event_create(ctx, &event));
        CHECK_OK(mproc_process_create(ctx, leave_with_a_pool, MPROC_ARGS(method, event), &process));
        CHECK_OK(mproc_process_start(process));
        CHECK_OK(mproc_process_join(process, LONG_MS));
        CHECK_OK(mproc_process_exitcode(process, &exitcode));
        CHECK_INT(exitcode, 0);
        mproc_process_free(process);
        mproc_event_free(event);
}

static void *
run_pool(void *pool)
{
        while (mproc_pool_run(pool, MPROC_FOREVER) == 0)
                (void)usleep(500);
        return NULL;
}

START_METHOD_TEST(forks_beside_a_driver_disturb_nobody)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        pthread_t thread;
        int64_t sum = 0;

        CHECK(pthread_create(&thread, NULL, run_pool, pool) == 0);
        for (int i = 0; i < 50; i++) {
                mproc_future *f = give_task(pool, add, MPROC_ARGS(i, 1));
                pid_t child = fork();
                int status;

                CHECK(child >= 0);
                if (child == 0) {
                        mproc_future_free(f);
                        mproc_pool_free(pool);
                        _exit(mproc_pool_close(pool) == MPROC_ENOTCHILD ? 0 : 1);
                }
                CHECK(waitpid(child, &status, 0) == child && status == 0);
                CHECK_OK(mproc_future_get_int(f, &sum, LONG_MS));
                CHECK_INT(sum, i + 1);
                mproc_future_free(f);
        }
        CHECK_OK(mproc_pool_terminate(pool));
        CHECK(pthread_join(thread, NULL) == 0);
        mproc_pool_free(pool);
}

/* --- a stop at any moment -------------------------------------------------------------------------------------- */

static mproc_pool *to_stop;

static void
stop_it(int number)
{
        (void)number;
        mproc_pool_stop(to_stop);
}

static int
spin_shortly(const void *item, void *result, const void *shared)
{
        (void)shared;
        for (volatile int i = 0; i < 2000; i++)
                ;
        *(int64_t *)result = *(const int64_t *)item;
        return 0;
}

TEST(a_stop_by_a_signal_comes_through_at_any_moment)
{
        int64_t *items = numbers(20000), *results = calloc(20000, sizeof *results);
        mproc_map_opts opts = { .chunk = 20 };

        (void)signal(SIGALRM, stop_it);
        for (int i = 0; i < 25; i++) {
                struct itimerspec when = { .it_value = { .tv_nsec = 1000 + i * i * 20000 } };
                struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
                timer_t timer;
                int r;

                to_stop = make_pool(NULL, 2, NULL);
                CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
                CHECK(timer_settime(timer, 0, &when, NULL) == 0);
                while ((r = mproc_pool_map_opts(to_stop, spin_shortly, items, 20000, sizeof *items, results,
                                                sizeof *results, &opts)) == 0)
                        ;
                CHECK_MSG(r == MPROC_ECANCELLED || r == MPROC_ECLOSED, "%s", mproc_last_error());
                CHECK(timer_delete(timer) == 0);
                mproc_pool_free(to_stop);
        }
        free(items);
        free(results);
}
