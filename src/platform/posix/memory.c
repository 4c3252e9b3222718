/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/memory.c - shared memory behind a descriptor: what POSIX can do with it.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 */
#include "platform/memory.h"
#include "platform/platform.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "files of any size");

#define TRANSFER_MAX ((size_t)1 << 30) /* the system moves at most 2 GiB at once */

size_t
mproc__memory_page(void)
{
        return (size_t)sysconf(_SC_PAGESIZE);
}

/* Going past RLIMIT_FSIZE raises SIGXFSZ, which would end somebody else's program: look before. */
int
mproc__memory_check_limit(uint64_t end)
{
        struct rlimit limit;

        if (end > INT64_MAX)
                return -EFBIG;
        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur)
                return -EFBIG;
        return 0;
}

int
mproc__memory_create(const char *name, uint64_t len, int *ret_fd)
{
        int fd = -1, r;

        if ((r = mproc__memory_check_limit(len)) < 0 || (r = mproc__plat_memfd(name, &fd)) < 0)
                return r;
        r = ftruncate(fd, (off_t)len) == 0 ? mproc__memory_keep_from_shrinking(fd) : -errno;
        if (r < 0) {
                mproc__plat_close(&fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

int
mproc__memory_look(int fd, uint64_t *ret_len, uint64_t ret_identity[2])
{
        struct stat st;

        if (fstat(fd, &st) != 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        *ret_len = st.st_size > 0 ? (uint64_t)st.st_size : 0;
        if (ret_identity) {
                ret_identity[0] = (uint64_t)st.st_dev;
                ret_identity[1] = (uint64_t)st.st_ino;
        }
        return 0;
}

int
mproc__memory_map(int fd, uint64_t offset, size_t len, void **ret_base)
{
        void *base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

        if (base == MAP_FAILED)
                return -errno;
        *ret_base = base;
        return 0;
}

/* One call in place of a fault for each page. */
void
mproc__memory_populate(void *base, size_t len)
{
#ifdef MADV_POPULATE_WRITE
        int saved = errno;

        (void)madvise(base, len, MADV_POPULATE_WRITE);
        errno = saved;
#else
        (void)base;
        (void)len;
#endif
}

void
mproc__memory_unmap(void *base, size_t len)
{
        int saved = errno;

        if (base)
                (void)munmap(base, len);
        errno = saved;
}

/* pread and pwrite are cancellation points, and our callers hold locks. */
int
mproc__memory_write(int fd, uint64_t offset, const void *data, size_t len)
{
        const char *p = data;
        int state, r = len > UINT64_MAX - offset ? -EFBIG : mproc__memory_check_limit(offset + len);

        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        while (len > 0 && r == 0) {
                ssize_t n = pwrite(fd, p, len < TRANSFER_MAX ? len : TRANSFER_MAX, (off_t)offset);

                if (n > 0) {
                        p += n;
                        offset += (uint64_t)n;
                        len -= (size_t)n;
                } else if (n == 0 || errno != EINTR) {
                        r = n == 0 ? -ENOSPC : -errno;
                }
        }
        (void)pthread_setcancelstate(state, NULL);
        return r;
}

int
mproc__memory_read(int fd, uint64_t offset, void *buffer, size_t len)
{
        char *p = buffer;
        int state, r = 0;

        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        while (len > 0 && r == 0) {
                ssize_t n = pread(fd, p, len < TRANSFER_MAX ? len : TRANSFER_MAX, (off_t)offset);

                if (n > 0) {
                        p += n;
                        offset += (uint64_t)n;
                        len -= (size_t)n;
                } else if (n == 0 || errno != EINTR) {
                        r = n == 0 ? -ENODATA : -errno;
                }
        }
        (void)pthread_setcancelstate(state, NULL);
        return r;
}
