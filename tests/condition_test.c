/* SPDX-License-Identifier: MIT */
/*
 * condition_test.c - conditions: who waits is told, whoever else lives or dies.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <errno.h>
#include <pthread.h>

static mproc_condition *
make_condition(void)
{
        mproc_condition *condition;

        CHECK_OK(mproc_condition_create(NULL, NULL, &condition));
        return condition;
}

static void
lock(mproc_condition *condition)
{
        CHECK_OK(mproc_condition_acquire(condition, scaled_ms(LONG_MS)));
}

static void
unlock(mproc_condition *condition)
{
        CHECK_OK(mproc_condition_release(condition));
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(wrong_use_of_a_condition_is_told)
{
        mproc_condition *condition = make_condition(), *none = NULL;
        mproc_event *event;
        mproc_lock *freed;

        CHECK_CODE(mproc_condition_wait(condition, 0), MPROC_ENOTOWNER);
        CHECK_CONTAINS(mproc_last_error(), "not held by anybody");
        CHECK_CODE(mproc_condition_notify(condition, 1), MPROC_ENOTOWNER);
        CHECK_CONTAINS(mproc_last_error(), "before notifying");
        CHECK_CODE(mproc_condition_notify_all(condition), MPROC_ENOTOWNER);
        CHECK_CODE(mproc_condition_wait_for(condition, NULL, NULL, 0), MPROC_ENOTOWNER);
        CHECK_CODE(mproc_condition_release(condition), MPROC_ERELEASED);
        lock(condition);
        CHECK_CODE(mproc_condition_wait_for(condition, NULL, NULL, 0), -EINVAL);
        unlock(condition);
        CHECK_CODE(mproc_condition_acquire(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_condition_release(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_condition_wait(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_condition_wait_for(NULL, NULL, NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_condition_notify(NULL, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_condition_notify_all(NULL), MPROC_EHANDLE);
        mproc_condition_free(condition);
        mproc_condition_free(NULL);

        CHECK_OK(mproc_event_create(NULL, &event));
        CHECK_CODE(mproc_condition_create(NULL, (mproc_lock *)event, &none), MPROC_EHANDLE);
        mproc_event_free(event);
        CHECK_OK(mproc_lock_create(NULL, &freed));
        mproc_lock_free(freed);
        CHECK_CODE(mproc_condition_create(NULL, freed, &none), MPROC_EHANDLE);
        CHECK(!none);
}

TEST(a_wait_that_times_out_holds_the_lock_again)
{
        mproc_condition *condition;
        mproc_lock *own;
        int64_t t;

        CHECK_OK(mproc_lock_create(NULL, &own));
        CHECK_OK(mproc_condition_create(NULL, own, &condition));
        CHECK_OK(mproc_lock_acquire(own, 0));
        CHECK_CODE(mproc_condition_wait(condition, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "not notified in time");
        CHECK_INT(mproc_lock_owner(own), getpid());
        t = monotonic_ms();
        CHECK_CODE(mproc_condition_wait(condition, 150), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - t >= 149);
        CHECK_INT(mproc_lock_owner(own), getpid());
        CHECK_OK(mproc_condition_notify(condition, 5)); /* nobody waits */
        CHECK_CODE(mproc_condition_wait(condition, 0), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_lock_release(own));
        mproc_lock_free(own); /* the condition has its own handle on it */
        lock(condition);
        CHECK_CODE(mproc_condition_wait(condition, 1), MPROC_ETIMEDOUT);
        unlock(condition);
        mproc_condition_free(condition);
}

/* More waits than tickets: they are used again, and their numbers wrap around. */
TEST(tickets_are_used_again)
{
        mproc_condition *condition = make_condition();

        lock(condition);
        for (int i = 0; i < 5000; i++) {
                CHECK_CODE(mproc_condition_wait(condition, 0), MPROC_ETIMEDOUT);
                if (i % 700 == 0)
                        CHECK_OK(mproc_condition_notify_all(condition));
        }
        unlock(condition);
        mproc_condition_free(condition);
}

struct handover {
        mproc_condition *condition;
        long value, taken, rounds;
        int done;
};

static int
has_value(void *arg)
{
        struct handover *h = arg;

        return h->value > 0 || h->done;
}

