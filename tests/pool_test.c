/* SPDX-License-Identifier: MIT */
/*
 * pool_test.c - pools: tasks, maps and imaps that nobody disturbs; results of all kinds; wrong use.
 *
 * Runs in: test processes.
 */
#include "pool_help.h"

/* --- maps ------------------------------------------------------------------------------------------------------ */

static void
check_map(mproc_pool *pool, size_t count, const mproc_map_opts *opts)
{
        int64_t *items = numbers(count), *results = calloc(count + 1, sizeof *results);

        results[count] = 4711;
        CHECK_OK(mproc_pool_map_opts(pool, double_it, items, count, sizeof *items, results, sizeof *results, opts));
        for (size_t i = 0; i < count; i++)
                CHECK_INT(results[i], 2 * (int64_t)i);
        CHECK_INT(results[count], 4711);
        free(items);
        free(results);
}

START_METHOD_TEST(a_map_doubles_all_items)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        size_t counts[] = { 0, 1, 2, 31, 1000, 100001 };

        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                check_map(pool, counts[i], NULL);
                check_map(pool, counts[i], &(mproc_map_opts){ .chunk = 1 });
                check_map(pool, counts[i], &(mproc_map_opts){ .chunk = 16 });
                check_map(pool, counts[i], &(mproc_map_opts){ .chunk = SIZE_MAX });
        }
        finish_pool(pool);
}

/* Larger than what all processes have mapped all the time. */
TEST(a_map_over_many_megabytes)
{
        mproc_pool *pool = make_pool(NULL, 2, NULL);

        check_map(pool, 2000000, NULL);
        check_map(pool, 2000000, &(mproc_map_opts){ .chunk = 1000 });
        finish_pool(pool);
}

static int
scale(const void *item, void *result, const void *shared)
{
        *(double *)result = *(const double *)item * *(const double *)shared + (double)mproc_task_number();
        return 0;
}

START_METHOD_TEST(map_functions_get_shared_bytes_and_their_index)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        double items[100], results[100], factor = 3;
        mproc_map_opts opts = { .shared = &factor, .shared_bytes = sizeof factor };

        for (int i = 0; i < 100; i++)
                items[i] = i;
        CHECK_OK(mproc_pool_map_opts(pool, scale, items, 100, sizeof *items, results, sizeof *results, &opts));
        for (int i = 0; i < 100; i++)
                CHECK(results[i] == 4 * i);
        finish_pool(pool);
}

static int
fail_sevens(const void *item, void *result, const void *shared)
{
        int64_t v = *(const int64_t *)item;

        (void)shared;
        *(int64_t *)result = v;
        return v % 100 == 7 ? -EDOM : v % 100 == 8 ? 3 : 0;
}

START_METHOD_TEST(failed_items_of_a_map_are_told_one_by_one)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t *items = numbers(1000), results[1000];
        mproc_task_report report;
        mproc_future *future;
        int codes[1000];
        mproc_map_opts opts = { .codes = codes };

        CHECK_OK(mproc_pool_map_async(pool, fail_sevens, items, 1000, sizeof *items, results, sizeof *results, &opts,
                                      &future));
        CHECK_OK(mproc_future_wait(future, LONG_MS));
        CHECK_OK(mproc_future_report(future, &report));
        CHECK(report.code == -EDOM || report.code == MPROC_ETASK);
        CHECK_INT(report.number % 100, report.code == -EDOM ? 7 : 8);
        CHECK_CODE(mproc_future_get(future, NULL, 0, NULL, 0), report.code);
        CHECK_CONTAINS(mproc_last_error(), "of 1000");
        for (int i = 0; i < 1000; i++) {
                CHECK_INT(codes[i], i % 100 == 7 ? -EDOM : i % 100 == 8 ? 3 : 0);
                CHECK_INT(results[i], codes[i] ? 0 : i);
        }
        mproc_future_free(future);
        free(items);
        finish_pool(pool);
}

/* --- maps over arrays ------------------------------------------------------------------------------------------ */

