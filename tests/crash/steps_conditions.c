/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_conditions.c - events, conditions and barriers, with somebody in them who is killed after each
 * instruction.
 *
 * Runs in: test processes.
 */
#include "crash/crash.h"

#include <unistd.h>

/* --- events -------------------------------------------------------------------------------------------- */

static mproc_event *event;

static void
event_open(void)
{
        scene_open();
        CHECK_OK(mproc_event_create(scene_context, &event));
        scene_keep(event, mproc_event_free);
}

static void
do_set(void)
{
        (void)mproc_event_set(event);
}

static void
do_set_and_clear(void)
{
        (void)mproc_event_set(event);
        (void)mproc_event_clear(event);
}

static void
do_await_event(void)
{
        CHECK_OK(mproc_event_wait(event, MPROC_FOREVER));
}

/* It has set the event and woken both, or it has done nothing. */
SCENE(set_while_two_wait)
{
        enum fate fate;

        event_open();
        help(0, do_await_event);
        help(1, do_await_event);
        fate = step_and_kill(make_victim(do_set), steps);
        if (!mproc_event_is_set(event)) {
                mark();
                CHECK_OK(mproc_event_set(event));
        }
        CHECK_MSG(helped(0) && helped(1), "the event is set, and a waiter sleeps");
        return fate;
}

/* Set and cleared at once: if it was set, both return all the same. */
SCENE(set_and_clear_while_two_wait)
{
        enum fate fate;

        event_open();
        help(0, do_await_event);
        help(1, do_await_event);
        fate = step_and_kill(make_victim(do_set_and_clear), steps);
        if (fate != ENDED) {
                mark();
                CHECK_OK(mproc_event_set(event));
        }
        CHECK_MSG(helped(0) && helped(1), "the event was set, and a waiter sleeps");
        return fate;
}

SCENE(wait_for_an_event_beside_another)
{
        enum fate fate;

        event_open();
        help(0, do_await_event);
        fate = step_and_kill(make_victim(do_await_event), steps);
        mark();
        CHECK_OK(mproc_event_set(event));
        CHECK_MSG(helped(0), "the event is set, and a waiter sleeps");
        CHECK_OK(mproc_event_wait(event, 0));
        return fate;
}

/* --- conditions ----------------------------------------------------------------------------------------- */

static mproc_condition *condition;

/* What the victim notes when its wait has returned, the lock held. */
#define RETURNED (board->note[HELPERS - 1])

static void
condition_open(void)
{
        scene_open();
        CHECK_OK(mproc_condition_create(scene_context, NULL, &condition));
        scene_keep(condition, mproc_condition_free);
}

static void
do_wait(void)
{
        CHECK(mproc_condition_acquire(condition, MPROC_FOREVER) >= 0);
        CHECK(mproc_condition_wait(condition, MPROC_FOREVER) >= 0);
        board->note[current_helper] = 1;
        CHECK_OK(mproc_condition_release(condition));
}

