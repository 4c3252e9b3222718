/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/shared.c - memory that users share, where there are no seals.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 */
#include "platform/shared.h"
#include "platform/memory.h"

int
mproc__shared_create(const char *name, uint64_t len, int *ret_fd)
{
        return mproc__memory_create(name, len, ret_fd);
}