START_METHOD_TEST(a_map_over_arrays_copies_nothing)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_array *items, *results;
        int64_t *in, *out;

        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(int64_t), 10000, &items));
        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(int64_t), 10000, &results));
        in = mproc_array_data(items);
        out = mproc_array_data(results);
        for (int i = 0; i < 10000; i++)
                in[i] = i;
        CHECK_OK(mproc_pool_map_array(pool, double_it, items, results, NULL));
        for (int i = 0; i < 10000; i++)
                CHECK_INT(out[i], 2 * i);
        for (int n = 0; n < 20; n++) /* in place, again and again */
                CHECK_OK(mproc_pool_map_array(pool, double_it, items, items, &(mproc_map_opts){ .chunk = 100 }));
        for (int i = 0; i < 10000; i++)
                CHECK_INT(in[i], (int64_t)i << 20);
        mproc_array_free(items);
        mproc_array_free(results);
        finish_pool(pool);
}

static int
add_unless_7(const void *item, void *result, const void *shared)
{
        if (*(const int64_t *)item == 7)
                return 77;
        *(int64_t *)result = *(const int64_t *)item + *(const int64_t *)shared;
        return 0;
}

START_METHOD_TEST(a_map_over_an_array_has_shared_bytes_and_codes)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_array *items;
        int64_t *in, more = 1000;
        int codes[100];

        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(int64_t), 100, &items));
        in = mproc_array_data(items);
        for (int i = 0; i < 100; i++)
                in[i] = i;
        CHECK_CODE(mproc_pool_map_array(
                           pool, add_unless_7, items, items,
                           &(mproc_map_opts){ .shared = &more, .shared_bytes = sizeof more, .codes = codes }),
                   MPROC_ETASK);
        for (int i = 0; i < 100; i++) {
                CHECK_INT(codes[i], i == 7 ? 77 : 0);
                CHECK_INT(in[i], i == 7 ? i : i + more);
        }
        mproc_array_free(items);
        finish_pool(pool);
}

static int
die_at_500(const void *item, void *result, const void *shared)
{
        (void)shared;
        if (*(const int64_t *)item % 1000 == 500)
                (void)kill(getpid(), SIGKILL);
        *(int64_t *)result = *(const int64_t *)item + 1;
        return 0;
}

/* Replacements get the arrays, too. */
START_METHOD_TEST(a_map_over_an_array_outlives_its_workers)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_array *items;
        int codes[5000];
        int64_t *in;

        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(int64_t), 5000, &items));
        in = mproc_array_data(items);
        for (int i = 0; i < 5000; i++)
                in[i] = i;
        CHECK_CODE(mproc_pool_map_array(pool, die_at_500, items, items, &(mproc_map_opts){ .codes = codes }),
                   MPROC_EWORKER);
        for (int i = 0; i < 5000; i++) {
                CHECK_INT(codes[i], i % 1000 == 500 ? MPROC_EWORKER : 0);
                CHECK_INT(in[i], codes[i] ? i : i + 1);
        }
        mproc_array_free(items);
        finish_pool(pool);
}

/* --- tasks -------------------------------------------------------------------------------------------------------
 */

START_METHOD_TEST(a_task_adds)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        int64_t sum = 0;
        size_t len;

        CHECK_OK(mproc_pool_apply(pool, add, MPROC_ARGS(40, 2), &sum, sizeof sum, &len));
        CHECK_INT(sum, 42);
        CHECK_INT(len, sizeof sum);
        finish_pool(pool);
}

enum { MANY = 40000 }; /* more than have a slot at a time */

TEST(more_tasks_than_slots)
{
        mproc_pool *pool = make_pool(NULL, 2, NULL);
        mproc_future **futures = malloc(MANY * sizeof *futures);
        int64_t sum;

        for (int i = 0; i < MANY; i++)
                futures[i] = give_task(pool, add, MPROC_ARGS(i, 1));
        for (int i = 0; i < MANY; i++) {
                CHECK_OK(mproc_future_get_int(futures[i], &sum, LONG_MS));
                CHECK_INT(sum, i + 1);
                mproc_future_free(futures[i]);
        }
        free(futures);
        finish_pool(pool);
}

