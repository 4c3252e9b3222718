/* SPDX-License-Identifier: MIT */
/*
 * memory/heap.h - the heap from inside: what lies where, and who may change it.
 *
 *      heap.c           handles: making, passing on; alloc and dealloc
 *      heap_pages.c     the lock; runs of pages, slabs; what a dead owner of the lock left
 *      heap_blocks.c    blocks of slabs: claiming, freeing, hints
 *      heap_owner.c     whose a block is: give, take, exchange, reclaim
 *      heap_stats.c     counting and checking
 *
 * Blocks of up to MPROC__HEAP_SMALL_MAX bytes come from slabs: some pages in a row, cut into blocks of one size.
 * Larger ones are runs of pages.  Two kinds of words tell everything, and each change that matters is one step on one
 * of them:
 *
 *      block word, 32 bits, one for each block of a slab
 *              RETIRED (0)     no block, or one that is being taken away with its slab
 *              FREE            anybody may claim it, by a compare-and-swap
 *              HELD | owner    the owner's slot in the program; 0: nobody's
 *      page word, 64 bits, one for each page
 *              NOTHING (0)     free
 *              RUN, pages | HELD | owner
 *              SLAB, class, pages, blocks
 *              INTERIOR, distance to the head of the run or slab that it belongs to
 *
 * A claim writes who the owner is in the same step, so there is no moment at which a block is neither free nor
 * somebody's.  Page words change under the heap's lock, whose death is told: an INTERIOR is written before its head
 * and erased after it, so after a death an INTERIOR without a head is nobody's.  Everything else is a hint that may
 * be wrong: where one looks for free blocks, not what is found there.  docs/heap.md has the argument, models/heap.pml
 * has searched it.
 *
 * No value that is read here is believed: sizes and places are constant copies in the handle, all that comes from
 * words in shared memory is checked against them.
 */
#ifndef MPROC_MEMORY_HEAP_H
#define MPROC_MEMORY_HEAP_H

#include "core/object.h"
#include "platform/futex.h"
#include "program/program.h"
#include "program/slot.h"
#include "sync/robust.h"

#include <mproc/heap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MPROC__HEAP_PAGE      4096u
#define MPROC__HEAP_BLOCK_MIN 32u
#define MPROC__HEAP_SMALL_MAX 7168u
#define MPROC__HEAP_CLASSES   30u
#define MPROC__HEAP_WORDS     (MPROC__HEAP_PAGE / MPROC__HEAP_BLOCK_MIN) /* block words of a page */
#define MPROC__HEAP_SLAB_MAX  16u                                        /* pages of a slab */
#define MPROC__HEAP_GROUP     64u                                        /* pages of a group */
#define MPROC__HEAP_PAGES_MAX (UINT64_C(1) << 31)

/* --- in shared memory ------------------------------------------------------------------------------------ */

/*
 * What belongs to 64 pages.  Groups come into use one after the other, as memory is reserved for them.
 *   used       a bit for each page that is not NOTHING: under the lock; made anew after a death
 *   reserved   1: the block words have memory: under the lock
 *   maybe      of each class: a bit for each head of a slab that may have free blocks: anybody; a hint
 *   page       page words: under the lock; the owner of a RUN also by who had it, in one step
 */
struct mproc__heap_group {
        _Atomic uint64_t used;
        _Atomic uint64_t reserved;
        _Atomic uint64_t maybe[MPROC__HEAP_CLASSES];
        _Atomic uint64_t page[MPROC__HEAP_GROUP];
};
_Static_assert(sizeof(struct mproc__heap_group) == 768, "layout of a heap's group");

/*
 * The first page.  To `owned`: constant once the creator's call has returned.
 *   lock       whoever changes page words
 *   groups     how many are in use: grows, by the holder of the lock
 *   low        no page below it is free: a hint of the holder of the lock, 0 after a death
 *   retiring   page + 1 of the slab that the holder of the lock takes away, or 0
 *   exchange   what the holder of the lock is about to do: where, new and old block, and for whom.  It is done
 *              once `intent` is 1, whoever has to finish it: heap_owner.c
 *   reclaimed  how many blocks of dead owners were freed so far
 *   root       the user's
 */
