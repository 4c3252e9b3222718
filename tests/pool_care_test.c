/* SPDX-License-Identifier: MIT */
/*
 * pool_care_test.c - what a pool owes to programs that only ask it, to tasks that use an initializer's objects, and
 * to who looks at the progress.
 *
 * Runs in: test processes.
 */
#include "pool_help.h"

/* --- asking, and never waiting ------------------------------------------------------------------------------------
 */

static void
ask_until_done(mproc_future *future)
{
        while (mproc_future_ready(future) == 0)
                (void)usleep(1000);
        CHECK_INT(mproc_future_ready(future), 1);
}

START_METHOD_TEST(who_only_asks_sees_deaths)
{
        mproc_pool *pool = make_pool(ctx, 1, NULL);
        mproc_future *first = give_task(pool, kill_myself, MPROC_NO_ARGS),
                     *second = give_task(pool, add, MPROC_ARGS(1, 2));
        int64_t sum = 0;
        int r;

        ask_until_done(first);
        CHECK_CODE(mproc_future_wait(first, MPROC_NOWAIT), 0);
        while ((r = mproc_future_get_int(second, &sum, MPROC_NOWAIT)) == MPROC_ETIMEDOUT)
                (void)usleep(1000);
        CHECK_OK(r);
        CHECK_INT(sum, 3);
        mproc_future_free(first);
        mproc_future_free(second);
        finish_pool(pool);
}

TEST(who_only_asks_keeps_time_limits)
{
        mproc_pool_opts opts = { .time_limit_ms = 50 };
        mproc_pool *pool = make_pool(NULL, 1, &opts);
        mproc_event *event;
        mproc_future *future;
        mproc_task_report report;

        CHECK_OK(mproc_event_create(NULL, &event));
        future = give_task(pool, hang, MPROC_ARGS(event));
        while (mproc_future_report(future, &report) == MPROC_ERUNNING)
                (void)usleep(1000);
        CHECK_INT(report.code, MPROC_EOVERTIME);
        mproc_future_free(future);
        mproc_event_free(event);
        finish_pool(pool);
}

/* --- an initializer's objects
 * --------------------------------------------------------------------------------------- */

static mproc_array *array;
static mproc_queue *queue;

static int
keep_objects(mproc_args *args)
{
        array = mproc_args_array(args, 0);
        queue = mproc_args_queue(args, 1);
        return 0;
}

static int
fill_in(const void *item, void *result, const void *shared)
{
        uint64_t n = mproc_task_number();

        (void)item;
        (void)result;
        (void)shared;
        ((uint64_t *)mproc_array_data(array))[n] = n + 1;
        return n == 0 ? mproc_queue_put(queue, "done", 5, MPROC_FOREVER) : 0;
}

START_METHOD_TEST(objects_of_an_initializer_live_as_long_as_the_worker)
{
        enum { COUNT = 1000 };
        mproc_array *a;
        mproc_queue *q;
        mproc_pool *pool;
        char text[8];

        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(uint64_t), COUNT, &a));
        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        pool = make_pool(ctx, 2,
                         &(mproc_pool_opts){ .initializer = keep_objects, .initializer_args = MPROC_ARGS(a, q) });
        CHECK_OK(mproc_pool_map(pool, fill_in, NULL, COUNT, 0, NULL, 0));
        for (uint64_t i = 0; i < COUNT; i++)
                CHECK_INT(((uint64_t *)mproc_array_data(a))[i], i + 1);
        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, LONG_MS));
        finish_pool(pool);
        mproc_queue_free(q);
        mproc_array_free(a);
}

/* --- progress
 * ------------------------------------------------------------------------------------------------------- */

struct seen {
        unsigned calls;
        mproc_progress last;
};

static void
look(mproc_pool *pool, const mproc_progress *progress, void *arg)
{
        struct seen *seen = arg;

        (void)pool;
        CHECK(progress->tasks > 0);
        CHECK(progress->done <= progress->tasks);
        CHECK(progress->done >= seen->last.done);
        seen->calls++;
        seen->last = *progress;
}

static int
take_a_moment(const void *item, void *result, const void *shared)
{
        (void)item;
        (void)result;
        (void)shared;
        return usleep(20000) == 0 ? 0 : -EINTR;
}

/* A task with an object goes to its worker by another way, and is work as any other. */
TEST(progress_is_told_of_tasks_with_objects)
{
        struct seen seen = { .calls = 0 };
        mproc_pool *pool = make_pool(NULL, 1, &(mproc_pool_opts){ .progress = look, .progress_arg = &seen });
        mproc_event *event;
        mproc_future *future;

        CHECK_OK(mproc_event_create(NULL, &event));
        future = give_task(pool, hang, MPROC_ARGS(event));
        CHECK_OK(mproc_event_wait(event, scaled_ms(LONG_MS)));
        while (seen.calls == 0)
                CHECK_CODE(mproc_pool_run(pool, 10), MPROC_ETIMEDOUT);
        CHECK_INT(seen.last.tasks, 1);
        CHECK_INT(seen.last.done, 0);
        CHECK_OK(mproc_future_cancel(future));
        mproc_future_free(future);
        mproc_event_free(event);
        finish_pool(pool);
}

TEST(progress_is_told_to_the_end)
{
        struct seen seen = { .calls = 0 };
        mproc_pool *pool = make_pool(NULL, 2, &(mproc_pool_opts){ .progress = look, .progress_arg = &seen });
        unsigned calls;

        CHECK_INT(seen.calls, 0); /* there is nothing to tell of a pool that has been given nothing */
        CHECK_OK(mproc_pool_map(pool, take_a_moment, NULL, 21, 0, NULL, 0));
        CHECK(seen.calls >= 2);
        CHECK_INT(seen.last.tasks, 21);
        CHECK_INT(seen.last.done, 21);
        CHECK(seen.last.rate > 0);
        calls = seen.calls;
        finish_pool(pool);
        CHECK_INT(seen.calls, calls);
}
