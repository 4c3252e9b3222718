/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_queue_ending.c - a queue that is shut down by somebody who is killed after each instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

#include <poll.h>
#include <unistd.h>

static void
do_shut_down(void)
{
        (void)mproc_queue_shutdown(stage.queue);
}

/* As a loop does it that is not ours: without an end of its sleep. */
static void
do_poll_until_end(void)
{
        struct pollfd bell = { .fd = mproc_queue_fileno(stage.queue), .events = POLLIN };
        char text[TEXT];
        int r = MPROC_EEMPTY;

        while (r == MPROC_EEMPTY && poll(&bell, 1, -1) == 1)
                r = mproc_queue_get(stage.queue, text, sizeof text, NULL, MPROC_NOWAIT);
        board->result[current_helper] = r;
}

/* If the dead one had not come to it, somebody else does it. */
static void
see_to_the_end(void)
{
        int r = mproc_queue_reserve(stage.queue, 1, &(void *){ NULL }, 0);

        if (r == 0)
                CHECK_OK(mproc_queue_cancel(stage.queue));
        if (r == MPROC_ECLOSED)
                return;
        mark();
        CHECK_OK(mproc_queue_shutdown(stage.queue));
}

static void
expect_ended(void)
{
        CHECK_CODE(put_number(1, 0), MPROC_ECLOSED);
        CHECK_CODE(get_number(&(uint32_t){ 0 }, scaled_ms(SERVED_MS)), MPROC_ECLOSED);
}

SCENE(shut_down_while_two_consumers_sleep)
{
        enum fate fate;

        stage_open(0, 0);
        help(0, do_get);
        help(1, do_get);
        fate = step_and_kill(make_victim(do_shut_down), steps);
        see_to_the_end();
        CHECK_MSG(helped(0) && helped(1), "the queue has ended, and a consumer sleeps");
        for (int i = 0; i < 2; i++)
                CHECK_CODE(board->result[i], MPROC_ECLOSED);
        expect_ended();
        return fate;
}

/*
 * Both sleep: so the full queue should not have ended.  Given room, the one who is inside puts his message, ended or
 * not; but then the other one goes to sleep in his place only if it has not.
 */
static void
expect_not_ended(void)
{
        int64_t end = monotonic_ms() + scaled_ms(SERVED_MS);
        int other;

        CHECK_OK(get_number(&(uint32_t){ 0 }, scaled_ms(SERVED_MS)));
        while (!board->done[0] && !board->done[1] && monotonic_ms() < end)
                (void)usleep(20);
        CHECK_MSG(board->done[0] || board->done[1], "there is room, and the producer sleeps");
        other = board->done[0] ? 1 : 0;
        while (!board->done[other] && !helper_sleeps(other))
                (void)usleep(20);
        CHECK_MSG(!board->done[other], "the queue had ended, and both producers slept");
}

SCENE(shut_down_while_two_producers_sleep)
{
        enum fate fate;
        uint32_t number;

        stage_open(1, 0);
        CHECK_OK(put_number(1, 0));
        help(0, do_put_6);
        help(1, do_put_6);
        fate = step_and_kill(make_victim(do_shut_down), steps);
        if (helper_sleeps(0) && helper_sleeps(1)) {
                expect_not_ended();
                mark();
                CHECK_OK(mproc_queue_shutdown(stage.queue));
        }
        CHECK_MSG(helped(0) && helped(1), "the queue has ended, and a producer sleeps");
        CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
        CHECK(number == 1 || number == 6);
        expect_ended();
        return fate;
}

SCENE(shut_down_while_two_poll)
{
        enum fate fate;

        stage_open(0, 0);
        help(0, do_poll_until_end);
        help(1, do_poll_until_end);
        fate = step_and_kill(make_victim(do_shut_down), steps);
        see_to_the_end();
        CHECK_MSG(helped(0) && helped(1), "the queue has ended, and one who polls it sleeps");
        expect_ended();
        return fate;
}

/* A message put in time is got, by whoever. */
SCENE(shut_down_with_a_message_left)
{
        enum fate fate;
        uint32_t number;

        stage_open(0, 0);
        CHECK_OK(put_number(4, 0));
        fate = step_and_kill(make_victim(do_shut_down), steps);
        see_to_the_end();
        CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
        CHECK_INT(number, 4);
        expect_ended();
        return fate;
}

/* One who comes to look is killed at it; the others are told all the same. */
static void
do_poll_once(void)
{
        struct pollfd bell = { .fd = mproc_queue_fileno(stage.queue), .events = POLLIN };
        char text[TEXT];

        if (poll(&bell, 1, 0) == 1)
                (void)mproc_queue_get(stage.queue, text, sizeof text, NULL, MPROC_NOWAIT);
}

SCENE(poll_while_another_polls)
{
        enum fate fate;

        stage_open(0, 0);
        help(0, do_poll_until_end);
        fate = step_and_kill(make_victim(do_poll_once), steps);
        CHECK_OK(put_number(5, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0), "a message is there, and one who polls sleeps");
        expect_messages(NULL, 0);
        return fate;
}

PAIR(two_who_shut_down)
{
        pid_t a, b;

        stage_open(0, 0);
        help(0, do_get);
        help(1, do_poll_until_end);
        a = make_victim(do_shut_down);
        b = make_victim(do_shut_down);
        (void)step_to(a, first);
        (void)step_to(b, second);
        kill_and_reap((first + second) % 2 ? a : b);
        kill_and_reap((first + second) % 2 ? b : a);
        see_to_the_end();
        CHECK_MSG(helped(0), "the queue has ended, and a consumer sleeps");
        expect_ended();
}