struct mproc__heap_shm {
        uint32_t magic;
        uint32_t version;
        uint64_t namespace_id;
        uint64_t pages;
        uint64_t bytes; /* of the whole */
        struct mproc__program_id program;
        uint32_t owned;
        _Alignas(128) struct mproc__robust lock;
        mproc__word intent;
        _Atomic uint64_t groups;
        _Atomic uint64_t low;
        _Atomic uint64_t retiring;
        struct {
                _Atomic uint64_t where;
                _Atomic uint64_t block;
                _Atomic uint64_t old;
                _Atomic uint64_t owner;
        } exchange;
        _Alignas(128) _Atomic uint64_t reclaimed;
        _Alignas(128) _Atomic uint64_t root[16];
};
_Static_assert(sizeof(struct mproc__heap_shm) <= MPROC__HEAP_PAGE, "a heap's head fits into a page");

/* Words: kinds stand in the same bits of block words and page words. */
#define MPROC__HEAP_KIND     0xe0000000u
#define MPROC__HEAP_OWNER    0x1fffffffu
#define MPROC__HEAP_RETIRED  0u
#define MPROC__HEAP_FREE     0x20000000u
#define MPROC__HEAP_HELD     0x40000000u /* of a page: a run */
#define MPROC__HEAP_SLAB     0x60000000u
#define MPROC__HEAP_INTERIOR 0x80000000u

_Static_assert(MPROC__SLOT_BITS + MPROC__SLOT_GENERATION_BITS == 29, "an owner fits below the kind");

static inline uint32_t
mproc__heap_kind(uint64_t word)
{
        return (uint32_t)word & MPROC__HEAP_KIND;
}

static inline mproc__slot_id
mproc__heap_owner(uint64_t word)
{
        return (uint32_t)word & MPROC__HEAP_OWNER;
}

static inline uint64_t
mproc__heap_slab_word(unsigned class_index, uint32_t pages, uint32_t blocks)
{
        return (uint64_t)blocks << 48 | (uint64_t)pages << 40 | (uint64_t)class_index << 32 | MPROC__HEAP_SLAB;
}

static inline unsigned
mproc__heap_slab_class(uint64_t word)
{
        return (unsigned)(word >> 32 & 0xff);
}

static inline uint32_t
mproc__heap_slab_pages(uint64_t word)
{
        return (uint32_t)(word >> 40 & 0xff);
}

static inline uint32_t
mproc__heap_slab_blocks(uint64_t word)
{
        return (uint32_t)(word >> 48);
}

/* Of a run: its pages.  Of an interior page: how far behind its head. */
static inline uint64_t
mproc__heap_count(uint64_t word)
{
        return word >> 32;
}

/* --- classes --------------------------------------------------------------------------------------------- */

struct mproc__heap_class {
        uint32_t size;
        uint32_t pages;   /* of a slab */
        uint32_t inverse; /* 2^32 / size, rounded up: exact for what is below 2^16 */
};
extern const struct mproc__heap_class mproc__heap_classes[MPROC__HEAP_CLASSES];

/* The smallest class that has so many bytes, at most MPROC__HEAP_SMALL_MAX. */
unsigned mproc__heap_class_of(size_t size);

/* --- in this process ------------------------------------------------------------------------------------- */

/*
 * Where free blocks were seen: head page << 32 | index.  Never believed: a claim decides.  So threads need no lock
 * here.  If two of them change the same hints at once, hints are lost or stand there twice: a lost one is found
 * again by looking around, and of two who claim one block one gets it.  Each thread has a favourite shard, so that
 * this is rare.  count: at[] below it was written some time.  cursor: the group to look at next.
 */
#define MPROC__HEAP_HINTS  24u
#define MPROC__HEAP_SHARDS 4u

struct mproc__heap_hints {
        mproc__word count;
        _Atomic uint64_t at[MPROC__HEAP_HINTS];
        _Atomic uint64_t cursor;
};

struct mproc__heap_shard {
        struct mproc__heap_hints hints[MPROC__HEAP_CLASSES];
};

struct mproc_heap {
        struct mproc__object object;
        int fd;
        uint8_t *base;
        /* Constant; computed from the size, or checked. */
        uint64_t bytes;
        uint64_t pages;
        uint64_t data_at;
        bool owned;
        bool may_shrink; /* it lies in memory that could be taken away: the user's choice */
        struct mproc__heap_shm *shm;
        struct mproc__heap_group *groups;
        mproc__word *words;
        struct mproc__heap_shard shards[MPROC__HEAP_SHARDS];
};

