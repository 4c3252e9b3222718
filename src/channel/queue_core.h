/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_core.h - a queue from inside: for the files that work on it.
 *
 *      queue.c        making and ending handles, looking, closing; a queue as an argument
 *      queue_end.c    what both ends have in common: entering, sleeping, stepping from ring to ring
 *      queue_put.c    the tail: putting, and building rings
 *      queue_get.c    the head: getting, and giving rings back
 *      queue_inplace.c  messages that are written and read where they lie, without a copy
 *      queue_ending.c the end for all: shutting down, and the last producer
 *      queue_poll.c   being waited for by poll
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
 */
#ifndef MPROC_CHANNEL_QUEUE_CORE_H
#define MPROC_CHANNEL_QUEUE_CORE_H

#include "channel/queue.h"
#include "channel/ring.h"
#include "core/object.h"
#include "core/point.h"
#include "platform/memory.h"
#include "shm/segment.h"
#include "sync/counter.h"
#include "sync/waits.h"

#define MPROC__QUEUE_COUNT_MAX                                                                                       \
        0x3fffffffu /* messages in a queue without a limit of its own; what is more is damage */
#define MPROC__QUEUE_MESSAGE_MAX (SIZE_MAX / 4)

/*
 * A message of this handle's process that is being written or looked at in its place: see queue_inplace.c.
 * Belongs to the thread that reserved or peeked.
 */
struct mproc__queue_inplace {
        _Atomic uint32_t thread; /* who; 0: none */
        uint32_t n;
        uint64_t start, room; /* where its bytes begin in the ring, and how many there may be */
        void *mapped;         /* the bytes of a ring for one message, or NULL */
};

struct mproc_queue {
        struct mproc__object object;
        struct mproc__segment *segment;
        struct mproc__queue_shm *shm;
        uint32_t limit;            /* copied from shm when the handle was made */
        uint64_t max_bytes;        /* likewise; 0: no limit */
        struct mproc__window tail; /* belongs to the holder of tail.lock, or of tail.hold */
        struct mproc__window head; /* belongs to the holder of head.lock, or of head.hold */
        int streak;                /* head.lock: how often in a row few messages had come since the last look */
        bool others;               /* head.lock: they come from other threads */
        struct mproc__queue_inplace reserved, peeked;
        _Alignas(64) _Atomic bool closed; /* for this process */
        _Atomic unsigned sleepers;        /* threads of this process that wait inside */
        _Atomic bool polled;              /* somebody here polls the bell in a loop of his own */
        /*
         * NULL, or the queue can lease its messages, or counts its tasks.  Then every get goes through
         * mproc__lease_get, since what was given back comes first, and what is taken may have to be recorded.
         */
        struct mproc__ledger *ledger;
        int courier[2]; /* sockets that carry descriptors: in at 0, out at 1; -1: none.  See queue_objects.c */
};

/* How long one call may wait.  The clock is read when it comes to waiting, not before. */
struct mproc__queue_wait {
        int64_t timeout_ms;
        int64_t deadline_ns; /* 0: not known yet */
        bool nowait;
};

#define MPROC__QUEUE_WAIT(timeout)                                                                                   \
        {                                                                                                            \
                .timeout_ms = (timeout), .nowait = (timeout) == 0                                                    \
        }

int64_t mproc__queue_deadline(struct mproc__queue_wait *wait);

/* --- queue_end.c ----------------------------------------------------------------------------------- */

/* For sync/waits.h: what getters and putters wait for.  arg: the queue. */
void mproc__queue_describe_get(void *arg, struct mproc__wait_subject *ret);
void mproc__queue_describe_put(void *arg, struct mproc__wait_subject *ret);

/* May this handle be used?  MPROC_EHANDLE, MPROC_ECLOSED, with words. */
int mproc__queue_fail_check(const struct mproc_queue *queue);

static inline int
mproc__queue_check(const struct mproc_queue *queue)
{
        if (__builtin_expect(!queue || atomic_load_explicit(&queue->closed, memory_order_relaxed), 0))
                return mproc__queue_fail_check(queue);
        return 0;
}

