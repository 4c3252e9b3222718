/* SPDX-License-Identifier: MIT */
/*
 * mproc/condition.h - condition variables: wait under a lock until somebody notifies.
 */
#ifndef MPROC_CONDITION_H
#define MPROC_CONDITION_H

#include <mproc/args.h>
#include <mproc/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MPROC_CONDITION_WAITERS_MAX 1024 /* so many threads can wait on one condition at a time */

/*
 * A new condition under the given lock, of which it keeps a handle of its own; with NULL under
 * a new recursive lock that is its own.  Several conditions may share a lock.  A
 * process that is given the condition has the lock with it.  The caller owns *ret_condition.
 * MPROC_EHANDLE: that is no live lock.  -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: no descriptor or
 * memory left.  MT-Safe.  Origin: multiprocessing.Condition.
 */
MPROC_API int mproc_condition_create(mproc_context *ctx, mproc_lock *lock, mproc_condition **ret_condition);

/* The same under a recursive lock; NULL: a new one. */
MPROC_API int mproc_condition_create_rlock(mproc_context *ctx, mproc_rlock *rlock, mproc_condition **ret_condition);

/* Acquire and release the condition's lock: as mproc_lock_acquire, mproc_rlock_acquire, ...  Origin:
 * Condition.acquire, release. */
MPROC_API int mproc_condition_acquire(mproc_condition *condition, int64_t timeout_ms);
MPROC_API int mproc_condition_release(mproc_condition *condition);

/*
 * Release the lock, wait for a notification, at most timeout_ms, and acquire the lock again.
 * A recursive lock is released whatever its depth, and has that depth again afterwards.
 * The lock must be held by this thread.  It is held again on return with
 *      0                       notified; or for no reason, which happens after a death: look at
 *                              what is waited for again, or use mproc_condition_wait_for
 *      MPROC_OWNER_DIED        (positive) notified or not, and the lock's last owner's process
 *                              died holding it: what it guards may need repair.  That ends
 *                              the wait of one at least within about a tenth of a second
 *      MPROC_ETIMEDOUT         not notified in time.  Acquiring the lock again is not limited.
 * and still held with
 *      MPROC_ENOTOWNER         this thread does not hold the lock; the words tell who does
 *      -EAGAIN                 MPROC_CONDITION_WAITERS_MAX threads wait already
 * MPROC_EPROGRAM, MPROC_EHANDLE.  EINTR is invisible.  MT-Safe.  Origin: Condition.wait.
 */
MPROC_API int mproc_condition_wait(mproc_condition *condition, int64_t timeout_ms);

/* Positive: what is waited for is true.  0: not yet.  A negative code ends the wait.  Called with the lock held. */
typedef int mproc_predicate_fn(void *arg);

/*
 * Wait until the predicate is true, at most timeout_ms in all.  0: it is; the lock is held.
 * MPROC_OWNER_DIED: as mproc_condition_wait; the predicate was not called since, so repair and call
 * again.  MPROC_ETIMEDOUT: it is still not true.  A negative result of the predicate is
 * returned.  Other errors as mproc_condition_wait.  MT-Safe.
 * Origin: Condition.wait_for.
 */
MPROC_API int mproc_condition_wait_for(mproc_condition *condition, mproc_predicate_fn *predicate, void *arg,
                                       int64_t timeout_ms);

/*
 * Notify n of those who wait, those first who have waited longest; all if fewer wait.  The
 * lock must be held by this thread, and stays so: who is notified returns when it is released.
 * Waits for nobody: not for a waiter who was killed, which does not count, nor for one who was
 * stopped, which counts.  One who dies after he was notified and before his wait has returned
 * passes it on: another waiter returns in his stead, within about a tenth of a second.
 * MPROC_ENOTOWNER: this thread does not hold the lock.  MPROC_EPROGRAM, MPROC_EHANDLE.
 * MT-Safe.  Origin: Condition.notify.
 */
MPROC_API int mproc_condition_notify(mproc_condition *condition, unsigned n);

/* Notify all who wait.  As mproc_condition_notify.  Origin: Condition.notify_all. */
MPROC_API int mproc_condition_notify_all(mproc_condition *condition);

/* End the handle; condition and lock live as long as any process has one.  NULL is fine. */
MPROC_API void mproc_condition_free(mproc_condition *condition);

#ifdef __cplusplus
}
#endif
#endif
