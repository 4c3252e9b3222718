/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/shared.c - memory that users share: what POSIX can do with it.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 */
#include "platform/shared.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

int
mproc__shared_map(int fd, uint64_t offset, size_t len, bool readonly, void *at, void **ret_base)
{
        void *base = mmap(at, len, readonly ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0),
                          fd, (off_t)offset);

        if (base == MAP_FAILED)
                return -errno;
        *ret_base = base;
        return 0;
}

/* Some file systems have no size of their own: they tell 0. */
int
mproc__shared_room(int fd, uint64_t *ret_bytes)
{
        struct statvfs fs;

        if (fstatvfs(fd, &fs) != 0)
                return -errno;
        *ret_bytes = fs.f_blocks == 0 ? UINT64_MAX : (uint64_t)fs.f_bavail * fs.f_frsize;
        return 0;
}
