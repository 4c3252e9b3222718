/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_put.c - the tail of a queue: putting messages, and building rings for them.
 *
 * Runs in: every process that puts.  Owns: the handle's window onto the tail's ring, under tail.lock.
 *
 * Hints.  How far the head has come, as the tail knows it, spares a look at the other
 * end's cache line for each message.  Being behind is harmless (the tail then looks), so each
 * of the three words may be old; that they are about this ring is told by hint_ring.
 */
#include "channel/queue_core.h"
#include "core/error.h"
#include "platform/platform.h"

#include <errno.h>

/*
 * After so many messages a ring is left even if it has room, so that numbers within a ring can be
 * compared although they wrap around.
 */
#ifdef MPROC_POINTS
#define RING_SPAN_MAX 5000u
#else
#define RING_SPAN_MAX (1u << 30)
#endif

/* The tail's ring, and nothing behind it; only a linker who died before he said so in tail.ring leaves something. */
static int
settle_tail(struct mproc_queue *queue)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        uint64_t next;
        int r = mproc__queue_open_ring(queue, tail, &queue->tail);

        while (r == 0 && (next = mproc__window_next(&queue->tail)) != 0)
                r = mproc__queue_step(queue, tail, &queue->tail, next);
        return r;
}

/*
 * The last owner of tail.lock died.  What he had committed is whole, what he had not is
 * garbage: in the ring, where the next message overwrites it; or behind the last ring, where
 * he was building another, and from where it goes back to the system now.
 */
static void
recover_tail(struct mproc_queue *queue)
{
        uint64_t size, end;

        mproc__queue_wake_both(queue->shm);
        if (settle_tail(queue) < 0)
                return; /* the put that follows will say so */
        end = mproc__window_end(&queue->tail);
        if (mproc__memory_look(queue->segment->fd, &size, NULL) == 0 && size > end)
                mproc__memory_release(queue->segment->fd, end, size - end);
}

/* Look at the head: how far is it, in messages and in bytes of the tail's ring? */
static int
refresh_hints(struct mproc_queue *queue, uint32_t n)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        const struct mproc__window *w = &queue->tail;
        uint32_t h = atomic_load_explicit(&queue->shm->head.n, memory_order_acquire);
        uint64_t bytes = 0;

        if (n - h > MPROC__QUEUE_COUNT_MAX)
                return MPROC_ECORRUPT;
        if ((int32_t)(h - w->first_n) > 0)
                bytes = atomic_load_explicit(&mproc__window_slot(w, h - 1)->end, memory_order_relaxed);
        if (atomic_load_explicit(&tail->hint_ring, memory_order_relaxed) != w->at)
                atomic_store_explicit(&tail->hint_ring, 0, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        atomic_store_explicit(&tail->hint_bytes, bytes, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        atomic_store_explicit(&tail->hint_ring, w->at, memory_order_relaxed);
        atomic_store_explicit(&tail->hint_n, h, memory_order_relaxed);
        return 0;
}

/* Is there room for message n of `need` bytes in the tail's ring, as far as the hints know? */
static bool
fits(struct mproc_queue *queue, uint32_t n, uint64_t position, uint64_t need)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        const struct mproc__window *w = &queue->tail;
        uint32_t h = atomic_load_explicit(&tail->hint_n, memory_order_relaxed);
        uint64_t bytes = 0;

        if (w->single)
                return n == w->first_n && need <= w->bytes;
        if ((int32_t)(h - w->first_n) < 0)
                h = w->first_n;
        if (atomic_load_explicit(&tail->hint_ring, memory_order_relaxed) == w->at)
                bytes = atomic_load_explicit(&tail->hint_bytes, memory_order_relaxed);
        return n - w->first_n < RING_SPAN_MAX && n - h < w->slots - 1 && need <= w->bytes &&
               position - bytes <= w->bytes - need;
}

/*
 * Another ring behind the last one, for message n.  The story: built first, unknown to anybody;
 * for a large message its bytes are written, too, since that is what may fail; then `next`
 * links it; then tail.ring names it.  Dying before the link leaves garbage behind the end;
 * dying between the two leaves a link that settle_tail follows.  The ring before is not given
 * back in between, since tail.ring still names it.
 */
