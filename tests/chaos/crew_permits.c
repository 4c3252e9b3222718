/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_permits.c - users of a bounded semaphore.  Permits of the dead come back: in the end all are there,
 * and not one more.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

enum { PERMITS = 3 };

static mproc_semaphore *semaphore;

static void
open_permits(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_bounded_semaphore_create(ctx, PERMITS, &semaphore));
}

static int
use(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_semaphore *s = mproc_args_semaphore(args, 3);

        while (!must_leave(office, i)) {
                int r = mproc_semaphore_acquire(s, PATIENCE_MS);

                if (r == MPROC_ETIMEDOUT)
                        continue;
                CHECK_OK(r);
                for (volatile unsigned k = dice(3000); k > 0; k--)
                        ;
                atomic_fetch_add(&office->progress[crew], 1);
                CHECK_OK(mproc_semaphore_release(s));
        }
        return 0;
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(ctx, use, MPROC_ARGS(mproc_fd(office_fd), crew->number, i, semaphore),
                                      &process));
        return process;
}

static void
audit(struct crew *crew, unsigned killed)
{
        unsigned value;

        (void)killed;
        for (int i = 0; i < PERMITS; i++)
                CHECK_OK(mproc_semaphore_acquire(semaphore, scaled_ms(5000)));
        CHECK_CODE(mproc_semaphore_acquire(semaphore, 0), MPROC_ETIMEDOUT);
        for (int i = 0; i < PERMITS; i++)
                CHECK_OK(mproc_semaphore_release(semaphore));
        CHECK_OK(mproc_semaphore_value(semaphore, &value));
        CHECK_INT(value, PERMITS);
        CHECK_CODE(mproc_semaphore_release(semaphore), MPROC_ERELEASED);
        crew->sum++;
}

static void
close_permits(struct crew *crew)
{
        (void)crew;
        mproc_semaphore_free(semaphore);
}

CREW(permits, .workers = 5, .open = open_permits, .hire = hire, .audit = audit, .close = close_permits,
     .what = "times were all permits there")
