/* SPDX-License-Identifier: MIT */
/*
 * memory/heap_owner.c - whose a block is, and what becomes of the blocks of the dead.
 *
 * Runs in: every process that has the heap.  Owns: nothing.
 *
 * The owner stands in the same word that says that a block is in use, so it changes in one step.  Only an exchange is
 * more: a pointer and two owners.  It is written down under the lock before it is done; it counts as done once
 * it is written down, since the next owner of the lock, told of a death, does it again from the beginning, which has
 * the same effect.  For that reason nothing of a dead process is freed before the lock was held once after its
 * death: there is no exchange of the dead left then.
 */
#include "core/error.h"
#include "core/point.h"
#include "memory/heap.h"

#include <errno.h>
#include <string.h>

static int
check(const struct mproc_heap *heap)
{
        return heap ? 0 : mproc__fail(MPROC_EHANDLE, "a heap is wanted, NULL was given");
}

/* --- one block ------------------------------------------------------------------------------------------- */

/* The word as it is now: HELD and the owner, or something else. */
static uint32_t
look(const struct mproc_heap *heap, struct mproc__heap_place *place)
{
        if (!place->run)
                return atomic_load(place->word);
        place->page_word = mproc__heap_page_word(heap, place->head);
        return mproc__heap_is_run(heap, place->head, place->page_word) ? (uint32_t)place->page_word : 0;
}

/* From what look has just seen; false: it is no longer that. */
static bool
change(struct mproc_heap *heap, struct mproc__heap_place *place, uint32_t seen, uint32_t owner)
{
        uint64_t next = (place->page_word & ~UINT64_C(0xffffffff)) | MPROC__HEAP_HELD | owner;

        if (place->run)
                return atomic_compare_exchange_strong(mproc__heap_page(heap, place->head), &place->page_word, next);
        return atomic_compare_exchange_strong(place->word, &seen, MPROC__HEAP_HELD | owner);
}

static int
fail_owned(uint64_t offset, mproc__slot_id owner)
{
        char name[MPROC__SLOT_NAME_MAX];

        mproc__slot_name(owner, name);
        return mproc__fail(MPROC_ENOTOWNER, "the block at %llu belongs to process %s%s(pid %ld)",
                           (unsigned long long)offset, name, *name ? " " : "", (long)mproc__slot_pid(owner));
}

/* 0, MPROC_ERELEASED, or what mproc__heap_find says, with words. */
static int
find_held(struct mproc_heap *heap, uint64_t offset, struct mproc__heap_place *ret, uint32_t *ret_word)
{
        int r = mproc__heap_find(heap, offset, ret);

        if (r < 0)
                return r;
        *ret_word = look(heap, ret);
        return mproc__heap_kind(*ret_word) == MPROC__HEAP_HELD ? 0 : mproc__heap_fail_free(heap, offset);
}

static int pass_lock(struct mproc_heap *heap);

/* To `owner`, from this process or nobody; and, if so wanted, from a dead one. */
static int
hand_over(struct mproc_heap *heap, uint64_t offset, mproc__slot_id owner, bool from_dead)
{
        struct mproc__heap_place place;
        mproc__slot_id self, now;
        uint32_t word;
        int r;

        if ((r = check(heap)) < 0 || (r = mproc__slot_self(&self)) < 0)
                return r;
        do {
                if ((r = find_held(heap, offset, &place, &word)) < 0)
                        return r;
                now = mproc__heap_owner(word);
                if (now == (owner ? self : 0))
                        return 0;
                if (now != 0 && now != self) {
                        if (!from_dead || !mproc__slot_is_dead(now))
                                return fail_owned(offset, now);
                        if ((r = pass_lock(heap)) < 0)
                                return r;
                        if (look(heap, &place) != word)
                                continue;
                }
        } while (!change(heap, &place, word, owner ? self : 0));
        MPROC_POINT("heap.owner.changed");
        return 0;
}

int
mproc_heap_give(mproc_heap *heap, uint64_t offset)
{
        return hand_over(heap, offset, 0, false);
}

int
mproc_heap_take(mproc_heap *heap, uint64_t offset)
{
        return hand_over(heap, offset, 1, true);
}

int
mproc_heap_owner(mproc_heap *heap, uint64_t offset, pid_t *ret_pid)
{
        struct mproc__heap_place place;
        uint32_t word;
        int r;

        if ((r = check(heap)) < 0 || (r = find_held(heap, offset, &place, &word)) < 0)
                return r;
        *ret_pid = mproc__heap_owner(word) ? mproc__slot_pid(mproc__heap_owner(word)) : 0;
        return 0;
}

