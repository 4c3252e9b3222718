/* SPDX-License-Identifier: MIT */
/*
 * semaphore_test.c - semaphores: permits are counted exactly, with and without a name.
 * That names are removed when their program is gone is in tracker_test.c.
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

static mproc_semaphore *
make_semaphore(unsigned value)
{
        mproc_semaphore *semaphore;

        CHECK_OK(mproc_semaphore_create(NULL, NULL, value, &semaphore));
        return semaphore;
}

static unsigned
value_of(mproc_semaphore *semaphore)
{
        unsigned value = 12345;

        CHECK_OK(mproc_semaphore_value(semaphore, &value));
        return value;
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(permits_are_counted)
{
        mproc_semaphore *s = make_semaphore(2);

        for (int i = 0; i < 100; i++) { /* counters wrap around on the way */
                CHECK_INT(value_of(s), 2);
                CHECK_OK(mproc_semaphore_acquire(s, MPROC_NOWAIT));
                CHECK_OK(mproc_semaphore_acquire(s, MPROC_FOREVER));
                CHECK_INT(value_of(s), 0);
                CHECK_CODE(mproc_semaphore_acquire(s, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                CHECK_OK(mproc_semaphore_release(s));
                CHECK_OK(mproc_semaphore_release(s));
        }
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_INT(value_of(s), 3); /* it is not bounded by its first value */
        mproc_semaphore_free(s);
}

TEST(the_greatest_value_is_kept)
{
        mproc_semaphore *s = NULL;

        CHECK_CODE(mproc_semaphore_create(NULL, NULL, MPROC_SEMAPHORE_MAX + 1, &s), -EINVAL);
        CHECK(!s);
        s = make_semaphore(MPROC_SEMAPHORE_MAX);
        CHECK_INT(value_of(s), MPROC_SEMAPHORE_MAX);
        CHECK_CODE(mproc_semaphore_release(s), -EOVERFLOW);
        CHECK_OK(mproc_semaphore_acquire(s, 0));
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_CODE(mproc_semaphore_release(s), -EOVERFLOW);
        CHECK_INT(value_of(s), MPROC_SEMAPHORE_MAX);
        mproc_semaphore_free(s);
}

TEST(timeouts_of_a_semaphore_are_kept)
{
        mproc_semaphore *s = make_semaphore(0);
        int64_t t = monotonic_ms();

        CHECK_CODE(mproc_semaphore_acquire(s, 150), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - t >= 149);
        CHECK(monotonic_ms() - t < scaled_ms(5000));
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_OK(mproc_semaphore_acquire(s, 0));
        mproc_semaphore_free(s);
}

TEST(wrong_use_of_a_semaphore_is_told)
{
        mproc_semaphore *s;
        unsigned value;

        CHECK_CODE(mproc_semaphore_acquire(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_semaphore_release(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_semaphore_value(NULL, &value), MPROC_EHANDLE);
        mproc_semaphore_free(NULL);
        CHECK_CODE(mproc_semaphore_create(NULL, "no-slash", 0, &s), -EINVAL);
        CHECK_CODE(mproc_semaphore_create(NULL, "/a/b", 0, &s), -EINVAL);
        CHECK_CODE(mproc_semaphore_create(NULL, "/", 0, &s), -EINVAL);
        CHECK_CODE(mproc_semaphore_attach(NULL, "", &s), -EINVAL);
        CHECK_CODE(mproc_semaphore_attach(NULL, "/mproc-test-there-is-none", &s), -ENOENT);
        CHECK_CODE(mproc_semaphore_unlink("/mproc-test-there-is-none"), -ENOENT);
}

static void *
acquire_one(void *arg)
{
        CHECK_OK(mproc_semaphore_acquire(arg, MPROC_FOREVER));
        return NULL;
}

TEST(each_release_lets_one_go)
{
        mproc_semaphore *s = make_semaphore(0);
        pthread_t threads[8];

        for (int i = 0; i < 8; i++)
                pthread_create(&threads[i], NULL, acquire_one, s);
        for (int i = 0; i < 8; i++)
                CHECK_OK(mproc_semaphore_release(s));
        for (int i = 0; i < 8; i++)
                pthread_join(threads[i], NULL);
        CHECK_INT(value_of(s), 0);
        mproc_semaphore_free(s);
}

/* --- processes ---------------------------------------------------------------------------------------- */

/* At most three inside at a time; [0] who are inside, [1] the most that were, [2] how often it was entered. */
static int
go_in_and_out(mproc_args *args)
{
        mproc_semaphore *s = mproc_args_semaphore(args, 0);
        atomic_int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);

        CHECK(count != MAP_FAILED);
        for (int64_t i = mproc_args_int(args, 2); i > 0; i--) {
                int inside, most;

                CHECK_OK(mproc_semaphore_acquire(s, MPROC_FOREVER));
                inside = atomic_fetch_add(&count[0], 1) + 1;
                most = count[1];
                while (inside > most && !atomic_compare_exchange_weak(&count[1], &most, inside))
                        ;
                atomic_fetch_add(&count[2], 1);
                atomic_fetch_sub(&count[0], 1);
                CHECK_OK(mproc_semaphore_release(s));
        }
        return 0;
}

static void
three_of_six(mproc_context *ctx, mproc_semaphore *s)
{
        int fd = memfd_create("counters", MFD_CLOEXEC);
        mproc_process *p[6];
        atomic_int *count;

        CHECK(ftruncate(fd, 4096) == 0);
        count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        for (int i = 0; i < 6; i++)
                p[i] = start(ctx, go_in_and_out, MPROC_ARGS(s, mproc_fd(fd), 5000));
        for (int i = 0; i < 6; i++)
                finish(p[i], 0);
        CHECK_INT(count[0], 0);
        CHECK(count[1] >= 1 && count[1] <= 3);
        CHECK_INT(count[2], 6 * 5000);
        CHECK_INT(value_of(s), 3);
        munmap(count, 4096);
        close(fd);
}

START_METHOD_TEST(processes_share_permits)
{
        mproc_semaphore *s;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 3, &s));
        three_of_six(ctx, s);
        mproc_semaphore_free(s);
}

