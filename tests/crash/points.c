/* SPDX-License-Identifier: MIT */
/*
 * crash/points.c - the harness of crash-points; see points.h.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARGS_MAX = 12 };

/*
 * The target of all.  Behind the role's own arguments: its place in the program, relative to this function;
 * where to tell that it begins; the plan for a point, or "".
 */
static int
play(mproc_args *args)
{
        size_t own = mproc_args_count(args) - 3;
        uintptr_t place = (uintptr_t)play + (uintptr_t)mproc_args_int(args, own);
        const char *plan = mproc_args_string(args, own + 2);

        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, own + 1)));
        if (plan[0])
                CHECK(setenv("MPROC_POINT", plan, 1) == 0);
        ((role *)place)(args);
        return 0;
}

static mproc_process *
cast_with(mproc_context *ctx, role *wanted, mproc_arglist args, const char *plan)
{
        mproc_arg all[ARGS_MAX + 3];
        mproc_process *process;
        mproc_semaphore *ready;

        CHECK(args.count <= ARGS_MAX);
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (size_t i = 0; i < args.count; i++)
                all[i] = args.values[i];
        all[args.count] = mproc_arg_int((int64_t)((uintptr_t)wanted - (uintptr_t)play));
        all[args.count + 1] = mproc_arg_semaphore(ready);
        all[args.count + 2] = mproc_arg_string(plan);
        CHECK_OK(mproc_process_create(ctx, play, (mproc_arglist){ all, args.count + 3 }, &process));
        CHECK_OK(mproc_process_start(process));
        CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(20000)));
        mproc_semaphore_free(ready);
        return process;
}

mproc_process *
cast(mproc_context *ctx, role *wanted, mproc_arglist args)
{
        return cast_with(ctx, wanted, args, "");
}

mproc_process *
cast_victim(mproc_context *ctx, const char *point, role *wanted, mproc_arglist args)
{
        char plan[100];

        CHECK(snprintf(plan, sizeof plan, "%s=kill", point) < (int)sizeof plan);
        return cast_with(ctx, wanted, args, plan);
}

void
await_asleep(mproc_process *process)
{
        await_sleep_of(mproc_process_pid(process));
}

bool
has_died(mproc_process *victim, const char *point)
{
        static mproc_process *asked;
        static int64_t end;
        int exitcode;

        if (asked != victim) {
                asked = victim;
                end = monotonic_ms() + scaled_ms(20000);
        }
        if (mproc_process_join(victim, 10) != 0) {
                CHECK_MSG(monotonic_ms() < end, "%s: the victim neither came by nor died", point);
                return false;
        }
        asked = NULL;
        CHECK_OK(mproc_process_exitcode(victim, &exitcode));
        CHECK_MSG(exitcode == -SIGKILL, "%s: the victim ended with %d: %s", point, exitcode,
                  mproc_process_error(victim));
        mproc_process_free(victim);
        return true;
}

void
await_death(mproc_process *victim, const char *point)
{
        while (!has_died(victim, point))
                ;
}

void
await_stop_of(pid_t pid)
{
        int64_t end = monotonic_ms() + scaled_ms(20000);
        char path[40], state = 0;

        CHECK(snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid) < (int)sizeof path);
        while (state != 'T') {
                FILE *file = fopen(path, "re");

                CHECK(file && monotonic_ms() < end);
                CHECK(fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
                CHECK(fclose(file) == 0);
        }
}
