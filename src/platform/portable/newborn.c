/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/newborn.c - what the fork server's child does first.
 *
 * Runs in: the fork server's child, up to its target.  Owns: nothing.
 */
#include "platform/platform.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

pid_t
mproc__plat_newborn_pid(void)
{
        return getpid();
}

void
mproc__plat_newborn_move(int from, int to)
{
        if (dup2(from, to) >= 0) /* this process has one thread: nobody execs between the two calls */
                (void)fcntl(to, F_SETFD, FD_CLOEXEC);
        (void)close(from);
}

void
mproc__plat_newborn_mask(uint64_t mask)
{
        sigset_t set;

        (void)sigemptyset(&set);
        for (int s = 1; s <= 64; s++)
                if (mask >> (s - 1) & 1)
                        (void)sigaddset(&set, s);
        (void)pthread_sigmask(SIG_SETMASK, &set, NULL);
}

void
mproc__plat_newborn_exit(int exitcode)
{
        _exit(exitcode);
}

bool
mproc__plat_newborn_stands_in(const char *directory)
{
        char here[4096];

        return getcwd(here, sizeof here) && strcmp(here, directory) == 0;
}
