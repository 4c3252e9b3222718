/* SPDX-License-Identifier: MIT */
/* memory/value.h - single numbers, for those who pass them on. */
#ifndef MPROC_MEMORY_VALUE_H
#define MPROC_MEMORY_VALUE_H

#include "core/object.h"

#include <mproc/array.h>

extern const struct mproc__object_type mproc__value_type;

#endif
