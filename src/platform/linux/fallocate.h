/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/fallocate.h - fallocate(2) for callers that hold locks.
 *
 * Like pread and pwrite it is a cancellation point, and it can be interrupted: neither is seen by who calls this.
 */
#ifndef MPROC_PLATFORM_LINUX_FALLOCATE_H
#define MPROC_PLATFORM_LINUX_FALLOCATE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>

/* The kernel's ABI, where libc does not have it. */
#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE 1
#endif
#ifndef FALLOC_FL_PUNCH_HOLE
#define FALLOC_FL_PUNCH_HOLE 2
#endif

static inline int
mproc__linux_fallocate(int fd, int mode, uint64_t offset, uint64_t len)
{
        int state, r;

        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        do
                r = fallocate(fd, mode, (off_t)offset, (off_t)len) == 0 ? 0 : -errno;
        while (r == -EINTR);
        (void)pthread_setcancelstate(state, NULL);
        return r;
}

#endif
