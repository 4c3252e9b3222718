/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_event.c - some set and clear an event, some wait for it.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

static mproc_event *event;

static void
open_event(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_event_create(ctx, &event));
}

static int
set_or_wait(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_event *e = mproc_args_event(args, 3);

        while (!must_leave(office, i)) {
                if (i % 2) {
                        CHECK_OK(mproc_event_set(e));
                        for (volatile unsigned k = dice(2000); k > 0; k--)
                                ;
                        CHECK_OK(mproc_event_clear(e));
                } else if (mproc_event_wait(e, 400) == 0) {
                        atomic_fetch_add(&office->progress[crew], 1);
                }
        }
        return 0;
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(ctx, set_or_wait, MPROC_ARGS(mproc_fd(office_fd), crew->number, i, event),
                                      &process));
        return process;
}

static void
audit(struct crew *crew, unsigned killed)
{
        (void)killed;
        CHECK_OK(mproc_event_set(event));
        CHECK_OK(mproc_event_wait(event, 0));
        CHECK_OK(mproc_event_clear(event));
        CHECK_CODE(mproc_event_wait(event, 1), MPROC_ETIMEDOUT);
        crew->sum++;
}

static void
close_event(struct crew *crew)
{
        (void)crew;
        mproc_event_free(event);
}

CREW(event, .workers = 3, .open = open_event, .hire = hire, .audit = audit, .close = close_event,
     .what = "times did it work in the end")
