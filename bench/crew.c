/* SPDX-License-Identifier: MIT */
/*
 * bench/crew.c - processes that do one thing until they are killed, and a window to count in.
 *
 * Runs in: the conductor, and its members before they begin.
 */
#define _GNU_SOURCE
#include "crew.h"
#include "figures.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS      200000  /* how often the conductor looks whether they have begun */
#define FIRST_NS     10e9    /* how long it waits for them to begin */
#define SWING_NS     5000000 /* how long they then go on before the window opens */
#define COUNT_ENOUGH 30      /* with fewer the window stays open, */
#define WINDOWS_MAX  10      /* up to so many times as long */

uint64_t
crew_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
pause_ns(uint64_t ns)
{
        struct timespec pause = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

        while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
                continue;
}

/* To the index-th of the CPUs that we may use, round and round. */
static void
pin(size_t index)
{
        cpu_set_t all, one;
        size_t cpu, n;

        if (sched_getaffinity(0, sizeof all, &all) < 0)
                return;
        n = index % (size_t)CPU_COUNT(&all);
        for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
                if (CPU_ISSET(cpu, &all) && n-- == 0)
                        break;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
}

int
crew_start(struct crew *crew, size_t size, bool pinned, crew_fn *fn, void *arg)
{
        pid_t conductor = getpid();
        void *memory = mmap(NULL, sizeof *crew->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        memset(crew, 0, sizeof *crew);
        if (memory == MAP_FAILED)
                return -1;
        crew->shared = memory;
        for (; crew->size < size; crew->size++) {
                pid_t pid = fork();

                if (pid < 0) {
                        crew_end(crew);
                        return -1;
                }
                if (pid == 0) { /* here the member begins */
                        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != conductor)
                                _exit(1);
                        if (pinned)
                                pin(crew->size);
                        fn(crew->shared, crew->size, arg);
                        _exit(0);
                }
                crew->pids[crew->size] = pid;
        }
        return 0;
}

static uint64_t
total(const struct crew *crew)
{
        uint64_t sum = 0;
        size_t i;

        for (i = 0; i < crew->size; i++)
                sum += atomic_load_explicit(&crew->shared->done[i].count, memory_order_relaxed);
        return sum;
}

static bool
has_begun(struct crew *crew)
{
        uint64_t begin = crew_now_ns();

        while (total(crew) == 0) {
                if (atomic_load(&crew->shared->failed))
                        return false;
                if ((double)(crew_now_ns() - begin) > FIRST_NS) {
                        snprintf(crew->shared->why, sizeof crew->shared->why, "nothing happened");
                        return false;
                }
                pause_ns(LOOK_NS);
        }
        return true;
}

double
crew_rate(struct crew *crew, double seconds)
{
        uint64_t begin_ns, end_ns, begin, end;
        int windows = 0;

        if (!has_begun(crew))
                return -1;
        pause_ns(SWING_NS);
        begin = total(crew);
        begin_ns = crew_now_ns();
        do {
                pause_ns((uint64_t)(seconds * 1e9));
                end = total(crew);
                end_ns = crew_now_ns();
        } while (end - begin < COUNT_ENOUGH && ++windows < WINDOWS_MAX);
        if (atomic_load(&crew->shared->failed) || end == begin)
                return -1;
        return (double)(end - begin) * 1e9 / (double)(end_ns - begin_ns);
}

double
crew_median_ns(const struct crew *crew)
{
        static double values[CREW_TIMES];
        uint64_t count = atomic_load(&crew->shared->time_count), i;

        if (count > CREW_TIMES)
                count = CREW_TIMES;
        for (i = 0; i < count; i++)
                values[i] = crew->shared->time_ns[i];
        return count > 0 ? bench_spread(values, count).median : -1;
}

void
crew_end(struct crew *crew)
{
        size_t i;

        for (i = 0; i < crew->size; i++)
                kill(crew->pids[i], SIGKILL);
        for (i = 0; i < crew->size; i++)
                waitpid(crew->pids[i], NULL, 0);
        crew->size = 0;
        munmap(crew->shared, sizeof *crew->shared);
}

void
crew_ready(struct crew_shared *shared, unsigned count)
{
        atomic_fetch_add(&shared->ready, 1);
        while (atomic_load(&shared->ready) < count)
                pause_ns(LOOK_NS);
}

void
crew_fail(struct crew_shared *shared, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(shared->why, sizeof shared->why, format, args);
        va_end(args);
        atomic_store(&shared->failed, 1);
        _exit(1);
}
