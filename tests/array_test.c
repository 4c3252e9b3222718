/* SPDX-License-Identifier: MIT */
/*
 * array_test.c - arrays: the same items for all who have them, of every type of C.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <errno.h>
#include <mproc/array.h>
#include <mproc/queue_args.h>
#include <stdio.h>

#define COUNT 1000

struct point {
        double x, y;
        char name[8];
};

/* --- one process ------------------------------------------------------------------------------------- */

#define CHECK_TYPE(type, wanted)                                                                                     \
        do {                                                                                                         \
                mproc_array *array_;                                                                                 \
                CHECK_INT(MPROC_TYPE(type), wanted);                                                                 \
                CHECK_INT(mproc_type_size(wanted), sizeof(type));                                                    \
                CHECK_OK(mproc_array_create(NULL, MPROC_TYPE(type), 3, &array_));                                    \
                CHECK_INT(mproc_array_item_size(array_), sizeof(type));                                              \
                CHECK_INT(mproc_array_type(array_), wanted);                                                         \
                CHECK(mproc_array_data_of(array_, MPROC_TYPE(type)) == mproc_array_data(array_));                    \
                ((type *)mproc_array_data(array_))[2] = (type)1;                                                     \
                CHECK(*(type *)mproc_array_at(array_, 2) == (type)1);                                                \
                CHECK(*(type *)mproc_array_at(array_, 1) == (type)0);                                                \
                mproc_array_free(array_);                                                                            \
        } while (0)

TEST(every_type_of_numbers_has_an_array)
{
        CHECK_TYPE(_Bool, MPROC_TYPE_BOOL);
        CHECK_TYPE(char, MPROC_TYPE_CHAR);
        CHECK_TYPE(signed char, MPROC_TYPE_INT8);
        CHECK_TYPE(unsigned char, MPROC_TYPE_UINT8);
        CHECK_TYPE(short, MPROC_TYPE_INT16);
        CHECK_TYPE(uint16_t, MPROC_TYPE_UINT16);
        CHECK_TYPE(int, MPROC_TYPE_INT32);
        CHECK_TYPE(uint32_t, MPROC_TYPE_UINT32);
        CHECK_TYPE(int64_t, MPROC_TYPE_INT64);
        CHECK_TYPE(uint64_t, MPROC_TYPE_UINT64);
        CHECK_TYPE(long long, MPROC_TYPE_INT64);
        CHECK_TYPE(long, sizeof(long) == 8 ? MPROC_TYPE_INT64 : MPROC_TYPE_INT32);
        CHECK_TYPE(size_t, sizeof(size_t) == 8 ? MPROC_TYPE_UINT64 : MPROC_TYPE_UINT32);
        CHECK_TYPE(float, MPROC_TYPE_FLOAT);
        CHECK_TYPE(double, MPROC_TYPE_DOUBLE);
        CHECK_TYPE(long double, MPROC_TYPE_LONG_DOUBLE);
        CHECK_INT(MPROC_TYPE(struct point), MPROC_TYPE_OTHER);
        CHECK_STR(mproc_type_name(MPROC_TYPE_UINT16), "uint16");
        CHECK_STR(mproc_type_name((mproc_type)99), "unknown");
        CHECK_INT(mproc_type_size((mproc_type)99), 0);
}

TEST(an_array_begins_with_zeros_or_what_was_given)
{
        static const int given[5] = { 3, 1, 4, 1, 5 };
        mproc_array_opts opts = MPROC_ARRAY_OPTS_INIT;
        mproc_array *array;

        CHECK_OK(mproc_array_create(NULL, MPROC_TYPE(int), 5, &array));
        CHECK_INT(mproc_array_count(array), 5);
        for (int i = 0; i < 5; i++)
                CHECK_INT(((int *)mproc_array_data(array))[i], 0);
        mproc_array_free(array);
        opts.items = given;
        CHECK_OK(mproc_array_create_opts(NULL, MPROC_TYPE(int), 5, &opts, &array));
        CHECK_MEM(mproc_array_data(array), given, sizeof given);
        mproc_array_free(array);
        CHECK_OK(mproc_array_create_opts(NULL, MPROC_TYPE(int), 0, &opts, &array));
        CHECK_INT(mproc_array_count(array), 0);
        CHECK(!mproc_array_at(array, 0));
        mproc_array_free(array);
}