static char *
fresh_name(void)
{
        return text_format("/mproc-test-%d-%lld", (int)getpid(), (long long)monotonic_ms());
}

START_METHOD_TEST(a_named_one_can_be_passed, .leaves_processes = true)
{
        char *name = fresh_name();
        mproc_semaphore *s;

        CHECK_OK(mproc_semaphore_create(ctx, name, 3, &s));
        three_of_six(ctx, s);
        CHECK_OK(mproc_semaphore_unlink(name));
        mproc_semaphore_free(s);
        free(name);
}

/* --- by name ------------------------------------------------------------------------------------------- */

HELPER(answer_by_semaphore)
{
        mproc_semaphore *ask, *answer;

        CHECK(argc == 3);
        CHECK_OK(mproc_semaphore_attach(NULL, argv[1], &ask));
        CHECK_OK(mproc_semaphore_attach(NULL, argv[2], &answer));
        for (int i = 0; i < 100; i++) {
                CHECK_OK(mproc_semaphore_acquire(ask, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_semaphore_release(answer));
        }
        mproc_semaphore_free(ask);
        mproc_semaphore_free(answer);
        return 0;
}

TEST(unrelated_programs_meet_by_name, .leaves_processes = true)
{
        char *name = fresh_name(), *other = text_format("%s-answer", name);
        mproc_semaphore *ask, *answer;
        pid_t pid;

        CHECK_OK(mproc_semaphore_create(NULL, name, 0, &ask));
        CHECK_OK(mproc_semaphore_create(NULL, other, 0, &answer));
        pid = run_helper("answer_by_semaphore", (char *[]){ name, other, NULL }, NULL, NULL);
        for (int i = 0; i < 100; i++) {
                CHECK_OK(mproc_semaphore_release(ask));
                CHECK_OK(mproc_semaphore_acquire(answer, scaled_ms(LONG_MS)));
        }
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK_OK(mproc_semaphore_unlink(name));
        CHECK_OK(mproc_semaphore_unlink(other));
        mproc_semaphore_free(ask);
        mproc_semaphore_free(answer);
        free(name);
        free(other);
}

TEST(a_name_is_taken_until_it_is_unlinked, .leaves_processes = true)
{
        char *name = fresh_name();
        mproc_semaphore *s, *again = NULL, *second;

        CHECK_OK(mproc_semaphore_create(NULL, name, 1, &s));
        CHECK_CODE(mproc_semaphore_create(NULL, name, 1, &again), -EEXIST);
        CHECK(!again);
        CHECK_OK(mproc_semaphore_attach(NULL, name, &again));
        CHECK_OK(mproc_semaphore_acquire(again, 0));
        CHECK_INT(value_of(s), 0);
        CHECK_OK(mproc_semaphore_unlink(name));
        CHECK_CODE(mproc_semaphore_unlink(name), -ENOENT);
        CHECK_OK(mproc_semaphore_create(NULL, name, 7, &second));
        CHECK_INT(value_of(second), 7);
        CHECK_OK(mproc_semaphore_release(s)); /* handles go on working */
        CHECK_INT(value_of(again), 1);
        CHECK_INT(value_of(second), 7);
        CHECK_OK(mproc_semaphore_unlink(name));
        mproc_semaphore_free(s);
        mproc_semaphore_free(again);
        mproc_semaphore_free(second);
        free(name);
}

TEST(descriptors_of_named_ones_are_closed, .leaves_processes = true)
{
        char *name = fresh_name();
        mproc_semaphore *s, *more;
        int before;

        CHECK_OK(mproc_semaphore_create(NULL, name, 1, &s));
        before = count_fds();
        for (int i = 0; i < 100; i++) {
                CHECK_OK(mproc_semaphore_attach(NULL, name, &more));
                CHECK_INT(count_fds(), before + 1);
                mproc_semaphore_free(more);
        }
        CHECK_INT(count_fds(), before);
        CHECK_OK(mproc_semaphore_unlink(name));
        mproc_semaphore_free(s);
        free(name);
}

/* --- death ----------------------------------------------------------------------------------------------- */

/*
 * Waiters are killed, asleep and just woken; the others must be served for each release.  Those who
 * died may have taken their permit with them, but not more than that.
 */
TEST(killed_waiters_take_at_most_their_permit, .limit_s = 120)
{
        atomic_int *got = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        for (int round = 0; round < 60; round++) {
                mproc_semaphore *s = make_semaphore(0);
                pid_t pids[4];
                int status;

                *got = 0;
                for (int i = 0; i < 4; i++)
                        if ((pids[i] = fork()) == 0) {
                                CHECK_OK(mproc_semaphore_acquire(s, MPROC_FOREVER));
                                ++*got;
                                _exit(0);
                        }
                if (round % 3 == 0)
                        sleep_ms(2); /* most sleep by then */
                CHECK_OK(mproc_semaphore_release(s));
                if (round % 2)
                        kill(pids[round % 4], SIGSTOP);
                kill(pids[round % 4], SIGKILL);
                CHECK(waitpid(pids[round % 4], &status, 0) == pids[round % 4]);
                /* Enough for the three that live, whether or not the first permit died. */
                for (int i = 0; i < 3; i++)
                        CHECK_OK(mproc_semaphore_release(s));
                for (int i = 0; i < 4; i++)
                        if (i != round % 4)
                                CHECK_INT(wait_program(pids[i], LONG_MS), 0);
                CHECK(*got >= 3 && value_of(s) <= 1);
                mproc_semaphore_free(s);
        }
        munmap(got, 4096);
}

/* --- bounded ---------------------------------------------------------------------------------------------- */

TEST(a_bounded_one_tells_of_one_release_too_many)
{
        mproc_semaphore *s;

        CHECK_OK(mproc_bounded_semaphore_create(NULL, 2, &s));
        CHECK_CODE(mproc_semaphore_release(s), MPROC_ERELEASED);
        CHECK_CONTAINS(mproc_last_error(), "all its 2 permits");
        CHECK_INT(value_of(s), 2);
        for (int round = 0; round < 20; round++) { /* beyond the wrap-around of its counters */
                CHECK_OK(mproc_semaphore_acquire(s, 0));
                CHECK_OK(mproc_semaphore_acquire(s, MPROC_FOREVER));
                CHECK_CODE(mproc_semaphore_acquire(s, round % 2 ? 0 : 1), MPROC_ETIMEDOUT);
                CHECK_OK(mproc_semaphore_release(s));
                CHECK_OK(mproc_semaphore_release(s));
                CHECK_CODE(mproc_semaphore_release(s), MPROC_ERELEASED);
        }
        CHECK_INT(value_of(s), 2);
        mproc_semaphore_free(s);
}

TEST(wrong_options_of_a_semaphore_are_told)
{
        mproc_semaphore_opts opts = MPROC_SEMAPHORE_OPTS_INIT;
        mproc_semaphore *s = NULL;
        unsigned n;

        CHECK_CODE(mproc_bounded_semaphore_create(NULL, 0, &s), -EINVAL);
        opts.bound = 3;
        CHECK_CODE(mproc_semaphore_create_opts(NULL, NULL, 4, &opts, &s), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "bounded by 3");
        opts.bound = MPROC_SEMAPHORE_MAX + 1;
        CHECK_CODE(mproc_semaphore_create_opts(NULL, NULL, 0, &opts, &s), -EINVAL);
        opts.bound = 0;
        opts.restore = 2;
        CHECK_CODE(mproc_semaphore_create_opts(NULL, NULL, 0, &opts, &s), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "restore");
        CHECK_CODE(mproc_semaphore_restored(NULL, &n), MPROC_EHANDLE);
        CHECK(!s);
}

/* Six processes release what was acquired once: one of them succeeds, and no value beyond the bound is ever seen. */
TEST(the_bound_holds_against_many_at_once)
{
        atomic_int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        mproc_semaphore *s;
        pid_t pids[6];

        CHECK_OK(mproc_bounded_semaphore_create(NULL, 1, &s));
        for (int round = 0; round < 10; round++) {
                *count = 0;
                CHECK_OK(mproc_semaphore_acquire(s, MPROC_FOREVER));
                for (int i = 0; i < 6; i++)
                        if ((pids[i] = fork()) == 0) {
                                int r = mproc_semaphore_release(s);

                                CHECK(r == 0 || r == MPROC_ERELEASED);
                                CHECK(value_of(s) <= 1);
                                *count += r == 0;
                                _exit(0);
                        }
                for (int i = 0; i < 6; i++)
                        CHECK_INT(wait_program(pids[i], LONG_MS), 0);
                CHECK_INT(*count, 1);
                CHECK_INT(value_of(s), 1);
        }
        mproc_semaphore_free(s);
        munmap(count, 4096);
}

HELPER(release_too_often)
{
        mproc_semaphore *s;

        CHECK(argc == 2);
        CHECK_OK(mproc_semaphore_attach(NULL, argv[1], &s));
        CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_CODE(mproc_semaphore_release(s), MPROC_ERELEASED);
        CHECK_OK(mproc_semaphore_acquire(s, 0)); /* and ends holding one */
        mproc_semaphore_free(s);
        return 0;
}

TEST(a_bound_holds_between_programs, .leaves_processes = true)
{
        mproc_semaphore_opts opts = MPROC_SEMAPHORE_OPTS_INIT;
        char *name = fresh_name();
        mproc_semaphore *s;
        unsigned restored;
        pid_t pid;

        opts.bound = 2;
        CHECK_OK(mproc_semaphore_create_opts(NULL, name, 2, &opts, &s));
        pid = run_helper("release_too_often", (char *[]){ name, NULL }, NULL, NULL);
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK_INT(value_of(s), 1);
        CHECK_OK(mproc_semaphore_acquire(s, 0));
        CHECK_OK(mproc_semaphore_acquire(s, 0)); /* that of the other program */
        CHECK_OK(mproc_semaphore_restored(s, &restored));
        CHECK_INT(restored, 1);
        CHECK_CODE(mproc_semaphore_acquire(s, 0), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_semaphore_unlink(name));
        mproc_semaphore_free(s);
        free(name);
}

/* --- the permits of the dead ------------------------------------------------------------------------------- */

static unsigned
restored_of(mproc_semaphore *s)
{
        unsigned n;

        CHECK_OK(mproc_semaphore_restored(s, &n));
        return n;
}

static int
hold_permits(mproc_args *args)
{
        for (int64_t i = mproc_args_int(args, 2); i > 0; i--)
                CHECK_OK(mproc_semaphore_acquire(mproc_args_semaphore(args, 0), MPROC_FOREVER));
        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 1)));
        for (;;)
                pause();
}

