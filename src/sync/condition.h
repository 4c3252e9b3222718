/* SPDX-License-Identifier: MIT */
/* sync/condition.h - conditions, for those who pass them on. */
#ifndef MPROC_SYNC_CONDITION_H
#define MPROC_SYNC_CONDITION_H

#include "core/object.h"

extern const struct mproc__object_type mproc__condition_type;

#endif
