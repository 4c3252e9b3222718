/* SPDX-License-Identifier: MIT */
/*
 * channel/queue.c - mproc_queue: messages from many producers to many consumers.
 *
 * Runs in: every process.  Owns: a segment with its bell and the rings behind it;
 * a handle's windows onto them.
 *
 * The order of things, and why a death at any point harms nobody (the layout is in ring.h, the
 * counting and sleeping in sync/counter.h, the whole argument in docs/shared-memory.md):
 *
 * put, under tail.lock: wait for room; see that the tail's ring has space, or build and link
 * another; copy the message and write its slot; count tail.n.  What lies at or behind tail.n
 * is nobody's: a dead putter leaves nothing to repair, the next one writes over it.
 *
 * get, under head.lock: wait for a message; step to the ring that has it; copy it out; count
 * head.n.  Until then the message is in its place for the next getter.
 *
 * A ring is linked by one store, `next`; each end follows it when it comes there.  A ring is
 * given back when the head has stepped over it and tail.ring no longer names it, so that
 * whoever opens the ring that tail.ring or head.ring names finds it whole.
 *
 * Hints.  How far the head has come, as the tail knows it, spares a look at the other
 * end's cache line for each message.  Being behind is harmless (the tail then looks), so each
 * of the three words may be old; that they are about this ring is told by hint_ring.
 */
#include "channel/queue.h"
#include "channel/ring.h"
#include "context/context.h"
#include "core/error.h"
#include "core/object.h"
#include "core/point.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "shm/segment.h"
#include "sync/counter.h"
#include "wire/codec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define COUNT_MAX   0x3fffffffu /* messages in a queue without a limit of its own; what is more is damage */
#define MESSAGE_MAX (SIZE_MAX / 4)
/*
 * After so many messages a ring is left even if it has room, so that numbers within a ring can be
 * compared although they wrap around.
 */
#ifdef MPROC_POINTS
#define RING_SPAN_MAX 5000u
#else
#define RING_SPAN_MAX (1u << 30)
#endif
#define SLICE_INSIDE  INT64_C(1000000)
#define SLICE_POLLING INT64_C(100000000)
#define CLOSE_PAUSE   INT64_C(100000)

struct mproc_queue {
        struct mproc__object object;
        struct mproc__segment *segment;
        struct mproc__queue_shm *shm;
        uint32_t limit;            /* copied from shm when the handle was made */
        struct mproc__window tail; /* belongs to the holder of tail.lock */
        struct mproc__window head; /* belongs to the holder of head.lock */
        _Atomic bool closed;       /* for this process */
        _Atomic unsigned sleepers; /* threads of this process that wait inside */
};

/* --- making handles -------------------------------------------------------------------------------- */

static int
make(struct mproc__segment *segment, bool fork_only, struct mproc_queue **ret)
{
        struct mproc_queue *queue = calloc(1, sizeof *queue);

        if (!queue) {
                mproc__segment_unref(segment);
                return mproc__fail(-ENOMEM, "no memory for a queue");
        }
        queue->segment = segment;
        queue->shm = (struct mproc__queue_shm *)segment->base;
        queue->limit = queue->shm->maxsize;
        if (queue->limit == 0 || queue->limit > COUNT_MAX)
                queue->limit = COUNT_MAX;
        mproc__object_init(&queue->object, &mproc__queue_type, fork_only);
        *ret = queue;
        return 0;
}

static int
init_shm(struct mproc_queue *queue, uint32_t maxsize)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint64_t first = mproc__memory_page();
        int r = mproc__ring_build(&queue->tail, queue->segment->fd, first, MPROC__COUNTER_START, 0, NULL);

        if (r < 0)
                return mproc__fail_errno(-r, "no shared memory for a queue");
        shm->maxsize = maxsize;
        queue->limit = maxsize ? maxsize : COUNT_MAX;
        for (int i = 0; i < 2; i++) {
                struct mproc__queue_end *end = i ? &shm->head : &shm->tail;

                atomic_init(&end->n, MPROC__COUNTER_START);
                atomic_init(&end->hint_n, MPROC__COUNTER_START);
                atomic_init(&end->armed, MPROC__COUNTER_START - 1); /* a ticket for what lies behind is void */
                atomic_init(&end->rung, MPROC__COUNTER_START - 1);
                atomic_init(&end->ring, first);
                atomic_init(&end->released, first);
        }
        return 0;
}