START_METHOD_TEST(permits_of_the_killed_come_back)
{
        mproc_semaphore *s, *ready;
        mproc_process *p;

        CHECK_OK(mproc_bounded_semaphore_create(ctx, 3, &s));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int round = 1; round <= 3; round++) {
                p = start(ctx, hold_permits, MPROC_ARGS(s, ready, 2));
                CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_semaphore_acquire(s, 0));
                CHECK_CODE(mproc_semaphore_acquire(s, 30), MPROC_ETIMEDOUT); /* he lives */
                CHECK_OK(mproc_process_kill(p));
                CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_semaphore_acquire(s, 0));
                CHECK_CODE(mproc_semaphore_acquire(s, 0), MPROC_ETIMEDOUT);
                CHECK_INT(restored_of(s), 2 * round);
                finish(p, -SIGKILL);
                for (int i = 0; i < 3; i++)
                        CHECK_OK(mproc_semaphore_release(s));
                CHECK_CODE(mproc_semaphore_release(s), MPROC_ERELEASED);
        }
        mproc_semaphore_free(s);
        mproc_semaphore_free(ready);
}

/* An option both ways: on where nothing bounds, off where something does. */
TEST(restoring_can_be_chosen)
{
        mproc_semaphore_opts opts = MPROC_SEMAPHORE_OPTS_INIT;
        mproc_semaphore *on, *off;
        pid_t pid;

        opts.restore = 1;
        CHECK_OK(mproc_semaphore_create_opts(NULL, NULL, 1, &opts, &on));
        opts.restore = -1;
        opts.bound = 1;
        CHECK_OK(mproc_semaphore_create_opts(NULL, NULL, 1, &opts, &off));
        if ((pid = fork()) == 0) {
                CHECK_OK(mproc_semaphore_acquire(on, 0));
                CHECK_OK(mproc_semaphore_acquire(off, 0));
                _exit(0);
        }
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK_OK(mproc_semaphore_acquire(on, 0));
        CHECK_CODE(mproc_semaphore_acquire(off, 30), MPROC_ETIMEDOUT);
        CHECK_INT(restored_of(on), 1);
        CHECK_INT(restored_of(off), 0);
        CHECK_OK(mproc_semaphore_release(on));
        CHECK_OK(mproc_semaphore_release(off));
        mproc_semaphore_free(on);
        mproc_semaphore_free(off);
}

