/* SPDX-License-Identifier: MIT */
/*
 * queue_test.c - queues: what goes in comes out, whole, once and in order.
 * What happens when processes die is in crash/.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static mproc_queue *
make_queue(size_t maxsize)
{
        mproc_queue *queue;

        CHECK_OK(mproc_queue_create(NULL, maxsize, &queue));
        return queue;
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(messages_of_all_lengths_come_back)
{
        static const size_t lens[] = {
                0, 1, 15, 16, 17, 63, 64, 4096, 65535, 131072, 131073, (1 << 19), (1 << 20) + 1, (5 << 20) + 3, 24
        };
        enum { COUNT = sizeof lens / sizeof *lens };
        mproc_queue *q = make_queue(0);
        uint8_t *in = malloc(6 << 20), *out = malloc(6 << 20);

        for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < COUNT; i++) {
                        memset(in, (int)(i * 7 + (size_t)round), lens[i]);
                        CHECK_OK(mproc_queue_put(q, in, lens[i], MPROC_NOWAIT));
                }
                for (size_t i = 0; i < COUNT; i++) {
                        size_t len = 99;

                        memset(in, (int)(i * 7 + (size_t)round), lens[i]);
                        if (round == 1) {
                                void *data = NULL;

                                CHECK_OK(mproc_queue_get_alloc(q, &data, &len, MPROC_NOWAIT));
                                CHECK(data != NULL);
                                CHECK_INT(len, lens[i]);
                                CHECK_MEM(data, in, len);
                                free(data);
                                continue;
                        }
                        CHECK_OK(mproc_queue_get(q, out, 6 << 20, &len, MPROC_NOWAIT));
                        CHECK_INT(len, lens[i]);
                        CHECK_MEM(out, in, len);
                }
        }
        free(in);
        free(out);
        mproc_queue_free(q);
}

TEST(it_is_first_in_first_out_past_every_border)
{
        mproc_queue *q = make_queue(0);
        uint32_t put = 0, got = 0;

        /* Rings are filled to many levels, wrap around, and are linked; counters wrap, too. */
        for (unsigned round = 0; round < 300; round++) {
                uint8_t buffer[3000];

                for (unsigned i = 0; i < (round * 37) % 200; i++, put++) {
                        size_t len = some_length(put, sizeof buffer);

                        stamp_message(buffer, len, 1, put);
                        CHECK_OK(mproc_queue_put(q, buffer, len, MPROC_NOWAIT));
                }
                for (unsigned i = 0; i < (round * 53) % 220 && got < put; i++, got++) {
                        struct stamp stamp;
                        size_t len;

                        CHECK_OK(mproc_queue_get(q, buffer, sizeof buffer, &len, MPROC_NOWAIT));
                        check_stamp(buffer, len, &stamp);
                        CHECK_INT(stamp.number, got);
                }
        }
        mproc_queue_free(q);
}

TEST(size_empty_and_full_are_exact)
{
        mproc_queue *q = make_queue(3);
        size_t size = 9;

        for (unsigned round = 0; round < 40; round++) {
                CHECK_INT(mproc_queue_empty(q), 1);
                for (size_t i = 0; i < 3; i++) {
                        CHECK_INT(mproc_queue_full(q), 0);
                        CHECK_OK(mproc_queue_put(q, "x", 1, MPROC_NOWAIT));
                        CHECK_OK(mproc_queue_qsize(q, &size));
                        CHECK_INT(size, i + 1);
                        CHECK_INT(mproc_queue_empty(q), 0);
                }
                CHECK_INT(mproc_queue_full(q), 1);
                CHECK_CODE(mproc_queue_put(q, "y", 1, MPROC_NOWAIT), MPROC_EFULL);
                CHECK_CODE(mproc_queue_put(q, "y", 1, 5), MPROC_EFULL);
                CHECK_OK(mproc_queue_qsize(q, &size));
                CHECK_INT(size, 3);
                for (size_t i = 0; i < 3; i++)
                        CHECK_OK(mproc_queue_get(q, &(char){ 0 }, 1, NULL, MPROC_NOWAIT));
                CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, MPROC_NOWAIT), MPROC_EEMPTY);
        }
        mproc_queue_free(q);
        q = make_queue(0);
        CHECK_INT(mproc_queue_full(q), 0);
        mproc_queue_free(q);
}

