/* SPDX-License-Identifier: MIT */
/* process/exit.h - what happens to children when their parent ends normally. */
#ifndef MPROC_PROCESS_EXIT_H
#define MPROC_PROCESS_EXIT_H

/* Before the first child: see that exit() comes by here. */
void mproc__exit_prepare(void);

#endif
