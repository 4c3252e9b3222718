/* SPDX-License-Identifier: MIT */
/*
 * mproc/sync.h - locks and semaphores between processes.
 */
#ifndef MPROC_SYNC_H
#define MPROC_SYNC_H

#include <mproc/args.h>
#include <mproc/context.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A new lock, free.  The caller owns *ret_lock.  -EMFILE, -ENOMEM, -ENOSPC.
 * MT-Safe.  Origin: multiprocessing.Lock.
 */
MPROC_API int mproc_lock_create(mproc_context *ctx, mproc_lock **ret_lock);

/*
 * Acquire it, waiting at most timeout_ms.  0: held.  MPROC_OWNER_DIED (positive):
 * held, and its last owner's process died holding it, so what it guards may need
 * repair.  MPROC_ETIMEDOUT.  It is not recursive: a thread that acquires twice
 * waits.  MPROC_EPROGRAM, -EAGAIN: this process could not take its place among those
 * that use locks (the words tell).  MPROC_EHANDLE: lock is NULL.  EINTR is invisible.
 * MT-Safe.  Origin: Lock.acquire.
 */
MPROC_API int mproc_lock_acquire(mproc_lock *lock, int64_t timeout_ms);

/*
 * Release it.  Any process or thread may, as in the original.
 * MPROC_ERELEASED: it is not held.  Does not block.  MT-Safe.
 * Origin: Lock.release.
 */
MPROC_API int mproc_lock_release(mproc_lock *lock);

MPROC_API int mproc_lock_locked(mproc_lock *lock);  /* 1 if held by anybody alive or dead, 0 if not.  Origin: Lock.locked */
MPROC_API pid_t mproc_lock_owner(mproc_lock *lock); /* the owner's process id, 0 if not held.  MT-Safe. */

/* End the handle; the lock itself lives as long as any process has one.  NULL is fine. */
MPROC_API void mproc_lock_free(mproc_lock *lock);

#define MPROC_SEMAPHORE_MAX 0x3fffffffu /* the greatest value */

/*
 * A new semaphore.  name NULL: anonymous, passed to others as an argument.
 * Otherwise a name by which unrelated programs meet: it begins with '/', has
 * no other '/', and 1 to 200 more bytes.  The name is tracked: when all processes
 * of the program that created it have ended and it was not unlinked, the
 * tracker unlinks it.  -EEXIST, -EINVAL (name or value; the words tell),
 * -EACCES, -EMFILE, -ENOMEM, -ENOSPC, MPROC_EPROGRAM (no tracker could be
 * started), MPROC_EBOOTSTRAP (a name needs a
 * tracker, and that needs mproc_init).  MT-Safe.
 * Origin: multiprocessing.Semaphore; sem_open(3).
 */
MPROC_API int mproc_semaphore_create(mproc_context *ctx, const char *name, unsigned value,
                                     mproc_semaphore **ret_semaphore);

/* A handle on an existing named semaphore.  Tracks nothing.  -ENOENT, -EACCES, -EINVAL, MPROC_ECORRUPT,
   MPROC_EUNSUPPORTED (another version's). */
MPROC_API int mproc_semaphore_attach(mproc_context *ctx, const char *name, mproc_semaphore **ret_semaphore);

/*
 * Remove the name; handles go on working.  Any program of the same user may.
 * -ENOENT, -EACCES, -EINVAL.  MT-Safe.  Origin: sem_unlink(3).
 */
MPROC_API int mproc_semaphore_unlink(const char *name);

/* Take one permit, waiting at most timeout_ms.  MPROC_ETIMEDOUT, MPROC_ECORRUPT, MPROC_EDEADLK, MPROC_EHANDLE.  Origin: Semaphore.acquire. */
MPROC_API int mproc_semaphore_acquire(mproc_semaphore *semaphore, int64_t timeout_ms);

/* Give one permit back.  -EOVERFLOW: it has its greatest value.  Origin: Semaphore.release. */
MPROC_API int mproc_semaphore_release(mproc_semaphore *semaphore);

/* Its value at this moment.  Origin: Semaphore.get_value. */
MPROC_API int mproc_semaphore_value(mproc_semaphore *semaphore, unsigned *ret_value);

/* End the handle.  NULL is fine. */
MPROC_API void mproc_semaphore_free(mproc_semaphore *semaphore);

#ifdef __cplusplus
}
#endif
#endif
