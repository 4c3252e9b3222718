/* SPDX-License-Identifier: MIT */
/*
 * deadlock_test.c - who waits for whom is found, told in words, and never made up.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void
turn_on(int64_t report_after_ms)
{
        CHECK_OK(mproc_set_deadlock_detection(1, report_after_ms));
}

static mproc_lock *
named_lock(mproc_context *ctx, const char *name)
{
        mproc_lock *lock;

        CHECK_OK(mproc_lock_create(ctx, &lock));
        CHECK_OK(mproc_lock_set_name(lock, name));
        return lock;
}

static mproc_process *
start_named(mproc_context *ctx, const char *name, mproc_main_fn *target, mproc_arglist args)
{
        mproc_process_opts opts = MPROC_PROCESS_OPTS_INIT;
        mproc_process *process;

        opts.name = name;
        CHECK_OK(mproc_process_create_opts(ctx, target, args, &opts, &process));
        CHECK_OK(mproc_process_start(process));
        return process;
}

/* Whether there is a deadlock now; its words are the caller's. */
static int
found(char **ret_text)
{
        int r;

        free(*ret_text);
        *ret_text = NULL;
        r = mproc_deadlock_find(ret_text);
        CHECK(r >= 0);
        CHECK((r == 1) == (**ret_text != 0));
        return r;
}

static char *
await_deadlock(void)
{
        char *text = NULL;

        WAIT_UNTIL(found(&text) == 1, LONG_MS);
        return text;
}

/* So many waits are written down. */
static char *
await_waits(int n)
{
        char *text = NULL;

        WAIT_UNTIL((free(text), mproc_deadlock_waits(&text)) == n, LONG_MS);
        return text;
}

static void
expect_part(const char *text, const char *before, const char *name, pid_t pid, const char *after)
{
        char *part = text_format("%s%s (pid %d)%s", before, name, (int)pid, after);

        CHECK_CONTAINS(text, part);
        free(part);
}

/* --- circles ----------------------------------------------------------------------------------------- */

/* Takes its own lock, meets the others, and wants another's. */
static int
take_two(mproc_args *args)
{
        mproc_lock *own = mproc_args_lock(args, 0), *others = mproc_args_lock(args, 1);
        mproc_barrier *barrier = mproc_args_barrier(args, 2);

        CHECK_OK(mproc_lock_acquire(own, MPROC_FOREVER));
        CHECK(mproc_barrier_wait(barrier, MPROC_FOREVER) >= 0);
        CHECK(mproc_lock_acquire(others, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_lock_release(others));
        CHECK_OK(mproc_lock_release(own));
        return 0;
}

START_METHOD_TEST(two_processes_that_wait_for_each_other_are_named)
{
        mproc_lock *a = named_lock(ctx, "accounts"), *b = named_lock(ctx, "log");
        mproc_barrier *barrier;
        mproc_process *p, *q;
        char *text;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
        p = start_named(ctx, "teller", take_two, MPROC_ARGS(a, b, barrier));
        q = start_named(ctx, "clerk", take_two, MPROC_ARGS(b, a, barrier));
        text = await_deadlock();
        CHECK(strncmp(text, "deadlock: ", 10) == 0);
        CHECK(strchr(text, '\n') == text + strlen(text) - 1);
        CHECK_CONTAINS(text, "has waited ");
        expect_part(text, " s for lock 'log', held by ", "clerk", mproc_process_pid(q), "");
        expect_part(text, " s for lock 'accounts', held by ", "teller", mproc_process_pid(p), "");
        free(text);

        /* One of them dies, and the other goes on: it was that deadlock. */
        CHECK_OK(mproc_process_kill(p));
        finish(q, 0);
        finish(p, -SIGKILL);
        CHECK_INT(mproc_deadlock_find(&text), 0);
        CHECK_STR(text, "");
        free(text);
        mproc_barrier_free(barrier);
        mproc_lock_free(a);
        mproc_lock_free(b);
}

START_METHOD_TEST(three_processes_in_a_circle_are_told_in_order)
{
        mproc_lock *lock[3];
        mproc_process *p[3];
        mproc_barrier *barrier;
        const char *at;
        char *text;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_barrier_create(ctx, 3, MPROC_FOREVER, &barrier));
        for (int i = 0; i < 3; i++) {
                char *name = text_format("lock-%d", i);

                lock[i] = named_lock(ctx, name);
                free(name);
        }
        for (int i = 0; i < 3; i++) {
                char *name = text_format("worker-%d", i);

                p[i] = start_named(ctx, name, take_two, MPROC_ARGS(lock[i], lock[(i + 1) % 3], barrier));
                free(name);
        }
        text = await_deadlock();
        at = strchr(text, '\n');
        CHECK(at && !at[1]); /* one circle, told once */
        for (int i = 0; i < 3; i++) {
                char *part = text_format("for lock 'lock-%d', held by worker-%d (pid %d)", i, i,
                                         (int)mproc_process_pid(p[i]));

                CHECK_CONTAINS(text, part);
                free(part);
        }
        free(text);
        CHECK_OK(mproc_process_kill(p[1]));
        finish(p[0], 0);
        finish(p[2], 0);
        finish(p[1], -SIGKILL);
        mproc_barrier_free(barrier);
        for (int i = 0; i < 3; i++)
                mproc_lock_free(lock[i]);
}