static void *
take_values(void *arg)
{
        struct handover *h = arg;

        lock(h->condition);
        for (;;) {
                CHECK_OK(mproc_condition_wait_for(h->condition, has_value, h, scaled_ms(LONG_MS)));
                if (h->value == 0)
                        break;
                h->value--;
                h->taken++;
        }
        unlock(h->condition);
        return NULL;
}

TEST(threads_hand_over_what_they_wait_for)
{
        struct handover h = { .condition = make_condition(), .rounds = 3000 };
        pthread_t threads[3];

        for (int i = 0; i < 3; i++)
                pthread_create(&threads[i], NULL, take_values, &h);
        for (long i = 0; i < h.rounds; i++) {
                lock(h.condition);
                h.value++;
                CHECK_OK(mproc_condition_notify(h.condition, 1));
                unlock(h.condition);
        }
        lock(h.condition);
        h.done = 1;
        CHECK_OK(mproc_condition_notify_all(h.condition));
        unlock(h.condition);
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
        CHECK_INT(h.taken, h.rounds);
        mproc_condition_free(h.condition);
}

static int
count_calls(void *arg)
{
        int *calls = arg;

        return ++*calls > 1 ? -ENODATA : 0;
}

static int
never(void *arg)
{
        (void)arg;
        return 0;
}

TEST(wait_for_keeps_its_time_and_hands_on_what_the_predicate_says)
{
        mproc_condition *condition = make_condition();
        int calls = 0;
        int64_t t;

        CHECK_CODE(mproc_lock_release(NULL), MPROC_EHANDLE); /* words that are out of date afterwards */
        lock(condition);
        CHECK_CODE(mproc_condition_wait_for(condition, count_calls, &calls, 1), -ENODATA);
        CHECK_CONTAINS(mproc_last_error(), "the predicate failed: ");
        CHECK_INT(calls, 2); /* before, and when time was up */
        t = monotonic_ms();
        CHECK_CODE(mproc_condition_wait_for(condition, never, NULL, 120), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - t >= 119);
        unlock(condition);
        mproc_condition_free(condition);
}

/* --- forked waiters ----------------------------------------------------------------------------------- */

/* Shared: how many returned, and in which order. */
struct board {
        atomic_int returned;
        atomic_int order[64];
        atomic_int result[64];
        atomic_int step;
};

static pid_t
fork_waiter(mproc_condition *condition, struct board *board, int name)
{
        pid_t pid = fork();

        if (pid == 0) {
                int r;

                lock(condition);
                r = mproc_condition_wait(condition, MPROC_FOREVER);
                CHECK(r >= 0);
                board->result[name] = r;
                board->order[atomic_fetch_add(&board->returned, 1)] = name;
                unlock(condition);
                _exit(0);
        }
        await_sleep(pid);
        return pid;
}

static void
notify(mproc_condition *condition, unsigned n)
{
        int r = mproc_condition_acquire(condition, scaled_ms(LONG_MS));

        CHECK(r >= 0);
        CHECK_OK(mproc_condition_notify(condition, n));
        unlock(condition);
}

TEST(those_who_waited_longest_are_notified_first)
{
        mproc_condition *condition = make_condition();
        struct board *board = shared_page();
        pid_t pids[6];

        for (int i = 0; i < 6; i++)
                pids[i] = fork_waiter(condition, board, i);
        for (int i = 0; i < 6; i++) {
                notify(condition, 1);
                reap(pids[i]);
                CHECK_INT(board->returned, i + 1);
                CHECK_INT(board->order[i], i);
        }
        mproc_condition_free(condition);
        munmap(board, 4096);
}

TEST(notify_wakes_as_many_as_it_says)
{
        mproc_condition *condition = make_condition();
        struct board *board = shared_page();
        pid_t pids[8];

        for (int i = 0; i < 8; i++)
                pids[i] = fork_waiter(condition, board, i);
        notify(condition, 0);
        notify(condition, 3);
        for (int i = 0; i < 3; i++)
                reap(pids[i]);
        for (int i = 3; i < 8; i++)
                await_sleep(pids[i]);
        CHECK_INT(board->returned, 3);
        lock(condition);
        CHECK_OK(mproc_condition_notify_all(condition));
        unlock(condition);
        for (int i = 3; i < 8; i++)
                reap(pids[i]);
        CHECK_INT(board->returned, 8);
        mproc_condition_free(condition);
        munmap(board, 4096);
}

