/* SPDX-License-Identifier: MIT */
/*
 * tickets_test.c - tickets of a condition: the ring is full, goes round, holds the dead.
 *
 * Runs in: test processes.
 */
#include "support/runner.h"
#include "sync/tickets.h"

#include <errno.h>
#include <mproc/sync.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mproc__tickets *
make_tickets(void)
{
        struct mproc__tickets *tickets =
                mmap(NULL, sizeof *tickets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK(tickets != MAP_FAILED);
        mproc__tickets_init(tickets);
        return tickets;
}

static mproc__slot_id
self(void)
{
        mproc__slot_id id;

        CHECK_OK(mproc__slot_self(&id));
        return id;
}

TEST(all_can_be_taken_and_no_more)
{
        struct mproc__tickets *tickets = make_tickets();
        mproc__slot_id me = self();

        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < MPROC__TICKETS; i++)
                        CHECK(mproc__tickets_take(tickets, me) >= 0);
                CHECK_CODE(mproc__tickets_take(tickets, me), -EAGAIN);
                mproc__tickets_notify(tickets, UINT32_MAX);
                for (unsigned i = 0; i < MPROC__TICKETS; i++) {
                        CHECK_OK(mproc__tickets_sleep(tickets, i, me, NULL, 0));
                        mproc__tickets_give(tickets, i);
                }
        }
        munmap(tickets, sizeof *tickets);
}

/* One stays where it is while the ring goes round several times: notify still finds it. */
TEST(a_ticket_that_stays_is_found)
{
        struct mproc__tickets *tickets = make_tickets();
        mproc__slot_id me = self();
        int stays = mproc__tickets_take(tickets, me), other;

        for (int i = 0; i < 5 * MPROC__TICKETS; i++) {
                CHECK((other = mproc__tickets_take(tickets, me)) >= 0);
                CHECK(other != stays);
                CHECK_CODE(mproc__tickets_sleep(tickets, (unsigned)other, me, NULL, 0), MPROC_ETIMEDOUT);
        }
        CHECK((other = mproc__tickets_take(tickets, me)) >= 0);
        mproc__tickets_notify(tickets, 2);
        CHECK_OK(mproc__tickets_sleep(tickets, (unsigned)stays, me, NULL, 0));
        CHECK_OK(mproc__tickets_sleep(tickets, (unsigned)other, me, NULL, 0));
        munmap(tickets, sizeof *tickets);
}

/* Four thousand million waits that nobody notifies, most of them skipped here, while one ticket stays; then notify.
 */
TEST(numbers_wrap_around_without_a_notification)
{
        struct mproc__tickets *tickets = make_tickets();
        mproc__slot_id me = self();
        uint32_t first = atomic_load(&tickets->entered);
        int stays, other;

        for (int i = 0; i < 200; i++) {
                CHECK((other = mproc__tickets_take(tickets, me)) >= 0);
                CHECK_CODE(mproc__tickets_sleep(tickets, (unsigned)other, me, NULL, 0), MPROC_ETIMEDOUT);
        }
        CHECK((stays = mproc__tickets_take(tickets, me)) >= 0);
        for (uint32_t i = 1; i <= 8; i++) {
                atomic_store(&tickets->entered, first + i * (UINT32_C(1) << 29) + 100);
                CHECK((other = mproc__tickets_take(tickets, me)) >= 0);
                if (i < 8)
                        CHECK_CODE(mproc__tickets_sleep(tickets, (unsigned)other, me, NULL, 0), MPROC_ETIMEDOUT);
        }
        mproc__tickets_notify(tickets, 2);
        CHECK_OK(mproc__tickets_sleep(tickets, (unsigned)stays, me, NULL, 0));
        CHECK_OK(mproc__tickets_sleep(tickets, (unsigned)other, me, NULL, 0));
        munmap(tickets, sizeof *tickets);
}

/* A child takes them and is killed: they are used again, and what it was told is inherited. */
TEST(tickets_of_the_dead_are_used_again)
{
        struct mproc__tickets *tickets = make_tickets();
        mproc__slot_id me = self();
        int status, got;
        pid_t pid = fork();

        if (pid == 0) {
                me = self();
                for (int i = 0; i < MPROC__TICKETS; i++)
                        CHECK(mproc__tickets_take(tickets, me) >= 0);
                mproc__tickets_notify(tickets, 1);
                raise(SIGKILL);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
        CHECK((got = mproc__tickets_take(tickets, me)) >= 0);
        CHECK_OK(mproc__tickets_sleep(tickets, (unsigned)got, me, NULL, 0)); /* the one that was told */
        mproc__tickets_give(tickets, (unsigned)got);
        CHECK((got = mproc__tickets_take(tickets, me)) >= 0);
        CHECK_CODE(mproc__tickets_sleep(tickets, (unsigned)got, me, NULL, 0), MPROC_ETIMEDOUT);
        for (int i = 0; i < MPROC__TICKETS; i++)
                CHECK(mproc__tickets_take(tickets, me) >= 0);
        munmap(tickets, sizeof *tickets);
}
