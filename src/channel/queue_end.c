/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_end.c - what both ends of a queue have in common.
 *
 * Runs in: every process that uses a queue.  Owns: nothing.
 */
#include "channel/ledger.h"
#include "channel/queue_core.h"
#include "core/error.h"
#include "platform/platform.h"
#include "program/slot.h"

#include <errno.h>
#include <stdio.h>

#define MS               INT64_C(1000000)
#define HOLD_SLICE_FIRST (10 * MS)
#define HOLD_SLICE_LAST  (100 * MS)

/* --- failures in words ------------------------------------------------------------------------------- */

int
mproc__queue_fail_check(const struct mproc_queue *queue)
{
        if (!queue)
                return mproc__fail(MPROC_EHANDLE, "a queue is wanted, NULL was given");
        return mproc__fail(MPROC_ECLOSED, "the queue was closed in this process");
}

static int
fail_busy(int r)
{
        return mproc__fail(r, "another process was inside the queue all the time: with a large message, one reserved "
                              "or peeked at, or stopped");
}

static int
fail_closed(struct mproc_queue *queue)
{
        if (atomic_load(&queue->closed))
                return mproc__queue_fail_check(queue);
        if (atomic_load(&queue->shm->ended) == 0)
                return mproc__fail(MPROC_ECLOSED, "the queue is empty, and none of its producers is left");
        return mproc__fail(MPROC_ECLOSED, "the queue was shut down");
}

int
mproc__queue_fail_put(struct mproc_queue *queue, int r)
{
        switch (r) {
        case MPROC_ETIMEDOUT:
                if (queue->max_bytes == 0 && !mproc__queue_is_full(queue))
                        return fail_busy(MPROC_EFULL);
                return mproc__fail(MPROC_EFULL, "the queue is full, and not enough was taken out in time");
        case MPROC_ECLOSED:
                return fail_closed(queue);
        case MPROC_EDEADLK:
                return mproc__fail(r,
                                   "this thread is inside the queue: a signal handler used it while its thread was "
                                   "using it, or the thread has reserved or peeked at a message");
        case MPROC_ECORRUPT:
                return mproc__fail(r, "the queue's memory is damaged: some process wrote into it");
        default:
                return mproc__fail_errno(-r, "cannot put a message into the queue");
        }
}

int
mproc__queue_fail_get(struct mproc_queue *queue, int r)
{
        if (r == MPROC_ETIMEDOUT && atomic_load(&queue->polled))
                mproc__queue_arm(queue);
        if (r == MPROC_ETIMEDOUT && !mproc__queue_is_empty(queue))
                return fail_busy(MPROC_EEMPTY);
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(MPROC_EEMPTY, "the queue is empty, and no message came in time");
        if (r <= -MPROC_ERROR_BASE)
                return mproc__queue_fail_put(queue, r);
        return mproc__fail_errno(-r, "cannot take a message out of the queue");
}

/* --- waiting ------------------------------------------------------------------------------------------- */

int64_t
mproc__queue_deadline(struct mproc__queue_wait *wait)
{
        if (wait->deadline_ns == 0)
                wait->deadline_ns = mproc__deadline(wait->timeout_ms);
        return wait->deadline_ns;
}

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

/* For one that will not wait: somebody else is inside and does wait, or has a message in his hands. */
static bool
put_is_hopeless(void *arg)
{
        struct mproc_queue *queue = arg;
        struct mproc__queue_shm *shm = queue->shm;

        return mproc__queue_is_full(queue) || atomic_load(&shm->tail.hold) != 0 ||
               (queue->max_bytes != 0 && atomic_load(&shm->head.armed) == atomic_load(&shm->head.n));
}

static bool
get_is_hopeless(void *arg)
{
        struct mproc_queue *queue = arg;

        if (queue->ledger && mproc__robust_owner(&queue->shm->head.lock) == 0)
                return false; /* a dead one may have left what is to be repaired */
        return mproc__queue_is_empty(queue) || atomic_load(&queue->shm->head.hold) != 0;
}