/* However often it was acquired, it is free during the wait, and as deep afterwards. */
TEST(a_recursive_lock_is_released_whole_and_as_deep_afterwards)
{
        struct board *board = shared_page();
        mproc_condition *condition;
        mproc_rlock *rlock;
        pid_t pid;

        CHECK_OK(mproc_rlock_create(NULL, &rlock));
        CHECK_OK(mproc_condition_create_rlock(NULL, rlock, &condition));
        if ((pid = fork()) == 0) {
                for (int i = 0; i < 3; i++)
                        CHECK_OK(mproc_rlock_acquire(rlock, LONG_MS));
                CHECK_OK(mproc_condition_wait(condition, scaled_ms(LONG_MS)));
                CHECK_CODE(mproc_condition_wait(condition, 20), MPROC_ETIMEDOUT);
                for (int i = 0; i < 3; i++)
                        CHECK_OK(mproc_rlock_release(rlock));
                CHECK_CODE(mproc_rlock_release(rlock), MPROC_ERELEASED);
                _exit(0);
        }
        await_sleep(pid);
        CHECK_INT(mproc_rlock_locked(rlock), 0);
        CHECK_OK(mproc_rlock_acquire(rlock, 0));
        CHECK_OK(mproc_condition_notify(condition, 1));
        CHECK_OK(mproc_condition_release(condition));
        reap(pid);
        CHECK_INT(mproc_rlock_locked(rlock), 0);
        mproc_rlock_free(rlock);
        mproc_condition_free(condition);
        munmap(board, 4096);
}

TEST(the_words_tell_who_holds_the_lock)
{
        mproc_condition *condition = make_condition();
        pid_t pid;

        lock(condition);
        if ((pid = fork()) == 0) {
                char *holder = text_format("pid %d", (int)getppid());

                CHECK_CODE(mproc_condition_wait(condition, 0), MPROC_ENOTOWNER);
                CHECK_CONTAINS(mproc_last_error(), holder);
                CHECK_CODE(mproc_condition_notify(condition, 1), MPROC_ENOTOWNER);
                free(holder);
                _exit(0);
        }
        reap(pid);
        unlock(condition);
        mproc_condition_free(condition);
}

/* --- processes by every start method -------------------------------------------------------------------- */

static int
echo(mproc_args *args)
{
        mproc_condition *condition = mproc_args_condition(args, 0);
        atomic_int *turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);

        CHECK(turn != MAP_FAILED);
        lock(condition);
        for (int i = 1; i < 100; i += 2) {
                while (*turn != i)
                        CHECK_OK(mproc_condition_wait(condition, scaled_ms(LONG_MS)));
                *turn = i + 1;
                CHECK_OK(mproc_condition_notify(condition, 1));
        }
        unlock(condition);
        return 0;
}

START_METHOD_TEST(processes_take_turns)
{
        int fd = memfd_create("turn", MFD_CLOEXEC);
        mproc_condition *condition;
        mproc_process *p;
        atomic_int *turn;

        CHECK(ftruncate(fd, 4096) == 0);
        turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        p = start(ctx, echo, MPROC_ARGS(condition, mproc_fd(fd)));
        lock(condition);
        for (int i = 0; i < 100; i += 2) {
                *turn = i + 1;
                CHECK_OK(mproc_condition_notify(condition, 1));
                while (*turn != i + 2)
                        CHECK_OK(mproc_condition_wait(condition, scaled_ms(LONG_MS)));
        }
        unlock(condition);
        finish(p, 0);
        mproc_condition_free(condition);
        munmap(turn, 4096);
        close(fd);
}

/* In the child the condition's lock is the lock. */
static int
use_both(mproc_args *args)
{
        mproc_condition *plain = mproc_args_condition(args, 0), *recursive = mproc_args_condition(args, 1);
        mproc_rlock *rlock = mproc_args_rlock(args, 2);
        mproc_lock *own = mproc_args_lock(args, 3);

        lock(plain);
        CHECK_INT(mproc_lock_owner(own), getpid());
        CHECK_CODE(mproc_condition_wait(plain, 1), MPROC_ETIMEDOUT);
        unlock(plain);
        CHECK_INT(mproc_lock_locked(own), 0);
        CHECK_OK(mproc_rlock_acquire(rlock, 0));
        lock(recursive);
        CHECK_CODE(mproc_condition_wait(recursive, 1), MPROC_ETIMEDOUT);
        unlock(recursive);
        CHECK_INT(mproc_rlock_owner(rlock), getpid());
        CHECK_OK(mproc_rlock_release(rlock));
        return 0;
}

