/* SPDX-License-Identifier: MIT */
/*
 * value_test.c - values: one number for many, and no addition is lost.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <mproc/array.h>
#include <mproc/queue_args.h>

static mproc_value *
make(mproc_context *ctx, mproc_type type)
{
        mproc_value *value;

        CHECK_OK(mproc_value_create(ctx, type, &value));
        return value;
}

/* --- one process ------------------------------------------------------------------------------------- */

static void
check_bounds(mproc_type type, int64_t least, uint64_t most)
{
        mproc_value *value = make(NULL, type);
        int64_t before;

        CHECK_INT(mproc_value_int(value), 0);
        CHECK_OK(mproc_value_set(value, least));
        CHECK_INT(mproc_value_int(value), least);
        CHECK_CODE(mproc_value_add(value, -1), -ERANGE);
        CHECK_OK(mproc_value_add_int(value, 1, &before));
        CHECK_INT(before, least);
        CHECK_OK(mproc_value_set(value, most));
        CHECK(mproc_value_uint(value) == most);
        CHECK_CODE(mproc_value_add(value, 1), -ERANGE);
        CHECK(mproc_value_uint(value) == most); /* it stays what it was */
        CHECK_OK(mproc_value_add(value, -1));
        CHECK(mproc_value_uint(value) == most - 1);
        CHECK_CODE(mproc_value_set(value, 0.5), -ERANGE);
        if (least > INT64_MIN)
                CHECK_CODE(mproc_value_set(value, least - 1), -ERANGE);
        if (most < UINT64_MAX)
                CHECK_CODE(mproc_value_set(value, most + 1), -ERANGE);
        CHECK_OK(mproc_value_set(value, 1.0));
        CHECK_INT(mproc_value_int(value), 1);
        CHECK(mproc_value_double(value) == 1.0);
        mproc_value_free(value);
}

TEST(every_whole_type_has_its_bounds)
{
        check_bounds(MPROC_TYPE(_Bool), 0, 1);
        check_bounds(MPROC_TYPE(char), (char)-1 < 0 ? INT8_MIN : 0, (char)-1 < 0 ? INT8_MAX : UINT8_MAX);
        check_bounds(MPROC_TYPE(int8_t), INT8_MIN, INT8_MAX);
        check_bounds(MPROC_TYPE(uint8_t), 0, UINT8_MAX);
        check_bounds(MPROC_TYPE(int16_t), INT16_MIN, INT16_MAX);
        check_bounds(MPROC_TYPE(uint16_t), 0, UINT16_MAX);
        check_bounds(MPROC_TYPE(int32_t), INT32_MIN, INT32_MAX);
        check_bounds(MPROC_TYPE(uint32_t), 0, UINT32_MAX);
        check_bounds(MPROC_TYPE(int64_t), INT64_MIN, INT64_MAX);
        check_bounds(MPROC_TYPE(uint64_t), 0, UINT64_MAX);
}

TEST(real_values)
{
        mproc_value *value = make(NULL, MPROC_TYPE(double));
        double before;

        CHECK_OK(mproc_value_set(value, 2.5));
        CHECK_INT(mproc_value_int(value), 2);
        CHECK_OK(mproc_value_add(value, 1));
        CHECK_OK(mproc_value_add_double(value, 0.25, &before));
        CHECK(before == 3.5);
        CHECK(mproc_value_double(value) == 3.75);
        CHECK_OK(mproc_value_set(value, 1e300));
        CHECK(mproc_value_int(value) == INT64_MAX && mproc_value_uint(value) == UINT64_MAX);
        CHECK_OK(mproc_value_set(value, -1e300));
        CHECK(mproc_value_int(value) == INT64_MIN && mproc_value_uint(value) == 0);
        CHECK_OK(mproc_value_set(value, (double)NAN));
        CHECK(mproc_value_int(value) == 0 && mproc_value_uint(value) == 0 && isnan(mproc_value_double(value)));
        mproc_value_free(value);

        value = make(NULL, MPROC_TYPE(float));
        CHECK_OK(mproc_value_set(value, 0.1f));
        CHECK(mproc_value_double(value) == (double)0.1f);
        CHECK(*(float *)mproc_value_data(value) == 0.1f);
        CHECK_CODE(mproc_value_set(value, 1e300), -ERANGE);
        CHECK_OK(mproc_value_set(value, (double)INFINITY));
        CHECK_OK(mproc_value_set(value, -7));
        CHECK(mproc_value_double(value) == -7.0);
        mproc_value_free(value);
}