static int
give_back(mproc_args *args, mproc_result *result)
{
        const void *data;
        void *room;
        size_t len;
        int r;

        switch (mproc_args_int(args, 0)) {
        case 0:
                return mproc_result_int(result, INT64_MIN);
        case 1:
                return mproc_result_uint(result, UINT64_MAX);
        case 2:
                return mproc_result_double(result, 0.5);
        case 3:
                return mproc_result_string(result, mproc_args_string(args, 1));
        case 4:
                data = mproc_args_bytes(args, 1, &len);
                return mproc_result_bytes(result, data, len);
        case 5:
                len = (size_t)mproc_args_int(args, 1);
                if ((r = mproc_result_reserve(result, len, &room)) < 0)
                        return r;
                memset(room, (int)(len & 0x7f), len);
                return 0;
        default:
                return 0;
        }
}

START_METHOD_TEST(results_of_all_types)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_future *f[6];
        const char *text;
        const void *data;
        uint64_t u = 0;
        double d = 0;
        int64_t i = 0;
        size_t len;

        f[0] = give_task(pool, give_back, MPROC_ARGS(0));
        f[1] = give_task(pool, give_back, MPROC_ARGS(1));
        f[2] = give_task(pool, give_back, MPROC_ARGS(2));
        f[3] = give_task(pool, give_back, MPROC_ARGS(3, "Grüße"));
        f[4] = give_task(pool, give_back, MPROC_ARGS(4, mproc_bytes("a\0b", 3)));
        f[5] = give_task(pool, give_back, MPROC_ARGS(9));
        CHECK_OK(mproc_future_get_int(f[0], &i, LONG_MS));
        CHECK(i == INT64_MIN);
        CHECK_OK(mproc_future_get_uint(f[1], &u, LONG_MS));
        CHECK(u == UINT64_MAX);
        CHECK_OK(mproc_future_get_double(f[2], &d, LONG_MS));
        CHECK(d == 0.5);
        CHECK_OK(mproc_future_get_string(f[3], &text, LONG_MS));
        CHECK_STR(text, "Grüße");
        CHECK_OK(mproc_future_view(f[4], &data, &len, LONG_MS));
        CHECK_INT(len, 3);
        CHECK_MEM(data, "a\0b", 3);
        CHECK_OK(mproc_future_view(f[5], &data, &len, LONG_MS));
        CHECK_INT(len, 0);
        CHECK_CODE(mproc_future_get_int(f[3], &i, LONG_MS), MPROC_EARGTYPE);
        CHECK_CONTAINS(mproc_last_error(), "is wanted as an integer, but it is a string");
        for (int n = 0; n < 6; n++)
                mproc_future_free(f[n]);
        finish_pool(pool);
}

/* In the slot, copied, in place; again and again in the same places. */
START_METHOD_TEST(results_of_all_sizes)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        size_t sizes[] = { 1, 127, 128, 129, 4096, 65536, 65537, 1000000, 20000000 };

        for (int round = 0; round < 2; round++)
                for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                        mproc_future *f = give_task(pool, give_back, MPROC_ARGS(5, sizes[i]));
                        const uint8_t *data;
                        char *copy = malloc(sizes[i]);
                        size_t len;

                        CHECK_CODE(mproc_future_get(f, copy, sizes[i] - 1, &len, LONG_MS), MPROC_ETOOSMALL);
                        CHECK_INT(len, sizes[i]);
                        CHECK_OK(mproc_future_get(f, copy, sizes[i], &len, LONG_MS));
                        CHECK_OK(mproc_future_view(f, (const void **)&data, &len, 0));
                        CHECK_MEM(copy, data, len);
                        CHECK(data[0] == (sizes[i] & 0x7f) && data[len - 1] == (sizes[i] & 0x7f));
                        free(copy);
                        mproc_future_free(f);
                }
        finish_pool(pool);
}