/* For threads that are inside: is there nothing to wait for any more? */
static bool
is_over(void *arg)
{
        struct mproc_queue *queue = arg;

        return atomic_load(&queue->closed) || atomic_load(&queue->shm->ended) != 0;
}

/* Those who wait are counted, so that close knows whom to wake. */
int
mproc__queue_sleep_on(struct mproc_queue *queue, struct mproc__queue_end *theirs, struct mproc__queue_end *mine,
                      uint32_t old, struct mproc__queue_wait *wait)
{
        int r;

        if (wait->nowait)
                return atomic_load_explicit(&theirs->n, memory_order_acquire) != old ? 0 : MPROC_ETIMEDOUT;
        atomic_fetch_add(&queue->sleepers, 1);
        r = mproc__counter_sleep_unless(&theirs->n, &theirs->armed, &theirs->lock, &theirs->hold, &mine->lock, old,
                                        mproc__queue_deadline(wait), is_over, queue);
        atomic_fetch_sub(&queue->sleepers, 1);
        return r;
}

void
mproc__queue_describe_get(void *arg, struct mproc__wait_subject *ret)
{
        const struct mproc_queue *queue = arg;

        (void)snprintf(ret->what, sizeof ret->what, "a message of queue %llu",
                       (unsigned long long)queue->segment->identity[1]);
}

void
mproc__queue_describe_put(void *arg, struct mproc__wait_subject *ret)
{
        const struct mproc_queue *queue = arg;

        (void)snprintf(ret->what, sizeof ret->what, "room in queue %llu",
                       (unsigned long long)queue->segment->identity[1]);
}

static int
enter(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__queue_wait *wait,
      bool (*hopeless)(void *))
{
        bool get = end == &queue->shm->head;
        mproc__wait_describe_fn *describe = get ? mproc__queue_describe_get : mproc__queue_describe_put;
        struct mproc__wait note = { 0 };
        int r;

        atomic_fetch_add(&queue->sleepers, 1);
        if (!wait->nowait)
                mproc__wait_note(&note, describe, queue);
        r = mproc__counter_enter(&end->lock, wait->nowait ? 0 : mproc__queue_deadline(wait), wait->nowait, hopeless,
                                 queue, &queue->closed);
        mproc__wait_end(&note, false, describe, queue);
        atomic_fetch_sub(&queue->sleepers, 1);
        return r;
}

/* A dead process may have owed these; to whoever is not concerned they mean nothing. */
static void
wake_both(struct mproc__queue_shm *shm)
{
        (void)mproc__word_wake(&shm->tail.n, 1);
        (void)mproc__word_wake(&shm->head.n, 1);
}

/* One sleep of the holder of end->lock for whoever has a message of that end in his hands; v is what `hold` says. */
static int
sleep_for_hold(struct mproc__queue_end *end, uint32_t v, int64_t slice_ns, struct mproc__queue_wait *wait)
{
        int64_t deadline = mproc__queue_deadline(wait), until = mproc__plat_now_ns() + slice_ns;
        int r;

        if (!(v & MPROC__WORD_WAITERS)) {
                if (!atomic_compare_exchange_strong(&end->hold, &v, v | MPROC__WORD_WAITERS))
                        return 0;
                v |= MPROC__WORD_WAITERS;
        }
        if (until > deadline)
                until = deadline;
        r = mproc__word_wait(&end->hold, v, until);
        mproc__word_set_pending(mproc__word_thread(), &end->lock.word);
        return r == -ETIMEDOUT && until == deadline ? MPROC_ETIMEDOUT : 0;
}

/*
 * end->lock is held.  Wait until `hold` is free.  Only its holder can free it, without the lock, so it is
 * here that his death is found, by looking at his slot from time to time.  That he frees it
 * and dies before he wakes us costs one slice.  MPROC__ROBUST_RECOVERED: he was dead.
 */
static int
await_hold(struct mproc_queue *queue, struct mproc__queue_end *end, uint32_t my_thread,
           struct mproc__queue_wait *wait)
{
        int64_t slice = HOLD_SLICE_FIRST;
        uint32_t v;
        int r;