TEST(values_are_exchanged)
{
        mproc_value *value = make(NULL, MPROC_TYPE(short));
        int64_t x = 0;

        CHECK_OK(mproc_value_exchange(value, -300, &x));
        CHECK_INT(x, 0);
        CHECK_OK(mproc_value_exchange(value, 5, NULL));
        CHECK_CODE(mproc_value_exchange(value, 40000, &x), -ERANGE);
        x = 4;
        CHECK_INT(mproc_value_compare_exchange(value, &x, 9), 0);
        CHECK_INT(x, 5);
        CHECK_INT(mproc_value_compare_exchange(value, &x, 9), 1);
        CHECK_INT(mproc_value_int(value), 9);
        CHECK_INT(*(short *)mproc_value_data(value), 9);
        CHECK_INT(mproc_value_type(value), MPROC_TYPE_INT16);
        mproc_value_free(value);
}

TEST(wrong_use_of_a_value_is_told)
{
        mproc_value_opts opts = { .lock = 7 };
        mproc_value *value = NULL;
        int64_t x = 0;

        CHECK_CODE(mproc_value_create(NULL, MPROC_TYPE_OTHER, &value), -EINVAL);
        CHECK_CODE(mproc_value_create(NULL, (mproc_type)99, &value), -EINVAL);
        CHECK_CODE(mproc_value_create(NULL, MPROC_TYPE(long double), &value), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "long double");
        CHECK_CODE(mproc_value_create_opts(NULL, MPROC_TYPE(int), &opts, &value), -EINVAL);
        CHECK(!value);
        CHECK(mproc_value_int(NULL) == 0 && mproc_value_uint(NULL) == 0 && mproc_value_double(NULL) == 0);
        CHECK(!mproc_value_data(NULL) && !mproc_value_lock(NULL) && !mproc_value_type(NULL));
        CHECK_CODE(mproc_value_set((mproc_value *)NULL, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_value_add((mproc_value *)NULL, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_value_exchange(NULL, 1, NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_value_compare_exchange(NULL, &x, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_value_acquire(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_value_release(NULL), MPROC_EHANDLE);
        CHECK_CONTAINS(mproc_last_error(), "a value is wanted");
        mproc_value_free(NULL);
}

TEST(a_value_without_a_lock_has_none)
{
        mproc_value_opts opts = { .lock = -1 };
        mproc_value *value;

        CHECK_OK(mproc_value_create_opts(NULL, MPROC_TYPE(int), &opts, &value));
        CHECK(!mproc_value_lock(value));
        CHECK_CODE(mproc_value_acquire(value, 0), MPROC_EUNSUPPORTED);
        CHECK_CODE(mproc_value_release(value), MPROC_EUNSUPPORTED);
        mproc_value_free(value);
}

static int
open_descriptors(void)
{
        DIR *directory = opendir("/proc/self/fd");
        int count = 0;

        CHECK(directory);
        while (readdir(directory))
                count++;
        closedir(directory);
        return count;
}

TEST(thousands_of_values_cost_no_descriptors)
{
        mproc_value *values[3000];
        int before;

        values[0] = make(NULL, MPROC_TYPE(int));
        before = open_descriptors();
        for (int i = 1; i < 3000; i++)
                values[i] = make(NULL, MPROC_TYPE(int));
        CHECK(open_descriptors() <= before + 2);
        for (int i = 0; i < 3000; i++)
                mproc_value_free(values[i]);
}

/* --- several processes --------------------------------------------------------------------------------- */

static int
count_up(mproc_args *args)
{
        mproc_value *whole = mproc_args_value(args, 0), *real = mproc_args_value(args, 1);

        for (int i = 0; i < 20000; i++) {
                CHECK_OK(mproc_value_add(whole, 1));
                CHECK_OK(mproc_value_add(real, 0.5));
        }
        return 0;
}

START_METHOD_TEST(no_addition_is_lost)
{
        mproc_value *whole = make(ctx, MPROC_TYPE(int)), *real = make(ctx, MPROC_TYPE(double));
        mproc_process *children[3];

        for (int i = 0; i < 3; i++)
                children[i] = start(ctx, count_up, MPROC_ARGS(whole, real));
        for (int i = 0; i < 3; i++)
                finish(children[i], 0);
        CHECK_INT(mproc_value_int(whole), 60000);
        CHECK(mproc_value_double(real) == 30000.0);
        mproc_value_free(whole);
        mproc_value_free(real);
}

static int
double_it(mproc_args *args)
{
        mproc_value *value = mproc_args_value(args, 0);
        int r = mproc_value_acquire(value, LONG_MS);

        CHECK(r == 0 || r == MPROC_OWNER_DIED);
        CHECK_OK(mproc_value_set(value, mproc_value_int(value) * 2));
        if (mproc_args_int(args, 1))
                return raise(SIGKILL);
        return mproc_value_release(value);
}

START_METHOD_TEST(the_lock_of_a_value_tells_of_the_dead)
{
        mproc_value *value = make(ctx, MPROC_TYPE(long));

        CHECK_OK(mproc_value_set(value, 3));
        finish(start(ctx, double_it, MPROC_ARGS(value, 0)), 0);
        finish(start(ctx, double_it, MPROC_ARGS(value, 1)), -SIGKILL);
        CHECK_INT(mproc_value_acquire(value, LONG_MS), MPROC_OWNER_DIED);
        CHECK_INT(mproc_value_int(value), 12);
        CHECK_OK(mproc_value_release(value));
        mproc_value_free(value);
}

static int
work_on_messages(mproc_args *args)
{
        mproc_queue *queue = mproc_args_queue(args, 0);

        for (int i = 0; i < 50; i++) {
                mproc_args *message;

                CHECK_OK(mproc_queue_get_args(queue, &message, LONG_MS));
                CHECK_OK(mproc_value_add(mproc_args_value(message, 0), i));
                mproc_args_free(message);
        }
        return 0;
}

START_METHOD_TEST(values_are_messages)
{
        mproc_queue_opts opts = MPROC_QUEUE_OPTS_INIT;
        mproc_value *values[50];
        mproc_process *child;
        mproc_queue *queue;

        opts.objects = 1;
        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        child = start(ctx, work_on_messages, MPROC_ARGS(queue));
        for (int i = 0; i < 50; i++) {
                values[i] = make(ctx, MPROC_TYPE(int));
                CHECK_OK(mproc_queue_put_args(queue, MPROC_ARGS(values[i]), LONG_MS));
        }
        finish(child, 0);
        for (int i = 0; i < 50; i++) {
                CHECK_INT(mproc_value_int(values[i]), i);
                mproc_value_free(values[i]);
        }
        mproc_queue_free(queue);
}

TEST(a_value_of_the_fork_context_stays_there)
{
        mproc_context *fork_ctx, *spawn_ctx;
        mproc_process *process;
        mproc_value *value;

        CHECK_OK(mproc_get_context("fork", &fork_ctx));
        CHECK_OK(mproc_get_context("spawn", &spawn_ctx));
        value = make(fork_ctx, MPROC_TYPE(int));
        CHECK_OK(mproc_process_create(spawn_ctx, count_up, MPROC_ARGS(value), &process));
        CHECK_CODE(mproc_process_start(process), MPROC_ECONTEXT);
        CHECK_CONTAINS(mproc_last_error(), "argument 0 is a value made in the fork context");
        mproc_process_free(process);
        mproc_value_free(value);
}

/* A killed adder has added or has not: the sum is what all who lived have told, or that and one for each of the dead.
 */
static int
count_until_killed(mproc_args *args)
{
        mproc_value *sum = mproc_args_value(args, 0), *told = mproc_args_value(args, 1);

        for (;;) {
                CHECK_OK(mproc_value_add(sum, 1));
                CHECK_OK(mproc_value_add(told, 1));
        }
        return 0;
}

START_METHOD_TEST(killed_adders_leave_a_whole_number)
{
        mproc_value *sum = make(ctx, MPROC_TYPE(uint64_t)), *told = make(ctx, MPROC_TYPE(uint64_t));
        uint64_t difference;

        for (int i = 0; i < 5; i++) {
                uint64_t before = mproc_value_uint(told);
                mproc_process *child = start(ctx, count_until_killed, MPROC_ARGS(sum, told));

                WAIT_UNTIL(mproc_value_uint(told) > before + 100, LONG_MS);
                CHECK_OK(mproc_process_kill(child));
                finish(child, -SIGKILL);
        }
        difference = mproc_value_uint(sum) - mproc_value_uint(told);
        CHECK(difference <= 5);
        mproc_value_free(sum);
        mproc_value_free(told);
}
