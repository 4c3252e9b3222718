/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/memory.c - shared memory by shm_open, bells by fifos.
 *
 * Runs in: every process.  Owns: nothing; descriptors and mappings belong to the caller.
 *
 * What is made here has a name for a moment (platform/portable/temporary.h), until the
 * next line of the program.  Who is killed in that moment leaves an empty file, which a later
 * program sweeps (mproc__store_sweep).
 */
#include "platform/memory.h"
#include "platform/platform.h"
#include "platform/portable/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int
mproc__plat_memfd(const char *name, int *ret_fd)
{
        char path[64];
        size_t len;
        int fd, r;

        do {
                if ((r = mproc__temporary_name("", path, sizeof path)) < 0)
                        return r;
                len = strlen(path);
#ifdef __linux__ /* which shows it in /proc/PID/fd and maps; elsewhere such a name is too long */
                (void)snprintf(path + len, sizeof path - len, ".%s", name);
#else
                (void)name;
                (void)len;
#endif
                fd = shm_open(path, O_CREAT | O_EXCL | O_RDWR, 0600); /* close-on-exec by definition */
        } while (fd < 0 && errno == EEXIST);
        if (fd < 0)
                return -errno;
        (void)shm_unlink(path);
        if ((fd = mproc__plat_off_streams(fd)) < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

/*
 * POSIX knows no seals.  Nobody of the program makes its memory smaller; a process that was
 * handed some and does it on purpose ends those who have it mapped.
 */
int
mproc__memory_keep_from_shrinking(int fd)
{
        (void)fd;
        return 0;
}

bool
mproc__memory_cannot_shrink(int fd)
{
        (void)fd;
        return true;
}

/* Like pread and pwrite a cancellation point, and our callers hold locks. */
int
mproc__memory_reserve(int fd, uint64_t offset, uint64_t len)
{
        int state, r;

        if (len > UINT64_MAX - offset)
                return -EFBIG;
        if ((r = mproc__memory_check_limit(offset + len)) < 0)
                return r;
        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        do
                r = -posix_fallocate(fd, (off_t)offset, (off_t)len);
        while (r == -EINTR);
        (void)pthread_setcancelstate(state, NULL);
        return r;
}

/*
 * Making holes in files is each system's own: FALLOC_FL_PUNCH_HOLE, F_PUNCHHOLE, fspacectl.  Without it
 * the pages stay until the file is gone; nobody relies on reading zeros.
 */
void
mproc__memory_release(int fd, uint64_t offset, uint64_t len)
{
#ifdef FALLOC_FL_PUNCH_HOLE
        int state, saved = errno;

        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        while (len > 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) != 0 &&
               errno == EINTR)
                ;
        (void)pthread_setcancelstate(state, NULL);
        errno = saved;
#else
        (void)fd;
        (void)offset;
        (void)len;
#endif
}

/*
 * POSIX leaves open what a fifo is that one descriptor reads and writes; all systems
 * known to us give just that: a pipe behind one descriptor.
 */
int
mproc__bell_create(int *ret_fd)
{
        char path[64];
        int fd, r;

        do {
                if ((r = mproc__temporary_name(MPROC__TEMPORARY_FOLDER, path, sizeof path)) < 0)
                        return r;
                r = mkfifo(path, 0600) == 0 ? 0 : -errno;
        } while (r == -EEXIST);
        if (r < 0)
                return r;
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        r = fd < 0 ? -errno : 0;
        (void)unlink(path);
        if (r < 0)
                return r;
        if ((fd = mproc__plat_off_streams(fd)) < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

/* A bell that is full has rung. */
void
mproc__bell_ring(int fd)
{
        int saved = errno;

        while (write(fd, "", 1) < 0 && errno == EINTR)
                ;
        errno = saved;
}

/* Until it is empty, or nearly: somebody who rings all the while must not keep us. */
void
mproc__bell_silence(int fd)
{
        char waste[4096];
        int saved = errno;
        ssize_t n;

        do
                n = read(fd, waste, sizeof waste);
        while ((n < 0 && errno == EINTR) || n == (ssize_t)sizeof waste);
        errno = saved;
}