START_METHOD_TEST(a_condition_takes_its_lock_along)
{
        mproc_condition *plain, *recursive;
        mproc_rlock *rlock;
        mproc_lock *own;

        CHECK_OK(mproc_lock_create(ctx, &own));
        CHECK_OK(mproc_rlock_create(ctx, &rlock));
        CHECK_OK(mproc_condition_create(ctx, own, &plain));
        CHECK_OK(mproc_condition_create_rlock(ctx, rlock, &recursive));
        finish(start(ctx, use_both, MPROC_ARGS(plain, recursive, rlock, own)), 0);
        mproc_condition_free(plain);
        mproc_condition_free(recursive);
        mproc_lock_free(own);
        mproc_rlock_free(rlock);
}

TEST(a_condition_under_a_lock_of_the_fork_context_goes_by_fork_only)
{
        mproc_context *fork_context, *spawn_context;
        mproc_condition *condition;
        mproc_process *p;
        mproc_lock *own;

        CHECK_OK(mproc_get_context("fork", &fork_context));
        CHECK_OK(mproc_get_context("spawn", &spawn_context));
        CHECK_OK(mproc_lock_create(fork_context, &own));
        CHECK_OK(mproc_condition_create(spawn_context, own, &condition));
        CHECK_OK(mproc_process_create(spawn_context, echo, MPROC_ARGS(condition), &p));
        CHECK_CODE(mproc_process_start(p), MPROC_ECONTEXT);
        mproc_process_free(p);
        mproc_condition_free(condition);
        mproc_lock_free(own);
}

/* --- death ----------------------------------------------------------------------------------------------- */

static int
wait_once(mproc_args *args)
{
        mproc_condition *condition = mproc_args_condition(args, 0);
        int r;

        lock(condition);
        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 1)));
        r = mproc_condition_wait(condition, MPROC_FOREVER);
        CHECK(r >= 0);
        unlock(condition);
        return r;
}

/* One that waits, and sleeps: the lock is ours again. */
static mproc_process *
start_waiter(mproc_context *ctx, mproc_condition *condition, mproc_semaphore *ready)
{
        mproc_process *p = start(ctx, wait_once, MPROC_ARGS(condition, ready));

        CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
        await_sleep(mproc_process_pid(p));
        lock(condition);
        unlock(condition);
        await_sleep(mproc_process_pid(p));
        return p;
}

START_METHOD_TEST(a_dead_waiter_does_not_count)
{
        mproc_condition *condition;
        mproc_process *p[3];
        mproc_semaphore *ready;

        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int i = 0; i < 3; i++)
                p[i] = start_waiter(ctx, condition, ready);
        kill(mproc_process_pid(p[0]), SIGKILL);
        finish(p[0], -SIGKILL);
        notify(condition, 1);
        finish(p[1], 0);
        notify(condition, 1);
        finish(p[2], 0);
        mproc_condition_free(condition);
        mproc_semaphore_free(ready);
}

/* He is stopped, so he is notified and does not return, and then he is killed: the next one returns instead. */
START_METHOD_TEST(a_notification_is_passed_on_by_death)
{
        mproc_condition *condition;
        mproc_process *p[3];
        mproc_semaphore *ready;

        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int i = 0; i < 3; i++)
                p[i] = start_waiter(ctx, condition, ready);
        stop_and_wait(mproc_process_pid(p[0]));
        notify(condition, 1);
        kill(mproc_process_pid(p[0]), SIGKILL);
        finish(p[0], -SIGKILL);
        WAIT_UNTIL(mproc_process_is_alive(p[1]) == 0 || mproc_process_is_alive(p[2]) == 0, 5000);
        notify(condition, 2);
        finish(p[1], 0);
        finish(p[2], 0);
        mproc_condition_free(condition);
        mproc_semaphore_free(ready);
}

