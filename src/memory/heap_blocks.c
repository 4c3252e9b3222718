/* SPDX-License-Identifier: MIT */
/*
 * memory/heap_blocks.c - blocks of slabs: claiming one, and what lies at an offset.
 *
 * Runs in: every process that has the heap.  Owns: the hints, in the handle.
 *
 * A block is claimed by one compare-and-swap on its word, FREE to HELD by the owner, and freed by another.  Where to
 * try is a matter of hints: those in the handle, private to this process and never shared, and the bits `maybe` in
 * the heap.  A hint may be older than the slab it is about.  So who has claimed looks whether the slab is there that
 * he means; it cannot go away any more, since a block of it is held.  If it is not he gives the word back as it was:
 * a claim of nothing, which harms nobody, not even if he dies before he gives it back, since the owner in it is dead.
 */
#include "core/error.h"
#include "core/point.h"
#include "memory/heap.h"

#include <errno.h>
#include <string.h>

#define LOOK 64u /* groups to look at for a slab with free blocks before a new one is made */

#define CLASS(size, pages)                                                                                           \
        {                                                                                                            \
                size, pages, (uint32_t)(((UINT64_C(1) << 32) + (size)-1) / (size))                                   \
        }

/* Four to a doubling, so that at most a fifth of a block is lost; all are multiples of 16. */
const struct mproc__heap_class mproc__heap_classes[MPROC__HEAP_CLASSES] = {
        CLASS(32, 4),    CLASS(48, 4),    CLASS(64, 4),    CLASS(80, 4),    CLASS(96, 4),    CLASS(112, 4),
        CLASS(128, 4),   CLASS(160, 4),   CLASS(192, 4),   CLASS(224, 4),   CLASS(256, 4),   CLASS(320, 4),
        CLASS(384, 4),   CLASS(448, 4),   CLASS(512, 4),   CLASS(640, 8),   CLASS(768, 8),   CLASS(896, 8),
        CLASS(1024, 8),  CLASS(1280, 8),  CLASS(1536, 8),  CLASS(1792, 8),  CLASS(2048, 8),  CLASS(2560, 16),
        CLASS(3072, 16), CLASS(3584, 16), CLASS(4096, 16), CLASS(5120, 16), CLASS(6144, 16), CLASS(7168, 16),
};

unsigned
mproc__heap_class_of(size_t size)
{
        unsigned doubling, quarter;

        if (size <= 128)
                return size <= 32 ? 0 : (unsigned)((size - 17) / 16);
        doubling = 63u - (unsigned)__builtin_clzll((unsigned long long)size - 1); /* 2^doubling < size */
        quarter = (unsigned)((size - 1) >> (doubling - 2)) & 3;
        return 7 + (doubling - 7) * 4 + quarter;
}

/* --- claiming -------------------------------------------------------------------------------------------- */

struct claim {
        struct mproc_heap *heap;
        unsigned class_index;
        uint32_t held; /* what the word becomes: HELD by whom */
        uint64_t head;
        uint32_t index;
        mproc__word *word;
};

/* What the hint says was inside the heap when it was made, whatever is there by now. */
static inline bool
try_claim(struct claim *claim, uint64_t hint)
{
        struct mproc_heap *heap = claim->heap;
        uint32_t expected = MPROC__HEAP_FREE;
        uint64_t word;

        claim->head = hint >> 32;
        claim->index = (uint32_t)hint;
        claim->word = mproc__heap_block_word(heap, claim->head, claim->index);
        if (!atomic_compare_exchange_strong(claim->word, &expected, claim->held))
                return false;
        MPROC_POINT("heap.claim.claimed");
        word = mproc__heap_page_word(heap, claim->head);
        if (__builtin_expect(mproc__heap_kind(word) == MPROC__HEAP_SLAB &&
                                     mproc__heap_slab_class(word) == claim->class_index &&
                                     claim->index < mproc__heap_slab_blocks(word),
                             1))
                return true;
        expected = claim->held;
        (void)atomic_compare_exchange_strong(claim->word, &expected, MPROC__HEAP_FREE);
        return false;
}

static bool
claim_hinted(struct claim *claim, struct mproc__heap_hints *hints)
{
        uint64_t hint;

        while (mproc__heap_pop(hints, &hint))
                if (try_claim(claim, hint))
                        return true;
        return false;
}

/* --- looking for free blocks ----------------------------------------------------------------------------- */

/*
 * Free blocks of one slab, as many as there is room for; how many.  Each process begins at a place of its own, so
 * that several that take from one slab seldom meet; the lowest is the last, and taken first.
 */
