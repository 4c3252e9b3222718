/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_queue.c - put and get, killed after each instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

#include <stdlib.h>
#include <unistd.h>

/* --- put ------------------------------------------------------------------------------------------------- */

SCENE(put_into_an_idle_queue)
{
        enum fate fate;

        stage_open(0, 0);
        fate = step_and_kill(make_victim(do_put_5), steps);
        expect_messages((uint32_t[]){ 5 }, queued() ? 1 : 0);
        return fate;
}

SCENE(put_while_a_consumer_sleeps)
{
        enum fate fate;

        stage_open(0, 0);
        help(0, do_get);
        fate = step_and_kill(make_victim(do_put_5), steps);
        serve_consumer(0, 6);
        CHECK(board->value[0] == 5 || board->value[0] == 6);
        if (queued()) { /* it got 5 late, and we put 6 for nothing */
                CHECK_INT(board->value[0], 5);
                expect_messages((uint32_t[]){ 6 }, 1);
        } else {
                expect_messages(NULL, 0);
        }
        return fate;
}

SCENE(put_while_two_consumers_sleep)
{
        enum fate fate;

        stage_open(0, 0);
        help(0, do_get);
        help(1, do_get);
        fate = step_and_kill(make_victim(do_put_5), steps);
        for (uint32_t i = 6; i < 8 && !(board->done[0] && board->done[1]); i++)
                CHECK_OK(put_number(i, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0) && helped(1), "two messages and more, and a consumer sleeps");
        expect_messages((uint32_t[]){ 7 }, queued());
        return fate;
}

SCENE(put_into_a_full_queue)
{
        enum fate fate;
        uint32_t number;

        stage_open(2, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        fate = step_and_kill(make_victim(do_put_5), steps);
        help(1, do_put_6);
        CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
        CHECK_INT(number, 1);
        CHECK_MSG(helped(1), "there is room, and the producer sleeps");
        expect_messages((uint32_t[]){ 2, 6 }, 2);
        return fate;
}

SCENE(put_that_links_a_ring)
{
        uint32_t count = 1023, number; /* one ring's full */
        enum fate fate;
        size_t n;

        stage_open(0, 0);
        for (uint32_t i = 0; i < count; i++)
                CHECK_OK(put_number(i, 0));
        fate = step_and_kill(make_victim(do_put_5), steps);
        n = queued();
        CHECK(n == count || n == count + 1);
        CHECK_OK(put_number(6, scaled_ms(SERVED_MS)));
        for (uint32_t i = 0; i < count; i++) {
                CHECK_OK(get_number(&number, 0));
                CHECK_INT(number, i);
        }
        expect_messages(n == count ? (uint32_t[]){ 6 } : (uint32_t[]){ 5, 6 }, n - count + 1);
        return fate;
}

static uint8_t large[3000000]; /* has a ring for itself */

static void
do_put_large(void)
{
        (void)mproc_queue_put(stage.queue, large, sizeof large, MPROC_FOREVER);
}

static void
do_get_large(void)
{
        (void)mproc_queue_get(stage.queue, large, sizeof large, NULL, MPROC_FOREVER);
}

SCENE(put_of_a_large_message)
{
        static uint8_t got[sizeof large];
        enum fate fate;
        size_t len;

        stage_open(0, 0);
        memset(large, 42, sizeof large);
        CHECK_OK(put_number(1, 0));
        fate = step_and_kill(make_victim(do_put_large), steps);
        CHECK_OK(put_number(2, scaled_ms(SERVED_MS)));
        CHECK_OK(get_number(&(uint32_t){ 0 }, 0));
        if (queued() == 2) {
                CHECK_OK(mproc_queue_get(stage.queue, got, sizeof got, &len, 0));
                CHECK_INT(len, sizeof large);
                CHECK_MEM(got, large, sizeof large);
        }
        expect_messages((uint32_t[]){ 2 }, 1);
        return fate;
}

/* --- get ------------------------------------------------------------------------------------------------- */

SCENE(get_of_a_large_message)
{
        enum fate fate;
        size_t len;

        stage_open(0, 0);
        CHECK_OK(mproc_queue_put(stage.queue, large, sizeof large, 0));
        CHECK_OK(put_number(2, 0));
        fate = step_and_kill(make_victim(do_get_large), steps);
        if (queued() == 2) {
                CHECK_OK(mproc_queue_get(stage.queue, large, sizeof large, &len, scaled_ms(SERVED_MS)));
                CHECK_INT(len, sizeof large);
        }
        expect_messages((uint32_t[]){ 2 }, 1);
        return fate;
}

SCENE(get_of_one_of_three)
{
        enum fate fate;

        stage_open(0, 0);
        for (uint32_t i = 1; i <= 3; i++)
                CHECK_OK(put_number(i, 0));
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        CHECK(queued() == 3 || queued() == 2);
        expect_messages((uint32_t[]){ 1, 2, 3 } + (3 - queued()), queued());
        return fate;
}

SCENE(get_that_leaves_a_ring)
{
        uint32_t count = 1023;
        enum fate fate;
        size_t n;

        stage_open(0, 0);
        for (uint32_t i = 0; i < count + 2; i++)
                CHECK_OK(put_number(i, 0));
        for (uint32_t i = 0; i < count - 1; i++)
                CHECK_OK(get_number(&(uint32_t){ 0 }, 0));
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        n = queued();
        CHECK(n == 3 || n == 2);
        expect_messages((uint32_t[]){ count - 1, count, count + 1 } + (3 - n), n);
        return fate;
}

SCENE(get_while_a_producer_waits)
{
        enum fate fate;
        uint32_t number;

        stage_open(2, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        help(1, do_put_6);
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        (void)usleep(300);
        if (!board->done[1]) {
                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                CHECK_MSG(helped(1), "there is room, and the producer sleeps");
                if (number == 2) /* 1 had been taken */
                        expect_messages((uint32_t[]){ 6 }, 1);
                else
                        expect_messages((uint32_t[]){ 2, 6 }, 2);
        } else {
                expect_messages((uint32_t[]){ 2, 6 }, 2);
        }
        return fate;
}

SCENE(get_from_an_empty_queue)
{
        enum fate fate;

        stage_open(0, 0);
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        help(0, do_get);
        CHECK_OK(put_number(4, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0), "the next consumer sleeps beside a message");
        CHECK_INT(board->value[0], 4);
        expect_messages(NULL, 0);
        return fate;
}

/* The leader has been woken by a message, and dies on its way to it; a follower waits. */
SCENE(get_just_woken)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        victim = make_victim(do_get_quietly);
        run_to_sleep(victim);
        help(0, do_get);
        CHECK_OK(put_number(7, scaled_ms(SERVED_MS)));
        await_waking(victim);
        fate = step_and_kill(victim, steps);
        (void)usleep(300);
        if (!board->done[0] && queued() == 0) {
                (void)usleep(2000);
                if (!board->done[0])
                        CHECK_OK(put_number(8, scaled_ms(SERVED_MS)));
        }
        CHECK_MSG(helped(0), "a message is there, and the follower sleeps");
        expect_messages((uint32_t[]){ 8 }, queued());
        return fate;
}

/* The leader dies in its sleep, and the follower that takes over dies on its way; another one waits. */
SCENE(follow_just_woken)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        help(1, do_get);
        victim = make_victim(do_get_quietly);
        run_to_sleep(victim);
        help(0, do_get);
        kill_helper(1);
        await_waking(victim);
        fate = step_and_kill(victim, steps);
        CHECK_OK(put_number(7, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0), "a message is there, and the follower sleeps");
        expect_messages(NULL, 0);
        return fate;
}

