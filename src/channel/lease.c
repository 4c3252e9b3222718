/* SPDX-License-Identifier: MIT */
/*
 * channel/lease.c - taking messages on a lease, and what becomes of leases.
 *
 * Runs in: every process that gets from a queue with a ledger.  Owns: nothing; a lease is a
 * value that names an entry of the ledger.
 *
 * A get, under head.lock: what was given back comes first, the oldest of it; then the queue.  If
 * there is nothing, the leader looks whose leases are out: leases of the dead are as good as
 * given back.  Then he sleeps on the queue's tail as always; while leases are out no longer
 * than 100 ms at a time, because nobody else tells him of a death.  No lease can be
 * taken meanwhile, since he holds the lock; so if none is out, he sleeps without a limit.
 *
 * Who gives a lease back wakes him: `attention` is the leader's reason to stop sleeping, and is
 * set before he is woken.  The leader may be between his look at it and his sleep, so
 * he is woken again until he has been, or a millisecond has passed; then his slice ends it.
 */
#include "channel/lease.h"
#include "core/error.h"
#include "platform/platform.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>

#define MS          INT64_C(1000000)
#define SLICE_FIRST (10 * MS)
#define SLICE_LAST  (100 * MS)
#define LOOK_EVERY  (20 * MS) /* for dead owners, while messages keep coming */
#define CALL_YIELDS 20
#define CALL_PAUSES 20
#define CALL_PAUSE  INT64_C(50000)

/* --- failures in words ---------------------------------------------------------------------------------- */

static int
fail(struct mproc_queue *queue, const struct mproc__sink *sink, int r)
{
        if (r == MPROC_ETOOSMALL)
                return mproc__fail(r, "the next message has %zu bytes, the buffer has room for %zu", sink->len,
                                   sink->capacity);
        if (r == -ENOBUFS)
                return mproc__fail(r,
                                   "%u messages have been taken out of the queue and nobody has said that he is "
                                   "done with one of them, and it cannot keep more in mind",
                                   queue->ledger->capacity);
        return mproc__queue_fail_get(queue, r);
}

/* --- taking: head.lock is held ------------------------------------------------------------------------------ */

/* One get while it lasts. */
struct taking {
        struct mproc_queue *queue;
        struct mproc__sink *sink;
        mproc_lease *lease; /* NULL: none is wanted */
        mproc__slot_id self;
        uint32_t n; /* head.n */
        bool counted, woken;
};

static void
grant(const struct taking *t, uint32_t index, uint64_t word)
{
        if (t->lease)
                *t->lease = (mproc_lease){
                        .queue = t->queue, .mark = word, .index = index, .deliveries = mproc__entry_deliveries(word)
                };
}

/* What the entry becomes when its message has been copied out: ours, or, if nobody has to know, free. */
static bool
take_over(const struct taking *t, uint32_t index, uint64_t word)
{
        struct mproc__ledger *ledger = t->queue->ledger;
        unsigned deliveries = mproc__entry_deliveries(word);
        uint64_t next;

        if (!t->lease && !ledger->counts)
                return mproc__ledger_settle(ledger, index, word, t->self);
        deliveries += deliveries < MPROC__LEDGER_DELIVERIES;
        next = mproc__entry_next(word, t->lease ? MPROC__ENTRY_LEASED : MPROC__ENTRY_TAKEN, t->self, deliveries);
        if (!mproc__ledger_change(ledger, index, word, next))
                return false;
        grant(t, index, next);
        return true;
}

static int
take_returned(struct taking *t, uint32_t index, uint64_t word)
{
        struct mproc__ledger *ledger = t->queue->ledger;
        size_t len = 0;
        int r;

        if ((r = mproc__ledger_len(ledger, index, &len)) < 0 || (r = mproc__sink_open(t->sink, len)) < 0)
                return r;
        r = mproc__ledger_read(ledger, index, mproc__sink_at(t->sink), len);
        MPROC_POINT("lease.again.copied");
        if (r == 0 && !take_over(t, index, word))
                r = MPROC_ECORRUPT; /* nobody else changes it while we have the lock */
        MPROC_POINT("lease.again.taken");
        if (r < 0)
                mproc__sink_drop(t->sink);
        return r;
}

