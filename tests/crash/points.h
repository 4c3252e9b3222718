/* SPDX-License-Identifier: MIT */
/*
 * crash/points.h - processes that die at the named points of the shared algorithms.
 *
 * crash-points links a library that has the points (src/core/point.h).  Its scenes stand in files
 * points_NAME.c, one for each kind of object; a new file is found by itself.  They are ordinary
 * tests, for all start methods, which cast processes for roles and let one of them die:
 *
 *      #include "crash/points.h"
 *
 *      static void
 *      role_set(mproc_args *args)
 *      {
 *              CHECK_OK(mproc_event_set(mproc_args_event(args, 0)));
 *      }
 *
 *      START_METHOD_TEST(death_in_event_set)
 *      {
 *              mproc_process *victim;
 *              mproc_event *event;
 *
 *              CHECK_OK(mproc_event_create(ctx, &event));
 *              victim = cast_victim(ctx, "event.set.told", role_set, MPROC_ARGS(event));
 *              await_death(victim, "event.set.told");
 *              ... what holds now, whatever the victim did or did not do ...
 *              mproc_event_free(event);
 *      }
 *
 * A point's name stands in quotes in one of these files, or points.sh tells that it is missing.
 *
 * Runs in: test processes, with a library that has the points.
 */
#ifndef POINTS_H
#define POINTS_H

#include "crash/crash.h"

/* What a process does.  Its arguments are those given to cast, by the same indexes. */
typedef void role(mproc_args *args);

/* Start a process; it has come to the beginning of its role when this returns. */
mproc_process *cast(mproc_context *ctx, role *wanted, mproc_arglist args);

/* The same; but it dies when it comes by this point. */
mproc_process *cast_victim(mproc_context *ctx, const char *point, role *wanted, mproc_arglist args);

/* It sleeps in the kernel (or has ended). */
void await_asleep(mproc_process *process);

/* It was stopped, by a signal or at a point (MPROC_POINT=NAME=stop in its environment). */
void await_stop_of(pid_t pid);

/* True once it is dead (then it is freed); a test's failure if it ended otherwise, or not in 20 seconds from its
 * casting.  await_death asks until it is. */
bool has_died(mproc_process *victim, const char *point);
void await_death(mproc_process *victim, const char *point);

#endif
