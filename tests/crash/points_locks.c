/* SPDX-License-Identifier: MIT */
/*
 * crash/points_locks.c - deaths of processes that wait for their turn, hold a recursive lock, or hold and
 * give back permits that are written down.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <signal.h>
#include <stdlib.h>

#define PERMITS 2
#define PASSES  10000 /* how often one who waits is passed by before the gate closes */

/* --- recursive locks ------------------------------------------------------------------------------------------ */

static void
role_lock_twice(mproc_args *args)
{
        mproc_rlock *rlock = mproc_args_rlock(args, 0);

        CHECK(mproc_rlock_acquire(rlock, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_rlock_acquire(rlock, MPROC_NOWAIT));
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_OK(mproc_rlock_release(rlock));
}

START_METHOD_TEST(deaths_in_a_recursive_lock)
{
        static const char *const points[] = { "rlock.acquired", "rlock.again", "rlock.release" };

        for (unsigned i = 0; i < sizeof points / sizeof *points; i++) {
                mproc_process *victim, *waiter;
                mproc_rlock *rlock;

                CHECK_OK(mproc_rlock_create(ctx, &rlock));
                CHECK_OK(mproc_rlock_acquire(rlock, 0));
                victim = cast_victim(ctx, points[i], role_lock_twice, MPROC_ARGS(rlock));
                await_asleep(victim);
                waiter = cast(ctx, role_lock_twice, MPROC_ARGS(rlock));
                await_asleep(waiter);
                CHECK_OK(mproc_rlock_release(rlock));
                await_death(victim, points[i]);
                CHECK(mproc_rlock_acquire(rlock, scaled_ms(SERVED_MS)) >= 0);
                CHECK_OK(mproc_rlock_release(rlock));
                CHECK_OK(mproc_process_join(waiter, scaled_ms(SERVED_MS)));
                CHECK_INT(mproc_rlock_locked(rlock), 0);
                mproc_process_free(waiter);
                mproc_rlock_free(rlock);
        }
}

/* --- turns ---------------------------------------------------------------------------------------------------- */

static void
role_lock(mproc_args *args)
{
        CHECK(mproc_lock_acquire(mproc_args_lock(args, 0), MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_lock_release(mproc_args_lock(args, 0)));
}

static void
role_lock_often(mproc_args *args)
{
        for (int i = 0; i < 2 * PASSES; i++)
                role_lock(args);
}

/* Somebody waits for the lock and cannot run: the others pass him by. */
static mproc_process *
stop_a_waiter(mproc_context *ctx, mproc_lock *lock, const char *point)
{
        mproc_process *waiter;

        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        waiter =
                point ? cast_victim(ctx, point, role_lock, MPROC_ARGS(lock)) : cast(ctx, role_lock, MPROC_ARGS(lock));
        await_asleep(waiter);
        CHECK(kill(mproc_process_pid(waiter), SIGSTOP) == 0);
        CHECK_OK(mproc_lock_release(lock));
        return waiter;
}

/* NOWAIT passes the gate, so the lock can be had until it is closed and after. */
static void
close_the_gate(mproc_lock *lock)
{
        for (int i = 0; i < PASSES + 10; i++) {
                CHECK_OK(mproc_lock_acquire(lock, MPROC_NOWAIT));
                CHECK_OK(mproc_lock_release(lock));
        }
}

static void
let_run(mproc_process *process)
{
        CHECK(kill(mproc_process_pid(process), SIGCONT) == 0);
}

static void
expect_the_lock(mproc_lock *lock)
{
        CHECK(mproc_lock_acquire(lock, scaled_ms(SERVED_MS)) >= 0);
        CHECK_OK(mproc_lock_release(lock));
        CHECK_INT(mproc_lock_locked(lock), 0);
}

START_METHOD_TEST(deaths_of_those_who_pass_by_and_come_late)
{
        static const struct {
                const char *point;
                bool closed; /* before he comes */
                role *act;
        } deaths[] = { { "turns.counted", false, role_lock },
                       { "turns.closed", false, role_lock_often },
                       { "lock.gate.sleep", true, role_lock },
                       { "turns.opened", true, role_lock } };

        for (unsigned i = 0; i < sizeof deaths / sizeof *deaths; i++) {
                mproc_process *waiter, *victim;
                mproc_lock *lock;

                CHECK_OK(mproc_lock_create(ctx, &lock));
                waiter = stop_a_waiter(ctx, lock, NULL);
                if (deaths[i].closed)
                        close_the_gate(lock);
                else if (deaths[i].act == role_lock)
                        CHECK_OK(mproc_lock_acquire(lock, 0));
                victim = cast_victim(ctx, deaths[i].point, deaths[i].act, MPROC_ARGS(lock));
                await_death(victim, deaths[i].point);
                if (!deaths[i].closed && deaths[i].act == role_lock)
                        CHECK_OK(mproc_lock_release(lock));
                let_run(waiter);
                CHECK_OK(mproc_process_join(waiter, scaled_ms(SERVED_MS)));
                mproc_process_free(waiter);
                expect_the_lock(lock);
                mproc_lock_free(lock);
        }
}

/* He for whom the gate was closed has the lock, has opened the gate, and dies. */
START_METHOD_TEST(death_of_the_last_behind_the_gate)
{
        mproc_process *waiter, *late;
        mproc_lock *lock;

        CHECK_OK(mproc_lock_create(ctx, &lock));
        waiter = stop_a_waiter(ctx, lock, "turns.passed");
        close_the_gate(lock);
        late = cast(ctx, role_lock, MPROC_ARGS(lock));
        let_run(waiter);
        await_death(waiter, "turns.passed");
        CHECK_OK(mproc_process_join(late, scaled_ms(SERVED_MS)));
        mproc_process_free(late);
        expect_the_lock(lock);
        mproc_lock_free(lock);
}

/* --- permits ---------------------------------------------------------------------------------------------------- */

static void
role_acquire(mproc_args *args)
{
        CHECK_OK(mproc_semaphore_acquire(mproc_args_semaphore(args, 0), MPROC_FOREVER));
}

static void
role_acquire_all(mproc_args *args)
{
        for (int i = 0; i < PERMITS; i++)
                role_acquire(args);
}

/* One waits behind another, and is stopped; 10,000 pass him by; who comes then dies before the gate. */
START_METHOD_TEST(death_before_the_gate_of_a_semaphore)
{
        mproc_process *leader, *waiter;
        mproc_semaphore *s;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &s));
        leader = cast(ctx, role_acquire, MPROC_ARGS(s));
        await_asleep(leader);
        waiter = cast(ctx, role_acquire, MPROC_ARGS(s));
        await_asleep(waiter);
        CHECK(kill(mproc_process_pid(waiter), SIGSTOP) == 0);
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_OK(mproc_process_join(leader, scaled_ms(SERVED_MS)));
        mproc_process_free(leader);
        for (int i = 0; i < PASSES + 10; i++) {
                CHECK_OK(mproc_semaphore_release(s));
                CHECK_OK(mproc_semaphore_acquire(s, MPROC_NOWAIT));
        }
        await_death(cast_victim(ctx, "semaphore.gate.sleep", role_acquire, MPROC_ARGS(s)), "semaphore.gate.sleep");
        CHECK_OK(mproc_semaphore_release(s));
        let_run(waiter);
        CHECK_OK(mproc_process_join(waiter, scaled_ms(SERVED_MS)));
        mproc_process_free(waiter);
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(SERVED_MS)));
        mproc_semaphore_free(s);
}

