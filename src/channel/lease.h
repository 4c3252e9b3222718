/* SPDX-License-Identifier: MIT */
/*
 * channel/lease.h - getting from a queue with a ledger, for the other files of queues.
 */
#ifndef MPROC_CHANNEL_LEASE_H
#define MPROC_CHANNEL_LEASE_H

#include "channel/ledger.h"
#include "channel/queue_core.h"

#include <mproc/lease.h>

/* A get.  ret_lease NULL: without a lease.  Results as mproc_queue_get_leased, with words. */
int mproc__lease_get(struct mproc_queue *queue, struct mproc__sink *sink, int64_t timeout_ms, mproc_lease *ret_lease);

/*
 * If the last holder of head.lock died and nobody has had it since: take it, repair, give it back.  Waits
 * for nobody for longer than a critical section.
 */
void mproc__lease_repair(struct mproc_queue *queue);

#endif
