/* SPDX-License-Identifier: MIT */
/*
 * memory/heap_pages.c - the heap's pages: runs and slabs, under the lock.
 *
 * Runs in: every process that has the heap.  Owns: nothing.
 *
 * What is found by whom after a death is told at each function; in short: the page word of a head is
 * the commit.  Written last when pages are taken, erased first when they are given back, it leaves at most
 * INTERIORs that belong to no head, which the next owner of the lock erases.
 */
#include "core/error.h"
#include "core/point.h"
#include "memory/heap.h"
#include "platform/memory.h"
#include "platform/platform.h"

#include <errno.h>
#include <string.h>

/* --- the map of used pages ------------------------------------------------------------------------------- */

static uint64_t
used(const struct mproc_heap *heap, uint64_t page)
{
        return atomic_load_explicit(&heap->groups[page / MPROC__HEAP_GROUP].used, memory_order_relaxed);
}

static void
mark(struct mproc_heap *heap, uint64_t page, uint64_t count, bool is_used)
{
        while (count > 0) {
                uint64_t bit = page % MPROC__HEAP_GROUP;
                uint64_t n = MPROC__HEAP_GROUP - bit < count ? MPROC__HEAP_GROUP - bit : count;
                uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << bit;
                _Atomic uint64_t *map = &heap->groups[page / MPROC__HEAP_GROUP].used;
                uint64_t old = atomic_load_explicit(map, memory_order_relaxed);

                atomic_store_explicit(map, is_used ? old | mask : old & ~mask, memory_order_relaxed);
                page += n;
                count -= n;
        }
}

/* The first page from `page` on that is used, or is not; `limit` if there is none below it. */
static uint64_t
next(const struct mproc_heap *heap, uint64_t page, uint64_t limit, bool is_used)
{
        while (page < limit) {
                uint64_t map = used(heap, page);
                uint64_t rest = (is_used ? map : ~map) >> page % MPROC__HEAP_GROUP;

                if (rest) {
                        page += (uint64_t)__builtin_ctzll(rest);
                        return page < limit ? page : limit;
                }
                page += MPROC__HEAP_GROUP - page % MPROC__HEAP_GROUP;
        }
        return limit;
}

/* So many free pages in a row.  If there are none, *ret is where the free pages at the end begin. */
static bool
search(struct mproc_heap *heap, uint64_t limit, uint64_t count, uint64_t *ret)
{
        uint64_t low = atomic_load_explicit(&heap->shm->low, memory_order_relaxed);
        uint64_t page = next(heap, low < limit ? low : limit, limit, false);

        atomic_store_explicit(&heap->shm->low, page, memory_order_relaxed);
        for (;;) {
                uint64_t end = next(heap, page, limit - page < count ? limit : page + count, true);

                *ret = page;
                if (end - page >= count)
                        return true;
                if (end >= limit)
                        return false;
                page = next(heap, end, limit, false);
        }
}

/* --- memory ---------------------------------------------------------------------------------------------- */

/* Some file systems cannot reserve; then want of memory is a signal, as everywhere on them. */
static int
reserve(struct mproc_heap *heap, const void *at, uint64_t bytes)
{
        uint64_t offset = (uint64_t)((const uint8_t *)at - heap->base);
        uint64_t begin = offset / MPROC__HEAP_PAGE * MPROC__HEAP_PAGE;
        int r = mproc__memory_reserve(heap->fd, begin, offset + bytes - begin);

        return r == -EOPNOTSUPP ? 0 : r;
}

/*
 * Bring groups into use, so that pages up to `end` are there, with memory, so that want of it is an error here and
 * not a signal later.  Who dies before `groups` is stored has reserved what somebody will reserve again.
 */