static void
role_release(mproc_args *args)
{
        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 0)));
}

/* All that the dead held is there again, and not one more. */
static void
expect_all_permits(mproc_semaphore *s)
{
        for (int i = 0; i < PERMITS; i++)
                CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(SERVED_MS)));
        CHECK_CODE(mproc_semaphore_acquire(s, 0), MPROC_ETIMEDOUT);
        for (int i = 0; i < PERMITS; i++)
                CHECK_OK(mproc_semaphore_release(s));
        CHECK_CODE(mproc_semaphore_release(s), MPROC_ERELEASED);
}

START_METHOD_TEST(deaths_of_those_who_acquire)
{
        static const char *const points[] = { "permits.claimed", "permits.intended", "semaphore.acquire.found",
                                              "semaphore.acquire.taken" };

        for (unsigned i = 0; i < sizeof points / sizeof *points; i++) {
                mproc_semaphore *s;

                CHECK_OK(mproc_bounded_semaphore_create(ctx, PERMITS, &s));
                await_death(cast_victim(ctx, points[i], role_acquire, MPROC_ARGS(s)), points[i]);
                expect_all_permits(s);
                mproc_semaphore_free(s);
        }
}

/* What the victim gives back is ours; so whether it has, is told by our account. */
START_METHOD_TEST(deaths_of_those_who_release)
{
        static const char *const points[] = { "permits.intended", "semaphore.release.inside",
                                              "semaphore.release.counted" };

        for (unsigned i = 0; i < sizeof points / sizeof *points; i++) {
                mproc_semaphore *s;
                unsigned value;

                CHECK_OK(mproc_bounded_semaphore_create(ctx, PERMITS, &s));
                for (int k = 0; k < PERMITS; k++)
                        CHECK_OK(mproc_semaphore_acquire(s, 0));
                await_death(cast_victim(ctx, points[i], role_release, MPROC_ARGS(s)), points[i]);
                CHECK_OK(mproc_semaphore_value(s, &value));
                CHECK(value <= 1);
                for (; value < PERMITS; value++)
                        CHECK_OK(mproc_semaphore_release(s));
                expect_all_permits(s);
                mproc_semaphore_free(s);
        }
}

