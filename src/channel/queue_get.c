/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_get.c - the head of a queue: taking messages out, and giving their rings back.
 *
 * Runs in: every process that gets.  Owns: the handle's window onto the head's ring, under head.lock.
 *
 * The hint: how far the tail has come, as the head knows it.  It is never ahead of the tail, so messages up to
 * there can be taken without a look at the tail's cache line, which the putters write.
 */
#include "channel/lease.h"
#include "channel/queue_core.h"
#include "core/error.h"
#include "platform/platform.h"
#include "program/slot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_FIRST   INT64_C(10000000)
#define SLICE_LAST    INT64_C(100000000)
#define CHUNK_MAX     1024u /* see queue_put.c */
#define STREAK_FEW    48u   /* fewer messages than this since the last look: in step with the putters */
#define STREAK_LAG    100   /* pauses; a few messages' time */
#define STREAK_MAX    100
#define STREAK_WORTH  4u    /* a lag that brings fewer is of no use */
#define STREAK_REST   (-24) /* so many looks without a lag after one of no use */
#define FETCH_MAX     16u
#define MESSAGE_ALIGN ((size_t)16)

/* --- the head's ring ---------------------------------------------------------------------------------- */

/*
 * Give back the rings that lie behind both ends.  Only this end does it, in this order, so
 * it can be cut off anywhere.
 */
static __attribute__((noinline)) void
release_rings(struct mproc_queue *queue, uint64_t from, uint64_t to)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint64_t named = atomic_load_explicit(&shm->tail.ring, memory_order_acquire);

        if (named < to)
                to = named; /* a putter is between linking and naming, or died there: the next get will see */
        if (from >= to)
                return;
        mproc__memory_release(queue->segment->fd, from, to - from);
        MPROC_POINT("queue.get.released");
        atomic_store_explicit(&shm->head.released, to, memory_order_relaxed);
}

static __attribute__((noinline)) int
step_over(struct mproc_queue *queue, uint32_t n)
{
        uint64_t next;
        int r = 0;

        while (r == 0 && (next = mproc__window_next(&queue->head)) != 0 && mproc__window_last(&queue->head) == n)
                r = mproc__queue_step(queue, &queue->shm->head, &queue->head, next);
        return r;
}

/* The head's ring for message n: step over rings that are taken to their end. */
static inline int
settle_head(struct mproc_queue *queue, uint32_t n)
{
        struct mproc__queue_end *head = &queue->shm->head;
        uint64_t from, to;
        int r = mproc__queue_open_ring(queue, head, &queue->head);

        if (__builtin_expect(r == 0 && mproc__window_next(&queue->head) != 0, 0))
                r = step_over(queue, n);
        from = atomic_load_explicit(&head->released, memory_order_relaxed);
        to = atomic_load_explicit(&head->ring, memory_order_relaxed);
        if (__builtin_expect(r == 0 && from != to, 0))
                release_rings(queue, from, to);
        return r;
}

int
mproc__queue_settle_head(struct mproc_queue *queue, uint32_t n)
{
        return settle_head(queue, n);
}

/* Messages up to n have been taken, head.n is n: give back what they lay in. */
static inline void
leave_behind(struct mproc_queue *queue, uint32_t n)
{
        if (__builtin_expect(queue->head.single && n == queue->head.first_n + 1, 0))
                mproc__window_release_bytes(&queue->head, queue->segment->fd);
        (void)settle_head(queue, n); /* if that fails, the next get tells */
}

/* The dead one had counted a message, perhaps, but not given back what it lay in. */
void
mproc__queue_recover_head(struct mproc_queue *queue)
{
        uint32_t n = atomic_load_explicit(&queue->shm->head.n, memory_order_relaxed);

        if (settle_head(queue, n) == 0)
                leave_behind(queue, n);
        if (queue->ledger) {
                mproc__ledger_recover(queue->ledger, n);
                MPROC_POINT("lease.repaired");
        }
}

/* --- waiting for a message --------------------------------------------------------------------------------- */

static bool
is_held(struct mproc__queue_end *end)
{
        uint32_t id = atomic_load(&end->hold) & MPROC__WORD_OWNER;

        return id != 0 && !mproc__slot_is_dead(id);
}

