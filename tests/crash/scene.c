/* SPDX-License-Identifier: MIT */
/*
 * crash/scene.c - the board, the helpers, and how long they took; see crash.h.
 *
 * Runs in: test processes and their forked children.
 */
#include "crash/crash.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 16 };

struct board *board;
struct tally *tally;
mproc_context *scene_context;
int current_helper = -1;

static pid_t helper[HELPERS];
static struct {
        void *object;
        void (*free_function)(void *);
} kept[KEPT];
static int kept_count;
static int64_t marked_ns;

static int64_t
now_ns(void)
{
        struct timespec t;

        CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void
scene_open(void)
{
        if (!board) {
                board = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                CHECK(board != MAP_FAILED);
                CHECK_OK(mproc_get_context("fork", &scene_context));
        }
        memset(board, 0, sizeof *board);
        marked_ns = 0;
}

void
scene_keep_(void *object, void (*free_function)(void *))
{
        CHECK_MSG(kept_count < KEPT, "a scene keeps at most %d objects", KEPT);
        kept[kept_count].object = object;
        kept[kept_count++].free_function = free_function;
}

void
scene_close(void)
{
        for (int i = 0; i < HELPERS; i++)
                kill_helper(i);
        while (kept_count > 0) {
                kept_count--;
                kept[kept_count].free_function(kept[kept_count].object);
        }
}

/* --- helpers --------------------------------------------------------------------------------------------- */

void
help(int i, operation *op)
{
        pid_t pid;

        CHECK_MSG(i < HELPERS - 1, "the last helper's place is the victim's");
        board->done[i] = 0;
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                current_helper = i;
                op();
                board->done_ns[i] = now_ns();
                board->done[i] = 1;
                _exit(0);
        }
        helper[i] = pid;
        await_sleep_of(pid);
}

void
kill_helper(int i)
{
        if (helper[i] > 0)
                kill_and_reap(helper[i]);
        helper[i] = 0;
}

bool
helper_sleeps(int i)
{
        return !board->done[i] && sleeps(helper[i]);
}

void
mark(void)
{
        if (current_helper < 0)
                marked_ns = now_ns();
}

static void
count_served(int64_t ns)
{
        static const int64_t limit_us[] = { 200, 500, 1000, 2000, 5000, 10000, 100000 };
        int i = 0;

        if (!tally)
                return;
        while (i < 7 && ns > limit_us[i] * 1000)
                i++;
        tally->served[i]++;
        if (ns > tally->worst_ns)
                tally->worst_ns = ns;
}

/* One that was through before the mark had nothing to wait for. */
bool
helped(int i)
{
        int64_t end = monotonic_ms() + scaled_ms(SERVED_MS);

        while (!board->done[i] && monotonic_ms() < end)
                (void)usleep(20);
        if (board->done[i] && marked_ns != 0 && board->done_ns[i] > marked_ns)
                count_served(board->done_ns[i] - marked_ns);
        return board->done[i];
}

/* --- processes -------------------------------------------------------------------------------------------- */

bool
sleeps(pid_t pid)
{
        for (int i = 0; i < 3; i++) {
                char path[40], text[300], *p;
                FILE *file;
                size_t n;

                (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
                if (!(file = fopen(path, "r")))
                        return false;
                n = fread(text, 1, sizeof text - 1, file);
                (void)fclose(file);
                text[n] = 0;
                p = strrchr(text, ')');
                if (!p || p[2] != 'S')
                        return false;
                (void)usleep(30);
        }
        return true;
}

void
await_sleep_of(pid_t pid)
{
        int64_t end = monotonic_ms() + scaled_ms(20000);

        while (!sleeps(pid) && process_exists(pid)) {
                CHECK_MSG(monotonic_ms() < end, "a helper does not go to sleep");
                (void)usleep(50);
        }
}

/* Somebody who waited for the dead may go on from here.  One that ended while it was stepped is gone already. */
void
kill_and_reap(pid_t pid)
{
        siginfo_t info;
        int status;

        mark();
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
                return;
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, __WALL) != pid || WIFSTOPPED(status))
                ;
}