static void
role_stop_in_release(mproc_args *args)
{
        CHECK(setenv("MPROC_POINT", "semaphore.release.inside=stop", 1) == 0);
        role_release(args);
}

/* Permits are to be restored, and he is in the way: whoever waits for them waits as long as he said. */
START_METHOD_TEST(timeouts_of_those_who_restore_hold)
{
        mproc_process *dead, *stopped;
        mproc_semaphore *s;
        int64_t t;

        CHECK_OK(mproc_bounded_semaphore_create(ctx, PERMITS, &s));
        dead = cast(ctx, role_acquire_all, MPROC_ARGS(s));
        CHECK_OK(mproc_process_join(dead, scaled_ms(SERVED_MS)));
        mproc_process_free(dead);
        stopped = cast(ctx, role_stop_in_release, MPROC_ARGS(s));
        await_stop_of(mproc_process_pid(stopped));
        t = monotonic_ms();
        CHECK_CODE(mproc_semaphore_acquire(s, 50), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_semaphore_acquire(s, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - t < scaled_ms(SERVED_MS));
        let_run(stopped);
        CHECK_OK(mproc_process_join(stopped, scaled_ms(SERVED_MS)));
        mproc_process_free(stopped);
        expect_all_permits(s);
        mproc_semaphore_free(s);
}

START_METHOD_TEST(deaths_of_those_who_restore)
{
        static const char *const points[] = { "permits.restore.looked", "permits.intended", "semaphore.restored" };

        for (unsigned i = 0; i < sizeof points / sizeof *points; i++) {
                mproc_semaphore *s;
                mproc_process *first;

                CHECK_OK(mproc_bounded_semaphore_create(ctx, PERMITS, &s));
                first = cast(ctx, role_acquire_all, MPROC_ARGS(s));
                CHECK_OK(mproc_process_join(first, scaled_ms(SERVED_MS)));
                mproc_process_free(first);
                await_death(cast_victim(ctx, points[i], role_acquire, MPROC_ARGS(s)), points[i]);
                expect_all_permits(s);
                mproc_semaphore_free(s);
        }
}
