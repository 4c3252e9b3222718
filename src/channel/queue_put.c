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
#include "platform/line.h"
#include "platform/platform.h"

#include <errno.h>
#include <string.h>

/*
 * After so many messages a ring is left even if it has room, so that numbers within a ring can be
 * compared although they wrap around.
 */
#ifdef MPROC_POINTS
#define RING_SPAN_MAX 5000u
#else
#define RING_SPAN_MAX (1u << 30)
#endif

#define CHUNK_MAX   1024u /* messages in one count: the system's step that counts and wakes takes 2,047 */

#define AHEAD_SLOTS 16u
#define AHEAD_BYTES 1024u
#define AHEAD_LEN   256u

#define LAG_ROOM    64u /* so much room is waited for in a queue that was full, if it is not long in coming */
#define LAG_LOOKS   16
#define LAG_PAUSES  16

/* --- the tail's ring ---------------------------------------------------------------------------------- */

/* Links behind the tail's ring: only a linker who died before he said so in tail.ring leaves them. */
static __attribute__((noinline)) int
follow_links(struct mproc_queue *queue)
{
        uint64_t next;
        int r = 0;

        while (r == 0 && (next = mproc__window_next(&queue->tail)) != 0)
                r = mproc__queue_step(queue, &queue->shm->tail, &queue->tail, next);
        return r;
}

/* The tail's ring, and nothing behind it. */
static inline int
settle_tail(struct mproc_queue *queue)
{
        int r = mproc__queue_open_ring(queue, &queue->shm->tail, &queue->tail);

        if (__builtin_expect(r == 0 && mproc__window_next(&queue->tail) != 0, 0))
                return follow_links(queue);
        return r;
}

/*
 * What the dead one had committed is whole, what he had not is garbage: in the ring, where
 * the next message overwrites it; or behind the last ring, where he was building
 * another, and from where it goes back to the system now; so do the bytes of a large
 * message that never was.
 */
void
mproc__queue_recover_tail(struct mproc_queue *queue)
{
        struct mproc__window *w = &queue->tail;
        uint64_t size, end;

        if (settle_tail(queue) < 0)
                return; /* the put that follows will say so */
        end = mproc__window_end(w);
        if (mproc__memory_look(queue->segment->fd, &size, NULL) == 0 && size > end)
                mproc__memory_release(queue->segment->fd, end, size - end);
        if (atomic_load(&queue->shm->tail.hold) == 0 &&
            atomic_load_explicit(&queue->shm->tail.n, memory_order_relaxed) == w->first_n)
                mproc__window_release_bytes(w, queue->segment->fd);
}

/* How far the head is, as the tail knows it, and how far in bytes of the tail's ring. */
struct reach {
        uint32_t n;
        uint64_t bytes;
};

static inline struct reach
recall_head(struct mproc_queue *queue)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        const struct mproc__window *w = &queue->tail;
        struct reach head = { atomic_load_explicit(&tail->hint_n, memory_order_relaxed), 0 };

        if (atomic_load_explicit(&tail->hint_ring, memory_order_relaxed) == w->at)
                head.bytes = atomic_load_explicit(&tail->hint_bytes, memory_order_relaxed);
        return head;
}

static __attribute__((noinline)) int
look_at_head(struct mproc_queue *queue, uint32_t n, struct reach *ret)
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
        *ret = (struct reach){ h, bytes };
        return 0;
}

/*
 * Is there a place for message n of `need` bytes in the tail's ring, behind `position`, with the head there?
 * A message's bytes are never cut in two: at the end of the ring some stay unused.
 */
static inline bool
fits(const struct mproc__window *w, uint32_t n, uint64_t position, uint64_t need, struct reach head,
     uint64_t *ret_start)
{
        uint64_t offset = position & (w->bytes - 1);
        uint64_t start = offset + need <= w->bytes ? position : position + (w->bytes - offset);

        if ((int32_t)(head.n - w->first_n) < 0)
                head.n = w->first_n;
        *ret_start = w->single ? 0 : start;
        if (__builtin_expect(w->single, 0))
                return n == w->first_n && need <= w->bytes;
        return n - w->first_n < RING_SPAN_MAX && n - head.n < w->slots - 1 && need <= w->bytes &&
               start + need - head.bytes <= w->bytes;
}