int
mproc_queue_create(mproc_context *ctx, size_t maxsize, mproc_queue **ret_queue)
{
        struct mproc__segment *segment;
        struct mproc_queue *queue;
        size_t page = mproc__memory_page();
        int r;

        if (maxsize > COUNT_MAX)
                return mproc__fail(-EINVAL, "a queue's maxsize is at most %u; %zu was asked for", COUNT_MAX, maxsize);
        ctx = mproc__context_resolve(ctx);
        if ((r = mproc__segment_create(MPROC__SEGMENT_QUEUE, "queue", page, page, true, &segment)) < 0 ||
            (r = make(segment, mproc__context_is_fork(ctx), &queue)) < 0)
                return r;
        if ((r = init_shm(queue, (uint32_t)maxsize)) < 0 || (r = mproc__object_publish(&queue->object)) < 0) {
                mproc__object_unref(&queue->object);
                return r;
        }
        *ret_queue = queue;
        return 0;
}

/* --- failures in words ------------------------------------------------------------------------------- */

static int
check(const struct mproc_queue *queue)
{
        if (!queue)
                return mproc__fail(MPROC_EHANDLE, "a queue is wanted, NULL was given");
        if (atomic_load_explicit(&queue->closed, memory_order_relaxed))
                return mproc__fail(MPROC_ECLOSED, "the queue was closed in this process");
        return 0;
}

static bool is_empty(void *queue);
static bool is_full(void *queue);

static int
fail_busy(int r)
{
        return mproc__fail(r, "another process was inside the queue all the time, with a large message or stopped");
}

static int
fail_put(struct mproc_queue *queue, int r)
{
        switch (r) {
        case MPROC_ETIMEDOUT:
                if (!is_full(queue))
                        return fail_busy(MPROC_EFULL);
                return mproc__fail(MPROC_EFULL, "the queue holds its %u messages, and none was taken in time",
                                   queue->limit);
        case MPROC_ECLOSED:
                return mproc__fail(r, "the queue was closed in this process");
        case MPROC_EDEADLK:
                return mproc__fail(r, "a signal handler used the queue while its thread was using it");
        case MPROC_ECORRUPT:
                return mproc__fail(r, "the queue's memory is damaged: some process wrote into it");
        default:
                return mproc__fail_errno(-r, "cannot put a message into the queue");
        }
}

static int
fail_get(struct mproc_queue *queue, int r)
{
        if (r == MPROC_ETIMEDOUT && !is_empty(queue))
                return fail_busy(MPROC_EEMPTY);
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(MPROC_EEMPTY, "the queue is empty, and no message came in time");
        if (r <= -MPROC_ERROR_BASE)
                return fail_put(queue, r);
        return mproc__fail_errno(-r, "cannot take a message out of the queue");
}

/* --- waiting ------------------------------------------------------------------------------------------- */

static bool
is_empty(void *arg)
{
        struct mproc_queue *queue = arg;

        return mproc__counter_distance(&queue->shm->head.n, &queue->shm->tail.n) == 0;
}

static bool
is_full(void *arg)
{
        struct mproc_queue *queue = arg;

        return mproc__counter_distance(&queue->shm->head.n, &queue->shm->tail.n) >= queue->limit;
}

/* Take the lock of one end.  Those who wait are counted, so that close knows whom to wake. */
static int
enter(struct mproc_queue *queue, struct mproc__queue_end *end, int64_t deadline_ns, bool nowait,
      bool (*hopeless)(void *))
{
        int r;

        if (mproc__robust_try(&end->lock, mproc__word_thread()))
                return 0;
        atomic_fetch_add(&queue->sleepers, 1);
        r = mproc__counter_enter(&end->lock, deadline_ns, nowait, hopeless, queue, &queue->closed);
        atomic_fetch_sub(&queue->sleepers, 1);
        return r;
}