/* The message is in the queue: copy it out, record it if need be, count it. */
static int
take_fresh(struct taking *t)
{
        struct mproc_queue *queue = t->queue;
        bool recorded = t->lease || queue->ledger->counts;
        uint32_t index = 0;
        int r;

        if (mproc__counter_distance(&queue->shm->head.n, &queue->shm->tail.n) > MPROC__QUEUE_COUNT_MAX)
                return MPROC_ECORRUPT;
        if ((r = mproc__queue_settle_head(queue, t->n)) < 0 || (r = mproc__queue_take_out(queue, t->n, t->sink)) < 0)
                return r;
        if (recorded && (r = mproc__ledger_prepare(queue->ledger, t->n, t->self, t->lease != NULL,
                                                   mproc__sink_at(t->sink), t->sink->len, &index)) < 0) {
                mproc__sink_drop(t->sink);
                return r;
        }
        t->woken = mproc__queue_count_head(queue, t->n, 1, t->sink->len);
        t->counted = true;
        if (recorded)
                grant(t, index, mproc__ledger_confirm(queue->ledger, index));
        return 0;
}

/*
 * Is there something that was given back?  `attention` is cleared before the look, so what is given back
 * after the look sets it again; and set if there was something, for there may be more.
 */
static bool
find_returned(const struct taking *t, uint32_t *ret_index, uint64_t *ret_word)
{
        struct mproc__ledger *ledger = t->queue->ledger;
        int64_t now = mproc__plat_now_ns();
        bool out;

        if (now - ledger->looked_ns >= LOOK_EVERY) {
                ledger->looked_ns = now;
                (void)mproc__ledger_bury(ledger, &out);
        }
        if (!atomic_load(&ledger->shm->attention))
                return false;
        atomic_store(&ledger->shm->attention, false);
        if (!mproc__ledger_oldest(ledger, t->n, ret_index, ret_word))
                return false;
        atomic_store(&ledger->shm->attention, true);
        return true;
}

/* Reasons for the leader to stop sleeping. */
static bool
is_called(void *arg)
{
        struct mproc_queue *queue = arg;

        return atomic_load(&queue->ledger->shm->attention) || atomic_load(&queue->closed) ||
               atomic_load(&queue->shm->ended) != 0;
}

/* Until a message is put, something is given back, or the queue is closed here or shut down; or for a slice. */
static int
doze(struct mproc_queue *queue, uint32_t n, int64_t until_ns)
{
        struct mproc__queue_shm *shm = queue->shm;
        int r;

        atomic_fetch_add(&queue->sleepers, 1);
        r = mproc__counter_sleep_unless(&shm->tail.n, &shm->tail.armed, &shm->tail.lock, &shm->tail.hold,
                                        &shm->head.lock, n, until_ns, is_called, queue);
        atomic_fetch_sub(&queue->sleepers, 1);
        return r == MPROC_ECLOSED && !atomic_load(&queue->closed) ? 0 : r;
}

/* Somebody else has a lease, and may die of it: so more may come out of a queue that was shut down. */
static bool
others_have_leases(const struct taking *t)
{
        struct mproc__ledger *ledger = t->queue->ledger;
        uint32_t used = mproc__ledger_used(ledger);

        for (uint32_t i = 0; i < used; i++) {
                uint64_t word = mproc__ledger_word(ledger, i);

                if (mproc__entry_state(word) == MPROC__ENTRY_LEASED && mproc__entry_owner(word) != t->self)
                        return true;
        }
        return false;
}

/* Nothing is there, and the queue was shut down.  Results as mproc__queue_await_end. */
static int
await_end(const struct taking *t, struct mproc__queue_wait *wait)
{
        struct mproc_queue *queue = t->queue;

        if (!others_have_leases(t) && !atomic_load(&queue->ledger->shm->attention))
                return mproc__queue_await_end(queue, t->n, wait);
        if (atomic_load(&queue->closed))
                return MPROC_ECLOSED;
        if (wait->nowait || mproc__deadline_passed(mproc__queue_deadline(wait)))
                return MPROC_ETIMEDOUT;
        mproc__plat_sleep_ns(MS);
        return 0;
}

