/* SPDX-License-Identifier: MIT */
/*
 * syscalls_test.c - who finds nobody asleep asks nothing of the system: acquire, release, put and get without
 * one system call.
 *
 * Runs in: test processes; children that the system kills at the first call beside exit.
 */
#include "queue_help.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static bool
watched_otherwise(void)
{
#ifdef SANITIZED
        return true;
#else
        return getenv("LD_PRELOAD") != NULL; /* valgrind, for one, makes calls of its own */
#endif
}

/* Runs op often, the last times where read, write and exit are the only calls that do not kill. */
static void
expect_silence(const char *what, int (*op)(void *object), void *object)
{
        int status;
        pid_t pid;

        if (watched_otherwise())
                SKIP("what watches this process makes system calls");
        if ((pid = fork()) == 0) {
                int r = 0;

                for (int i = 0; i < 100; i++) /* what is done once is done */
                        CHECK_OK(op(object));
                if (prctl(PR_SET_SECCOMP, 1 /* strict */) != 0)
                        (void)syscall(SYS_exit, 77);
                for (int i = 0; i < 1000; i++)
                        r |= op(object);
                (void)syscall(SYS_exit, r != 0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                SKIP("the system has no seccomp");
        CHECK_MSG(!WIFSIGNALED(status), "%s made a system call", what);
        CHECK_INT(WEXITSTATUS(status), 0);
}

static int
use_lock(void *object)
{
        int r = mproc_lock_acquire(object, MPROC_NOWAIT);

        return r ? r : mproc_lock_release(object);
}

TEST(a_lock_is_silent)
{
        mproc_lock *lock;

        CHECK_OK(mproc_lock_create(NULL, &lock));
        expect_silence("acquire and release of a lock", use_lock, lock);
        mproc_lock_free(lock);
}

static int
use_rlock(void *object)
{
        int r = mproc_rlock_acquire(object, MPROC_FOREVER);

        if (r || (r = mproc_rlock_acquire(object, MPROC_NOWAIT)) || (r = mproc_rlock_release(object)))
                return r;
        return mproc_rlock_release(object);
}

TEST(a_recursive_lock_is_silent)
{
        mproc_rlock *rlock;

        CHECK_OK(mproc_rlock_create(NULL, &rlock));
        expect_silence("acquire and release of a recursive lock", use_rlock, rlock);
        mproc_rlock_free(rlock);
}

static int
use_semaphore(void *object)
{
        unsigned value;
        int r;

        if ((r = mproc_semaphore_acquire(object, MPROC_NOWAIT)) || (r = mproc_semaphore_release(object)))
                return r;
        return mproc_semaphore_value(object, &value);
}

TEST(a_semaphore_is_silent)
{
        mproc_semaphore *semaphore;

        CHECK_OK(mproc_semaphore_create(NULL, NULL, 1, &semaphore));
        expect_silence("acquire and release of a semaphore", use_semaphore, semaphore);
        mproc_semaphore_free(semaphore);
        CHECK_OK(mproc_bounded_semaphore_create(NULL, 1, &semaphore));
        expect_silence("acquire and release of a bounded semaphore", use_semaphore, semaphore);
        mproc_semaphore_free(semaphore);
}

static int
use_queue(void *object)
{
        char text[64] = "text";
        size_t len;
        int r = mproc_queue_put(object, text, sizeof text, MPROC_NOWAIT);

        return r ? r : mproc_queue_get(object, text, sizeof text, &len, MPROC_NOWAIT);
}

TEST(a_queue_is_silent)
{
        mproc_queue *queue;

        CHECK_OK(mproc_queue_create(NULL, 0, &queue));
        expect_silence("put and get of a queue", use_queue, queue);
        mproc_queue_free(queue);
        CHECK_OK(mproc_queue_create(NULL, 4, &queue));
        expect_silence("put and get of a bounded queue", use_queue, queue);
        mproc_queue_free(queue);
}
