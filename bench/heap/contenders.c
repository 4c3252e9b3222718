/* SPDX-License-Identifier: MIT */
/*
 * bench/heap/contenders.c - mproc's heap, and libc's, which no other process sees.  Runs in: the conductor and its
 * members.
 */
#include "heap.h"

#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>

static void *
create_mproc(void)
{
        mproc_heap *heap;

        if (mproc_heap_create(NULL, BENCH_HEAP_BYTES, &heap) == 0)
                return heap;
        fprintf(stderr, "heap: %s\n", mproc_last_error());
        return NULL;
}

static uint64_t
alloc_mproc(void *heap, size_t size)
{
        uint64_t block;

        return mproc_heap_alloc(heap, size, &block) == 0 ? block : 0;
}

static void
dealloc_mproc(void *heap, uint64_t block)
{
        mproc_heap_dealloc(heap, block);
}

static void
destroy_mproc(void *heap)
{
        mproc_heap_free(heap);
}

const struct bench_heap bench_heap_mproc = {
        "mproc", "mproc heap", create_mproc, alloc_mproc, dealloc_mproc, destroy_mproc,
};

static void *
create_malloc(void)
{
        return malloc(1);
}

static uint64_t
alloc_malloc(void *heap, size_t size)
{
        (void)heap;
        return (uint64_t)(uintptr_t)malloc(size);
}

static void
dealloc_malloc(void *heap, uint64_t block)
{
        (void)heap;
        free((void *)(uintptr_t)block);
}

static void
destroy_malloc(void *heap)
{
        free(heap);
}

const struct bench_heap bench_heap_malloc = {
        "malloc", "malloc (of one process)", create_malloc, alloc_malloc, dealloc_malloc, destroy_malloc,
};
