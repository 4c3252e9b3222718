/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_lock.c - a lock, acquired and released by somebody who is killed after each instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

#include <unistd.h>

SCENE(acquire_a_free_lock)
{
        enum fate fate;

        stage_open(0, 0);
        fate = step_and_kill(make_victim(do_acquire), steps);
        expect_lock_works();
        return fate;
}

SCENE(release_with_two_waiters)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        CHECK_OK(mproc_lock_acquire(stage.lock, 0));
        help(0, do_acquire_and_release);
        help(1, do_acquire_and_release);
        victim = make_victim(do_release);
        fate = step_and_kill(victim, steps);
        (void)usleep(300);
        if (mproc_lock_owner(stage.lock) == getpid()) {
                mark();
                (void)mproc_lock_release(stage.lock);
        }
        CHECK_MSG(helped(0) && helped(1), "the lock is free, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

/* A waiter that was woken dies; somebody else has barged in meanwhile; two more wait. */
SCENE(acquire_just_woken)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        CHECK_OK(mproc_lock_acquire(stage.lock, 0));
        victim = make_victim(do_acquire_and_release);
        run_to_sleep(victim);
        CHECK_OK(mproc_lock_release(stage.lock));
        await_waking(victim);
        CHECK_OK(mproc_lock_acquire(stage.lock, 0));
        help(0, do_acquire_and_release);
        help(1, do_acquire_and_release);
        fate = step_and_kill(victim, steps);
        mark();
        CHECK_OK(mproc_lock_release(stage.lock));
        CHECK_MSG(helped(0) && helped(1), "the lock is free, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

/* Somebody goes to sleep while the owner is about to give it up, who then dies. */
SCENE(release_during_which_a_waiter_comes)
{
        enum fate fate;
        pid_t victim;

        stage_open(0, 0);
        victim = make_prepared_victim(do_acquire, do_release);
        fate = step_to(victim, steps);
        help(0, do_acquire_and_release);
        help(1, do_acquire_and_release);
        kill_and_reap(victim);
        CHECK_MSG(helped(0) && helped(1), "the lock's owner is dead or has released it, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

/* The owner dies while it releases, and the waiter that was woken by it, too. */
PAIR(the_owner_and_a_waiter)
{
        pid_t owner, waiter;

        stage_open(0, 0);
        owner = make_prepared_victim(do_acquire, do_release);
        waiter = make_victim(do_acquire_and_release);
        run_to_sleep(waiter);
        help(0, do_acquire_and_release);
        (void)step_and_kill(owner, first);
        for (int i = 0; i < 20 && !has_woken(waiter); i++)
                (void)usleep(20);
        if (has_woken(waiter)) {
                await_waking(waiter);
                (void)step_and_kill(waiter, second);
        } else {
                kill_and_reap(waiter);
        }
        CHECK_MSG(helped(0), "the lock has no living owner, and a waiter sleeps");
        expect_lock_works();
}
