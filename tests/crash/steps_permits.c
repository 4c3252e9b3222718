/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_permits.c - permits that are written down, and recursive locks, in the hands of somebody who is
 * killed after each instruction: afterwards all permits are there, and not one more.
 *
 * Runs in: test processes.
 */
#include "crash/crash.h"

#include <unistd.h>

#define PERMITS 3

static mproc_semaphore *semaphore, *other;
static mproc_rlock *rlock;

/* So that what a process does once, finding out when it began, is not in the way. */
static void
do_nothing_new(void)
{
        CHECK_OK(mproc_semaphore_acquire(other, 0));
        CHECK_OK(mproc_semaphore_release(other));
}

static void
do_acquire(void)
{
        CHECK_OK(mproc_semaphore_acquire(semaphore, scaled_ms(SERVED_MS)));
}

static void
do_release(void)
{
        CHECK_OK(mproc_semaphore_release(semaphore));
}

static void
do_acquire_all(void)
{
        for (int i = 0; i < PERMITS; i++)
                do_acquire();
}

static void
do_acquire_and_release(void)
{
        do_acquire();
        do_release();
}

static void
open_permits(void)
{
        scene_open();
        CHECK_OK(mproc_bounded_semaphore_create(scene_context, PERMITS, &semaphore));
        scene_keep(semaphore, mproc_semaphore_free);
        CHECK_OK(mproc_bounded_semaphore_create(scene_context, PERMITS, &other));
        scene_keep(other, mproc_semaphore_free);
}

/* Those of the dead are looked for by who finds none left. */
static void
expect_all_permits(void)
{
        do_acquire_all();
        CHECK_CODE(mproc_semaphore_acquire(semaphore, 0), MPROC_ETIMEDOUT);
        for (int i = 0; i < PERMITS; i++)
                do_release();
        CHECK_CODE(mproc_semaphore_release(semaphore), MPROC_ERELEASED);
}

SCENE(acquire_a_permit_that_is_written_down)
{
        enum fate fate;

        open_permits();
        fate = step_and_kill(make_prepared_victim(do_nothing_new, do_acquire), steps);
        expect_all_permits();
        return fate;
}

SCENE(release_a_permit_that_is_written_down)
{
        enum fate fate;

        open_permits();
        fate = step_and_kill(make_prepared_victim(do_acquire, do_release), steps);
        expect_all_permits();
        return fate;
}

/* The victim gives back what is ours: if it has, we have one less. */
SCENE(release_a_permit_of_another)
{
        enum fate fate;
        unsigned value;

        open_permits();
        do_acquire_all();
        fate = step_and_kill(make_prepared_victim(do_nothing_new, do_release), steps);
        CHECK_OK(mproc_semaphore_value(semaphore, &value));
        CHECK(value <= 1);
        for (; value < PERMITS; value++)
                do_release();
        expect_all_permits();
        return fate;
}

/* A dead process holds all; the victim finds that and gives them back. */
SCENE(restore_the_permits_of_the_dead)
{
        enum fate fate;

        open_permits();
        help(0, do_acquire_all);
        CHECK(helped(0));
        kill_helper(0);
        fate = step_and_kill(make_prepared_victim(do_nothing_new, do_acquire), steps);
        expect_all_permits();
        return fate;
}

/* The same while another waits, who must get his. */
SCENE(release_a_written_permit_to_a_sleeper)
{
        enum fate fate;
        pid_t victim;

        open_permits();
        victim = make_prepared_victim(do_acquire_all, do_release);
        help(0, do_acquire_and_release);
        fate = step_and_kill(victim, steps);
        CHECK_MSG(helped(0), "permits are there or will come back, and a waiter sleeps");
        expect_all_permits();
        return fate;
}

/* One dies as he releases, another as he restores what the first held. */
PAIR(who_releases_and_who_restores)
{
        open_permits();
        (void)step_and_kill(make_prepared_victim(do_acquire_all, do_release), first);
        (void)step_and_kill(make_prepared_victim(do_nothing_new, do_acquire_all), second);
        expect_all_permits();
}

/* --- recursive locks ------------------------------------------------------------------------------------------ */

static void
do_lock_twice(void)
{
        CHECK(mproc_rlock_acquire(rlock, MPROC_FOREVER) >= 0);
        CHECK(mproc_rlock_acquire(rlock, MPROC_FOREVER) >= 0);
}

static void
do_unlock_twice(void)
{
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_OK(mproc_rlock_release(rlock));
}

static void
do_lock_and_unlock(void)
{
        do_lock_twice();
        do_unlock_twice();
}

static void
expect_the_lock(void)
{
        CHECK(mproc_rlock_acquire(rlock, scaled_ms(SERVED_MS)) >= 0);
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_INT(mproc_rlock_locked(rlock), 0);
}

SCENE(acquire_a_recursive_lock_twice)
{
        enum fate fate;

        scene_open();
        CHECK_OK(mproc_rlock_create(scene_context, &rlock));
        scene_keep(rlock, mproc_rlock_free);
        fate = step_and_kill(make_victim(do_lock_twice), steps);
        expect_the_lock();
        return fate;
}

SCENE(release_a_recursive_lock_with_two_waiters)
{
        enum fate fate;
        pid_t victim;

        scene_open();
        CHECK_OK(mproc_rlock_create(scene_context, &rlock));
        scene_keep(rlock, mproc_rlock_free);
        victim = make_prepared_victim(do_lock_twice, do_unlock_twice);
        help(0, do_lock_and_unlock);
        help(1, do_lock_and_unlock);
        fate = step_and_kill(victim, steps);
        CHECK_MSG(helped(0) && helped(1), "the lock's owner is dead or has released it, and a waiter sleeps");
        expect_the_lock();
        return fate;
}
