/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/resident.c - how much memory a process has in use, where /proc tells.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int64_t
mproc__plat_resident_bytes(pid_t pid)
{
        char path[40], text[128];
        long long size, resident = 0;
        int fd, saved = errno;
        ssize_t n;

        (void)snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
        if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
                n = read(fd, text, sizeof text - 1);
                text[n > 0 ? n : 0] = '\0';
                if (sscanf(text, "%lld %lld", &size, &resident) != 2)
                        resident = 0;
                (void)close(fd);
        }
        errno = saved;
        return resident * sysconf(_SC_PAGESIZE);
}
