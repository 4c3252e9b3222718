/* SPDX-License-Identifier: MIT */
/*
 * event_test.c - events: set for all, once and for good, whoever lives or dies.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <errno.h>
#include <pthread.h>
#include <sys/time.h>

static mproc_event *
make_event(void)
{
        mproc_event *event;

        CHECK_OK(mproc_event_create(NULL, &event));
        return event;
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(an_event_is_set_and_cleared)
{
        mproc_event *event = make_event();

        for (int i = 0; i < 3; i++) {
                CHECK_INT(mproc_event_is_set(event), 0);
                CHECK_CODE(mproc_event_wait(event, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                CHECK_CONTAINS(mproc_last_error(), "not set in time");
                CHECK_OK(mproc_event_clear(event)); /* no effect */
                CHECK_OK(mproc_event_set(event));
                CHECK_OK(mproc_event_set(event)); /* no effect */
                CHECK_INT(mproc_event_is_set(event), 1);
                CHECK_OK(mproc_event_wait(event, MPROC_NOWAIT));
                CHECK_OK(mproc_event_wait(event, MPROC_FOREVER));
                CHECK_OK(mproc_event_clear(event));
        }
        mproc_event_free(event);
}

TEST(timeouts_of_an_event_are_kept)
{
        mproc_event *event = make_event();
        int64_t t = monotonic_ms();

        CHECK_CODE(mproc_event_wait(event, 150), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - t >= 149);
        CHECK_OK(mproc_event_set(event)); /* who gave up is no burden */
        CHECK_OK(mproc_event_wait(event, 0));
        mproc_event_free(event);
}

