/* SPDX-License-Identifier: MIT */
/* sync/rlock.h - the recursive lock, for those who pass it on or wait under it. */
#ifndef MPROC_SYNC_RLOCK_H
#define MPROC_SYNC_RLOCK_H

#include "sync/owned_object.h"

struct mproc_rlock;

extern const struct mproc__object_type mproc__rlock_type;

/* What lies in shared memory; lives as long as the handle. */
#define MPROC__RLOCK_MAGIC 0x6d70726cu

struct mproc__owned *mproc__rlock_owned(struct mproc_rlock *rlock);

#endif
