/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/shared.c - memory that users share, where there are no seals and no huge pages.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 */
#include "platform/shared.h"
#include "platform/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
mproc__shared_create(const char *name, uint64_t len, bool huge, int *ret_fd)
{
        return huge ? -EOPNOTSUPP : mproc__memory_create(name, len, ret_fd);
}

size_t
mproc__shared_huge_page(int fd)
{
        (void)fd;
        return mproc__memory_page();
}

/* ftruncate() could make it shorter than somebody else just made it: its last byte is claimed instead. */
int
mproc__shared_grow(int fd, uint64_t len, bool alone)
{
        int r;

        if (!alone)
                return mproc__memory_reserve(fd, len - 1, 1);
        if ((r = mproc__memory_check_limit(len)) < 0)
                return r;
        while (ftruncate(fd, (off_t)len) != 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

uint64_t
mproc__shared_memory_left(void)
{
        return UINT64_MAX;
}

/* The file has no name any more by which it could be opened again. */
int
mproc__shared_readonly(int fd, int *ret_fd)
{
        (void)fd;
        (void)ret_fd;
        return -ENOSYS;
}

int
mproc__shared_remap(int fd, uint64_t offset, void *base, size_t old_len, size_t new_len, bool readonly,
                    void **ret_base)
{
        void *moved;
        int r = mproc__shared_map(fd, offset, new_len, readonly, NULL, &moved);

        if (r < 0)
                return r;
        mproc__memory_unmap(base, old_len);
        *ret_base = moved;
        return 0;
}

void
mproc__shared_want_huge(void *base, size_t len)
{
        (void)base;
        (void)len;
}

/* Where no holes can be made, zeros are written: the memory stays. */
int
mproc__shared_discard(int fd, uint64_t offset, uint64_t len)
{
        int r = 0;

        mproc__memory_release(fd, offset, len);
#ifndef FALLOC_FL_PUNCH_HOLE
        static const char zeros[4096];

        for (; len > 0 && r == 0; offset += sizeof zeros) {
                size_t n = len < sizeof zeros ? (size_t)len : sizeof zeros;

                r = mproc__memory_write(fd, offset, zeros, n);
                len -= n;
        }
#endif
        return r;
}

int
mproc__shared_seal(int fd, int seals)
{
        (void)fd;
        (void)seals;
        return -ENOSYS;
}

int
mproc__shared_seals(int fd)
{
        (void)fd;
        return -ENOSYS;
}
