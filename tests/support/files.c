/* SPDX-License-Identifier: MIT */
/* support/files.c - temporary folders, whole files, and where the build put things. */
#include "support/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The session is in the name: the runner removes the folders of a test that could not do so itself. */
#define TEMP_PREFIX "mproc-test-"

static int
remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
        (void)st, (void)kind, (void)ftw;
        remove(path);
        return 0;
}

static const char *
temp_root(void)
{
        const char *root = getenv("TMPDIR");

        return root && root[0] ? root : "/tmp";
}

void
temp_dirs_remove(pid_t session)
{
        char prefix[64], path[PATH_MAX];
        struct dirent *entry;
        DIR *dir = opendir(temp_root());

        snprintf(prefix, sizeof prefix, TEMP_PREFIX "%d-", (int)session);
        while (dir && (entry = readdir(dir))) {
                if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
                        continue;
                snprintf(path, sizeof path, "%s/%s", temp_root(), entry->d_name);
                nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        }
        if (dir)
                closedir(dir);
}

const char *
temp_dir(void)
{
        static char path[PATH_MAX];
        static pid_t maker;

        if (maker == getpid())
                return path;
        snprintf(path, sizeof path, "%s/" TEMP_PREFIX "%d-XXXXXX", temp_root(), (int)getsid(0));
        CHECK_MSG(mkdtemp(path), "mkdtemp %s: %s", path, strerror(errno));
        maker = getpid();
        return path;
}

char *
path_in(const char *dir, const char *name)
{
        return text_format("%s/%s", dir, name);
}

char *
read_file(const char *path, size_t *ret_len)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        char *text;

        if (fd < 0)
                return NULL;
        text = read_to_end(fd, ret_len);
        close(fd);
        return text;
}

void
write_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

        CHECK_MSG(fd >= 0, "%s: %s", path, strerror(errno));
        write_all(fd, text, strlen(text));
        close(fd);
}

void
copy_file(const char *from, const char *to)
{
        size_t len;
        char *data = read_file(from, &len);
        struct stat st;
        int fd;

        CHECK_MSG(data && stat(from, &st) == 0, "%s: %s", from, strerror(errno));
        fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK_MSG(fd >= 0, "%s: %s", to, strerror(errno));
        write_all(fd, data, len);
        CHECK(fchmod(fd, st.st_mode & 07777) == 0);
        close(fd);
        free(data);
}

/*
 * By its path where there still is one there: valgrind and qemu do not run
 * "/proc/self/exe" itself.
 */
const char *
self_path(void)
{
        static _Thread_local char path[PATH_MAX];
        ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);

        if (len > 0) {
                path[len] = '\0';
                if (access(path, X_OK) == 0)
                        return path;
        }
        return "/proc/self/exe";
}

const char *
support_path(const char *name)
{
        static _Thread_local char path[PATH_MAX];

        snprintf(path, sizeof path, "%s/%s", SUPPORT_BIN_DIR, name);
        if (access(path, F_OK) != 0) /* a loadable object may be named without its suffix */
                snprintf(path, sizeof path, "%s/%s.so", SUPPORT_BIN_DIR, name);
        return path;
}

const char *
source_dir(void)
{
        return SUPPORT_SOURCE_DIR;
}

const char *
build_dir(void)
{
        return SUPPORT_BUILD_DIR;
}

bool
anybody_can_reach(const char *path)
{
        char part[PATH_MAX];
        struct stat st;

        snprintf(part, sizeof part, "%s", path);
        while (part[0]) { /* the folder itself, then those above it */
                if (stat(part, &st) != 0 || !(st.st_mode & S_IXOTH))
                        return false;
                *strrchr(part, '/') = '\0';
        }
        return true;
}

int
count_shm_names(const char *prefix)
{
        int count = 0;
        struct dirent *entry;
        DIR *dir = opendir("/dev/shm");

        while (dir && (entry = readdir(dir)))
                if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
                        count++;
        if (dir)
                closedir(dir);
        return count;
}
