/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/shared.c - memory that users share: memfds and their seals.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 */
#include "platform/shared.h"
#include "platform/memory.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The kernel's ABI, where libc does not have it. */
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#ifndef F_SEAL_SHRINK
#define F_SEAL_SHRINK 2
#endif

int
mproc__shared_create(const char *name, uint64_t len, int *ret_fd)
{
        int fd = -1, r;

        if ((r = mproc__memory_check_limit(len)) < 0 || (r = mproc__plat_memfd(name, &fd)) < 0)
                return r;
        if (ftruncate(fd, (off_t)len) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
                r = -errno;
                mproc__plat_close(&fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}
