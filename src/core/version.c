/* SPDX-License-Identifier: MIT */
/*
 * core/version.c - which version this is.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include <mproc/version.h>

const char *
mproc_version(void)
{
        return MPROC_VERSION;
}