extern const struct mproc__object_type mproc__heap_type;

static inline _Atomic uint64_t *
mproc__heap_page(const struct mproc_heap *heap, uint64_t page)
{
        return &heap->groups[page / MPROC__HEAP_GROUP].page[page % MPROC__HEAP_GROUP];
}

static inline uint64_t
mproc__heap_page_word(const struct mproc_heap *heap, uint64_t page)
{
        return atomic_load_explicit(mproc__heap_page(heap, page), memory_order_acquire);
}

static inline mproc__word *
mproc__heap_block_word(const struct mproc_heap *heap, uint64_t head, uint32_t index)
{
        return &heap->words[head * MPROC__HEAP_WORDS + index];
}

static inline uint64_t
mproc__heap_offset_of(const struct mproc_heap *heap, uint64_t head, uint32_t index, unsigned class_index)
{
        return heap->data_at + head * MPROC__HEAP_PAGE + (uint64_t)index * mproc__heap_classes[class_index].size;
}

/* Pages that are in use or may be: what lies behind has no memory yet and is not looked at. */
static inline uint64_t
mproc__heap_limit(const struct mproc_heap *heap)
{
        uint64_t limit = atomic_load_explicit(&heap->shm->groups, memory_order_acquire);

        if (limit > heap->pages / MPROC__HEAP_GROUP)
                return heap->pages;
        return limit * MPROC__HEAP_GROUP;
}

/* Is that the word of a slab whose head can be this page? */
static inline bool
mproc__heap_is_slab(const struct mproc_heap *heap, uint64_t head, uint64_t word)
{
        uint32_t pages = mproc__heap_slab_pages(word);

        return mproc__heap_kind(word) == MPROC__HEAP_SLAB && mproc__heap_slab_class(word) < MPROC__HEAP_CLASSES &&
               pages <= MPROC__HEAP_SLAB_MAX && heap->pages - head >= pages &&
               (uint64_t)mproc__heap_slab_blocks(word) * mproc__heap_classes[mproc__heap_slab_class(word)].size <=
                       (uint64_t)pages * MPROC__HEAP_PAGE;
}

static inline bool
mproc__heap_is_run(const struct mproc_heap *heap, uint64_t head, uint64_t word)
{
        return mproc__heap_kind(word) == MPROC__HEAP_HELD && mproc__heap_count(word) >= 1 &&
               mproc__heap_count(word) <= heap->pages - head;
}

/* --- pages: heap_pages.c --------------------------------------------------------------------------------- */

/* 0, or MPROC_EDEADLK with words.  Makes up for what a dead owner left. */
int mproc__heap_lock(struct mproc_heap *heap);
void mproc__heap_unlock(struct mproc_heap *heap);

/* The lock is not held.  0, -ENOMEM without words: no such pages are free.  Others with words. */
int mproc__heap_run_create(struct mproc_heap *heap, uint64_t pages, uint32_t owner, uint64_t *ret_head);
int mproc__heap_slab_create(struct mproc_heap *heap, unsigned class_index, uint64_t *ret_head);

/* If its word is still `word`.  False: it is something else by now.  *ret < 0, with words: the lock. */
bool mproc__heap_run_free(struct mproc_heap *heap, uint64_t head, uint64_t word, int *ret);

/* Take away slabs that have no block in use.  How many pages that gave; negative with words. */
int64_t mproc__heap_trim(struct mproc_heap *heap);

/* --- blocks: heap_blocks.c ------------------------------------------------------------------------------- */

/* A block of a slab is HELD by `owner`.  0, -ENOMEM without words, others with words. */
int mproc__heap_claim(struct mproc_heap *heap, unsigned class_index, size_t align, uint32_t owner,
                      uint64_t *ret_offset, unsigned *ret_class, mproc__word **ret_word);

static inline struct mproc__heap_hints *
mproc__heap_hints(struct mproc_heap *heap, unsigned class_index)
{
        return &heap->shards[mproc__word_thread_id() % MPROC__HEAP_SHARDS].hints[class_index];
}

/* If there is room. */
static inline void
mproc__heap_push(struct mproc__heap_hints *hints, uint64_t hint)
{
        uint32_t count = atomic_load_explicit(&hints->count, memory_order_relaxed);

        if (count < MPROC__HEAP_HINTS) {
                atomic_store_explicit(&hints->at[count], hint, memory_order_relaxed);
                atomic_store_explicit(&hints->count, count + 1, memory_order_release);
        }
}

