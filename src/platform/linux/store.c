/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/store.c - O_TMPFILE, linkat(2), and locks of open file descriptions.
 *
 * Runs in: every process.  Owns: nothing; descriptors belong to the caller.
 *
 * Asking about a lock (F_OFD_GETLK) touches nothing, so any number of strangers may.
 */
#include "platform/store.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int
mproc__store_unnamed(const char *directory)
{
        int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd < 0)
                return -errno;
        if ((fd = mproc__plat_off_streams(fd)) < 0)
                return fd;
        (void)fchmod(fd, 0600); /* the umask may have taken away more than it should */
        return fd;
}

int
mproc__store_name(int fd, const char *path)
{
        char link[40];

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

void
mproc__store_discard(int fd)
{
        (void)fd;
}

bool
mproc__store_names_later(void)
{
        return true;
}

int
mproc__store_reopen(int fd, const char *path, int *ret_fd)
{
        char link[40];
        int copy;

        (void)path; /* it may have none */
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        copy = open(link, O_RDWR | O_CLOEXEC);
        if (copy < 0)
                return -errno;
        if ((copy = mproc__plat_off_streams(copy)) < 0)
                return copy;
        *ret_fd = copy;
        return 0;
}

void
mproc__store_sweep(const char *directory)
{
        (void)directory;
}

void
mproc__store_forget_at_exit(int fd, const char *path, off_t size_max)
{
        (void)fd;
        (void)path;
        (void)size_max;
}

/* The lock that keeps this descriptor's description from writing that byte: F_UNLCK if none. */
static short
foreign_lock(int fd, off_t byte)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        return fcntl(fd, F_OFD_GETLK, &lock) == 0 ? lock.l_type : F_RDLCK; /* in doubt it lives */
}

int
mproc__life_hold(int fd, off_t byte)
{
        return mproc__plat_lock_byte(fd, F_OFD_SETLK, F_RDLCK, byte);
}

enum mproc__life
mproc__life_look(int fd, off_t byte)
{
        switch (foreign_lock(fd, byte)) {
        case F_UNLCK:
                return MPROC__LIFE_OVER;
        case F_WRLCK:
                return MPROC__LIFE_CLAIMED;
        default:
                return MPROC__LIFE_HELD;
        }
}

int
mproc__life_claim(int fd, off_t byte, bool wait)
{
        return mproc__plat_lock_byte(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, F_WRLCK, byte);
}

void
mproc__life_release(int fd, off_t byte)
{
        (void)mproc__plat_lock_byte(fd, F_OFD_SETLK, F_UNLCK, byte);
}

int
mproc__mark_take(int fd, off_t byte)
{
        return mproc__plat_lock_byte(fd, F_OFD_SETLK, F_WRLCK, byte);
}

bool
mproc__mark_taken(int fd, off_t byte)
{
        return foreign_lock(fd, byte) != F_UNLCK;
}