static int
extend(struct mproc_heap *heap, uint64_t end)
{
        uint64_t old = mproc__heap_limit(heap) / MPROC__HEAP_GROUP;
        uint64_t new = (end + MPROC__HEAP_GROUP - 1) / MPROC__HEAP_GROUP, pages;
        int r;

        if (new *MPROC__HEAP_GROUP > heap->pages)
                pages = heap->pages - old * MPROC__HEAP_GROUP;
        else
                pages = (new - old) * MPROC__HEAP_GROUP;
        if ((r = reserve(heap, &heap->groups[old], (new - old) * sizeof(struct mproc__heap_group))) < 0 ||
            (r = reserve(heap, heap->base + heap->data_at + old * MPROC__HEAP_GROUP * MPROC__HEAP_PAGE,
                         pages * MPROC__HEAP_PAGE)) < 0)
                return mproc__fail_errno(-r, "no memory for %llu more pages of a heap", (unsigned long long)pages);
        MPROC_POINT("heap.extend.reserved");
        atomic_store_explicit(&heap->shm->groups, new, memory_order_release);
        return 0;
}

/* The block words of these pages have memory from here on. */
static int
reserve_words(struct mproc_heap *heap, uint64_t head, uint64_t pages)
{
        for (uint64_t group = head / MPROC__HEAP_GROUP; group <= (head + pages - 1) / MPROC__HEAP_GROUP; group++) {
                uint64_t first = group * MPROC__HEAP_GROUP, count = heap->pages - first;
                int r;

                if (atomic_load_explicit(&heap->groups[group].reserved, memory_order_relaxed))
                        continue;
                if (count > MPROC__HEAP_GROUP)
                        count = MPROC__HEAP_GROUP;
                r = reserve(heap, mproc__heap_block_word(heap, first, 0),
                            count * MPROC__HEAP_WORDS * sizeof(mproc__word));
                if (r < 0)
                        return mproc__fail_errno(-r, "no memory for the words of a heap's blocks");
                atomic_store_explicit(&heap->groups[group].reserved, 1, memory_order_relaxed);
        }
        return 0;
}

/* Pages that are free and have memory; nothing has happened to them.  -ENOMEM without words. */
static int
find_pages(struct mproc_heap *heap, uint64_t count, uint64_t *ret_head)
{
        uint64_t limit = mproc__heap_limit(heap), at;
        int r;

        if (count > heap->pages)
                return -ENOMEM;
        if (search(heap, limit, count, &at)) {
                *ret_head = at;
                return 0;
        }
        if (at > heap->pages || heap->pages - at < count)
                return -ENOMEM;
        if ((r = extend(heap, at + count)) < 0)
                return r;
        *ret_head = at;
        return 0;
}

/* --- heads and interiors --------------------------------------------------------------------------------- */

static void
set_page(struct mproc_heap *heap, uint64_t page, uint64_t word)
{
        atomic_store_explicit(mproc__heap_page(heap, page), word, memory_order_release);
}

/* They are taken once the head's word is stored.  Who dies before leaves INTERIORs without a head: see sweep. */
static void
commit(struct mproc_heap *heap, uint64_t head, uint64_t pages, uint64_t word)
{
        for (uint64_t i = 1; i < pages; i++)
                set_page(heap, head + i, i << 32 | MPROC__HEAP_INTERIOR);
        MPROC_POINT("heap.commit.interior");
        mark(heap, head, pages, true);
        set_page(heap, head, word);
        MPROC_POINT("heap.commit.head");
}

/* They are free once the head's word is erased. */
static void
give_back(struct mproc_heap *heap, uint64_t head, uint64_t pages)
{
        set_page(heap, head, 0);
        MPROC_POINT("heap.give_back.head");
        for (uint64_t i = 1; i < pages; i++)
                set_page(heap, head + i, 0);
        mark(heap, head, pages, false);
        if (atomic_load_explicit(&heap->shm->low, memory_order_relaxed) > head)
                atomic_store_explicit(&heap->shm->low, head, memory_order_relaxed);
}

/* --- what a dead owner of the lock left ------------------------------------------------------------------ */

/* How many pages the head has; 0: it is none, or damaged. */
static uint64_t
pages_of(const struct mproc_heap *heap, uint64_t page, uint64_t word)
{
        if (mproc__heap_is_run(heap, page, word))
                return mproc__heap_count(word);
        return mproc__heap_is_slab(heap, page, word) ? mproc__heap_slab_pages(word) : 0;
}