/* Inside one end: wait until the other one's n is no longer `old`. */
static int
sleep_on(struct mproc_queue *queue, struct mproc__queue_end *theirs, struct mproc__queue_end *mine, uint32_t old,
         int64_t deadline_ns, bool nowait)
{
        int r;

        if (nowait)
                return atomic_load_explicit(&theirs->n, memory_order_acquire) != old ? 0 : MPROC_ETIMEDOUT;
        atomic_fetch_add(&queue->sleepers, 1);
        r = mproc__counter_sleep(&theirs->n, &theirs->armed, &theirs->lock, &mine->lock, old, deadline_ns,
                                 &queue->closed);
        atomic_fetch_sub(&queue->sleepers, 1);
        return r;
}

/* For those who poll.  Once before the count, in case we die right after it, and once after the lock is free. */
static void
ring_bell(struct mproc_queue *queue, uint32_t n)
{
        if (__builtin_expect(atomic_load_explicit(&queue->shm->tail.rung, memory_order_seq_cst) == n, 0))
                mproc__bell_ring(queue->segment->bell);
}

/* A dead process may have owed these; to whoever is not concerned they mean nothing. */
static void
wake_both(struct mproc__queue_shm *shm)
{
        (void)mproc__word_wake(&shm->tail.n, 1);
        (void)mproc__word_wake(&shm->head.n, 1);
}

/* --- rings, from either end ---------------------------------------------------------------------------- */

/* Have the window open where `end->ring` says. */
static int
open_ring(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window)
{
        uint64_t at = atomic_load_explicit(&end->ring, memory_order_relaxed);

        if (__builtin_expect(window->at == at && atomic_load_explicit(&window->ring, memory_order_relaxed) != NULL,
                             1))
                return 0;
        return mproc__window_open(window, queue->segment->fd, at);
}

/* Go to the ring behind this one.  On the tape it only goes forward, so a damaged link leads into no circle. */
static int
step(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window, uint64_t next)
{
        int r;

        if (next < mproc__window_end(window))
                return MPROC_ECORRUPT;
        if ((r = mproc__window_open(window, queue->segment->fd, next)) < 0)
                return r;
        atomic_store_explicit(&end->ring, next, memory_order_release);
        return 0;
}

static uint64_t
next_of(const struct mproc__window *window)
{
        return atomic_load_explicit(&atomic_load_explicit(&window->ring, memory_order_relaxed)->next,
                                    memory_order_acquire);
}

static uint32_t
last_of(const struct mproc__window *window)
{
        return atomic_load_explicit(&atomic_load_explicit(&window->ring, memory_order_relaxed)->last_n,
                                    memory_order_relaxed);
}

/* --- put ------------------------------------------------------------------------------------------------ */

/* The tail's ring, and nothing behind it; only a linker who died before he said so in tail.ring leaves something. */
static int
settle_tail(struct mproc_queue *queue)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        uint64_t next;
        int r = open_ring(queue, tail, &queue->tail);

        while (r == 0 && (next = next_of(&queue->tail)) != 0)
                r = step(queue, tail, &queue->tail, next);
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

        wake_both(queue->shm);
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

        if (n - h > COUNT_MAX)
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

