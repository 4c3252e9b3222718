/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_get.c - the head of a queue: taking messages out, and giving their rings back.
 *
 * Runs in: every process that gets.  Owns: the handle's window onto the head's ring, under head.lock.
 */
#include "channel/lease.h"
#include "channel/queue_core.h"
#include "core/error.h"
#include "platform/platform.h"

#include <errno.h>
#include <stdlib.h>

/* Give back the rings that lie behind both ends.  Only this end does it, in this order, so it can be cut off
 * anywhere. */
static void
release_rings(struct mproc_queue *queue)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint64_t from = atomic_load_explicit(&shm->head.released, memory_order_relaxed);
        uint64_t to = atomic_load_explicit(&shm->head.ring, memory_order_relaxed);
        uint64_t named = atomic_load_explicit(&shm->tail.ring, memory_order_acquire);

        if (__builtin_expect(from == to, 1))
                return;
        if (named < to)
                to = named; /* a putter is between linking and naming, or died there: the next get will see */
        if (from >= to)
                return;
        mproc__memory_release(queue->segment->fd, from, to - from);
        MPROC_POINT("queue.get.released");
        atomic_store_explicit(&shm->head.released, to, memory_order_relaxed);
}

/* The head's ring for message n: step over rings that are taken to their end. */
int
mproc__queue_settle_head(struct mproc_queue *queue, uint32_t n)
{
        struct mproc__queue_end *head = &queue->shm->head;
        uint64_t next;
        int r = mproc__queue_open_ring(queue, head, &queue->head);

        while (r == 0 && __builtin_expect((next = mproc__window_next(&queue->head)) != 0, 0) &&
               mproc__window_last(&queue->head) == n)
                r = mproc__queue_step(queue, head, &queue->head, next);
        if (r == 0)
                release_rings(queue);
        return r;
}

/* The last owner of head.lock died: after he had counted a message, but before he gave back what it lay in? */
void
mproc__queue_recover_head(struct mproc_queue *queue)
{
        uint32_t n = atomic_load_explicit(&queue->shm->head.n, memory_order_relaxed);

        mproc__queue_wake_both(queue->shm);
        if (mproc__queue_settle_head(queue, n) == 0 && queue->head.single && n == queue->head.first_n + 1)
                mproc__window_release_bytes(&queue->head, queue->segment->fd);
}

/* What the slot says, read once, and only what is possible in this ring. */
static int
look_at_message(const struct mproc__window *w, uint32_t n, uint64_t *ret_position, size_t *ret_len)
{
        const struct mproc__slot *slot = mproc__window_slot(w, n);
        uint64_t end = atomic_load_explicit(&slot->end, memory_order_relaxed);
        uint64_t len = atomic_load_explicit(&slot->len, memory_order_relaxed);
        uint64_t position = mproc__queue_position(w, n);

        if ((int32_t)(n - w->first_n) < 0 || (w->single && n != w->first_n))
                return MPROC_ECORRUPT;
        if (len > w->bytes || end - position != mproc__ring_need(len) || len > MPROC__QUEUE_MESSAGE_MAX)
                return MPROC_ECORRUPT;
        *ret_position = position;
        *ret_len = (size_t)len;
        return 0;
}

int
mproc__sink_open(struct mproc__sink *sink, size_t len)
{
        sink->len = len;
        if (!sink->allocate)
                return len > sink->capacity ? MPROC_ETOOSMALL : 0;
        sink->buffer = malloc(len ? len : 1);
        return sink->buffer ? 0 : -ENOMEM;
}

void
mproc__sink_drop(struct mproc__sink *sink)
{
        if (!sink->allocate)
                return;
        free(sink->buffer);
        sink->buffer = NULL;
}

int
mproc__queue_take_out(struct mproc_queue *queue, uint32_t n, struct mproc__sink *sink)
{
        const struct mproc__window *w = &queue->head;
        uint64_t position = 0;
        size_t len = 0;
        int r = look_at_message(w, n, &position, &len);

        if (r < 0 || (r = mproc__sink_open(sink, len)) < 0)
                return r;
        if ((r = mproc__window_read(w, queue->segment->fd, position, sink->buffer, len)) < 0) {
                mproc__sink_drop(sink);
                return r == -ENODATA ? MPROC_ECORRUPT : r;
        }
        return 0;
}