/* More than there are places for. */
TEST(many_large_results_are_held_at_once)
{
        mproc_pool *pool = make_pool(NULL, 1, NULL);
        mproc_future *f[400];

        for (int i = 0; i < 400; i++)
                f[i] = give_task(pool, give_back, MPROC_ARGS(5, 70000 + i));
        for (int i = 0; i < 400; i++) {
                const uint8_t *data;
                size_t len;

                CHECK_OK(mproc_future_view(f[i], (const void **)&data, &len, LONG_MS));
                CHECK_INT(len, 70000 + i);
                CHECK_INT(data[len - 1], (70000 + i) & 0x7f);
        }
        mproc_pool_free(pool); /* the results are the futures' */
        for (int i = 0; i < 400; i++) {
                const uint8_t *data;

                CHECK_OK(mproc_future_view(f[i], (const void **)&data, NULL, 0));
                CHECK_INT(data[0], (70000 + i) & 0x7f);
                mproc_future_free(f[i]);
        }
}

START_METHOD_TEST(arguments_of_all_sizes)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);

        for (size_t len = 1; len < 40000000; len = 3 * len + 11) {
                char *data = malloc(len), *back = malloc(len);
                size_t back_len;

                memset(data, (int)(len % 251), len);
                CHECK_OK(mproc_pool_apply(pool, give_back, MPROC_ARGS(4, mproc_bytes(data, len)), back, len,
                                          &back_len));
                CHECK_INT(back_len, len);
                CHECK_MEM(back, data, len);
                free(data);
                free(back);
        }
        finish_pool(pool);
}

static int
misread(mproc_args *args, mproc_result *result)
{
        return mproc_result_int(result, mproc_args_int(args, 1));
}

static int
fail_with_words(mproc_args *args, mproc_result *result)
{
        (void)result;
        return mproc_queue_put(NULL, NULL, 0, 0) < 0 ? MPROC_EHANDLE : (int)mproc_args_int(args, 0);
}

static int
fail_with_number(mproc_args *args, mproc_result *result)
{
        (void)result;
        return (int)mproc_args_int(args, 0);
}

START_METHOD_TEST(failures_of_tasks_have_words)
{
        mproc_pool *pool = make_pool(ctx, 1, NULL);
        mproc_future *f = give_task(pool, misread, MPROC_ARGS("text"));
        mproc_task_report report;

        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_EARGTYPE);
        CHECK_CONTAINS(mproc_last_error(), "task 0: argument 1 (integer) is wanted");
        mproc_future_free(f);

        f = give_task(pool, fail_with_words, MPROC_ARGS(0));
        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_EHANDLE);
        CHECK_CONTAINS(mproc_last_error(), "task 1: ");
        CHECK_CONTAINS(mproc_last_error(), "queue");
        mproc_future_free(f);

        f = give_task(pool, fail_with_number, MPROC_ARGS(17));
        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), MPROC_ETASK);
        CHECK_OK(mproc_future_report(f, &report));
        CHECK_INT(report.result, 17);
        CHECK_INT(report.number, 2);
        CHECK(report.worker_pid > 0);
        CHECK_CONTAINS(report.text, "it returned 17");
        mproc_future_free(f);

        f = give_task(pool, fail_with_number, MPROC_ARGS(-ENOSPC));
        CHECK_CODE(mproc_future_get(f, NULL, 0, NULL, LONG_MS), -ENOSPC);
        CHECK_CONTAINS(mproc_last_error(), strerror(ENOSPC)); /* and not the words of the task before */
        mproc_future_free(f);
        finish_pool(pool);
}

/* --- callbacks -----------------------------------------------------------------------------------------------------
 */

static int called;

static void
count_call(mproc_future *future, void *arg)
{
        int64_t value = 0;

        CHECK_OK(mproc_future_get_int(future, &value, 0));
        called += (int)value + *(int *)arg;
}