static uint64_t
position_of(const struct mproc__window *w, uint32_t n)
{
        return n == w->first_n ? 0 : atomic_load_explicit(&mproc__window_slot(w, n - 1)->end, memory_order_relaxed);
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

                if (n - h > COUNT_MAX)
                        return MPROC_ECORRUPT;
                atomic_store_explicit(&shm->tail.hint_n, h, memory_order_relaxed);
                if (n - h >= queue->limit &&
                    (r = sleep_on(queue, &shm->head, &shm->tail, h, deadline_ns, nowait)) < 0)
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
        position = position_of(w, n);
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
        ring_bell(queue, n);
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

        if ((r = check(queue)) < 0)
                return r;
        if (len_bytes > MESSAGE_MAX)
                return mproc__fail(-EMSGSIZE, "a message of %zu bytes is too large", len_bytes);
        if (!data && len_bytes > 0)
                return mproc__fail(-EINVAL, "the message is NULL, but %zu bytes long", len_bytes);
        if (nowait && is_full(queue))
                return fail_put(queue, MPROC_ETIMEDOUT);
        deadline_ns = nowait ? 0 : mproc__deadline(timeout_ms);
        tail = &queue->shm->tail;
        if ((r = enter(queue, tail, deadline_ns, nowait, is_full)) < 0)
                return fail_put(queue, r);
        MPROC_POINT("queue.put.entered");
        if (r == MPROC__ROBUST_RECOVERED)
                recover_tail(queue);
        r = put_locked(queue, data, len_bytes, deadline_ns, nowait, &n, &woken);
        mproc__robust_unlock(&tail->lock);
        if (r < 0)
                return fail_put(queue, r);
        MPROC_POINT("queue.put.left");
        mproc__counter_look_again(&tail->n, &tail->armed, n, woken);
        ring_bell(queue, n);
        return 0;
}

/* --- get ------------------------------------------------------------------------------------------------ */

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
static int
settle_head(struct mproc_queue *queue, uint32_t n)
{
        struct mproc__queue_end *head = &queue->shm->head;
        uint64_t next;
        int r = open_ring(queue, head, &queue->head);

        while (r == 0 && __builtin_expect((next = next_of(&queue->head)) != 0, 0) && last_of(&queue->head) == n)
                r = step(queue, head, &queue->head, next);
        if (r == 0)
                release_rings(queue);
        return r;
}

/* The last owner of head.lock died: after he had counted a message, but before he gave back what it lay in? */
static void
recover_head(struct mproc_queue *queue)
{
        uint32_t n = atomic_load_explicit(&queue->shm->head.n, memory_order_relaxed);

        wake_both(queue->shm);
        if (settle_head(queue, n) == 0 && queue->head.single && n == queue->head.first_n + 1)
                mproc__window_release_bytes(&queue->head, queue->segment->fd);
}

/* Where a message is to go: the caller's buffer, or one that is made when its length is known. */
struct sink {
        void *buffer;
        size_t capacity;
        bool allocate;
        size_t len;
};

/* What the slot says, read once, and only what is possible in this ring. */
static int
look_at_message(const struct mproc__window *w, uint32_t n, uint64_t *ret_position, size_t *ret_len)
{
        const struct mproc__slot *slot = mproc__window_slot(w, n);
        uint64_t end = atomic_load_explicit(&slot->end, memory_order_relaxed);
        uint64_t len = atomic_load_explicit(&slot->len, memory_order_relaxed);
        uint64_t position = position_of(w, n);

        if ((int32_t)(n - w->first_n) < 0 || (w->single && n != w->first_n))
                return MPROC_ECORRUPT;
        if (len > w->bytes || end - position != mproc__ring_need(len) || len > MESSAGE_MAX)
                return MPROC_ECORRUPT;
        *ret_position = position;
        *ret_len = (size_t)len;
        return 0;
}

static int
take_out(struct mproc_queue *queue, uint32_t n, struct sink *sink)
{
        const struct mproc__window *w = &queue->head;
        uint64_t position = 0;
        void *made = NULL;
        int r = look_at_message(w, n, &position, &sink->len);

        if (r < 0)
                return r;
        if (sink->allocate) {
                if (!(made = malloc(sink->len ? sink->len : 1)))
                        return -ENOMEM;
                sink->buffer = made;
        } else if (sink->len > sink->capacity) {
                return MPROC_ETOOSMALL;
        }
        if ((r = mproc__window_read(w, queue->segment->fd, position, sink->buffer, sink->len)) < 0) {
                free(made);
                return r == -ENODATA ? MPROC_ECORRUPT : r;
        }
        return 0;
}

