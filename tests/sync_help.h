/* SPDX-License-Identifier: MIT */
/*
 * sync_help.h - processes that wait for each other, sleep, are stopped and killed.
 *
 * Runs in: test processes.
 */
#ifndef SYNC_HELP_H
#define SYNC_HELP_H

#include "queue_help.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A page that forked children share with us. */
static inline void *
shared_page(void)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK(page != MAP_FAILED);
        return page;
}

static inline void
kill_and_reap(pid_t pid)
{
        int status;

        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(waitpid(pid, &status, 0) == pid);
}

static inline void
reap(pid_t pid)
{
        CHECK_INT(wait_program(pid, LONG_MS), 0);
}

/* The state letter of its main thread in /proc. */
static inline char
state_of(pid_t pid)
{
        char *path = text_format("/proc/%d/stat", (int)pid);
        char *text = read_file(path, NULL), *p = text ? strrchr(text, ')') : NULL;
        char state = p ? p[2] : 'X';

        free(text);
        free(path);
        return state;
}

/* It sleeps in the kernel: seen a few times in a row, since a process may sleep on its way, too. */
static inline void
await_sleep(pid_t pid)
{
        for (int seen = 0; seen < 5;) {
                char state = state_of(pid);

                CHECK(state != 'X' && state != 'Z');
                seen = state == 'S' ? seen + 1 : 0;
                sleep_ms(1);
        }
}

/* It is stopped, and stays so until SIGCONT or SIGKILL. */
static inline void
stop_and_wait(pid_t pid)
{
        CHECK(kill(pid, SIGSTOP) == 0);
        WAIT_UNTIL(state_of(pid) == 'T', LONG_MS);
}

#endif
