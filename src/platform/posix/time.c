/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/time.c - deadlines on CLOCK_MONOTONIC, and poll with one.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "platform/platform.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t
mproc__plat_now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t
mproc__deadline(int64_t timeout_ms)
{
        int64_t now;

        if (timeout_ms < 0)
                return MPROC__NEVER;
        if (timeout_ms == 0)
                return MPROC__AT_ONCE;
        now = mproc__plat_now_ns();
        if (timeout_ms > (MPROC__NEVER - now) / NS_PER_MS - 1)
                return MPROC__NEVER;
        return now + timeout_ms * NS_PER_MS;
}

bool
mproc__deadline_passed(int64_t deadline_ns)
{
        return deadline_ns != MPROC__NEVER && (deadline_ns == MPROC__AT_ONCE || mproc__plat_now_ns() >= deadline_ns);
}

void
mproc__plat_sleep_ns(int64_t ns)
{
        struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

int
mproc__plat_poll(struct pollfd *fds, size_t count, int64_t deadline_ns)
{
        for (;;) {
                struct timespec t, *left = NULL;
                int r;

                if (deadline_ns != MPROC__NEVER) {
                        int64_t ns = deadline_ns == MPROC__AT_ONCE ? 0 : deadline_ns - mproc__plat_now_ns();

                        ns = ns > 0 ? ns : 0;
                        t = (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };
                        left = &t;
                }
                r = ppoll(fds, (nfds_t)count, left, NULL);
                if (r >= 0)
                        return r;
                if (errno != EINTR)
                        return -errno;
        }
}
