/* SPDX-License-Identifier: MIT */
/*
 * support/leaks.c - does a test give back what it took?
 *
 * Runs in: the test process, before and after the test's body.
 *
 * Descriptors are compared by number and target.  The library keeps a few for
 * the life of a process: its beacon and shared segments, which say so by their names
 * (memfd:mproc..., an unnamed file of /dev/shm), and the fork server's socket and
 * pidfd, which do not, so one or two of these are let through.  A test that calls
 * support_fd_baseline() after warming the library up is told of every one.
 *
 * Zombies are looked for here and not by the runner, because only while the test
 * process lives can one tell a child nobody waited for from one that died later.
 */
#include "support/internal.h"

#include <stdlib.h>
#include <unistd.h>

#define MAX_LIBRARY_SOCKETS 2
#define MAX_LIBRARY_PIDFDS  2

static char *fds_before;
static bool strict;

void
leaks_begin(void)
{
        free(fds_before);
        fds_before = list_fds();
}

void
support_fd_baseline(void)
{
        leaks_begin();
        strict = true;
}

static bool
line_is_in(const char *line, const char *lines)
{
        size_t len = strlen(line);

        for (const char *p = lines; (p = strstr(p, line)); p++)
                if ((p == lines || p[-1] == '\n') && p[len] == '\n')
                        return true;
        return false;
}

static bool
kept_by_library(const char *target, int *sockets, int *pidfds)
{
        if (strstr(target, "mproc") && (strstr(target, "memfd:") || strstr(target, "/dev/shm/")))
                return true;
        if (strstr(target, " /dev/shm/#"))
                return true;
        if (strstr(target, " socket:["))
                return ++*sockets <= MAX_LIBRARY_SOCKETS;
        if (strstr(target, " anon_inode:[pidfd]") || strstr(target, " pidfd:["))
                return ++*pidfds <= MAX_LIBRARY_PIDFDS;
        return false;
}

static bool
check_fds(void)
{
        char *after = list_fds(), *rest = after;
        int sockets = 0, pidfds = 0, leaked = 0;

        for (char *line; (line = strsep(&rest, "\n")) && *line;) {
                if (line_is_in(line, fds_before) || (!strict && kept_by_library(line, &sockets, &pidfds)))
                        continue;
                fprintf(stderr, "leak: descriptor %s is still open\n", line);
                leaked++;
        }
        free(after);
        free(fds_before);
        fds_before = NULL;
        return leaked == 0;
}

static bool
check_zombies(const struct runner_test *test)
{
        struct procfs_stat *list;
        size_t count;
        int leaked = 0;

        if (test->leaves_zombies)
                return true;
        count = procfs_descendants(getpid(), &list);
        for (size_t i = 0; i < count; i++) {
                if (list[i].parent != getpid() || list[i].state != 'Z' || procfs_is_library_process(&list[i]))
                        continue;
                fprintf(stderr, "leak: process %d (%s) has ended and nobody has waited for it\n", (int)list[i].pid,
                        list[i].name);
                leaked++;
        }
        free(list);
        return leaked == 0;
}

void
leaks_check(const struct runner_test *test)
{
        bool clean = check_fds();

        clean = check_zombies(test) && clean;
        if (!clean) {
                fflush(NULL);
                _exit(1);
        }
}