TEST(a_message_too_long_for_the_buffer_stays)
{
        static const size_t lens[] = { 10, 200000 };

        for (int i = 0; i < 2; i++) {
                mproc_queue *q = make_queue(0);
                uint8_t *data = malloc(lens[i]);
                size_t len = 0;

                memset(data, 3, lens[i]);
                CHECK_OK(mproc_queue_put(q, data, lens[i], MPROC_NOWAIT));
                CHECK_CODE(mproc_queue_get(q, data, lens[i] - 1, &len, MPROC_NOWAIT), MPROC_ETOOSMALL);
                CHECK_INT(len, lens[i]);
                CHECK_CONTAINS(mproc_last_error(), "has room for");
                CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, LONG_MS), MPROC_ETOOSMALL);
                CHECK_OK(mproc_queue_qsize(q, &len));
                CHECK_INT(len, 1);
                CHECK_OK(mproc_queue_get(q, data, lens[i], &len, MPROC_NOWAIT));
                CHECK_INT(len, lens[i]);
                free(data);
                mproc_queue_free(q);
        }
}

TEST(timeouts_are_kept)
{
        mproc_queue *q = make_queue(1);
        int64_t t = monotonic_ms();

        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 150), MPROC_EEMPTY);
        CHECK(monotonic_ms() - t >= 149);
        CHECK_OK(mproc_queue_put(q, NULL, 0, 0));
        t = monotonic_ms();
        CHECK_CODE(mproc_queue_put(q, NULL, 0, 150), MPROC_EFULL);
        CHECK(monotonic_ms() - t >= 149);
        CHECK(monotonic_ms() - t < scaled_ms(5000));
        mproc_queue_free(q);
}

static int
nothing(mproc_args *args)
{
        (void)args;
        return 0;
}

