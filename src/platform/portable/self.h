/* SPDX-License-Identifier: MIT */
/* platform/portable/self.h - the file that this process runs, which each system tells in its own way. */
#ifndef MPROC_PLATFORM_SELF_H
#define MPROC_PLATFORM_SELF_H

#include <stddef.h>

/* A path to execute; it may lie in the buffer.  NULL: unknown. */
const char *mproc__self_executable(char *buffer, size_t size);

#endif
