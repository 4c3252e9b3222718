/* SPDX-License-Identifier: MIT */
/*
 * bench/peers/openmp_pool.c - the same work as OpenMP tasks: threads, which share all memory and crash together.
 *
 * Runs in: the bench, on two threads.
 */
#include "peers/pools.h"

void
openmp_pool_map(const int64_t *items, int64_t *results, size_t count, size_t chunk)
{
#pragma omp parallel num_threads(2)
#pragma omp single
        for (size_t first = 0; first < count; first += chunk) {
                size_t end = first + chunk < count ? first + chunk : count;

#pragma omp task firstprivate(first, end)
                for (size_t i = first; i < end; i++)
                        results[i] = bench_pool_work(items[i]);
        }
}
