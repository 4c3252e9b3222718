/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_rlock.c - those who take a recursive lock several times over and change three numbers together, the
 * middle one innermost.  Whoever is told that the last owner died has it once, and repairs them.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

#include <unistd.h>

enum { DEEPEST = 5 };

struct books {
        atomic_ulong a, b, c; /* equal, but for whom holds the lock */
        atomic_ulong entered, repaired;
};

static mproc_rlock *lock;
static struct books *books;
static int books_fd;

static void
open_rlock(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_rlock_create(ctx, &lock));
        books = open_books(sizeof *books, &books_fd);
}

static void
check_depth(mproc_rlock *l, unsigned depth)
{
        mproc_holder holder;

        if (dice(16)) /* it asks the system */
                return;
        CHECK_INT(mproc_rlock_look(l, &holder), 1);
        CHECK_INT(holder.pid, getpid());
        CHECK_INT(holder.depth, depth);
}

/* Deeper and deeper, and back. */
static void
change_numbers(mproc_rlock *l, struct books *b, unsigned depth, unsigned deepest)
{
        check_depth(l, depth);
        if (depth == 1)
                b->a = b->a + 1;
        if (depth < deepest) {
                CHECK_OK(mproc_rlock_acquire(l, dice(2) ? MPROC_FOREVER : MPROC_NOWAIT));
                change_numbers(l, b, depth + 1, deepest);
                CHECK_OK(mproc_rlock_release(l));
                check_depth(l, depth);
        } else {
                b->b = b->b + 1;
                for (volatile unsigned k = dice(16) ? 0 : 3000; k > 0; k--) /* now and then inside for longer */
                        ;
        }
        if (depth == 1)
                b->c = b->c + 1;
}

static int
change(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_rlock *l = mproc_args_rlock(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);

        while (!must_leave(office, i)) {
                int r = mproc_rlock_acquire(l, dice(4) ? MPROC_FOREVER : 1);

                if (r == MPROC_ETIMEDOUT)
                        continue;
                CHECK(r == 0 || r == MPROC_OWNER_DIED);
                if (r == MPROC_OWNER_DIED) {
                        b->b = b->c = b->a;
                        atomic_fetch_add(&b->repaired, 1);
                }
                CHECK(b->a == b->b && b->b == b->c);
                change_numbers(l, b, 1, 1 + dice(DEEPEST));
                CHECK_OK(mproc_rlock_release(l));
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
        int r = mproc_rlock_acquire(lock, scaled_ms(5000));

        CHECK_MSG(r >= 0, "nobody is left, and the lock cannot be had: %s", mproc_last_error());
        CHECK(r == MPROC_OWNER_DIED || (books->a == books->b && books->b == books->c));
        check_depth(lock, 1);
        CHECK_OK(mproc_rlock_release(lock));
        CHECK_CODE(mproc_rlock_release(lock), MPROC_ERELEASED);
        CHECK(books->entered <= books->a && books->a - books->entered <= killed);
        CHECK(books->repaired <= killed);
        crew->sum += books->entered;
}

static void
close_rlock(struct crew *crew)
{
        (void)crew;
        mproc_rlock_free(lock);
        close_books(books, sizeof *books, books_fd);
}

CREW(rlock, .workers = 3, .open = open_rlock, .hire = hire, .audit = audit, .close = close_rlock,
     .what = "holdings of a recursive lock")
