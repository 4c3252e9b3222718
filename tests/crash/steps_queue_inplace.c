/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_queue_inplace.c - messages in their places, written and read by somebody who is killed after each
 * instruction.
 *
 * Runs in: test processes.
 *
 * The others find the death of one who has a message in his hands by looking at his slot, each 10 to 100 ms.
 */
#include "crash/stage.h"

#include <stdlib.h>
#include <unistd.h>

static void
write_number(uint32_t number)
{
        uint32_t *text;
        void *place;

        if (mproc_queue_reserve(stage.queue, TEXT, &place, MPROC_FOREVER) < 0)
                return;
        text = place;
        for (uint32_t i = 0; i < TEXT / 4; i++)
                text[i] = number * 1000 + i;
        (void)mproc_queue_commit(stage.queue, TEXT);
}

static void
do_write_5(void)
{
        write_number(5);
}

static void
do_cancel(void)
{
        void *place;

        if (mproc_queue_reserve(stage.queue, TEXT, &place, MPROC_FOREVER) == 0)
                (void)mproc_queue_cancel(stage.queue);
}

static void
do_read(void)
{
        const void *text;

        if (mproc_queue_peek(stage.queue, &text, NULL, MPROC_FOREVER) == 0)
                (void)mproc_queue_release(stage.queue);
}

static void
do_unpeek(void)
{
        const void *text;

        if (mproc_queue_peek(stage.queue, &text, NULL, MPROC_FOREVER) == 0)
                (void)mproc_queue_unpeek(stage.queue);
}

SCENE(write_in_place_into_an_idle_queue)
{
        enum fate fate;

        stage_open(0, 0);
        fate = step_and_kill(make_victim(do_write_5), steps);
        expect_messages((uint32_t[]){ 5 }, queued() ? 1 : 0);
        return fate;
}

SCENE(write_in_place_while_a_consumer_sleeps)
{
        enum fate fate;

        stage_open(0, 0);
        help(0, do_get);
        fate = step_and_kill(make_victim(do_write_5), steps);
        serve_consumer(0, 6);
        CHECK(board->value[0] == 5 || board->value[0] == 6);
        expect_messages((uint32_t[]){ 6 }, queued());
        return fate;
}

/* He goes on, unharmed: both messages are there, each once. */
SCENE(write_in_place_that_is_held_up_while_another_puts)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        victim = make_victim(do_write_5);
        fate = step_to(victim, steps);
        help(0, do_put_6);
        mark();
        while (step_to(victim, 1000000) == ASLEEP) /* behind the other one */
                (void)usleep(20);
        CHECK_MSG(helped(0), "the place is free, and the producer sleeps");
        kill_and_reap(victim);
        CHECK_INT(queued(), 2);
        for (uint32_t i = 0, number, sum = 0; i < 2; i++) {
                CHECK_OK(get_number(&number, 0));
                sum += number;
                CHECK(i == 0 || sum == 5 + 6);
        }
        expect_messages(NULL, 0);
        return fate;
}

SCENE(write_in_place_during_which_another_puts)
{
        uint32_t number;
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        victim = make_victim(do_write_5);
        fate = step_to(victim, steps);
        help(0, do_put_6);
        (void)step_and_kill(victim, rand() % 80);
        CHECK_MSG(helped(0), "he who has the place is dead, and the producer sleeps");
        CHECK(queued() == 1 || queued() == 2);
        while (queued() > 0) {
                CHECK_OK(get_number(&number, 0));
                CHECK(number == 5 || number == 6);
        }
        expect_messages(NULL, 0);
        return fate;
}

SCENE(cancel_while_another_waits_for_the_place)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        victim = make_victim(do_cancel);
        fate = step_to(victim, steps);
        help(0, do_put_6);
        (void)step_and_kill(victim, rand() % 80);
        CHECK_MSG(helped(0), "he who has the place is dead, and the producer sleeps");
        expect_messages((uint32_t[]){ 6 }, 1);
        return fate;
}

SCENE(read_in_place_of_three)
{
        enum fate fate;

        stage_open(0, 0);
        for (uint32_t i = 1; i <= 3; i++)
                CHECK_OK(put_number(i, 0));
        fate = step_and_kill(make_victim(do_read), steps);
        CHECK(queued() == 3 || queued() == 2);
        expect_messages((uint32_t[]){ 1, 2, 3 } + (3 - queued()), queued());
        return fate;
}

SCENE(read_in_place_while_a_producer_waits)
{
        enum fate fate;
        uint32_t number = 0;

        stage_open(2, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        help(1, do_put_6);
        fate = step_and_kill(make_victim(do_read), steps);
        (void)usleep(300);
        if (!board->done[1])
                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(1), "there is room, and the producer sleeps");
        if (number == 2) /* 1 had been taken */
                expect_messages((uint32_t[]){ 6 }, 1);
        else
                expect_messages((uint32_t[]){ 2, 6 }, 2);
        return fate;
}

SCENE(read_in_place_during_which_another_gets)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        for (uint32_t i = 1; i <= 3; i++)
                CHECK_OK(put_number(i, 0));
        victim = make_victim(do_read);
        fate = step_to(victim, steps);
        help(0, do_get);
        (void)step_and_kill(victim, rand() % 80);
        CHECK_MSG(helped(0), "he who looked is dead, and the consumer sleeps");
        CHECK(board->value[0] == 1 || board->value[0] == 2);
        if (board->value[0] == 1 && queued() == 1) /* he took 2 after the other had gone */
                expect_messages((uint32_t[]){ 3 }, 1);
        else
                expect_messages((uint32_t[]){ 2, 3 } + (board->value[0] - 1), 3 - board->value[0]);
        return fate;
}

SCENE(leave_in_place_what_another_wants)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        victim = make_victim(do_unpeek);
        fate = step_to(victim, steps);
        help(0, do_get);
        (void)step_and_kill(victim, rand() % 80);
        CHECK_MSG(helped(0), "nobody has the message any more, and the consumer sleeps");
        CHECK_INT(board->value[0], 1);
        expect_messages((uint32_t[]){ 2 }, 1);
        return fate;
}

/* One writes, one reads, both die; each end works on. */
PAIR(a_writer_and_a_reader)
{
        uint32_t number;
        pid_t a, b;

        stage_open(2, 0);
        CHECK_OK(put_number(1, 0));
        a = make_victim(do_write_5);
        b = make_victim(do_read);
        (void)step_to(a, first);
        (void)step_to(b, second);
        kill_and_reap((first + second) % 2 ? a : b);
        kill_and_reap((first + second) % 2 ? b : a);
        for (int i = 0; i < 2 && queued() > 0; i++) {
                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                CHECK(number == 5 || (number == 1 && i == 0));
        }
        expect_messages(NULL, 0);
}
