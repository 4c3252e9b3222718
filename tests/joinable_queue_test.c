/* SPDX-License-Identifier: MIT */
/*
 * joinable_queue_test.c - tasks are waited for, and no death makes that wait for ever.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static mproc_queue *
make_queue(mproc_context *ctx, size_t maxsize)
{
        mproc_queue *queue;

        CHECK_OK(mproc_joinable_queue_create(ctx, maxsize, &queue));
        return queue;
}

static void
put(mproc_queue *queue, uint32_t number)
{
        CHECK_OK(mproc_queue_put(queue, &number, sizeof number, scaled_ms(LONG_MS)));
}

static uint32_t
get(mproc_queue *queue)
{
        uint32_t number;

        CHECK_OK(mproc_queue_get(queue, &number, sizeof number, NULL, scaled_ms(LONG_MS)));
        return number;
}

static size_t
unfinished(mproc_queue *queue)
{
        size_t count;

        CHECK_OK(mproc_queue_unfinished(queue, &count));
        return count;
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(tasks_are_unfinished_until_they_are_done)
{
        mproc_queue *q = make_queue(NULL, 0);

        CHECK_OK(mproc_queue_join(q, MPROC_FOREVER)); /* nothing to wait for */
        for (unsigned round = 0; round < 30; round++) {
                for (uint32_t i = 0; i < 5; i++) {
                        CHECK_INT(unfinished(q), i);
                        put(q, i);
                }
                CHECK_CODE(mproc_queue_task_done(q), MPROC_ERELEASED);
                for (uint32_t i = 0; i < 5; i++)
                        CHECK_INT(get(q), i);
                CHECK_INT(unfinished(q), 5);
                for (uint32_t i = 5; i > 0; i--) {
                        CHECK_CODE(mproc_queue_join(q, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                        CHECK_INT(unfinished(q), i);
                        CHECK_OK(mproc_queue_task_done(q));
                }
                CHECK_OK(mproc_queue_join(q, MPROC_NOWAIT));
                CHECK_CODE(mproc_queue_task_done(q), MPROC_ERELEASED);
                CHECK_CONTAINS(mproc_last_error(), "more often");
        }
        mproc_queue_free(q);
}

TEST(joining_keeps_its_timeout)
{
        mproc_queue *q = make_queue(NULL, 0);
        int64_t begun = monotonic_ms();

        put(q, 1);
        CHECK_CODE(mproc_queue_join(q, 250), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "1 task");
        CHECK(monotonic_ms() - begun >= 249);
        mproc_queue_free(q);
}

TEST(a_leased_task_is_done_by_its_ack)
{
        mproc_queue *q = make_queue(NULL, 0);
        mproc_lease lease;
        uint32_t number;

        put(q, 1);
        put(q, 2);
        CHECK_OK(mproc_queue_get_leased(q, &number, sizeof number, NULL, &lease, 0));
        CHECK_CODE(mproc_queue_task_done(q), MPROC_ERELEASED);
        CHECK_INT(unfinished(q), 2);
        CHECK_OK(mproc_lease_return(&lease));
        CHECK_INT(unfinished(q), 2);
        CHECK_INT(get(q), 1); /* given back, then taken without a lease */
        CHECK_INT(unfinished(q), 2);
        CHECK_OK(mproc_queue_task_done(q));
        CHECK_OK(mproc_queue_get_leased(q, &number, sizeof number, NULL, &lease, 0));
        CHECK_INT(number, 2);
        CHECK_CODE(mproc_queue_join(q, 0), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_lease_ack(&lease));
        CHECK_OK(mproc_queue_join(q, 0));
        mproc_queue_free(q);
}

TEST(only_a_joinable_queue_counts)
{
        mproc_queue_opts opts = { .leases = 3 };
        mproc_queue *plain, *leasing, *q = make_queue(NULL, 0);
        size_t count;

        CHECK_OK(mproc_queue_create(NULL, 0, &plain));
        CHECK_OK(mproc_queue_create_opts(NULL, &opts, &leasing));
        CHECK_CODE(mproc_queue_join(plain, 0), MPROC_EUNSUPPORTED);
        CHECK_CODE(mproc_queue_task_done(plain), MPROC_EUNSUPPORTED);
        CHECK_CODE(mproc_queue_unfinished(leasing, &count), MPROC_EUNSUPPORTED);
        CHECK_CODE(mproc_queue_drop_lost(leasing, &count), MPROC_EUNSUPPORTED);
        CHECK_CONTAINS(mproc_last_error(), "mproc_joinable_queue_create");
        CHECK_CODE(mproc_queue_join(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_queue_task_done(NULL), MPROC_EHANDLE);
        CHECK_OK(mproc_queue_drop_lost(q, &count));
        CHECK_INT(count, 0);
        CHECK_OK(mproc_queue_close(q));
        CHECK_CODE(mproc_queue_join(q, 0), MPROC_ECLOSED);
        CHECK_CODE(mproc_queue_task_done(q), MPROC_ECLOSED);
        mproc_queue_free(plain);
        mproc_queue_free(leasing);
        mproc_queue_free(q);
}

TEST(many_tasks_may_be_taken_at_a_time)
{
        enum { MANY = 65536 };
        mproc_queue *q = make_queue(NULL, 0);

        for (uint32_t i = 0; i <= MANY; i++)
                put(q, i);
        for (uint32_t i = 0; i < MANY; i++)
                CHECK_INT(get(q), i);
        CHECK_CODE(mproc_queue_get(q, &(uint32_t){ 0 }, 4, NULL, 0), -ENOBUFS);
        CHECK_INT(unfinished(q), MANY + 1);
        for (uint32_t i = 0; i < MANY; i++)
                CHECK_OK(mproc_queue_task_done(q));
        CHECK_INT(get(q), MANY);
        CHECK_OK(mproc_queue_task_done(q));
        CHECK_OK(mproc_queue_join(q, 0));
        mproc_queue_free(q);
}

/* --- threads ------------------------------------------------------------------------------------------- */

struct working {
        mproc_queue *queue;
        atomic_uint done;
        atomic_int joined;
};

static void *
work(void *arg)
{
        struct working *w = arg;

        while (get(w->queue) != 0) {
                atomic_fetch_add(&w->done, 1);
                CHECK_OK(mproc_queue_task_done(w->queue));
        }
        CHECK_OK(mproc_queue_task_done(w->queue));
        return NULL;
}

static void *
join(void *arg)
{
        struct working *w = arg;

        w->joined = mproc_queue_join(w->queue, scaled_ms(LONG_MS)) == 0 ? 1 : -1;
        return NULL;
}

TEST(join_returns_when_the_last_task_is_done)
{
        mproc_queue *q = make_queue(NULL, 10);
        struct working w = { .queue = q };
        pthread_t worker[3], joiner[2];

        for (int i = 0; i < 3; i++)
                CHECK_INT(pthread_create(&worker[i], NULL, work, &w), 0);
        for (unsigned round = 1; round <= 100; round++) {
                for (uint32_t i = 0; i < 20; i++)
                        put(q, 1 + i);
                CHECK_OK(mproc_queue_join(q, scaled_ms(LONG_MS)));
                CHECK_INT(w.done, round * 20);
        }
        put(q, 7);
        for (int i = 0; i < 2; i++)
                CHECK_INT(pthread_create(&joiner[i], NULL, join, &w), 0);
        for (int i = 0; i < 3; i++)
                put(q, 0);
        for (int i = 0; i < 2; i++)
                CHECK_INT(pthread_join(joiner[i], NULL), 0);
        CHECK_INT(w.joined, 1);
        for (int i = 0; i < 3; i++)
                CHECK_INT(pthread_join(worker[i], NULL), 0);
        mproc_queue_free(q);
}

TEST(closing_sends_away_who_joins)
{
        mproc_queue *q = make_queue(NULL, 10);
        struct working w = { .queue = q };
        pthread_t joiner;

        put(q, 7);
        CHECK_INT(pthread_create(&joiner, NULL, join, &w), 0);
        sleep_ms(3);
        CHECK_OK(mproc_queue_close(q));
        CHECK_INT(pthread_join(joiner, NULL), 0);
        CHECK_INT(w.joined, -1);
        mproc_queue_free(q);
}

/* --- processes ---------------------------------------------------------------------------------------- */

static int
consume(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);

        while (get(q) != 0)
                CHECK_OK(mproc_queue_task_done(q));
        CHECK_OK(mproc_queue_task_done(q));
        return 0;
}

START_METHOD_TEST(processes_do_all_tasks)
{
        mproc_queue *q = make_queue(ctx, 0);
        mproc_process *consumer[3];

        for (int i = 0; i < 3; i++)
                consumer[i] = start(ctx, consume, MPROC_ARGS(q));
        for (unsigned round = 0; round < 5; round++) {
                for (uint32_t i = 0; i < 300; i++)
                        put(q, i + 1);
                CHECK_OK(mproc_queue_join(q, scaled_ms(LONG_MS)));
                CHECK_INT(unfinished(q), 0);
        }
        for (int i = 0; i < 3; i++)
                put(q, 0);
        CHECK_OK(mproc_queue_join(q, scaled_ms(LONG_MS)));
        for (int i = 0; i < 3; i++)
                finish(consumer[i], 0);
        mproc_queue_free(q);
}

/* Takes so many tasks, leased or not, does one, and dies. */
static int
take_and_die(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        bool with_leases = mproc_args_int(args, 2);
        mproc_lease lease;

        for (int64_t i = mproc_args_int(args, 1); i > 0; i--)
                if (with_leases)
                        CHECK_OK(mproc_queue_get_leased(q, &(uint32_t){ 0 }, 4, NULL, &lease, scaled_ms(LONG_MS)));
                else
                        (void)get(q);
        CHECK_OK(with_leases ? mproc_lease_ack(&lease) : mproc_queue_task_done(q));
        (void)raise(SIGKILL);
        return 0;
}

START_METHOD_TEST(tasks_of_the_dead_are_reported)
{
        mproc_process_opts opts = { .name = "careless" };
        mproc_queue *q = make_queue(ctx, 0);
        mproc_process *p;
        size_t count;
        char *words;

        for (uint32_t i = 1; i <= 6; i++)
                put(q, i);
        CHECK_OK(mproc_process_create_opts(ctx, take_and_die, MPROC_ARGS(q, 4, 0), &opts, &p));
        CHECK_OK(mproc_process_start(p));
        CHECK_CODE(mproc_queue_join(q, scaled_ms(LONG_MS)), MPROC_ELOST); /* it waits until then */
        CHECK_CONTAINS(mproc_last_error(), "3 tasks");
        words = text_format("'careless' (pid %ld)", (long)mproc_process_pid(p));
        CHECK_CONTAINS(mproc_last_error(), words);
        free(words);
        CHECK_CODE(mproc_queue_join(q, 0), MPROC_ELOST); /* and again: nothing has been done about it */
        finish(p, -SIGKILL);
        CHECK_INT(unfinished(q), 5);
        CHECK_OK(mproc_queue_task_done(q)); /* one has been done again */
        CHECK_CODE(mproc_queue_join(q, 0), MPROC_ELOST);
        CHECK_CONTAINS(mproc_last_error(), "2 tasks");
        CHECK_OK(mproc_queue_drop_lost(q, &count));
        CHECK_INT(count, 2);
        CHECK_CODE(mproc_queue_join(q, 0), MPROC_ETIMEDOUT);
        for (uint32_t i = 5; i <= 6; i++) {
                CHECK_INT(get(q), i);
                CHECK_OK(mproc_queue_task_done(q));
        }
        CHECK_OK(mproc_queue_join(q, 0));
        mproc_queue_free(q);
}

START_METHOD_TEST(leased_tasks_of_the_dead_come_back)
{
        mproc_queue *q = make_queue(ctx, 0);
        mproc_process *p, *consumer;

        for (uint32_t i = 1; i <= 6; i++)
                put(q, i);
        p = start(ctx, take_and_die, MPROC_ARGS(q, 4, 1));
        finish(p, -SIGKILL);
        CHECK_INT(unfinished(q), 5);
        consumer = start(ctx, consume, MPROC_ARGS(q));
        put(q, 0);
        CHECK_OK(mproc_queue_join(q, scaled_ms(LONG_MS)));
        finish(consumer, 0);
        mproc_queue_free(q);
}

static int
get_only(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        mproc_queue *done = mproc_args_queue(args, 1);

        for (uint32_t number = 1; number != 0;)
                put(done, number = get(q));
        CHECK_OK(mproc_queue_join(done, scaled_ms(LONG_MS))); /* not before the other has done all in our name */
        return 0;
}

START_METHOD_TEST(one_process_may_finish_what_another_took)
{
        mproc_queue *q = make_queue(ctx, 0), *through = make_queue(ctx, 0);
        mproc_process *p = start(ctx, get_only, MPROC_ARGS(q, through));

        for (uint32_t i = 20; i-- > 0;)
                put(q, i);
        for (uint32_t i = 20; i-- > 0;) {
                CHECK_INT(get(through), i);
                CHECK_OK(mproc_queue_task_done(q));
                CHECK_OK(mproc_queue_task_done(through));
        }
        CHECK_OK(mproc_queue_join(q, scaled_ms(LONG_MS)));
        finish(p, 0);
        mproc_queue_free(q);
        mproc_queue_free(through);
}
