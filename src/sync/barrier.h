/* SPDX-License-Identifier: MIT */
/* sync/barrier.h - barriers, for those who pass them on. */
#ifndef MPROC_SYNC_BARRIER_H
#define MPROC_SYNC_BARRIER_H

#include "core/object.h"

extern const struct mproc__object_type mproc__barrier_type;

#endif