/*
 * Nothing is there, and the queue has ended: will nothing come any more?  A putter who was inside when it ended
 * may still count; who enters later is turned away, since we see the lock free after it ended.
 * MPROC_ECLOSED: it is over; MPROC_ETIMEDOUT; 0: look again.
 */
int
mproc__queue_await_end(struct mproc_queue *queue, uint32_t n, struct mproc__queue_wait *wait)
{
        struct mproc__queue_end *tail = &queue->shm->tail;

        while (mproc__robust_owner(&tail->lock) != 0 || is_held(tail)) {
                if (atomic_load_explicit(&tail->n, memory_order_acquire) != n)
                        return 0;
                if (atomic_load(&queue->closed))
                        return MPROC_ECLOSED;
                if (wait->nowait || mproc__deadline_passed(mproc__queue_deadline(wait)))
                        return MPROC_ETIMEDOUT;
                mproc__plat_sleep_ns(200000);
        }
        return atomic_load_explicit(&tail->n, memory_order_acquire) != n ? 0 : MPROC_ECLOSED;
}

/* One sleep.  Nobody tells of the death of a producer, so where they are noted it is not a long one. */
static int
sleep_on_tail(struct mproc_queue *queue, uint32_t n, struct mproc__queue_wait *wait, int64_t *slice_ns)
{
        struct mproc__queue_shm *shm = queue->shm;
        struct mproc__queue_wait slice = { .nowait = wait->nowait };
        int64_t until;
        int r;

        if (wait->nowait || atomic_load(&shm->producers) == 0)
                return mproc__queue_sleep_on(queue, &shm->tail, &shm->head, n, wait);
        until = mproc__plat_now_ns() + *slice_ns;
        slice.deadline_ns = until < mproc__queue_deadline(wait) ? until : mproc__queue_deadline(wait);
        *slice_ns = *slice_ns < SLICE_LAST ? *slice_ns * 2 : SLICE_LAST;
        r = mproc__queue_sleep_on(queue, &shm->tail, &shm->head, n, &slice);
        return r == MPROC_ETIMEDOUT && slice.deadline_ns != mproc__queue_deadline(wait) ? 0 : r;
}

static __attribute__((noinline)) int
await_message(struct mproc_queue *queue, uint32_t n, struct mproc__queue_wait *wait)
{
        struct mproc__queue_shm *shm = queue->shm;
        struct mproc__wait note = { 0 };
        int64_t slice = SLICE_FIRST;
        int r = 0;

        if (!wait->nowait)
                mproc__wait_note(&note, mproc__queue_describe_get, queue);
        while (r == 0 && atomic_load_explicit(&shm->tail.n, memory_order_acquire) == n) {
                if (mproc__queue_has_ended(queue))
                        r = mproc__queue_await_end(queue, n, wait);
                else if ((r = sleep_on_tail(queue, n, wait, &slice)) == MPROC_ECLOSED && !atomic_load(&queue->closed))
                        r = 0; /* shut down while we slept */
        }
        mproc__wait_end(&note, false, mproc__queue_describe_get, queue);
        return r;
}

/*
 * When getter and putter run in step, each message costs both of them the way of a cache line.  If few had come the
 * last times, or none yet, waiting a moment lets several come at once.  Not where the putter waits for us, as between
 * question and answer: a wait that brought nothing, or one message alone, is not tried again for a while.
 */
static inline bool
lag_behind(const struct mproc_queue *queue)
{
        if (queue->streak <= 1 || !queue->others || queue->limit < STREAK_FEW || mproc__word_spin_limit() == 0)
                return false;
        for (int i = 0; i < STREAK_LAG; i++)
                mproc__word_pause();
        return true;
}

