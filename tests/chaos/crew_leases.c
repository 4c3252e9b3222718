/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_leases.c - producers, and consumers who lease and ack: no death loses a message, and what is delivered
 * again was leased by somebody who died.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

#include <errno.h>

enum { LIVES = 256, NUMBERS = 1 << 16, LEASES = 32 };

struct books {
        atomic_uint puts[LIVES];
        atomic_uchar got[LIVES][NUMBERS]; /* how often */
};

static mproc_queue *queue;
static struct books *books;
static int books_fd;
static unsigned lives;

static void
open_leases(struct crew *crew, mproc_context *ctx)
{
        mproc_queue_opts opts = { .leases = LEASES };

        (void)crew;
        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        books = open_books(sizeof *books, &books_fd);
        lives = 0;
}

static int
produce(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned i = (unsigned)mproc_args_uint(args, 2);
        mproc_queue *q = mproc_args_queue(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);
        uint32_t life = (uint32_t)mproc_args_uint(args, 5);
        uint8_t data[300];
        size_t size;

        for (uint32_t n = 0; n < NUMBERS && !must_leave(office, i); n++) {
                size_t len = some_length(dice(1u << 30), sizeof data);

                stamp_message(data, len, life, n);
                CHECK_OK(mproc_queue_put(q, data, len, MPROC_FOREVER));
                b->puts[life] = n + 1;
                while (mproc_queue_qsize(q, &size) == 0 && size > 1000 && !must_leave(office, i))
                        sleep_ms(1);
        }
        return 0;
}

/* 1: nothing came. */
static int
take_one(mproc_queue *q, struct books *b, int64_t timeout_ms)
{
        mproc_lease lease = MPROC_LEASE_INIT;
        struct stamp stamp;
        uint8_t data[300];
        size_t len;
        int r = mproc_queue_get_leased(q, data, sizeof data, &len, &lease, timeout_ms);

        if (r == MPROC_EEMPTY || r == -ENOBUFS)
                return 1;
        CHECK_OK(r);
        check_stamp(data, len, &stamp);
        CHECK(stamp.producer < LIVES && stamp.number < NUMBERS);
        if (atomic_fetch_add(&b->got[stamp.producer][stamp.number], 1) > 0)
                CHECK_MSG(mproc_lease_deliveries(&lease) > 1, "message %u of %u came again as if for the first time",
                          stamp.number, stamp.producer);
        CHECK_OK(dice(50) ? mproc_lease_ack(&lease) : mproc_lease_return(&lease));
        return 0;
}

static int
consume(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_queue *q = mproc_args_queue(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);

        for (;;) {
                bool leaving = must_leave(office, i);

                if (take_one(q, b, PATIENCE_MS) == 0)
                        atomic_fetch_add(&office->progress[crew], 1);
                else if (leaving)
                        return 0;
        }
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        if (i % 2)
                CHECK_OK(mproc_process_create(
                        ctx, produce,
                        MPROC_ARGS(mproc_fd(office_fd), crew->number, i, queue, mproc_fd(books_fd), lives++),
                        &process));
        else
                CHECK_OK(mproc_process_create(
                        ctx, consume, MPROC_ARGS(mproc_fd(office_fd), crew->number, i, queue, mproc_fd(books_fd)),
                        &process));
        CHECK(lives <= LIVES);
        crew->finished = lives >= LIVES - WORKERS;
        return process;
}

static bool
is_drained(void)
{
        size_t leased;

        if (take_one(queue, books, 1) == 0)
                return false;
        CHECK_OK(mproc_queue_leased(queue, &leased));
        return leased == 0 && mproc_queue_empty(queue) == 1;
}

/* Leases of those who were killed at last come back to us. */
static void
audit(struct crew *crew, unsigned killed)
{
        int64_t end = monotonic_ms() + scaled_ms(LONG_MS);
        unsigned more = 0;

        while (!is_drained())
                CHECK_MSG(monotonic_ms() < end, "leases of the dead do not come back");
        for (unsigned life = 0; life < lives; life++) {
                for (uint32_t n = 0; n < books->puts[life]; n++)
                        CHECK_MSG(books->got[life][n] > 0, "message %u of %u is lost", n, life);
                for (uint32_t n = books->puts[life]; n < NUMBERS && n < books->puts[life] + 1000; n++)
                        more += books->got[life][n] > 0;
                crew->sum += books->puts[life];
        }
        CHECK_MSG(more <= killed, "%u messages are delivered that nobody has put", more);
}

static void
close_leases(struct crew *crew)
{
        (void)crew;
        mproc_queue_free(queue);
        close_books(books, sizeof *books, books_fd);
}

CREW(leases, .workers = 4, .open = open_leases, .hire = hire, .audit = audit, .close = close_leases,
     .what = "messages, each of them acked")