/* --- exchange -------------------------------------------------------------------------------------------- */

/* Does a word that a pointer may be in lie there? */
static bool
is_in_use(struct mproc_heap *heap, uint64_t where)
{
        uint64_t root = offsetof(struct mproc__heap_shm, root);

        if (where % sizeof(uint64_t) != 0)
                return false;
        if (where >= root && where < root + MPROC_HEAP_ROOT_BYTES)
                return true;
        return where >= heap->data_at && (where - heap->data_at) / MPROC__HEAP_PAGE < mproc__heap_limit(heap) &&
               mproc__heap_page_word(heap, (where - heap->data_at) / MPROC__HEAP_PAGE) != 0;
}

/* Whoever owns it: from what it is to this owner.  If it is not a block in use any more nothing happens. */
static void
set_owner(struct mproc_heap *heap, uint64_t offset, mproc__slot_id owner)
{
        struct mproc__heap_place place;
        uint32_t word;

        if (offset == 0 || mproc__heap_find(heap, offset, &place) < 0)
                return;
        do
                word = look(heap, &place);
        while (mproc__heap_kind(word) == MPROC__HEAP_HELD && !change(heap, &place, word, owner));
}

/* The lock is held.  Done twice, or after half of it was done, it has the same effect. */
void
mproc__heap_finish_exchange(struct mproc_heap *heap)
{
        uint64_t where, block, old, owner;

        if (atomic_load(&heap->shm->intent) != 1)
                return;
        where = atomic_load_explicit(&heap->shm->exchange.where, memory_order_relaxed);
        block = atomic_load_explicit(&heap->shm->exchange.block, memory_order_relaxed);
        old = atomic_load_explicit(&heap->shm->exchange.old, memory_order_relaxed);
        owner = atomic_load_explicit(&heap->shm->exchange.owner, memory_order_relaxed);
        if (is_in_use(heap, where)) {
                __atomic_store_n((uint64_t *)(void *)(heap->base + where), block, __ATOMIC_SEQ_CST);
                MPROC_POINT("heap.exchange.pointed");
                set_owner(heap, block, 0);
                MPROC_POINT("heap.exchange.given");
                set_owner(heap, old, (uint32_t)owner & MPROC__HEAP_OWNER);
                MPROC_POINT("heap.exchange.taken");
        }
        atomic_store(&heap->shm->intent, 0);
}

/* 0 is fine; a block has to be in use, and this process's or nobody's. */
static int
check_block(struct mproc_heap *heap, uint64_t offset, mproc__slot_id self)
{
        struct mproc__heap_place place;
        uint32_t word;
        int r;

        if (offset == 0)
                return 0;
        if ((r = find_held(heap, offset, &place, &word)) < 0)
                return r;
        if (mproc__heap_owner(word) != 0 && mproc__heap_owner(word) != self)
                return fail_owned(offset, mproc__heap_owner(word));
        return 0;
}

/* ret_old: what is there is to become ours; NULL: it stays as it is. */
static int
exchange_locked(struct mproc_heap *heap, uint64_t where, uint64_t block, mproc__slot_id self, uint64_t *ret_old)
{
        uint64_t old;
        int r;

        if (!is_in_use(heap, where))
                return mproc__fail(-EINVAL,
                                   "the pointer to be changed is not at a multiple of 8 in a block of the heap, "
                                   "or in its root");
        old = __atomic_load_n((uint64_t *)(void *)(heap->base + where), __ATOMIC_SEQ_CST);
        if ((r = check_block(heap, block, self)) < 0 || (ret_old && (r = check_block(heap, old, self)) < 0))
                return r;
        if (ret_old)
                *ret_old = old;
        atomic_store_explicit(&heap->shm->exchange.where, where, memory_order_relaxed);
        atomic_store_explicit(&heap->shm->exchange.block, block, memory_order_relaxed);
        atomic_store_explicit(&heap->shm->exchange.old, ret_old && old != block ? old : 0, memory_order_relaxed);
        atomic_store_explicit(&heap->shm->exchange.owner, self, memory_order_relaxed);
        MPROC_POINT("heap.exchange.prepared");
        atomic_store(&heap->shm->intent, 1);
        MPROC_POINT("heap.exchange.intended");
        mproc__heap_finish_exchange(heap);
        return 0;
}

