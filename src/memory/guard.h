/* SPDX-License-Identifier: MIT */
/*
 * memory/guard.h - the recursive lock that an array or a value brings along.
 *
 * It is a lock as mproc_rlock_create makes it: users get its handle and may pass that on by itself.  The object that
 * it belongs to has a reference of its own, so nothing breaks if somebody frees that handle.
 */
#ifndef MPROC_MEMORY_GUARD_H
#define MPROC_MEMORY_GUARD_H

#include "core/object.h"

#include <mproc/sync.h>

struct mproc__encoder;
struct mproc__decoder;

/* option: as the users' options have it, 0 or 1 a lock, -1 none (*ret is NULL).  With words. */
int mproc__guard_create(mproc_context *ctx, int option, mproc_rlock **ret);

int mproc__guard_encode(mproc_rlock *guard, struct mproc__encoder *encoder); /* NULL too */
int mproc__guard_decode(struct mproc__decoder *decoder, mproc_rlock **ret);  /* with words */
bool mproc__guard_is_fork_only(const mproc_rlock *guard);                    /* NULL: no */
void mproc__guard_free(mproc_rlock *guard);                                  /* NULL is fine */

/* mproc_rlock_acquire and its sibling; what: "array", for the words when there is none. */
int mproc__guard_acquire(mproc_rlock *guard, const char *what, int64_t timeout_ms);
int mproc__guard_release(mproc_rlock *guard, const char *what);

#endif
