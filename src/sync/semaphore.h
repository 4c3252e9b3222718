/* SPDX-License-Identifier: MIT */
/* sync/semaphore.h - semaphores, for those who pass them on. */
#ifndef MPROC_SYNC_SEMAPHORE_H
#define MPROC_SYNC_SEMAPHORE_H

#include "core/object.h"

extern const struct mproc__object_type mproc__semaphore_type;

#endif
