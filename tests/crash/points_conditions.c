/* SPDX-License-Identifier: MIT */
/*
 * crash/points_conditions.c - deaths at the points of events, conditions and barriers: who waits is told all the
 * same.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <signal.h>
#include <unistd.h>

#define EACH(i, names) for (size_t i = 0; i < sizeof(names) / sizeof *(names); i++)

/* It ended by itself, with this. */
static int
exit_of(mproc_process *process)
{
        int exitcode;

        CHECK_MSG(mproc_process_join(process, scaled_ms(10000)) == 0, "a survivor sleeps");
        CHECK_OK(mproc_process_exitcode(process, &exitcode));
        mproc_process_free(process);
        return exitcode;
}

/* --- events -------------------------------------------------------------------------------------------- */

static void
role_set(mproc_args *args)
{
        CHECK_OK(mproc_event_set(mproc_args_event(args, 0)));
}

static void
role_clear(mproc_args *args)
{
        CHECK_OK(mproc_event_clear(mproc_args_event(args, 0)));
}

static void
role_await(mproc_args *args)
{
        CHECK_OK(mproc_event_wait(mproc_args_event(args, 0), MPROC_FOREVER));
}

/* Where the victim dies asleep or woken, it needs to be woken. */
static void
die_at_event(mproc_context *ctx, const char *point, role *wanted, bool set_before, bool wake)
{
        mproc_process *victim, *survivor;
        mproc_event *event;

        CHECK_OK(mproc_event_create(ctx, &event));
        survivor = cast(ctx, role_await, MPROC_ARGS(event));
        await_asleep(survivor);
        if (set_before)
                CHECK_OK(mproc_event_set(event));
        victim = cast_victim(ctx, point, wanted, MPROC_ARGS(event));
        if (wake) {
                await_asleep(victim);
                CHECK_OK(mproc_event_set(event));
        }
        await_death(victim, point);
        if (wanted == role_clear)
                CHECK_INT(mproc_event_is_set(event), 0);
        CHECK_OK(mproc_event_set(event));
        CHECK_INT(exit_of(survivor), 0);
        mproc_event_free(event);
}

START_METHOD_TEST(death_at_the_points_of_events)
{
        die_at_event(ctx, "event.set.waiters", role_set, false, false);
        die_at_event(ctx, "event.set.done", role_set, false, false);
        die_at_event(ctx, "event.clear.done", role_clear, true, false);
        die_at_event(ctx, "event.wait.sleep", role_await, false, false);
        die_at_event(ctx, "event.wait.woken", role_await, false, true);
}

/* --- conditions ----------------------------------------------------------------------------------------- */

static void
role_wait(mproc_args *args)
{
        mproc_condition *condition = mproc_args_condition(args, 0);

        CHECK(mproc_condition_acquire(condition, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 1)));
        CHECK(mproc_condition_wait(condition, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_condition_release(condition));
}

static void
role_notify(mproc_args *args)
{
        mproc_condition *condition = mproc_args_condition(args, 0);

        CHECK(mproc_condition_acquire(condition, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_condition_notify(condition, 1));
        CHECK_OK(mproc_condition_release(condition));
}

struct hall {
        mproc_context *ctx;
        mproc_condition *condition;
        mproc_semaphore *inside; /* released by those who are about to wait */
};

static void
open_hall(struct hall *hall, mproc_context *ctx)
{
        hall->ctx = ctx;
        CHECK_OK(mproc_condition_create(ctx, NULL, &hall->condition));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &hall->inside));
}

static void
close_hall(struct hall *hall)
{
        mproc_condition_free(hall->condition);
        mproc_semaphore_free(hall->inside);
}

/* 0, or MPROC_OWNER_DIED.  Once it is to be had, who was about to wait does. */
static int
lock(struct hall *hall)
{
        int r = mproc_condition_acquire(hall->condition, scaled_ms(SERVED_MS));

        CHECK_MSG(r >= 0, "the lock is not to be had: %s", mproc_last_error());
        return r;
}

static mproc_process *
cast_waiter(struct hall *hall)
{
        mproc_process *process = cast(hall->ctx, role_wait, MPROC_ARGS(hall->condition, hall->inside));

        CHECK_OK(mproc_semaphore_acquire(hall->inside, scaled_ms(10000)));
        (void)lock(hall);
        CHECK_OK(mproc_condition_release(hall->condition));
        return process;
}

static void
notify(struct hall *hall, unsigned n)
{
        (void)lock(hall);
        CHECK_OK(mproc_condition_notify(hall->condition, n));
        CHECK_OK(mproc_condition_release(hall->condition));
}

