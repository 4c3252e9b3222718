/* SPDX-License-Identifier: MIT */
/*
 * queue_inplace_test.c - messages written and read where they lie, and what becomes of them when their owner dies.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 3 << 20 };

static mproc_queue *
make_queue(size_t maxsize)
{
        mproc_queue *queue;

        CHECK_OK(mproc_queue_create(NULL, maxsize, &queue));
        return queue;
}

TEST(a_message_is_written_and_read_in_its_place)
{
        static const size_t lens[] = { 0, 1, 64, 5000, 200000, 1 << 20, LARGE };
        mproc_queue *q = make_queue(0);

        for (uint32_t i = 0; i < 300; i++) {
                size_t len = lens[i % (i < 21 ? 7 : 4)] + sizeof(struct stamp), got;
                const void *seen;
                void *place;
                struct stamp stamp;

                CHECK_OK(mproc_queue_reserve(q, len + 100, &place, MPROC_NOWAIT));
                CHECK_INT((uintptr_t)place % 16, 0);
                memset(place, 0, len + 100);
                stamp_message(place, len, 1, i);
                CHECK_INT(mproc_queue_empty(q), 1);
                CHECK_OK(mproc_queue_commit(q, len));
                CHECK_OK(mproc_queue_peek(q, &seen, &got, MPROC_NOWAIT));
                CHECK_INT(got, len);
                check_stamp(seen, got, &stamp);
                CHECK_INT(stamp.number, i);
                CHECK_INT(mproc_queue_empty(q), 0);
                if (i % 3 == 0) {
                        CHECK_OK(mproc_queue_unpeek(q));
                        CHECK_OK(mproc_queue_peek(q, &seen, &got, MPROC_NOWAIT));
                }
                CHECK_OK(mproc_queue_release(q));
                CHECK_INT(mproc_queue_empty(q), 1);
        }
        mproc_queue_free(q);
}

TEST(what_is_cancelled_was_never_there)
{
        mproc_queue *q = make_queue(1);
        size_t len;
        void *place;
        char text[8];

        for (int i = 0; i < 200; i++) {
                CHECK_OK(mproc_queue_reserve(q, i % 50 ? 1000 : LARGE, &place, MPROC_NOWAIT));
                CHECK_OK(mproc_queue_cancel(q));
                CHECK_OK(mproc_queue_put(q, "next", 5, MPROC_NOWAIT));
                CHECK_CODE(mproc_queue_reserve(q, 1, &place, MPROC_NOWAIT), MPROC_EFULL);
                CHECK_OK(mproc_queue_get(q, text, sizeof text, &len, MPROC_NOWAIT));
                CHECK_STR(text, "next");
        }
        mproc_queue_free(q);
}

TEST(wrong_use_in_place_is_told)
{
        mproc_queue_opts opts = MPROC_QUEUE_OPTS_INIT;
        mproc_queue *q = make_queue(0);
        const void *seen;
        void *place;
        size_t len;

        CHECK_CODE(mproc_queue_commit(q, 0), MPROC_ERELEASED);
        CHECK_CODE(mproc_queue_cancel(q), MPROC_ERELEASED);
        CHECK_CODE(mproc_queue_release(q), MPROC_ERELEASED);
        CHECK_CODE(mproc_queue_unpeek(q), MPROC_ERELEASED);
        CHECK_CODE(mproc_queue_commit(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_queue_peek(q, &seen, &len, MPROC_NOWAIT), MPROC_EEMPTY);
        CHECK_OK(mproc_queue_reserve(q, 10, &place, 0));
        CHECK_CODE(mproc_queue_reserve(q, 10, &place, MPROC_FOREVER), MPROC_EDEADLK);
        CHECK_CODE(mproc_queue_put(q, "x", 1, MPROC_FOREVER), MPROC_EDEADLK);
        CHECK_CODE(mproc_queue_commit(q, 11), -EMSGSIZE);
        CHECK_OK(mproc_queue_commit(q, 10));
        CHECK_OK(mproc_queue_peek(q, &seen, NULL, 0));
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, MPROC_FOREVER), MPROC_EDEADLK);
        CHECK_CONTAINS(mproc_last_error(), "peeked");
        mproc_queue_free(q); /* with a message in our hands */

        opts.leases = 3;
        CHECK_OK(mproc_queue_create_opts(NULL, &opts, &q));
        CHECK_CODE(mproc_queue_peek(q, &seen, &len, 0), MPROC_EUNSUPPORTED);
        mproc_queue_free(q);
}

