/* SPDX-License-Identifier: MIT */
/*
 * crash/points_leases.c - deaths of processes that take, ack, give back and finish: nothing comes twice
 * that was acked, all else comes back, and who waits is told.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <stdlib.h>
#include <unistd.h>

static char large[300000];

/* --- roles: the queue, and a semaphore to wait for before the second half ---------------------------------- */

static void
lease(mproc_queue *queue, mproc_lease *ret)
{
        CHECK_OK(mproc_queue_get_leased(queue, large, sizeof large, NULL, ret, MPROC_FOREVER));
}

static void
role_lease(mproc_args *args)
{
        mproc_lease taken;

        lease(mproc_args_queue(args, 0), &taken);
}

static void
role_ack(mproc_args *args)
{
        mproc_lease taken;

        lease(mproc_args_queue(args, 0), &taken);
        CHECK_OK(mproc_semaphore_acquire(mproc_args_semaphore(args, 1), MPROC_FOREVER));
        CHECK_OK(mproc_lease_ack(&taken));
}

static void
role_return(mproc_args *args)
{
        mproc_lease taken;

        lease(mproc_args_queue(args, 0), &taken);
        CHECK_OK(mproc_semaphore_acquire(mproc_args_semaphore(args, 1), MPROC_FOREVER));
        CHECK_OK(mproc_lease_return(&taken));
}

static void
role_take(mproc_args *args)
{
        CHECK_OK(mproc_queue_get(mproc_args_queue(args, 0), large, sizeof large, NULL, MPROC_FOREVER));
}

static void
role_do(mproc_args *args)
{
        role_take(args);
        CHECK_OK(mproc_semaphore_acquire(mproc_args_semaphore(args, 1), MPROC_FOREVER));
        CHECK_OK(mproc_queue_task_done(mproc_args_queue(args, 0)));
}

static void
role_lease_and_ack(mproc_args *args)
{
        mproc_lease taken;

        lease(mproc_args_queue(args, 0), &taken);
        CHECK(large[0] == 1);
        CHECK_OK(mproc_lease_ack(&taken));
}

static void
role_join(mproc_args *args)
{
        int r = mproc_queue_join(mproc_args_queue(args, 0), MPROC_FOREVER);

        _exit(r == 0 ? 0 : r == MPROC_ELOST ? 3 : 1);
}

/* --- the scenery ------------------------------------------------------------------------------------------------ */

struct scenery {
        mproc_queue *queue;
        mproc_semaphore *go;
};

/* Messages that begin with 1, 2, ...; the first has so many bytes. */
static struct scenery
set(mproc_context *ctx, int messages, size_t first_len)
{
        mproc_queue_opts opts = { .leases = 8, .joinable = 1 };
        struct scenery s;

        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &s.queue));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &s.go));
        memset(large, 1, sizeof large);
        for (int i = 1; i <= messages; i++) {
                large[0] = (char)i;
                CHECK_OK(mproc_queue_put(s.queue, large, i == 1 ? first_len : 20, 0));
        }
        return s;
}

static void
clear(struct scenery *s)
{
        mproc_queue_free(s->queue);
        mproc_semaphore_free(s->go);
}

/* What is still to come begins with `first` and goes up to `last`, in order; then nothing is unfinished. */
static void
expect_from(struct scenery *s, char first, char last, unsigned least, unsigned most, const char *point)
{
        mproc_lease taken;

        for (char c = first; c <= last; c++) {
                CHECK_OK(mproc_queue_get_leased(s->queue, large, sizeof large, NULL, &taken, scaled_ms(SERVED_MS)));
                CHECK_MSG(large[0] == c, "%s: %d came, not %d", point, large[0], c);
                if (c == first)
                        CHECK_MSG(mproc_lease_deliveries(&taken) >= least && mproc_lease_deliveries(&taken) <= most,
                                  "%s: delivered %u times", point, mproc_lease_deliveries(&taken));
                CHECK_OK(mproc_lease_ack(&taken));
        }
        CHECK_INT(mproc_queue_empty(s->queue), 1);
        CHECK_OK(mproc_queue_join(s->queue, scaled_ms(SERVED_MS)));
}