/*
 * Another ring behind the last one, for message n.  The story: built first, unknown to anybody;
 * then `next` links it; then tail.ring names it.  Dying before the link leaves garbage behind
 * the end; dying between the two leaves a link that settle_tail follows.  The ring before is not given
 * back in between, since tail.ring still names it.
 */
static int
grow(struct mproc_queue *queue, uint32_t n, uint64_t need)
{
        struct mproc__window fresh = { .ring = NULL }, *w = &queue->tail;
        struct mproc__ring_shm *ring = atomic_load_explicit(&w->ring, memory_order_relaxed);
        uint64_t at = mproc__window_end(w);
        int r;

        if ((r = mproc__ring_build(&fresh, queue->segment->fd, at, n, need, w, queue->shm->maxsize)) < 0)
                return r;
        MPROC_POINT("queue.grow.built");
        atomic_store_explicit(&ring->last_n, n, memory_order_relaxed);
        atomic_store_explicit(&ring->next, at, memory_order_release);
        MPROC_POINT("queue.grow.linked");
        atomic_store_explicit(&queue->shm->tail.ring, at, memory_order_release);
        MPROC_POINT("queue.grow.named");
        mproc__window_take(w, &fresh);
        return 0;
}

/* --- waiting for room ----------------------------------------------------------------------------------- */

/* Do the queue's own limits let in message n of len bytes, now?  *ret_h: where the head was. */
static int
has_room(struct mproc_queue *queue, uint32_t n, uint64_t len, uint32_t *ret_h)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint64_t gone, here = 0;
        uint32_t h;

        do {
                h = atomic_load_explicit(&shm->head.n, memory_order_acquire);
                gone = queue->max_bytes ? mproc__queue_tally(&shm->head, h) : 0;
        } while (queue->max_bytes && atomic_load_explicit(&shm->head.n, memory_order_acquire) != h);
        if (queue->max_bytes)
                here = mproc__queue_tally(&shm->tail, n) - gone;
        *ret_h = h;
        if (n - h > MPROC__QUEUE_COUNT_MAX || here > MPROC__QUEUE_MESSAGE_MAX)
                return MPROC_ECORRUPT;
        atomic_store_explicit(&shm->tail.hint_n, h, memory_order_relaxed);
        return n - h < queue->limit && (queue->max_bytes == 0 || here + len <= queue->max_bytes);
}

/*
 * The queue was full, and one has been taken.  If that one were put at once, putter and getter would go on in step,
 * and each message would cost both the way of several cache lines.  The getters have more than enough
 * left to go on with; so wait for some more room, as long as it grows.
 */
static int
await_more_room(struct mproc_queue *queue, uint32_t n, uint64_t len, uint32_t h)
{
        uint32_t want = queue->limit / 16 < LAG_ROOM ? queue->limit / 16 : LAG_ROOM, before;
        int r = 1;

        if (want < 4 || mproc__word_spin_limit() == 0)
                return r;
        for (int i = 0; i < LAG_LOOKS && r > 0 && n - h > queue->limit - want; i++) {
                for (int j = 0; j < LAG_PAUSES; j++)
                        mproc__word_pause();
                before = h;
                if ((r = has_room(queue, n, len, &h)) > 0 && h == before)
                        break;
        }
        return r;
}

static __attribute__((noinline)) int
await_room(struct mproc_queue *queue, uint32_t n, uint64_t len, struct mproc__queue_wait *wait)
{
        struct mproc__queue_shm *shm = queue->shm;
        struct mproc__wait note = { 0 };
        bool waited = false;
        uint32_t h;
        int r;

        while ((r = has_room(queue, n, len, &h)) == 0) {
                if (!waited && !wait->nowait)
                        mproc__wait_note(&note, mproc__queue_describe_put, queue);
                if ((r = mproc__queue_sleep_on(queue, &shm->head, &shm->tail, h, wait)) < 0)
                        break;
                waited = true;
        }
        mproc__wait_end(&note, false, mproc__queue_describe_put, queue);
        if (r > 0 && waited && !wait->nowait)
                r = await_more_room(queue, n, len, h);
        return r < 0 ? r : 0;
}

static inline bool
surely_has_room(struct mproc_queue *queue, uint32_t n)
{
        return queue->max_bytes == 0 &&
               n - atomic_load_explicit(&queue->shm->tail.hint_n, memory_order_relaxed) < queue->limit;
}

int
mproc__queue_await_room(struct mproc_queue *queue, uint32_t n, uint64_t len, struct mproc__queue_wait *wait)
{
        return __builtin_expect(surely_has_room(queue, n), 1) ? 0 : await_room(queue, n, len, wait);
}