/* The hint is used up: look at the tail, and wait until something is there. */
static __attribute__((noinline)) int
look_at_tail(struct mproc_queue *queue, uint32_t n, struct mproc__queue_wait *wait, uint32_t *ret_count)
{
        struct mproc__queue_shm *shm = queue->shm;
        bool lagged = lag_behind(queue);
        uint32_t t = atomic_load_explicit(&shm->tail.n, memory_order_acquire);
        int r;

        if (lagged && t - n < STREAK_WORTH)
                queue->streak = STREAK_REST;
        else
                queue->streak = t - n < STREAK_FEW ? queue->streak + (queue->streak < STREAK_MAX) : 0;
        if (t == n) {
                if ((r = await_message(queue, n, wait)) < 0)
                        return r;
                t = atomic_load_explicit(&shm->tail.n, memory_order_acquire);
        } else {
                queue->others =
                        atomic_load_explicit(&shm->tail.last, memory_order_relaxed) != mproc__word_thread()->tid;
        }
        if (t - n > MPROC__QUEUE_COUNT_MAX)
                return MPROC_ECORRUPT;
        atomic_store_explicit(&shm->head.hint_n, t, memory_order_relaxed);
        *ret_count = t - n;
        return 0;
}

int
mproc__queue_await_message(struct mproc_queue *queue, uint32_t n, struct mproc__queue_wait *wait, uint32_t *ret_count)
{
        uint32_t count = atomic_load_explicit(&queue->shm->head.hint_n, memory_order_relaxed) - n;

        if (__builtin_expect(count - 1 >= MPROC__QUEUE_COUNT_MAX, 0)) /* none, or nonsense */
                return look_at_tail(queue, n, wait, ret_count);
        *ret_count = count; /* whoever left the hint had looked, and handed the lock on */
        return 0;
}

/* --- get ------------------------------------------------------------------------------------------------ */

/* What the slot says, read once, and only what is possible in this ring. */
static inline int
read_slot(const struct mproc__window *w, uint32_t n, uint64_t *ret_start, size_t *ret_len)
{
        const struct mproc__slot *slot = mproc__window_slot(w, n);
        uint64_t end = atomic_load_explicit(&slot->end, memory_order_relaxed);
        uint64_t len = atomic_load_explicit(&slot->len, memory_order_relaxed);
        uint64_t start = end - mproc__ring_need(len);

        if ((int32_t)(n - w->first_n) < 0 || (w->single && n != w->first_n))
                return MPROC_ECORRUPT;
        if (len > w->bytes || len > MPROC__QUEUE_MESSAGE_MAX ||
            (!w->single && (start & (w->bytes - 1)) + len > w->bytes))
                return MPROC_ECORRUPT;
        *ret_start = start;
        *ret_len = (size_t)len;
        return 0;
}

int
mproc__queue_read_slot(const struct mproc__window *w, uint32_t n, uint64_t *ret_start, size_t *ret_len)
{
        return read_slot(w, n, ret_start, ret_len);
}

static inline int
copy_out(struct mproc_queue *queue, uint64_t start, void *buffer, size_t len)
{
        const struct mproc__window *w = &queue->head;
        int r = 0;

        if (__builtin_expect(w->single, 0))
                r = mproc__window_read_single(w, queue->segment->fd, buffer, len);
        else if (len > 0)
                mproc__ring_copy(buffer, mproc__window_at(w, start), len);
        return r == -ENODATA ? MPROC_ECORRUPT : r;
}

static inline int
open_sink(struct mproc__sink *sink, size_t len)
{
        sink->len = len;
        if (!sink->allocate)
                return len > sink->capacity - sink->used ? MPROC_ETOOSMALL : 0;
        sink->buffer = malloc(len ? len : 1);
        return sink->buffer ? 0 : -ENOMEM;
}

int
mproc__sink_open(struct mproc__sink *sink, size_t len)
{
        return open_sink(sink, len);
}

void
mproc__sink_drop(struct mproc__sink *sink)
{
        if (!sink->allocate)
                return;
        free(sink->buffer);
        sink->buffer = NULL;
}

/* The next one begins at a border of 16 bytes. */
void
mproc__sink_advance(struct mproc__sink *sink)
{
        size_t len = (sink->len + MESSAGE_ALIGN - 1) & ~(MESSAGE_ALIGN - 1);

        sink->used = len < sink->capacity - sink->used ? sink->used + len : sink->capacity;
}

/* One message into the sink. */
static inline __attribute__((always_inline)) int
take_out(struct mproc_queue *queue, uint32_t n, struct mproc__sink *sink)
{
        uint64_t start = 0;
        size_t len = 0;
        int r;

        if ((r = read_slot(&queue->head, n, &start, &len)) < 0 || (r = open_sink(sink, len)) < 0)
                return r;
        if ((r = copy_out(queue, start, mproc__sink_at(sink), len)) < 0)
                mproc__sink_drop(sink);
        return r;
}