TEST(wrong_use_of_an_event_is_told)
{
        CHECK_CODE(mproc_event_set(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_event_clear(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_event_is_set(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_event_wait(NULL, 0), MPROC_EHANDLE);
        CHECK_CONTAINS(mproc_last_error(), "an event is wanted");
        mproc_event_free(NULL);
}

struct ping {
        mproc_event *there, *back;
        int rounds;
};

static void *
answer(void *arg)
{
        struct ping *p = arg;

        for (int i = 0; i < p->rounds; i++) {
                CHECK_OK(mproc_event_wait(p->there, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_event_clear(p->there));
                CHECK_OK(mproc_event_set(p->back));
        }
        return NULL;
}

TEST(threads_ring_each_other)
{
        struct ping p = { make_event(), make_event(), 3000 };
        pthread_t thread;

        pthread_create(&thread, NULL, answer, &p);
        for (int i = 0; i < p.rounds; i++) {
                CHECK_OK(mproc_event_set(p.there));
                CHECK_OK(mproc_event_wait(p.back, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_event_clear(p.back));
        }
        pthread_join(thread, NULL);
        mproc_event_free(p.there);
        mproc_event_free(p.back);
}

/* What was written before set is seen after wait; looked at by the sanitizer for threads. */
static long payload;

static void *
read_payload(void *arg)
{
        CHECK_OK(mproc_event_wait(arg, scaled_ms(LONG_MS)));
        CHECK_INT(payload, 4711);
        return NULL;
}

TEST(what_happened_before_set_is_seen_after_wait)
{
        mproc_event *event = make_event();
        pthread_t threads[4];

        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, read_payload, event);
        payload = 4711;
        CHECK_OK(mproc_event_set(event));
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        mproc_event_free(event);
}

/* --- signals ------------------------------------------------------------------------------------------ */

static mproc_event *handled;
static volatile sig_atomic_t handler_ran;

static void
set_in_handler(int sig)
{
        int saved = errno;

        (void)sig;
        errno = 4242;
        if (mproc_event_set(handled) != 0 || errno != 4242)
                _exit(99);
        handler_ran++;
        errno = saved;
}

static void
handle(int sig)
{
        struct sigaction action = { .sa_handler = set_in_handler };

        CHECK(sigaction(sig, &action, NULL) == 0);
}

/* The thread that waits is the one that the signal interrupts. */
TEST(a_signal_handler_sets_the_event_that_its_thread_waits_for)
{
        pid_t pid;

        handled = make_event();
        handle(SIGUSR1);
        for (int i = 0; i < 10; i++) {
                if ((pid = fork()) == 0) {
                        await_sleep(getppid());
                        kill(getppid(), SIGUSR1);
                        _exit(0);
                }
                CHECK_OK(mproc_event_wait(handled, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_event_clear(handled));
                reap(pid);
        }
        CHECK_INT(handler_ran, 10);
        mproc_event_free(handled);
}

static atomic_bool over;

static void *
wait_again_and_again(void *arg)
{
        while (!over)
                if (mproc_event_wait(arg, 2) == 0)
                        CHECK_OK(mproc_event_clear(arg));
        return NULL;
}

/* Set, clear and wait are interrupted at arbitrary places by a handler that sets the same event. */
TEST(a_signal_handler_may_set_the_event_whatever_it_interrupts)
{
        struct itimerval often = { { 0, 150 }, { 0, 150 } }, never = { { 0, 0 }, { 0, 0 } };
        sigset_t alarm_only, before;
        pthread_t thread;

        handled = make_event();
        handle(SIGALRM);
        sigemptyset(&alarm_only);
        sigaddset(&alarm_only, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &alarm_only, &before);
        pthread_create(&thread, NULL, wait_again_and_again, handled);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
        while (handler_ran < 1000) {
                CHECK_OK(mproc_event_clear(handled));
                (void)mproc_event_wait(handled, 1);
                CHECK_OK(mproc_event_set(handled));
        }
        CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
        over = true;
        pthread_join(thread, NULL);
        CHECK_OK(mproc_event_set(handled));
        CHECK_OK(mproc_event_wait(handled, 0));
        mproc_event_free(handled);
}

/* --- processes ---------------------------------------------------------------------------------------- */

static int
wait_and_answer(mproc_args *args)
{
        mproc_event *there = mproc_args_event(args, 0), *back = mproc_args_event(args, 1);

        for (int i = 0; i < 50; i++) {
                CHECK_OK(mproc_event_wait(there, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_event_clear(there));
                CHECK_OK(mproc_event_set(back));
        }
        return 0;
}

START_METHOD_TEST(processes_ring_each_other)
{
        mproc_event *there, *back;
        mproc_process *p;

        CHECK_OK(mproc_event_create(ctx, &there));
        CHECK_OK(mproc_event_create(ctx, &back));
        p = start(ctx, wait_and_answer, MPROC_ARGS(there, back));
        for (int i = 0; i < 50; i++) {
                CHECK_OK(mproc_event_set(there));
                CHECK_OK(mproc_event_wait(back, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_event_clear(back));
        }
        finish(p, 0);
        mproc_event_free(there);
        mproc_event_free(back);
}

static pid_t
fork_waiter(mproc_event *event)
{
        pid_t pid = fork();

        if (pid == 0) {
                CHECK_OK(mproc_event_wait(event, MPROC_FOREVER));
                _exit(0);
        }
        await_sleep(pid);
        return pid;
}

TEST(set_wakes_all_who_wait)
{
        mproc_event *event = make_event();
        pid_t pids[40];

        for (int i = 0; i < 40; i++)
                pids[i] = fork_waiter(event);
        CHECK_OK(mproc_event_set(event));
        for (int i = 0; i < 40; i++)
                reap(pids[i]);
        mproc_event_free(event);
}

/* Those who are stopped when it is set and cleared return as well, when they go on. */
TEST(a_set_that_is_cleared_at_once_wakes_all_who_waited)
{
        mproc_event *event = make_event();
        pid_t pids[4];

        for (int i = 0; i < 4; i++)
                pids[i] = fork_waiter(event);
        stop_and_wait(pids[1]);
        stop_and_wait(pids[2]);
        CHECK_OK(mproc_event_set(event));
        CHECK_OK(mproc_event_clear(event));
        reap(pids[0]);
        reap(pids[3]);
        pids[0] = fork_waiter(event); /* of the next round */
        kill(pids[1], SIGCONT);
        kill(pids[2], SIGCONT);
        reap(pids[1]);
        reap(pids[2]);
        CHECK_INT(waitpid(pids[0], NULL, WNOHANG), 0);
        CHECK_OK(mproc_event_set(event));
        reap(pids[0]);
        mproc_event_free(event);
}

/* --- death ----------------------------------------------------------------------------------------------- */

static int
wait_for_ever(mproc_args *args)
{
        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 1)));
        CHECK_OK(mproc_event_wait(mproc_args_event(args, 0), MPROC_FOREVER));
        return 0;
}

/* A waiter that was killed, and one that is stopped, hold up neither set nor the others. */
START_METHOD_TEST(killed_and_stopped_waiters_are_no_burden)
{
        mproc_semaphore *ready;
        mproc_process *p[4];
        mproc_event *event;

        CHECK_OK(mproc_event_create(ctx, &event));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int i = 0; i < 4; i++) {
                p[i] = start(ctx, wait_for_ever, MPROC_ARGS(event, ready));
                CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
                await_sleep(mproc_process_pid(p[i]));
        }
        kill(mproc_process_pid(p[0]), SIGKILL);
        finish(p[0], -SIGKILL);
        stop_and_wait(mproc_process_pid(p[1]));
        CHECK_OK(mproc_event_set(event));
        finish(p[2], 0);
        finish(p[3], 0);
        CHECK_OK(mproc_event_clear(event));
        CHECK_CODE(mproc_event_wait(event, 0), MPROC_ETIMEDOUT);
        kill(mproc_process_pid(p[1]), SIGCONT);
        finish(p[1], 0);
        mproc_event_free(event);
        mproc_semaphore_free(ready);
}

static int
set_and_clear_until_killed(mproc_args *args)
{
        mproc_event *event = mproc_args_event(args, 0);

        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 1)));
        for (;;) {
                CHECK_OK(mproc_event_set(event));
                CHECK_OK(mproc_event_clear(event));
        }
}

