/* SPDX-License-Identifier: MIT */
/*
 * channel/queue.h - queues as the files that wait for them see them.
 */
#ifndef MPROC_CHANNEL_QUEUE_H
#define MPROC_CHANNEL_QUEUE_H

#include "core/object.h"

#include <mproc/queue.h>
#include <stdbool.h>
#include <stdint.h>

extern const struct mproc__object_type mproc__queue_type;

/*
 * Before waiting for a queue, among other things, by poll.  *ret_ready: a get would find a
 * message now, or the end (it was closed in this process).  Otherwise poll *ret_fd for
 * POLLIN, at most *ret_slice_ns at a time (MPROC__NEVER: no limit), and come
 * here again: readable means maybe.  Never reads the descriptor yourself.  *ret_fd is
 * the queue's own; left alone as long as its bell has not been silenced.  Does not block.  MPROC_EHANDLE
 * with words.
 */
int mproc__queue_wait_prepare(struct mproc_queue *queue, int *ret_fd, bool *ret_ready, int64_t *ret_slice_ns);

/* Afterwards, if *ret_fd was set: others poll the same bell. */
void mproc__queue_wait_end(struct mproc_queue *queue);

#endif