static int
take(struct taking *t, struct mproc__queue_wait *wait)
{
        struct mproc_queue *queue = t->queue;
        int64_t slice = SLICE_FIRST;
        uint32_t index = 0;
        uint64_t word = 0;
        bool out;

        for (;;) {
                int64_t until, deadline_ns;
                int r;

                if (find_returned(t, &index, &word))
                        return take_returned(t, index, word);
                if (atomic_load_explicit(&queue->shm->tail.n, memory_order_acquire) != t->n)
                        return take_fresh(t);
                if (mproc__ledger_bury(queue->ledger, &out))
                        continue;
                if (mproc__queue_has_ended(queue)) {
                        if ((r = await_end(t, wait)) < 0)
                                return r;
                        continue;
                }
                if (wait->nowait)
                        return MPROC_ETIMEDOUT;
                until = deadline_ns = mproc__queue_deadline(wait);
                if (out || atomic_load(&queue->shm->producers) != 0) {
                        until = mproc__plat_now_ns() + slice;
                        slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
                        until = until < deadline_ns ? until : deadline_ns;
                }
                r = doze(queue, t->n, until);
                if (r < 0 && (r != MPROC_ETIMEDOUT || until == deadline_ns))
                        return r;
        }
}

/* --- around it ---------------------------------------------------------------------------------------------- */

/* Entering repairs: mproc__queue_recover_head looks after the ledger, too. */
void
mproc__lease_repair(struct mproc_queue *queue)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(0);

        if (mproc__queue_enter_head(queue, &wait) == 0)
                mproc__robust_unlock(&queue->shm->head.lock);
}

int
mproc__lease_get(struct mproc_queue *queue, struct mproc__sink *sink, int64_t timeout_ms, mproc_lease *ret_lease)
{
        struct taking t = { .queue = queue, .sink = sink, .lease = ret_lease };
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        struct mproc__queue_end *head = &queue->shm->head;
        int r;

        if ((r = mproc__slot_self(&t.self)) < 0)
                return r;
        if ((r = mproc__queue_enter_head(queue, &wait)) < 0)
                return fail(queue, sink, r);
        MPROC_POINT("lease.get.entered");
        t.n = atomic_load_explicit(&head->n, memory_order_relaxed);
        r = take(&t, &wait);
        mproc__robust_unlock(&head->lock);
        if (r < 0)
                return fail(queue, sink, r);
        MPROC_POINT("lease.get.left");
        if (t.counted)
                mproc__counter_look_again(&head->n, &head->armed, t.n, t.woken);
        return 0;
}

/* --- for users ------------------------------------------------------------------------------------------------ */

static int
check(const struct mproc_queue *queue)
{
        int r = mproc__queue_check(queue);

        if (r == 0 && !queue->ledger)
                r = mproc__fail(MPROC_EUNSUPPORTED, "the queue was made without leases: say how many there may be in "
                                                    "mproc_queue_opts.leases");
        return r;
}

int
mproc_queue_get_leased(mproc_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes,
                       mproc_lease *ret_lease, int64_t timeout_ms)
{
        struct mproc__sink sink = { .buffer = buffer, .capacity = capacity };
        int r;

        if ((r = check(queue)) < 0)
                return r;
        if (!ret_lease || (!buffer && capacity > 0))
                return mproc__fail(-EINVAL, "the %s is NULL", ret_lease ? "buffer" : "lease");
        r = mproc__lease_get(queue, &sink, timeout_ms, ret_lease);
        if ((r == 0 || r == MPROC_ETOOSMALL) && ret_len_bytes)
                *ret_len_bytes = sink.len;
        return r;
}

int
mproc_queue_get_leased_alloc(mproc_queue *queue, void **ret_data, size_t *ret_len_bytes, mproc_lease *ret_lease,
                             int64_t timeout_ms)
{
        struct mproc__sink sink = { .allocate = true };
        int r;

        if ((r = check(queue)) < 0)
                return r;
        if (!ret_lease)
                return mproc__fail(-EINVAL, "the lease is NULL");
        if ((r = mproc__lease_get(queue, &sink, timeout_ms, ret_lease)) < 0)
                return r;
        *ret_data = sink.buffer;
        if (ret_len_bytes)
                *ret_len_bytes = sink.len;
        return 0;
}

