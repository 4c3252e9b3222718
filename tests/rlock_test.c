/* SPDX-License-Identifier: MIT */
/*
 * rlock_test.c - recursive locks: one thread of one process at a time, as often as it likes.
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
#include <sys/syscall.h>
#include <unistd.h>

static mproc_rlock *
make_rlock(void)
{
        mproc_rlock *rlock;

        CHECK_OK(mproc_rlock_create(NULL, &rlock));
        return rlock;
}

static void *
shared_page(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK(page != MAP_FAILED);
        return page;
}

static pid_t
thread_id(void)
{
        return (pid_t)syscall(SYS_gettid);
}

/* In another thread; its result. */
struct call {
        mproc_rlock *rlock;
        int64_t timeout_ms;
        int result;
        char words[256];
};

static void *
acquire_there(void *arg)
{
        struct call *c = arg;

        c->result = mproc_rlock_acquire(c->rlock, c->timeout_ms);
        snprintf(c->words, sizeof c->words, "%s", c->result < 0 ? mproc_last_error() : "");
        return NULL;
}

static void *
release_there(void *arg)
{
        struct call *c = arg;

        c->result = mproc_rlock_release(c->rlock);
        snprintf(c->words, sizeof c->words, "%s", c->result < 0 ? mproc_last_error() : "");
        return NULL;
}

static struct call
in_a_thread(void *(*what)(void *), mproc_rlock *rlock, int64_t timeout_ms)
{
        struct call c = { .rlock = rlock, .timeout_ms = timeout_ms };
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, what, &c) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        return c;
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(it_is_acquired_again_and_released_as_often)
{
        mproc_rlock *rlock = make_rlock();
        mproc_holder holder;

        for (int round = 0; round < 3; round++) {
                CHECK_INT(mproc_rlock_locked(rlock), 0);
                CHECK_INT(mproc_rlock_owner(rlock), 0);
                CHECK_INT(mproc_rlock_look(rlock, &holder), 0);
                CHECK_INT(holder.pid, 0);
                for (unsigned depth = 1; depth <= 100; depth++) {
                        CHECK_OK(mproc_rlock_acquire(rlock, depth % 2 ? MPROC_FOREVER : MPROC_NOWAIT));
                        CHECK_INT(mproc_rlock_look(rlock, &holder), 1);
                        CHECK_INT(holder.depth, depth);
                        CHECK_INT(holder.pid, getpid());
                        if (!portable_build()) /* there, threads have numbers of their own */
                                CHECK_INT(holder.thread, thread_id());
                        CHECK_STR(holder.name, "MainProcess");
                }
                for (int depth = 100; depth > 0; depth--) {
                        CHECK_INT(mproc_rlock_locked(rlock), 1);
                        CHECK_OK(mproc_rlock_release(rlock));
                }
                CHECK_CODE(mproc_rlock_release(rlock), MPROC_ERELEASED);
                CHECK_CONTAINS(mproc_last_error(), "not held by anybody");
        }
        mproc_rlock_free(rlock);
}

TEST(another_thread_of_the_holder_is_another)
{
        mproc_rlock *rlock = make_rlock();
        struct call c;

        CHECK_OK(mproc_rlock_acquire(rlock, 0));
        CHECK_OK(mproc_rlock_acquire(rlock, 0));
        c = in_a_thread(acquire_there, rlock, 0);
        CHECK_INT(c.result, MPROC_ETIMEDOUT);
        CHECK_CONTAINS(c.words, "MainProcess");
        c = in_a_thread(release_there, rlock, 0);
        CHECK_INT(c.result, MPROC_ENOTOWNER);
        CHECK_CONTAINS(c.words, "that thread alone");
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_INT(in_a_thread(acquire_there, rlock, 0).result, MPROC_ETIMEDOUT);
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_CODE(mproc_rlock_release(rlock), MPROC_ERELEASED);
        mproc_rlock_free(rlock);
}

