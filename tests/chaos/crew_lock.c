/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_lock.c - those who need a lock to change two numbers together.  Who is told that the last owner
 * died repairs them; nobody else ever finds them different.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

struct books {
        atomic_ulong a, b; /* equal, but for whom holds the lock */
        atomic_ulong entered, repaired;
};

static mproc_lock *lock;
static struct books *books;
static int books_fd;

static void
open_lock(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_lock_create(ctx, &lock));
        books = open_books(sizeof *books, &books_fd);
}

static int
change(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_lock *l = mproc_args_lock(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);

        while (!must_leave(office, i)) {
                int r = mproc_lock_acquire(l, dice(4) ? MPROC_FOREVER : 1);

                if (r == MPROC_ETIMEDOUT)
                        continue;
                CHECK(r == 0 || r == MPROC_OWNER_DIED);
                if (r == MPROC_OWNER_DIED) {
                        b->b = b->a;
                        atomic_fetch_add(&b->repaired, 1);
                }
                CHECK_INT(b->a, b->b);
                b->a = b->a + 1;
                for (volatile unsigned k = dice(16) ? 0 : 3000; k > 0; k--) /* now and then inside for longer */
                        ;
                b->b = b->b + 1;
                CHECK_OK(mproc_lock_release(l));
                atomic_fetch_add(&b->entered, 1);
                atomic_fetch_add(&office->progress[crew], 1);
        }
        return 0;
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(
                ctx, change, MPROC_ARGS(mproc_fd(office_fd), crew->number, i, lock, mproc_fd(books_fd)), &process));
        return process;
}

static void
audit(struct crew *crew, unsigned killed)
{
        int r = mproc_lock_acquire(lock, scaled_ms(5000));

        CHECK_MSG(r >= 0, "nobody is left, and the lock cannot be had: %s", mproc_last_error());
        CHECK(r == MPROC_OWNER_DIED || books->a == books->b);
        CHECK_OK(mproc_lock_release(lock));
        CHECK(books->entered <= books->a && books->a - books->entered <= killed);
        CHECK(books->repaired <= killed);
        crew->sum += books->entered;
}

static void
close_lock(struct crew *crew)
{
        (void)crew;
        mproc_lock_free(lock);
        close_books(books, sizeof *books, books_fd);
}

CREW(lock, .workers = 4, .open = open_lock, .hire = hire, .audit = audit, .close = close_lock, .what = "holdings")
