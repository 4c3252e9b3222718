/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_core.h - a queue from inside: for the files that work on it.
 *
 *      queue.c        making and ending handles, looking, closing; a queue as an argument
 *      queue_end.c    what both ends have in common: entering, sleeping, stepping from ring to ring
 *      queue_put.c    the tail: putting, and building rings
 *      queue_get.c    the head: getting, and giving rings back
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

#define MPROC__QUEUE_COUNT_MAX                                                                                       \
        0x3fffffffu /* messages in a queue without a limit of its own; what is more is damage */
#define MPROC__QUEUE_MESSAGE_MAX (SIZE_MAX / 4)

struct mproc_queue {
        struct mproc__object object;
        struct mproc__segment *segment;
        struct mproc__queue_shm *shm;
        uint32_t limit;            /* copied from shm when the handle was made */
        struct mproc__window tail; /* belongs to the holder of tail.lock */
        struct mproc__window head; /* belongs to the holder of head.lock */
        _Atomic bool closed;       /* for this process */
        _Atomic unsigned sleepers; /* threads of this process that wait inside */
        /*
         * NULL, or the queue can lease its messages, or counts its tasks.  Then every get goes through
         * mproc__lease_get, since what was given back comes first, and what is taken may have to be recorded.
         */
        struct mproc__ledger *ledger;
};

/* --- queue_end.c ----------------------------------------------------------------------------------- */

/* May this handle be used?  MPROC_EHANDLE, MPROC_ECLOSED, with words. */
int mproc__queue_check(const struct mproc_queue *queue);

/* Words for what came of a put or get; they return the code that the user gets. */
int mproc__queue_fail_put(struct mproc_queue *queue, int r);
int mproc__queue_fail_get(struct mproc_queue *queue, int r);

/* At this moment; arg is the queue. */
bool mproc__queue_is_empty(void *arg);
bool mproc__queue_is_full(void *arg);

/*
 * Take the lock of one end.  Results as mproc__robust_lock; on MPROC__ROBUST_RECOVERED the caller
 * repairs.  hopeless: for one that does not wait, see sync/counter.h.
 */
int mproc__queue_enter(struct mproc_queue *queue, struct mproc__queue_end *end, int64_t deadline_ns, bool nowait,
                       bool (*hopeless)(void *));

/* Inside one end: wait until the other one's n is no longer `old`.  0, MPROC_ETIMEDOUT, MPROC_ECLOSED. */
int mproc__queue_sleep_on(struct mproc_queue *queue, struct mproc__queue_end *theirs, struct mproc__queue_end *mine,
                          uint32_t old, int64_t deadline_ns, bool nowait);

/* A dead process may have owed these; to whoever is not concerned they mean nothing. */
void mproc__queue_wake_both(struct mproc__queue_shm *shm);

/* Have the window open where `end->ring` says. */
int mproc__queue_open_ring(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window);

/* Go to the ring behind this one.  On the tape it only goes forward, so a damaged link leads into no circle. */
int mproc__queue_step(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window,
                      uint64_t next);

/* For those who poll.  Once before the count, in case we die right after it, and once after the lock is free. */
static inline void
mproc__queue_ring_bell(struct mproc_queue *queue, uint32_t n)
{
        if (__builtin_expect(atomic_load_explicit(&queue->shm->tail.rung, memory_order_seq_cst) == n, 0))
                mproc__bell_ring(queue->segment->bell);
}

/* --- queue_get.c, for those who hold head.lock ------------------------------------------------------------ */

/* Where a message is to go: the caller's buffer, or one that is made when its length is known. */
struct mproc__sink {
        void *buffer;
        size_t capacity;
        bool allocate;
        size_t len;
};
int mproc__sink_open(struct mproc__sink *sink, size_t len); /* sets sink->len; MPROC_ETOOSMALL, -ENOMEM */
void mproc__sink_drop(struct mproc__sink *sink);            /* what was opened is not used */

/* The last owner died. */
void mproc__queue_recover_head(struct mproc_queue *queue);

/* Message n is there: have the window onto its ring; copy it out; count it.  No words. */
int mproc__queue_settle_head(struct mproc_queue *queue, uint32_t n);
int mproc__queue_take_out(struct mproc_queue *queue, uint32_t n, struct mproc__sink *sink);
bool mproc__queue_count_head(struct mproc_queue *queue, uint32_t n); /* true: a sleeping putter was woken */

/* Where message n's bytes begin: where those of the one before end. */
static inline uint64_t
mproc__queue_position(const struct mproc__window *w, uint32_t n)
{
        return n == w->first_n ? 0 : atomic_load_explicit(&mproc__window_slot(w, n - 1)->end, memory_order_relaxed);
}

#endif
