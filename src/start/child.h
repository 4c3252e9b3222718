/* SPDX-License-Identifier: MIT */
/* start/child.h - what every child does: become itself, run the target, tell the parent, end. */
#ifndef MPROC_START_CHILD_H
#define MPROC_START_CHILD_H

#include "start/start.h"

/* An exec'd or fork-served child: everything from the bootstrap message to exit().  Does not return. */
void mproc__child_main(int channel) __attribute__((noreturn));

/*
 * A forked child, with its parent's memory: runs the target and the atexit handlers that the
 * target registered, not its parent's.  Does not return.
 */
void mproc__child_run_forked(const struct mproc__launch *launch) __attribute__((noreturn));

/* See that exit() tells the parent first.  The fork server does it for its children, who inherit it. */
void mproc__child_watch_exit(void);

#endif
