/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/shared.c - memory that users share: memfds and their seals, huge pages.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 */
#include "platform/shared.h"
#include "platform/linux/fallocate.h"
#include "platform/memory.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/shm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files of any size");

/* The kernel's ABI, where libc does not have it. */
#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4u
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#ifndef F_SEAL_SHRINK
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW   4
#define F_SEAL_WRITE  8
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif
#ifndef MADV_HUGEPAGE
#define MADV_HUGEPAGE 14
#endif

static int
create_huge(const char *name, int *ret_fd)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

        if (fd < 0) /* a kernel without them, or without seals for them */
                return errno == EINVAL || errno == ENODEV || errno == ENOSYS ? -EOPNOTSUPP : -errno;
        if ((fd = mproc__plat_off_streams(fd)) < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

size_t
mproc__shared_huge_page(int fd)
{
        struct statfs fs;

        return fstatfs(fd, &fs) == 0 && fs.f_bsize > 0 ? (size_t)fs.f_bsize : mproc__memory_page();
}

int
mproc__shared_create(const char *name, uint64_t len, bool huge, int *ret_fd)
{
        int fd = -1, r;

        if ((r = mproc__memory_check_limit(len)) < 0 ||
            (r = huge ? create_huge(name, &fd) : mproc__plat_memfd(name, &fd)) < 0)
                return r;
        if (huge) {
                size_t page = mproc__shared_huge_page(fd);

                len = (len + page - 1) / page * page;
        }
        if (ftruncate(fd, (off_t)len) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
                r = -errno;
                mproc__plat_close(&fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

/*
 * ftruncate() makes a file as long as one says, so two who make it longer at the same time, by different lengths,
 * could make it shorter.  A memfd that is sealed against shrinking refuses; of other files the last page is
 * claimed, which can only make them longer.
 */
int
mproc__shared_grow(int fd, uint64_t len, bool alone)
{
        uint64_t now;
        int r = mproc__memory_check_limit(len);

        if (r < 0)
                return r;
        if (!alone && !mproc__memory_cannot_shrink(fd))
                return mproc__linux_fallocate(fd, 0, len - 1, 1);
        while (ftruncate(fd, (off_t)len) != 0) {
                r = -errno;
                if (r == -EPERM && mproc__memory_look(fd, &now, NULL) == 0 && now >= len)
                        return 0;
                if (r != -EINTR)
                        return r;
        }
        return 0;
}

/* open() is a cancellation point, too. */
static int
open_uncancelled(const char *path)
{
        int fd, state, saved;

        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        saved = errno;
        (void)pthread_setcancelstate(state, NULL);
        errno = saved;
        return fd;
}

int
mproc__shared_readonly(int fd, int *ret_fd)
{
        char link[40];
        int copy;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        copy = open_uncancelled(link);
        if (copy < 0) /* no /proc here, or none of ours */
                return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? -ENOSYS : -errno;
        if ((copy = mproc__plat_off_streams(copy)) < 0)
                return copy;
        *ret_fd = copy;
        return 0;
}

/* Some mappings the kernel does not make longer: of huge pages, for one.  Then a new one takes the old one's place.
 */
int
mproc__shared_remap(int fd, uint64_t offset, void *base, size_t old_len, size_t new_len, bool readonly,
                    void **ret_base)
{
        void *moved = mremap(base, old_len, new_len, MREMAP_MAYMOVE);
        int r;

        if (moved != MAP_FAILED) {
                *ret_base = moved;
                return 0;
        }
        if ((r = mproc__shared_map(fd, offset, new_len, readonly, NULL, &moved)) < 0)
                return r;
        mproc__memory_unmap(base, old_len);
        *ret_base = moved;
        return 0;
}

void
mproc__shared_want_huge(void *base, size_t len)
{
        int saved = errno;

        (void)madvise(base, len, MADV_HUGEPAGE);
        errno = saved;
}

int
mproc__shared_discard(int fd, uint64_t offset, uint64_t len)
{
        return mproc__linux_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

static const struct {
        int ours, kernels;
} seal_names[] = {
        { MPROC_SHM_SEAL_SHRINK, F_SEAL_SHRINK },
        { MPROC_SHM_SEAL_GROW, F_SEAL_GROW },
        { MPROC_SHM_SEAL_WRITE, F_SEAL_WRITE },
        { MPROC_SHM_SEAL_FUTURE_WRITE, F_SEAL_FUTURE_WRITE },
};

int
mproc__shared_seal(int fd, int seals)
{
        int kernels = 0;

        for (size_t i = 0; i < sizeof seal_names / sizeof *seal_names; i++)
                if (seals & seal_names[i].ours)
                        kernels |= seal_names[i].kernels;
        return fcntl(fd, F_ADD_SEALS, kernels) == 0 ? 0 : -errno;
}

int
mproc__shared_seals(int fd)
{
        int kernels = fcntl(fd, F_GET_SEALS), seals = 0;

        if (kernels < 0)
                return -errno;
        for (size_t i = 0; i < sizeof seal_names / sizeof *seal_names; i++)
                if (kernels & seal_names[i].kernels)
                        seals |= seal_names[i].ours;
        return seals;
}

/* "MemAvailable:   123456 kB" */
static uint64_t
kibibytes(const char *text, const char *field)
{
        const char *at = strstr(text, field);

        return at ? strtoull(at + strlen(field), NULL, 10) * 1024 : 0;
}

uint64_t
mproc__shared_memory_left(void)
{
        char text[2048];
        int fd, state;
        ssize_t n;

        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        mproc__plat_close(&fd);
        (void)pthread_setcancelstate(state, NULL);
        if (n <= 0)
                return UINT64_MAX;
        text[n] = 0;
        if (!strstr(text, "\nMemAvailable:"))
                return UINT64_MAX;
        return kibibytes(text, "\nMemAvailable:") + kibibytes(text, "\nSwapFree:");
}
