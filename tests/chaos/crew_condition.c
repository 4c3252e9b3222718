/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_condition.c - a store under a condition: some bring, some fetch.  Who fetches waits long for his
 * notification, so that one that is lost is a stall.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

struct books {
        atomic_long stock, brought, fetched;
};

static mproc_condition *condition;
static struct books *books;
static int books_fd;

static void
open_store(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_condition_create(ctx, NULL, &condition));
        books = open_books(sizeof *books, &books_fd);
}

static void
enter(mproc_condition *c)
{
        int r = mproc_condition_acquire(c, scaled_ms(LONG_MS));

        CHECK_MSG(r >= 0, "the store is not to be entered: %s", mproc_last_error());
}

static void
bring(struct office *office, unsigned i, mproc_condition *c, struct books *b)
{
        while (!must_leave(office, i)) {
                bool full;

                enter(c);
                if (!(full = b->stock >= 50)) {
                        b->stock++;
                        atomic_fetch_add(&b->brought, 1);
                        CHECK_OK(mproc_condition_notify(c, 1));
                }
                CHECK_OK(mproc_condition_release(c));
                if (full)
                        sleep_ms(1);
        }
}

static void
fetch(struct office *office, unsigned i, unsigned crew, mproc_condition *c, struct books *b)
{
        while (!must_leave(office, i)) {
                int r = 0;

                enter(c);
                if (b->stock == 0)
                        r = mproc_condition_wait(c, 400);
                CHECK(r == 0 || r == MPROC_OWNER_DIED || r == MPROC_ETIMEDOUT);
                if (b->stock > 0) {
                        b->stock--;
                        atomic_fetch_add(&b->fetched, 1);
                        atomic_fetch_add(&office->progress[crew], 1);
                }
                CHECK_OK(mproc_condition_release(c));
        }
}

static int
keep_store(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_condition *c = mproc_args_condition(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);

        if (i % 2)
                bring(office, i, c, b);
        else
                fetch(office, i, crew, c, b);
        return 0;
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(ctx, keep_store,
                                      MPROC_ARGS(mproc_fd(office_fd), crew->number, i, condition, mproc_fd(books_fd)),
                                      &process));
        return process;
}

static void
audit(struct crew *crew, unsigned killed)
{
        long lost = books->brought - books->fetched - books->stock;

        CHECK_MSG(lost <= (long)killed && -lost <= (long)killed, "%ld brought, %ld fetched, %ld there",
                  (long)books->brought, (long)books->fetched, (long)books->stock);
        crew->sum += (unsigned long)books->fetched;
}

static void
close_store(struct crew *crew)
{
        (void)crew;
        mproc_condition_free(condition);
        close_books(books, sizeof *books, books_fd);
}

CREW(condition, .workers = 4, .open = open_store, .hire = hire, .audit = audit, .close = close_store,
     .what = "fetched under a condition")