/* As in the original: the process lives, so nobody is told, and whoever looks sees which thread it was. */
TEST(a_thread_that_ended_still_holds_it)
{
        mproc_rlock *rlock = make_rlock();
        mproc_holder holder;

        CHECK_OK(in_a_thread(acquire_there, rlock, 0).result);
        CHECK_CODE(mproc_rlock_acquire(rlock, 150), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "thread");
        CHECK_CODE(mproc_rlock_release(rlock), MPROC_ENOTOWNER);
        CHECK_INT(mproc_rlock_look(rlock, &holder), 1);
        CHECK_INT(holder.pid, getpid());
        CHECK(holder.thread > 0 && holder.thread != thread_id());
        mproc_rlock_free(rlock);
}

TEST(wrong_use_of_a_recursive_lock_is_told)
{
        mproc_holder holder;

        CHECK_CODE(mproc_rlock_acquire(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_rlock_release(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_rlock_locked(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_rlock_look(NULL, &holder), MPROC_EHANDLE);
        CHECK_INT(mproc_rlock_owner(NULL), 0);
        mproc_rlock_free(NULL);
}

struct sharing {
        mproc_rlock *rlock;
        long count, *value;
};

static void *
add_under_lock(void *arg)
{
        struct sharing *s = arg;

        for (long i = 0; i < s->count; i++) {
                int depth = 1 + (int)(i % 3);

                for (int d = 0; d < depth; d++)
                        CHECK_OK(mproc_rlock_acquire(s->rlock, MPROC_FOREVER));
                ++*s->value;
                for (int d = 0; d < depth; d++)
                        CHECK_OK(mproc_rlock_release(s->rlock));
        }
        return NULL;
}

TEST(threads_exclude_each_other)
{
        long value = 0;
        struct sharing s = { make_rlock(), 10000, &value };
        pthread_t threads[4];

        for (int i = 0; i < 4; i++)
                CHECK(pthread_create(&threads[i], NULL, add_under_lock, &s) == 0);
        for (int i = 0; i < 4; i++)
                CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_INT(value, 4 * s.count);
        CHECK_INT(mproc_rlock_locked(s.rlock), 0);
        mproc_rlock_free(s.rlock);
}

/* --- processes ---------------------------------------------------------------------------------------- */

static int
add_in_child(mproc_args *args)
{
        long *value = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);
        struct sharing s = { mproc_args_rlock(args, 0), (long)mproc_args_int(args, 2), value };

        CHECK(value != MAP_FAILED);
        (void)add_under_lock(&s);
        return 0;
}

START_METHOD_TEST(processes_exclude_each_other)
{
        int fd = memfd_create("counter", MFD_CLOEXEC);
        mproc_process *p[3];
        mproc_rlock *rlock;
        long *value;

        CHECK(ftruncate(fd, 4096) == 0);
        value = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK_OK(mproc_rlock_create(ctx, &rlock));
        for (int i = 0; i < 3; i++)
                p[i] = start(ctx, add_in_child, MPROC_ARGS(rlock, mproc_fd(fd), 5000));
        for (int i = 0; i < 3; i++)
                finish(p[i], 0);
        CHECK_INT(*value, 15000);
        CHECK_INT(mproc_rlock_locked(rlock), 0);
        mproc_rlock_free(rlock);
        munmap(value, 4096);
        close(fd);
}

static int
is_a_stranger(mproc_args *args)
{
        mproc_rlock *rlock = mproc_args_rlock(args, 0);
        pid_t parent = mproc_process_pid(mproc_parent_process());
        char pid[32];
        mproc_holder holder;

        snprintf(pid, sizeof pid, "(pid %ld", (long)parent);
        CHECK_INT(mproc_args_type(args, 0), MPROC_ARG_RLOCK);
        CHECK_INT(mproc_rlock_look(rlock, &holder), 1);
        CHECK_INT(holder.pid, parent);
        CHECK_STR(holder.name, "MainProcess");
        CHECK_INT(holder.depth, 2);
        CHECK_CODE(mproc_rlock_release(rlock), MPROC_ENOTOWNER);
        CHECK_CONTAINS(mproc_last_error(), "MainProcess");
        CHECK_CONTAINS(mproc_last_error(), pid);
        CHECK_CODE(mproc_rlock_acquire(rlock, 20), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), pid);
        return 0;
}

START_METHOD_TEST(a_stranger_is_told_who_holds_it)
{
        mproc_rlock *rlock;

        CHECK_OK(mproc_rlock_create(ctx, &rlock));
        CHECK_OK(mproc_rlock_acquire(rlock, 0));
        CHECK_OK(mproc_rlock_acquire(rlock, 0));
        finish(start(ctx, is_a_stranger, MPROC_ARGS(rlock)), 0);
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_OK(mproc_rlock_release(rlock));
        mproc_rlock_free(rlock);
}

static int
hold_deeply(mproc_args *args)
{
        for (int i = 0; i < 5; i++)
                CHECK_OK(mproc_rlock_acquire(mproc_args_rlock(args, 0), MPROC_FOREVER));
        CHECK_OK(mproc_queue_put(mproc_args_queue(args, 1), NULL, 0, MPROC_FOREVER));
        for (;;)
                pause();
}

START_METHOD_TEST(who_takes_over_begins_with_one)
{
        mproc_process_opts opts = MPROC_PROCESS_OPTS_INIT;
        mproc_rlock *rlock;
        mproc_process *p;
        mproc_holder holder;
        mproc_queue *q;

        opts.name = "deep holder";
        CHECK_OK(mproc_rlock_create(ctx, &rlock));
        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        CHECK_OK(mproc_process_create_opts(ctx, hold_deeply, MPROC_ARGS(rlock, q), &opts, &p));
        CHECK_OK(mproc_process_start(p));
        CHECK_OK(mproc_queue_get(q, NULL, 0, NULL, scaled_ms(LONG_MS)));
        CHECK_INT(mproc_rlock_look(rlock, &holder), 1);
        CHECK_INT(holder.pid, mproc_process_pid(p));
        CHECK_INT(holder.depth, 5);
        CHECK_STR(holder.name, "deep holder");
        CHECK_CODE(mproc_rlock_release(rlock), MPROC_ENOTOWNER);
        CHECK_CONTAINS(mproc_last_error(), "deep holder");
        CHECK_OK(mproc_process_kill(p));
        CHECK_INT(mproc_rlock_acquire(rlock, scaled_ms(LONG_MS)), MPROC_OWNER_DIED);
        CHECK_INT(mproc_rlock_look(rlock, &holder), 1);
        CHECK_INT(holder.depth, 1);
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_INT(mproc_rlock_locked(rlock), 0);
        CHECK_OK(mproc_rlock_acquire(rlock, 0)); /* told once */
        CHECK_OK(mproc_rlock_release(rlock));
        finish(p, -SIGKILL);
        mproc_rlock_free(rlock);
        mproc_queue_free(q);
}

/* What its parent holds a forked child does not. */
TEST(a_forked_child_does_not_hold_it)
{
        mproc_rlock *rlock = make_rlock();
        atomic_int *step = shared_page();
        pid_t pid;

        CHECK_OK(mproc_rlock_acquire(rlock, 0));
        if ((pid = fork()) == 0) {
                CHECK_CODE(mproc_rlock_acquire(rlock, 0), MPROC_ETIMEDOUT);
                CHECK_CODE(mproc_rlock_release(rlock), MPROC_ENOTOWNER);
                *step = 1;
                CHECK_OK(mproc_rlock_acquire(rlock, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_rlock_acquire(rlock, 0));
                CHECK_OK(mproc_rlock_release(rlock));
                CHECK_OK(mproc_rlock_release(rlock));
                _exit(0);
        }
        WAIT_UNTIL(*step == 1, LONG_MS);
        CHECK_OK(mproc_rlock_release(rlock));
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        mproc_rlock_free(rlock);
        munmap(step, 4096);
}