/* Words for what came of a put or get; they return the code that the user gets. */
int mproc__queue_fail_put(struct mproc_queue *queue, int r);
int mproc__queue_fail_get(struct mproc_queue *queue, int r);

/* At this moment; arg is the queue. */
bool mproc__queue_is_empty(void *arg);
bool mproc__queue_is_full(void *arg);

/*
 * Enter the tail or the head: take its lock, repair what a dead owner left, wait until nobody has a
 * message of that end in his hands.  0, MPROC_ETIMEDOUT, MPROC_ECLOSED, MPROC_EDEADLK; then it is not held.  Left
 * with mproc__robust_unlock.  The tail cannot be entered once the queue was shut down.
 */
static inline int mproc__queue_enter_tail(struct mproc_queue *queue, struct mproc__queue_wait *wait);
static inline int mproc__queue_enter_head(struct mproc_queue *queue, struct mproc__queue_wait *wait);

int mproc__queue_enter_tail_slow(struct mproc_queue *queue, struct mproc__queue_wait *wait, bool locked);
int mproc__queue_enter_head_slow(struct mproc_queue *queue, struct mproc__queue_wait *wait, bool locked);

static inline int
mproc__queue_enter_tail(struct mproc_queue *queue, struct mproc__queue_wait *wait)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        bool locked = mproc__robust_try(&tail->lock, mproc__word_thread());

        if (__builtin_expect(locked && atomic_load_explicit(&tail->hold, memory_order_acquire) == 0 &&
                                     atomic_load_explicit(&queue->shm->ended, memory_order_seq_cst) == 0,
                             1))
                return 0;
        return mproc__queue_enter_tail_slow(queue, wait, locked);
}

static inline int
mproc__queue_enter_head(struct mproc_queue *queue, struct mproc__queue_wait *wait)
{
        struct mproc__queue_end *head = &queue->shm->head;
        bool locked = mproc__robust_try(&head->lock, mproc__word_thread());

        if (__builtin_expect(locked && atomic_load_explicit(&head->hold, memory_order_acquire) == 0, 1))
                return 0;
        return mproc__queue_enter_head_slow(queue, wait, locked);
}

/*
 * Inside one end: wait until the other one's n is no longer `old`.  0, MPROC_ETIMEDOUT, MPROC_ECLOSED: this
 * process closed it, or it was shut down.
 */
int mproc__queue_sleep_on(struct mproc_queue *queue, struct mproc__queue_end *theirs, struct mproc__queue_end *mine,
                          uint32_t old, struct mproc__queue_wait *wait);

/* Have the window open where `end->ring` says. */
static inline int mproc__queue_open_ring(struct mproc_queue *queue, struct mproc__queue_end *end,
                                         struct mproc__window *window);

/* Go to the ring behind this one.  On the tape it only goes forward, so a damaged link leads into no circle. */
int mproc__queue_step(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window,
                      uint64_t next);

static inline int
mproc__queue_open_ring(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window)
{
        uint64_t at = atomic_load_explicit(&end->ring, memory_order_relaxed);

        if (__builtin_expect(window->at == at && atomic_load_explicit(&window->ring, memory_order_relaxed) != NULL,
                             1))
                return 0;
        return mproc__window_open(window, queue->segment->fd, at);
}

/* How many bytes have passed an end, at a moment when its n is `n`.  Only in queues with a limit on bytes. */
uint64_t mproc__queue_tally(struct mproc__queue_end *end, uint32_t n);

/* About to count n to n + k: that many bytes more. */
void mproc__queue_tally_add(struct mproc__queue_end *end, uint32_t n, uint32_t k, uint64_t bytes);

/* For those who poll.  Once before the count, in case we die right after it, and once after the lock is free. */
static inline void
mproc__queue_ring_bell(struct mproc_queue *queue, uint32_t n)
{
        if (__builtin_expect(atomic_load_explicit(&queue->shm->tail.rung, memory_order_seq_cst) == n, 0))
                mproc__bell_ring(queue->segment->bell);
}

/* Where message n's part of the ring begins: where the one before ends. */
static inline uint64_t
mproc__queue_position(const struct mproc__window *w, uint32_t n)
{
        return n == w->first_n ? 0 : atomic_load_explicit(&mproc__window_slot(w, n - 1)->end, memory_order_relaxed);
}