static int
get_locked(struct mproc_queue *queue, struct sink *sink, int64_t deadline_ns, bool nowait, uint32_t *ret_n,
           bool *ret_woken)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint32_t n = atomic_load_explicit(&shm->head.n, memory_order_relaxed);
        uint32_t count = atomic_load_explicit(&shm->tail.n, memory_order_acquire) - n;
        int r;

        *ret_n = n;
        if (count == 0) {
                if ((r = sleep_on(queue, &shm->tail, &shm->head, n, deadline_ns, nowait)) < 0)
                        return r;
                count = atomic_load_explicit(&shm->tail.n, memory_order_acquire) - n;
        }
        if (count > COUNT_MAX)
                return MPROC_ECORRUPT;
        if ((r = settle_head(queue, n)) < 0 || (r = take_out(queue, n, sink)) < 0)
                return r;
        MPROC_POINT("queue.get.copied");
        *ret_woken = mproc__counter_commit(&shm->head.n, &shm->head.armed, n, 1);
        MPROC_POINT("queue.get.committed");
        if (queue->head.single)
                mproc__window_release_bytes(&queue->head, queue->segment->fd);
        (void)settle_head(queue, n + 1); /* if that fails, the next get tells */
        return 0;
}

static int
get(struct mproc_queue *queue, struct sink *sink, int64_t timeout_ms)
{
        bool nowait = timeout_ms == 0, woken = false;
        struct mproc__queue_end *head;
        int64_t deadline_ns;
        uint32_t n = 0;
        int r;

        if (nowait && is_empty(queue))
                return fail_get(queue, MPROC_ETIMEDOUT);
        deadline_ns = nowait ? 0 : mproc__deadline(timeout_ms);
        head = &queue->shm->head;
        if ((r = enter(queue, head, deadline_ns, nowait, is_empty)) < 0)
                return fail_get(queue, r);
        MPROC_POINT("queue.get.entered");
        if (r == MPROC__ROBUST_RECOVERED)
                recover_head(queue);
        r = get_locked(queue, sink, deadline_ns, nowait, &n, &woken);
        mproc__robust_unlock(&head->lock);
        if (r == MPROC_ETOOSMALL)
                return mproc__fail(r, "the next message has %zu bytes, the buffer has room for %zu", sink->len,
                                   sink->capacity);
        if (r < 0)
                return fail_get(queue, r);
        MPROC_POINT("queue.get.left");
        mproc__counter_look_again(&queue->shm->head.n, &queue->shm->head.armed, n, woken);
        return 0;
}

int
mproc_queue_get(mproc_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes, int64_t timeout_ms)
{
        struct sink sink = { .buffer = buffer, .capacity = capacity };
        int r;

        if ((r = check(queue)) < 0)
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
        struct sink sink = { .allocate = true };
        int r;

        if ((r = check(queue)) < 0 || (r = get(queue, &sink, timeout_ms)) < 0)
                return r;
        *ret_data = sink.buffer;
        if (ret_len_bytes)
                *ret_len_bytes = sink.len;
        return 0;
}

/* --- looking -------------------------------------------------------------------------------------------- */

static int
count_messages(mproc_queue *queue, uint32_t *ret_count)
{
        int r = check(queue);

        if (r < 0)
                return r;
        *ret_count = mproc__counter_distance(&queue->shm->head.n, &queue->shm->tail.n);
        return *ret_count <= COUNT_MAX ? 0 : fail_get(queue, MPROC_ECORRUPT);
}

int
mproc_queue_qsize(mproc_queue *queue, size_t *ret_count)
{
        uint32_t count;
        int r = count_messages(queue, &count);

        if (r == 0)
                *ret_count = count;
        return r;
}

int
mproc_queue_empty(mproc_queue *queue)
{
        uint32_t count;
        int r = count_messages(queue, &count);

        return r < 0 ? r : count == 0;
}

int
mproc_queue_full(mproc_queue *queue)
{
        uint32_t count;
        int r = count_messages(queue, &count);

        return r < 0 ? r : count >= queue->limit;
}

