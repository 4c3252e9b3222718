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

/*
 * Somebody is about to count, and may have looked for our ticket before we left it.  By the lock, or by a
 * message in his hands that he commits.  Who is dead will not count; if he had, a look after this one sees it.
 */
static bool
somebody_is_inside(struct mproc__queue_shm *shm)
{
        uint32_t hold = atomic_load(&shm->tail.hold);

        return mproc__robust_owner(&shm->tail.lock) != 0 ||
               ((hold & MPROC__QUEUE_HOLD_COUNTS) && !mproc__slot_is_dead(hold & MPROC__WORD_OWNER));
}

/*
 * Several may poll.  One who is slow between reading n and storing it writes an old number over the
 * newer ticket of another, whom then nobody rings: so each looks again whether his number still is the queue's.
 */
static void
leave_ticket(struct mproc__queue_shm *shm)
{
        uint32_t n;

        do {
                n = atomic_load(&shm->tail.n);
                atomic_store(&shm->tail.rung, n);
        } while (atomic_load(&shm->tail.n) != n);
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
        bool out;

        if (!queue)
                return mproc__queue_check(queue);
        shm = queue->shm;
        *ret_fd = queue->segment->bell;
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
        mproc__bell_silence(queue->segment->bell);
        leave_ticket(shm);
        if (somebody_is_inside(shm))
                *ret_slice_ns = SLICE_INSIDE;
        *ret_ready = is_worth_a_look(queue);
        return 0;
}

/*
 * The same for loops that are not ours, and have no slices.  A putter who is inside now may have looked for our
 * ticket before we left it, and die before he looks again: so he is waited for a little, and if he is still
 * there, the bell goes on ringing.  Who is inside is asked first, and looked for a message then: the
 * other way round he may count between the two, and die.
 */
void
mproc__queue_arm(struct mproc_queue *queue)
{
        struct mproc__queue_shm *shm = queue->shm;
        int64_t end = mproc__plat_now_ns() + INSIDE_NS;
        bool inside;

        if (atomic_load(&queue->closed) || mproc__queue_has_ended(queue))
                return; /* it rings for ever, and each get says so */
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
