/* SPDX-License-Identifier: MIT */
/*
 * program/executable.c - the executable of children and helper processes.
 *
 * Runs in: every process.  Owns: copies of the paths that were set, under
 * MPROC__LOCK_PROGRAM, for the life of the process.
 */
#include "program/executable.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/context.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef MPROC_EXEC_PATH
#define MPROC_EXEC_PATH "mproc-exec"
#endif

/*
 * Each path once.  None is freed: somebody may be looking at it.  (A buffer in each thread would be there
 * in all threads that ever are, and keep programs from loading the library late: libc has little room for such.)
 */
struct path {
        struct path *next;
        char text[];
};

static struct path *paths;
static const char *chosen_path; /* NULL: the running executable */
static char *own_name;       /* argv[0] of this process; set once, lives as long as the process */
static int initialised;

void
mproc__executable_initialised(const char *name)
{
        mproc__lock(MPROC__LOCK_PROGRAM);
        if (!own_name)
                own_name = strdup(name && *name ? name : "mproc"); /* NULL is coped with below */
        initialised = 1;
        mproc__unlock(MPROC__LOCK_PROGRAM);
}

static const char *
keep_locked(const char *text)
{
        size_t len = strlen(text) + 1;
        struct path *path = paths;

        while (path && strcmp(path->text, text) != 0)
                path = path->next;
        if (!path) {
                if (!(path = malloc(sizeof *path + len)))
                        return NULL;
                memcpy(path->text, text, len);
                path->next = paths;
                paths = path;
        }
        return path->text;
}

int
mproc_set_executable(const char *path)
{
        const char *kept = NULL;

        if (path && !*path)
                return mproc__fail(-EINVAL, "the path of the executable is empty");
        mproc__lock(MPROC__LOCK_PROGRAM);
        if (!path || (kept = keep_locked(path)))
                chosen_path = kept;
        mproc__unlock(MPROC__LOCK_PROGRAM);
        return path && !kept ? mproc__fail(-ENOMEM, "no memory for the path of the executable") : 0;
}

const char *
mproc_get_executable(void)
{
        const char *path;

        mproc__lock(MPROC__LOCK_PROGRAM);
        path = chosen_path;
        mproc__unlock(MPROC__LOCK_PROGRAM);
        return path;
}

/*
 * Is this a process that mproc has executed, and that has not come to mproc_init yet?  Its main() starts
 * processes first, as its parent's did, whatever executable it names; only its own
 * command line tells.
 */
static int
is_unborn(void)
{
        static const char *const ours[] = { MPROC__ARG_CHILD, MPROC__ARG_FORKSERVER, MPROC__ARG_TRACKER };
        char text[4096], *second;
        int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        mproc__plat_close(&fd);
        if (n <= 0)
                return 0;
        text[n] = 0;
        second = text + strlen(text) + 1;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
                if (second < text + n && strcmp(second, ours[i]) == 0)
                        return 1;
        return 0;
}

int
mproc__executable_acquire(char **ret_path, const char **ret_name)
{
        char *copy = NULL;
        int r = 0;

        mproc__lock(MPROC__LOCK_PROGRAM);
        if (!initialised && is_unborn())
                r = mproc__fail(MPROC_EBOOTSTRAP,
                                "this process is a child that has not come to mproc_init() yet, and its main() starts "
                                "processes before that: call mproc_init(argc, argv) first thing in main()");
        else if (chosen_path && !(copy = strdup(chosen_path)))
                r = mproc__fail(-ENOMEM, "no memory for the path of the executable");
        else if (!chosen_path && !initialised)
                r = mproc__fail(MPROC_EBOOTSTRAP,
                                "a process was to be started before mproc_init() has run in this one: call "
                                "mproc_init(argc, argv) first thing in main(), or, in a library whose host program "
                                "does not, mproc_set_executable(\"" MPROC_EXEC_PATH "\")");
        *ret_name = own_name ? own_name : "mproc";
        mproc__unlock(MPROC__LOCK_PROGRAM);
        *ret_path = copy;
        return r;
}

void
mproc__executable_release(char *path)
{
        free(path);
}