/*
 * Something was given back: the leader, if one sleeps or is about to, has to know.  Nothing else is woken:
 * followers are woken by him.  Nobody is inside, or he has looked, or there is a message for
 * him anyway: then all is well.
 */
static void
call_leader(struct mproc_queue *queue)
{
        struct mproc__queue_shm *shm = queue->shm;
        _Atomic bool *attention = &queue->ledger->shm->attention;

        atomic_store(attention, true);
        MPROC_POINT("lease.return.told");
        for (unsigned i = 0; i < CALL_YIELDS + CALL_PAUSES; i++) {
                if (mproc__robust_owner(&shm->head.lock) == 0 || !atomic_load(attention) ||
                    mproc__counter_distance(&shm->head.n, &shm->tail.n) != 0 || mproc__word_wake(&shm->tail.n, 1) > 0)
                        break;
                if (i < CALL_YIELDS)
                        (void)sched_yield();
                else
                        mproc__plat_sleep_ns(CALL_PAUSE);
        }
        mproc__queue_ring_bell(queue, atomic_load_explicit(&shm->tail.n, memory_order_acquire));
}

/* Our own copy of a lease that is still good.  The queue is held until object_unref. */
static int
open_lease(const mproc_lease *lease, struct mproc_queue **ret_queue, mproc__slot_id *ret_self)
{
        struct mproc__object *object;
        int r;

        if (!lease || !lease->queue)
                return mproc__fail(MPROC_EHANDLE, "a lease is wanted, %s was given", lease ? "an empty one" : "NULL");
        if ((r = mproc__object_lookup(lease->queue, MPROC_ARG_QUEUE, &object)) < 0)
                return r;
        *ret_queue = (struct mproc_queue *)object;
        if (!(*ret_queue)->ledger || lease->index >= mproc__ledger_used((*ret_queue)->ledger) ||
            mproc__entry_state(lease->mark) != MPROC__ENTRY_LEASED)
                r = mproc__fail(MPROC_EHANDLE, "this is no lease of that queue");
        else
                r = mproc__slot_self(ret_self);
        if (r < 0)
                mproc__object_unref(object);
        return r;
}

static int
fail_settled(void)
{
        return mproc__fail(MPROC_ERELEASED, "the lease is over: it was acked or given back before");
}

int
mproc_lease_ack(mproc_lease *lease)
{
        struct mproc_queue *queue;
        mproc__slot_id self;
        bool done;
        int r;

        if ((r = open_lease(lease, &queue, &self)) < 0)
                return r;
        done = mproc__ledger_settle(queue->ledger, lease->index, lease->mark, self);
        mproc__object_unref(&queue->object);
        return done ? 0 : fail_settled();
}

int
mproc_lease_return(mproc_lease *lease)
{
        struct mproc_queue *queue;
        mproc__slot_id self;
        bool done;
        int r;

        if ((r = open_lease(lease, &queue, &self)) < 0)
                return r;
        done = mproc__ledger_change(
                queue->ledger, lease->index, lease->mark,
                mproc__entry_next(lease->mark, MPROC__ENTRY_RETURNED, 0, mproc__entry_deliveries(lease->mark)));
        MPROC_POINT("lease.return.done");
        if (done)
                call_leader(queue);
        mproc__object_unref(&queue->object);
        return done ? 0 : fail_settled();
}

unsigned
mproc_lease_deliveries(const mproc_lease *lease)
{
        return lease ? lease->deliveries : 0;
}

int
mproc_queue_leased(mproc_queue *queue, size_t *ret_count)
{
        uint32_t used;
        size_t count = 0;
        int r;

        if ((r = check(queue)) < 0)
                return r;
        used = mproc__ledger_used(queue->ledger);
        for (uint32_t i = 0; i < used; i++)
                count += mproc__entry_state(mproc__ledger_word(queue->ledger, i)) == MPROC__ENTRY_LEASED;
        *ret_count = count;
        return 0;
}
