/* SPDX-License-Identifier: MIT */
/*
 * program/executable.h - which executable children and helper processes run,
 * and whether this process has been through mproc_init.
 */
#ifndef MPROC_PROGRAM_EXECUTABLE_H
#define MPROC_PROGRAM_EXECUTABLE_H

#include <stddef.h>

/* argv[1] of processes that mproc starts by exec; mproc_init looks for them. */
#define MPROC__ARG_CHILD "--mproc-child"
#define MPROC__ARG_FORKSERVER "--mproc-forkserver"
#define MPROC__ARG_TRACKER "--mproc-tracker"

/* Descriptor 3 of such a process: the channel, the server's request socket, the beacon. */
#define MPROC__FD_INHERITED 3

/* mproc_init has run here.  name: argv[0], for ps; copied once. */
void mproc__executable_initialised(const char *name);

/*
 * May processes be started by exec from here?  0, or MPROC_EBOOTSTRAP with
 * words: mproc_init has not run and no other executable was set.
 * *ret_path: what to give to mproc__plat_spawn (NULL: the running executable), valid until
 * mproc__executable_release; *ret_name: argv[0] for the new process.
 */
int mproc__executable_acquire(char **ret_path, const char **ret_name);
void mproc__executable_release(char *path);

#endif