START_METHOD_TEST(callbacks_are_called_once_each)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_future *f[10];
        int one = 1;

        called = 0;
        for (int i = 0; i < 10; i++) {
                f[i] = give_task(pool, add, MPROC_ARGS(10, 20));
                CHECK_OK(mproc_future_on_done(f[i], count_call, &one));
                CHECK_CODE(mproc_future_on_done(f[i], count_call, &one), -EBUSY);
        }
        for (int i = 0; i < 5; i++)
                mproc_future_free(f[i]); /* they are called all the same */
        CHECK_OK(mproc_pool_run(pool, LONG_MS));
        CHECK_INT(called, 310);
        for (int i = 5; i < 10; i++)
                mproc_future_free(f[i]);
        finish_pool(pool);
}

/* --- imaps
 * ----------------------------------------------------------------------------------------------------------- */

struct counter {
        int64_t next, end;
        int code;
};

static int
count_up(void *item, void *arg)
{
        struct counter *c = arg;

        if (c->next == c->end)
                return c->code;
        *(int64_t *)item = c->next++;
        return 1;
}

START_METHOD_TEST(an_imap_keeps_the_order_and_does_not_run_ahead)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        struct counter c = { 0, 5000, 0 };
        mproc_imap_opts opts = { .chunk = 3, .ahead = 50 };
        uint64_t number;
        mproc_imap *imap;
        int64_t result;

        CHECK_OK(mproc_pool_imap(pool, double_it, count_up, &c, sizeof(int64_t), sizeof(int64_t), &opts, &imap));
        for (int64_t i = 0; i < 5000; i++) {
                CHECK_OK(mproc_imap_next(imap, &result, &number, LONG_MS));
                CHECK_INT(result, 2 * i);
                CHECK_INT(number, i);
                CHECK(c.next <= i + 50);
        }
        CHECK_CODE(mproc_imap_next(imap, &result, &number, LONG_MS), MPROC_EEOF);
        CHECK_CODE(mproc_imap_next(imap, &result, &number, LONG_MS), MPROC_EEOF);
        mproc_imap_free(imap);
        finish_pool(pool);
}

START_METHOD_TEST(an_unordered_imap_gives_all_once)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        struct counter c = { 0, 1000, -EIO };
        mproc_imap_opts opts = { .unordered = 1 };
        char seen[1000] = { 0 };
        uint64_t number;
        mproc_imap *imap;
        int64_t result;

        CHECK_OK(mproc_pool_imap(pool, fail_sevens, count_up, &c, sizeof(int64_t), sizeof(int64_t), &opts, &imap));
        for (int i = 0; i < 1000; i++) {
                int r = mproc_imap_next(imap, &result, &number, LONG_MS);

                CHECK(number < 1000 && !seen[number]);
                seen[number] = 1;
                CHECK_INT(r, number % 100 == 7 ? -EDOM : number % 100 == 8 ? MPROC_ETASK : 0);
                if (r == 0)
                        CHECK_INT(result, number);
        }
        CHECK_CODE(mproc_imap_next(imap, &result, &number, LONG_MS), -EIO); /* the source's own code */
        mproc_imap_free(imap);
        finish_pool(pool);
}

START_METHOD_TEST(an_imap_that_nobody_finishes)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        struct counter c = { 0, INT64_MAX, 0 };
        mproc_imap *imap;
        int64_t result;

        CHECK_OK(mproc_pool_imap(pool, double_it, count_up, &c, sizeof(int64_t), sizeof(int64_t), NULL, &imap));
        for (int i = 0; i < 10; i++)
                CHECK_OK(mproc_imap_next(imap, &result, NULL, LONG_MS));
        mproc_imap_free(imap);
        finish_pool(pool);
}

/* --- objects and descriptors as arguments
 * ------------------------------------------------------------------------------- */

static int
put_to(mproc_args *args, mproc_result *result)
{
        int64_t n = mproc_args_int(args, 1);

        (void)result;
        return mproc_queue_put(mproc_args_queue(args, 0), &n, sizeof n, MPROC_FOREVER);
}

