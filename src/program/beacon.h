/* SPDX-License-Identifier: MIT */
/*
 * program/beacon.h - the beacon as a file: what stands in it, and what its locks mean.
 *
 * program.c has this process's own beacon; the tracker and whoever looks after
 * dead programs meet other programs' through the functions here.  Four bytes far
 * behind the content are never written, only locked:
 *
 *   life     Held by the program's open file description (mproc__life_hold), since the
 *            beacon was made.  All processes of the program share that description, so
 *            it is over with the last of them.  Claimed: the program is over, and the
 *            claimer, through a description of his own, removes what it left.
 *   tracker  The tracker's mark, as long as it lives.
 *   names    Write lock of the process (F_SETLKW) that changes the table of names; within a
 *            process MPROC__LOCK_PROGRAM is held, for such a lock does not tell threads apart.
 *   start    The same, of the process that starts a tracker.
 *
 * Any number of strangers may look at a program, and none of them can be mistaken for it.
 *
 * A process must never close a second descriptor of its own beacon: closing any
 * descriptor of a file drops all locks that the process (not a description) holds on it.
 */
#ifndef MPROC_PROGRAM_BEACON_H
#define MPROC_PROGRAM_BEACON_H

#include "program/program.h"

#include <sys/stat.h>
#include <sys/types.h>

#define MPROC__BEACON_MAGIC   "mproc\0B\1"
#define MPROC__BEACON_VERSION 3u

/* Written once, before anybody else can see the file; read without a lock. */
struct mproc__beacon_header {
        uint8_t magic[8];
        uint32_t version;
        uint32_t size_bytes; /* of this struct */
        struct mproc__program_id id;
};
_Static_assert(sizeof(struct mproc__beacon_header) == 32, "layout of the beacon's header");
_Static_assert(sizeof(off_t) == 8, "the bytes that are locked lie beyond 2 GiB");

#define MPROC__BEACON_LIFE_BYTE    ((off_t)1 << 40)
#define MPROC__BEACON_NAMES_BYTE   ((off_t)1 << 41)
#define MPROC__BEACON_TRACKER_BYTE ((off_t)1 << 42)
#define MPROC__BEACON_START_BYTE   ((off_t)1 << 43)

/* Where named things live.  All of them are files there, 0600, of this user. */
#define MPROC__SHM_DIR             "/dev/shm"

#define MPROC__ID_TEXT_MAX         33 /* an identity in hexadecimal, with the NUL */
#define MPROC__BEACON_PATH_MAX     80

enum mproc__program_state {
        MPROC__PROGRAM_ALIVE,  /* at least one process of it lives */
        MPROC__PROGRAM_ENDING, /* all are gone, and somebody is there who removes what they left */
        MPROC__PROGRAM_DEAD    /* all are gone, the tracker too */
};

void mproc__program_id_text(const struct mproc__program_id *id, char ret_text[MPROC__ID_TEXT_MAX]);
bool mproc__program_id_equal(const struct mproc__program_id *a, const struct mproc__program_id *b);

/* The path of a beacon that has its name; owner is the owner of the file. */
void mproc__beacon_path(uid_t owner, const struct mproc__program_id *id, char ret_path[MPROC__BEACON_PATH_MAX]);

/*
 * A file for named things without a name, 0600 whatever the umask, for reading
 * and writing.  Returns its descriptor or -errno.  It is named, or discarded: see platform/store.h.
 */
int mproc__shm_unnamed(void);

/* Write the header and take the life lock, in a new file that nobody else has.  0 or -errno. */
int mproc__beacon_init(int fd, struct mproc__program_id *ret_id);

/* Is that a beacon?  0, MPROC_ECORRUPT (no words), -errno.  Whose it is, is for the caller to ask. */
int mproc__beacon_check(int fd, struct mproc__program_id *ret_id, struct stat *ret_st);

/*
 * A description of its own on the beacon behind a descriptor, or on the named
 * beacon of a program of this user.  The first is for the tracker alone; neither
 * for this process's own beacon (see above).  -ENOENT, -EACCES, else as beacon_check.
 */
int mproc__beacon_reopen(int fd, int *ret_fd);
int mproc__beacon_open(const struct mproc__program_id *id, int *ret_fd);

/* Through any descriptor that is not the program's own. */
enum mproc__program_state mproc__beacon_state(int fd);

/* Does the program have a tracker?  Through any descriptor but the tracker's own. */
bool mproc__beacon_tracked(int fd);

/* The tracker's: 0, or -EAGAIN if another has it. */
int mproc__beacon_claim_tracker(int fd);

/*
 * The life byte for writing: the right to sweep.  wait: until the program is
 * over; otherwise -EAGAIN while it lives or somebody else sweeps.
 */
int mproc__beacon_claim_end(int fd, bool wait);

/*
 * End a claim and close.  The lock is given up in words of its own, because a child
 * that another thread forks at this moment would keep the description, and with it the lock.
 */
void mproc__beacon_release(int *fd);

/*
 * Locks of this process on its own beacon: MPROC__BEACON_NAMES_BYTE or _START_BYTE.
 * The caller holds MPROC__LOCK_PROGRAM.  Waits for other processes.
 */
int mproc__beacon_lock(int fd, off_t byte);
void mproc__beacon_unlock(int fd, off_t byte);

/* --- this process's own, see program.c -------------------------------------------------------- */

/* Is that the program of this process?  Does not make a beacon to find out. */
bool mproc__program_is(const struct mproc__program_id *id);

/* Is that file this process's beacon, which it must not open a second time? */
bool mproc__program_owns_file(dev_t dev, ino_t ino);

/* Give the beacon its name in /dev/shm, if it has none yet.  With words: MPROC_EPROGRAM, -ENOSPC, ... */
int mproc__program_name_beacon(void);

#endif
