/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/system.c - what this process runs under.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "platform/platform.h"

#include <stdlib.h>
#include <string.h>

/* valgrind 3.19 has no pidfds, and complains on standard error each time it is asked for one. */
bool
mproc__plat_under_valgrind(void)
{
        const char *preload = getenv("LD_PRELOAD");

        return preload && strstr(preload, "vgpreload");
}