/*
 * Polling.  Nobody takes a lock here: if nothing is there, silence the bell, leave a ticket
 * (rung), and look again.  The next putter rings.  What can go wrong without slices: a
 * putter who was inside before the ticket dies before he looks again; or another poller
 * silences the bell that was meant for us, too, takes nothing, and dies.
 */
int
mproc__queue_wait_prepare(struct mproc_queue *queue, int *ret_fd, bool *ret_ready, int64_t *ret_slice_ns)
{
        struct mproc__queue_shm *shm;
        uint32_t n;

        if (!queue)
                return check(queue);
        shm = queue->shm;
        *ret_fd = queue->segment->bell;
        *ret_slice_ns = SLICE_POLLING;
        *ret_ready = atomic_load(&queue->closed) || !is_empty(queue);
        if (*ret_ready)
                return 0;
        mproc__bell_silence(queue->segment->bell);
        n = atomic_load_explicit(&shm->tail.n, memory_order_acquire);
        atomic_store_explicit(&shm->tail.rung, n, memory_order_seq_cst);
        if (mproc__robust_owner(&shm->tail.lock) != 0)
                *ret_slice_ns = SLICE_INSIDE;
        *ret_ready = !is_empty(queue);
        return 0;
}

/* --- closing -------------------------------------------------------------------------------------------- */

/*
 * Threads of this process that wait inside are sent away.  A thread counts itself in before
 * it looks at `closed` for the last time, so none is missed; one that is on its
 * way to sleep is met in the next round.  Other processes' sleepers are woken for nothing.
 */
int
mproc_queue_close(mproc_queue *queue)
{
        if (!queue)
                return check(queue);
        atomic_store(&queue->closed, true);
        for (;;) {
                mproc__word *words[4] = { &queue->shm->tail.n, &queue->shm->tail.lock.word, &queue->shm->head.n,
                                          &queue->shm->head.lock.word };

                if (atomic_load(&queue->sleepers) == 0)
                        break;
                for (int i = 0; i < 4; i++)
                        (void)mproc__word_wake(words[i], INT_MAX);
                mproc__plat_sleep_ns(CLOSE_PAUSE);
        }
        mproc__bell_ring(queue->segment->bell); /* for threads that poll; others silence it again */
        return 0;
}

void
mproc_queue_free(mproc_queue *queue)
{
        mproc__object_free(queue ? &queue->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
queue_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        mproc__segment_encode(((struct mproc_queue *)object)->segment, encoder);
        return 0;
}

static int
queue_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc__segment *segment;
        struct mproc_queue *queue;
        size_t page = mproc__memory_page();
        int r;

        if ((r = mproc__segment_decode(decoder, MPROC__SEGMENT_QUEUE, "queue", page, page, &segment)) < 0)
                return r;
        if (segment->bell < 0) {
                mproc__segment_unref(segment);
                return mproc__fail(MPROC_EPROTO, "a queue came without the descriptor to poll");
        }
        if ((r = make(segment, false, &queue)) < 0)
                return r;
        *ret = &queue->object;
        return 0;
}

static int
queue_passable(struct mproc__object *object)
{
        return check((struct mproc_queue *)object);
}

/* The parent's other threads did not come along. */
static void
queue_forked(struct mproc__object *object, bool passed)
{
        (void)passed;
        atomic_store(&((struct mproc_queue *)object)->sleepers, 0);
}

static void
queue_destroy(struct mproc__object *object)
{
        struct mproc_queue *queue = (struct mproc_queue *)object;

        mproc__window_close(&queue->tail);
        mproc__window_close(&queue->head);
        mproc__segment_unref(queue->segment);
        free(queue);
}

const struct mproc__object_type mproc__queue_type = {
        .name = "queue",
        .arg_type = MPROC_ARG_QUEUE,
        .encode = queue_encode,
        .decode = queue_decode,
        .passable = queue_passable,
        .forked = queue_forked,
        .destroy = queue_destroy,
};