/* The sum is right whoever releases: what one acquired another may release, and then nothing is owed. */
TEST(a_permit_released_by_another_does_not_come_back_twice)
{
        mproc_semaphore *s;
        atomic_int *step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t pid;

        CHECK_OK(mproc_bounded_semaphore_create(NULL, 2, &s));
        if ((pid = fork()) == 0) {
                CHECK_OK(mproc_semaphore_acquire(s, 0));
                *step = 1;
                for (;;)
                        pause();
        }
        WAIT_UNTIL(*step == 1, LONG_MS);
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_INT(value_of(s), 2);
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK_INT(wait_program(pid, LONG_MS), -SIGKILL);
        CHECK_OK(mproc_semaphore_acquire(s, 0));
        CHECK_OK(mproc_semaphore_acquire(s, 0));
        CHECK_CODE(mproc_semaphore_acquire(s, 20), MPROC_ETIMEDOUT);
        CHECK_INT(restored_of(s), 0);
        mproc_semaphore_free(s);
        munmap(step, 4096);
}

/* More processes than the table has entries, one after the other and some at once: an entry is used again. */
TEST(entries_are_used_again)
{
        mproc_semaphore *s;
        pid_t pid;

        CHECK_OK(mproc_bounded_semaphore_create(NULL, 1, &s));
        for (int i = 0; i < 40; i++) {
                if ((pid = fork()) == 0) {
                        CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));
                        if (i % 2)
                                CHECK_OK(mproc_semaphore_release(s));
                        _exit(0);
                }
                CHECK_INT(wait_program(pid, LONG_MS), 0);
        }
        CHECK_OK(mproc_semaphore_acquire(s, 0));
        CHECK_INT(restored_of(s), 20);
        CHECK_CODE(mproc_semaphore_acquire(s, 0), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_semaphore_release(s));
        mproc_semaphore_free(s);
}