TEST(wrong_use_is_told)
{
        mproc_queue *q, *freed = make_queue(0);
        mproc_process *p;
        size_t n;

        CHECK_CODE(mproc_queue_create(NULL, SIZE_MAX, &q), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "maxsize");
        CHECK_CODE(mproc_queue_put(NULL, "x", 1, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_queue_get(NULL, NULL, 0, NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_queue_close(NULL), MPROC_EHANDLE);
        mproc_queue_free(NULL);
        mproc_queue_free(freed);
        CHECK_CODE(mproc_process_create(NULL, nothing, MPROC_ARGS(freed), &p), MPROC_EHANDLE);

        q = make_queue(0);
        CHECK_CODE(mproc_queue_put(q, NULL, 1, 0), -EINVAL);
        CHECK_CODE(mproc_queue_get(q, NULL, 1, NULL, 0), -EINVAL);
        CHECK_OK(mproc_queue_close(q));
        CHECK_OK(mproc_queue_close(q));
        CHECK_CODE(mproc_queue_put(q, "x", 1, 0), MPROC_ECLOSED);
        CHECK_CODE(mproc_queue_get(q, &n, 1, NULL, 0), MPROC_ECLOSED);
        CHECK_CODE(mproc_queue_get_alloc(q, &(void *){ NULL }, NULL, 0), MPROC_ECLOSED);
        CHECK_CODE(mproc_queue_qsize(q, &n), MPROC_ECLOSED);
        CHECK_CODE(mproc_queue_empty(q), MPROC_ECLOSED);
        CHECK_CODE(mproc_queue_full(q), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_create(NULL, nothing, MPROC_ARGS(q), &p), MPROC_ECLOSED);
        mproc_queue_free(q);
}

/* How many bytes of memory this process's queues have, and how long their tapes are, by what their descriptors tell.
 */
static int64_t
queue_memory_and_tape(int64_t *ret_tape)
{
        DIR *dir = opendir("/proc/self/fd");
        int64_t total = 0;

        *ret_tape = 0;
        for (struct dirent *e; (e = readdir(dir));) {
                char link[256];
                struct stat st;
                ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);

                link[n > 0 ? n : 0] = 0;
                if (strstr(link, "mproc-queue") && fstat(atoi(e->d_name), &st) == 0) {
                        total += (int64_t)st.st_blocks * 512;
                        *ret_tape += (int64_t)st.st_size;
                }
        }
        closedir(dir);
        return total;
}

static int64_t
queue_memory(void)
{
        int64_t tape;

        return queue_memory_and_tape(&tape);
}

static int64_t
queue_tape(void)
{
        int64_t tape;

        (void)queue_memory_and_tape(&tape);
        return tape;
}

/* Full and empty again and again, it does not take fresh memory each time: the tape is no longer than it was. */
TEST(a_queue_with_a_limit_ends_up_in_one_ring)
{
        enum { LARGE = 1 << 18, MOST = 16 };
        uint8_t *data = calloc(1, LARGE);
        mproc_queue *q = make_queue(MOST);
        int64_t tape = 0;

        for (int i = 0; i < 20; i++) {
                if (i == 8)
                        tape = queue_tape();
                for (int k = 0; k < MOST; k++)
                        CHECK_OK(mproc_queue_put(q, data, LARGE, MPROC_NOWAIT));
                for (int k = 0; k < MOST; k++)
                        CHECK_OK(mproc_queue_get(q, data, LARGE, NULL, MPROC_NOWAIT));
        }
        CHECK_INT(queue_tape(), tape);
        CHECK(queue_memory() < 9 << 20);
        mproc_queue_free(q);
        free(data);
}

TEST(a_drained_queue_gives_its_memory_back)
{
        static const size_t lens[] = { 64, 1000, 100000, 3 << 20 };
        int64_t total = 48 << 20;
        uint8_t *data = calloc(1, 3 << 20);

        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                mproc_queue *q = make_queue(0);
                int64_t n = total / (int64_t)lens[i];

                for (int64_t k = 0; k < n; k++)
                        CHECK_OK(mproc_queue_put(q, data, lens[i], MPROC_NOWAIT));
                CHECK(queue_memory() >= n * (int64_t)lens[i]);
                for (int64_t k = 0; k < n; k++)
                        CHECK_OK(mproc_queue_get(q, data, 3 << 20, NULL, MPROC_NOWAIT));
                CHECK_MSG(queue_memory() < 1 << 20, "%lld bytes remain after messages of %zu",
                          (long long)queue_memory(), lens[i]);
                mproc_queue_free(q);
        }
        free(data);
        CHECK_INT(queue_memory(), 0);
}

TEST(queues_leave_no_descriptor)
{
        mproc_queue *q[50];
        int before;

        mproc_queue_free(make_queue(0));
        before = count_fds();
        for (int round = 0; round < 20; round++) {
                for (int i = 0; i < 50; i++)
                        q[i] = make_queue(0);
                CHECK_INT(count_fds(), before + 100); /* its memory, and what mproc_wait polls */
                for (int i = 0; i < 50; i++)
                        mproc_queue_free(q[i]);
                CHECK_INT(count_fds(), before);
        }
}