static int
grow(struct mproc_queue *queue, uint32_t n, uint64_t need, const void *data, size_t len)
{
        struct mproc__window fresh = { .ring = NULL }, *w = &queue->tail;
        struct mproc__ring_shm *ring = atomic_load_explicit(&w->ring, memory_order_relaxed);
        int fd = queue->segment->fd;
        uint64_t at = mproc__window_end(w);
        int r;

        if ((r = mproc__ring_build(&fresh, fd, at, n, need, w)) < 0)
                return r;
        MPROC_POINT("queue.grow.built");
        if (fresh.single && (r = mproc__window_write(&fresh, fd, 0, data, len)) < 0) {
                mproc__window_close(&fresh);
                mproc__memory_release(fd, at, mproc__window_end(&fresh) - at);
                return r;
        }
        MPROC_POINT("queue.grow.filled");
        atomic_store_explicit(&ring->last_n, n, memory_order_relaxed);
        atomic_store_explicit(&ring->next, at, memory_order_release);
        MPROC_POINT("queue.grow.linked");
        atomic_store_explicit(&queue->shm->tail.ring, at, memory_order_release);
        MPROC_POINT("queue.grow.named");
        mproc__window_take(w, &fresh);
        return 0;
}

/* tail.lock is held.  Wait until the queue has room for one more; *ret_n is its number. */
static int
await_room(struct mproc_queue *queue, int64_t deadline_ns, bool nowait, uint32_t *ret_n)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint32_t n = atomic_load_explicit(&shm->tail.n, memory_order_relaxed);
        int r;

        *ret_n = n;
        while (n - atomic_load_explicit(&shm->tail.hint_n, memory_order_relaxed) >= queue->limit) {
                uint32_t h = atomic_load_explicit(&shm->head.n, memory_order_acquire);

                if (n - h > MPROC__QUEUE_COUNT_MAX)
                        return MPROC_ECORRUPT;
                atomic_store_explicit(&shm->tail.hint_n, h, memory_order_relaxed);
                if (n - h >= queue->limit &&
                    (r = mproc__queue_sleep_on(queue, &shm->head, &shm->tail, h, deadline_ns, nowait)) < 0)
                        return r;
        }
        return 0;
}

static int
put_locked(struct mproc_queue *queue, const void *data, size_t len, int64_t deadline_ns, bool nowait, uint32_t *ret_n,
           bool *ret_woken)
{
        uint64_t need = mproc__ring_need(len), position;
        struct mproc__queue_end *tail = &queue->shm->tail;
        struct mproc__window *w = &queue->tail;
        struct mproc__slot *slot;
        bool written = false;
        uint32_t n;
        int r;

        if ((r = await_room(queue, deadline_ns, nowait, &n)) < 0 || (r = settle_tail(queue)) < 0)
                return r;
        position = mproc__queue_position(w, n);
        if (!fits(queue, n, position, need)) {
                if ((r = refresh_hints(queue, n)) < 0)
                        return r;
                if (!fits(queue, n, position, need)) {
                        if ((r = grow(queue, n, need, data, len)) < 0)
                                return r;
                        written = w->single;
                        position = 0;
                }
        }
        if (!written && (r = mproc__window_write(w, queue->segment->fd, position, data, len)) < 0)
                return r;
        MPROC_POINT("queue.put.copied");
        slot = mproc__window_slot(w, n);
        atomic_store_explicit(&slot->end, position + need, memory_order_relaxed);
        atomic_store_explicit(&slot->len, len, memory_order_relaxed);
        mproc__queue_ring_bell(queue, n);
        MPROC_POINT("queue.put.described");
        *ret_woken = mproc__counter_commit(&tail->n, &tail->armed, n, 1);
        *ret_n = n;
        MPROC_POINT("queue.put.committed");
        return 0;
}

int
mproc_queue_put(mproc_queue *queue, const void *data, size_t len_bytes, int64_t timeout_ms)
{
        bool nowait = timeout_ms == 0, woken = false;
        int64_t deadline_ns;
        struct mproc__queue_end *tail;
        uint32_t n = 0;
        int r;

        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (len_bytes > MPROC__QUEUE_MESSAGE_MAX)
                return mproc__fail(-EMSGSIZE, "a message of %zu bytes is too large", len_bytes);
        if (!data && len_bytes > 0)
                return mproc__fail(-EINVAL, "the message is NULL, but %zu bytes long", len_bytes);
        if (nowait && mproc__queue_is_full(queue))
                return mproc__queue_fail_put(queue, MPROC_ETIMEDOUT);
        deadline_ns = nowait ? 0 : mproc__deadline(timeout_ms);
        tail = &queue->shm->tail;
        if ((r = mproc__queue_enter(queue, tail, deadline_ns, nowait, mproc__queue_is_full)) < 0)
                return mproc__queue_fail_put(queue, r);
        MPROC_POINT("queue.put.entered");
        if (r == MPROC__ROBUST_RECOVERED)
                recover_tail(queue);
        r = put_locked(queue, data, len_bytes, deadline_ns, nowait, &n, &woken);
        mproc__robust_unlock(&tail->lock);
        if (r < 0)
                return mproc__queue_fail_put(queue, r);
        MPROC_POINT("queue.put.left");
        mproc__counter_look_again(&tail->n, &tail->armed, n, woken);
        mproc__queue_ring_bell(queue, n);
        return 0;
}
