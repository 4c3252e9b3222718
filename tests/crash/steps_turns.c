/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_turns.c - deaths at the gate of a lock or semaphore (sync/turns.h): of one who is behind it, of one
 * before it, and of the one who closes it.
 *
 * Runs in: test processes.
 *
 * A gate is closed after 10,000 acquisitions that pass somebody who waits.  He is kept from the lock by being
 * stopped.
 */
#include "crash/stage.h"

#include <unistd.h>

enum { PASSES = 10000 };

/* Who does not wait takes a lock that is free, gate or not.  It is held before and afterwards. */
static void
pass_by(int times)
{
        for (int i = 0; i < times; i++) {
                CHECK_OK(mproc_lock_release(stage.lock));
                CHECK_OK(mproc_lock_acquire(stage.lock, 0));
        }
}

/* One who waits behind the gate, stopped on his way out of his sleep; the lock is held. */
static pid_t
close_gate_behind_one(int passes)
{
        pid_t waiter;

        stage_open(0, 0);
        CHECK_OK(mproc_lock_acquire(stage.lock, 0));
        waiter = make_victim(do_acquire_and_release);
        run_to_sleep(waiter);
        pass_by(1);
        await_waking(waiter);
        pass_by(passes - 1);
        return waiter;
}

/* He has the turn, and dies somewhere between there and the end of his use. */
SCENE(pass_the_gate_while_two_wait_before_it)
{
        pid_t victim = close_gate_behind_one(PASSES);
        enum fate fate;

        help(0, do_acquire_and_release);
        help(1, do_acquire_and_release);
        mark();
        CHECK_OK(mproc_lock_release(stage.lock));
        fate = step_and_kill(victim, steps);
        CHECK_MSG(helped(0) && helped(1), "the lock is free, nobody comes through its gate, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

/* One before the gate dies, and so does the one behind it. */
SCENE(wait_before_the_gate)
{
        pid_t behind = close_gate_behind_one(PASSES), victim;
        enum fate fate;

        victim = make_victim(do_acquire_and_release);
        fate = step_and_kill(victim, steps);
        help(0, do_acquire_and_release);
        kill_and_reap(behind);
        CHECK_OK(mproc_lock_release(stage.lock));
        mark();
        CHECK_MSG(helped(0), "the lock is free, nobody comes through its gate, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

/* Nobody came through the gate; one of those who find that out dies at it. */
SCENE(open_a_gate_that_is_stuck)
{
        pid_t behind = close_gate_behind_one(PASSES), victim;
        enum fate fate;

        victim = make_victim(do_acquire_and_release);
        run_to_sleep(victim);
        help(0, do_acquire_and_release);
        kill_and_reap(behind);
        CHECK_OK(mproc_lock_release(stage.lock));
        await_waking(victim); /* the lock was free for all the time that he slept */
        fate = step_and_kill(victim, steps);
        mark();
        CHECK_MSG(helped(0), "the lock is free, nobody comes through its gate, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

static void
do_close_the_gate(void)
{
        for (int i = 0; i < 2; i++) {
                (void)mproc_lock_acquire(stage.lock, 0);
                (void)mproc_lock_release(stage.lock);
        }
}

SCENE(release_that_closes_the_gate)
{
        pid_t waiter = close_gate_behind_one(PASSES - 2);
        enum fate fate;

        CHECK_OK(mproc_lock_release(stage.lock));
        fate = step_and_kill(make_victim(do_close_the_gate), steps);
        help(0, do_acquire_and_release);
        kill_and_reap(waiter);
        help(1, do_acquire_and_release);
        mark();
        CHECK_MSG(helped(0) && helped(1), "the lock has no living owner, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

/* --- a semaphore's ---------------------------------------------------------------------------------------- */

/* One who waits for the head's lock behind the gate, stopped on his way out of his sleep; no permit is there. */
static pid_t
close_semaphore_behind_one(void)
{
        pid_t waiter;

        stage_open(0, 0);
        help(6, do_wait_permit); /* the leader */
        waiter = make_victim(do_wait_permit);
        run_to_sleep(waiter);
        mark();
        CHECK_OK(mproc_semaphore_release(stage.semaphore));
        CHECK_MSG(helped(6), "a permit is there, and a waiter sleeps");
        await_waking(waiter);
        for (int i = 0; i < PASSES; i++) {
                CHECK_OK(mproc_semaphore_release(stage.semaphore));
                CHECK_OK(mproc_semaphore_acquire(stage.semaphore, 0));
        }
        return waiter;
}

static void
serve_with_permits(int i)
{
        unsigned value;

        for (int k = 0; k < 3 && !board->done[i]; k++) { /* the dead may have taken one with them */
                CHECK_OK(mproc_semaphore_value(stage.semaphore, &value));
                if (value == 0)
                        CHECK_OK(mproc_semaphore_release(stage.semaphore));
                (void)usleep(300);
        }
        mark();
        CHECK_MSG(helped(i), "a permit is there, nobody comes through the gate, and a waiter sleeps");
}

SCENE(pass_the_gate_of_a_semaphore_while_one_waits_before_it)
{
        pid_t victim = close_semaphore_behind_one();
        enum fate fate;

        help(0, do_wait_permit);
        CHECK_OK(mproc_semaphore_release(stage.semaphore));
        fate = step_and_kill(victim, steps);
        serve_with_permits(0);
        return fate;
}

SCENE(wait_before_the_gate_of_a_semaphore)
{
        pid_t behind = close_semaphore_behind_one(), victim;
        enum fate fate;

        victim = make_victim(do_wait_permit);
        fate = step_and_kill(victim, steps);
        help(0, do_wait_permit);
        kill_and_reap(behind);
        serve_with_permits(0);
        return fate;
}
