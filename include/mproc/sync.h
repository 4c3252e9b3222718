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
 * repair.  MPROC_ETIMEDOUT (the words name the holder).  It is not recursive: a thread that acquires twice
 * waits.  One of n threads that wait is passed by at most 10,000 + 2 n times; who does not want to wait, or
 * whose time is up, takes a free lock all the same.  MPROC_EPROGRAM, -EAGAIN: this process could not take its place among those
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

/* Options; zeros are the defaults. */
typedef struct mproc_semaphore_opts {
        unsigned bound; /* the value's bound; 0: none but MPROC_SEMAPHORE_MAX */
        int restore; /* permits that a process holds when it dies come back: 1 yes, -1 no, 0: yes if it is bounded */
        int reserved[6];
} mproc_semaphore_opts;

/* clang-format off */
#define MPROC_SEMAPHORE_OPTS_INIT { 0, 0, { 0 } }
/* clang-format on */

/*
 * The same with options; NULL: the defaults.  With a bound, to release more often than was
 * acquired is an error of the caller, MPROC_ERELEASED, and changes nothing.
 *
 * With restore, a permit belongs to the process that acquired it until it is released, and comes back
 * when that process ends in any way: within about 100 ms after it is a zombie or gone, if somebody waits,
 * and at once for him who comes then.  Released by another process, it is taken from some
 * process that holds one; value and held permits together never become more.  128 processes may hold
 * permits at a time (or as many as the bound is); those of others do not come back.
 *
 * As mproc_semaphore_create; -EINVAL also for a value beyond the bound.  MT-Safe.
 * Origin: multiprocessing.BoundedSemaphore, without the race in its check; SEM_UNDO of semop(2).
 */
MPROC_API int mproc_semaphore_create_opts(mproc_context *ctx, const char *name, unsigned value,
                                          const mproc_semaphore_opts *opts, mproc_semaphore **ret_semaphore);

/*
 * An anonymous one that begins with all its permits, at least one, whose value is bounded by that, and to which the
 * permits of the dead come back.  Errors as above.  MT-Safe.  Origin: multiprocessing.BoundedSemaphore.
 */
MPROC_API int mproc_bounded_semaphore_create(mproc_context *ctx, unsigned value, mproc_semaphore **ret_semaphore);

/* A handle on an existing named semaphore.  Tracks nothing.  -ENOENT, -EACCES, -EINVAL, MPROC_ECORRUPT,
   MPROC_EUNSUPPORTED (another version's). */
MPROC_API int mproc_semaphore_attach(mproc_context *ctx, const char *name, mproc_semaphore **ret_semaphore);

/*
 * Remove the name; handles go on working.  Any program of the same user may.
 * -ENOENT, -EACCES, -EINVAL.  MT-Safe.  Origin: sem_unlink(3).
 */
MPROC_API int mproc_semaphore_unlink(const char *name);

/* Take one permit, waiting at most timeout_ms; passed by no more often than at a lock, 10,000 + 2 n times.
 * MPROC_ETIMEDOUT, MPROC_ECORRUPT, MPROC_EDEADLK, MPROC_EHANDLE.  Origin: Semaphore.acquire. */
MPROC_API int mproc_semaphore_acquire(mproc_semaphore *semaphore, int64_t timeout_ms);

/*
 * Give one permit back.  MPROC_ERELEASED: it is bounded and has all its permits; -EOVERFLOW: it has the
 * greatest value there is.  MPROC_ECORRUPT, MPROC_EDEADLK, MPROC_EHANDLE.  Origin: Semaphore.release.
 */
MPROC_API int mproc_semaphore_release(mproc_semaphore *semaphore);

/* Its value at this moment.  Origin: Semaphore.get_value. */
MPROC_API int mproc_semaphore_value(mproc_semaphore *semaphore, unsigned *ret_value);

/* How many permits of dead processes have come back since it was made.  0 if that is not its way.  MT-Safe. */
MPROC_API int mproc_semaphore_restored(mproc_semaphore *semaphore, unsigned *ret_restored);

/* End the handle.  NULL is fine. */
MPROC_API void mproc_semaphore_free(mproc_semaphore *semaphore);

#ifdef __cplusplus
}
#endif
#endif
