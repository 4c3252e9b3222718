/* SPDX-License-Identifier: MIT */
/*
 * platform/posix/words.c - how long to look at a word before sleeping.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "platform/futex.h"
#include "platform/platform.h"

unsigned
mproc__word_spin_limit(void)
{
        static _Atomic unsigned limit; /* plus one; 0: unknown */
        unsigned v = atomic_load_explicit(&limit, memory_order_relaxed);

        if (v == 0) {
                v = mproc__plat_cpu_count() > 1 ? 201 : 1;
                atomic_store_explicit(&limit, v, memory_order_relaxed);
        }
        return v - 1;
}
