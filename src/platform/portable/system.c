/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/system.c - random bytes, and what a system does not tell.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "platform/platform.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define ENTROPY_MAX 256 /* what getentropy() gives at once */

int
mproc__plat_random(void *buffer, size_t len)
{
        char *p = buffer;

        while (len > 0) {
                size_t n = len < ENTROPY_MAX ? len : ENTROPY_MAX;

                if (getentropy(p, n) != 0)
                        return -errno;
                p += n;
                len -= n;
        }
        return 0;
}

/* Before main(), and in a forked child, there is one thread. */
static pthread_t main_thread;

static void
remember_main(void)
{
        main_thread = pthread_self();
}

__attribute__((constructor)) static void
begin(void)
{
        remember_main();
        (void)pthread_atfork(NULL, NULL, remember_main);
}

bool
mproc__plat_is_main_thread(void)
{
        return pthread_equal(pthread_self(), main_thread) != 0;
}

bool
mproc__plat_single_threaded(void)
{
        return false;
}

int
mproc__plat_thread_count(void)
{
        return 1;
}

uint64_t
mproc__plat_process_start_time(pid_t pid)
{
        (void)pid;
        return 0;
}

/* For ps, and nothing depends on it: where it is as simple as this. */
void
mproc__plat_set_process_name(const char *name)
{
#ifdef __linux__
        (void)pthread_setname_np(pthread_self(), name);
#else
        (void)name;
#endif
}

/* Limits of a group of processes are not seen. */
int
mproc__plat_cpu_count(void)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        return n > 0 ? (int)n : 1;
}