/* Message n has been copied: count it, and give back what it lay in.  True: a sleeping putter has been woken. */
bool
mproc__queue_count_head(struct mproc_queue *queue, uint32_t n)
{
        bool woken = mproc__counter_commit(&queue->shm->head.n, &queue->shm->head.armed, n, 1);

        MPROC_POINT("queue.get.committed");
        if (queue->head.single)
                mproc__window_release_bytes(&queue->head, queue->segment->fd);
        (void)mproc__queue_settle_head(queue, n + 1); /* if that fails, the next get tells */
        return woken;
}

static int
get_locked(struct mproc_queue *queue, struct mproc__sink *sink, int64_t deadline_ns, bool nowait, uint32_t *ret_n,
           bool *ret_woken)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint32_t n = atomic_load_explicit(&shm->head.n, memory_order_relaxed);
        uint32_t count = atomic_load_explicit(&shm->tail.n, memory_order_acquire) - n;
        int r;

        *ret_n = n;
        if (count == 0) {
                if ((r = mproc__queue_sleep_on(queue, &shm->tail, &shm->head, n, deadline_ns, nowait)) < 0)
                        return r;
                count = atomic_load_explicit(&shm->tail.n, memory_order_acquire) - n;
        }
        if (count > MPROC__QUEUE_COUNT_MAX)
                return MPROC_ECORRUPT;
        if ((r = mproc__queue_settle_head(queue, n)) < 0 || (r = mproc__queue_take_out(queue, n, sink)) < 0)
                return r;
        MPROC_POINT("queue.get.copied");
        *ret_woken = mproc__queue_count_head(queue, n);
        return 0;
}

static int
get(struct mproc_queue *queue, struct mproc__sink *sink, int64_t timeout_ms)
{
        bool nowait = timeout_ms == 0, woken = false;
        struct mproc__queue_end *head;
        int64_t deadline_ns;
        uint32_t n = 0;
        int r;

        if (__builtin_expect(queue->ledger != NULL, 0))
                return mproc__lease_get(queue, sink, timeout_ms, NULL);
        if (nowait && mproc__queue_is_empty(queue))
                return mproc__queue_fail_get(queue, MPROC_ETIMEDOUT);
        deadline_ns = nowait ? 0 : mproc__deadline(timeout_ms);
        head = &queue->shm->head;
        if ((r = mproc__queue_enter(queue, head, deadline_ns, nowait, mproc__queue_is_empty)) < 0)
                return mproc__queue_fail_get(queue, r);
        MPROC_POINT("queue.get.entered");
        if (r == MPROC__ROBUST_RECOVERED)
                mproc__queue_recover_head(queue);
        r = get_locked(queue, sink, deadline_ns, nowait, &n, &woken);
        mproc__robust_unlock(&head->lock);
        if (r == MPROC_ETOOSMALL)
                return mproc__fail(r, "the next message has %zu bytes, the buffer has room for %zu", sink->len,
                                   sink->capacity);
        if (r < 0)
                return mproc__queue_fail_get(queue, r);
        MPROC_POINT("queue.get.left");
        mproc__counter_look_again(&queue->shm->head.n, &queue->shm->head.armed, n, woken);
        return 0;
}

int
mproc_queue_get(mproc_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes, int64_t timeout_ms)
{
        struct mproc__sink sink = { .buffer = buffer, .capacity = capacity };
        int r;

        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (!buffer && capacity > 0)
                return mproc__fail(-EINVAL, "the buffer is NULL, but %zu bytes long", capacity);
        r = get(queue, &sink, timeout_ms);
        if ((r == 0 || r == MPROC_ETOOSMALL) && ret_len_bytes)
                *ret_len_bytes = sink.len;
        return r;
}

int
mproc_queue_get_alloc(mproc_queue *queue, void **ret_data, size_t *ret_len_bytes, int64_t timeout_ms)
{
        struct mproc__sink sink = { .allocate = true };
        int r;

        if ((r = mproc__queue_check(queue)) < 0 || (r = get(queue, &sink, timeout_ms)) < 0)
                return r;
        *ret_data = sink.buffer;
        if (ret_len_bytes)
                *ret_len_bytes = sink.len;
        return 0;
}