TEST(want_of_descriptors_or_memory_is_an_error)
{
        struct rlimit limit, old;
        mproc_queue *q = NULL, *good = make_queue(0);
        uint8_t *data = calloc(1, 1 << 20);
        size_t size;
        int before = count_fds();

        CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
        for (rlim_t n = (rlim_t)before - 1; n < (rlim_t)before + 2; n++) {
                limit = (struct rlimit){ n, old.rlim_max };
                CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
                CHECK_CODE(mproc_queue_create(NULL, 0, &q), -EMFILE);
                CHECK(q == NULL);
        }
        CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
        CHECK_INT(count_fds(), before);

        /* No signal for going past the limit on files: it is not the user who writes one. */
        CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
        limit = (struct rlimit){ 600000, old.rlim_max };
        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHECK_CODE(mproc_queue_put(good, data, 1 << 20, MPROC_NOWAIT), -EFBIG);
        CHECK_OK(mproc_queue_qsize(good, &size));
        CHECK_INT(size, 0);
        CHECK_OK(mproc_queue_put(good, data, 100, MPROC_NOWAIT));
        CHECK_OK(mproc_queue_get(good, data, 100, &size, MPROC_NOWAIT));
        CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
        CHECK_OK(mproc_queue_put(good, data, 1 << 20, MPROC_NOWAIT));
        CHECK_OK(mproc_queue_get(good, data, 1 << 20, &size, MPROC_NOWAIT));
        free(data);
        mproc_queue_free(good);
}

/* --- threads and signals ------------------------------------------------------------------------------ */

struct worker {
        mproc_queue *q;
        uint32_t id, count, got, bad;
        uint32_t last[8];
};

static void *
produce_thread(void *arg)
{
        struct worker *w = arg;
        uint8_t buffer[500];

        for (uint32_t i = 0; i < w->count; i++) {
                size_t len = some_length(i, sizeof buffer);

                stamp_message(buffer, len, w->id, i);
                CHECK_OK(mproc_queue_put(w->q, buffer, len, MPROC_FOREVER));
        }
        return NULL;
}

static void *
consume_thread(void *arg)
{
        struct worker *w = arg;
        uint8_t buffer[500];
        struct stamp stamp;
        size_t len;

        for (;; w->got++) {
                CHECK_OK(mproc_queue_get(w->q, buffer, sizeof buffer, &len, MPROC_FOREVER));
                if (len == 0)
                        return NULL;
                check_stamp(buffer, len, &stamp);
                CHECK(stamp.producer < 8);
                /* One consumer sees each producer's messages in their order. */
                w->bad += stamp.number + 1 <= w->last[stamp.producer];
                w->last[stamp.producer] = stamp.number + 1;
        }
}

TEST(threads_share_a_queue)
{
        static const size_t sizes[] = { 0, 1, 7 };

        for (int round = 0; round < 3; round++) {
                mproc_queue *q = make_queue(sizes[round]);
                struct worker producers[3], consumers[3];
                pthread_t threads[6];
                uint32_t count = round == 1 ? 2000 : 20000, got = 0;

                for (uint32_t i = 0; i < 3; i++) {
                        producers[i] = (struct worker){ .q = q, .id = i, .count = count };
                        consumers[i] = (struct worker){ .q = q };
                        pthread_create(&threads[i], NULL, produce_thread, &producers[i]);
                        pthread_create(&threads[3 + i], NULL, consume_thread, &consumers[i]);
                }
                for (int i = 0; i < 3; i++)
                        pthread_join(threads[i], NULL);
                for (int i = 0; i < 3; i++)
                        CHECK_OK(mproc_queue_put(q, "", 0, MPROC_FOREVER));
                for (int i = 0; i < 3; i++) {
                        pthread_join(threads[3 + i], NULL);
                        got += consumers[i].got;
                        CHECK_INT(consumers[i].bad, 0);
                }
                CHECK_INT(got, 3 * count);
                mproc_queue_free(q);
        }
}

static void *
get_and_return_code(void *arg)
{
        return (void *)(intptr_t)mproc_queue_get(arg, NULL, 0, NULL, MPROC_FOREVER);
}

static void *
put_and_return_code(void *arg)
{
        return (void *)(intptr_t)mproc_queue_put(arg, NULL, 0, MPROC_FOREVER);
}