/* --- put ------------------------------------------------------------------------------------------------ */

/* It does not fit as far as the tail knows: look again, then build.  more: others of the same call precede it. */
static __attribute__((noinline)) int
make_place(struct mproc_queue *queue, uint32_t n, uint64_t position, uint64_t need, bool more, uint64_t *ret_start)
{
        struct reach head;
        int r;

        if ((r = look_at_head(queue, n, &head)) < 0)
                return r;
        if (fits(&queue->tail, n, position, need, head, ret_start))
                return 0;
        if (more)
                return MPROC_EFULL;
        *ret_start = 0;
        return grow(queue, n, need);
}

static inline __attribute__((always_inline)) int
find_place(struct mproc_queue *queue, uint32_t n, uint64_t len, uint64_t *ret_start)
{
        uint64_t need = mproc__ring_need(len), position;
        int r;

        if ((r = settle_tail(queue)) < 0)
                return r;
        position = mproc__queue_position(&queue->tail, n);
        if (__builtin_expect(fits(&queue->tail, n, position, need, recall_head(queue), ret_start), 1))
                return 0;
        return make_place(queue, n, position, need, false, ret_start);
}

int
mproc__queue_find_place(struct mproc_queue *queue, uint32_t n, uint64_t len, uint64_t *ret_start)
{
        return find_place(queue, n, len, ret_start);
}

/*
 * What comes later in the ring was read by a getter last, and is in his processor's cache.  Each message would
 * wait for its lines alone, since a lock lies between two of them; asked for early, several are on their way
 * at a time.  Of long messages the lines come together anyway.
 */
static inline void
fetch_ahead(const struct mproc__window *w, uint32_t n, uint64_t start, size_t len)
{
        if (len > AHEAD_LEN)
                return;
        mproc__line_will_write(mproc__window_slot(w, n + AHEAD_SLOTS));
        for (size_t i = 0; i < len; i += 64)
                mproc__line_will_write(mproc__window_at(w, start + AHEAD_BYTES + i));
}

static inline int
write_message(struct mproc_queue *queue, uint32_t n, uint64_t start, const void *data, size_t len)
{
        const struct mproc__window *w = &queue->tail;
        struct mproc__slot *slot;
        int r;

        if (__builtin_expect(w->single, 0)) {
                if ((r = mproc__window_write_single(w, queue->segment->fd, data, len)) < 0) {
                        mproc__window_release_bytes(w, queue->segment->fd);
                        return r;
                }
        } else if (len > 0) {
                mproc__ring_copy(mproc__window_at(w, start), data, len);
                fetch_ahead(w, n, start, len);
        }
        slot = mproc__window_slot(w, n);
        atomic_store_explicit(&slot->end, start + mproc__ring_need(len), memory_order_relaxed);
        atomic_store_explicit(&slot->len, len, memory_order_relaxed);
        return 0;
}

int
mproc__queue_write(struct mproc_queue *queue, uint32_t n, uint64_t start, const void *data, size_t len)
{
        return write_message(queue, n, start, data, len);
}

static inline __attribute__((always_inline)) bool
count_tail(struct mproc_queue *queue, uint32_t n, uint32_t k, uint64_t bytes)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        bool woken;

        if (queue->max_bytes)
                mproc__queue_tally_add(tail, n, k, bytes);
        atomic_store_explicit(&tail->last, mproc__word_thread()->tid, memory_order_relaxed);
        mproc__queue_ring_bell(queue, n);
        MPROC_POINT("queue.put.described");
        woken = mproc__counter_commit(&tail->n, &tail->armed, n, k);
        MPROC_POINT("queue.put.committed");
        return woken;
}

bool
mproc__queue_count_tail(struct mproc_queue *queue, uint32_t n, uint32_t k, uint64_t bytes)
{
        return count_tail(queue, n, k, bytes);
}

/*
 * As many of these as have room and fit into one ring: at least one, or an error.  They are
 * counted in one step.  *ret_k: how many.
 */
