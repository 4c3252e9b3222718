/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/system.c - memfds, random bytes, and what /proc and cgroups tell.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define HAVE_SINGLE_THREADED
#endif
#endif

int
mproc__plat_memfd(const char *name, int *ret_fd)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0)
                return -errno;
        if ((fd = mproc__plat_off_streams(fd)) < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

int
mproc__plat_random(void *buffer, size_t len)
{
        char *p = buffer;

        while (len > 0) {
                ssize_t n = getrandom(p, len, 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

bool
mproc__plat_is_main_thread(void)
{
        return syscall(SYS_gettid) == getpid();
}

bool
mproc__plat_single_threaded(void)
{
#ifdef HAVE_SINGLE_THREADED
        return __libc_single_threaded;
#else
        return false;
#endif
}

/* The directory has a link for itself, one for its parent, and one for each thread. */
int
mproc__plat_thread_count(void)
{
        struct stat st;

        if (stat("/proc/self/task", &st) != 0 || st.st_nlink < 3)
                return 1;
        return (int)st.st_nlink - 2;
}

/* Read a small file whole; NUL-terminated.  False if it cannot be read. */
static bool
read_file(const char *path, char *buffer, size_t size)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t len = 0;
        ssize_t n = 0;

        if (fd < 0)
                return false;
        while (len < size - 1 && ((n = read(fd, buffer + len, size - 1 - len)) > 0 || (n < 0 && errno == EINTR)))
                len += n > 0 ? (size_t)n : 0;
        mproc__plat_close(&fd);
        buffer[len] = 0;
        return n >= 0;
}

uint64_t
mproc__plat_process_start_time(pid_t pid)
{
        char path[40], text[1024], *p;
        unsigned long long start = 0;

        (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
        if (!read_file(path, text, sizeof text) || !(p = strrchr(text, ')')))
                return 0;
        if (sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                   &start) != 1)
                return 0;
        return start;
}

void
mproc__plat_set_process_name(const char *name)
{
        (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* One "QUOTA PERIOD" of cgroup v2 or the two files of v1, as whole CPUs, rounded up; 0: no limit. */
static int
quota_cpus(const char *directory, bool v2)
{
        char path[4500], text[64];
        long quota = -1, period = 100000;

        (void)snprintf(path, sizeof path, "%s/%s", directory, v2 ? "cpu.max" : "cpu.cfs_quota_us");
        if (!read_file(path, text, sizeof text))
                return 0;
        if (v2) {
                if (sscanf(text, "%ld %ld", &quota, &period) != 2) /* "max 100000" */
                        return 0;
        } else {
                quota = strtol(text, NULL, 10);
                (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
                if (read_file(path, text, sizeof text))
                        period = strtol(text, NULL, 10);
        }
        if (quota <= 0 || period <= 0)
                return 0;
        return (int)((quota + period - 1) / period);
}

/* The tightest quota from the process's own group up to the root. */
static int
tightest_quota(const char *root, const char *group, bool v2)
{
        char directory[4400];
        int least = 0;

        (void)snprintf(directory, sizeof directory, "%s%s", root, group);
        for (;;) {
                int cpus = quota_cpus(directory, v2);
                char *slash = strrchr(directory, '/');

                if (cpus > 0 && (least == 0 || cpus < least))
                        least = cpus;
                if (!slash || strlen(directory) <= strlen(root))
                        return least;
                *slash = 0;
        }
}

static int
cgroup_limit(void)
{
        char text[4096], *save = NULL;
        int least = 0;

        if (!read_file("/proc/self/cgroup", text, sizeof text))
                return 0;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                char *controllers = strchr(line, ':');
                char *group = controllers ? strchr(controllers + 1, ':') : NULL;
                int cpus = 0;

                if (!group)
                        continue;
                *group++ = 0;
                controllers++;
                if (*controllers == 0)
                        cpus = tightest_quota("/sys/fs/cgroup", group, true);
                else if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 ||
                         strstr(controllers, ",cpu,") ||
                         (strlen(controllers) > 4 && strcmp(controllers + strlen(controllers) - 4, ",cpu") == 0))
                        cpus = tightest_quota("/sys/fs/cgroup/cpu", group, false);
                if (cpus > 0 && (least == 0 || cpus < least))
                        least = cpus;
        }
        return least;
}

int
mproc__plat_cpu_count(void)
{
        int limit = cgroup_limit();
        int count = 0;

        /* The mask may be larger than cpu_set_t: ask with growing sets. */
        for (int n = 1024; n <= 1 << 20; n *= 2) {
                cpu_set_t *set = CPU_ALLOC((size_t)n);
                size_t size = CPU_ALLOC_SIZE((size_t)n);
                int r = set ? sched_getaffinity(0, size, set) : -1;

                if (r == 0)
                        count = CPU_COUNT_S(size, set);
                CPU_FREE(set);
                if (r == 0 || errno != EINVAL)
                        break;
        }
        if (count < 1)
                count = (int)sysconf(_SC_NPROCESSORS_ONLN);
        if (limit > 0 && limit < count)
                count = limit;
        return count > 0 ? count : 1;
}