/* The dead one came first, but the living one is notified. */
START_METHOD_TEST(death_at_the_points_of_waits)
{
        static const char *const points[] = { "condition.wait.taken", "condition.wait.entered",
                                              "condition.wait.released", "condition.wait.sleep",
                                              "condition.wait.woken" };
        mproc_process *survivor, *victim;
        struct hall hall;

        EACH(i, points)
        {
                open_hall(&hall, ctx);
                victim = cast_victim(ctx, points[i], role_wait, MPROC_ARGS(hall.condition, hall.inside));
                await_death(victim, points[i]);
                CHECK_OK(mproc_semaphore_acquire(hall.inside, scaled_ms(10000)));
                survivor = cast_waiter(&hall);
                notify(&hall, 1);
                CHECK_INT(exit_of(survivor), 0);
                close_hall(&hall);
        }
}

/* He was notified, and had the lock again, but his wait had not returned. */
START_METHOD_TEST(death_at_the_end_of_a_wait)
{
        mproc_process *survivor, *victim;
        struct hall hall;

        open_hall(&hall, ctx);
        victim = cast_victim(ctx, "condition.wait.reacquired", role_wait, MPROC_ARGS(hall.condition, hall.inside));
        CHECK_OK(mproc_semaphore_acquire(hall.inside, scaled_ms(10000)));
        (void)lock(&hall);
        CHECK_OK(mproc_condition_release(hall.condition));
        survivor = cast_waiter(&hall);
        notify(&hall, 1);
        await_death(victim, "condition.wait.reacquired");
        CHECK_INT(exit_of(survivor), 0);
        close_hall(&hall);
}

START_METHOD_TEST(death_at_the_points_of_notify)
{
        mproc_process *survivor, *victim, *dead;
        struct hall hall;

        open_hall(&hall, ctx);
        survivor = cast_waiter(&hall);
        victim = cast_victim(ctx, "condition.notify.found", role_notify, MPROC_ARGS(hall.condition));
        await_death(victim, "condition.notify.found");
        (void)lock(&hall); /* MPROC_OWNER_DIED, if the survivor has not looked for the dead before */
        CHECK_OK(mproc_condition_notify_all(hall.condition));
        CHECK_OK(mproc_condition_release(hall.condition));
        CHECK_INT(exit_of(survivor), 0);

        /* A dead waiter is marked by a notifier who dies before he sees that: it counts, and is passed on. */
        dead = cast_waiter(&hall);
        CHECK_OK(mproc_process_kill(dead));
        CHECK_INT(exit_of(dead), -SIGKILL);
        survivor = cast(ctx, role_wait, MPROC_ARGS(hall.condition, hall.inside));
        CHECK_OK(mproc_semaphore_acquire(hall.inside, scaled_ms(10000)));
        await_asleep(survivor);
        victim = cast_victim(ctx, "condition.notify.marked", role_notify, MPROC_ARGS(hall.condition));
        /* Unless the survivor has freed the dead one's ticket before: then nobody dies. */
        CHECK_OK(mproc_process_join(victim, scaled_ms(10000)));
        mproc_process_free(victim);
        CHECK_INT(exit_of(survivor), 0);
        close_hall(&hall);
}

static void
role_die_holding(mproc_args *args)
{
        CHECK(mproc_condition_acquire(mproc_args_condition(args, 0), MPROC_FOREVER) >= 0);
        (void)raise(SIGKILL);
}

/* The lock's owner dies; the victim finds out, and dies over it; so does another one. */
START_METHOD_TEST(death_of_who_finds_the_owner_dead)
{
        mproc_process *survivor, *victim;
        struct hall hall;

        open_hall(&hall, ctx);
        victim = cast_victim(ctx, "condition.alarm.marked", role_wait, MPROC_ARGS(hall.condition, hall.inside));
        CHECK_OK(mproc_semaphore_acquire(hall.inside, scaled_ms(10000)));
        (void)lock(&hall);
        CHECK_OK(mproc_condition_release(hall.condition));
        await_asleep(victim);
        await_death(cast(ctx, role_die_holding, MPROC_ARGS(hall.condition)), "the owner");
        await_death(victim, "condition.alarm.marked");
        CHECK_INT(lock(&hall), MPROC_OWNER_DIED);
        CHECK_OK(mproc_condition_release(hall.condition));
        survivor = cast_waiter(&hall); /* beside what the victim had as if notified */
        CHECK_INT(exit_of(survivor), 0);
        close_hall(&hall);
}

/* Notified, and dead while it waits for the lock: the victim takes that over, and dies over it. */
START_METHOD_TEST(death_of_an_heir)
{
        mproc_process *survivor, *victim, *dead;
        struct hall hall;

        open_hall(&hall, ctx);
        dead = cast_waiter(&hall);
        victim = cast_victim(ctx, "condition.inherit.marked", role_wait, MPROC_ARGS(hall.condition, hall.inside));
        CHECK_OK(mproc_semaphore_acquire(hall.inside, scaled_ms(10000)));
        (void)lock(&hall);
        CHECK_OK(mproc_condition_notify(hall.condition, 1));
        CHECK_OK(mproc_process_kill(dead));
        CHECK_INT(exit_of(dead), -SIGKILL);
        CHECK_OK(mproc_condition_release(hall.condition));
        await_death(victim, "condition.inherit.marked");
        survivor = cast_waiter(&hall);
        CHECK_INT(exit_of(survivor), 0); /* what the two left is his */
        close_hall(&hall);
}