static int
exchange(mproc_heap *heap, uint64_t *where, uint64_t block, uint64_t *ret_old)
{
        mproc__slot_id self;
        int r;

        if ((r = check(heap)) < 0 || (r = mproc__slot_self(&self)) < 0 || (r = mproc__heap_lock(heap)) < 0)
                return r;
        r = exchange_locked(heap, mproc_heap_offset(heap, where), block, self, ret_old);
        mproc__heap_unlock(heap);
        return r;
}

int
mproc_heap_publish(mproc_heap *heap, uint64_t *where, uint64_t block)
{
        return exchange(heap, where, block, NULL);
}

int
mproc_heap_exchange(mproc_heap *heap, uint64_t *where, uint64_t block, uint64_t *ret_old)
{
        uint64_t old;
        int r = exchange(heap, where, block, &old);

        if (r == 0 && ret_old)
                *ret_old = old;
        return r;
}

/* --- the dead -------------------------------------------------------------------------------------------- */

/* Remembers the last answers, since asking is three system calls. */
struct roll {
        mproc__slot_id id[64];
        bool dead[64];
};

static int
pass_lock(struct mproc_heap *heap)
{
        int r = mproc__heap_lock(heap);

        if (r == 0)
                mproc__heap_unlock(heap);
        return r;
}

/* 1, 0 or a negative code.  Who is found dead has no exchange under way afterwards. */
static int
is_dead(struct mproc_heap *heap, struct roll *roll, mproc__slot_id id)
{
        unsigned i = id % 64;
        int r;

        if (roll->id[i] != id) {
                roll->dead[i] = mproc__slot_is_dead(id);
                roll->id[i] = id;
                if (roll->dead[i] && (r = pass_lock(heap)) < 0) {
                        roll->id[i] = 0;
                        return r;
                }
        }
        return roll->dead[i];
}

/* How many blocks of one slab; negative with words. */
static int64_t
reclaim_slab(struct mproc_heap *heap, struct roll *roll, uint64_t head, uint64_t page_word)
{
        int64_t freed = 0;

        for (uint32_t i = 0; i < mproc__heap_slab_blocks(page_word); i++) {
                mproc__word *word = mproc__heap_block_word(heap, head, i);
                uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);
                int r;

                if (mproc__heap_kind(seen) != MPROC__HEAP_HELD || mproc__heap_owner(seen) == 0)
                        continue;
                if ((r = is_dead(heap, roll, mproc__heap_owner(seen))) < 0)
                        return r;
                if (r && atomic_compare_exchange_strong(word, &seen, MPROC__HEAP_FREE)) {
                        mproc__heap_freed(heap, head, i, mproc__heap_slab_class(page_word));
                        freed++;
                }
        }
        return freed;
}

static int64_t
reclaim_run(struct mproc_heap *heap, struct roll *roll, uint64_t head, uint64_t page_word)
{
        int r;

        if (mproc__heap_owner(page_word) == 0)
                return 0;
        if ((r = is_dead(heap, roll, mproc__heap_owner(page_word))) <= 0)
                return r;
        if (mproc__heap_run_free(heap, head, page_word, &r))
                return 1;
        return r;
}

/*
 * A word that says that a dead process owns a block can be made FREE at any time, also if the slab it was claimed in
 * is gone: what is no block may be FREE.
 */
int64_t
mproc__heap_reclaim(struct mproc_heap *heap)
{
        struct roll roll;
        int64_t freed = 0, n;

        memset(&roll, 0, sizeof roll);
        for (uint64_t page = 0; page < mproc__heap_limit(heap); page++) {
                uint64_t word = mproc__heap_page_word(heap, page);

                if (mproc__heap_is_slab(heap, page, word))
                        n = reclaim_slab(heap, &roll, page, word);
                else if (mproc__heap_is_run(heap, page, word))
                        n = reclaim_run(heap, &roll, page, word);
                else
                        n = 0;
                if (n < 0)
                        return n;
                freed += n;
        }
        if (freed > 0)
                (void)atomic_fetch_add_explicit(&heap->shm->reclaimed, (uint64_t)freed, memory_order_relaxed);
        return freed;
}

int
mproc_heap_reclaim(mproc_heap *heap, size_t *ret_blocks)
{
        int64_t n;
        int r;

        if ((r = check(heap)) < 0)
                return r;
        /* What one who died inside the lock left is made up for, also if he owned nothing. */
        if ((r = pass_lock(heap)) < 0 || (n = mproc__heap_reclaim(heap)) < 0)
                return r < 0 ? r : (int)n;
        if (ret_blocks)
                *ret_blocks = (size_t)n;
        return 0;
}
