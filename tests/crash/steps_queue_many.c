/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_queue_many.c - several messages in one call, killed after each instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

#include <unistd.h>

enum { MANY = 3, RING = 1023 /* messages that a ring has slots for */ };

static uint32_t texts[MANY][TEXT / 4];

/* 5, 6, 7, ... */
static void
do_put_many(void)
{
        mproc_message messages[MANY];
        size_t done;

        for (uint32_t i = 0; i < MANY; i++) {
                for (uint32_t k = 0; k < TEXT / 4; k++)
                        texts[i][k] = (5 + i) * 1000 + k;
                messages[i] = (mproc_message){ texts[i], TEXT };
        }
        (void)mproc_queue_put_many(stage.queue, messages, MANY, &done, MPROC_FOREVER);
}

static void
do_get_many(void)
{
        mproc_message messages[MANY];
        char buffer[MANY * TEXT];
        size_t count;

        (void)mproc_queue_get_many(stage.queue, messages, MANY, buffer, sizeof buffer, &count, MPROC_FOREVER);
}

/* All of them or none: they are counted in one step. */
SCENE(put_many_into_an_idle_queue)
{
        enum fate fate;

        stage_open(0, 0);
        fate = step_and_kill(make_victim(do_put_many), steps);
        CHECK(queued() == 0 || queued() == MANY);
        expect_messages((uint32_t[]){ 5, 6, 7 }, queued());
        return fate;
}

SCENE(put_many_while_two_consumers_sleep)
{
        enum fate fate;
        bool put;

        stage_open(0, 0);
        help(0, do_get);
        help(1, do_get);
        fate = step_and_kill(make_victim(do_put_many), steps);
        (void)usleep(300);
        if (!board->done[0] && !board->done[1] && queued() == 0)
                (void)usleep(2000); /* a message that is just being taken is not queued either */
        put = board->done[0] || board->done[1] || queued() != 0;
        for (uint32_t i = 5; i < 8 && !put; i++)
                CHECK_OK(put_number(i, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0) && helped(1), "three messages, and a consumer sleeps");
        CHECK_INT(board->value[0] + board->value[1], 5 + 6);
        expect_messages((uint32_t[]){ 7 }, 1);
        return fate;
}

/* What fits into the old ring is one step, the rest another one; a death between leaves the beginning. */
SCENE(put_many_over_the_border_of_a_ring)
{
        uint32_t number, i;
        enum fate fate;
        size_t n;

        stage_open(0, 0);
        for (i = 0; i < RING - 1; i++)
                CHECK_OK(put_number(i + 100, 0));
        fate = step_and_kill(make_victim(do_put_many), steps);
        n = queued() - (RING - 1);
        CHECK(n == 0 || n == 1 || n == MANY);
        CHECK_OK(put_number(8, scaled_ms(SERVED_MS)));
        for (i = 0; i < RING - 1; i++) {
                CHECK_OK(get_number(&number, 0));
                CHECK_INT(number, i + 100);
        }
        for (i = 0; i < n; i++) {
                CHECK_OK(get_number(&number, 0));
                CHECK_INT(number, i + 5);
        }
        expect_messages((uint32_t[]){ 8 }, 1);
        return fate;
}

/* One fits, the others wait for room: which comes while the victim stands somewhere. */
SCENE(put_many_into_an_almost_full_queue)
{
        uint32_t number;
        enum fate fate;
        size_t n;

        stage_open(2, 0);
        CHECK_OK(put_number(1, 0));
        fate = step_and_kill(make_victim(do_put_many), steps);
        n = queued();
        CHECK(n == 1 || n == 2);
        if (n == 1)
                CHECK_OK(put_number(5, scaled_ms(SERVED_MS)));
        help(1, do_put_6);
        CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
        CHECK_INT(number, 1);
        CHECK_MSG(helped(1), "there is room, and the producer sleeps");
        expect_messages((uint32_t[]){ 5, 6 }, 2);
        return fate;
}

SCENE(get_many_of_five)
{
        enum fate fate;

        stage_open(0, 0);
        for (uint32_t i = 1; i <= 5; i++)
                CHECK_OK(put_number(i, 0));
        fate = step_and_kill(make_victim(do_get_many), steps);
        CHECK(queued() == 5 || queued() == 2);
        expect_messages((uint32_t[]){ 1, 2, 3, 4, 5 } + (5 - queued()), queued());
        return fate;
}

SCENE(get_many_over_the_border_of_a_ring)
{
        enum fate fate;
        size_t n;

        stage_open(0, 0);
        for (uint32_t i = 0; i < RING + 3; i++)
                CHECK_OK(put_number(i, 0));
        for (uint32_t i = 0; i < RING - 1; i++)
                CHECK_OK(get_number(&(uint32_t){ 0 }, 0));
        fate = step_and_kill(make_victim(do_get_many), steps);
        n = queued();
        CHECK(n == 4 || n == 3 || n == 1);
        expect_messages((uint32_t[]){ RING - 1, RING, RING + 1, RING + 2 } + (4 - n), n);
        return fate;
}

/* Of a full queue, in which two wait to put. */
SCENE(get_many_while_two_producers_wait)
{
        uint32_t number;
        enum fate fate;

        stage_open(2, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        help(0, do_put_6);
        help(1, do_put_6);
        fate = step_and_kill(make_victim(do_get_many), steps);
        (void)usleep(300);
        for (int i = 0; i < 2 && !(board->done[0] && board->done[1]); i++)
                if (mproc_queue_full(stage.queue) == 1) {
                        CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                        (void)usleep(300);
                }
        CHECK_MSG(helped(0) && helped(1), "there is room, and a producer sleeps");
        while (queued() > 0) {
                CHECK_OK(get_number(&number, 0));
                CHECK(number == 1 || number == 2 || number == 6);
        }
        expect_messages(NULL, 0);
        return fate;
}
