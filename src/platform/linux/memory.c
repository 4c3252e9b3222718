/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/memory.c - shared memory by memfd, bells by eventfd.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 */
#include "platform/memory.h"
#include "platform/linux/fallocate.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files of any size");

/* The kernel's ABI, where libc does not have it. */
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#ifndef F_SEAL_SHRINK
#define F_SEAL_SEAL   1
#define F_SEAL_SHRINK 2
#endif

int
mproc__memory_keep_from_shrinking(int fd)
{
        return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == 0 ? 0 : -errno;
}

bool
mproc__memory_cannot_shrink(int fd)
{
        int seals = fcntl(fd, F_GET_SEALS);

        return seals >= 0 && (seals & F_SEAL_SHRINK);
}

int
mproc__memory_reserve(int fd, uint64_t offset, uint64_t len)
{
        int r;

        if (len > UINT64_MAX - offset)
                return -EFBIG;
        if ((r = mproc__memory_check_limit(offset + len)) < 0)
                return r;
        return mproc__linux_fallocate(fd, 0, offset, len);
}

void
mproc__memory_release(int fd, uint64_t offset, uint64_t len)
{
        int saved = errno;

        if (len > 0)
                (void)mproc__linux_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
        errno = saved;
}

int
mproc__bell_create(int *ret_fd)
{
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        if (fd < 0)
                return -errno;
        if ((fd = mproc__plat_off_streams(fd)) < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

void
mproc__bell_ring(int fd)
{
        uint64_t one = 1;
        int saved = errno;

        while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
                ;
        errno = saved;
}

void
mproc__bell_silence(int fd)
{
        uint64_t count;
        int saved = errno;

        while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
                ;
        errno = saved;
}