static uint32_t
collect(const struct claim *claim, uint64_t head, uint64_t word, struct mproc__heap_hints *hints)
{
        uint32_t blocks = mproc__heap_slab_blocks(word), found = 0;
        uint32_t at = blocks ? (uint32_t)(((uint64_t)(claim->held * 2654435761u) * blocks) >> 32) : 0;

        for (uint32_t i = 0; i < blocks && found < MPROC__HEAP_HINTS; i++) {
                at = at == 0 ? blocks - 1 : at - 1;
                if (atomic_load_explicit(mproc__heap_block_word(claim->heap, head, at), memory_order_relaxed) !=
                    MPROC__HEAP_FREE)
                        continue;
                mproc__heap_push(hints, head << 32 | at);
                found++;
        }
        return found;
}

/* A slab whose bit in `maybe` is set.  The bit goes if nothing is free; who frees a block after that sets it again.
 */
static uint32_t
look_at_slab(const struct claim *claim, uint64_t head, struct mproc__heap_hints *hints)
{
        struct mproc_heap *heap = claim->heap;
        _Atomic uint64_t *maybe = &heap->groups[head / MPROC__HEAP_GROUP].maybe[claim->class_index];
        uint64_t bit = UINT64_C(1) << head % MPROC__HEAP_GROUP, word = mproc__heap_page_word(heap, head);
        bool is_one = mproc__heap_is_slab(heap, head, word) && mproc__heap_slab_class(word) == claim->class_index;
        uint32_t found = is_one ? collect(claim, head, word, hints) : 0;

        if (found > 0)
                return found;
        (void)atomic_fetch_and(maybe, ~bit);
        found = is_one ? collect(claim, head, word, hints) : 0;
        if (found > 0)
                (void)atomic_fetch_or(maybe, bit);
        return found;
}

/* Go on from the cursor until there is a hint.  How many were found. */
static uint32_t
look_around(const struct claim *claim, struct mproc__heap_hints *hints)
{
        uint64_t groups = (mproc__heap_limit(claim->heap) + MPROC__HEAP_GROUP - 1) / MPROC__HEAP_GROUP;
        uint64_t cursor = atomic_load_explicit(&hints->cursor, memory_order_relaxed);

        for (uint64_t i = 0; i < groups && i < LOOK; i++) {
                uint64_t group = cursor < groups ? cursor : 0;
                uint64_t map = atomic_load(&claim->heap->groups[group].maybe[claim->class_index]);

                for (; map; map &= map - 1) {
                        uint64_t head = group * MPROC__HEAP_GROUP + (uint64_t)__builtin_ctzll(map);
                        uint32_t found = head < claim->heap->pages ? look_at_slab(claim, head, hints) : 0;

                        if (found > 0)
                                return found;
                }
                cursor = group + 1;
                atomic_store_explicit(&hints->cursor, cursor, memory_order_relaxed);
        }
        return 0;
}

/* Every slab of the class, whatever the bits say: they may have been lost with somebody. */
static bool
claim_anywhere(struct claim *claim)
{
        uint64_t limit = mproc__heap_limit(claim->heap);
        struct mproc__heap_hints hints;

        atomic_init(&hints.count, 0);
        for (uint64_t page = 0; page < limit; page++) {
                uint64_t word = mproc__heap_page_word(claim->heap, page);

                if (!mproc__heap_is_slab(claim->heap, page, word) ||
                    mproc__heap_slab_class(word) != claim->class_index)
                        continue;
                if (collect(claim, page, word, &hints) > 0 && claim_hinted(claim, &hints))
                        return true;
        }
        return false;
}

/* Without a new slab. */
static bool
claim_seen(struct claim *claim, struct mproc__heap_hints *hints)
{
        do
                if (claim_hinted(claim, hints))
                        return true;
        while (look_around(claim, hints) > 0);
        return false;
}

/* 0, -ENOMEM without words, others with words. */
static int
claim_from_new_slab(struct claim *claim, struct mproc__heap_hints *hints)
{
        uint64_t head, word;
        int r;

        do { /* others may have taken all of it before we come to it */
                if ((r = mproc__heap_slab_create(claim->heap, claim->class_index, &head)) < 0)
                        return r;
                atomic_store_explicit(&hints->cursor, head / MPROC__HEAP_GROUP, memory_order_relaxed);
                word = mproc__heap_page_word(claim->heap, head);
                if (mproc__heap_is_slab(claim->heap, head, word))
                        (void)collect(claim, head, word, hints);
        } while (!claim_hinted(claim, hints));
        return 0;
}

