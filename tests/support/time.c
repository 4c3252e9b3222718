/* SPDX-License-Identifier: MIT */
/* support/time.c - the clock, and how slow the surroundings are. */
#include "support/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUILT_WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define BUILT_WITH_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define BUILT_WITH_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define BUILT_WITH_TSAN 1
#endif
#ifndef BUILT_WITH_ASAN
#define BUILT_WITH_ASAN 0
#endif
#ifndef BUILT_WITH_TSAN
#define BUILT_WITH_TSAN 0
#endif

bool
under_asan(void)
{
        return BUILT_WITH_ASAN;
}

bool
under_tsan(void)
{
        return BUILT_WITH_TSAN;
}

/* valgrind loads a library of its own into what it runs. */
static int
look_for_valgrind(void)
{
        char line[512];
        FILE *maps = fopen("/proc/self/maps", "re");
        int found = 0;

        while (maps && fgets(line, sizeof line, maps))
                if (strstr(line, "vgpreload"))
                        found = 1;
        if (maps)
                fclose(maps);
        return found;
}

bool
under_valgrind(void)
{
        static _Atomic int known = -1; /* two threads that look at once find the same */

        if (known < 0)
                known = look_for_valgrind();
        return known;
}

double
timeout_scale(void)
{
        const char *text = getenv("MPROC_TEST_TIMEOUT_SCALE");
        double scale = text ? atof(text) : 1;

        if (scale <= 0)
                scale = 1;
        return scale * (under_asan() ? 3 : 1) * (under_tsan() ? 5 : 1) * (under_valgrind() ? 10 : 1);
}

int64_t
scaled_ms(int64_t ms)
{
        return (int64_t)((double)ms * timeout_scale());
}

int64_t
monotonic_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
sleep_ms(int64_t ms)
{
        struct timespec rest = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

        while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
                ;
}

bool
wait_until(bool (*condition)(void *arg), void *arg, int64_t timeout_ms)
{
        int64_t end = monotonic_ms() + scaled_ms(timeout_ms);

        while (!condition(arg)) {
                if (monotonic_ms() >= end)
                        return false;
                sleep_ms(1);
        }
        return true;
}
