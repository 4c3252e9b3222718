/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_inplace.c - messages that are written and read where they lie, without a copy.
 *
 * Runs in: every process that reserves or peeks.  Owns: at most one message at each end of a handle, for the
 * thread that asked for it.
 *
 * Code of the user runs while a message is in his hands, for as long as he likes, and it may use any
 * other object: so none of our locks may be held meanwhile, which belong to threads and of
 * which a thread has one at a time.  Instead the end is marked as his process's (`hold`), and whoever
 * enters it next waits, with the lock, until it is free.  Death gives it free, too: those who
 * wait look at the process's slot from time to time.  What was reserved lies behind tail.n and what was
 * peeked at behind head.n, as in any other put and get: a dead process has put nothing, and
 * has taken nothing.
 *
 * At the end of it the holder counts without the lock; nobody else counts at this end while `hold` is not 0.
 * For those who sleep on the count `hold` is what the lock is otherwise: if it was taken when they
 * left their ticket they sleep in short slices, so that he who counts may die before he looks again.
 */
#include "channel/queue_core.h"
#include "core/error.h"
#include "program/slot.h"

#include <errno.h>

/* Everything is prepared: from here on, until let_go, that end is this thread's. */
static void
take_hold(struct mproc__queue_end *end, struct mproc__queue_inplace *inplace, mproc__slot_id self)
{
        atomic_store(&inplace->thread, mproc__word_thread()->tid);
        atomic_store(&end->hold, self);
}

/* The other way round: somebody else may take it as soon as `hold` is 0. */
static void
let_go(struct mproc__queue_end *end, struct mproc__queue_inplace *inplace)
{
        void *mapped = inplace->mapped;
        size_t len = (size_t)inplace->room;

        inplace->mapped = NULL;
        atomic_store(&inplace->thread, 0);
        mproc__memory_unmap(mapped, len);
        MPROC_POINT("queue.hold.counted");
        if (atomic_exchange(&end->hold, 0) & MPROC__WORD_WAITERS)
                (void)mproc__word_wake(&end->hold, 1);
}

/* Where the bytes are; those of a ring for one message have to be mapped, and to have pages. */
static int
locate(struct mproc_queue *queue, const struct mproc__window *w, struct mproc__queue_inplace *inplace,
       void **ret_data)
{
        uint64_t at = w->at + w->bytes_at;
        int r;

        inplace->mapped = NULL;
        if (!w->single) {
                *ret_data = mproc__window_at(w, inplace->start);
                return 0;
        }
        if ((r = mproc__memory_reserve(queue->segment->fd, at, inplace->room)) < 0 ||
            (r = mproc__memory_map(queue->segment->fd, at, (size_t)inplace->room, &inplace->mapped)) < 0)
                return r;
        *ret_data = inplace->mapped;
        return 0;
}

static int
check(const struct mproc_queue *queue, mproc__slot_id *ret_self)
{
        int r = mproc__queue_check(queue);

        if (r == 0 && !queue->shm->has_slots)
                r = mproc__fail(MPROC_EPROGRAM, "when the queue was made there was no telling who is dead");
        return r < 0 ? r : mproc__slot_self(ret_self);
}

static int
check_mine(const struct mproc_queue *queue, const struct mproc__queue_inplace *inplace, const char *what)
{
        if (!queue)
                return mproc__queue_fail_check(queue);
        if (atomic_load(&inplace->thread) != mproc__word_thread()->tid)
                return mproc__fail(MPROC_ERELEASED, "this thread has no message of the queue %s", what);
        return 0;
}

/* --- the tail ------------------------------------------------------------------------------------------- */

static int
reserve_locked(struct mproc_queue *queue, size_t len, struct mproc__queue_wait *wait, void **ret_data)
{
        struct mproc__queue_inplace *mine = &queue->reserved;
        uint32_t n = atomic_load_explicit(&queue->shm->tail.n, memory_order_relaxed);
        int r;

        if ((r = mproc__queue_await_room(queue, n, len, wait)) < 0 ||
            (r = mproc__queue_find_place(queue, n, len, &mine->start)) < 0)
                return r;
        mine->n = n;
        mine->room = len;
        return locate(queue, &queue->tail, mine, ret_data);
}

int
mproc_queue_reserve(mproc_queue *queue, size_t len_bytes, void **ret_data, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        mproc__slot_id self;
        int r;

        if ((r = check(queue, &self)) < 0)
                return r;
        if (len_bytes > MPROC__QUEUE_MESSAGE_MAX || (queue->max_bytes && len_bytes > queue->max_bytes))
                return mproc__fail(-EMSGSIZE, "a message of %zu bytes is longer than the queue may hold: %zu",
                                   len_bytes,
                                   queue->max_bytes ? (size_t)queue->max_bytes : (size_t)MPROC__QUEUE_MESSAGE_MAX);
        if ((r = mproc__queue_enter_tail(queue, &wait)) < 0)
                return mproc__queue_fail_put(queue, r);
        if ((r = reserve_locked(queue, len_bytes, &wait, ret_data)) == 0)
                take_hold(&queue->shm->tail, &queue->reserved, self);
        MPROC_POINT("queue.reserved");
        mproc__robust_unlock(&queue->shm->tail.lock);
        return r < 0 ? mproc__queue_fail_put(queue, r) : 0;
}

static void
drop_reserved(struct mproc_queue *queue)
{
        mproc__window_release_bytes(&queue->tail, queue->segment->fd);
        let_go(&queue->shm->tail, &queue->reserved);
}

