/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_leases.c - messages leased, acked, given back, and tasks done, by somebody who is killed
 * after each instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* stage.queue, with a ledger.  What the victim took before the operation is `held`. */
static mproc_lease held;
static uint8_t large[1100]; /* does not fit into a cell; each byte of a copy may be a step */

static void
leases_open(int joinable)
{
        mproc_queue_opts opts = { .leases = 8, .joinable = joinable };

        stage_open(0, 0);
        CHECK_OK(mproc_queue_create_opts(scene_context, &opts, &stage.queue));
        scene_keep(stage.queue, mproc_queue_free);
}

static void
lease_number(uint32_t *ret_number, mproc_lease *ret_lease, int64_t timeout_ms)
{
        uint32_t text[TEXT / 4];
        size_t len;

        mark();
        CHECK_OK(mproc_queue_get_leased(stage.queue, text, sizeof text, &len, ret_lease, timeout_ms));
        CHECK_INT(len, TEXT);
        for (uint32_t i = 0; i < TEXT / 4; i++)
                CHECK_MSG(text[i] == text[0] + i, "a torn message");
        *ret_number = text[0] / 1000;
}

static void
do_lease(void)
{
        uint32_t number;

        lease_number(&number, &held, MPROC_FOREVER);
}

/* The victim's slot is taken before: it has done this. */
static void
do_lease_and_return(void)
{
        do_lease();
        CHECK_OK(mproc_lease_return(&held));
}

static void
do_ack(void)
{
        (void)mproc_lease_ack(&held);
}

static void
do_return(void)
{
        (void)mproc_lease_return(&held);
}

static void
do_lease_large(void)
{
        CHECK_OK(mproc_queue_get_leased(stage.queue, large, sizeof large, NULL, &held, MPROC_FOREVER));
}

static void
do_done(void)
{
        (void)mproc_queue_task_done(stage.queue);
}

static void
do_join(void)
{
        board->result[current_helper] = mproc_queue_join(stage.queue, MPROC_FOREVER);
}

static void
do_lease_noting(void)
{
        uint32_t number;

        do_lease();
        lease_number(&number, &held, MPROC_FOREVER);
        board->value[current_helper] = number;
}

/* From this number to that one they come, in order, and then nothing more. */
static void
expect_leases(uint32_t first, uint32_t last)
{
        mproc_lease lease;
        uint32_t number;

        for (uint32_t i = first; i <= last; i++) {
                lease_number(&number, &lease, scaled_ms(SERVED_MS));
                CHECK_INT(number, i);
                CHECK(mproc_lease_deliveries(&lease) >= 1 && mproc_lease_deliveries(&lease) <= 3);
                CHECK_OK(mproc_lease_ack(&lease));
        }
        CHECK_CODE(get_number(&number, 0), MPROC_EEMPTY);
        CHECK_INT(queued(), 0);
}

static void
put_numbers(uint32_t first, uint32_t last)
{
        for (uint32_t i = first; i <= last; i++)
                CHECK_OK(put_number(i, 0));
}

SCENE(lease_one_of_three)
{
        enum fate fate;

        leases_open(0);
        put_numbers(1, 3);
        fate = step_and_kill(make_prepared_victim(do_lease_and_return, do_lease), steps);
        expect_leases(1, 3);
        return fate;
}

/* Nothing was given back: it takes from the queue. */
SCENE(lease_a_fresh_one)
{
        enum fate fate;

        leases_open(0);
        put_numbers(1, 3);
        fate = step_and_kill(make_victim(do_lease), steps);
        expect_leases(1, 3);
        return fate;
}

SCENE(lease_a_large_one)
{
        mproc_lease lease;
        enum fate fate;
        size_t len;

        leases_open(0);
        memset(large, 9, sizeof large);
        CHECK_OK(mproc_queue_put(stage.queue, large, sizeof large, 0));
        CHECK_OK(put_number(2, 0));
        fate = step_and_kill(make_victim(do_lease_large), steps);
        memset(large, 0, sizeof large);
        CHECK_OK(mproc_queue_get_leased(stage.queue, large, sizeof large, &len, &lease, scaled_ms(SERVED_MS)));
        CHECK_INT(len, sizeof large);
        for (size_t i = 0; i < len; i++)
                CHECK_MSG(large[i] == 9, "a torn message");
        CHECK_OK(mproc_lease_ack(&lease));
        expect_leases(2, 2);
        return fate;
}

SCENE(take_what_was_given_back)
{
        enum fate fate;

        leases_open(0);
        put_numbers(1, 3);
        do_lease_and_return();
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        CHECK(queued() == 3 || queued() == 2);
        expect_leases(queued() == 3 ? 1 : 2, 3);
        return fate;
}

