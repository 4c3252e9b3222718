/* SPDX-License-Identifier: MIT */
/*
 * heap_help.h - blocks that tell where they are and whether they are whole.
 *
 * Runs in: test processes.
 */
#ifndef HEAP_HELP_H
#define HEAP_HELP_H

#include "sync_help.h"

#include <mproc/mproc.h>

static inline uint64_t
heap_alloc(mproc_heap *heap, size_t size)
{
        uint64_t offset = 0;

        CHECK_OK(mproc_heap_alloc(heap, size, &offset));
        CHECK(offset != 0 && offset % 16 == 0);
        return offset;
}

/* The whole of a block says where it lies; at least 16 bytes. */
static inline void
block_fill(mproc_heap *heap, uint64_t offset, size_t size)
{
        uint64_t *words = mproc_heap_pointer(heap, offset);
        uint8_t *bytes = (uint8_t *)(words + 2);

        words[0] = offset ^ UINT64_C(0x5bd1e995);
        words[1] = size;
        for (size_t i = 0; i < size - 16; i++)
                bytes[i] = (uint8_t)pattern(offset, i);
}

static inline void
block_check(mproc_heap *heap, uint64_t offset)
{
        const uint64_t *words = mproc_heap_pointer(heap, offset);
        const uint8_t *bytes = (const uint8_t *)(words + 2);
        size_t usable;

        CHECK_OK(mproc_heap_usable_size(heap, offset, &usable));
        CHECK_MSG(words[0] == (offset ^ UINT64_C(0x5bd1e995)), "the block at %llu is another's",
                  (unsigned long long)offset);
        CHECK_MSG(words[1] >= 16 && words[1] <= usable, "the block at %llu has a wrong size",
                  (unsigned long long)offset);
        for (size_t i = 0; i < words[1] - 16; i++)
                CHECK_MSG(bytes[i] == (uint8_t)pattern(offset, i), "byte %zu of the block at %llu is damaged", i,
                          (unsigned long long)offset);
}

/* So many are in use, and all is in order. */
static inline mproc_heap_stats
heap_expect(mproc_heap *heap, size_t blocks)
{
        mproc_heap_stats stats;

        CHECK_OK(mproc_heap_check(heap));
        CHECK_OK(mproc_heap_look(heap, &stats));
        CHECK_INT(stats.blocks, blocks);
        return stats;
}

/* Nothing is in use, and all of it can be had as one block. */
static inline void
heap_expect_empty(mproc_heap *heap)
{
        mproc_heap_stats stats = heap_expect(heap, 0);
        uint64_t whole;

        CHECK_INT(stats.used_bytes, 0);
        CHECK_OK(mproc_heap_alloc(heap, stats.size_bytes, &whole));
        CHECK_INT(heap_expect(heap, 1).free_bytes, 0);
        CHECK_OK(mproc_heap_dealloc(heap, whole));
        (void)heap_expect(heap, 0);
}

#endif