TEST(wrong_use_of_an_array_is_told)
{
        mproc_array_opts opts = MPROC_ARRAY_OPTS_INIT;
        mproc_array *array = NULL;

        CHECK_CODE(mproc_array_create(NULL, (mproc_type)99, 1, &array), -EINVAL);
        CHECK_CODE(mproc_array_create(NULL, MPROC_TYPE(struct point), 1, &array), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "item_bytes");
        opts.item_bytes = 3;
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &array), -EINVAL);
        opts.item_bytes = 0;
        opts.lock = 2;
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &array), -EINVAL);
        CHECK_CODE(mproc_array_create(NULL, MPROC_TYPE(int), SIZE_MAX, &array), -EFBIG);
        CHECK_CODE(mproc_array_create(NULL, MPROC_TYPE(int), SIZE_MAX / 4, &array), -EFBIG);
        CHECK(!array);
        CHECK(!mproc_array_data(NULL) && !mproc_array_count(NULL) && !mproc_array_item_size(NULL));
        CHECK(!mproc_array_at(NULL, 0) && !mproc_array_data_of(NULL, MPROC_TYPE(int)) && !mproc_array_lock(NULL));
        CHECK_CODE(mproc_array_acquire(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_array_release(NULL), MPROC_EHANDLE);
        CHECK_CONTAINS(mproc_last_error(), "an array is wanted");
        mproc_array_free(NULL);

        CHECK_OK(mproc_array_create(NULL, MPROC_TYPE(int), 10, &array));
        CHECK(!mproc_array_at(array, 10));
        CHECK_CONTAINS(mproc_last_error(), "item 10 is wanted of an array of 10");
        CHECK(!mproc_array_data_of(array, MPROC_TYPE(unsigned)));
        CHECK_CONTAINS(mproc_last_error(), "of type int32, and uint32 was asked for");
        mproc_array_free(array);
}

TEST(an_array_with_a_lock_and_one_without)
{
        mproc_array_opts opts = { .lock = -1 };
        mproc_array *array;
        mproc_rlock *lock;

        CHECK_OK(mproc_array_create(NULL, MPROC_TYPE(int), 1, &array));
        CHECK_OK(mproc_array_acquire(array, MPROC_NOWAIT));
        CHECK_OK(mproc_array_acquire(array, MPROC_NOWAIT)); /* recursive */
        lock = mproc_array_lock(array);
        CHECK_INT(mproc_rlock_locked(lock), 1);
        CHECK_OK(mproc_array_release(array));
        CHECK_OK(mproc_rlock_release(lock));
        CHECK_CODE(mproc_array_release(array), MPROC_ERELEASED);
        mproc_rlock_free(lock); /* it is the array's, which does not mind */
        CHECK_OK(mproc_array_acquire(array, MPROC_NOWAIT));
        mproc_array_free(array);

        CHECK_OK(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &array));
        CHECK(!mproc_array_lock(array));
        CHECK_CODE(mproc_array_acquire(array, 0), MPROC_EUNSUPPORTED);
        CHECK_CODE(mproc_array_release(array), MPROC_EUNSUPPORTED);
        CHECK_CONTAINS(mproc_last_error(), "made without a lock");
        mproc_array_free(array);
}

/* --- in shared memory of the caller's ------------------------------------------------------------------- */