int
mproc__queue_take_out(struct mproc_queue *queue, uint32_t n, struct mproc__sink *sink)
{
        return take_out(queue, n, sink);
}

static inline bool
count_head(struct mproc_queue *queue, uint32_t n, uint32_t k, uint64_t bytes)
{
        struct mproc__queue_end *head = &queue->shm->head;
        bool woken;

        if (queue->max_bytes)
                mproc__queue_tally_add(head, n, k, bytes);
        woken = mproc__counter_commit(&head->n, &head->armed, n, k);
        MPROC_POINT("queue.get.committed");
        leave_behind(queue, n + k);
        return woken;
}

bool
mproc__queue_count_head(struct mproc_queue *queue, uint32_t n, uint32_t k, uint64_t bytes)
{
        return count_head(queue, n, k, bytes);
}

static inline bool
ring_ends_at(struct mproc_queue *queue, uint32_t n)
{
        return mproc__window_next(&queue->head) != 0 && mproc__window_last(&queue->head) == n;
}

/* Several are going to be copied, one behind the other: their lines had better be on their way together. */
static inline void
fetch_several(const struct mproc__window *w, uint32_t n, uint32_t k)
{
        uint64_t at = mproc__queue_position(w, n);

        if (w->single)
                return;
        if (k > FETCH_MAX)
                k = FETCH_MAX;
        for (uint32_t i = 0; i < k; i += 64 / sizeof(struct mproc__slot))
                __builtin_prefetch(mproc__window_slot(w, n + i));
        for (uint32_t i = 0; i < k; i++)
                __builtin_prefetch(mproc__window_at(w, at + i * UINT64_C(64)));
}

/*
 * As many as are there, at most count, of one ring: at least one, or an error.  They are counted in
 * one step.  ret_messages may be NULL.  *ret_more: it ended because the ring did.
 */
static inline __attribute__((always_inline)) int
get_some(struct mproc_queue *queue, struct mproc__sink *sink, mproc_message *ret_messages, size_t count,
         struct mproc__queue_wait *wait, uint32_t *ret_n, uint32_t *ret_k, bool *ret_woken, bool *ret_more)
{
        struct mproc__queue_end *head = &queue->shm->head;
        uint32_t n = atomic_load_explicit(&head->n, memory_order_relaxed), k = 0, there;
        uint64_t bytes = 0;
        int r;

        *ret_n = n;
        if ((r = mproc__queue_await_message(queue, n, wait, &there)) < 0 || (r = settle_head(queue, n)) < 0 ||
            (there < count && (r = look_at_tail(queue, n, wait, &there)) < 0))
                return r;
        if (count > 1)
                fetch_several(&queue->head, n, there < count ? there : (uint32_t)count);
        while (k < count && k < there && k < CHUNK_MAX && (k == 0 || !ring_ends_at(queue, n + k))) {
                if ((r = take_out(queue, n + k, sink)) < 0)
                        break;
                if (ret_messages) {
                        ret_messages[k] = (mproc_message){ mproc__sink_at(sink), sink->len };
                        mproc__sink_advance(sink);
                }
                bytes += sink->len;
                k++;
        }
        if (k == 0)
                return r;
        *ret_more = k < count && k < there && r == 0;
        MPROC_POINT("queue.get.copied");
        *ret_woken = count_head(queue, n, k, bytes);
        *ret_k = k;
        return 0;
}

/* One round of entering, getting, and leaving. */
static inline __attribute__((always_inline)) int
get_round(struct mproc_queue *queue, struct mproc__sink *sink, mproc_message *ret_messages, size_t count,
          struct mproc__queue_wait *wait, uint32_t *ret_k, bool *ret_more)
{
        struct mproc__queue_end *head = &queue->shm->head;
        bool woken = false;
        uint32_t n = 0;
        int r;