TEST(close_sends_waiting_threads_away)
{
        for (int full = 0; full < 2; full++) {
                mproc_queue *q = make_queue(1);
                pthread_t threads[3];
                void *code;

                if (full)
                        CHECK_OK(mproc_queue_put(q, NULL, 0, 0));
                for (int i = 0; i < 3; i++)
                        pthread_create(&threads[i], NULL, full ? put_and_return_code : get_and_return_code, q);
                sleep_ms(20); /* most of them sleep by now; that some may not is as good a test */
                CHECK_OK(mproc_queue_close(q));
                for (int i = 0; i < 3; i++) {
                        pthread_join(threads[i], &code);
                        CHECK_INT((intptr_t)code, MPROC_ECLOSED);
                }
                mproc_queue_free(q);
        }
}

static volatile sig_atomic_t alarms;

static void
count_alarm(int signal)
{
        (void)signal;
        alarms++;
}

TEST(signals_do_not_show)
{
        mproc_queue *q = make_queue(0);
        struct sigaction action = { .sa_handler = count_alarm };
        struct itimerval timer = { { 0, 3000 }, { 0, 3000 } }, off = { { 0, 0 }, { 0, 0 } };
        int64_t t = monotonic_ms();

        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 200), MPROC_EEMPTY);
        CHECK(monotonic_ms() - t >= 199);
        while (alarms <= 3) /* a machine may be too busy to interrupt it often */
                CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 200), MPROC_EEMPTY);
        CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
        mproc_queue_free(q);
}

/* --- processes ---------------------------------------------------------------------------------------- */

static int
produce(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        uint32_t id = (uint32_t)mproc_args_uint(args, 1), count = (uint32_t)mproc_args_uint(args, 2);
        size_t most = (size_t)mproc_args_uint(args, 3);
        uint8_t *buffer = malloc(most);

        for (uint32_t i = 0; i < count; i++) {
                size_t len = some_length(i, most);

                stamp_message(buffer, len, id, i);
                CHECK_OK(mproc_queue_put(q, buffer, len, scaled_ms(LONG_MS)));
        }
        free(buffer);
        return 0;
}

/* Answers with how many it got and the sum of their numbers. */
static int
consume(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0), *answer = mproc_args_queue(args, 1);
        uint32_t last[8] = { 0 };
        uint64_t result[2] = { 0, 0 };

        for (;;) {
                struct stamp stamp;
                size_t len;
                void *data;

                CHECK_OK(mproc_queue_get_alloc(q, &data, &len, scaled_ms(LONG_MS)));
                if (len == 0) {
                        free(data);
                        break;
                }
                check_stamp(data, len, &stamp);
                free(data);
                CHECK(stamp.producer < 8 && stamp.number + 1 > last[stamp.producer]);
                last[stamp.producer] = stamp.number + 1;
                result[0]++;
                result[1] += stamp.number;
        }
        return mproc_queue_put(answer, result, sizeof result, MPROC_FOREVER);
}

static void
many_to_many(mproc_context *ctx, size_t maxsize, uint32_t count, size_t most)
{
        mproc_process *producers[3], *consumers[3];
        mproc_queue *q, *answer;
        uint64_t got = 0, sum = 0, result[2];

        CHECK_OK(mproc_queue_create(ctx, maxsize, &q));
        CHECK_OK(mproc_queue_create(ctx, 0, &answer));
        for (uint32_t i = 0; i < 3; i++) {
                consumers[i] = start(ctx, consume, MPROC_ARGS(q, answer));
                producers[i] = start(ctx, produce, MPROC_ARGS(q, i, count, (uint64_t)most));
        }
        for (int i = 0; i < 3; i++)
                finish(producers[i], 0);
        for (int i = 0; i < 3; i++)
                CHECK_OK(mproc_queue_put(q, NULL, 0, scaled_ms(LONG_MS)));
        for (int i = 0; i < 3; i++) {
                finish(consumers[i], 0);
                CHECK_OK(mproc_queue_get(answer, result, sizeof result, NULL, MPROC_NOWAIT));
                got += result[0];
                sum += result[1];
        }
        CHECK_INT(got, 3 * count);
        CHECK_INT(sum, UINT64_C(3) * count * (count - 1) / 2);
        CHECK_INT(mproc_queue_empty(q), 1);
        mproc_queue_free(q);
        mproc_queue_free(answer);
}