        while (((v = atomic_load(&end->hold)) & MPROC__WORD_OWNER) != 0) {
                if (my_thread == mproc__word_thread()->tid)
                        return MPROC_EDEADLK;
                if (mproc__slot_is_dead(v & MPROC__WORD_OWNER)) {
                        MPROC_POINT("queue.hold.dead");
                        atomic_store(&end->hold, 0);
                        return MPROC__ROBUST_RECOVERED;
                }
                if (atomic_load(&queue->closed))
                        return MPROC_ECLOSED;
                if (wait->nowait)
                        return MPROC_ETIMEDOUT;
                if ((r = sleep_for_hold(end, v, slice, wait)) < 0)
                        return r;
                slice = slice < HOLD_SLICE_LAST ? slice * 2 : slice;
        }
        return 0;
}

/* --- entering ------------------------------------------------------------------------------------------- */

static int
settle_in(struct mproc_queue *queue, struct mproc__queue_end *end, struct mproc__queue_inplace *inplace, int r,
          struct mproc__queue_wait *wait, void (*recover)(struct mproc_queue *))
{
        if (r == MPROC__ROBUST_RECOVERED) {
                wake_both(queue->shm);
                recover(queue);
        }
        if (__builtin_expect(atomic_load(&end->hold) == 0, 1))
                return 0;
        atomic_fetch_add(&queue->sleepers, 1);
        r = await_hold(queue, end, atomic_load(&inplace->thread), wait);
        atomic_fetch_sub(&queue->sleepers, 1);
        if (r != MPROC__ROBUST_RECOVERED)
                return r;
        wake_both(queue->shm);
        recover(queue);
        return 0;
}

int
mproc__queue_enter_tail_slow(struct mproc_queue *queue, struct mproc__queue_wait *wait, bool locked)
{
        struct mproc__queue_end *tail = &queue->shm->tail;
        int r = locked ? 0 : enter(queue, tail, wait, put_is_hopeless);

        if (r < 0)
                return r;
        r = settle_in(queue, tail, &queue->reserved, r, wait, mproc__queue_recover_tail);
        if (r == 0 && atomic_load(&queue->shm->ended) != 0)
                r = MPROC_ECLOSED;
        if (r < 0)
                mproc__robust_unlock(&tail->lock);
        return r;
}

int
mproc__queue_enter_head_slow(struct mproc_queue *queue, struct mproc__queue_wait *wait, bool locked)
{
        struct mproc__queue_end *head = &queue->shm->head;
        int r = locked ? 0 : enter(queue, head, wait, get_is_hopeless);

        if (r < 0)
                return r;
        r = settle_in(queue, head, &queue->peeked, r, wait, mproc__queue_recover_head);
        if (r < 0)
                mproc__robust_unlock(&head->lock);
        return r;
}

/* --- rings, from either end ---------------------------------------------------------------------------- */

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

/* --- bytes ------------------------------------------------------------------------------------------------ */

/*
 * The one of the two whose number is n.  It stays as it is until n has moved on and the next one
 * is being prepared, so if n is still the same afterwards, what was read is right.
 */
uint64_t
mproc__queue_tally(struct mproc__queue_end *end, uint32_t n)
{
        int i = atomic_load_explicit(&end->tally[0].n, memory_order_acquire) == n ? 0 : 1;

        return atomic_load_explicit(&end->tally[i].bytes, memory_order_acquire);
}

/* Into the one that does not count, its number last: one who dies in between has changed nothing. */
void
mproc__queue_tally_add(struct mproc__queue_end *end, uint32_t n, uint32_t k, uint64_t bytes)
{
        int now = atomic_load_explicit(&end->tally[0].n, memory_order_relaxed) == n ? 0 : 1;
        struct mproc__queue_tally *next = &end->tally[!now];

        bytes += atomic_load_explicit(&end->tally[now].bytes, memory_order_relaxed);
        atomic_store_explicit(&next->n, n - 1, memory_order_relaxed); /* never both of one number */
        atomic_store_explicit(&next->bytes, bytes, memory_order_release);
        atomic_store_explicit(&next->n, n + k, memory_order_release);
}
