/* SPDX-License-Identifier: MIT */
/*
 * platform/shared.h - memory that users share: of any size, growing, read-only, sealed.
 *
 * Beside memory.h, which has what the library's own segments need.  The functions return 0 or a negated
 * errno and set no words.
 */
#ifndef MPROC_PLATFORM_SHARED_H
#define MPROC_PLATFORM_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory without a name of len bytes, all zero, that can be made larger but not smaller. */
int mproc__shared_create(const char *name, uint64_t len, int *ret_fd);

/* len bytes of it, from offset on.  at NULL: anywhere; otherwise there, in place of what is there. */
int mproc__shared_map(int fd, uint64_t offset, size_t len, bool readonly, void *at, void **ret_base);

#endif
