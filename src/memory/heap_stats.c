/* SPDX-License-Identifier: MIT */
/*
 * memory/heap_stats.c - counting what is in the heap, and looking whether it is whole.
 *
 * Runs in: every process that has the heap.  Owns: nothing.
 */
#include "core/error.h"
#include "memory/heap.h"
#include "platform/memory.h"

#include <errno.h>
#include <string.h>

static int
check(const struct mproc_heap *heap)
{
        return heap ? 0 : mproc__fail(MPROC_EHANDLE, "a heap is wanted, NULL was given");
}

/* --- counting -------------------------------------------------------------------------------------------- */

static void
count_block(mproc_heap_stats *stats, uint64_t word, uint64_t bytes, mproc__slot_id self)
{
        stats->blocks++;
        stats->used_bytes += (size_t)bytes;
        stats->owned_blocks += mproc__heap_owner(word) != 0;
        stats->own_blocks += mproc__heap_owner(word) == self;
}

static void
count_slab(const struct mproc_heap *heap, mproc_heap_stats *stats, uint64_t head, uint64_t page_word,
           mproc__slot_id self)
{
        uint32_t size = mproc__heap_classes[mproc__heap_slab_class(page_word)].size;

        for (uint32_t i = 0; i < mproc__heap_slab_blocks(page_word); i++) {
                uint32_t word = atomic_load_explicit(mproc__heap_block_word(heap, head, i), memory_order_relaxed);

                if (mproc__heap_kind(word) == MPROC__HEAP_HELD)
                        count_block(stats, word, size, self);
                else if (mproc__heap_kind(word) == MPROC__HEAP_FREE && size > stats->largest_bytes)
                        stats->largest_bytes = size;
        }
}

/* How many pages the head has; 1 if it is none. */
static uint64_t
count_page(const struct mproc_heap *heap, mproc_heap_stats *stats, uint64_t page, uint64_t *free_pages,
           mproc__slot_id self)
{
        uint64_t word = mproc__heap_page_word(heap, page), pages = 1;

        if (word == 0) {
                ++*free_pages;
                return 1;
        }
        if (mproc__heap_is_run(heap, page, word)) {
                pages = mproc__heap_count(word);
                count_block(stats, word, pages * MPROC__HEAP_PAGE, self);
        } else if (mproc__heap_is_slab(heap, page, word)) {
                pages = mproc__heap_slab_pages(word) ? mproc__heap_slab_pages(word) : 1;
                count_slab(heap, stats, page, word, self);
        }
        *free_pages = 0;
        return pages;
}

static uint64_t
reserved(const struct mproc_heap *heap, uint64_t limit)
{
        uint64_t words = 0, groups = (limit + MPROC__HEAP_GROUP - 1) / MPROC__HEAP_GROUP;

        for (uint64_t i = 0; i < groups; i++)
                if (atomic_load_explicit(&heap->groups[i].reserved, memory_order_relaxed))
                        words += MPROC__HEAP_GROUP * MPROC__HEAP_WORDS * sizeof(mproc__word);
        return MPROC__HEAP_PAGE + groups * sizeof(struct mproc__heap_group) + words + limit * MPROC__HEAP_PAGE;
}

int
mproc_heap_look(mproc_heap *heap, mproc_heap_stats *ret_stats)
{
        uint64_t limit, row = 0, most = 0, page = 0;
        mproc_heap_stats stats;
        mproc__slot_id self;
        int r;

        if ((r = check(heap)) < 0 || (r = mproc__slot_self(&self)) < 0)
                return r;
        memset(&stats, 0, sizeof stats);
        limit = mproc__heap_limit(heap);
        while (page < limit) {
                page += count_page(heap, &stats, page, &row, self);
                most = row > most ? row : most;
        }
        row += heap->pages - limit; /* what was never used, and lies behind what is free at the end */
        most = row > most ? row : most;
        if (most * MPROC__HEAP_PAGE > stats.largest_bytes)
                stats.largest_bytes = (size_t)(most * MPROC__HEAP_PAGE);
        stats.size_bytes = (size_t)(heap->pages * MPROC__HEAP_PAGE);
        stats.free_bytes = stats.size_bytes > stats.used_bytes ? stats.size_bytes - stats.used_bytes : 0;
        stats.reserved_bytes = (size_t)reserved(heap, limit);
        stats.reclaimed = atomic_load_explicit(&heap->shm->reclaimed, memory_order_relaxed);
        *ret_stats = stats;
        return 0;
}