/*
 * Processes acquire and release as fast as they can and are killed at random; the living always get
 * on, and in the end all permits are there, and not one more.
 */
TEST(all_permits_survive_a_storm, .limit_s = 120)
{
        enum { PERMITS = 3, PROCESSES = 5, KILLS = 30 };
        atomic_int *inside = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        mproc_semaphore *s;
        pid_t pids[PROCESSES] = { 0 };
        atomic_long *rounds = (atomic_long *)(inside + 16);
        long seen;
        int status;

        CHECK_OK(mproc_bounded_semaphore_create(NULL, PERMITS, &s));
        for (int i = 0; i < KILLS + PROCESSES; i++) {
                pid_t *pid = &pids[i % PROCESSES];

                if (*pid) {
                        seen = *rounds;
                        WAIT_UNTIL(*rounds >= seen + 20, LONG_MS); /* the others get on */
                        CHECK(kill(*pid, SIGKILL) == 0);
                        CHECK(waitpid(*pid, &status, 0) == *pid);
                }
                if ((*pid = fork()) == 0)
                        for (;;) {
                                CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));
                                atomic_fetch_add(rounds, 1);
                                CHECK_OK(mproc_semaphore_release(s));
                        }
        }
        for (int i = 0; i < PROCESSES; i++) {
                CHECK(kill(pids[i], SIGKILL) == 0);
                CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        }
        for (int i = 0; i < PERMITS; i++)
                CHECK_OK(mproc_semaphore_acquire(s, 0));
        CHECK_CODE(mproc_semaphore_acquire(s, 0), MPROC_ETIMEDOUT);
        for (int i = 0; i < PERMITS; i++)
                CHECK_OK(mproc_semaphore_release(s));
        CHECK_CODE(mproc_semaphore_release(s), MPROC_ERELEASED);
        mproc_semaphore_free(s);
        munmap(inside, 4096);
}