static int
write_to(mproc_args *args, mproc_result *result)
{
        (void)result;
        return write(mproc_args_fd(args, 0), "x", 1) == 1 ? 0 : -errno;
}

START_METHOD_TEST(tasks_take_queues_and_descriptors)
{
        mproc_pool *pool = make_pool(ctx, 2, NULL);
        mproc_future *f[50];
        int64_t n = 0, sum = 0;
        mproc_queue *queue;
        int pipes[2];
        char byte;

        CHECK_OK(mproc_queue_create(ctx, 0, &queue));
        for (int i = 0; i < 50; i++)
                f[i] = give_task(pool, put_to, MPROC_ARGS(queue, i));
        for (int i = 0; i < 50; i++) {
                CHECK_OK(mproc_queue_get(queue, &n, sizeof n, NULL, LONG_MS));
                sum += n;
        }
        CHECK_INT(sum, 49 * 50 / 2);
        for (int i = 0; i < 50; i++) {
                CHECK_OK(mproc_future_get(f[i], NULL, 0, NULL, LONG_MS));
                mproc_future_free(f[i]);
        }
        CHECK(pipe2(pipes, O_CLOEXEC) == 0);
        CHECK_OK(mproc_pool_apply(pool, write_to, MPROC_ARGS(mproc_fd(pipes[1])), NULL, 0, NULL));
        CHECK(read(pipes[0], &byte, 1) == 1);
        close(pipes[0]);
        close(pipes[1]);
        mproc_queue_free(queue);
        finish_pool(pool);
}

/* --- initializers
 * --------------------------------------------------------------------------------------------------------- */

static int64_t initialized;

static int
initialize(mproc_args *args)
{
        initialized = mproc_args_int(args, 0);
        return 0;
}

static int
tell_initialized(mproc_args *args, mproc_result *result)
{
        (void)args;
        return mproc_result_int(result, initialized + mproc_worker_number());
}

START_METHOD_TEST(an_initializer_runs_in_each_worker)
{
        mproc_pool_opts opts = { .initializer = initialize, .initializer_args = MPROC_ARGS(1000) };
        mproc_pool *pool = make_pool(ctx, 2, &opts);
        int64_t value = 0;

        for (int i = 0; i < 10; i++) {
                CHECK_OK(mproc_pool_apply(pool, tell_initialized, MPROC_NO_ARGS, &value, sizeof value, NULL));
                CHECK(value == 1000 || value == 1001);
        }
        CHECK_INT(initialized, 0);
        CHECK_INT(mproc_worker_number(), -1);
        finish_pool(pool);
}

static int
initialize_badly(mproc_args *args)
{
        return mproc_queue_put(mproc_args_queue(args, 0), NULL, 1, 0) < 0 ? -ENOTTY : 0;
}

static int
initialize_deadly(mproc_args *args)
{
        (void)mproc_semaphore_release(mproc_args_semaphore(args, 0));
        (void)kill(getpid(), SIGKILL);
        return 0;
}

START_METHOD_TEST(an_initializer_that_fails_fails_the_pool)
{
        mproc_pool *pool = NULL;
        mproc_queue *queue;
        mproc_pool_opts opts = { .initializer = initialize_badly };

        CHECK_OK(mproc_queue_create(ctx, 0, &queue));
        opts.initializer_args = MPROC_ARGS(queue);
        CHECK_CODE(mproc_pool_create(ctx, 2, &opts, &pool), -ENOTTY);
        CHECK_CONTAINS(mproc_last_error(), "the initializer failed in worker");
        CHECK(pool == NULL);
        mproc_queue_free(queue);
}

