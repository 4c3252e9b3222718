/* SPDX-License-Identifier: MIT */
/*
 * tracker/tracker.h - the process that removes what dead processes leave.
 *
 * One per program.  It holds no memory of ours and speaks no protocol: what is to
 * be removed stands in the beacon, and that the program is over it learns from the
 * beacon's lock.  So its own death loses nothing: whoever notices starts another.
 */
#ifndef MPROC_TRACKER_H
#define MPROC_TRACKER_H

/*
 * This process's beacon, as mproc__program_beacon gives it, with a tracker at it; start one if not.  Called at each spawn or forkserver start and before a
 * name is published.  Cheap when it lives (one fcntl).  With words: MPROC_EPROGRAM.
 */
int mproc__tracker_ensure(int *ret_beacon);

/* The tracker's main(); runs in a process of its own, descriptor 3 is the beacon.  Never returns. */
void mproc__tracker_main(void) __attribute__((noreturn));

#endif
