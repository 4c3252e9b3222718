/* SPDX-License-Identifier: MIT */
/*
 * bench/heap/heap.h - things that blocks are allocated from.  A contender is a table of functions.
 */
#ifndef MPROC_BENCH_HEAP_H
#define MPROC_BENCH_HEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_HEAP_BYTES ((size_t)64 << 20)

struct bench_heap {
        const char *name, *label;
        void *(*create)(void);                      /* in the conductor; NULL if that is not possible */
        uint64_t (*alloc)(void *heap, size_t size); /* in a member; 0: failed */
        void (*dealloc)(void *heap, uint64_t block);
        void (*destroy)(void *heap);
};

extern const struct bench_heap bench_heap_mproc, bench_heap_malloc, bench_heap_boost;

#ifdef __cplusplus
}
#endif
#endif
