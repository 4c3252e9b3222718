/* SPDX-License-Identifier: MIT */
/*
 * portable_test.c - what docs/portability.md promises of the portable build alone.
 *
 * Runs in: test processes.
 */
#include "support/runner.h"

#include <dirent.h>
#include <fcntl.h>
#include <mproc/mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void
need_portable_build(void)
{
        if (!portable_build())
                SKIP("this is not the portable build");
}

/* --- files in /dev/shm ----------------------------------------------------------------------------- */

/* Of the files that a descriptor of this process is open on, the one that has a name in /dev/shm: the beacon's. */
static char *
own_beacon(void)
{
        DIR *dir = opendir("/dev/shm");
        struct dirent *entry;
        char *found = NULL;

        CHECK(dir != NULL);
        while (!found && (entry = readdir(dir))) {
                struct stat st;

                for (int fd = 3; !found && fd < 64 && strncmp(entry->d_name, "pmproc-", 7) == 0; fd++)
                        if (fstat(fd, &st) == 0 && st.st_ino == entry->d_ino && st.st_nlink > 0)
                                found = text_format("/dev/shm/%s", entry->d_name);
        }
        closedir(dir);
        return found;
}

/* Joins a program, tells the name of its file, and ends when it is told. */
HELPER(has_a_lock)
{
        mproc_lock *lock;
        char *path;

        (void)argc;
        (void)argv;
        CHECK_OK(mproc_lock_create(NULL, &lock));
        CHECK((path = own_beacon()) != NULL);
        write_all(1, path, strlen(path));
        write_all(1, "\n", 1);
        free(path);
        free(read_line(0));
        mproc_lock_free(lock);
        return 0;
}

TEST(a_program_that_ends_in_order_leaves_no_file)
{
        int in, out;
        char *path;
        pid_t pid;

        need_portable_build();
        pid = run_helper("has_a_lock", NULL, &in, &out);
        CHECK((path = read_line(out)) != NULL);
        CHECK(access(path, F_OK) == 0);
        close(in);
        CHECK_INT(wait_program(pid, 10000), 0);
        CHECK(access(path, F_OK) != 0);
        close(out);
        free(path);
}

TEST(the_file_of_a_killed_program_goes_with_the_next_start)
{
        mproc_lock *lock;
        int in, out;
        char *path;
        pid_t pid;

        need_portable_build();
        pid = run_helper("has_a_lock", NULL, &in, &out);
        CHECK((path = read_line(out)) != NULL);
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK_INT(wait_program(pid, 10000), -SIGKILL);
        CHECK_OK(mproc_lock_create(NULL, &lock)); /* this process is the next program, or somebody else's test was */
        WAIT_UNTIL(access(path, F_OK) != 0, 10000);
        mproc_lock_free(lock);
        close(in);
        close(out);
        free(path);
}

static char *
make_left_behind(const char *part, time_t age_s)
{
        char *path = text_format("/dev/shm/pmproc-%lu.t.%s%d", (unsigned long)geteuid(), part, (int)getpid());
        struct timespec times[2] = { { .tv_sec = time(NULL) - age_s }, { .tv_sec = time(NULL) - age_s } };
        int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

        CHECK(fd >= 0 && futimens(fd, times) == 0);
        close(fd);
        return path;
}

TEST(makeshift_names_are_removed_when_they_are_old)
{
        mproc_lock *lock;
        char *old, *young;

        need_portable_build();
        old = make_left_behind("old", 3600);
        young = make_left_behind("young", 0);
        CHECK_OK(mproc_lock_create(NULL, &lock));
        WAIT_UNTIL(access(old, F_OK) != 0, 10000);
        CHECK(unlink(young) == 0);
        mproc_lock_free(lock);
        free(old);
        free(young);
}

/* --- more threads than there are numbers in a word ---------------------------------------------------- */

#define THREADS 150

static struct {
        pthread_barrier_t barrier;
        mproc_rlock *lock;
        mproc_queue *queue;
        _Atomic int refused;
} crowd;

static void *
tries_what_another_holds(void *arg)
{
        char byte;

        (void)arg;
        CHECK_OK(mproc_queue_put(crowd.queue, "x", 1, MPROC_FOREVER));
        (void)pthread_barrier_wait(&crowd.barrier); /* now all of them have a number */
        CHECK_CODE(mproc_rlock_acquire(crowd.lock, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        crowd.refused++;
        CHECK_OK(mproc_queue_get(crowd.queue, &byte, 1, NULL, MPROC_FOREVER));
        return NULL;
}

/* In every build. */
TEST(a_crowd_of_threads_is_told_apart)
{
        pthread_t threads[THREADS];
        mproc_context *ctx;

        if (under_tsan() || under_valgrind())
                SKIP("too many threads");
        CHECK_OK(mproc_get_context("spawn", &ctx));
        CHECK_OK(mproc_rlock_create(ctx, &crowd.lock));
        CHECK_OK(mproc_queue_create(ctx, 0, &crowd.queue));
        CHECK_INT(pthread_barrier_init(&crowd.barrier, NULL, THREADS), 0);
        CHECK_OK(mproc_rlock_acquire(crowd.lock, MPROC_FOREVER));
        for (int round = 0; round < 2; round++) { /* the second time, with the numbers that the first gave back */
                for (int i = 0; i < THREADS; i++)
                        CHECK_INT(pthread_create(&threads[i], NULL, tries_what_another_holds, NULL), 0);
                for (int i = 0; i < THREADS; i++)
                        CHECK_INT(pthread_join(threads[i], NULL), 0);
                CHECK_INT(crowd.refused, (round + 1) * THREADS);
        }
        CHECK_OK(mproc_rlock_release(crowd.lock));
        CHECK_INT(pthread_barrier_destroy(&crowd.barrier), 0);
        mproc_rlock_free(crowd.lock);
        mproc_queue_free(crowd.queue);
}
