/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_semaphore.c - permits, acquired and released by somebody who is killed after each instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

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
