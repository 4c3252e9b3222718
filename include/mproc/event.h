/* SPDX-License-Identifier: MIT */
/*
 * mproc/event.h - events: a flag that processes wait for.
 */
#ifndef MPROC_EVENT_H
#define MPROC_EVENT_H

#include <mproc/args.h>
#include <mproc/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A new event, not set.  The caller owns *ret_event.  -EMFILE, -ENFILE, -ENOMEM,
 * -ENOSPC: no descriptor or memory left.  MT-Safe.
 * Origin: multiprocessing.Event.
 */
MPROC_API int mproc_event_create(mproc_context *ctx, mproc_event **ret_event);

/*
 * Set it, and wake all who wait.  No effect if it is set.  Never blocks, whoever
 * waits, was stopped or killed; a process that is killed in here has set it and
 * woken all, or has done nothing.  May be called from a signal handler, whatever that
 * interrupted (async-signal-safe), and keeps errno.  MPROC_EHANDLE: event is NULL.
 * MT-Safe.  Origin: Event.set.
 */
MPROC_API int mproc_event_set(mproc_event *event);

/*
 * Clear it.  No effect if it is not set.  Never blocks; async-signal-safe as
 * mproc_event_set.  MPROC_EHANDLE.  MT-Safe.  Origin: Event.clear.
 */
MPROC_API int mproc_event_clear(mproc_event *event);

/* 1: it is set; 0: not.  MPROC_EHANDLE.  Async-signal-safe.  MT-Safe.  Origin: Event.is_set. */
MPROC_API int mproc_event_is_set(mproc_event *event);

/*
 * Wait until it is set, at most timeout_ms; 0 at once if it is.  Who waits when it is set
 * returns, even if it is cleared again before he runs.  Any number may wait.
 * MPROC_ETIMEDOUT, MPROC_EHANDLE.  EINTR is invisible.  MT-Safe.
 * Origin: Event.wait, which misses a set that is cleared soon after.
 */
MPROC_API int mproc_event_wait(mproc_event *event, int64_t timeout_ms);

/* End the handle; the event itself lives as long as any process has one.  NULL is fine. */
MPROC_API void mproc_event_free(mproc_event *event);

#ifdef __cplusplus
}
#endif
#endif