/* --- somebody comes while the victim stands inside -------------------------------------------------------- */

/* Whatever was put by the dead: in this order, each once, nothing else; then all works. */
static void
expect_some_of(const uint32_t *numbers, size_t count)
{
        uint32_t number;

        while (queued() > 0) {
                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                while (count > 0 && *numbers != number)
                        numbers++, count--;
                CHECK_MSG(count > 0, "message %u, which is out of order, or there twice, or nobody's", number);
                numbers++, count--;
        }
        expect_messages(NULL, 0);
}

/* It goes to sleep while the producer is at work, who dies a little later. */
SCENE(put_during_which_a_consumer_comes)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        victim = make_victim(do_put_5);
        fate = step_to(victim, steps);
        help(0, do_get);
        (void)step_and_kill(victim, rand() % 80);
        serve_consumer(0, 8);
        CHECK(board->value[0] == 5 || board->value[0] == 8);
        expect_some_of((uint32_t[]){ 8 }, 1);
        return fate;
}

SCENE(put_that_is_held_up_while_a_consumer_comes)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        victim = make_victim(do_put_5);
        fate = step_to(victim, steps);
        help(0, do_get);
        mark();
        (void)step_to(victim, 1000000); /* it goes on, unharmed */
        CHECK_MSG(helped(0), "a message was put, and the consumer sleeps");
        CHECK_INT(board->value[0], 5);
        kill_and_reap(victim);
        expect_messages(NULL, 0);
        return fate;
}

SCENE(get_during_which_a_producer_comes)
{
        enum fate fate;
        pid_t victim;

        stage_open(1, 0);
        CHECK_OK(put_number(1, 0));
        victim = make_victim(do_get_quietly);
        fate = step_to(victim, steps);
        help(0, do_put_6);
        (void)step_and_kill(victim, rand() % 80);
        (void)usleep(300);
        if (!board->done[0] && mproc_queue_full(stage.queue) == 1) {
                uint32_t number;

                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                CHECK(number == 1 || number == 6);
        }
        CHECK_MSG(helped(0), "there is room, and the producer sleeps");
        expect_some_of((uint32_t[]){ 6 }, 1);
        return fate;
}

static void
do_get_and_tell(void)
{
        uint32_t number = 0;

        CHECK_OK(get_number(&number, MPROC_FOREVER));
        board->value[6] = number;
}