        if ((r = mproc__queue_enter_head(queue, wait)) < 0)
                return r;
        MPROC_POINT("queue.get.entered");
        r = get_some(queue, sink, ret_messages, count, wait, &n, ret_k, &woken, ret_more);
        mproc__robust_unlock(&head->lock);
        if (__builtin_expect(r < 0, 0))
                return r;
        MPROC_POINT("queue.get.left");
        mproc__counter_look_again(&head->n, &head->armed, n, woken);
        return 0;
}

static int
fail_get(struct mproc_queue *queue, const struct mproc__sink *sink, int r)
{
        if (r == MPROC_ETOOSMALL)
                return mproc__fail(r, "the next message has %zu bytes, the buffer has room for %zu", sink->len,
                                   sink->capacity);
        return mproc__queue_fail_get(queue, r);
}

int
mproc_queue_get(mproc_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        struct mproc__sink sink = { .buffer = buffer, .capacity = capacity };
        bool more;
        uint32_t k;
        int r;

        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (__builtin_expect(!buffer && capacity > 0, 0))
                return mproc__fail(-EINVAL, "the buffer is NULL, but %zu bytes long", capacity);
        if (__builtin_expect(queue->ledger != NULL, 0))
                r = mproc__lease_get(queue, &sink, timeout_ms, NULL);
        else if (__builtin_expect((r = get_round(queue, &sink, NULL, 1, &wait, &k, &more)) < 0, 0))
                r = fail_get(queue, &sink, r);
        if ((r == 0 || r == MPROC_ETOOSMALL) && ret_len_bytes)
                *ret_len_bytes = sink.len;
        return r;
}

int
mproc_queue_get_alloc(mproc_queue *queue, void **ret_data, size_t *ret_len_bytes, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        struct mproc__sink sink = { .allocate = true };
        bool more;
        uint32_t k;
        int r;

        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (queue->ledger)
                r = mproc__lease_get(queue, &sink, timeout_ms, NULL);
        else if ((r = get_round(queue, &sink, NULL, 1, &wait, &k, &more)) < 0)
                r = fail_get(queue, &sink, r);
        if (r < 0)
                return r;
        *ret_data = sink.buffer;
        if (ret_len_bytes)
                *ret_len_bytes = sink.len;
        return 0;
}

/* The first round may wait; others only bring what is there behind the border of a ring. */
static int
get_rounds(struct mproc_queue *queue, struct mproc__sink *sink, mproc_message *ret_messages, size_t count,
           size_t *ret_done, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms), now = MPROC__QUEUE_WAIT(0);
        bool more = true;
        uint32_t k = 0;
        int r = 0;

        while (more && *ret_done < count &&
               (r = get_round(queue, sink, ret_messages + *ret_done, count - *ret_done, *ret_done ? &now : &wait, &k,
                              &more)) == 0)
                *ret_done += k;
        return r < 0 && *ret_done == 0 ? fail_get(queue, sink, r) : r;
}

/* One by one, since each has to be looked for among those that were given back, and recorded. */
static int
get_recorded(struct mproc_queue *queue, struct mproc__sink *sink, mproc_message *ret_messages, size_t count,
             size_t *ret_done, int64_t timeout_ms)
{
        int r = 0;

        while (*ret_done < count &&
               (r = mproc__lease_get(queue, sink, *ret_done ? MPROC_NOWAIT : timeout_ms, NULL)) == 0) {
                ret_messages[(*ret_done)++] = (mproc_message){ mproc__sink_at(sink), sink->len };
                mproc__sink_advance(sink);
        }
        return r;
}

int
mproc_queue_get_many(mproc_queue *queue, mproc_message *ret_messages, size_t count, void *buffer, size_t capacity,
                     size_t *ret_count, int64_t timeout_ms)
{
        struct mproc__sink sink = { .buffer = buffer, .capacity = capacity };
        size_t done = 0;
        int r;

        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (!ret_messages || count == 0 || !ret_count || (!buffer && capacity > 0))
                return mproc__fail(-EINVAL, "a place for at least one message is wanted, and for their count");
        r = (queue->ledger ? get_recorded : get_rounds)(queue, &sink, ret_messages, count, &done, timeout_ms);
        if (r == MPROC_ETOOSMALL && done == 0)
                ret_messages[0] = (mproc_message){ NULL, sink.len };
        if (done == 0)
                return r;
        *ret_count = done;
        return 0;
}
