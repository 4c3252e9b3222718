/* SPDX-License-Identifier: MIT */
/*
 * queue_ending_test.c - the end of a queue for all, and queues in loops of one's own.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

/* --- shutting down ---------------------------------------------------------------------------------------- */

static int
drain(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0), *answer = mproc_args_queue(args, 1);
        uint32_t got = 0, number;
        int r;

        CHECK_OK(mproc_queue_put(answer, &got, sizeof got, 0));
        while ((r = mproc_queue_get(q, &number, sizeof number, NULL, scaled_ms(LONG_MS))) == 0)
                got++;
        CHECK_CODE(r, MPROC_ECLOSED);
        return mproc_queue_put(answer, &got, sizeof got, 0);
}

static int
fill(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0), *answer = mproc_args_queue(args, 1);
        uint32_t put = 0;
        int r;

        CHECK_OK(mproc_queue_put(answer, &put, sizeof put, 0));
        while ((r = mproc_queue_put(q, &put, sizeof put, scaled_ms(LONG_MS))) == 0)
                put++;
        CHECK_CODE(r, MPROC_ECLOSED);
        return mproc_queue_put(answer, &put, sizeof put, 0);
}

static uint32_t
collect(mproc_queue *answer, int count)
{
        uint32_t sum = 0, n;

        while (count-- > 0) {
                CHECK_OK(mproc_queue_get(answer, &n, sizeof n, NULL, scaled_ms(LONG_MS)));
                sum += n;
        }
        return sum;
}

/* In the middle of things: what was put is got, exactly that, and all go home. */
START_METHOD_TEST(shutdown_sends_all_home_and_loses_nothing)
{
        static const size_t maxsizes[] = { 1, 0 };

        for (int i = 0; i < 2; i++) {
                mproc_process *getters[2], *putters[2];
                mproc_queue *q, *in, *out;

                CHECK_OK(mproc_queue_create(ctx, maxsizes[i], &q));
                CHECK_OK(mproc_queue_create(ctx, 0, &in));
                CHECK_OK(mproc_queue_create(ctx, 0, &out));
                for (int k = 0; k < 2; k++) {
                        getters[k] = start(ctx, drain, MPROC_ARGS(q, out));
                        putters[k] = start(ctx, fill, MPROC_ARGS(q, in));
                }
                CHECK_INT(collect(in, 2) + collect(out, 2), 0); /* they have begun */
                sleep_ms(5);
                CHECK_OK(mproc_queue_shutdown(q));
                for (int k = 0; k < 2; k++) {
                        finish(putters[k], 0);
                        finish(getters[k], 0);
                }
                CHECK_INT(collect(in, 2), collect(out, 2));
                CHECK_CODE(mproc_queue_put(q, "x", 1, 0), MPROC_ECLOSED);
                CHECK_CONTAINS(mproc_last_error(), "shut down");
                CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 0), MPROC_ECLOSED);
                mproc_queue_free(q);
                mproc_queue_free(in);
                mproc_queue_free(out);
        }
}

START_METHOD_TEST(shutdown_wakes_sleepers)
{
        mproc_process *getters[3], *putter;
        mproc_queue *empty, *full, *answer;
        int64_t t;

        CHECK_OK(mproc_queue_create(ctx, 0, &empty));
        CHECK_OK(mproc_queue_create(ctx, 1, &full));
        CHECK_OK(mproc_queue_create(ctx, 0, &answer));
        CHECK_OK(mproc_queue_put(full, "x", 1, 0));
        for (int i = 0; i < 3; i++)
                getters[i] = start(ctx, drain, MPROC_ARGS(empty, answer));
        putter = start(ctx, fill, MPROC_ARGS(full, answer));
        CHECK_INT(collect(answer, 4), 0);
        sleep_ms(30); /* most of them sleep by now; that some may not is as good a test */
        t = monotonic_ms();
        CHECK_OK(mproc_queue_shutdown(empty));
        CHECK_OK(mproc_queue_shutdown(full));
        CHECK_OK(mproc_queue_shutdown(full));
        for (int i = 0; i < 3; i++)
                finish(getters[i], 0);
        finish(putter, 0);
        CHECK(monotonic_ms() - t < scaled_ms(4000));
        CHECK_OK(mproc_queue_get(full, &(char){ 0 }, 1, NULL, MPROC_FOREVER));
        CHECK_CODE(mproc_queue_get(full, NULL, 0, NULL, MPROC_FOREVER), MPROC_ECLOSED);
        CHECK_INT(
                mproc_wait(&(mproc_waitable){ .type = MPROC_ARG_QUEUE, .fd = -1, .handle = full }, 1, MPROC_FOREVER),
                1);
        mproc_queue_free(empty);
        mproc_queue_free(full);
        mproc_queue_free(answer);
}