/* All the room there is comes to be used while the getter stands somewhere: but not what it is about to copy. */
SCENE(get_that_is_held_up_while_the_ring_is_filled)
{
        enum { COUNT = 520 }; /* of twice the size that a ring has slots for: its bytes are used up first */
        char filling[2 * TEXT];
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        for (uint32_t i = 10; i < 21; i++) { /* so that the last filling ends where the message that is taken does */
                CHECK_OK(put_number(i, 0));
                CHECK_OK(get_number(&(uint32_t){ 0 }, 0));
        }
        CHECK_OK(put_number(1, 0));
        victim = make_victim(do_get_and_tell);
        fate = step_to(victim, steps);
        memset(filling, 'f', sizeof filling);
        for (int i = 0; i < COUNT; i++)
                CHECK_OK(mproc_queue_put(stage.queue, filling, sizeof filling, scaled_ms(SERVED_MS)));
        if (fate == KILLED)
                CHECK_MSG(step_to(victim, 1000000) == ENDED, "a getter does not come to its end");
        CHECK_INT(board->value[6], 1);
        kill_and_reap(victim);
        CHECK_INT(queued(), COUNT);
        return fate;
}

/*
 * The leader leaves and wakes a follower, who dies; before that, somebody new has become leader; and
 * another follower still sleeps.
 */
SCENE(follower_woken_while_another_barges_in)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        help(0, do_get);
        victim = make_victim(do_get_quietly);
        run_to_sleep(victim);
        help(1, do_get);
        CHECK_OK(put_number(1, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0), "a message is there, and the leader sleeps");
        await_waking(victim);
        help(2, do_get);
        fate = step_and_kill(victim, steps);
        CHECK_OK(put_number(2, scaled_ms(SERVED_MS)));
        CHECK_OK(put_number(3, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(1) && helped(2), "a message is there, and a consumer sleeps");
        expect_messages(NULL, 0);
        return fate;
}

/* --- two victims ------------------------------------------------------------------------------------------ */

/* The producer dies inside put, and the leader whom it may have woken dies, too; a follower waits. */
PAIR(a_putter_and_the_leader_it_woke)
{
        pid_t leader;

        stage_open(0, 0);
        leader = make_victim(do_get_quietly);
        run_to_sleep(leader);
        help(0, do_get);
        (void)step_and_kill(make_victim(do_put_5), first);
        for (int i = 0; i < 20 && !has_woken(leader); i++)
                (void)usleep(20);
        if (has_woken(leader)) {
                await_waking(leader);
                (void)step_and_kill(leader, second);
        } else {
                kill_and_reap(leader);
        }
        (void)usleep(300);
        if (!board->done[0] && queued() == 0) {
                (void)usleep(2000);
                if (!board->done[0])
                        CHECK_OK(put_number(6, scaled_ms(SERVED_MS)));
        }
        CHECK_MSG(helped(0), "a message is there, and the follower sleeps");
        expect_messages((uint32_t[]){ 6 }, queued());
}

/* Both are inside at once; the one who came second dies first, or last. */
static void
die_together(pid_t a, long first, pid_t b, long second)
{
        (void)step_to(a, first);
        (void)step_to(b, second);
        kill_and_reap((first + second) % 2 ? a : b);
        kill_and_reap((first + second) % 2 ? b : a);
}

PAIR(two_putters_while_a_consumer_sleeps)
{
        pid_t a, b;

        stage_open(0, 0);
        help(0, do_get);
        a = make_victim(do_put_5);
        b = make_victim(do_put_6);
        die_together(a, first, b, second);
        serve_consumer(0, 8);
        if (queued() == 2) /* whose commit was first was decided by who was inside */
                expect_some_of(board->value[0] == 5 ? (uint32_t[]){ 6, 8 } : (uint32_t[]){ 5, 8 }, 2);
        else
                expect_some_of((uint32_t[]){ 5, 6, 8 }, 3);
}

PAIR(two_getters_of_three_messages)
{
        pid_t a, b;
        size_t n;

        stage_open(0, 0);
        for (uint32_t i = 1; i <= 3; i++)
                CHECK_OK(put_number(i, 0));
        a = make_victim(do_get_quietly);
        b = make_victim(do_get_quietly);
        die_together(a, first, b, second);
        n = queued();
        CHECK(n >= 1 && n <= 3);
        expect_messages((uint32_t[]){ 1, 2, 3 } + (3 - n), n);
}

PAIR(a_putter_and_a_getter_of_a_full_queue)
{
        uint32_t number;
        pid_t a, b;

        stage_open(2, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        a = make_victim(do_get_quietly);
        b = make_victim(do_put_5);
        die_together(a, first, b, second);
        help(0, do_put_6);
        (void)usleep(300);
        if (!board->done[0]) {
                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                CHECK(number == 1 || number == 2);
        }
        CHECK_MSG(helped(0), "there is room, and the producer sleeps");
        expect_some_of((uint32_t[]){ 1, 2, 5, 6 }, 4);
}
