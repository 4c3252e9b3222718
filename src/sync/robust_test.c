/* SPDX-License-Identifier: MIT */
/*
 * sync/robust_test.c - the robust lock where the system does not tell of the dead, which on
 * a new kernel has to be staged.
 *
 * Runs in: test processes.
 */
#include "support/runner.h"
#include "sync/counter.h"
#include "sync/robust.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
        struct mproc__robust lock, other;
        mproc__word n, armed;
        atomic_int step;
};

static struct shared *
shared_page(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK(page != MAP_FAILED);
        return page;
}

static void *nowhere;

/* The kernel is not told what this thread does, and no promptness is expected from it. */
static void
go_deaf(void)
{
        struct mproc__word_thread *self = mproc__word_thread();

        self->told_of_dead = false;
        self->pending = (void *volatile *)&nowhere;
}

static int64_t
in_seconds(int s)
{
        return mproc__plat_now_ns() + (int64_t)(s * timeout_scale()) * 1000000000;
}

TEST(an_owner_that_is_gone_is_found_without_help)
{
        struct shared *s = shared_page();
        pid_t pid;

        go_deaf();
        for (int round = 0; round < 2; round++) {
                if ((pid = fork()) == 0) {
                        mproc__word_forked();
                        go_deaf();
                        CHECK(mproc__robust_lock(&s->lock, MPROC__NEVER, NULL) >= 0);
                        _exit(0);
                }
                CHECK_INT(wait_program(pid, 10000), 0);
                CHECK(mproc__robust_owner(&s->lock) == (uint32_t)pid);
                CHECK_INT(mproc__robust_lock(&s->lock, in_seconds(20), NULL), MPROC__ROBUST_RECOVERED);
                mproc__robust_unlock(&s->lock);
                CHECK_INT(mproc__robust_lock(&s->lock, in_seconds(20), NULL), 0);
                mproc__robust_unlock(&s->lock);
        }
}

TEST(with_help_it_is_found_at_once)
{
        struct shared *s = shared_page();
        pid_t pid;

        if ((pid = fork()) == 0) {
                mproc__word_forked();
                CHECK_INT(mproc__robust_lock(&s->lock, MPROC__NEVER, NULL), 0);
                _exit(0);
        }
        CHECK_INT(wait_program(pid, 10000), 0);
        if (mproc__word_thread()->told_of_dead)
                CHECK_INT(mproc__robust_owner(&s->lock), 0);
        CHECK_INT(mproc__robust_lock(&s->lock, in_seconds(20), NULL), MPROC__ROBUST_RECOVERED);
}

TEST(a_live_owner_is_waited_for)
{
        struct shared *s = shared_page();
        pid_t pid;

        go_deaf();
        if ((pid = fork()) == 0) {
                mproc__word_forked();
                CHECK_INT(mproc__robust_lock(&s->lock, MPROC__NEVER, NULL), 0);
                s->step = 1;
                while (s->step == 1)
                        sleep_ms(1);
                mproc__robust_unlock(&s->lock);
                _exit(0);
        }
        WAIT_UNTIL(s->step == 1, 10000);
        CHECK_CODE(mproc__robust_lock(&s->lock, mproc__plat_now_ns() + 250000000, NULL), MPROC_ETIMEDOUT);
        s->step = 2;
        CHECK_INT(mproc__robust_lock(&s->lock, in_seconds(20), NULL), 0);
        CHECK_CODE(mproc__robust_lock(&s->lock, MPROC__NEVER, NULL), MPROC_EDEADLK);
        CHECK_INT(wait_program(pid, 10000), 0);
}

/* A count without a wake, as one leaves it who dies in between. */
TEST(a_sleeper_that_nobody_woke_looks_by_itself)
{
        struct shared *s = shared_page();
        pid_t pid;

        go_deaf();
        CHECK_INT(mproc__robust_lock(&s->lock, MPROC__NEVER, NULL), 0);
        if ((pid = fork()) == 0) {
                mproc__word_forked();
                CHECK_INT(mproc__robust_lock(&s->other, MPROC__NEVER, NULL), 0);
                s->step = 1;
                sleep_ms(30); /* the sleeper sleeps, or will: either way it is not woken */
                atomic_store(&s->n, 1);
                _exit(0);
        }
        WAIT_UNTIL(s->step == 1, 10000);
        CHECK_INT(mproc__counter_sleep(&s->n, &s->armed, &s->other, &s->lock, 0, in_seconds(20), NULL), 0);
        CHECK_INT(wait_program(pid, 10000), 0);
}

/* Nobody is kept from a dead owner's lock by waiting for less than a slice at a time. */
TEST(an_owner_that_is_gone_is_found_in_short_waits)
{
        struct shared *s = shared_page();
        pid_t pid;

        go_deaf();
        if ((pid = fork()) == 0) {
                mproc__word_forked();
                go_deaf();
                CHECK_INT(mproc__robust_lock(&s->lock, MPROC__NEVER, NULL), 0);
                _exit(0);
        }
        CHECK_INT(wait_program(pid, 10000), 0);
        CHECK_INT(mproc__robust_lock(&s->lock, mproc__plat_now_ns() + 1000000, NULL), MPROC__ROBUST_RECOVERED);
        mproc__robust_unlock(&s->lock);
}
