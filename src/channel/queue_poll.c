/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_poll.c - a queue among the things that somebody polls.
 *
 * Runs in: every process that waits for a queue by mproc_wait, or polls it himself.  Owns: nothing.
 */
#include "channel/ledger.h"
#include "channel/queue_core.h"
#include "platform/platform.h"
#include "program/slot.h"

#define SLICE_INSIDE  INT64_C(1000000)
#define SLICE_POLLING INT64_C(100000000)
#define INSIDE_NS     INT64_C(1000000)
#define INSIDE_PAUSE  INT64_C(20000)

/* A get would not have to wait: there is a message, or the end. */
static bool
is_worth_a_look(struct mproc_queue *queue)
{
        return !mproc__queue_is_empty(queue) || atomic_load(&queue->closed) || mproc__queue_has_ended(queue);
}

/* Somebody has said that he will shut the queue down.  What a dead one said is struck out. */
static bool
somebody_is_ending(struct mproc__queue_shm *shm)
{
        uint32_t id = atomic_load(&shm->ending);

        if (id == 0 || !mproc__slot_is_dead(id & MPROC__WORD_OWNER))
                return id != 0;
        (void)atomic_compare_exchange_strong(&shm->ending, &id, 0);
        return false;
}

/*
 * Somebody is about to count, and may have looked for our ticket before we left it: by the lock, or by a
 * message in his hands that he commits.  Or to shut the queue down, and has rung for those who slept before.
 * Who is dead will do neither; if he had, a look after this one sees it.
 */
static bool
somebody_is_inside(struct mproc__queue_shm *shm)
{
        uint32_t hold = atomic_load(&shm->tail.hold);

        return mproc__robust_owner(&shm->tail.lock) != 0 || somebody_is_ending(shm) ||
               ((hold & MPROC__QUEUE_HOLD_COUNTS) && !mproc__slot_is_dead(hold & MPROC__WORD_OWNER));
}

/*
 * Leave a ticket: the number at which we have been seen to look.  Several may poll, and one who is slow between
 * reading n and leaving it could put an old number in place of another's newer one, whom then nobody would ring.  So
 * a ticket only takes the place of one that was read before n was: no newer one is lost, not even by one who dies
 * here. It is good if n has not moved meanwhile; one who counts after that sees it.
 */
static void
leave_ticket(struct mproc__queue_shm *shm)
{
        uint32_t last, n;

        do {
                last = atomic_load(&shm->tail.rung);
                n = atomic_load(&shm->tail.n);
                MPROC_POINT("queue.poll.ticket");
        } while ((last != n && !atomic_compare_exchange_strong(&shm->tail.rung, &last, n)) ||
                 atomic_load(&shm->tail.n) != n);
}

/*
 * Polling.  Nobody takes a lock here: if nothing is there, silence the bell, leave a ticket
 * (rung), and look again.  The next putter rings.  Who has silenced the bell and goes rings it himself if there is
 * something, or somebody inside: it may have rung for others, too, and he takes one message, or none.  So each ring
 * is either told to a loop, or followed by another one; which holds for loops that wait for edges (EPOLLET) as well,
 * since the system looks at the bell once more before it tells of an edge.  What can go wrong without slices: a
 * putter who was inside before the ticket dies before he looks again; or another poller silences the bell that was
 * meant for us, too, and dies before he looks and rings again.
 */
int
mproc__queue_wait_prepare(struct mproc_queue *queue, int *ret_fd, bool *ret_ready, int64_t *ret_slice_ns)
{
        struct mproc__queue_shm *shm;
        bool out;

        if (!queue)
                return mproc__queue_check(queue);
        shm = queue->shm;
        *ret_slice_ns = SLICE_POLLING;
        if (queue->ledger)
                (void)mproc__ledger_bury(queue->ledger, &out);
        if (atomic_load(&shm->head.hold) != 0 && !atomic_load(&queue->closed)) {
                *ret_ready = false; /* the next message is in somebody's hands */
                *ret_slice_ns = SLICE_INSIDE;
                return 0;
        }
        *ret_ready = is_worth_a_look(queue);
        if (*ret_ready)
                return 0;
        MPROC_POINT("queue.poll.empty");
        *ret_fd = queue->segment->bell;
        mproc__bell_silence(queue->segment->bell);
        leave_ticket(shm);
        if (somebody_is_inside(shm))
                *ret_slice_ns = SLICE_INSIDE;
        *ret_ready = is_worth_a_look(queue);
        return 0;
}

void
mproc__queue_wait_end(struct mproc_queue *queue)
{
        bool inside = somebody_is_inside(queue->shm);

        if (inside || is_worth_a_look(queue))
                mproc__bell_ring(queue->segment->bell);
}

/*
 * The same for loops that are not ours, and have no slices.  A putter who is inside now may have looked for our
 * ticket before we left it, and die before he looks again: so he is waited for a little, and if he is still
 * there, the bell goes on ringing.  Who is inside is asked first, and looked for a message then: the
 * other way round he may count between the two, and die.
 *
 * Once the queue has ended, nobody silences the bell any more; it rings for ever, and gets say so.  But a get that
 * did not wait may just have found somebody else inside, and not the end: a loop that waits for edges needs another
 * one.
 */
void
mproc__queue_arm(struct mproc_queue *queue)
{
        struct mproc__queue_shm *shm = queue->shm;
        int64_t end = mproc__plat_now_ns() + INSIDE_NS;
        bool inside;

        if (atomic_load(&queue->closed) || mproc__queue_has_ended(queue)) {
                mproc__bell_ring(queue->segment->bell);
                return;
        }
        mproc__bell_silence(queue->segment->bell);
        leave_ticket(shm);
        MPROC_POINT("queue.armed");
        while ((inside = somebody_is_inside(shm)) && mproc__queue_is_empty(queue) && !mproc__deadline_passed(end))
                mproc__plat_sleep_ns(INSIDE_PAUSE);
        if (inside || is_worth_a_look(queue))
                mproc__bell_ring(queue->segment->bell);
}

int
mproc_queue_fileno(mproc_queue *queue)
{
        int r = mproc__queue_check(queue);

        if (r < 0)
                return r;
        atomic_store(&queue->polled, true);
        mproc__bell_ring(queue->segment->bell); /* the first look leaves the first ticket */
        return queue->segment->bell;
}