/* Whenever he is killed: the event is set or it is not, and then a set by another wakes all. */
START_METHOD_TEST(a_setter_is_killed_at_any_time)
{
        mproc_semaphore *ready;
        mproc_process *p;
        mproc_event *event;
        pid_t waiter;

        CHECK_OK(mproc_event_create(ctx, &event));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int i = 0; i < 8; i++) {
                p = start(ctx, set_and_clear_until_killed, MPROC_ARGS(event, ready));
                CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_event_wait(event, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_process_kill(p));
                finish(p, -SIGKILL);
                CHECK_OK(mproc_event_clear(event));
                waiter = fork_waiter(event);
                CHECK_OK(mproc_event_set(event));
                reap(waiter);
                CHECK_OK(mproc_event_clear(event));
        }
        mproc_event_free(event);
        mproc_semaphore_free(ready);
}

TEST(an_event_of_the_fork_context_goes_by_fork_only)
{
        mproc_context *fork_context, *spawn_context;
        mproc_process *p;
        mproc_event *event;

        CHECK_OK(mproc_get_context("fork", &fork_context));
        CHECK_OK(mproc_get_context("spawn", &spawn_context));
        CHECK_OK(mproc_event_create(fork_context, &event));
        CHECK_OK(mproc_process_create(spawn_context, wait_for_ever, MPROC_ARGS(event), &p));
        CHECK_CODE(mproc_process_start(p), MPROC_ECONTEXT);
        CHECK_CONTAINS(mproc_last_error(), "event");
        mproc_process_free(p);
        mproc_event_free(event);
}
