/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_end.c - what both ends of a queue have in common.
 *
 * Runs in: every process that uses a queue.  Owns: nothing.
 */
#include "channel/ledger.h"
#include "channel/queue_core.h"
#include "core/error.h"

/* --- failures in words ------------------------------------------------------------------------------- */

int
mproc__queue_check(const struct mproc_queue *queue)
{
        if (!queue)
                return mproc__fail(MPROC_EHANDLE, "a queue is wanted, NULL was given");
        if (atomic_load_explicit(&queue->closed, memory_order_relaxed))
                return mproc__fail(MPROC_ECLOSED, "the queue was closed in this process");
        return 0;
}

static int
fail_busy(int r)
{
        return mproc__fail(r, "another process was inside the queue all the time, with a large message or stopped");
}

int
mproc__queue_fail_put(struct mproc_queue *queue, int r)
{
        switch (r) {
        case MPROC_ETIMEDOUT:
                if (!mproc__queue_is_full(queue))
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

int
mproc__queue_fail_get(struct mproc_queue *queue, int r)
{
        if (r == MPROC_ETIMEDOUT && !mproc__queue_is_empty(queue))
                return fail_busy(MPROC_EEMPTY);
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(MPROC_EEMPTY, "the queue is empty, and no message came in time");
        if (r <= -MPROC_ERROR_BASE)
                return mproc__queue_fail_put(queue, r);
        return mproc__fail_errno(-r, "cannot take a message out of the queue");
}

/* --- waiting ------------------------------------------------------------------------------------------- */

bool
mproc__queue_is_empty(void *arg)
{
        struct mproc_queue *queue = arg;

        return mproc__counter_distance(&queue->shm->head.n, &queue->shm->tail.n) == 0 &&
               (!queue->ledger || mproc__ledger_returned(queue->ledger) == 0);
}

bool
mproc__queue_is_full(void *arg)
{
        struct mproc_queue *queue = arg;

        return mproc__counter_distance(&queue->shm->head.n, &queue->shm->tail.n) >= queue->limit;
}

/* Those who wait are counted, so that close knows whom to wake. */
int
mproc__queue_enter(struct mproc_queue *queue, struct mproc__queue_end *end, int64_t deadline_ns, bool nowait,
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

int
mproc__queue_sleep_on(struct mproc_queue *queue, struct mproc__queue_end *theirs, struct mproc__queue_end *mine,
                      uint32_t old, int64_t deadline_ns, bool nowait)
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

void
mproc__queue_wake_both(struct mproc__queue_shm *shm)
{
        (void)mproc__word_wake(&shm->tail.n, 1);
        (void)mproc__word_wake(&shm->head.n, 1);
}

/* --- rings, from either end ---------------------------------------------------------------------------- */

int
mproc__queue_open_ring(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window)
{
        uint64_t at = atomic_load_explicit(&end->ring, memory_order_relaxed);

        if (__builtin_expect(window->at == at && atomic_load_explicit(&window->ring, memory_order_relaxed) != NULL,
                             1))
                return 0;
        return mproc__window_open(window, queue->segment->fd, at);
}

int
mproc__queue_step(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__window *window,
                  uint64_t next)
{
        int r;

        if (next < mproc__window_end(window))
                return MPROC_ECORRUPT;
        if ((r = mproc__window_open(window, queue->segment->fd, next)) < 0)
                return r;
        atomic_store_explicit(&end->ring, next, memory_order_release);
        return 0;
}