/* --- taking -------------------------------------------------------------------------------------------------- */

START_METHOD_TEST(death_while_leasing, .limit_s = 300)
{
        static const struct {
                const char *point;
                size_t len;
                unsigned deliveries; /* the survivor's is the first, or the second */
        } deaths[] = {
                { "lease.get.entered", 20, 1 },
                { "ledger.copied", 20, 1 },
                { "ledger.prepared", 20, 1 },
                { "queue.get.committed", 20, 2 },
                { "ledger.confirmed", 20, 2 },
                { "lease.get.left", 20, 2 },
                { "ledger.copy.placed", 5000, 1 },
                { "ledger.copied", 5000, 1 },
                { "ledger.prepared", 5000, 1 },
                { "queue.get.committed", 5000, 2 },
                { "ledger.copy.placed", sizeof large, 1 },
                { "ledger.prepared", sizeof large, 1 },
                { "queue.get.committed", sizeof large, 2 },
        };

        for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
                struct scenery s = set(ctx, 3, deaths[i].len);

                await_death(cast_victim(ctx, deaths[i].point, role_lease, MPROC_ARGS(s.queue)), deaths[i].point);
                expect_from(&s, 1, 3, deaths[i].deliveries, deaths[i].deliveries, deaths[i].point);
                clear(&s);
        }
}

/* The entry that he was about to write had a place on the tape before, and right behind that lies a copy that is
 * needed. */
START_METHOD_TEST(death_before_a_copy_is_placed_harms_no_other)
{
        static const char *const point = "ledger.copy.measured";
        mproc_queue_opts opts = { .leases = 8 };
        mproc_lease done, kept;
        mproc_queue *queue;
        size_t len = 0;

        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        memset(large, 1, sizeof large);
        CHECK_OK(mproc_queue_put(queue, large, 5000, 0));
        CHECK_OK(mproc_queue_put(queue, large, 5000, 0));
        CHECK_OK(mproc_queue_put(queue, large, sizeof large, 0));
        lease(queue, &done);
        lease(queue, &kept);
        CHECK_OK(mproc_lease_ack(&done));
        await_death(cast_victim(ctx, point, role_lease, MPROC_ARGS(queue)), point);
        CHECK_OK(mproc_lease_return(&kept));
        memset(large, 0, sizeof large);
        CHECK_OK(mproc_queue_get_leased(queue, large, sizeof large, &len, &kept, scaled_ms(SERVED_MS)));
        CHECK_INT((int)len, 5000);
        for (size_t i = 0; i < len; i++)
                CHECK_MSG(large[i] == 1, "byte %zu of a leased message is gone", i);
        CHECK_OK(mproc_lease_ack(&kept));
        mproc_queue_free(queue);
}

START_METHOD_TEST(death_while_leasing_again)
{
        static const char *const points[] = { "lease.again.copied", "lease.again.taken" };

        for (size_t i = 0; i < 2; i++) {
                struct scenery s = set(ctx, 3, 5000);
                mproc_lease taken;

                lease(s.queue, &taken);
                CHECK_OK(mproc_lease_return(&taken));
                await_death(cast_victim(ctx, points[i], role_lease, MPROC_ARGS(s.queue)), points[i]);
                sleep_ms(21); /* as long as one who finds other messages may go on without a look at the dead */
                expect_from(&s, 1, 3, 2 + (unsigned)i, 2 + (unsigned)i, points[i]);
                clear(&s);
        }
}

/* One dies with the lock in the middle of taking, and who repairs dies, too. */
START_METHOD_TEST(death_while_repairing)
{
        struct scenery s = set(ctx, 3, 5000);

        await_death(cast_victim(ctx, "ledger.prepared", role_lease, MPROC_ARGS(s.queue)), "ledger.prepared");
        await_death(cast_victim(ctx, "lease.repaired", role_lease, MPROC_ARGS(s.queue)), "lease.repaired");
        expect_from(&s, 1, 3, 1, 1, "lease.repaired");
        clear(&s);
}

/* --- being done ------------------------------------------------------------------------------------------------- */

