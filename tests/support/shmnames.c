/* SPDX-License-Identifier: MIT */
/*
 * support/shmnames.c - names in /dev/shm that no living program owns.
 *
 * Runs in: the runner.  Other test programs run at the same time and have names of
 * their own there, so a name was left behind if it was not there before and no
 * living program stands behind it for a whole while.  A test that kills a whole
 * program on purpose has to see to its names at once, lest another's runner complains.
 */
#include "support/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define FOLDER "/dev/shm"

/* The runner's own test leaves a name on purpose, under a prefix that no other runner looks at. */
static const char *
prefix(void)
{
        const char *wanted = getenv("MPROC_TEST_SHM_PREFIX");

        return wanted ? wanted : shm_prefix();
}

void
shm_names_take(struct shm_names *ret_names)
{
        struct dirent *entry;
        DIR *dir = opendir(FOLDER);

        *ret_names = (struct shm_names){ NULL, 0 };
        while (dir && (entry = readdir(dir))) {
                if (strncmp(entry->d_name, prefix(), strlen(prefix())) != 0)
                        continue;
                ret_names->names = realloc(ret_names->names, (ret_names->count + 1) * sizeof *ret_names->names);
                CHECK_MSG(ret_names->names, "out of memory");
                snprintf(ret_names->names[ret_names->count++], sizeof *ret_names->names, "%s", entry->d_name);
        }
        if (dir)
                closedir(dir);
}

void
shm_names_free(struct shm_names *names)
{
        free(names->names);
        names->names = NULL;
        names->count = 0;
}

static bool
is_in(const struct shm_names *names, const char *name)
{
        for (size_t i = 0; i < names->count; i++)
                if (strcmp(names->names[i], name) == 0)
                        return true;
        return false;
}

/*
 * Asking for a lock's owner (F_OFD_GETLK) touches nothing, so this is in nobody's
 * way.  A program's beacon, mproc-UID.ID, is locked as long as it or its tracker lives.
 */
static bool
is_locked(const char *path)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET }; /* len 0: the whole file */
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        bool locked;

        if (fd < 0)
                return false;
        locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
        if (portable_build() && flock(fd, LOCK_SH | LOCK_NB) != 0)
                locked = true;
        close(fd);
        return locked;
}

/* A named object, mproc.KIND.NAME, begins with a magic, two numbers and its program's identity. */
static bool
owner_is_alive(const char *path)
{
        char beacon[128];
        unsigned char id[16];
        ssize_t len = -1;
        size_t at;
        int fd;

        if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) >= 0) {
                len = pread(fd, id, sizeof id, 16);
                close(fd);
        }
        if (len != (ssize_t)sizeof id)
                return false;
        at = (size_t)snprintf(beacon, sizeof beacon, FOLDER "/%s-%lu.", shm_prefix(), (unsigned long)geteuid());
        for (size_t i = 0; i < sizeof id; i++)
                at += (size_t)snprintf(beacon + at, sizeof beacon - at, "%02x", id[i]);
        return is_locked(beacon);
}

/* A name that is gone by now is nobody's either. */
static bool
program_is_dead(const char *name)
{
        char path[300];

        if (portable_build() && strncmp(name, "pmproc-", 7) == 0)
                return false; /* what was killed there leaves files to the next program of this user */
        snprintf(path, sizeof path, FOLDER "/%s", name);
        if (access(path, F_OK) != 0)
                return false;
        return !is_locked(path) && !(strncmp(name + portable_build(), "mproc.", 6) == 0 && owner_is_alive(path));
}

/* What left() hears of is new and dead. */
static void
for_each_left(const struct shm_names *before, void (*left)(const char *name, void *arg), void *arg)
{
        struct shm_names now;

        shm_names_take(&now);
        for (size_t i = 0; i < now.count; i++)
                if (!is_in(before, now.names[i]) && program_is_dead(now.names[i]))
                        left(now.names[i], arg);
        shm_names_free(&now);
}

static void
add_to_list(const char *name, void *arg)
{
        char **list = arg;
        char *longer = text_format("%s%s" FOLDER "/%s", *list ? *list : "", *list ? " " : "", name);

        free(*list);
        *list = longer;
}

static char *
list_left(const struct shm_names *before)
{
        char *list = NULL;

        for_each_left(before, add_to_list, &list);
        return list;
}

static void
remove_name(const char *name, void *arg)
{
        char path[300];

        (void)arg;
        snprintf(path, sizeof path, FOLDER "/%s", name);
        unlink(path);
}

void
shm_names_remove_left(const struct shm_names *before)
{
        for_each_left(before, remove_name, NULL);
}

char *
shm_names_left(const struct shm_names *before, int64_t grace_ms)
{
        int64_t end_ms = monotonic_ms() + grace_ms;
        char *list;

        while ((list = list_left(before)) && monotonic_ms() < end_ms) {
                free(list);
                sleep_ms(20);
        }
        return list;
}
