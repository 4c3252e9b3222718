/* SPDX-License-Identifier: MIT */
/*
 * core/locks.h - the library's process-private global locks, ranked.
 *
 * A thread may take a lock only if all it holds rank lower (stand further up in
 * the table); debug builds check it.  At fork() all of them are taken in order
 * by the forking thread and made new in the child, so that no child is born
 * with a lock that a thread of its parent held.  docs/locking.md tells what each
 * protects.  Locks inside objects are taken before these, never while one of
 * these is held, and are made new in a forked child by the object's type (core/object.h).
 */
#ifndef MPROC_CORE_LOCKS_H
#define MPROC_CORE_LOCKS_H

enum mproc__lock {
        MPROC__LOCK_START,    /* start/: one start at a time where a helper process is (re)started */
        MPROC__LOCK_CONTEXT,  /* context/: default method, executable, preload list */
        MPROC__LOCK_CHILDREN, /* process/: the list of children and their states */
        MPROC__LOCK_PROGRAM,  /* program/: the beacon, the names this process created */
        MPROC__LOCK_STASH,    /* start/stash.c: what this process took out of its bootstrap channel */
        MPROC__LOCK_SEGMENTS, /* shm/: the mapped segments of this process */
        MPROC__LOCK_OBJECTS,  /* core/object.c: the set of live handles */
        MPROC__LOCK_LOG,      /* core/log.c: the hook */
        MPROC__LOCK_COUNT
};

void mproc__lock(enum mproc__lock which);
void mproc__unlock(enum mproc__lock which);

/* Taken and freed around fork(); start/forked.c registers them with pthread_atfork. */
void mproc__locks_prepare_fork(void);
void mproc__locks_parent_after_fork(void);
void mproc__locks_child_after_fork(void);

#endif