static void
do_notify(void)
{
        CHECK(mproc_condition_acquire(condition, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_condition_notify(condition, 1));
        CHECK_OK(mproc_condition_release(condition));
}

static void
do_notify_all(void)
{
        CHECK(mproc_condition_acquire(condition, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_condition_notify_all(condition));
        CHECK_OK(mproc_condition_release(condition));
}

/* 0, or MPROC_OWNER_DIED. */
static int
lock_it(void)
{
        int r = mproc_condition_acquire(condition, scaled_ms(SERVED_MS));

        CHECK_MSG(r >= 0, "the lock is not to be had: %s", mproc_last_error());
        return r;
}

static void
notify(unsigned n)
{
        (void)lock_it();
        mark();
        CHECK_OK(mproc_condition_notify(condition, n));
        CHECK_OK(mproc_condition_release(condition));
}

/*
 * The victim had been notified when it died.  Its wait had returned: then it is its own affair, or that of the
 * lock's next owner, and he notifies again.  Otherwise it is passed on.
 */
static void
expect_passed_on_to(int helper)
{
        int died = lock_it();

        if (died || RETURNED)
                CHECK_OK(mproc_condition_notify(condition, 1));
        CHECK_OK(mproc_condition_release(condition));
        CHECK_MSG(helped(helper), "somebody was notified and died, and a waiter sleeps");
}

/* At its end all works: one waits, one notifies. */
static void
expect_condition_works(int helper)
{
        (void)lock_it();
        CHECK_OK(mproc_condition_release(condition));
        help(helper, do_wait);
        notify(1);
        CHECK_MSG(helped(helper), "it was notified, and sleeps");
}

SCENE(notify_one_of_two)
{
        enum fate fate;

        condition_open();
        help(0, do_wait);
        help(1, do_wait);
        fate = step_and_kill(make_victim(do_notify), steps);
        notify(2);
        CHECK_MSG(helped(0) && helped(1), "all were notified, and a waiter sleeps");
        expect_condition_works(2);
        return fate;
}

SCENE(notify_all_three)
{
        enum fate fate;

        condition_open();
        for (int i = 0; i < 3; i++)
                help(i, do_wait);
        fate = step_and_kill(make_victim(do_notify_all), steps);
        notify(3);
        CHECK_MSG(helped(0) && helped(1) && helped(2), "all were notified, and a waiter sleeps");
        return fate;
}

/* It dies before another one comes, to whom the notification goes. */
SCENE(wait_in_front_of_another)
{
        enum fate fate;

        condition_open();
        fate = step_and_kill(make_victim(do_wait), steps);
        help(0, do_wait);
        notify(1);
        CHECK_MSG(helped(0), "the dead was notified, and the living sleeps");
        return fate;
}

/* It dies beside one who comes while it stands somewhere in its wait. */
SCENE(wait_while_another_comes)
{
        enum fate fate;
        pid_t victim;

        condition_open();
        victim = make_victim(do_wait);
        fate = step_to(victim, steps);
        help(0, do_wait); /* sleeps for the lock, or for a notification */
        kill_and_reap(victim);
        for (int i = 0; i < 1000 && !board->done[0]; i++) {
                notify(1); /* the first may come before he waits */
                (void)usleep(1000);
        }
        CHECK_MSG(helped(0), "it was notified again and again, and sleeps");
        return fate;
}

SCENE(wait_just_notified)
{
        enum fate fate;
        pid_t victim;

        condition_open();
        victim = make_victim(do_wait);
        run_to_sleep(victim);
        help(0, do_wait);
        notify(1);
        await_waking(victim);
        fate = step_and_kill(victim, steps);
        mark();
        expect_passed_on_to(0);
        return fate;
}

/* Somebody died with a notification; the victim finds out at the end of its slice, and dies over it. */
SCENE(wait_and_inherit)
{
        enum fate fate;
        pid_t victim;

        condition_open();
        help(0, do_wait);
        victim = make_victim(do_wait);
        run_to_sleep(victim);
        help(1, do_wait);
        (void)lock_it();
        CHECK_OK(mproc_condition_notify(condition, 1));
        kill_helper(0);
        CHECK_OK(mproc_condition_release(condition));
        await_waking(victim);
        fate = step_and_kill(victim, steps);
        mark();
        expect_passed_on_to(1);
        return fate;
}

PAIR(who_notifies_and_who_is_notified)
{
        pid_t waiter;

        condition_open();
        waiter = make_victim(do_wait);
        run_to_sleep(waiter);
        help(0, do_wait);
        (void)step_and_kill(make_victim(do_notify), first);
        await_waking(waiter); /* by that, or by its slice */
        (void)step_and_kill(waiter, second);
        notify(1);
        CHECK_MSG(helped(0), "it was notified, and sleeps");
        expect_condition_works(1);
}

/* Two heirs die over what a third has left. */
PAIR(two_who_inherit)
{
        pid_t one, other;

        condition_open();
        help(0, do_wait);
        one = make_victim(do_wait);
        run_to_sleep(one);
        other = make_victim(do_wait);
        run_to_sleep(other);
        help(1, do_wait);
        (void)lock_it();
        CHECK_OK(mproc_condition_notify(condition, 1));
        kill_helper(0);
        CHECK_OK(mproc_condition_release(condition));
        await_waking(one);
        (void)step_and_kill(one, first);
        await_waking(other);
        (void)step_and_kill(other, second);
        mark();
        expect_passed_on_to(1);
}

/* --- barriers -------------------------------------------------------------------------------------------- */

static mproc_barrier *barrier;

static void
barrier_open(unsigned parties)
{
        scene_open();
        CHECK_OK(mproc_barrier_create(scene_context, parties, MPROC_FOREVER, &barrier));
        scene_keep(barrier, mproc_barrier_free);
}

static void
do_meet(void)
{
        board->result[current_helper] = mproc_barrier_wait(barrier, MPROC_FOREVER);
}

static void
do_reset(void)
{
        (void)mproc_barrier_reset(barrier);
}

static void
do_abort(void)
{
        (void)mproc_barrier_abort(barrier);
}

/* Both, of one round, have returned, and with the same answer. */
static void
expect_same_end(int one, int other)
{
        CHECK_MSG(helped(one) && helped(other), "the round is over or broken, and somebody sleeps");
        CHECK(board->result[one] >= 0 || board->result[one] == MPROC_EBROKEN);
        CHECK((board->result[one] >= 0) == (board->result[other] >= 0));
}

/* A barrier for two, reset: the next round passes. */
static void
expect_barrier_works(int helper)
{
        CHECK_OK(mproc_barrier_reset(barrier));
        help(helper, do_meet);
        mark();
        CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(SERVED_MS)), 1);
        CHECK_MSG(helped(helper), "the round has passed, and somebody sleeps");
        CHECK_INT(board->result[helper], 0);
}

