/* SPDX-License-Identifier: MIT */
/*
 * simple_queue_test.c - the smallest queue.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <pthread.h>
#include <unistd.h>

TEST(it_holds_messages_in_order)
{
        mproc_simple_queue *q;
        char text[8];
        size_t len;

        CHECK_OK(mproc_simple_queue_create(NULL, &q));
        CHECK_INT(mproc_simple_queue_empty(q), 1);
        for (uint32_t i = 0; i < 5000; i++)
                CHECK_OK(mproc_simple_queue_put(q, &i, sizeof i));
        CHECK_INT(mproc_simple_queue_empty(q), 0);
        CHECK_CODE(mproc_simple_queue_get(q, text, 3, &len), MPROC_ETOOSMALL);
        CHECK_INT(len, 4);
        for (uint32_t i = 0, got; i < 5000; i++) {
                CHECK_OK(mproc_simple_queue_get(q, &got, sizeof got, NULL));
                CHECK_INT(got, i);
        }
        CHECK_INT(mproc_simple_queue_empty(q), 1);
        mproc_simple_queue_free(q);
}

TEST(wrong_use_is_told)
{
        mproc_simple_queue *q;

        CHECK_CODE(mproc_simple_queue_put(NULL, "x", 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_simple_queue_get(NULL, NULL, 0, NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_simple_queue_empty(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_simple_queue_close(NULL), MPROC_EHANDLE);
        CHECK_OK(mproc_simple_queue_create(NULL, &q));
        CHECK_OK(mproc_simple_queue_close(q));
        CHECK_CODE(mproc_simple_queue_put(q, "x", 1), MPROC_ECLOSED);
        mproc_simple_queue_free(q);
        mproc_simple_queue_free(NULL);
}

static void *
wait_in_get(void *arg)
{
        CHECK_CODE(mproc_simple_queue_get(arg, NULL, 0, NULL), MPROC_ECLOSED);
        return NULL;
}

TEST(closing_sends_away_who_waits)
{
        mproc_simple_queue *q;
        pthread_t thread;

        CHECK_OK(mproc_simple_queue_create(NULL, &q));
        CHECK_INT(pthread_create(&thread, NULL, wait_in_get, q), 0);
        CHECK_OK(mproc_simple_queue_close(q));
        CHECK_INT(pthread_join(thread, NULL), 0);
        mproc_simple_queue_free(q);
}

static int
answer(mproc_args *args)
{
        mproc_simple_queue *questions = mproc_args_simple_queue(args, 0), *answers = mproc_args_simple_queue(args, 1);
        uint32_t number;

        do {
                CHECK_OK(mproc_simple_queue_get(questions, &number, sizeof number, NULL));
                number *= 2;
                CHECK_OK(mproc_simple_queue_put(answers, &number, sizeof number));
        } while (number != 0);
        return 0;
}

START_METHOD_TEST(processes_talk_through_it)
{
        mproc_simple_queue *questions, *answers;
        mproc_process *p;

        CHECK_OK(mproc_simple_queue_create(ctx, &questions));
        CHECK_OK(mproc_simple_queue_create(ctx, &answers));
        p = start(ctx, answer, MPROC_ARGS(questions, answers));
        for (uint32_t i = 100, got; i-- > 0;) {
                CHECK_OK(mproc_simple_queue_put(questions, &i, sizeof i));
                CHECK_OK(mproc_simple_queue_get(answers, &got, sizeof got, NULL));
                CHECK_INT(got, 2 * i);
        }
        finish(p, 0);
        mproc_simple_queue_free(questions);
        mproc_simple_queue_free(answers);
}
