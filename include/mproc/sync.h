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

MPROC_API int
mproc_lock_locked(mproc_lock *lock); /* 1 if held by anybody alive or dead, 0 if not.  Origin: Lock.locked */
MPROC_API pid_t mproc_lock_owner(mproc_lock *lock); /* the owner's process id, 0 if not held.  MT-Safe. */

/* Who holds a lock at one moment. */
typedef struct mproc_holder {
        pid_t pid;      /* 0: unknown */
        pid_t thread;   /* the system's id of the thread that acquired it; 0: unknown */
        unsigned depth; /* how often that thread has acquired a recursive lock; 0: unknown, or not recursive */
        char name[48];  /* the process's, cut if it is longer; "": unknown */
} mproc_holder;

/* 1: *ret_holder tells who holds it, alive or dead.  0: nobody does, and it is all zeros.  MPROC_EHANDLE.  MT-Safe.
 */
MPROC_API int mproc_lock_look(mproc_lock *lock, mproc_holder *ret_holder);

/* End the handle; the lock itself lives as long as any process has one.  NULL is fine. */
MPROC_API void mproc_lock_free(mproc_lock *lock);

/*
 * A new recursive lock, free: the thread that holds it may acquire it again, and
 * releases it as often.  The caller owns *ret_rlock.  -EMFILE, -ENOMEM, -ENOSPC.
 * MT-Safe.  Origin: multiprocessing.RLock.
 */
MPROC_API int mproc_rlock_create(mproc_context *ctx, mproc_rlock **ret_rlock);

/*
 * Acquire it, waiting at most timeout_ms; at once if this thread of this process holds it.  0;
 * MPROC_OWNER_DIED (positive): held, and its last owner's process died holding it, however often
 * he had acquired it; this is the first time for the caller.  MPROC_ETIMEDOUT (the words name the
 * holder).  -EOVERFLOW: acquired 2^32 - 1 times.  MPROC_EPROGRAM, -EAGAIN, MPROC_EHANDLE: as
 * mproc_lock_acquire.  A thread that ends holding it leaves it held until its
 * process ends, as in the original.  EINTR is invisible.  MT-Safe.  Origin: RLock.acquire.
 */
MPROC_API int mproc_rlock_acquire(mproc_rlock *rlock, int64_t timeout_ms);

/*
 * Release it once; with the last time it is free.  MPROC_ENOTOWNER: another thread or process holds
 * it, whom the words name.  MPROC_ERELEASED: nobody does.  MPROC_EHANDLE.  Does not block.
 * MT-Safe.  Origin: RLock.release.
 */
MPROC_API int mproc_rlock_release(mproc_rlock *rlock);

MPROC_API int mproc_rlock_locked(mproc_rlock *rlock);  /* as mproc_lock_locked.  Origin: RLock.locked */
MPROC_API pid_t mproc_rlock_owner(mproc_rlock *rlock); /* as mproc_lock_owner */
MPROC_API int mproc_rlock_look(mproc_rlock *rlock, mproc_holder *ret_holder); /* as mproc_lock_look */

/* End the handle; the lock itself lives as long as any process has one.  NULL is fine. */
MPROC_API void mproc_rlock_free(mproc_rlock *rlock);

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

/* Take one permit, waiting at most timeout_ms.  MPROC_ETIMEDOUT, MPROC_ECORRUPT, MPROC_EDEADLK, MPROC_EHANDLE.
 * Origin: Semaphore.acquire. */
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