TEST(what_was_reserved_does_not_outlive_the_end)
{
        mproc_queue *q;
        void *place;

        CHECK_OK(mproc_queue_create(NULL, 0, &q));
        CHECK_OK(mproc_queue_reserve(q, 10, &place, 0));
        CHECK_OK(mproc_queue_shutdown(q));
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 0), MPROC_EEMPTY); /* it might still come */
        CHECK_CODE(mproc_queue_commit(q, 10), MPROC_ECLOSED);
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, MPROC_FOREVER), MPROC_ECLOSED);
        mproc_queue_free(q);
}

/* --- the last producer ------------------------------------------------------------------------------------ */

static int
put_some(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        const char *how = mproc_args_string(args, 1);

        for (uint32_t i = 0; i < 100; i++)
                CHECK_OK(mproc_queue_put(q, &i, sizeof i, 0));
        if (strcmp(how, "close") == 0)
                CHECK_OK(mproc_queue_close(q));
        if (strcmp(how, "die") == 0)
                (void)raise(SIGKILL);
        if (strcmp(how, "close") == 0)
                pause();
        return 0;
}

START_METHOD_TEST(the_end_comes_when_no_producer_is_left)
{
        static const char *const ways[] = { "return", "die", "close" };

        for (int i = 0; i < 3; i++) {
                mproc_process *p[3], *consumer;
                mproc_queue *q, *answer;

                CHECK_OK(mproc_queue_create(ctx, 0, &q));
                CHECK_OK(mproc_queue_create(ctx, 0, &answer));
                consumer = start(ctx, drain, MPROC_ARGS(q, answer));
                CHECK_OK(mproc_queue_add_producer(q, NULL));
                for (int k = 0; k < 3; k++) {
                        p[k] = start(ctx, put_some, MPROC_ARGS(q, ways[i]));
                        CHECK_OK(mproc_queue_add_producer(q, p[k]));
                }
                CHECK_OK(mproc_queue_remove_producer(q));
                for (int k = 0; portable_build() && i < 2 && k < 3; k++) /* there, it is the reaped who are dead */
                        CHECK_OK(mproc_process_join(p[k], scaled_ms(LONG_MS)));
                finish(consumer, 0);
                CHECK_INT(collect(answer, 2), 300);
                CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 0), MPROC_ECLOSED);
                CHECK_CONTAINS(mproc_last_error(), "producers");
                for (int k = 0; k < 3; k++) {
                        if (i == 2)
                                CHECK_OK(mproc_process_kill(p[k]));
                        finish(p[k], i == 0 ? 0 : -SIGKILL);
                }
                mproc_queue_free(q);
                mproc_queue_free(answer);
        }
}

TEST(producers_are_noted_by_their_processes)
{
        mproc_process *p;
        mproc_queue *q;

        CHECK_OK(mproc_queue_create(NULL, 0, &q));
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 0), MPROC_EEMPTY);
        CHECK_OK(mproc_process_create(NULL, put_some, MPROC_ARGS(q, "return"), &p));
        CHECK_CODE(mproc_queue_add_producer(q, p), MPROC_ENOTSTARTED);
        mproc_process_free(p);
        for (int i = 0; i < 300; i++) /* once is enough */
                CHECK_OK(mproc_queue_add_producer(q, NULL));
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 20), MPROC_EEMPTY);
        CHECK_OK(mproc_queue_remove_producer(q));
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 20), MPROC_ECLOSED);
        CHECK_INT(mproc_wait(&(mproc_waitable){ .type = MPROC_ARG_QUEUE, .fd = -1, .handle = q }, 1, MPROC_FOREVER),
                  1);
        CHECK_OK(mproc_queue_add_producer(q, NULL));
        CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 0), MPROC_EEMPTY);
        mproc_queue_free(q);
}

/* --- loops ------------------------------------------------------------------------------------------------ */

/* As any loop does it: poll, and when it is readable get until there is nothing. */
static uint32_t
loop_until_end(mproc_queue *q, bool edges)
{
        struct epoll_event event = { .events = EPOLLIN | (edges ? (uint32_t)EPOLLET : 0) };
        uint32_t got = 0, number;
        int fd = epoll_create1(EPOLL_CLOEXEC), r;

        CHECK(fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, mproc_queue_fileno(q), &event) == 0);
        for (;;) {
                CHECK(epoll_wait(fd, &event, 1, (int)scaled_ms(LONG_MS)) == 1);
                while ((r = mproc_queue_get(q, &number, sizeof number, NULL, MPROC_NOWAIT)) == 0)
                        got++;
                if (r == MPROC_ECLOSED)
                        break;
                CHECK_CODE(r, MPROC_EEMPTY);
        }
        close(fd);
        return got;
}