START_METHOD_TEST(death_while_acking)
{
        static const struct {
                const char *point;
                size_t len;
                bool done;
        } deaths[] = { { "ledger.settle.begun", 20, false },
                       { "ledger.settle.done", 20, true },
                       { "ledger.settle.begun", 5000, false },
                       { "ledger.settle.done", 5000, true },
                       { "ledger.settle.released", 5000, true } };

        for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
                struct scenery s = set(ctx, 3, deaths[i].len);
                mproc_process *victim = cast_victim(ctx, deaths[i].point, role_ack, MPROC_ARGS(s.queue, s.go));

                CHECK_OK(mproc_semaphore_release(s.go));
                await_death(victim, deaths[i].point);
                if (deaths[i].done)
                        expect_from(&s, 2, 3, 1, 1, deaths[i].point);
                else
                        expect_from(&s, 1, 3, 2, 2, deaths[i].point);
                clear(&s);
        }
}

/* Somebody sleeps because the only message is leased. */
START_METHOD_TEST(death_while_giving_back)
{
        static const char *const points[] = { "lease.return.done", "lease.return.told" };

        for (size_t i = 0; i < 2; i++) {
                struct scenery s = set(ctx, 1, 20);
                mproc_process *victim = cast_victim(ctx, points[i], role_return, MPROC_ARGS(s.queue, s.go)), *waiter;
                int exitcode;

                await_asleep(victim);
                waiter = cast(ctx, role_lease_and_ack, MPROC_ARGS(s.queue));
                await_asleep(waiter);
                CHECK_OK(mproc_semaphore_release(s.go));
                await_death(victim, points[i]);
                CHECK_OK(mproc_process_join(waiter, scaled_ms(SERVED_MS)));
                CHECK_OK(mproc_process_exitcode(waiter, &exitcode));
                CHECK_INT(exitcode, 0);
                mproc_process_free(waiter);
                CHECK_OK(mproc_queue_join(s.queue, scaled_ms(SERVED_MS)));
                clear(&s);
        }
}

/* Taken without a lease: it is there, or it is told to be lost. */
START_METHOD_TEST(death_of_a_consumer_while_it_takes)
{
        static const struct {
                const char *point;
                bool lost;
        } deaths[] = { { "ledger.copied", false },
                       { "ledger.prepared", false },
                       { "queue.get.committed", true },
                       { "ledger.confirmed", true },
                       { "lease.get.left", true } };

        for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
                struct scenery s = set(ctx, 2, 20);
                size_t count;

                await_death(cast_victim(ctx, deaths[i].point, role_take, MPROC_ARGS(s.queue)), deaths[i].point);
                CHECK_OK(mproc_queue_unfinished(s.queue, &count));
                CHECK_INT(count, 2);
                CHECK_CODE(mproc_queue_join(s.queue, 0), deaths[i].lost ? MPROC_ELOST : MPROC_ETIMEDOUT);
                CHECK_OK(mproc_queue_drop_lost(s.queue, &count));
                CHECK_INT(count, deaths[i].lost);
                expect_from(&s, deaths[i].lost ? 2 : 1, 2, 1, 1, deaths[i].point);
                clear(&s);
        }
}

/* The last task is done by one who dies before he has told it; or dies before it was. */
START_METHOD_TEST(death_while_others_join)
{
        static const char *const points[] = { "ledger.settle.begun", "ledger.settle.done", "ledger.settle.told" };

        for (size_t i = 0; i < 3; i++) {
                struct scenery s = set(ctx, 1, 20);
                mproc_process *victim = cast_victim(ctx, points[i], role_do, MPROC_ARGS(s.queue, s.go)), *joiner;
                int exitcode;

                await_asleep(victim);
                joiner = cast(ctx, role_join, MPROC_ARGS(s.queue));
                await_asleep(joiner);
                CHECK_OK(mproc_semaphore_release(s.go));
                await_death(victim, points[i]);
                CHECK_OK(mproc_process_join(joiner, scaled_ms(SERVED_MS)));
                CHECK_OK(mproc_process_exitcode(joiner, &exitcode));
                CHECK_INT(exitcode, i == 0 ? 3 : 0); /* the task was lost, or it was done */
                mproc_process_free(joiner);
                clear(&s);
        }
}