/* All go on, or none, or the victim has not come, and then somebody else is the last one. */
SCENE(come_last_of_three)
{
        enum fate fate;

        barrier_open(3);
        help(0, do_meet);
        help(1, do_meet);
        fate = step_and_kill(make_victim(do_meet), steps);
        if (mproc_barrier_n_waiting(barrier) == 2) {
                int r = mproc_barrier_wait(barrier, scaled_ms(SERVED_MS));

                CHECK(r == 2 || r == MPROC_EBROKEN);
                CHECK((r >= 0) == (helped(0) && board->result[0] >= 0));
        }
        expect_same_end(0, 1);
        return fate;
}

SCENE(come_first_of_two)
{
        enum fate fate;
        int r;

        barrier_open(2);
        fate = step_and_kill(make_victim(do_meet), steps);
        help(0, do_meet);
        mark();
        r = mproc_barrier_wait(barrier, scaled_ms(SERVED_MS));
        CHECK(r == 1 || r == MPROC_EBROKEN);
        CHECK_MSG(helped(0), "the round is over or broken, and somebody sleeps");
        CHECK((r == 1) == (board->result[0] == 0));
        expect_barrier_works(1);
        return fate;
}

/* It was woken because all had come: its death on the way out breaks nothing. */
SCENE(leave_a_round_that_has_passed)
{
        enum fate fate;
        pid_t victim;

        barrier_open(2);
        victim = make_victim(do_meet);
        run_to_sleep(victim);
        CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(SERVED_MS)), 1);
        await_waking(victim);
        fate = step_and_kill(victim, steps);
        CHECK_INT(mproc_barrier_broken(barrier), 0);
        help(0, do_meet);
        mark();
        CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(SERVED_MS)), 1);
        CHECK_MSG(helped(0), "the round has passed, and somebody sleeps");
        return fate;
}

/* Whatever is done by hand: those who wait are sent away, and it is whole after one more reset. */
static enum fate
send_away(operation *op, long steps)
{
        enum fate fate;

        barrier_open(3);
        help(0, do_meet);
        help(1, do_meet);
        fate = step_and_kill(make_victim(op), steps);
        mark();
        CHECK_OK(mproc_barrier_reset(barrier));
        expect_same_end(0, 1);
        CHECK_INT(board->result[0], MPROC_EBROKEN);
        CHECK_INT(mproc_barrier_broken(barrier), 0);
        return fate;
}

SCENE(reset_while_two_wait)
{
        return send_away(do_reset, steps);
}

SCENE(abort_while_two_wait)
{
        return send_away(do_abort, steps);
}

PAIR(who_comes_last_and_who_is_woken)
{
        pid_t waiter;

        barrier_open(3);
        waiter = make_victim(do_meet);
        run_to_sleep(waiter);
        help(0, do_meet);
        (void)step_and_kill(make_victim(do_meet), first);
        await_waking(waiter); /* by that, or by its slice */
        (void)step_and_kill(waiter, second);
        mark();
        CHECK_OK(mproc_barrier_reset(barrier));
        CHECK_MSG(helped(0), "the round is over or was reset, and somebody sleeps");
        CHECK(board->result[0] >= 0 || board->result[0] == MPROC_EBROKEN);
}