static int
poll_queue(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0), *answer = mproc_args_queue(args, 1);
        uint32_t got = loop_until_end(q, mproc_args_int(args, 2) != 0);

        return mproc_queue_put(answer, &got, sizeof got, 0);
}

START_METHOD_TEST(several_processes_poll_the_same_queue)
{
        for (int edges = 0; edges < 2; edges++) {
                mproc_process *pollers[3], *putters[2];
                mproc_queue *q, *answer;

                CHECK_OK(mproc_queue_create(ctx, 0, &q));
                CHECK_OK(mproc_queue_create(ctx, 0, &answer));
                for (int i = 0; i < 3; i++)
                        pollers[i] = start(ctx, poll_queue, MPROC_ARGS(q, answer, edges));
                for (int round = 0; round < 10; round++) {
                        for (int i = 0; i < 2; i++)
                                putters[i] = start(ctx, put_some, MPROC_ARGS(q, "return"));
                        for (int i = 0; i < 2; i++)
                                finish(putters[i], 0);
                        WAIT_UNTIL(mproc_queue_empty(q) == 1, scaled_ms(LONG_MS));
                }
                CHECK_OK(mproc_queue_shutdown(q));
                for (int i = 0; i < 3; i++)
                        finish(pollers[i], 0);
                CHECK_INT(collect(answer, 3), 2000);
                mproc_queue_free(q);
                mproc_queue_free(answer);
        }
}

struct looker {
        mproc_queue *q;
        pthread_barrier_t *steps;
};

static void *
look_at_one(void *arg)
{
        struct looker *looker = arg;
        const void *data;

        CHECK_OK(mproc_queue_peek(looker->q, &data, NULL, MPROC_FOREVER));
        (void)pthread_barrier_wait(looker->steps);
        (void)pthread_barrier_wait(looker->steps);
        CHECK_OK(mproc_queue_release(looker->q));
        return NULL;
}

/* Somebody was in the way when it came to look at the end: that is not to be its last look. */
TEST(an_edge_at_the_end_is_followed_by_another_until_the_end_was_seen)
{
        struct epoll_event event = { .events = EPOLLIN | (uint32_t)EPOLLET };
        int fd = epoll_create1(EPOLL_CLOEXEC), r;
        pthread_barrier_t steps;
        struct looker looker = { .steps = &steps };
        pthread_t thread;
        mproc_queue *q;
        char text[4];

        CHECK_OK(mproc_queue_create(NULL, 0, &q));
        CHECK_OK(mproc_queue_put(q, "abc", 4, 0));
        looker.q = q;
        CHECK(pthread_barrier_init(&steps, NULL, 2) == 0);
        CHECK(pthread_create(&thread, NULL, look_at_one, &looker) == 0);
        (void)pthread_barrier_wait(&steps);
        CHECK(fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, mproc_queue_fileno(q), &event) == 0);
        CHECK_OK(mproc_queue_shutdown(q));
        CHECK_INT(epoll_wait(fd, &event, 1, 0), 1);
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, MPROC_NOWAIT), MPROC_EEMPTY);
        (void)pthread_barrier_wait(&steps);
        do {
                CHECK_INT(epoll_wait(fd, &event, 1, (int)scaled_ms(LONG_MS)), 1);
                r = mproc_queue_get(q, text, sizeof text, NULL, MPROC_NOWAIT);
        } while (r == MPROC_EEMPTY);
        CHECK_CODE(r, MPROC_ECLOSED);
        CHECK(pthread_join(thread, NULL) == 0);
        (void)pthread_barrier_destroy(&steps);
        close(fd);
        mproc_queue_free(q);
}

TEST(a_loop_is_quiet_when_nothing_is_there)
{
        struct pollfd poll_it = { .events = POLLIN };
        mproc_queue *q;
        char text[4];

        CHECK_OK(mproc_queue_create(NULL, 0, &q));
        poll_it.fd = mproc_queue_fileno(q);
        CHECK(poll_it.fd >= 0);
        for (int i = 0; i < 20; i++) {
                CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
                CHECK_INT(poll(&poll_it, 1, 0), 0);
                CHECK_OK(mproc_queue_put(q, "abc", 4, 0));
                CHECK_INT(poll(&poll_it, 1, 0), 1);
                CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 0));
                CHECK_INT(poll(&poll_it, 1, 0), 1); /* it has not been told yet that there is nothing */
        }
        CHECK_OK(mproc_queue_close(q));
        CHECK_INT(poll(&poll_it, 1, 0), 1);
        CHECK_CODE(mproc_queue_fileno(q), MPROC_ECLOSED);
        mproc_queue_free(q);
}