/* He waits for the lock when he is killed: notified, not asleep on his ticket any more, not returned. */
TEST(a_notification_is_passed_on_by_him_who_waits_for_the_lock)
{
        mproc_condition *condition = make_condition();
        struct board *board = shared_page();
        pid_t first, second;

        for (int i = 0; i < 3; i++) {
                board->returned = 0;
                first = fork_waiter(condition, board, 0);
                second = fork_waiter(condition, board, 1);
                lock(condition);
                CHECK_OK(mproc_condition_notify(condition, 1));
                await_sleep(first);
                kill_and_reap(first);
                unlock(condition);
                reap(second);
                CHECK_INT(board->returned, 1);
                CHECK_INT(board->order[0], 1);
        }
        mproc_condition_free(condition);
        munmap(board, 4096);
}

/* Two of three die with what they were told, one after the other. */
TEST(a_notification_is_passed_on_again)
{
        mproc_condition *condition = make_condition();
        struct board *board = shared_page();
        pid_t pids[3];

        for (int i = 0; i < 3; i++)
                pids[i] = fork_waiter(condition, board, i);
        lock(condition);
        CHECK_OK(mproc_condition_notify(condition, 1));
        kill_and_reap(pids[0]);
        sleep_ms(250); /* one of the two takes it over, most likely, and waits for the lock: kill him who does or does
                          not */
        kill_and_reap(pids[1]);
        unlock(condition);
        reap(pids[2]);
        CHECK_INT(board->returned, 1);
        mproc_condition_free(condition);
        munmap(board, 4096);
}

START_METHOD_TEST(a_stopped_waiter_is_in_nobodys_way)
{
        mproc_condition *condition;
        mproc_process *p[3];
        mproc_semaphore *ready;

        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int i = 0; i < 3; i++)
                p[i] = start_waiter(ctx, condition, ready);
        stop_and_wait(mproc_process_pid(p[0]));
        lock(condition);
        CHECK_OK(mproc_condition_notify_all(condition));
        unlock(condition);
        finish(p[1], 0);
        finish(p[2], 0);
        kill(mproc_process_pid(p[0]), SIGCONT);
        finish(p[0], 0);
        mproc_condition_free(condition);
        mproc_semaphore_free(ready);
}

static int
notify_and_die(mproc_args *args)
{
        mproc_condition *condition = mproc_args_condition(args, 0);

        lock(condition);
        CHECK_OK(mproc_condition_notify(condition, 1));
        raise(SIGKILL);
        return 0;
}

START_METHOD_TEST(the_death_of_the_locks_owner_is_told_by_wait)
{
        mproc_condition *condition;
        mproc_semaphore *ready;
        mproc_process *p;

        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        p = start_waiter(ctx, condition, ready);
        finish(start(ctx, notify_and_die, MPROC_ARGS(condition)), -SIGKILL);
        finish(p, MPROC_OWNER_DIED);
        lock(condition); /* told once */
        unlock(condition);
        mproc_condition_free(condition);
        mproc_semaphore_free(ready);
}

static int
die_holding(mproc_args *args)
{
        lock(mproc_args_condition(args, 0));
        raise(SIGKILL);
        return 0;
}

/* Nobody notifies, and nobody else comes to the lock: one of those who wait finds out. */
START_METHOD_TEST(the_death_of_the_locks_owner_ends_a_wait)
{
        mproc_condition *condition;
        mproc_semaphore *ready;
        mproc_process *p[3];
        int exitcode, told = 0;

        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int i = 0; i < 3; i++)
                p[i] = start_waiter(ctx, condition, ready);
        finish(start(ctx, die_holding, MPROC_ARGS(condition)), -SIGKILL);
        WAIT_UNTIL(!mproc_process_is_alive(p[0]) || !mproc_process_is_alive(p[1]) || !mproc_process_is_alive(p[2]),
                   LONG_MS);
        notify(condition, 3); /* for those who looked when the lock had a living owner again */
        for (int i = 0; i < 3; i++) {
                CHECK_OK(mproc_process_join(p[i], scaled_ms(LONG_MS)));
                CHECK_OK(mproc_process_exitcode(p[i], &exitcode));
                CHECK(exitcode == 0 || exitcode == MPROC_OWNER_DIED);
                told += exitcode;
                mproc_process_free(p[i]);
        }
        CHECK_INT(told, MPROC_OWNER_DIED);
        mproc_condition_free(condition);
        mproc_semaphore_free(ready);
}