TEST(arrays_lie_in_memory_of_the_callers)
{
        mproc_array_opts opts = MPROC_ARRAY_OPTS_INIT;
        mproc_array *numbers, *letters, *none;
        mproc_shm *shm, *reader;

        CHECK_OK(mproc_shm_create(NULL, NULL, 100, &shm));
        opts.shm = shm;
        opts.lock = -1;
        CHECK_OK(mproc_array_create_opts(NULL, MPROC_TYPE(int), 10, &opts, &numbers));
        opts.offset_bytes = 40;
        CHECK_OK(mproc_array_create_opts(NULL, MPROC_TYPE(char), 60, &opts, &letters));
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(char), 61, &opts, &none), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "not within 100 bytes");
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(int), SIZE_MAX / 2, &opts, &none), -EINVAL);
        opts.offset_bytes = 101;
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(char), 0, &opts, &none), -EINVAL);
        opts.offset_bytes = 42;
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &none), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "aligned to 4");
        ((int *)mproc_array_data(numbers))[9] = -1;
        *(char *)mproc_array_at(letters, 0) = 'a';
        CHECK_INT(((char *)mproc_shm_data(shm))[39], -1);
        CHECK_INT(((char *)mproc_shm_data(shm))[40], 'a');

        CHECK_CODE(mproc_shm_close(shm), -EBUSY);
        CHECK_CONTAINS(mproc_last_error(), "2 arrays or the like lie in this shared memory");
        CHECK_CODE(mproc_shm_resize(shm, 1000), -EBUSY);
        mproc_array_free(letters);
        mproc_shm_free(shm); /* the memory stays for who lies in it */
        CHECK_INT(*(int *)mproc_array_at(numbers, 9), -1);
        mproc_array_free(numbers);
        opts.offset_bytes = 0;
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &none), MPROC_EHANDLE);

        CHECK_OK(mproc_shm_create(NULL, NULL, 100, &shm));
        CHECK_OK(mproc_shm_readonly(shm, &reader));
        opts.shm = reader;
        CHECK_OK(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &numbers));
        *(int *)mproc_shm_data(shm) = 5;
        CHECK_INT(*(int *)mproc_array_data(numbers), 5);
        mproc_array_free(numbers);
        opts.items = &opts;
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &numbers), MPROC_EREADONLY);
        CHECK_OK(mproc_shm_close(reader));
        CHECK_CODE(mproc_array_create_opts(NULL, MPROC_TYPE(int), 1, &opts, &numbers), MPROC_ECLOSED);
        mproc_shm_free(reader);
        mproc_shm_free(shm);
}

/* --- several processes --------------------------------------------------------------------------------- */

static int
square(mproc_args *args)
{
        mproc_array *array = mproc_args_array(args, 0);
        double *x = mproc_array_data_of(array, MPROC_TYPE(double));

        CHECK(x);
        CHECK_INT(mproc_array_count(array), COUNT);
        for (size_t i = 0; i < COUNT; i++)
                x[i] *= x[i];
        return 0;
}

START_METHOD_TEST(an_array_reaches_a_child)
{
        mproc_array *array;
        double *x;

        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(double), COUNT, &array));
        x = mproc_array_data(array);
        for (int i = 0; i < COUNT; i++)
                x[i] = i;
        finish(start(ctx, square, MPROC_ARGS(array)), 0);
        for (int i = 0; i < COUNT; i++)
                CHECK(x[i] == (double)i * i);
        mproc_array_free(array);
}

static int
name_point(mproc_args *args)
{
        mproc_array *array = mproc_args_array(args, 0);
        struct point *points = mproc_array_data(array);

        CHECK_INT(mproc_array_item_size(array), sizeof *points);
        CHECK_INT(mproc_array_count(array), 3);
        CHECK(!mproc_array_lock(array));
        (void)snprintf(points[2].name, sizeof points[2].name, "end");
        return 0;
}

START_METHOD_TEST(items_may_be_structs)
{
        mproc_array_opts opts = { .lock = -1, .item_bytes = sizeof(struct point), .offset_bytes = 8 };
        mproc_array *array;

        CHECK_OK(mproc_shm_create(ctx, NULL, 4096, &opts.shm));
        CHECK_OK(mproc_array_create_opts(ctx, MPROC_TYPE(struct point), 3, &opts, &array));
        finish(start(ctx, name_point, MPROC_ARGS(array)), 0);
        CHECK_STR(((struct point *)mproc_array_at(array, 2))->name, "end");
        CHECK_STR((char *)mproc_shm_data(opts.shm) + 8 + 2 * sizeof(struct point) + 16, "end");
        mproc_array_free(array);
        mproc_shm_free(opts.shm);
}

static int
move_units(mproc_args *args)
{
        mproc_array *array = mproc_args_array(args, 0);
        long *account = mproc_array_data(array);

        for (int i = 0; i < 2000; i++) {
                CHECK_OK(mproc_array_acquire(array, LONG_MS));
                account[0]--;
                account[1]++;
                CHECK_OK(mproc_array_release(array));
        }
        return 0;
}