START_METHOD_TEST(many_producers_and_consumers)
{
        many_to_many(ctx, 0, 20000, 300);
}

START_METHOD_TEST(many_producers_and_consumers_one_message_at_a_time)
{
        many_to_many(ctx, 1, 2000, 300);
}

START_METHOD_TEST(many_producers_and_consumers_of_large_messages)
{
        many_to_many(ctx, 10, 40, 1 << 20);
}

static int
put_a_lot(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        uint64_t each = mproc_args_uint(args, 1), count = mproc_args_uint(args, 2);
        uint8_t *data = malloc(each);

        for (uint64_t i = 0; i < count; i++) {
                stamp_message(data, each, 0, (uint32_t)i);
                CHECK_OK(mproc_queue_put(q, data, each, MPROC_FOREVER));
        }
        free(data);
        return 0;
}

/* What hangs in the original: nobody reads until the child has been joined. */
START_METHOD_TEST(a_child_can_be_joined_before_its_100_mib_are_read)
{
        mproc_queue *q;
        uint32_t each = 40000, count = 2622;
        uint8_t *data = malloc(each);
        struct stamp stamp;
        size_t len;

        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        finish(start(ctx, put_a_lot, MPROC_ARGS(q, each, count)), 0);
        for (uint32_t i = 0; i < count; i++) {
                CHECK_OK(mproc_queue_get(q, data, each, &len, MPROC_NOWAIT));
                check_stamp(data, len, &stamp);
                CHECK_INT(stamp.number, i);
        }
        CHECK_CODE(mproc_queue_get(q, data, each, &len, MPROC_NOWAIT), MPROC_EEMPTY);
        free(data);
        mproc_queue_free(q);
}

static int
echo(mproc_args *args)
{
        mproc_queue *in = mproc_args_queue(args, 0), *out = mproc_args_queue(args, 1);
        uint32_t value;

        do {
                CHECK_OK(mproc_queue_get(in, &value, sizeof value, NULL, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_queue_put(out, &value, sizeof value, scaled_ms(LONG_MS)));
        } while (value != 0);
        return 0;
}

START_METHOD_TEST(questions_and_answers)
{
        mproc_queue *there, *back;
        mproc_process *p;

        CHECK_OK(mproc_queue_create(ctx, 1, &there));
        CHECK_OK(mproc_queue_create(ctx, 1, &back));
        p = start(ctx, echo, MPROC_ARGS(there, back));
        for (uint32_t i = 500; i-- > 0;) {
                uint32_t value = 0;

                CHECK_OK(mproc_queue_put(there, &i, sizeof i, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_queue_get(back, &value, sizeof value, NULL, scaled_ms(LONG_MS)));
                CHECK_INT(value, i);
        }
        finish(p, 0);
        mproc_queue_free(there);
        mproc_queue_free(back);
}

/* Twice among the arguments, it is there twice, and costs its two descriptors once. */
static int
use_both(mproc_args *args)
{
        int before = count_fds();
        mproc_queue *a = mproc_args_queue(args, 0), *b = mproc_args_queue(args, 1);
        char text[8];

        CHECK_OK(mproc_queue_put(a, "one", 4, 0));
        CHECK_OK(mproc_queue_get(b, text, sizeof text, NULL, 0));
        CHECK_STR(text, "one");
        CHECK(count_fds() <= before + 2 * portable_build()); /* who has a queue there joins the program at once */
        CHECK_OK(mproc_queue_close(a));
        if (a != b)
                CHECK_OK(mproc_queue_put(b, "two", 4, 0));
        return 0;
}

START_METHOD_TEST(a_queue_can_be_passed_twice)
{
        mproc_queue *q;
        char text[8] = "";

        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        finish(start(ctx, use_both, MPROC_ARGS(q, q)), 0);
        if (strcmp(method, "fork") != 0) { /* there it is one handle, closed */
                CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 0));
                CHECK_STR(text, "two");
        }
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY); /* closed there, not here */
        mproc_queue_free(q);
}