TEST(a_thread_that_waits_for_itself_is_told)
{
        mproc_lock *lock = named_lock(NULL, "once");

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        CHECK_CODE(mproc_lock_acquire(lock, 100), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "the lock 'once' is held by this thread itself");
        CHECK_CONTAINS(mproc_last_error(), "; deadlock: MainProcess (pid ");
        CHECK_CONTAINS(mproc_last_error(), " s for lock 'once', held by itself");

        /* It is told once, and not of the next wait. */
        CHECK_CODE(mproc_lock_acquire(lock, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK(!strstr(mproc_last_error(), "deadlock"));
        CHECK_OK(mproc_lock_release(lock));
        mproc_lock_free(lock);
}

static int
want_lock(mproc_args *args)
{
        mproc_lock *lock = mproc_args_lock(args, 0);

        CHECK(mproc_lock_acquire(lock, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_lock_release(lock));
        return 0;
}

START_METHOD_TEST(a_join_of_one_who_waits_for_us_is_told)
{
        mproc_lock *lock = named_lock(ctx, "held");
        mproc_process *p;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        p = start_named(ctx, "heir", want_lock, MPROC_ARGS(lock));
        free(await_waits(1)); /* it waits: from here on it is one */
        for (;;) {
                CHECK_CODE(mproc_process_join(p, 300), MPROC_ETIMEDOUT);
                CHECK_CONTAINS(mproc_last_error(), "still runs after 300 ms");
                if (strstr(mproc_last_error(), "deadlock")) /* a slow machine may take longer */
                        break;
        }
        expect_part(mproc_last_error(), "; deadlock: ", "MainProcess", getpid(), " has waited ");
        expect_part(mproc_last_error(), " s for the end of ", "heir", mproc_process_pid(p), ", who has waited ");
        expect_part(mproc_last_error(), " s for lock 'held', held by ", "MainProcess", getpid(), "");
        CHECK_OK(mproc_lock_release(lock));
        finish(p, 0);
        mproc_lock_free(lock);
}

static int
time_out_in_circle(mproc_args *args)
{
        mproc_lock *own = mproc_args_lock(args, 0), *others = mproc_args_lock(args, 1);
        int r;

        CHECK_OK(mproc_lock_acquire(own, MPROC_FOREVER));
        CHECK(mproc_barrier_wait(mproc_args_barrier(args, 2), MPROC_FOREVER) >= 0);
        do
                r = mproc_lock_acquire(others, 300);
        while (r == MPROC_ETIMEDOUT && !strstr(mproc_last_error(), "; deadlock: hasty (pid "));
        CHECK_INT(r, MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "for lock 'second', held by patient (pid ");
        CHECK_CONTAINS(mproc_last_error(), "for lock 'first', held by hasty (pid ");
        CHECK_OK(mproc_lock_release(own));
        return 0;
}

START_METHOD_TEST(who_times_out_in_a_circle_has_it_in_his_words)
{
        mproc_lock *a = named_lock(ctx, "first"), *b = named_lock(ctx, "second");
        mproc_barrier *barrier;
        mproc_process *p, *q;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
        p = start_named(ctx, "hasty", time_out_in_circle, MPROC_ARGS(a, b, barrier));
        q = start_named(ctx, "patient", take_two, MPROC_ARGS(b, a, barrier));
        finish(p, 0);
        finish(q, 0);
        mproc_barrier_free(barrier);
        mproc_lock_free(a);
        mproc_lock_free(b);
}

static int
take_two_permits(mproc_args *args)
{
        mproc_semaphore *own = mproc_args_semaphore(args, 0), *others = mproc_args_semaphore(args, 1);

        CHECK_OK(mproc_semaphore_acquire(own, MPROC_FOREVER));
        CHECK(mproc_barrier_wait(mproc_args_barrier(args, 2), MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_semaphore_acquire(others, MPROC_FOREVER));
        return 0;
}

START_METHOD_TEST(bounded_semaphores_have_holders)
{
        mproc_semaphore *a, *b;
        mproc_barrier *barrier;
        mproc_process *p, *q;
        char *text;

        if (portable_build())
                SKIP("how many threads a process has is not known there");
        if (under_tsan())
                SKIP("ThreadSanitizer has a thread of its own, which might release them");
        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_bounded_semaphore_create(ctx, 1, &a));
        CHECK_OK(mproc_bounded_semaphore_create(ctx, 1, &b));
        CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
        p = start_named(ctx, "left", take_two_permits, MPROC_ARGS(a, b, barrier));
        q = start_named(ctx, "right", take_two_permits, MPROC_ARGS(b, a, barrier));
        text = await_deadlock();
        CHECK_CONTAINS(text, " s for a permit of bounded semaphore ");
        expect_part(text, ", held by ", "left", mproc_process_pid(p), "");
        expect_part(text, ", held by ", "right", mproc_process_pid(q), "");
        free(text);
        CHECK_OK(mproc_process_kill(p));
        finish(q, 0);
        finish(p, -SIGKILL);
        mproc_barrier_free(barrier);
        mproc_semaphore_free(a);
        mproc_semaphore_free(b);
}

static int
wait_on_condition(mproc_args *args)
{
        mproc_condition *condition = mproc_args_condition(args, 0);
        mproc_lock *lock = mproc_args_lock(args, 1);

        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        CHECK_OK(mproc_condition_acquire(condition, MPROC_FOREVER));
        CHECK(mproc_condition_wait(condition, MPROC_FOREVER) >= 0);
        CHECK_OK(mproc_condition_release(condition));
        CHECK_OK(mproc_lock_release(lock));
        return 0;
}

/* It holds a lock while it waits, is notified, and cannot have the condition's lock back. */
START_METHOD_TEST(a_condition_that_takes_its_lock_back_is_a_wait_for_it)
{
        mproc_lock *lock = named_lock(ctx, "held over a wait");
        mproc_condition *condition;
        mproc_process *p;
        char *text = NULL;
        int r;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        p = start_named(ctx, "sleeper", wait_on_condition, MPROC_ARGS(condition, lock));
        WAIT_UNTIL(mproc_lock_owner(lock) == mproc_process_pid(p), LONG_MS);
        await_sleep(mproc_process_pid(p));
        CHECK_OK(mproc_condition_acquire(condition, MPROC_FOREVER));
        CHECK_OK(mproc_condition_notify_all(condition));
        do
                r = mproc_lock_acquire(lock, 300);
        while (r == MPROC_ETIMEDOUT && !strstr(mproc_last_error(), "deadlock"));
        CHECK_INT(r, MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "for recursive lock ");
        expect_part(mproc_last_error(), "for lock 'held over a wait', held by ", "sleeper", mproc_process_pid(p),
                    ", who");
        CHECK_OK(mproc_condition_release(condition));
        finish(p, 0);
        free(text);
        mproc_condition_free(condition);
        mproc_lock_free(lock);
}

/* --- threads ------------------------------------------------------------------------------------------- */

struct two {
        mproc_lock *own, *others;
        pthread_barrier_t *barrier;
};

static void *
thread_takes_two(void *arg)
{
        struct two *two = arg;

        CHECK_OK(mproc_lock_acquire(two->own, MPROC_FOREVER));
        pthread_barrier_wait(two->barrier);
        CHECK_OK(mproc_lock_acquire(two->others, MPROC_FOREVER));
        CHECK_OK(mproc_lock_release(two->others));
        return NULL;
}

TEST(threads_of_one_process_are_told_apart)
{
        mproc_lock *a = named_lock(NULL, "a"), *b = named_lock(NULL, "b");
        pthread_barrier_t barrier;
        struct two one = { a, b, &barrier }, other = { b, a, &barrier };
        pthread_t threads[2];
        char *text;

        turn_on(MPROC_FOREVER);
        pthread_barrier_init(&barrier, NULL, 2);
        pthread_create(&threads[0], NULL, thread_takes_two, &one);
        pthread_create(&threads[1], NULL, thread_takes_two, &other);
        text = await_deadlock();
        CHECK_CONTAINS(text, ", thread ");
        CHECK_CONTAINS(text, "for lock 'a', held by MainProcess");
        CHECK_CONTAINS(text, "for lock 'b', held by MainProcess");
        free(text);
        CHECK_OK(mproc_lock_release(a)); /* anybody may */
        pthread_join(threads[1], NULL);
        CHECK_OK(mproc_lock_release(b));
        pthread_join(threads[0], NULL);
        mproc_lock_free(a);
        mproc_lock_free(b);
}

/* --- no false alarm ---------------------------------------------------------------------------------------- */

START_METHOD_TEST(a_long_wait_is_no_deadlock_and_tells_who_holds)
{
        mproc_lock *lock = named_lock(ctx, "busy");
        mproc_process *p[2];
        char *text, *part;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        for (int i = 0; i < 2; i++)
                p[i] = start_named(ctx, i ? "b" : "a", want_lock, MPROC_ARGS(lock));
        text = await_waits(2);
        expect_part(text, "", "a", mproc_process_pid(p[0]), " has waited ");
        expect_part(text, "", "b", mproc_process_pid(p[1]), " has waited ");
        part = text_format(" s for lock 'busy', held by MainProcess (pid %d", (int)getpid());
        CHECK_CONTAINS(text, part);
        free(part);
        free(text);
        CHECK_INT(mproc_deadlock_find(&text), 0);
        CHECK_STR(text, "");
        free(text);
        CHECK_OK(mproc_lock_release(lock));
        finish(p[0], 0);
        finish(p[1], 0);
        text = await_waits(0);
        CHECK_STR(text, "");
        free(text);
        mproc_lock_free(lock);
}

static int
sleep_somewhere(mproc_args *args)
{
        char byte;

        switch ((int)mproc_args_int(args, 0)) {
        case 0:
                return mproc_queue_get(mproc_args_queue(args, 1), &byte, 1, NULL, MPROC_FOREVER);
        case 1:
                return mproc_queue_put(mproc_args_queue(args, 2), "x", 1, MPROC_FOREVER);
        case 2:
                return mproc_event_wait(mproc_args_event(args, 3), MPROC_FOREVER);
        case 3:
                return mproc_barrier_wait(mproc_args_barrier(args, 4), MPROC_FOREVER) >= 0 ? 0 : 1;
        default:
                CHECK_OK(mproc_condition_acquire(mproc_args_condition(args, 5), MPROC_FOREVER));
                return mproc_condition_wait(mproc_args_condition(args, 5), MPROC_FOREVER);
        }
}

START_METHOD_TEST(waits_for_what_nobody_holds_are_told)
{
        static const char *const what[] = { " s for a message of queue ", " s for room in queue ", " s for event ",
                                            " s for the others at barrier ", " s for condition " };
        enum { KINDS = 5 };
        mproc_queue *empty, *full;
        mproc_event *event;
        mproc_barrier *barrier;
        mproc_condition *condition;
        mproc_process *p[KINDS + 1];
        char *text, *first;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_queue_create(ctx, 0, &empty));
        CHECK_OK(mproc_queue_create(ctx, 1, &full));
        CHECK_OK(mproc_queue_put(full, "x", 1, MPROC_NOWAIT));
        CHECK_OK(mproc_event_create(ctx, &event));
        CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        for (int i = 0; i < KINDS + 1; i++) /* two getters: one of them waits for the other */
                p[i] = start(ctx, sleep_somewhere, MPROC_ARGS(i % KINDS, empty, full, event, barrier, condition));
        text = await_waits(KINDS + 1);
        for (int i = 0; i < KINDS; i++)
                CHECK_CONTAINS(text, what[i]);
        first = strstr(text, what[0]);
        CHECK(first && strstr(first + 1, what[0]));
        free(text);
        CHECK_INT(mproc_deadlock_find(&text), 0);
        free(text);
        for (int i = 0; i < KINDS + 1; i++) {
                CHECK_OK(mproc_process_kill(p[i]));
                finish(p[i], -SIGKILL);
        }
        free(await_waits(0));
        mproc_queue_free(empty);
        mproc_queue_free(full);
        mproc_event_free(event);
        mproc_barrier_free(barrier);
        mproc_condition_free(condition);
}

/* The stopped one cannot take over what the killed one held: only the records say that they wait for each other. */
START_METHOD_TEST(the_dead_wait_for_nobody)
{
        mproc_lock *a = named_lock(ctx, "a"), *b = named_lock(ctx, "b");
        mproc_barrier *barrier;
        mproc_process *p, *q;
        char *text;

        turn_on(MPROC_FOREVER);
        CHECK_OK(mproc_barrier_create(ctx, 2, MPROC_FOREVER, &barrier));
        p = start_named(ctx, "killed", take_two, MPROC_ARGS(a, b, barrier));
        q = start_named(ctx, "stopped", take_two, MPROC_ARGS(b, a, barrier));
        free(await_deadlock());
        stop_and_wait(mproc_process_pid(q));
        text = await_deadlock(); /* a deadlock all the same */
        free(text);
        CHECK_OK(mproc_process_kill(p));
        finish(p, -SIGKILL);
        CHECK_INT(mproc_deadlock_find(&text), 0);
        free(text);
        CHECK_INT(mproc_deadlock_waits(&text), 1);
        CHECK(!strstr(text, "killed (pid ") || strstr(text, "held by killed"));
        CHECK(strncmp(text, "stopped (pid ", 13) == 0);
        free(text);
        CHECK(kill(mproc_process_pid(q), SIGCONT) == 0);
        finish(q, 0);
        mproc_barrier_free(barrier);
        mproc_lock_free(a);
        mproc_lock_free(b);
}

static int
time_out_quietly(mproc_args *args)
{
        char *text;

        CHECK_CODE(mproc_lock_acquire(mproc_args_lock(args, 0), 150), MPROC_ETIMEDOUT);
        CHECK(!strstr(mproc_last_error(), "deadlock"));
        CHECK_CODE(mproc_deadlock_find(&text), -ENODATA);
        CHECK_CODE(mproc_deadlock_waits(&text), -ENODATA);
        return 0;
}

START_METHOD_TEST(it_is_off_by_default)
{
        mproc_lock *lock = named_lock(ctx, "l");
        char *text;

        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        CHECK_CODE(mproc_lock_acquire(lock, 50), MPROC_ETIMEDOUT);
        CHECK(!strstr(mproc_last_error(), "deadlock"));
        CHECK_CODE(mproc_deadlock_find(&text), -ENODATA);
        CHECK_CONTAINS(mproc_last_error(), "mproc_set_deadlock_detection");
        finish(start(ctx, time_out_quietly, MPROC_ARGS(lock)), 0);
        mproc_lock_free(lock);
}

static int
is_on(mproc_args *args)
{
        mproc_context *ctx;
        char *text;
        int generation = (int)mproc_args_int(args, 1);

        CHECK(mproc_deadlock_waits(&text) >= 0);
        free(text);
        CHECK_OK(mproc_get_context(mproc_args_string(args, 0), &ctx));
        if (generation < 3)
                finish(start(ctx, is_on, MPROC_ARGS(mproc_args_string(args, 0), generation + 1)), 0);
        return 0;
}

static int
is_off(mproc_args *args)
{
        char *text;

        CHECK_CODE(mproc_deadlock_find(&text), -ENODATA);
        return (int)mproc_args_count(args);
}

START_METHOD_TEST(all_generations_inherit_it)
{
        turn_on(MPROC_FOREVER);
        finish(start(ctx, is_on, MPROC_ARGS(method, 1)), 0);
        CHECK_OK(mproc_set_deadlock_detection(0, MPROC_FOREVER));
        finish(start(ctx, is_off, MPROC_NO_ARGS), 0);
}

/* --- the log -----------------------------------------------------------------------------------------------------
 */

struct heard {
        _Atomic int long_waits, deadlocks;
        char text[512]; /* of the last one */
};

static void
hear(enum mproc_log_level level, const char *text, void *arg)
{
        struct heard *heard = arg;

        if (level != MPROC_LOG_WARNING)
                return;
        (void)snprintf(heard->text, sizeof heard->text, "%s", text);
        if (strncmp(text, "long wait: ", 11) == 0)
                heard->long_waits++;
        if (strncmp(text, "deadlock: ", 10) == 0)
                heard->deadlocks++;
}

static void *
thread_wants(void *arg)
{
        CHECK_OK(mproc_lock_acquire(arg, MPROC_FOREVER));
        CHECK_OK(mproc_lock_release(arg));
        return NULL;
}

TEST(a_long_wait_tells_the_log_once)
{
        mproc_lock *lock = named_lock(NULL, "slow");
        struct heard heard = { 0 };
        pthread_t thread;

        turn_on(50);
        mproc_set_log(hear, &heard);
        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        pthread_create(&thread, NULL, thread_wants, lock);
        WAIT_UNTIL(heard.long_waits == 1, LONG_MS);
        CHECK_CONTAINS(heard.text, " s for lock 'slow', held by MainProcess (pid ");
        CHECK_CONTAINS(heard.text, ", who does not wait");
        sleep_ms(300);
        CHECK_INT(heard.long_waits, 1);
        CHECK_INT(heard.deadlocks, 0);
        CHECK_OK(mproc_lock_release(lock));
        pthread_join(thread, NULL);

        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        CHECK_CODE(mproc_lock_acquire(lock, 300), MPROC_ETIMEDOUT); /* one's own: a deadlock from the beginning */
        CHECK_INT(heard.long_waits, 1);
        CHECK_INT(heard.deadlocks, 1);
        CHECK_OK(mproc_lock_release(lock));
        mproc_set_log(NULL, NULL);
        mproc_lock_free(lock);
}

/* --- names
 * ---------------------------------------------------------------------------------------------------------- */

TEST(a_lock_has_a_name_or_a_number)
{
        mproc_lock *lock;
        mproc_rlock *rlock;
        char *text, longest[64];
        pthread_t thread;

        turn_on(MPROC_FOREVER);
        CHECK_CODE(mproc_lock_set_name(NULL, "x"), MPROC_EHANDLE);
        CHECK_CODE(mproc_rlock_set_name(NULL, "x"), MPROC_EHANDLE);
        CHECK_OK(mproc_rlock_create(NULL, &rlock));
        memset(longest, 'n', sizeof longest);
        longest[63] = 0;
        CHECK_OK(mproc_rlock_set_name(rlock, longest));
        mproc_rlock_free(rlock);

        CHECK_OK(mproc_lock_create(NULL, &lock));
        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        pthread_create(&thread, NULL, thread_wants, lock);
        text = await_waits(1);
        CHECK_CONTAINS(text, " s for lock ");
        CHECK(!strchr(text, '\''));
        free(text);
        longest[MPROC_LOCK_NAME_MAX] = 0;
        CHECK_OK(mproc_lock_set_name(lock, longest));
        for (text = await_waits(1); !strstr(text, longest); text = await_waits(1))
                free(text);
        free(text);
        CHECK_OK(mproc_lock_set_name(lock, NULL));
        CHECK_CODE(mproc_lock_acquire(lock, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "the lock is held by");
        CHECK_OK(mproc_lock_release(lock));
        pthread_join(thread, NULL);
        mproc_lock_free(lock);
}
