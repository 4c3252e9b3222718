/* SPDX-License-Identifier: MIT */
/*
 * support/shmnames.c - names in /dev/shm that no living program owns.
 *
 * Runs in: the runner.  Other test programs run at the same time and have names of
 * their own there, so only a name that was not there before, and on whose file
 * nobody holds a lock for a whole while, is one that was left behind.  A test that
 * kills a whole program on purpose has to see to its names at once, lest another's
 * runner complains.
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

        return wanted ? wanted : "mproc";
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

/* A living program holds a shared lock, so this one is not granted; a name that is gone is nobody's either. */
static bool
program_is_dead(const char *name)
{
        char path[300];
        bool dead;
        int fd;

        snprintf(path, sizeof path, FOLDER "/%s", name);
        if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
                return false;
        dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
        close(fd);
        return dead;
}

static char *
list_left(const struct shm_names *before)
{
        struct shm_names now;
        char *list = NULL;

        shm_names_take(&now);
        for (size_t i = 0; i < now.count; i++) {
                char *longer;

                if (is_in(before, now.names[i]) || !program_is_dead(now.names[i]))
                        continue;
                longer = text_format("%s%s" FOLDER "/%s", list ? list : "", list ? " " : "", now.names[i]);
                free(list);
                list = longer;
        }
        shm_names_free(&now);
        return list;
}

static bool
anything_new(const struct shm_names *before)
{
        struct shm_names now;
        bool found = false;

        shm_names_take(&now);
        for (size_t i = 0; i < now.count; i++)
                found = found || !is_in(before, now.names[i]);
        shm_names_free(&now);
        return found;
}

/*
 * The lock is asked for rarely, since that for a moment keeps the library's own
 * sweep from getting it: first half a second after the test, when nearly all is gone.
 */
char *
shm_names_left(const struct shm_names *before, int64_t grace_ms)
{
        int64_t start = monotonic_ms();
        char *list = NULL;

        while (anything_new(before)) {
                int64_t passed = monotonic_ms() - start;

                if (passed > 500) {
                        free(list);
                        if (!(list = list_left(before)) || passed > grace_ms)
                                return list;
                        sleep_ms(200);
                }
                sleep_ms(20);
        }
        free(list);
        return NULL;
}