int
mproc_queue_commit(mproc_queue *queue, size_t len_bytes)
{
        struct mproc__queue_end *tail;
        struct mproc__slot *slot;
        uint32_t n;
        bool woken;
        int r;

        if ((r = check_mine(queue, queue ? &queue->reserved : NULL, "reserved")) < 0)
                return r;
        if (len_bytes > queue->reserved.room)
                return mproc__fail(-EMSGSIZE, "%llu bytes were reserved, %zu are to be committed",
                                   (unsigned long long)queue->reserved.room, len_bytes);
        tail = &queue->shm->tail;
        if (atomic_load(&queue->shm->ended) != 0) {
                drop_reserved(queue);
                return mproc__queue_fail_put(queue, MPROC_ECLOSED);
        }
        n = queue->reserved.n;
        atomic_fetch_or(&tail->hold, MPROC__QUEUE_HOLD_COUNTS); /* before we look whether somebody polls */
        slot = mproc__window_slot(&queue->tail, n);
        atomic_store_explicit(&slot->end, queue->reserved.start + mproc__ring_need(len_bytes), memory_order_relaxed);
        atomic_store_explicit(&slot->len, len_bytes, memory_order_relaxed);
        if (queue->max_bytes)
                mproc__queue_tally_add(tail, n, 1, len_bytes);
        atomic_store_explicit(&tail->last, mproc__word_thread()->tid, memory_order_relaxed);
        mproc__queue_ring_bell(queue, n);
        MPROC_POINT("queue.commit.described");
        woken = mproc__counter_commit(&tail->n, &tail->armed, n, 1);
        let_go(tail, &queue->reserved);
        MPROC_POINT("queue.commit.left");
        mproc__counter_look_again(&tail->n, &tail->armed, n, woken);
        mproc__queue_ring_bell(queue, n);
        return 0;
}

int
mproc_queue_cancel(mproc_queue *queue)
{
        int r = check_mine(queue, queue ? &queue->reserved : NULL, "reserved");

        if (r == 0)
                drop_reserved(queue);
        return r;
}

/* --- the head ------------------------------------------------------------------------------------------- */

static int
peek_locked(struct mproc_queue *queue, struct mproc__queue_wait *wait, void **ret_data, size_t *ret_len)
{
        struct mproc__queue_inplace *mine = &queue->peeked;
        uint32_t n = atomic_load_explicit(&queue->shm->head.n, memory_order_relaxed), count;
        int r;

        if ((r = mproc__queue_await_message(queue, n, wait, &count)) < 0 ||
            (r = mproc__queue_settle_head(queue, n)) < 0 ||
            (r = mproc__queue_read_slot(&queue->head, n, &mine->start, ret_len)) < 0)
                return r;
        mine->n = n;
        mine->room = *ret_len;
        return locate(queue, &queue->head, mine, ret_data);
}

int
mproc_queue_peek(mproc_queue *queue, const void **ret_data, size_t *ret_len_bytes, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        mproc__slot_id self;
        void *data = NULL;
        size_t len = 0;
        int r;

        if ((r = check(queue, &self)) < 0)
                return r;
        if (queue->ledger)
                return mproc__fail(MPROC_EUNSUPPORTED,
                                   "messages of a queue with leases or tasks cannot be peeked at: "
                                   "use mproc_queue_get_leased");
        if ((r = mproc__queue_enter_head(queue, &wait)) < 0)
                return mproc__queue_fail_get(queue, r);
        if ((r = peek_locked(queue, &wait, &data, &len)) == 0)
                take_hold(&queue->shm->head, &queue->peeked, self);
        MPROC_POINT("queue.peeked");
        mproc__robust_unlock(&queue->shm->head.lock);
        if (r < 0)
                return mproc__queue_fail_get(queue, r);
        *ret_data = data;
        if (ret_len_bytes)
                *ret_len_bytes = len;
        return 0;
}

int
mproc_queue_release(mproc_queue *queue)
{
        struct mproc__queue_end *head;
        uint32_t n;
        bool woken;
        int r;

        if ((r = check_mine(queue, queue ? &queue->peeked : NULL, "to release")) < 0)
                return r;
        head = &queue->shm->head;
        n = queue->peeked.n;
        woken = mproc__queue_count_head(queue, n, 1, queue->peeked.room);
        let_go(head, &queue->peeked);
        MPROC_POINT("queue.release.left");
        mproc__counter_look_again(&head->n, &head->armed, n, woken);
        return 0;
}

int
mproc_queue_unpeek(mproc_queue *queue)
{
        int r = check_mine(queue, queue ? &queue->peeked : NULL, "to leave in place");

        if (r == 0)
                let_go(&queue->shm->head, &queue->peeked);
        return r;
}

/* --- the handle ------------------------------------------------------------------------------------------ */

/* It ends: what its threads had in their hands is as if they had not had it. */
void
mproc__queue_drop_inplace(struct mproc_queue *queue)
{
        if (atomic_load(&queue->reserved.thread) != 0)
                drop_reserved(queue);
        if (atomic_load(&queue->peeked.thread) != 0)
                let_go(&queue->shm->head, &queue->peeked);
}

/* In a forked child: it is the parent's message, not ours. */
void
mproc__queue_forget_inplace(struct mproc_queue *queue)
{
        struct mproc__queue_inplace *both[] = { &queue->reserved, &queue->peeked };

        for (int i = 0; i < 2; i++) {
                mproc__memory_unmap(both[i]->mapped, (size_t)both[i]->room);
                both[i]->mapped = NULL;
                atomic_store(&both[i]->thread, 0);
        }
}
