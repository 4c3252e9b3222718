/* SPDX-License-Identifier: MIT */
/* sync/lock.h - the user's lock, for those who pass it on. */
#ifndef MPROC_SYNC_LOCK_H
#define MPROC_SYNC_LOCK_H

#include "core/object.h"

extern const struct mproc__object_type mproc__lock_type;

#endif