/* False: there is none. */
static inline bool
mproc__heap_pop(struct mproc__heap_hints *hints, uint64_t *ret_hint)
{
        uint32_t count = atomic_load_explicit(&hints->count, memory_order_acquire);

        if (count == 0)
                return false;
        *ret_hint = atomic_load_explicit(&hints->at[count - 1], memory_order_relaxed);
        atomic_store_explicit(&hints->count, count - 1, memory_order_relaxed);
        return true;
}

/* What lies at an offset that somebody gave us. */
struct mproc__heap_place {
        uint64_t head;
        uint64_t page_word;
        bool run;
        unsigned class_index; /* of a slab's block: */
        uint32_t index;
        mproc__word *word;
        uint64_t bytes;
};

/* 0; -EINVAL with words: no block begins there; MPROC_ECORRUPT with words.  It may be free. */
int mproc__heap_find_slow(struct mproc_heap *heap, uint64_t offset, struct mproc__heap_place *ret);

/*
 * The common case: a block of a slab.  No more has to be checked than is: the block lies on this page and on those
 * before it, down to the head, so its word is below that page's end.
 */
static inline int
mproc__heap_find(struct mproc_heap *heap, uint64_t offset, struct mproc__heap_place *ret)
{
        uint64_t at = offset - heap->data_at, page = at / MPROC__HEAP_PAGE, word, behind;
        unsigned class_index;
        uint32_t index;

        if (__builtin_expect(offset < heap->data_at || page >= mproc__heap_limit(heap), 0))
                return mproc__heap_find_slow(heap, offset, ret);
        word = mproc__heap_page_word(heap, page);
        if (mproc__heap_kind(word) == MPROC__HEAP_INTERIOR && mproc__heap_count(word) <= page) {
                page -= mproc__heap_count(word);
                word = mproc__heap_page_word(heap, page);
        }
        class_index = mproc__heap_slab_class(word);
        behind = at - page * MPROC__HEAP_PAGE;
        if (__builtin_expect(mproc__heap_kind(word) != MPROC__HEAP_SLAB || class_index >= MPROC__HEAP_CLASSES ||
                                     behind >= MPROC__HEAP_SLAB_MAX * MPROC__HEAP_PAGE,
                             0))
                return mproc__heap_find_slow(heap, offset, ret);
        index = (uint32_t)(behind * mproc__heap_classes[class_index].inverse >> 32);
        if (__builtin_expect((uint64_t)index * mproc__heap_classes[class_index].size != behind ||
                                     index >= mproc__heap_slab_blocks(word),
                             0))
                return mproc__heap_find_slow(heap, offset, ret);
        *ret = (struct mproc__heap_place){ .head = page,
                                           .page_word = word,
                                           .class_index = class_index,
                                           .index = index,
                                           .word = mproc__heap_block_word(heap, page, index),
                                           .bytes = mproc__heap_classes[class_index].size };
        return 0;
}

int mproc__heap_fail_free(struct mproc_heap *heap, uint64_t offset); /* MPROC_ERELEASED: it is free */
int mproc__heap_fail_corrupt(const char *what);

/* Its word was just made FREE: others may see it, and we may use it next. */
static inline void
mproc__heap_freed(struct mproc_heap *heap, uint64_t head, uint32_t index, unsigned class_index)
{
        _Atomic uint64_t *maybe = &heap->groups[head / MPROC__HEAP_GROUP].maybe[class_index];
        uint64_t bit = UINT64_C(1) << head % MPROC__HEAP_GROUP;

        if (__builtin_expect(!(atomic_load(maybe) & bit), 0))
                (void)atomic_fetch_or(maybe, bit);
        mproc__heap_push(mproc__heap_hints(heap, class_index), head << 32 | index);
}

/* --- owners: heap_owner.c -------------------------------------------------------------------------------- */

/* Free what belongs to dead processes.  How many blocks; negative with words. */
int64_t mproc__heap_reclaim(struct mproc_heap *heap);

/* The lock is held, its last owner died: what he had begun to exchange is exchanged. */
void mproc__heap_finish_exchange(struct mproc_heap *heap);

#endif
