/* SPDX-License-Identifier: MIT */
/*
 * core/point.c - what happens at a named place; see point.h.
 *
 * Runs in: every process, in builds for crash tests only.  Owns: a count.
 */
#include "core/point.h"

#ifdef MPROC_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The variable is read each time, so that a test can set it in the very process that is to die. */
void
mproc__point(const char *name)
{
        static _Atomic long passed;
        const char *plan = getenv("MPROC_POINT");
        size_t len = strlen(name);
        const char *at;

        if (!plan || strncmp(plan, name, len) != 0 || plan[len] != '=')
                return;
        plan += len + 1;
        at = strchr(plan, '@');
        if (atomic_fetch_add(&passed, 1) + 1 != (at ? strtol(at + 1, NULL, 10) : 1))
                return;
        (void)raise(strncmp(plan, "stop", 4) == 0 ? SIGSTOP : SIGKILL);
}

#else
typedef int mproc__no_points; /* a translation unit is never empty */
#endif