/* --- queue_put.c: all under tail.lock ---------------------------------------------------------------- */

/*
 * Wait for the queue's own limits to let in message n, tail.n, of len bytes.  0, or as mproc__queue_sleep_on;
 * MPROC_ECORRUPT.
 */
int mproc__queue_await_room(struct mproc_queue *queue, uint32_t n, uint64_t len, struct mproc__queue_wait *wait);

/* Have a place for message n of len bytes in the tail's window: *ret_start is the position of its bytes. */
int mproc__queue_find_place(struct mproc_queue *queue, uint32_t n, uint64_t len, uint64_t *ret_start);

/* Write message n there; then count it.  True: a sleeping getter was woken. */
int mproc__queue_write(struct mproc_queue *queue, uint32_t n, uint64_t start, const void *data, size_t len);
bool mproc__queue_count_tail(struct mproc_queue *queue, uint32_t n, uint32_t k, uint64_t bytes);

/* The last owner of tail.lock, or of tail.hold, died. */
void mproc__queue_recover_tail(struct mproc_queue *queue);

/* --- queue_get.c: all under head.lock ---------------------------------------------------------------- */

/*
 * Where messages are to go: the caller's buffer, with room for one behind the other, or one that is made when a
 * message's length is known.
 */
struct mproc__sink {
        void *buffer;
        size_t capacity;
        bool allocate;
        size_t len;  /* of the message that was looked at last */
        size_t used; /* by messages before it */
};
int mproc__sink_open(struct mproc__sink *sink, size_t len); /* sets sink->len; MPROC_ETOOSMALL, -ENOMEM */
void mproc__sink_drop(struct mproc__sink *sink);            /* what was opened is not used */
void mproc__sink_advance(struct mproc__sink *sink);         /* the next message goes behind this one */

static inline void *
mproc__sink_at(const struct mproc__sink *sink)
{
        return sink->buffer ? (char *)sink->buffer + sink->used : NULL;
}

/* Wait until message n, head.n, is there.  *ret_count: how many there are, at least. */
int mproc__queue_await_message(struct mproc_queue *queue, uint32_t n, struct mproc__queue_wait *wait,
                               uint32_t *ret_count);

/*
 * No message n is there, and the queue was shut down: will none come any more?  MPROC_ECLOSED: it is over; 0: look
 * again; MPROC_ETIMEDOUT.
 */
int mproc__queue_await_end(struct mproc_queue *queue, uint32_t n, struct mproc__queue_wait *wait);

/* Message n is there: have the window onto its ring; see where its bytes are; copy them out.  No words. */
int mproc__queue_settle_head(struct mproc_queue *queue, uint32_t n);
int mproc__queue_read_slot(const struct mproc__window *w, uint32_t n, uint64_t *ret_start, size_t *ret_len);
int mproc__queue_take_out(struct mproc_queue *queue, uint32_t n, struct mproc__sink *sink);

/*
 * k messages from n on, of so many bytes together, have been taken: count them, and give back what they
 * lay in.  True: a sleeping putter was woken.
 */
bool mproc__queue_count_head(struct mproc_queue *queue, uint32_t n, uint32_t k, uint64_t bytes);

/* The last owner of head.lock, or of head.hold, died. */
void mproc__queue_recover_head(struct mproc_queue *queue);

/* --- queue_inplace.c, queue_ending.c, queue_poll.c ------------------------------------------------------ */

/* A handle ends; a child was forked: about the messages that its threads have in their hands. */
void mproc__queue_drop_inplace(struct mproc_queue *queue);
void mproc__queue_forget_inplace(struct mproc_queue *queue);

/* Was it shut down, or is no producer left? */
bool mproc__queue_has_ended(struct mproc_queue *queue);

/* This process puts no more. */
void mproc__queue_forget_producer(struct mproc_queue *queue);

/* For one who polls the bell in a loop of his own, and has found nothing: it rings when he should look again. */
void mproc__queue_arm(struct mproc_queue *queue);

/* --- queue_objects.c ----------------------------------------------------------------------------------- */

/* Make a new queue's courier.  With words. */
int mproc__queue_open_courier(struct mproc_queue *queue);

#endif
