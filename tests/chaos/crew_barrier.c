/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_barrier.c - parties of a barrier.  Each death breaks it; whoever hears of that makes it whole again.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

#include <errno.h>

enum { PARTIES = 3 };

static mproc_barrier *barrier;

static void
open_barrier(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_barrier_create(ctx, PARTIES, MPROC_FOREVER, &barrier));
}

static int
take_part(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_barrier *b = mproc_args_barrier(args, 3);

        while (!must_leave(office, i)) {
                int r = mproc_barrier_wait(b, 400);

                CHECK_MSG((r >= 0 && r < PARTIES) || r == MPROC_EBROKEN || r == MPROC_ETIMEDOUT || r == -EAGAIN,
                          "%d: %s", r, mproc_last_error());
                if (r >= 0)
                        atomic_fetch_add(&office->progress[crew], 1);
                else if (mproc_barrier_broken(b) == 1)
                        CHECK_OK(mproc_barrier_reset(b));
        }
        return 0;
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(ctx, take_part, MPROC_ARGS(mproc_fd(office_fd), crew->number, i, barrier),
                                      &process));
        return process;
}

static void
audit(struct crew *crew, unsigned killed)
{
        (void)killed;
        CHECK_OK(mproc_barrier_reset(barrier));
        CHECK_INT(mproc_barrier_broken(barrier), 0);
        CHECK_INT(mproc_barrier_n_waiting(barrier), 0);
        crew->sum++;
}

static void
close_barrier(struct crew *crew)
{
        (void)crew;
        mproc_barrier_free(barrier);
}

CREW(barrier, .workers = PARTIES, .open = open_barrier, .hire = hire, .audit = audit, .close = close_barrier,
     .what = "times was it whole in the end")
