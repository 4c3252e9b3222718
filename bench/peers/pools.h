/* SPDX-License-Identifier: MIT */
/* bench/peers/pools.h - pools of two workers that map an array of numbers, chunk by chunk. */
#ifndef BENCH_POOLS_H
#define BENCH_POOLS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* The work of one task: a negative item keeps a processor busy for so many nanoseconds, another one is just doubled.
 */
static inline int64_t
bench_pool_work(int64_t item)
{
        struct timespec t;
        int64_t until;

        if (item >= 0)
                return 2 * item;
        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        until = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - item;
        do
                (void)clock_gettime(CLOCK_MONOTONIC, &t);
        while ((int64_t)t.tv_sec * 1000000000 + t.tv_nsec < until);
        return item;
}

void pipe_pool_open(void);
void pipe_pool_map(const int64_t *items, int64_t *results, size_t count, size_t chunk);
void pipe_pool_close(void);

void openmp_pool_map(const int64_t *items, int64_t *results, size_t count, size_t chunk);

#endif
