/* SPDX-License-Identifier: MIT */
/*
 * platform/store.h - files that get their name when they are complete, and locks that
 * tell who lives.
 *
 * The functions return 0 or a negated errno and set no words.
 *
 * Some systems can make a file without a name and give it one later.  Others (the portable
 * answers, see docs/portability.md) give it a makeshift name in the same directory,
 * pmproc-UID.t.RANDOM, which goes when the real one comes.  A process that is killed in between
 * leaves it behind; mproc__store_sweep removes such files once they are ten minutes old.
 */
#ifndef MPROC_PLATFORM_STORE_H
#define MPROC_PLATFORM_STORE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * What the names of all our files begin with.  The portable build asks who lives in another way, and
 * would be taken for dead by the ordinary one, so the two do not look at each other's files.
 */
#ifdef MPROC_PORTABLE
#define MPROC__STORE_PREFIX "pmproc"
#else
#define MPROC__STORE_PREFIX "mproc"
#endif

/* A new file in that directory, 0600 whatever the umask, for reading and writing: its descriptor, or -errno. */
int mproc__store_unnamed(const char *directory);

/* Give a file of mproc__store_unnamed its name, at once and whole.  -EEXIST: somebody has it. */
int mproc__store_name(int fd, const char *path);

/* It will not get one after all; the descriptor stays the caller's.  Also right for a file that has its name. */
void mproc__store_discard(int fd);

/* May a name be given at any time, and by any process that has the descriptor?  Otherwise: by its maker, at once. */
bool mproc__store_names_later(void);

/* Another open file description of the file behind a descriptor; path: its name, if it has one. */
int mproc__store_reopen(int fd, const char *path, int *ret_fd);

/* Remove makeshift names of this user that were left behind. */
void mproc__store_sweep(const char *directory);

/*
 * Have the name removed when this process exits in order, unless the file then has more than
 * size_max bytes, which somebody may need.  Where names are given later there is nothing to do.
 */
void mproc__store_forget_at_exit(int fd, const char *path, off_t size_max);

/*
 * Life.  An open file description holds it, and with it all processes that have the
 * description, until the last of them is gone, however it ends.  Strangers, through
 * descriptions of their own, look at it, or claim it, which is granted when nobody holds it and
 * nobody else claims it.  A claim is for one process at a time; its forked children do not have it.
 */
enum mproc__life { MPROC__LIFE_OVER, MPROC__LIFE_HELD, MPROC__LIFE_CLAIMED };

int mproc__life_hold(int fd, off_t byte);
enum mproc__life mproc__life_look(int fd, off_t byte); /* in doubt HELD */
int mproc__life_claim(int fd, off_t byte, bool wait);  /* -EAGAIN */
void mproc__life_release(int fd, off_t byte);

/* A mark that one process can have at a time, until it ends or closes a descriptor of the file. */
int mproc__mark_take(int fd, off_t byte);   /* -EAGAIN: somebody has it */
bool mproc__mark_taken(int fd, off_t byte); /* by another process; in doubt true */

#endif
