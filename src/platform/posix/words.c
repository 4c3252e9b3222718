/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/words.c - how long to look at a word before sleeping.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "platform/futex.h"

#include <sched.h>
#include <unistd.h>

/*
 * The processors that are there count, not those that this process may use: processes that work together
 * are often pinned to one each, and whoever is waited for is then at work on another one.
 */
unsigned
mproc__word_spin_limit(void)
{
        static _Atomic unsigned limit; /* plus one; 0: unknown */
        unsigned v = atomic_load_explicit(&limit, memory_order_relaxed);

        if (v == 0) {
                v = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 201 : 1;
                atomic_store_explicit(&limit, v, memory_order_relaxed);
        }
        return v - 1;
}

void
mproc__word_yield(void)
{
        (void)sched_yield();
}