SCENE(ack_one)
{
        mproc_lease lease;
        enum fate fate;
        uint32_t number;

        leases_open(0);
        put_numbers(1, 2);
        fate = step_and_kill(make_prepared_victim(do_lease, do_ack), steps);
        lease_number(&number, &lease, scaled_ms(SERVED_MS));
        CHECK(number == 1 || number == 2);
        CHECK_OK(mproc_lease_return(&lease));
        expect_leases(number, 2);
        return fate;
}

SCENE(ack_a_large_one)
{
        enum fate fate;

        leases_open(0);
        memset(large, 9, sizeof large);
        for (int i = 0; i < 10; i++) /* the ledger has room for eight: what the dead leave is used again */
                CHECK_OK(mproc_queue_put(stage.queue, large, sizeof large, 0));
        fate = step_and_kill(make_prepared_victim(do_lease_large, do_ack), steps);
        for (size_t left = 0; queued() > 0 || left == 0; left++) {
                mproc_lease lease;

                CHECK_OK(
                        mproc_queue_get_leased(stage.queue, large, sizeof large, NULL, &lease, scaled_ms(SERVED_MS)));
                CHECK(large[1099] == 9);
                CHECK_OK(mproc_lease_ack(&lease));
        }
        return fate;
}

SCENE(give_back_to_one_who_waits)
{
        enum fate fate;
        pid_t victim;

        leases_open(0);
        CHECK_OK(put_number(1, 0));
        victim = make_prepared_victim(do_lease, do_return);
        help(0, do_get);
        fate = step_and_kill(victim, steps);
        CHECK_MSG(helped(0), "a message was given back, or its owner died, and the consumer sleeps");
        CHECK_INT(board->value[0], 1);
        expect_leases(2, 1);
        return fate;
}

/* The leader sleeps in slices because a lease is out. */
SCENE(put_while_one_waits_for_a_lease)
{
        enum fate fate;

        leases_open(0);
        CHECK_OK(put_number(1, 0));
        do_lease();
        help(0, do_get);
        fate = step_and_kill(make_victim(do_put_5), steps);
        if (!board->done[0] && queued() == 0)
                CHECK_OK(mproc_lease_return(&held));
        CHECK_MSG(helped(0), "there is a message, and the consumer sleeps");
        CHECK(board->value[0] == 5 || board->value[0] == 1);
        if (board->value[0] == 5)
                CHECK(mproc_lease_ack(&held) == 0 || get_number(&(uint32_t){ 0 }, 0) == 0);
        return fate;
}

SCENE(take_a_task)
{
        enum fate fate;
        size_t lost, left;
        int r;

        leases_open(1);
        put_numbers(1, 3);
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        CHECK_OK(mproc_queue_unfinished(stage.queue, &left));
        CHECK_INT(left, 3);
        r = mproc_queue_join(stage.queue, 0);
        CHECK(r == MPROC_ELOST || r == MPROC_ETIMEDOUT);
        CHECK_OK(mproc_queue_drop_lost(stage.queue, &lost));
        CHECK_INT(lost, r == MPROC_ELOST);
        expect_leases(1 + (uint32_t)lost, 3);
        CHECK_OK(mproc_queue_join(stage.queue, 0));
        return fate;
}

SCENE(finish_the_last_task_while_one_joins)
{
        enum fate fate;
        pid_t victim;

        leases_open(1);
        CHECK_OK(put_number(1, 0));
        victim = make_prepared_victim(do_get_quietly, do_done);
        help(0, do_join);
        fate = step_and_kill(victim, steps);
        CHECK_MSG(helped(0), "the task was done, or its consumer died, and the joiner sleeps");
        CHECK(board->result[0] == 0 || board->result[0] == MPROC_ELOST);
        CHECK_OK(mproc_queue_drop_lost(stage.queue, NULL));
        CHECK_OK(mproc_queue_join(stage.queue, 0));
        return fate;
}

PAIR(two_who_lease)
{
        leases_open(0);
        put_numbers(1, 3);
        (void)step_and_kill(make_victim(do_lease), first);
        (void)step_and_kill(make_victim(do_lease), second);
        expect_leases(1, 3);
}

PAIR(one_gives_back_and_one_waits)
{
        pid_t victim;

        leases_open(0);
        CHECK_OK(put_number(1, 0));
        victim = make_prepared_victim(do_lease, do_return);
        help(0, do_lease_noting);
        kill_helper(0);
        (void)step_and_kill(victim, first);
        (void)step_and_kill(make_victim(do_lease), second);
        expect_leases(1, 1);
}
