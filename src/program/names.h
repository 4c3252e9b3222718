/* SPDX-License-Identifier: MIT */
/*
 * program/names.h - named objects: files in /dev/shm that strangers meet at.
 *
 * A named object is a file that is complete before it has its name: it is made
 * without one (O_TMPFILE), filled, and linked.  Its first page tells which program
 * made it, so nobody removes what is not his.  Removing takes a lock on the file
 * and looks again whether the name still means this file, so that two removers
 * and a creator cannot hurt each other.
 */
#ifndef MPROC_PROGRAM_NAMES_H
#define MPROC_PROGRAM_NAMES_H

#include "program/program.h"

enum mproc__name_kind { MPROC__NAME_SEMAPHORE = 1, MPROC__NAME_SHM = 2 };

#define MPROC__NAME_MAX 201          /* with the leading '/', without the NUL */
#define MPROC__NAMED_HEADER_BYTES 128 /* what of the file's first page belongs to names.c */

/* 0 or -EINVAL with words. */
int mproc__name_check(const char *name);

/*
 * An unnamed file of len bytes on the file system for named objects, its header
 * written; *ret_fd is the caller's.  He fills the rest and publishes it.  With words.
 */
int mproc__named_prepare(enum mproc__name_kind kind, size_t len, int *ret_fd);

/*
 * Record the name in the beacon (so that it is removed when the program is
 * gone, whatever happens next), see that a tracker lives, then link it.
 * -EEXIST and others, with words; then nothing is left behind.  A name that only a
 * dead program holds is taken from it.  Stands in tracker/publish.c.
 */
int mproc__named_publish(enum mproc__name_kind kind, const char *name, int fd);

/* Open an existing one; checks kind, owner and header.  -ENOENT, MPROC_ECORRUPT, with words. */
int mproc__named_open(enum mproc__name_kind kind, const char *name, int *ret_fd, size_t *ret_len);

/* Remove the name and its record.  -ENOENT, with words. */
int mproc__named_unlink(enum mproc__name_kind kind, const char *name);

/*
 * The caller holds the beacon's exclusive lock: its program is gone.  Remove every
 * recorded name that is still that program's; returns how many, and their names,
 * separated by spaces, cut to fit.
 */
int mproc__names_sweep(int beacon_fd, char *ret_names, size_t size);
int mproc__names_sweep_kinds(int beacon_fd, char *ret_names, size_t size, int *ret_shm); /* and of them, shm's */

/*
 * Look for beacons of dead programs of this user, sweep and remove them.  Returns the number of names
 * removed.  except: the tracker's own program, whose beacon it must not open once more; may be NULL.
 */
int mproc__names_sweep_dead_programs(const struct mproc__program_id *except);

#endif