/*
 * There are no pages for a slab any more: blocks that nobody sees, slabs that nobody uses, blocks of the dead, in
 * this order; then larger blocks than are needed.
 */
static int
claim_the_last(struct claim *claim, size_t align)
{
        struct mproc__heap_hints *hints = mproc__heap_hints(claim->heap, claim->class_index);
        unsigned wanted = claim->class_index;
        int64_t n;
        int r;

        if (claim_anywhere(claim))
                return 0;
        if ((n = mproc__heap_trim(claim->heap)) < 0)
                return (int)n;
        if (n > 0 && (r = claim_from_new_slab(claim, hints)) != -ENOMEM)
                return r;
        if ((n = mproc__heap_reclaim(claim->heap)) < 0)
                return (int)n;
        if (n > 0) {
                if (claim_anywhere(claim))
                        return 0;
                if ((n = mproc__heap_trim(claim->heap)) < 0)
                        return (int)n;
                if ((r = claim_from_new_slab(claim, hints)) != -ENOMEM)
                        return r;
        }
        for (claim->class_index++; claim->class_index < MPROC__HEAP_CLASSES; claim->class_index++)
                if (mproc__heap_classes[claim->class_index].size % align == 0 && claim_anywhere(claim))
                        return 0;
        claim->class_index = wanted;
        return -ENOMEM;
}

int
mproc__heap_claim(struct mproc_heap *heap, unsigned class_index, size_t align, uint32_t owner, uint64_t *ret_offset,
                  unsigned *ret_class, mproc__word **ret_word)
{
        struct claim claim = { .heap = heap, .class_index = class_index, .held = MPROC__HEAP_HELD | owner };
        struct mproc__heap_hints *hints = mproc__heap_hints(heap, class_index);

        if (__builtin_expect(!claim_hinted(&claim, hints), 0)) {
                int r = claim_seen(&claim, hints) ? 0 : claim_from_new_slab(&claim, hints);

                if (r == -ENOMEM)
                        r = claim_the_last(&claim, align);
                if (r < 0)
                        return r;
        }
        *ret_offset = mproc__heap_offset_of(heap, claim.head, claim.index, claim.class_index);
        *ret_class = claim.class_index;
        *ret_word = claim.word;
        return 0;
}

/* --- what lies at an offset ------------------------------------------------------------------------------ */

int
mproc__heap_fail_corrupt(const char *what)
{
        return mproc__fail(MPROC_ECORRUPT, "the heap is damaged: %s; some process wrote into its memory", what);
}

int
mproc__heap_fail_free(struct mproc_heap *heap, uint64_t offset)
{
        (void)heap;
        return mproc__fail(MPROC_ERELEASED, "the block at %llu is free: it was given back before",
                           (unsigned long long)offset);
}

static int
no_block(const struct mproc_heap *heap, uint64_t offset)
{
        if (offset == 0)
                return mproc__fail(-EINVAL, "a block of the heap is wanted, 0 was given, which is none");
        if (offset < heap->data_at || offset >= heap->bytes)
                return mproc__fail(-EINVAL,
                                   "%llu is not the offset of a block: the heap's blocks are from %llu to %llu",
                                   (unsigned long long)offset, (unsigned long long)heap->data_at,
                                   (unsigned long long)heap->bytes);
        return mproc__fail(-EINVAL, "no block of the heap begins at %llu", (unsigned long long)offset);
}

int
mproc__heap_find_slow(struct mproc_heap *heap, uint64_t offset, struct mproc__heap_place *ret)
{
        uint64_t at = offset - heap->data_at, page = at / MPROC__HEAP_PAGE, word;

        if (offset < heap->data_at || page >= mproc__heap_limit(heap))
                return no_block(heap, offset);
        word = mproc__heap_page_word(heap, page);
        if (mproc__heap_is_run(heap, page, word) && at % MPROC__HEAP_PAGE == 0) {
                *ret = (struct mproc__heap_place){ .head = page,
                                                   .page_word = word,
                                                   .run = true,
                                                   .bytes = mproc__heap_count(word) * MPROC__HEAP_PAGE };
                return 0;
        }
        if (word == 0 && at % MPROC__HEAP_PAGE == 0)
                return mproc__heap_fail_free(heap, offset);
        if (mproc__heap_kind(word) == MPROC__HEAP_INTERIOR && mproc__heap_count(word) > page)
                return mproc__heap_fail_corrupt("a page belongs to one before the first");
        return no_block(heap, offset);
}
