/* SPDX-License-Identifier: MIT */
/* sync/lock.h - the user's lock, for those who pass it on or wait under it. */
#ifndef MPROC_SYNC_LOCK_H
#define MPROC_SYNC_LOCK_H

#include "sync/owned_object.h"

struct mproc_lock;

extern const struct mproc__object_type mproc__lock_type;

/* What lies in shared memory; lives as long as the handle. */
struct mproc__owned *mproc__lock_owned(struct mproc_lock *lock);

#endif
