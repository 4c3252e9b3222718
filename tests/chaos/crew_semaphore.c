/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_semaphore.c - those who release permits and those who acquire them.  Each death hides one at most.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

struct books {
        atomic_ulong released, acquired;
};

static mproc_semaphore *semaphore;
static struct books *books;
static int books_fd;

static void
open_semaphore(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &semaphore));
        books = open_books(sizeof *books, &books_fd);
}

static int
give_or_take(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2), value;
        mproc_semaphore *s = mproc_args_semaphore(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);

        while (!must_leave(office, i)) {
                if (i % 2) {
                        CHECK_OK(mproc_semaphore_release(s));
                        atomic_fetch_add(&b->released, 1);
                        CHECK_OK(mproc_semaphore_value(s, &value));
                        if (value > 100)
                                sleep_ms(1);
                } else if (mproc_semaphore_acquire(s, PATIENCE_MS) == 0) {
                        atomic_fetch_add(&b->acquired, 1);
                        atomic_fetch_add(&office->progress[crew], 1);
                }
        }
        return 0;
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(ctx, give_or_take,
                                      MPROC_ARGS(mproc_fd(office_fd), crew->number, i, semaphore, mproc_fd(books_fd)),
                                      &process));
        return process;
}

static void
audit(struct crew *crew, unsigned killed)
{
        long unaccounted;
        unsigned value;

        CHECK_OK(mproc_semaphore_value(semaphore, &value));
        unaccounted = (long)books->released - (long)books->acquired - (long)value;
        CHECK_MSG(unaccounted <= (long)killed && -unaccounted <= (long)killed,
                  "%lu released, %lu acquired, value %u, %u killed", books->released, books->acquired, value, killed);
        crew->sum += books->acquired;
}

static void
close_semaphore(struct crew *crew)
{
        (void)crew;
        mproc_semaphore_free(semaphore);
        close_books(books, sizeof *books, books_fd);
}

CREW(semaphore, .workers = 4, .open = open_semaphore, .hire = hire, .audit = audit, .close = close_semaphore,
     .what = "permits")
