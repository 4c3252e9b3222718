/* SPDX-License-Identifier: MIT */
/*
 * turns_test.c - the bound of fairness, counted: who waits is passed by so often and no more.
 *
 * Runs in: test processes.
 */
#include "support/runner.h"

#include "platform/platform.h"
#include "sync/owned.h"

#include <sys/mman.h>
#include <unistd.h>

#define ME      (MPROC__OWNED_BIT | 4242u)
#define LONG_NS INT64_C(30000000000)

static struct mproc__owned *
shared_lock(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK(page != MAP_FAILED);
        return page;
}

static void
once(struct mproc__owned *lock)
{
        CHECK_INT(mproc__owned_acquire(lock, ME, mproc__plat_now_ns() + LONG_NS), 0);
        CHECK_INT(mproc__owned_release(lock), 0);
}

/* Pass by a waiter who never comes until the gate closes. */
static int
passes_until_closed(struct mproc__owned *lock)
{
        int passes = 0;

        while (!mproc__turns_closed(&lock->turns)) {
                once(lock);
                CHECK(++passes <= 2 * MPROC__TURNS_PASSES);
        }
        return passes;
}

TEST(without_waiters_nothing_is_counted)
{
        struct mproc__owned *lock = shared_lock();

        for (int i = 0; i < 3 * MPROC__TURNS_PASSES; i++)
                once(lock);
        CHECK(mproc__turns_idle(&lock->turns));
        CHECK_INT(lock->turns.passed, 0);
        CHECK_INT(lock->word, 0);
}

TEST(the_gate_closes_after_so_many_passes)
{
        struct mproc__owned *lock = shared_lock();
        struct mproc__turn waiter = { .counted = false }, late = { .counted = false };

        mproc__turns_wait(&lock->turns, &waiter);
        CHECK_INT(passes_until_closed(lock), MPROC__TURNS_PASSES);
        CHECK(mproc__turns_mine(&lock->turns, &waiter));
        CHECK(!mproc__turns_mine(&lock->turns, &late));
        mproc__turns_wait(&lock->turns, &late);
        CHECK(!mproc__turns_mine(&lock->turns, &late));
        mproc__turns_leave(&lock->turns, &waiter);
        CHECK(mproc__turns_mine(&lock->turns, &late));
        mproc__turns_leave(&lock->turns, &late);
        CHECK(mproc__turns_idle(&lock->turns));
}

TEST(the_gate_lets_each_through_once)
{
        struct mproc__owned *lock = shared_lock();
        struct mproc__turn waiters[8] = { { .counted = false } }, again;

        for (int i = 0; i < 8; i++)
                mproc__turns_wait(&lock->turns, &waiters[i]);
        mproc__turns_close(&lock->turns);
        for (int i = 7; i >= 0; i--) {
                again = (struct mproc__turn){ .counted = false };
                CHECK(mproc__turns_closed(&lock->turns));
                CHECK(mproc__turns_mine(&lock->turns, &waiters[i]));
                mproc__turns_leave(&lock->turns, &waiters[i]);
                mproc__turns_wait(&lock->turns, &again);
                CHECK_INT(mproc__turns_mine(&lock->turns, &again), i == 0);
                mproc__turns_leave(&lock->turns, &again);
        }
        CHECK(mproc__turns_idle(&lock->turns));
}

TEST(who_was_woken_in_vain_closes_the_gate)
{
        struct mproc__owned *lock = shared_lock();
        struct mproc__turn waiter = { .losses = MPROC__TURNS_LOSSES - 1 };

        mproc__turns_wait(&lock->turns, &waiter);
        CHECK(!mproc__turns_closed(&lock->turns));
        waiter.losses++;
        mproc__turns_wait(&lock->turns, &waiter);
        CHECK(mproc__turns_closed(&lock->turns));
        mproc__turns_leave(&lock->turns, &waiter);
        CHECK(!mproc__turns_closed(&lock->turns));
}

/* He may have been killed while he waited: it costs one delay. */
TEST(who_does_not_come_is_waited_for_once)
{
        struct mproc__owned *lock = shared_lock();
        struct mproc__turn dead = { .counted = false };
        int64_t t;

        mproc__turns_wait(&lock->turns, &dead);
        CHECK_INT(passes_until_closed(lock), MPROC__TURNS_PASSES);
        t = mproc__plat_now_ns();
        once(lock);
        CHECK(mproc__plat_now_ns() - t >= MPROC__TURNS_STUCK_NS);
        for (int i = 0; i < 2 * MPROC__TURNS_PASSES; i++)
                once(lock);
        CHECK(mproc__turns_idle(&lock->turns));
        /* And if he does come he takes part as anybody. */
        mproc__turns_wait(&lock->turns, &dead);
        CHECK_INT(lock->turns.waiting & 0xffff, 1);
        mproc__turns_leave(&lock->turns, &dead);
        CHECK(mproc__turns_idle(&lock->turns));
}

/* A lock that is free is never reported as held. */
TEST(a_free_lock_is_to_be_had_when_the_time_is_up)
{
        struct mproc__owned *lock = shared_lock();
        struct mproc__turn dead = { .counted = false };

        mproc__turns_wait(&lock->turns, &dead);
        mproc__turns_close(&lock->turns);
        CHECK_INT(mproc__owned_acquire(lock, ME, 0), 0);
        CHECK_INT(mproc__owned_release(lock), 0);
        CHECK_INT(mproc__owned_acquire(lock, ME, mproc__plat_now_ns() + 1000000), 0);
        CHECK_INT(mproc__owned_release(lock), 0);
}

/* Whatever stands there: everybody gets the lock, and in time. */
TEST(damage_delays_and_does_no_more)
{
        static const uint32_t values[] = { 0, 1, 0xffff, 0x10000, 0x7fffffff, 0x80000001, UINT32_MAX };
        struct mproc__owned *lock = shared_lock();

        for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
                for (unsigned j = 0; j < sizeof values / sizeof *values; j++) {
                        lock->turns.gate = j < 3 ? values[i] : 0;
                        lock->turns.waiting = values[j];
                        lock->turns.passed = values[i];
                        lock->turns.tickets = values[j];
                        once(lock);
                        once(lock);
                        CHECK_INT(lock->word & MPROC__WORD_OWNER, 0);
                }
}
