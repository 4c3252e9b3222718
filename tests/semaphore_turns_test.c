/* SPDX-License-Identifier: MIT */
/*
 * semaphore_turns_test.c - nobody starves for a permit.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#define SHARERS 8
#define PASSES  10000 /* acquisitions that pass one who waits, before he and those who wait with him have their turn \
                       */

struct fairness {
        atomic_long turns; /* acquisitions by all */
        atomic_int ready, stop;
        atomic_long count[SHARERS]; /* acquisitions by each */
        atomic_long most[SHARERS];  /* by others, in one wait */
};

/* Holds a permit for some microseconds and wants another one at once. */
static int
want_them_all(mproc_args *args)
{
        mproc_semaphore *s = mproc_args_semaphore(args, 0);
        int64_t i = mproc_args_int(args, 2);
        struct fairness *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);

        CHECK(f != MAP_FAILED);
        atomic_fetch_add(&f->ready, 1);
        while (f->ready < SHARERS)
                sleep_ms(1);
        while (!f->stop) {
                long before = f->turns, others;

                CHECK_OK(mproc_semaphore_acquire(s, MPROC_FOREVER));
                others = atomic_fetch_add(&f->turns, 1) - before;
                if (others > f->most[i])
                        f->most[i] = others;
                for (volatile int k = 0; k < 1000; k++)
                        ;
                CHECK_OK(mproc_semaphore_release(s));
                f->count[i]++;
        }
        return 0;
}

/*
 * The bound is 10,000 acquisitions and two for each process, counted from when the waiter sleeps;
 * before that he may be made to wait by the scheduler, for which there is as much again.
 */
START_METHOD_TEST(of_eight_processes_nobody_starves_for_a_permit)
{
        for (unsigned permits = 1; permits <= 3; permits += 2) {
                int fd = memfd_create("fairness", MFD_CLOEXEC);
                mproc_process *p[SHARERS];
                struct fairness *f;
                mproc_semaphore *s;

                CHECK(ftruncate(fd, 4096) == 0);
                f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                CHECK(f != MAP_FAILED);
                CHECK_OK(mproc_semaphore_create(ctx, NULL, permits, &s));
                for (int i = 0; i < SHARERS; i++)
                        p[i] = start(ctx, want_them_all, MPROC_ARGS(s, mproc_fd(fd), i));
                for (int i = 0; i < SHARERS; i++)
                        WAIT_UNTIL(f->count[i] >= 50, LONG_MS);
                f->stop = 1;
                for (int i = 0; i < SHARERS; i++) {
                        finish(p[i], 0);
                        CHECK_MSG(f->most[i] <= 2 * (PASSES + 2 * SHARERS), "number %d was passed by %ld times", i,
                                  (long)f->most[i]);
                }
                mproc_semaphore_free(s);
                munmap(f, 4096);
                close(fd);
        }
}

static pid_t
fork_waiter(mproc_semaphore *s, atomic_int *served)
{
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));
                atomic_fetch_add(served, 1);
                _exit(0);
        }
        await_sleep(pid);
        return pid;
}

/*
 * One who waits is stopped, and 10,000 pass him by.  Then whoever comes waits for him: until nobody has used the
 * turns for 50 ms, or he has been served.
 */
TEST(who_was_passed_by_too_often_has_his_turn)
{
        atomic_int *served = shared_page();
        mproc_semaphore *s;
        pid_t leader, waiter, late;
        int64_t t;

        if (portable_build())
                SKIP("there, it cannot be seen who sleeps");
        CHECK_OK(mproc_semaphore_create(NULL, NULL, 0, &s));
        leader = fork_waiter(s, served);
        waiter = fork_waiter(s, served);
        CHECK(kill(waiter, SIGSTOP) == 0);
        CHECK_OK(mproc_semaphore_release(s));
        reap(leader);
        for (int i = 0; i < PASSES; i++) {
                CHECK_OK(mproc_semaphore_release(s));
                CHECK_OK(mproc_semaphore_acquire(s, MPROC_NOWAIT));
        }
        CHECK_OK(mproc_semaphore_release(s));
        t = monotonic_ms();
        CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));
        CHECK_MSG(monotonic_ms() - t >= 40, "the turns of one who waits were passed over after %lld ms",
                  (long long)(monotonic_ms() - t));
        CHECK_OK(mproc_semaphore_release(s)); /* now they have been taken for void */
        CHECK_OK(mproc_semaphore_acquire(s, scaled_ms(LONG_MS)));

        for (int i = 0; i < PASSES + 10; i++) { /* he does not count now, so nobody waits for him */
                CHECK_OK(mproc_semaphore_release(s));
                CHECK_OK(mproc_semaphore_acquire(s, MPROC_NOWAIT));
        }
        late = fork_waiter(s, served);
        CHECK_OK(mproc_semaphore_release(s));
        CHECK_OK(mproc_semaphore_release(s));
        CHECK(kill(waiter, SIGCONT) == 0);
        reap(waiter);
        reap(late);
        CHECK_INT(*served, 3);
        mproc_semaphore_free(s);
        munmap(served, 4096);
}
