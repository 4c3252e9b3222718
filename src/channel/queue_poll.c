/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_poll.c - a queue among the things that somebody polls.
 *
 * Runs in: every process that waits for a queue by mproc_wait.  Owns: nothing.
 */
#include "channel/ledger.h"
#include "channel/queue_core.h"

#define SLICE_INSIDE  INT64_C(1000000)
#define SLICE_POLLING INT64_C(100000000)

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
        bool out;

        if (!queue)
                return mproc__queue_check(queue);
        shm = queue->shm;
        *ret_fd = queue->segment->bell;
        *ret_slice_ns = SLICE_POLLING;
        if (queue->ledger)
                (void)mproc__ledger_bury(queue->ledger, &out);
        *ret_ready = atomic_load(&queue->closed) || !mproc__queue_is_empty(queue);
        if (*ret_ready)
                return 0;
        mproc__bell_silence(queue->segment->bell);
        n = atomic_load_explicit(&shm->tail.n, memory_order_acquire);
        atomic_store_explicit(&shm->tail.rung, n, memory_order_seq_cst);
        if (mproc__robust_owner(&shm->tail.lock) != 0)
                *ret_slice_ns = SLICE_INSIDE;
        *ret_ready = !mproc__queue_is_empty(queue);
        return 0;
}