/* INTERIORs that no head covers are nobody's; the map of used pages is made anew. */
static void
sweep(struct mproc_heap *heap)
{
        uint64_t limit = mproc__heap_limit(heap), page = 0;

        while (page < limit) {
                uint64_t word = mproc__heap_page_word(heap, page), pages = pages_of(heap, page, word);

                if (pages > 0) {
                        mark(heap, page, pages < limit - page ? pages : limit - page, true);
                        page += pages;
                        continue;
                }
                if (mproc__heap_kind(word) == MPROC__HEAP_INTERIOR)
                        set_page(heap, page, word = 0);
                mark(heap, page, 1, word != 0); /* a damaged word: its page is lost, rather than used twice */
                page++;
        }
        atomic_store_explicit(&heap->shm->low, 0, memory_order_relaxed);
}

/* A slab that was to be taken away stays: its RETIRED blocks are FREE again. */
static void
roll_back(struct mproc_heap *heap)
{
        uint64_t head = atomic_load_explicit(&heap->shm->retiring, memory_order_relaxed);
        uint64_t word;

        if (head == 0 || --head >= mproc__heap_limit(heap))
                return;
        word = mproc__heap_page_word(heap, head);
        if (mproc__heap_is_slab(heap, head, word))
                for (uint32_t i = 0; i < mproc__heap_slab_blocks(word); i++) {
                        uint32_t retired = MPROC__HEAP_RETIRED;

                        (void)atomic_compare_exchange_strong(mproc__heap_block_word(heap, head, i), &retired,
                                                             MPROC__HEAP_FREE);
                }
        MPROC_POINT("heap.rolled_back");
        atomic_store_explicit(&heap->shm->retiring, 0, memory_order_release);
}

static void
recover(struct mproc_heap *heap)
{
        MPROC_POINT("heap.recover");
        sweep(heap);
        MPROC_POINT("heap.recover.swept");
        roll_back(heap);
        mproc__heap_finish_exchange(heap);
}

int
mproc__heap_lock(struct mproc_heap *heap)
{
        int r = mproc__robust_lock(&heap->shm->lock, MPROC__NEVER, NULL);

        if (r < 0)
                return mproc__fail(r,
                                   "this thread is inside the heap already: a signal handler interrupted it there");
        if (r == MPROC__ROBUST_RECOVERED)
                recover(heap);
        return 0;
}

void
mproc__heap_unlock(struct mproc_heap *heap)
{
        mproc__robust_unlock(&heap->shm->lock);
}

/* --- runs ------------------------------------------------------------------------------------------------ */

int
mproc__heap_run_create(struct mproc_heap *heap, uint64_t pages, uint32_t owner, uint64_t *ret_head)
{
        int r = mproc__heap_lock(heap);

        if (r < 0)
                return r;
        if ((r = find_pages(heap, pages, ret_head)) == 0)
                commit(heap, *ret_head, pages, pages << 32 | MPROC__HEAP_HELD | owner);
        mproc__heap_unlock(heap);
        return r;
}

bool
mproc__heap_run_free(struct mproc_heap *heap, uint64_t head, uint64_t word, int *ret)
{
        bool same;

        if ((*ret = mproc__heap_lock(heap)) < 0)
                return false;
        same = mproc__heap_page_word(heap, head) == word && mproc__heap_is_run(heap, head, word);
        if (same)
                give_back(heap, head, mproc__heap_count(word));
        mproc__heap_unlock(heap);
        return same;
}

/* --- slabs ----------------------------------------------------------------------------------------------- */

/*
 * The words become FREE before there is a slab.  Somebody with an old hint may claim one right away; he looks at the
 * head then, and lets go, or finds the slab there and has a block of it.  Therefore only RETIRED words are written:
 * another value is such a claim, or FREE from somebody who died here before.
 */