START_METHOD_TEST(the_lock_of_an_array_excludes)
{
        mproc_array *array;
        mproc_process *children[3];
        long *account;

        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(long), 2, &array));
        account = mproc_array_data(array);
        for (int i = 0; i < 3; i++)
                children[i] = start(ctx, move_units, MPROC_ARGS(array));
        for (int i = 0; i < 3; i++)
                finish(children[i], 0);
        CHECK_INT(account[0], -6000);
        CHECK_INT(account[1], 6000);
        mproc_array_free(array);
}

static int
die_holding(mproc_args *args)
{
        mproc_array *array = mproc_args_array(args, 0);

        CHECK_OK(mproc_array_acquire(array, LONG_MS));
        *(int *)mproc_array_data(array) = 1;
        return raise(SIGKILL);
}

START_METHOD_TEST(an_owner_of_an_array_who_died_is_told)
{
        mproc_array *array;

        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(int), 1, &array));
        finish(start(ctx, die_holding, MPROC_ARGS(array)), -SIGKILL);
        CHECK_INT(mproc_array_acquire(array, LONG_MS), MPROC_OWNER_DIED);
        CHECK_INT(*(int *)mproc_array_data(array), 1);
        CHECK_OK(mproc_array_release(array));
        CHECK_OK(mproc_array_acquire(array, LONG_MS));
        mproc_array_free(array);
}

static int
take_from_queue(mproc_args *args)
{
        mproc_args *message;
        mproc_array *array;

        CHECK_OK(mproc_queue_get_args(mproc_args_queue(args, 0), &message, LONG_MS));
        array = mproc_args_array(message, 0);
        CHECK(array);
        CHECK_OK(mproc_array_acquire(array, LONG_MS));
        ((int *)mproc_array_data(array))[7] = 77;
        CHECK_OK(mproc_rlock_release(mproc_array_lock(array)));
        mproc_args_free(message);
        return 0;
}

START_METHOD_TEST(an_array_is_a_message)
{
        mproc_queue_opts opts = MPROC_QUEUE_OPTS_INIT;
        mproc_process *child;
        mproc_array *array;
        mproc_queue *queue;

        opts.objects = 1;
        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(int), 8, &array));
        child = start(ctx, take_from_queue, MPROC_ARGS(queue));
        CHECK_OK(mproc_queue_put_args(queue, MPROC_ARGS(array), LONG_MS));
        finish(child, 0);
        CHECK_INT(((int *)mproc_array_data(array))[7], 77);
        mproc_array_free(array);
        mproc_queue_free(queue);
}

/* It goes no further than its memory and its lock. */
TEST(an_array_of_the_fork_context_stays_there)
{
        mproc_array_opts opts = MPROC_ARRAY_OPTS_INIT;
        mproc_context *fork_ctx, *spawn_ctx;
        mproc_process *process;
        mproc_array *array;

        CHECK_OK(mproc_get_context("fork", &fork_ctx));
        CHECK_OK(mproc_get_context("spawn", &spawn_ctx));
        CHECK_OK(mproc_array_create(fork_ctx, MPROC_TYPE(int), 1, &array));
        CHECK_OK(mproc_process_create(spawn_ctx, square, MPROC_ARGS(array), &process));
        CHECK_CODE(mproc_process_start(process), MPROC_ECONTEXT);
        mproc_process_free(process);
        CHECK_OK(mproc_process_create(spawn_ctx, square, MPROC_ARGS(mproc_array_lock(array)), &process));
        CHECK_CODE(mproc_process_start(process), MPROC_ECONTEXT);
        mproc_process_free(process);
        mproc_array_free(array);

        CHECK_OK(mproc_shm_create(fork_ctx, NULL, 100, &opts.shm));
        CHECK_OK(mproc_array_create_opts(spawn_ctx, MPROC_TYPE(int), 1, &opts, &array));
        CHECK_OK(mproc_process_create(spawn_ctx, square, MPROC_ARGS(array), &process));
        CHECK_CODE(mproc_process_start(process), MPROC_ECONTEXT);
        mproc_process_free(process);
        mproc_array_free(array);
        mproc_shm_free(opts.shm);
}
