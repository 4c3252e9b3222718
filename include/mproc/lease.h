/* SPDX-License-Identifier: MIT */
/*
 * mproc/lease.h - leases: what a consumer took and did not finish before it died comes back.
 *
 * A message that is got by mproc_queue_get is gone from the queue; if its consumer dies, it
 * dies with it.  A message that is leased stays the queue's until it is acked: if the
 * process that has the lease dies before, however it dies, or gives it back, the message is
 * delivered again, before all that are younger, and tells how often it was.
 *
 *      mproc_queue_opts opts = { .leases = 64 };
 *      mproc_queue_create_opts(ctx, &opts, &queue);
 *      ...
 *      mproc_queue_get_leased(queue, buffer, sizeof buffer, &len, &lease, MPROC_FOREVER);
 *      work(buffer, len);
 *      mproc_lease_ack(&lease);
 *
 * So work is done at least once.  Death is told by the system, never by a timeout: a consumer that
 * is stopped, or slow, keeps its leases.  Processes hold leases, not threads.
 */
#ifndef MPROC_LEASE_H
#define MPROC_LEASE_H

#include <mproc/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One lease.  A plain value: not to be freed, not to be looked into, of use only in the process that got
 * it and in children that this process forks.
 */
typedef struct mproc_lease {
        mproc_queue *queue;
        uint64_t mark;
        uint32_t index;
        uint32_t deliveries;
} mproc_lease;

#define MPROC_LEASE_INIT                                                                                             \
        {                                                                                                            \
                NULL, 0, 0, 0                                                                                        \
        }

/*
 * Take the oldest message on a lease; everything else as mproc_queue_get.  *ret_lease is the lease.
 * -ENOBUFS: as many leases as the queue can have are out; the message stays in place.
 * MPROC_EUNSUPPORTED: the queue was made without leases.  -ENOSPC, -ENOMEM: no memory for the
 * copy that is kept; the message stays in place.  MT-Safe.  Origin: message queues in general (AMQP's basic.ack).
 */
MPROC_API int mproc_queue_get_leased(mproc_queue *queue, void *buffer, size_t capacity, size_t *ret_len_bytes,
                                     mproc_lease *ret_lease, int64_t timeout_ms);

/* The same into memory of its own: *ret_data (never NULL on success) is freed with free(). */
MPROC_API int mproc_queue_get_leased_alloc(mproc_queue *queue, void **ret_data, size_t *ret_len_bytes,
                                           mproc_lease *ret_lease, int64_t timeout_ms);

/*
 * The work is done: the message will not come back.  In a joinable queue this is its task_done.  Does not
 * block.  MPROC_ERELEASED: acked or given back before.  MPROC_EHANDLE: lease is NULL or empty, or its queue was
 * freed.  MT-Safe; also after mproc_queue_close.
 */
MPROC_API int mproc_lease_ack(mproc_lease *lease);

/* Give it back: the message is delivered again, to anybody, this process included.  Otherwise as mproc_lease_ack. */
MPROC_API int mproc_lease_return(mproc_lease *lease);

/*
 * How often the message has been delivered, this time included: 1 at first.  A message that kills its
 * consumers can be recognised by that, and acked without being worked on.  At most 65,535; 0 for NULL.
 */
MPROC_API unsigned mproc_lease_deliveries(const mproc_lease *lease);

/* How many messages are leased at this moment, by living processes and by dead ones that nobody has noticed yet. */
MPROC_API int mproc_queue_leased(mproc_queue *queue, size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
