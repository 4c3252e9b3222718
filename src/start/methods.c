/* SPDX-License-Identifier: MIT */
/*
 * start/methods.c - the table of start methods.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "start/start.h"

const struct mproc__start_method *const mproc__start_methods[] = {
        &mproc__start_fork,
        &mproc__start_spawn,
        &mproc__start_forkserver,
        NULL,
};

const char *const mproc__start_method_names[] = { "fork", "spawn", "forkserver", NULL };