static inline __attribute__((always_inline)) int
put_some(struct mproc_queue *queue, const mproc_message *messages, size_t count, struct mproc__queue_wait *wait,
         uint32_t *ret_n, uint32_t *ret_k, bool *ret_woken)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        uint32_t n = atomic_load_explicit(&tail->n, memory_order_relaxed), k = 0;
        uint64_t bytes = 0, start;
        int r;

        *ret_n = n;
        if ((r = mproc__queue_await_room(queue, n, messages[0].len_bytes, wait)) < 0 ||
            (r = find_place(queue, n, messages[0].len_bytes, &start)) < 0)
                return r;
        for (;;) {
                if ((r = write_message(queue, n + k, start, messages[k].data, messages[k].len_bytes)) < 0)
                        break;
                bytes += messages[k].len_bytes;
                if (++k == count || k == CHUNK_MAX)
                        break;
                if (!surely_has_room(queue, n + k) &&
                    (r = has_room(queue, n, bytes + messages[k].len_bytes, &(uint32_t){ 0 })) <= 0)
                        break;
                if (n + k - atomic_load_explicit(&tail->hint_n, memory_order_relaxed) >= queue->limit)
                        break;
                start += mproc__ring_need(messages[k - 1].len_bytes);
                if (!fits(&queue->tail, n + k, start, mproc__ring_need(messages[k].len_bytes), recall_head(queue),
                          &start) &&
                    (r = make_place(queue, n + k, start, mproc__ring_need(messages[k].len_bytes), true, &start)) < 0)
                        break;
        }
        if (k == 0)
                return r;
        MPROC_POINT("queue.put.copied");
        *ret_woken = count_tail(queue, n, k, bytes);
        *ret_k = k;
        return 0;
}

/* One round of entering, putting, and leaving. */
static inline __attribute__((always_inline)) int
put_round(struct mproc_queue *queue, const mproc_message *messages, size_t count, struct mproc__queue_wait *wait,
          uint32_t *ret_k)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        bool woken = false;
        uint32_t n = 0;
        int r;

        if ((r = mproc__queue_enter_tail(queue, wait)) < 0)
                return r;
        MPROC_POINT("queue.put.entered");
        r = put_some(queue, messages, count, wait, &n, ret_k, &woken);
        mproc__robust_unlock(&tail->lock);
        if (__builtin_expect(r < 0, 0))
                return r;
        MPROC_POINT("queue.put.left");
        mproc__counter_look_again(&tail->n, &tail->armed, n, woken);
        mproc__queue_ring_bell(queue, n);
        return 0;
}

static int
fail_message(struct mproc_queue *queue, const mproc_message *message)
{
        if (message->len_bytes > MPROC__QUEUE_MESSAGE_MAX)
                return mproc__fail(-EMSGSIZE, "a message of %zu bytes is too large", message->len_bytes);
        if (queue->max_bytes && message->len_bytes > queue->max_bytes)
                return mproc__fail(-EMSGSIZE, "a message of %zu bytes is larger than the queue may ever become, %llu",
                                   message->len_bytes, (unsigned long long)queue->max_bytes);
        return mproc__fail(-EINVAL, "the message is NULL, but %zu bytes long", message->len_bytes);
}

static inline bool
is_possible(struct mproc_queue *queue, const mproc_message *message)
{
        return message->len_bytes <= MPROC__QUEUE_MESSAGE_MAX && (message->data || message->len_bytes == 0) &&
               (queue->max_bytes == 0 || message->len_bytes <= queue->max_bytes);
}

int
mproc_queue_put(mproc_queue *queue, const void *data, size_t len_bytes, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        mproc_message message = { data, len_bytes };
        uint32_t k;
        int r;

        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (__builtin_expect(!is_possible(queue, &message), 0))
                return fail_message(queue, &message);
        if (__builtin_expect((r = put_round(queue, &message, 1, &wait, &k)) < 0, 0))
                return mproc__queue_fail_put(queue, r);
        return 0;
}

int
mproc_queue_put_many(mproc_queue *queue, const mproc_message *messages, size_t count, size_t *ret_done,
                     int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        size_t done = 0;
        uint32_t k = 0;
        int r;

        if (ret_done)
                *ret_done = 0;
        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (!messages && count > 0)
                return mproc__fail(-EINVAL, "NULL given for %zu messages", count);
        for (size_t i = 0; i < count; i++)
                if (!is_possible(queue, &messages[i])) {
                        r = fail_message(queue, &messages[i]);
                        mproc__fail_prefix("message %zu of %zu: ", i, count);
                        return r;
                }
        while (done < count && (r = put_round(queue, messages + done, count - done, &wait, &k)) == 0)
                done += k;
        if (ret_done)
                *ret_done = done;
        return r < 0 ? mproc__queue_fail_put(queue, r) : 0;
}
