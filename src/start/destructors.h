/* SPDX-License-Identifier: MIT */
/*
 * start/destructors.h - has exit() anything to run but what was registered since?
 *
 * exit() goes through every object's destructors and libc's own clearing up, a dozen page
 * faults for a child of the fork server.  In a C program there are none as a rule: what the child
 * registers itself is younger than what it was born with.
 */
#ifndef MPROC_START_DESTRUCTORS_H
#define MPROC_START_DESTRUCTORS_H

#include <stdbool.h>

/* In the fork server, before its first fork: look at all that is loaded. */
void mproc__destructors_look(void);

/* In its child: no object had constructors or destructors then, and none was loaded since.  False when in doubt. */
bool mproc__destructors_none(void);

#endif