START_METHOD_TEST(an_initializer_that_kills_its_workers_is_given_up)
{
        mproc_pool *pool = NULL;
        mproc_semaphore *deaths;
        mproc_pool_opts opts = { .initializer = initialize_deadly };
        unsigned value = 0;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &deaths));
        opts.initializer_args = MPROC_ARGS(deaths);
        CHECK_CODE(mproc_pool_create(ctx, 2, &opts, &pool), MPROC_EWORKER);
        CHECK_CONTAINS(mproc_last_error(), "killed by signal 9");
        CHECK_CONTAINS(mproc_last_error(), "before it was ready");
        CHECK_OK(mproc_semaphore_value(deaths, &value));
        CHECK_MSG(value >= 2 && value <= 6, "%u workers were started", value);
        mproc_semaphore_free(deaths);
}

/* --- wrong use
 * ------------------------------------------------------------------------------------------------------------- */

TEST(wrong_use_of_a_pool_is_told)
{
        mproc_pool *pool = NULL;
        mproc_future *future = NULL;
        int64_t item = 0;

        CHECK_CODE(mproc_pool_create(NULL, 1025, NULL, &pool), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "at most 1024");
        CHECK_CODE(mproc_pool_create(NULL, 1, &(mproc_pool_opts){ .time_limit_ms = -1 }, &pool), -EINVAL);
        CHECK_CODE(mproc_pool_create(NULL, 1, &(mproc_pool_opts){ .initializer_args = MPROC_ARGS(1) }, &pool),
                   -EINVAL);
        CHECK_CODE(mproc_pool_apply_async(NULL, add, MPROC_NO_ARGS, &future), MPROC_EHANDLE);
        CHECK_CODE(mproc_pool_close(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_future_wait(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_imap_next(NULL, NULL, NULL, 0), MPROC_EHANDLE);
        mproc_pool_free(NULL);
        mproc_future_free(NULL);
        mproc_imap_free(NULL);

        pool = make_pool(NULL, 1, NULL);
        CHECK_CODE(mproc_pool_apply_async(pool, NULL, MPROC_NO_ARGS, &future), -EINVAL);
        CHECK_CODE(mproc_pool_map(pool, NULL, &item, 1, 8, &item, 8), -EINVAL);
        CHECK_CODE(mproc_pool_map(pool, double_it, NULL, 1, 8, &item, 8), -EINVAL);
        CHECK_CODE(mproc_pool_map(pool, double_it, &item, 1, 8, NULL, 8), -EINVAL);
        CHECK_CODE(mproc_pool_map(pool, double_it, &item, SIZE_MAX / 4, 8, &item, 8), -EMSGSIZE);
        CHECK_CODE(mproc_pool_join(pool, 0), MPROC_ERUNNING);
        CHECK_CONTAINS(mproc_last_error(), "close or terminate it");
        CHECK_OK(mproc_pool_close(pool));
        CHECK_OK(mproc_pool_close(pool));
        CHECK_CODE(mproc_pool_apply_async(pool, add, MPROC_ARGS(1, 2), &future), MPROC_ECLOSED);
        CHECK_CODE(mproc_pool_map(pool, double_it, &item, 1, 8, &item, 8), MPROC_ECLOSED);
        CHECK_OK(mproc_pool_join(pool, MPROC_FOREVER));
        CHECK_OK(mproc_pool_join(pool, 0));
        mproc_pool_free(pool);
}

TEST(objects_of_the_fork_context_are_refused_elsewhere)
{
        mproc_context *fork_ctx, *spawn_ctx;
        mproc_future *future;
        mproc_queue *queue;
        mproc_pool *pool;

        CHECK_OK(mproc_get_context("fork", &fork_ctx));
        CHECK_OK(mproc_get_context("spawn", &spawn_ctx));
        CHECK_OK(mproc_queue_create(fork_ctx, 0, &queue));
        pool = make_pool(spawn_ctx, 1, NULL);
        CHECK_CODE(mproc_pool_apply_async(pool, put_to, MPROC_ARGS(queue, 1), &future), MPROC_ECONTEXT);
        CHECK_CONTAINS(mproc_last_error(), "argument 0 is a queue made in the fork context");
        finish_pool(pool);
        mproc_queue_free(queue);
}
