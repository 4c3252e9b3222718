/* SPDX-License-Identifier: MIT */
/*
 * lock_test.c - locks: one holder at a time, whoever lives or dies.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static mproc_lock *
make_lock(void)
{
        mproc_lock *lock;

        CHECK_OK(mproc_lock_create(NULL, &lock));
        return lock;
}

/* A page that forked children share with us. */
static void *
shared_page(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK(page != MAP_FAILED);
        return page;
}

static void
kill_and_reap(pid_t pid)
{
        int status;

        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(waitpid(pid, &status, 0) == pid);
}

static void
reap(pid_t pid)
{
        CHECK_INT(wait_program(pid, LONG_MS), 0);
}

/* It sleeps in the kernel: state S, seen a few times in a row, since a process may sleep on its way, too. */
static void
await_sleep(pid_t pid)
{
        char *path = text_format("/proc/%d/stat", (int)pid);

        for (int seen = 0; seen < 5;) {
                char *text = read_file(path, NULL), *p = text ? strrchr(text, ')') : NULL;

                CHECK(p);
                seen = p[2] == 'S' ? seen + 1 : 0;
                free(text);
                sleep_ms(1);
        }
        free(path);
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(a_lock_is_taken_and_given_back)
{
        mproc_lock *lock = make_lock();

        for (int i = 0; i < 3; i++) {
                CHECK_INT(mproc_lock_locked(lock), 0);
                CHECK_INT(mproc_lock_owner(lock), 0);
                CHECK_OK(mproc_lock_acquire(lock, i ? MPROC_NOWAIT : MPROC_FOREVER));
                CHECK_INT(mproc_lock_locked(lock), 1);
                CHECK_INT(mproc_lock_owner(lock), getpid());
                CHECK_CODE(mproc_lock_acquire(lock, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                CHECK_CONTAINS(mproc_last_error(), "held by this thread itself");
                CHECK_OK(mproc_lock_release(lock));
                CHECK_CODE(mproc_lock_release(lock), MPROC_ERELEASED);
        }
        mproc_lock_free(lock);
}

TEST(timeouts_of_a_lock_are_kept)
{
        mproc_lock *lock = make_lock();
        int64_t t;

        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        t = monotonic_ms();
        CHECK_CODE(mproc_lock_acquire(lock, 250), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - t >= 249);
        CHECK(monotonic_ms() - t < scaled_ms(5000));
        CHECK_OK(mproc_lock_release(lock));
        CHECK_OK(mproc_lock_acquire(lock, 0)); /* who gave up is no burden to the others */
        CHECK_OK(mproc_lock_release(lock));
        CHECK_CODE(mproc_lock_release(lock), MPROC_ERELEASED);
        mproc_lock_free(lock);
}

TEST(wrong_use_of_a_lock_is_told)
{
        CHECK_CODE(mproc_lock_acquire(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_lock_release(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_lock_locked(NULL), MPROC_EHANDLE);
        CHECK_INT(mproc_lock_owner(NULL), 0);
        mproc_lock_free(NULL);
}

struct sharing {
        mproc_lock *lock;
        long count, *value;
};

static void *
add_under_lock(void *arg)
{
        struct sharing *s = arg;

        for (long i = 0; i < s->count; i++) {
                CHECK_OK(mproc_lock_acquire(s->lock, MPROC_FOREVER));
                ++*s->value;
                CHECK_OK(mproc_lock_release(s->lock));
        }
        return NULL;
}

TEST(threads_exclude_each_other)
{
        long value = 0;
        struct sharing s = { make_lock(), 30000, &value };
        pthread_t threads[4];

        for (int i = 0; i < 4; i++)
                pthread_create(&threads[i], NULL, add_under_lock, &s);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        CHECK_INT(value, 4 * s.count);
        mproc_lock_free(s.lock);
}

TEST(a_thousand_locks_cost_one_descriptor)
{
        enum { COUNT = 20000 }; /* more than one segment has room for */
        mproc_lock **locks = malloc(COUNT * sizeof *locks);
        int before = count_fds(), after;

        for (int i = 0; i < 1000; i++)
                CHECK_OK(mproc_lock_create(NULL, &locks[i]));
        CHECK_INT(count_fds(), before + 2); /* the locks, and what holds the program together */
        for (int i = 1000; i < COUNT; i++)
                CHECK_OK(mproc_lock_create(NULL, &locks[i]));
        CHECK(count_fds() <= before + 4);
        /* They are different locks. */
        for (int i = 0; i < COUNT; i += 7)
                CHECK_OK(mproc_lock_acquire(locks[i], 0));
        for (int i = 0; i < COUNT; i++)
                CHECK_INT(mproc_lock_locked(locks[i]), i % 7 == 0);
        for (int i = 0; i < COUNT; i++)
                mproc_lock_free(locks[i]);
        after = count_fds();
        CHECK(after <= before + 2); /* the beacon, and what the next lock will be cut from */

        /* Made and freed for ever, they use nothing up. */
        for (int i = 0; i < 3 * COUNT; i++) {
                CHECK_OK(mproc_lock_create(NULL, &locks[0]));
                mproc_lock_free(locks[0]);
        }
        CHECK_INT(count_fds(), after);
        free(locks);
}

/* --- processes ---------------------------------------------------------------------------------------- */

static int
add_in_child(mproc_args *args)
{
        mproc_lock *lock = mproc_args_lock(args, 0);
        long *value = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);
        struct sharing s = { lock, (long)mproc_args_int(args, 2), value };

        CHECK(value != MAP_FAILED);
        (void)add_under_lock(&s);
        return 0;
}

START_METHOD_TEST(processes_exclude_each_other)
{
        int fd = memfd_create("counter", MFD_CLOEXEC);
        mproc_process *p[4];
        mproc_lock *lock;
        long *value;

        CHECK(ftruncate(fd, 4096) == 0);
        value = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK_OK(mproc_lock_create(ctx, &lock));
        for (int i = 0; i < 4; i++)
                p[i] = start(ctx, add_in_child, MPROC_ARGS(lock, mproc_fd(fd), 20000));
        for (int i = 0; i < 4; i++)
                finish(p[i], 0);
        CHECK_INT(*value, 80000);
        CHECK_INT(mproc_lock_locked(lock), 0);
        mproc_lock_free(lock);
        munmap(value, 4096);
        close(fd);
}

static int
release_in_child(mproc_args *args)
{
        mproc_lock *lock = mproc_args_lock(args, 0);

        CHECK_INT(mproc_lock_owner(lock), mproc_process_pid(mproc_parent_process()));
        CHECK_CODE(mproc_lock_acquire(lock, 20), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_lock_release(lock));
        return 0;
}

START_METHOD_TEST(another_process_may_release)
{
        mproc_lock *lock;

        CHECK_OK(mproc_lock_create(ctx, &lock));
        CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
        finish(start(ctx, release_in_child, MPROC_ARGS(lock)), 0);
        CHECK_INT(mproc_lock_locked(lock), 0);
        mproc_lock_free(lock);
}

static int
use_many_locks(mproc_args *args)
{
        int before = count_fds();
        size_t n = mproc_args_count(args);

        for (size_t i = 0; i < n; i++)
                CHECK_INT(mproc_lock_locked(mproc_args_lock(args, i)), i % 3 == 0);
        CHECK(count_fds() <= before + 2 * portable_build()); /* who has a lock there joins the program at once */
        for (size_t i = 0; i < n; i++)
                if (i % 3)
                        CHECK_OK(mproc_lock_acquire(mproc_args_lock(args, i), 0));
        return 0;
}

START_METHOD_TEST(many_locks_are_passed_at_once)
{
        enum { COUNT = 500 };
        mproc_lock *locks[COUNT];
        mproc_arg list[COUNT];

        for (int i = 0; i < COUNT; i++) {
                CHECK_OK(mproc_lock_create(ctx, &locks[i]));
                list[i] = mproc_arg_lock(locks[i]);
                if (i % 3 == 0)
                        CHECK_OK(mproc_lock_acquire(locks[i], 0));
        }
        finish(start(ctx, use_many_locks, (mproc_arglist){ list, COUNT }), 0);
        for (int i = 0; i < COUNT; i++) {
                /* The child ended holding these: that is told, too. */
                CHECK_INT(mproc_lock_acquire(locks[i], i % 3 ? LONG_MS : 0),
                          i % 3 ? MPROC_OWNER_DIED : MPROC_ETIMEDOUT);
                mproc_lock_free(locks[i]);
        }
}

/* A child that was forked does not hold what its parent holds, and both can tell who does. */
TEST(a_forked_child_is_somebody_else)
{
        mproc_lock *a = make_lock(), *b = make_lock();
        atomic_int *step = shared_page();
        pid_t pid;

        CHECK_OK(mproc_lock_acquire(a, 0));
        if ((pid = fork()) == 0) {
                CHECK_INT(mproc_lock_owner(a), getppid());
                CHECK_OK(mproc_lock_acquire(b, 0));
                CHECK_INT(mproc_lock_owner(b), getpid());
                *step = 1;
                while (*step == 1)
                        sleep_ms(1);
                CHECK_OK(mproc_lock_release(b));
                _exit(0);
        }
        WAIT_UNTIL(*step == 1, LONG_MS);
        CHECK_INT(mproc_lock_owner(a), getpid());
        CHECK_INT(mproc_lock_owner(b), pid);
        *step = 2;
        reap(pid);
        CHECK_INT(mproc_lock_owner(b), 0);
        mproc_lock_free(a);
        mproc_lock_free(b);
        munmap(step, 4096);
}

/* What a child creates after a fork is not what its parent creates. */
TEST(parent_and_forked_child_create_different_locks)
{
        mproc_lock *first = make_lock(), *mine;
        atomic_int *step = shared_page();
        pid_t pid = fork();

        mine = make_lock();
        if (pid == 0) {
                CHECK_OK(mproc_lock_acquire(mine, 0));
                *step = 1;
                while (*step == 1)
                        sleep_ms(1);
                _exit(0);
        }
        WAIT_UNTIL(*step == 1, LONG_MS);
        CHECK_INT(mproc_lock_locked(mine), 0);
        *step = 2;
        reap(pid);
        mproc_lock_free(mine);
        mproc_lock_free(first);
        munmap(step, 4096);
}

/* --- death ----------------------------------------------------------------------------------------------- */

static int
hold_and_wait(mproc_args *args)
{
        CHECK_OK(mproc_lock_acquire(mproc_args_lock(args, 0), MPROC_FOREVER));
        CHECK_OK(mproc_queue_put(mproc_args_queue(args, 1), NULL, 0, MPROC_FOREVER));
        for (;;)
                pause();
}

START_METHOD_TEST(the_lock_of_a_killed_process_is_handed_on)
{
        mproc_process *p;
        mproc_lock *lock;
        mproc_queue *q;

        CHECK_OK(mproc_lock_create(ctx, &lock));
        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        for (int i = 0; i < 3; i++) {
                p = start(ctx, hold_and_wait, MPROC_ARGS(lock, q));
                CHECK_OK(mproc_queue_get(q, NULL, 0, NULL, scaled_ms(LONG_MS)));
                CHECK_INT(mproc_lock_owner(lock), mproc_process_pid(p));
                CHECK_CODE(mproc_lock_acquire(lock, 120), MPROC_ETIMEDOUT);
                CHECK_OK(mproc_process_kill(p));
                CHECK_INT(mproc_lock_acquire(lock, scaled_ms(LONG_MS)), MPROC_OWNER_DIED);
                CHECK_INT(mproc_lock_owner(lock), getpid());
                CHECK_OK(mproc_lock_release(lock));
                CHECK_OK(mproc_lock_acquire(lock, 0)); /* told once */
                CHECK_OK(mproc_lock_release(lock));
                finish(p, -SIGKILL);
        }
        mproc_lock_free(lock);
        mproc_queue_free(q);
}

/* Also for him who does not want to wait. */
TEST(a_dead_owner_does_not_make_the_lock_busy)
{
        mproc_lock *lock = make_lock();
        pid_t pid = fork();

        if (pid == 0) {
                CHECK_OK(mproc_lock_acquire(lock, 0));
                _exit(0);
        }
        reap(pid);
        CHECK_INT(mproc_lock_locked(lock), 1);
        CHECK_INT(mproc_lock_acquire(lock, MPROC_NOWAIT), MPROC_OWNER_DIED);
        CHECK_OK(mproc_lock_release(lock));
        mproc_lock_free(lock);
}

TEST(a_stopped_owner_is_not_dead)
{
        mproc_lock *lock = make_lock();
        atomic_int *step = shared_page();
        pid_t pid = fork();

        if (pid == 0) {
                CHECK_OK(mproc_lock_acquire(lock, 0));
                *step = 1;
                for (;;)
                        pause();
        }
        WAIT_UNTIL(*step == 1, LONG_MS);
        kill(pid, SIGSTOP);
        CHECK_CODE(mproc_lock_acquire(lock, 300), MPROC_ETIMEDOUT);
        kill_and_reap(pid);
        CHECK_INT(mproc_lock_acquire(lock, LONG_MS), MPROC_OWNER_DIED);
        mproc_lock_free(lock);
        munmap(step, 4096);
}

TEST(of_many_waiters_one_is_told_that_the_owner_died)
{
        mproc_lock *lock = make_lock();
        atomic_int *count = shared_page(); /* [0] told, [1] not told, [2] the owner has it, [3] inside now */
        pid_t owner, pids[6];

        if ((owner = fork()) == 0) {
                CHECK_OK(mproc_lock_acquire(lock, 0));
                count[2] = 1;
                for (;;)
                        pause();
        }
        WAIT_UNTIL(count[2] == 1, LONG_MS);
        for (int i = 0; i < 6; i++)
                if ((pids[i] = fork()) == 0) {
                        int r = mproc_lock_acquire(lock, scaled_ms(LONG_MS));

                        CHECK(r >= 0);
                        CHECK_INT(atomic_fetch_add(&count[3], 1), 0);
                        atomic_fetch_add(&count[r == MPROC_OWNER_DIED ? 0 : 1], 1);
                        atomic_fetch_sub(&count[3], 1);
                        CHECK_OK(mproc_lock_release(lock));
                        _exit(0);
                }
        for (int i = 0; i < 6; i++)
                await_sleep(pids[i]);
        kill_and_reap(owner);
        for (int i = 0; i < 6; i++)
                reap(pids[i]);
        CHECK_INT(count[0], 1);
        CHECK_INT(count[1], 5);
        mproc_lock_free(lock);
        munmap(count, 4096);
}

static pid_t
fork_waiter(mproc_lock *lock, atomic_int *got)
{
        pid_t pid = fork();

        if (pid == 0) {
                CHECK(mproc_lock_acquire(lock, MPROC_FOREVER) >= 0);
                ++*got;
                CHECK_OK(mproc_lock_release(lock));
                _exit(0);
        }
        await_sleep(pid);
        return pid;
}

/*
 * The first of two waiters is stopped; the release wakes him, he cannot run, and is killed: the
 * wake-up must not die with him.
 */
TEST(a_wake_up_is_not_lost_with_the_woken)
{
        mproc_lock *lock = make_lock();
        atomic_int *got = shared_page();
        pid_t first, second;

        for (int i = 0; i < 20; i++) {
                CHECK_OK(mproc_lock_acquire(lock, LONG_MS));
                first = fork_waiter(lock, got);
                second = fork_waiter(lock, got);
                *got = 0;
                kill(first, SIGSTOP);
                CHECK_OK(mproc_lock_release(lock));
                kill_and_reap(first);
                reap(second);
                CHECK_INT(*got, 1);
        }
        mproc_lock_free(lock);
        munmap(got, 4096);
}

/* More processes than one slot's neighbours, one after the other and together. */
TEST(slots_are_used_again, .limit_s = 120)
{
        mproc_lock *lock = make_lock();
        pid_t pids[64];

        for (int round = 0; round < 5; round++) {
                for (int i = 0; i < 64; i++)
                        if ((pids[i] = fork()) == 0) {
                                CHECK(mproc_lock_acquire(lock, MPROC_FOREVER) >= 0);
                                CHECK_INT(mproc_lock_owner(lock), getpid());
                                if (i % 8 == 0)
                                        raise(SIGKILL);
                                CHECK_OK(mproc_lock_release(lock));
                                _exit(0);
                        }
                for (int i = 0; i < 64; i++)
                        CHECK_INT(wait_program(pids[i], LONG_MS), i % 8 ? 0 : -SIGKILL);
        }
        CHECK(mproc_lock_acquire(lock, LONG_MS) >= 0);
        CHECK_OK(mproc_lock_release(lock));
        mproc_lock_free(lock);
}

/* --- fairness -------------------------------------------------------------------------------------------- */

#define SHARERS 8

struct fairness {
        atomic_long turns; /* acquisitions by all */
        atomic_int ready, stop;
        atomic_long count[SHARERS]; /* acquisitions by each */
        atomic_long most[SHARERS];  /* by others, in one wait */
};

/* Holds the lock for some microseconds and wants it again at once. */
static int
want_it_all(mproc_args *args)
{
        mproc_lock *lock = mproc_args_lock(args, 0);
        int64_t i = mproc_args_int(args, 2);
        struct fairness *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);

        CHECK(f != MAP_FAILED);
        atomic_fetch_add(&f->ready, 1);
        while (f->ready < SHARERS)
                sleep_ms(1);
        while (!f->stop) {
                long before = f->turns, others;

                CHECK_OK(mproc_lock_acquire(lock, MPROC_FOREVER));
                others = f->turns - before;
                if (others > f->most[i])
                        f->most[i] = others;
                f->turns++;
                for (volatile int k = 0; k < 2000; k++)
                        ;
                CHECK_OK(mproc_lock_release(lock));
                f->count[i]++;
        }
        return 0;
}

/*
 * The bound is 10,000 acquisitions and two for each process, counted from when the waiter sleeps;
 * before that he may be made to wait by the scheduler, for which there is as much again.
 */
START_METHOD_TEST(of_eight_processes_nobody_starves)
{
        int fd = memfd_create("fairness", MFD_CLOEXEC);
        mproc_process *p[SHARERS];
        struct fairness *f;
        mproc_lock *lock;

        CHECK(ftruncate(fd, 4096) == 0);
        f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK_OK(mproc_lock_create(ctx, &lock));
        for (int i = 0; i < SHARERS; i++)
                p[i] = start(ctx, want_it_all, MPROC_ARGS(lock, mproc_fd(fd), i));
        for (int i = 0; i < SHARERS; i++)
                WAIT_UNTIL(f->count[i] >= 100, LONG_MS);
        f->stop = 1;
        for (int i = 0; i < SHARERS; i++) {
                finish(p[i], 0);
                CHECK_MSG(f->most[i] <= 2 * (10000 + 2 * SHARERS), "number %d was passed by %ld times", i,
                          (long)f->most[i]);
        }
        CHECK_INT(mproc_lock_locked(lock), 0);
        mproc_lock_free(lock);
        munmap(f, 4096);
        close(fd);
}