/* In wait_for, before the predicate looks at what may need repair. */
TEST(wait_for_tells_of_a_dead_owner_first)
{
        mproc_condition *condition = make_condition();
        struct board *board = shared_page();
        pid_t waiter, owner;

        if ((waiter = fork()) == 0) {
                int calls = 0;

                lock(condition);
                CHECK_CODE(mproc_condition_wait_for(condition, count_calls, &calls, MPROC_FOREVER), MPROC_OWNER_DIED);
                CHECK_INT(calls, 1);
                unlock(condition);
                _exit(0);
        }
        await_sleep(waiter);
        if ((owner = fork()) == 0) {
                lock(condition);
                CHECK_OK(mproc_condition_notify(condition, 1));
                raise(SIGKILL);
        }
        CHECK_INT(wait_program(owner, LONG_MS), -SIGKILL);
        reap(waiter);
        mproc_condition_free(condition);
        munmap(board, 4096);
}

/* --- a storm ---------------------------------------------------------------------------------------------- */

struct stock {
        atomic_int items; /* changed with the lock held */
        atomic_int taken;
        atomic_int over;
};

static int
in_stock(void *arg)
{
        struct stock *stock = arg;

        return stock->items > 0 || stock->over;
}

/* Killed anywhere; between its two counts it holds the lock, and who comes next repairs. */
static void
consume(mproc_condition *condition, struct stock *stock)
{
        CHECK(mproc_condition_acquire(condition, MPROC_FOREVER) >= 0);
        while (!stock->over) {
                CHECK(mproc_condition_wait_for(condition, in_stock, stock, MPROC_FOREVER) >= 0);
                if (stock->items > 0) {
                        stock->items--;
                        stock->taken++;
                }
        }
        CHECK_OK(mproc_condition_release(condition));
}

static pid_t
fork_consumer(mproc_condition *condition, struct stock *stock)
{
        pid_t pid = fork();

        if (pid == 0) {
                consume(condition, stock);
                _exit(0);
        }
        return pid;
}

/*
 * One item and one notification at a time, consumers killed at random: as long as one of them lives no
 * item stays.  When the lock's owner died, the item that he took counts as taken.
 */
TEST(no_item_stays_while_somebody_waits, .limit_s = 120)
{
        enum { CONSUMERS = 4 };
        int64_t end = monotonic_ms() + (getenv("MPROC_STORM") ? 1000 * atoi(getenv("MPROC_STORM")) : 700);
        mproc_condition *condition = make_condition();
        struct stock *stock = shared_page();
        unsigned seed = 12345, kills = 0;
        pid_t pids[CONSUMERS];
        int r;

        for (int i = 0; i < CONSUMERS; i++)
                pids[i] = fork_consumer(condition, stock);
        while (monotonic_ms() < end) {
                int victim = rand_r(&seed) % CONSUMERS;

                for (int i = rand_r(&seed) % 30; i >= 0; i--) {
                        r = mproc_condition_acquire(condition, scaled_ms(LONG_MS));
                        CHECK(r >= 0);
                        stock->items++;
                        /* What the dead was told before he died holding the lock is for all to look at. */
                        CHECK_OK(r ? mproc_condition_notify_all(condition) : mproc_condition_notify(condition, 1));
                        CHECK_OK(mproc_condition_release(condition));
                }
                kill_and_reap(pids[victim]);
                pids[victim] = -1;
                kills++;
                /* Nobody new comes: those who are left have to be told.  Who died inside leaves it to the next. */
                for (int64_t late = monotonic_ms() + scaled_ms(5000); stock->items > 0; sleep_ms(1)) {
                        CHECK_MSG(monotonic_ms() < late, "%d items stay after %u kills", stock->items, kills);
                        if ((r = mproc_condition_acquire(condition, scaled_ms(LONG_MS))) == MPROC_OWNER_DIED)
                                CHECK_OK(mproc_condition_notify_all(condition));
                        CHECK(r >= 0);
                        CHECK_OK(mproc_condition_release(condition));
                }
                pids[victim] = fork_consumer(condition, stock);
        }
        CHECK(mproc_condition_acquire(condition, scaled_ms(LONG_MS)) >= 0);
        stock->over = 1;
        CHECK_OK(mproc_condition_notify_all(condition));
        unlock(condition);
        for (int i = 0; i < CONSUMERS; i++)
                reap(pids[i]);
        mproc_condition_free(condition);
        munmap(stock, 4096);
}
