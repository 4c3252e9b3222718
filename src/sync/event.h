/* SPDX-License-Identifier: MIT */
/* sync/event.h - events, for those who pass them on. */
#ifndef MPROC_SYNC_EVENT_H
#define MPROC_SYNC_EVENT_H

#include "core/object.h"

extern const struct mproc__object_type mproc__event_type;

#endif