/* --- barriers -------------------------------------------------------------------------------------------- */

enum { SENT_AWAY = 77 };

static void
role_meet(mproc_args *args)
{
        int r = mproc_barrier_wait(mproc_args_barrier(args, 0), MPROC_FOREVER);

        if (r < 0)
                _exit(r == MPROC_EBROKEN ? SENT_AWAY : 1);
}

static void
role_meet_briefly(mproc_args *args)
{
        (void)mproc_barrier_wait(mproc_args_barrier(args, 0), 20);
}

static void
role_reset(mproc_args *args)
{
        CHECK_OK(mproc_barrier_reset(mproc_args_barrier(args, 0)));
}

static void
role_abort(mproc_args *args)
{
        CHECK_OK(mproc_barrier_abort(mproc_args_barrier(args, 0)));
}

static mproc_process *
cast_party(mproc_context *ctx, mproc_barrier *barrier)
{
        int before = mproc_barrier_n_waiting(barrier);
        mproc_process *process = cast(ctx, role_meet, MPROC_ARGS(barrier));

        WAIT_UNTIL(mproc_barrier_n_waiting(barrier) > before, 10000);
        return process;
}

/* After it was reset all is as ever. */
static void
expect_barrier_works(mproc_context *ctx, mproc_barrier *barrier)
{
        mproc_process *party;

        CHECK_OK(mproc_barrier_reset(barrier));
        party = cast_party(ctx, barrier);
        CHECK_INT(mproc_barrier_wait(barrier, scaled_ms(SERVED_MS)), 1);
        CHECK_INT(exit_of(party), 0);
}

/* One waits, alone, and dies: who comes then is not left alone with him. */
START_METHOD_TEST(death_at_the_points_of_coming_first)
{
        static const char *const points[] = { "barrier.arrive.taken", "barrier.arrive.written",
                                              "barrier.arrive.counted", "barrier.wait.sleep", "barrier.wait.woken" };
        mproc_barrier *barrier;

        EACH(i, points)
        {
                CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
                await_death(cast_victim(ctx, points[i], role_meet, MPROC_ARGS(barrier)), points[i]);
                CHECK_CODE(mproc_barrier_wait(barrier, scaled_ms(SERVED_MS)), MPROC_EBROKEN);
                CHECK_CONTAINS(mproc_last_error(), "died waiting");
                expect_barrier_works(ctx, barrier);
                mproc_barrier_free(barrier);
        }
}

START_METHOD_TEST(death_at_the_points_of_coming_last)
{
        static const struct {
                const char *point;
                int survivor;
        } cases[] = { { "barrier.wait.checked", SENT_AWAY },
                      { "barrier.pass.marked", SENT_AWAY },
                      { "barrier.pass.passed", 0 } };
        mproc_process *survivor;
        mproc_barrier *barrier;

        EACH(i, cases)
        {
                CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
                survivor = cast_party(ctx, barrier);
                await_asleep(survivor);
                await_death(cast_victim(ctx, cases[i].point, role_meet, MPROC_ARGS(barrier)), cases[i].point);
                CHECK_INT(exit_of(survivor), cases[i].survivor);
                expect_barrier_works(ctx, barrier);
                mproc_barrier_free(barrier);
        }
}

/* Who breaks it dies before he has told anybody. */
START_METHOD_TEST(death_in_breaking_a_barrier)
{
        mproc_process *survivor;
        mproc_barrier *barrier;

        CHECK_OK(mproc_barrier_create(ctx, 3, MPROC_FOREVER, &barrier));
        survivor = cast_party(ctx, barrier);
        await_asleep(survivor);
        await_death(cast_victim(ctx, "barrier.break.broken", role_meet_briefly, MPROC_ARGS(barrier)),
                    "barrier.break.broken");
        CHECK_INT(exit_of(survivor), SENT_AWAY);
        CHECK_INT(mproc_barrier_broken(barrier), 1);
        mproc_barrier_free(barrier);
}

START_METHOD_TEST(death_in_abort_and_reset)
{
        static const struct {
                const char *point;
                role *role;
                bool broken;
        } cases[] = { { "barrier.abort.noted", role_abort, false },
                      { "barrier.reset.marked", role_reset, true },
                      { "barrier.reset.whole", role_reset, false } };
        mproc_process *survivor;
        mproc_barrier *barrier;

        EACH(i, cases)
        {
                CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
                survivor = cast_party(ctx, barrier);
                await_asleep(survivor);
                await_death(cast_victim(ctx, cases[i].point, cases[i].role, MPROC_ARGS(barrier)), cases[i].point);
                CHECK_INT(mproc_barrier_broken(barrier), cases[i].broken);
                CHECK_OK(mproc_barrier_reset(barrier));
                CHECK_INT(exit_of(survivor), SENT_AWAY);
                expect_barrier_works(ctx, barrier);
                mproc_barrier_free(barrier);
        }
}
