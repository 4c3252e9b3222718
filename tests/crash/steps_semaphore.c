/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_semaphore.c - permits, acquired and released by somebody who is killed after each instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

#include <unistd.h>

SCENE(release_a_permit_to_a_sleeper)
{
        enum fate fate;
        unsigned value;

        stage_open(0, 0);
        help(0, do_wait_permit);
        help(1, do_wait_permit);
        fate = step_and_kill(make_victim(do_release_permit), steps);
        mark();
        CHECK_OK(mproc_semaphore_release(stage.semaphore));
        CHECK_OK(mproc_semaphore_release(stage.semaphore));
        CHECK_MSG(helped(0) && helped(1), "permits are there, and a waiter sleeps");
        CHECK_OK(mproc_semaphore_value(stage.semaphore, &value));
        CHECK(value <= 1);
        return fate;
}

SCENE(take_one_of_three_permits)
{
        enum fate fate;
        unsigned value;

        stage_open(0, 3);
        fate = step_and_kill(make_victim(do_wait_permit), steps);
        CHECK_OK(mproc_semaphore_value(stage.semaphore, &value));
        CHECK(value == 2 || value == 3);
        while (value-- > 0)
                CHECK_OK(mproc_semaphore_acquire(stage.semaphore, scaled_ms(SERVED_MS)));
        CHECK_CODE(mproc_semaphore_acquire(stage.semaphore, 0), MPROC_ETIMEDOUT);
        return fate;
}

/* Somebody goes to sleep while the victim is about to release, and then dies. */
SCENE(release_during_which_a_sleeper_comes)
{
        enum fate fate;
        unsigned value;
        pid_t victim;

        stage_open(0, 0);
        victim = make_victim(do_release_permit);
        fate = step_to(victim, steps);
        help(0, do_wait_permit);
        kill_and_reap(victim);
        (void)usleep(300);
        CHECK_OK(mproc_semaphore_value(stage.semaphore, &value));
        if (value == 0 && !board->done[0])
                (void)usleep(2000);
        CHECK_OK(mproc_semaphore_value(stage.semaphore, &value));
        if (value == 0 && !board->done[0]) {
                mark();
                CHECK_OK(mproc_semaphore_release(stage.semaphore));
        }
        CHECK_MSG(helped(0), "a permit is there, and a waiter sleeps");
        return fate;
}

PAIR(who_releases_and_who_was_woken)
{
        unsigned value;
        pid_t waiter;

        stage_open(0, 0);
        waiter = make_victim(do_wait_permit);
        run_to_sleep(waiter);
        help(0, do_wait_permit);
        (void)step_and_kill(make_victim(do_release_permit), first);
        for (int i = 0; i < 20 && !has_woken(waiter); i++)
                (void)usleep(20);
        if (has_woken(waiter)) {
                await_waking(waiter);
                (void)step_and_kill(waiter, second);
        } else {
                kill_and_reap(waiter);
        }
        mark();
        CHECK_OK(mproc_semaphore_release(stage.semaphore));
        CHECK_MSG(helped(0), "a permit is there, and a waiter sleeps");
        CHECK_OK(mproc_semaphore_value(stage.semaphore, &value));
        CHECK(value <= 1);
}