static void *
put_and_get(void *arg)
{
        char text[8];

        CHECK_OK(mproc_queue_put(arg, "other", 6, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_queue_get(arg, text, sizeof text, NULL, scaled_ms(LONG_MS)));
        CHECK_STR(text, "mine");
        return NULL;
}

/* Others wait meanwhile, those at the other end do not; and who polls is not told of a message that he cannot have.
 */
TEST(others_of_the_same_end_wait)
{
        mproc_queue *q = make_queue(0);
        const void *seen;
        pthread_t thread;
        void *place;
        size_t len;

        CHECK_OK(mproc_queue_reserve(q, 5, &place, 0));
        pthread_create(&thread, NULL, put_and_get, q);
        sleep_ms(20);
        CHECK_INT(mproc_queue_empty(q), 1);
        memcpy(place, "mine", 5);
        CHECK_OK(mproc_queue_commit(q, 5));
        pthread_join(thread, NULL);
        CHECK_OK(mproc_queue_peek(q, &seen, &len, 0));
        CHECK_MEM(seen, "other", 6);
        CHECK_OK(mproc_queue_put(q, "x", 1, MPROC_NOWAIT));
        CHECK_CODE(mproc_wait(&(mproc_waitable){ .type = MPROC_ARG_QUEUE, .fd = -1, .handle = q }, 1, 30),
                   MPROC_ETIMEDOUT);
        CHECK_OK(mproc_queue_release(q));
        CHECK_INT(mproc_wait(&(mproc_waitable){ .type = MPROC_ARG_QUEUE, .fd = -1, .handle = q }, 1, 30), 1);
        mproc_queue_free(q);
}

/* --- death ------------------------------------------------------------------------------------------------ */

static int
take_in_hand(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0), *ready = mproc_args_queue(args, 1);
        const char *what = mproc_args_string(args, 2);
        size_t len = (size_t)mproc_args_uint(args, 3);
        const void *seen;
        void *place;

        if (strcmp(what, "peek") == 0) {
                CHECK_OK(mproc_queue_peek(q, &seen, &len, scaled_ms(LONG_MS)));
        } else {
                CHECK_OK(mproc_queue_reserve(q, len, &place, scaled_ms(LONG_MS)));
                memset(place, 'x', len);
        }
        CHECK_OK(mproc_queue_put(ready, NULL, 0, 0));
        for (;;)
                pause();
}

START_METHOD_TEST(the_dead_have_put_nothing_and_taken_nothing)
{
        static const size_t lens[] = { 100, LARGE };
        mproc_queue *q, *ready;
        mproc_process *p;
        size_t n, len;
        uint8_t *data = malloc(LARGE);

        for (int i = 0; i < 4; i++) {
                CHECK_OK(mproc_queue_create(ctx, 0, &q));
                CHECK_OK(mproc_queue_create(ctx, 0, &ready));
                if (i % 2) {
                        memset(data, 'm', LARGE);
                        CHECK_OK(mproc_queue_put(q, data, lens[i / 2], 0));
                }
                p = start(ctx, take_in_hand, MPROC_ARGS(q, ready, i % 2 ? "peek" : "put", (uint64_t)lens[i / 2]));
                CHECK_OK(mproc_queue_get(ready, NULL, 0, NULL, scaled_ms(LONG_MS)));
                CHECK_CODE(i % 2 ? mproc_queue_get(q, data, LARGE, &len, 20) : mproc_queue_put(q, data, 1, 20),
                           i % 2 ? MPROC_EEMPTY : MPROC_EFULL);
                CHECK_CONTAINS(mproc_last_error(), "reserved or peeked");
                CHECK_OK(mproc_process_kill(p));
                if (i % 2) { /* the message is still there */
                        CHECK_OK(mproc_queue_get(q, data, LARGE, &len, scaled_ms(LONG_MS)));
                        CHECK_INT(len, lens[i / 2]);
                        CHECK(data[0] == 'm' && data[len - 1] == 'm');
                } else { /* nothing of it is there */
                        CHECK_OK(mproc_queue_put(q, "after", 6, scaled_ms(LONG_MS)));
                        CHECK_OK(mproc_queue_get(q, data, LARGE, &len, 0));
                        CHECK_STR((char *)data, "after");
                }
                CHECK_OK(mproc_queue_qsize(q, &n));
                CHECK_INT(n, 0);
                finish(p, -SIGKILL);
                mproc_queue_free(q);
                mproc_queue_free(ready);
        }
        free(data);
}

static int
produce_in_place(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        uint32_t id = (uint32_t)mproc_args_uint(args, 1);

        for (uint32_t i = 0; i < 300; i++) {
                size_t len = some_length(i, 20000);
                void *place;

                CHECK_OK(mproc_queue_reserve(q, 20000, &place, scaled_ms(LONG_MS)));
                stamp_message(place, len, id, i);
                CHECK_OK(mproc_queue_commit(q, len));
        }
        return 0;
}

static int
consume_in_place(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        uint32_t last[2] = { 0 };

        for (;;) {
                struct stamp stamp;
                const void *data;
                size_t len;

                CHECK_OK(mproc_queue_peek(q, &data, &len, scaled_ms(LONG_MS)));
                if (len == 0) {
                        CHECK_OK(mproc_queue_release(q));
                        return 0;
                }
                check_stamp(data, len, &stamp);
                CHECK(stamp.producer < 2 && stamp.number + 1 > last[stamp.producer]);
                last[stamp.producer] = stamp.number + 1;
                CHECK_OK(mproc_queue_release(q));
        }
}

START_METHOD_TEST(several_work_in_place)
{
        mproc_process *producers[2], *consumers[2];
        mproc_queue *q;

        CHECK_OK(mproc_queue_create(ctx, 7, &q));
        for (uint32_t i = 0; i < 2; i++) {
                consumers[i] = start(ctx, consume_in_place, MPROC_ARGS(q));
                producers[i] = start(ctx, produce_in_place, MPROC_ARGS(q, i));
        }
        for (int i = 0; i < 2; i++)
                finish(producers[i], 0);
        for (int i = 0; i < 2; i++)
                CHECK_OK(mproc_queue_put(q, NULL, 0, scaled_ms(LONG_MS)));
        for (int i = 0; i < 2; i++)
                finish(consumers[i], 0);
        CHECK_INT(mproc_queue_empty(q), 1);
        mproc_queue_free(q);
}