static int
make_slab(struct mproc_heap *heap, unsigned class_index, uint32_t pages, uint64_t *ret_head)
{
        uint32_t blocks = pages * MPROC__HEAP_PAGE / mproc__heap_classes[class_index].size;
        uint64_t head;
        int r;

        if ((r = find_pages(heap, pages, &head)) < 0 || (r = reserve_words(heap, head, pages)) < 0)
                return r;
        for (uint32_t i = 0; i < blocks; i++) {
                mproc__word *word = mproc__heap_block_word(heap, head, i);

                if (atomic_load_explicit(word, memory_order_relaxed) == MPROC__HEAP_RETIRED)
                        atomic_store_explicit(word, MPROC__HEAP_FREE, memory_order_release);
        }
        MPROC_POINT("heap.slab.filled");
        commit(heap, head, pages, mproc__heap_slab_word(class_index, pages, blocks));
        (void)atomic_fetch_or_explicit(&heap->groups[head / MPROC__HEAP_GROUP].maybe[class_index],
                                       UINT64_C(1) << head % MPROC__HEAP_GROUP, memory_order_relaxed);
        *ret_head = head;
        return 0;
}

/* As many pages as the class likes, or fewer, down to what one block needs; never much of a small heap. */
int
mproc__heap_slab_create(struct mproc_heap *heap, unsigned class_index, uint64_t *ret_head)
{
        const struct mproc__heap_class *class = &mproc__heap_classes[class_index];
        uint32_t pages = class->pages, least = (class->size + MPROC__HEAP_PAGE - 1) / MPROC__HEAP_PAGE;
        int r = mproc__heap_lock(heap);

        if (r < 0)
                return r;
        while (pages > least && pages > heap->pages / 16)
                pages = pages / 2 > least ? pages / 2 : least;
        while ((r = make_slab(heap, class_index, pages, ret_head)) == -ENOMEM && pages > least)
                pages = pages / 2 > least ? pages / 2 : least;
        mproc__heap_unlock(heap);
        return r;
}

/* Is every block FREE?  What is true now need not be true in a moment. */
static bool
is_idle(const struct mproc_heap *heap, uint64_t head, uint64_t word)
{
        for (uint32_t i = 0; i < mproc__heap_slab_blocks(word); i++)
                if (atomic_load_explicit(mproc__heap_block_word(heap, head, i), memory_order_relaxed) !=
                    MPROC__HEAP_FREE)
                        return false;
        return true;
}

/*
 * Under the lock.  Block by block it is made sure that nobody can claim them any more; somebody who just did keeps
 * his block, and the slab.  Who dies on the way is found by `retiring`.
 */
static bool
retire(struct mproc_heap *heap, uint64_t head, uint64_t word)
{
        uint32_t blocks = mproc__heap_slab_blocks(word), i;

        atomic_store(&heap->shm->retiring, head + 1);
        for (i = 0; i < blocks; i++) {
                uint32_t expected = MPROC__HEAP_FREE;

                if (!atomic_compare_exchange_strong(mproc__heap_block_word(heap, head, i), &expected,
                                                    MPROC__HEAP_RETIRED))
                        break;
                MPROC_POINT("heap.retire.block");
        }
        if (i < blocks) {
                roll_back(heap);
                return false;
        }
        (void)atomic_fetch_and_explicit(&heap->groups[head / MPROC__HEAP_GROUP].maybe[mproc__heap_slab_class(word)],
                                        ~(UINT64_C(1) << head % MPROC__HEAP_GROUP), memory_order_relaxed);
        give_back(heap, head, mproc__heap_slab_pages(word));
        MPROC_POINT("heap.retire.gone");
        atomic_store_explicit(&heap->shm->retiring, 0, memory_order_release);
        return true;
}

/* The lock is taken for each slab that looks idle, so that nobody waits for all of them. */
int64_t
mproc__heap_trim(struct mproc_heap *heap)
{
        uint64_t limit = mproc__heap_limit(heap);
        int64_t pages = 0;

        for (uint64_t page = 0; page < limit; page++) {
                uint64_t word = mproc__heap_page_word(heap, page);
                int r;

                if (!mproc__heap_is_slab(heap, page, word) || !is_idle(heap, page, word))
                        continue;
                if ((r = mproc__heap_lock(heap)) < 0)
                        return r;
                if (mproc__heap_page_word(heap, page) == word && retire(heap, page, word))
                        pages += mproc__heap_slab_pages(word);
                mproc__heap_unlock(heap);
        }
        return pages;
}