static int
pass_on(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        mproc_context *ctx;

        CHECK_OK(mproc_get_context("spawn", &ctx));
        finish(start(ctx, put_a_lot, MPROC_ARGS(q, 100u, 10u)), 0);
        return 0;
}

TEST(a_child_can_pass_a_queue_on)
{
        static const char *const methods[] = { "fork", "spawn", "forkserver" };
        mproc_context *ctx;
        mproc_queue *q;
        size_t n;

        CHECK_OK(mproc_get_context("spawn", &ctx));
        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        for (size_t i = 0; i < 3; i++) {
                CHECK_OK(mproc_get_context(methods[i], &ctx));
                finish(start(ctx, pass_on, MPROC_ARGS(q)), 0);
                CHECK_OK(mproc_queue_qsize(q, &n));
                CHECK_INT(n, 10 * (i + 1));
        }
        mproc_queue_free(q);
}

TEST(a_queue_of_the_fork_context_stays_with_it)
{
        mproc_context *fork_ctx, *spawn_ctx;
        mproc_process *p;
        mproc_queue *q;

        CHECK_OK(mproc_get_context("fork", &fork_ctx));
        CHECK_OK(mproc_get_context("spawn", &spawn_ctx));
        CHECK_OK(mproc_queue_create(fork_ctx, 0, &q));
        CHECK_OK(mproc_process_create(spawn_ctx, put_a_lot, MPROC_ARGS(q, 100u, 1u), &p));
        CHECK_CODE(mproc_process_start(p), MPROC_ECONTEXT);
        mproc_process_free(p);
        mproc_queue_free(q);
}

TEST(any_forked_child_can_use_it)
{
        mproc_queue *q = make_queue(0);
        char text[8];
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                CHECK_OK(mproc_queue_put(q, "child", 6, 0));
                _exit(0);
        }
        CHECK(pid > 0);
        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, scaled_ms(LONG_MS)));
        CHECK_STR(text, "child");
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        mproc_queue_free(q);
}

/* A fork while other threads are in the middle of put and get, and windows move. */
TEST(a_fork_in_the_middle_of_things_harms_nobody, .limit_s = 120)
{
        mproc_queue *q = make_queue(0);
        struct worker p = { .q = q, .id = 0, .count = 60000 }, c = { .q = q };
        pthread_t threads[2];

        if (under_tsan())
                SKIP("the forked child is none of ThreadSanitizer's");
        pthread_create(&threads[0], NULL, produce_thread, &p);
        pthread_create(&threads[1], NULL, consume_thread, &c);
        for (int i = 0; i < 40; i++) {
                uint8_t buffer[500];
                pid_t pid = fork();
                int status;

                if (pid == 0) {
                        stamp_message(buffer, 100, 5, (uint32_t)i);
                        CHECK_OK(mproc_queue_put(q, buffer, 100, MPROC_FOREVER));
                        _exit(0);
                }
                CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        }
        pthread_join(threads[0], NULL);
        CHECK_OK(mproc_queue_put(q, "", 0, 0));
        pthread_join(threads[1], NULL);
        CHECK_INT(c.got, 60000 + 40);
        CHECK_INT(c.bad, 0);
        mproc_queue_free(q);
}