/* --- looking whether it is whole ------------------------------------------------------------------------- */

static int
check_interiors(const struct mproc_heap *heap, uint64_t head, uint64_t pages)
{
        for (uint64_t i = 1; i < pages; i++)
                if (mproc__heap_page_word(heap, head + i) != (i << 32 | MPROC__HEAP_INTERIOR))
                        return mproc__heap_fail_corrupt("a page does not belong to the head before it");
        return 0;
}

static int
check_slab(const struct mproc_heap *heap, uint64_t head, uint64_t page_word)
{
        unsigned class_index = mproc__heap_slab_class(page_word);
        uint32_t blocks = mproc__heap_slab_blocks(page_word);

        if (mproc__heap_slab_pages(page_word) == 0 ||
            blocks != mproc__heap_slab_pages(page_word) * MPROC__HEAP_PAGE / mproc__heap_classes[class_index].size)
                return mproc__heap_fail_corrupt("a slab has not as many blocks as fit into it");
        for (uint32_t i = 0; i < blocks; i++) {
                uint32_t word = atomic_load_explicit(mproc__heap_block_word(heap, head, i), memory_order_relaxed);

                if (word != MPROC__HEAP_FREE && mproc__heap_kind(word) != MPROC__HEAP_HELD)
                        return mproc__heap_fail_corrupt("a block is neither free nor in use");
        }
        return check_interiors(heap, head, mproc__heap_slab_pages(page_word));
}

/* From one head to the next, under the lock. */
static int
check_pages(const struct mproc_heap *heap)
{
        uint64_t limit = mproc__heap_limit(heap), page = 0;

        while (page < limit) {
                uint64_t word = mproc__heap_page_word(heap, page), pages = 1;
                int r = 0;

                if (mproc__heap_is_run(heap, page, word)) {
                        pages = mproc__heap_count(word);
                        r = pages > limit - page ? mproc__heap_fail_corrupt("a run ends beyond all pages")
                                                 : check_interiors(heap, page, pages);
                } else if (mproc__heap_is_slab(heap, page, word)) {
                        pages = mproc__heap_slab_pages(word);
                        r = pages > limit - page ? mproc__heap_fail_corrupt("a slab ends beyond all pages")
                                                 : check_slab(heap, page, word);
                } else if (word != 0) {
                        r = mproc__heap_fail_corrupt("a page is neither free nor in use");
                }
                if (r < 0)
                        return r;
                for (uint64_t i = page; i < page + pages; i++)
                        if (((atomic_load_explicit(&heap->groups[i / MPROC__HEAP_GROUP].used, memory_order_relaxed) >>
                              i % MPROC__HEAP_GROUP) &
                             1) != (word != 0))
                                return mproc__heap_fail_corrupt("the map of used pages is wrong");
                page += pages;
        }
        return 0;
}

int
mproc_heap_check(mproc_heap *heap)
{
        int r;

        if ((r = check(heap)) < 0 || (r = mproc__heap_lock(heap)) < 0)
                return r;
        if (atomic_load(&heap->shm->groups) > (heap->pages + MPROC__HEAP_GROUP - 1) / MPROC__HEAP_GROUP)
                r = mproc__heap_fail_corrupt("it has more pages in use than there are");
        else
                r = check_pages(heap);
        mproc__heap_unlock(heap);
        return r;
}
