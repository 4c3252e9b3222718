/* SPDX-License-Identifier: MIT */
/*
 * sync/lock.c - mproc_lock: the user's lock.
 *
 * Runs in: every process.  Owns: a place in a small segment; its handles.
 *
 * Code of the user runs while it is held, any process may release it, and it belongs
 * to a process, not to a thread: sync/owned.h has how.
 */
#include "sync/lock.h"
#include "context/context.h"
#include "core/error.h"
#include "core/object.h"
#include "core/point.h"
#include "platform/platform.h"
#include "program/program.h"
#include "shm/small.h"
#include "wire/codec.h"

#include <errno.h>
#include <mproc/sync.h>
#include <stdlib.h>

#define LOCK_MAGIC 0x6d706c6bu

/* In shared memory.  magic: constant once the creator's call has returned. */
struct lock_shm {
        uint32_t magic;
        uint32_t reserved;
        struct mproc__owned owned;
};
_Static_assert(sizeof(struct lock_shm) <= MPROC__SMALL_BYTES, "a lock fits into its place");

struct mproc_lock {
        struct mproc__object object;
        struct mproc__small place;
        struct mproc__owned *owned;
};

static int
make(struct mproc__small *place, bool fork_only, struct mproc_lock **ret)
{
        struct mproc_lock *lock = calloc(1, sizeof *lock);

        if (!lock) {
                mproc__small_unref(place);
                return mproc__fail(-ENOMEM, "no memory for a lock");
        }
        lock->place = *place;
        lock->owned = &((struct lock_shm *)mproc__small_at(place))->owned;
        mproc__object_init(&lock->object, &mproc__lock_type, fork_only);
        *ret = lock;
        return 0;
}

int
mproc_lock_create(mproc_context *ctx, mproc_lock **ret_lock)
{
        struct mproc__small place;
        struct mproc_lock *lock;
        int beacon, r;

        ctx = mproc__context_resolve(ctx);
        /*
         * Owners are told by slots in the program's beacon.  There has to be one before a child can
         * inherit the lock, or parent and child would each make their own and not know each other.
         */
        if ((r = mproc__program_beacon(&beacon)) < 0)
                return r;
        if ((r = mproc__small_create("lock", &place)) < 0)
                return r;
        ((struct lock_shm *)mproc__small_at(&place))->magic = LOCK_MAGIC;
        if ((r = make(&place, mproc__context_is_fork(ctx), &lock)) < 0)
                return r;
        if ((r = mproc__object_publish(&lock->object)) < 0) {
                mproc__object_unref(&lock->object);
                return r;
        }
        *ret_lock = lock;
        return 0;
}

static int
check(const struct mproc_lock *lock)
{
        return lock ? 0 : mproc__fail(MPROC_EHANDLE, "a lock is wanted, NULL was given");
}

int
mproc_lock_acquire(mproc_lock *lock, int64_t timeout_ms)
{
        uint32_t me;
        int r;

        if ((r = check(lock)) < 0 || (r = mproc__owned_me(&me)) < 0)
                return r;
        r = mproc__owned_acquire(lock->owned, me, timeout_ms == 0 ? 0 : mproc__deadline(timeout_ms));
        MPROC_POINT("lock.acquired");
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(r, "the lock is held by process %ld; it was not released in time",
                                   (long)mproc_lock_owner(lock));
        return r;
}

int
mproc_lock_release(mproc_lock *lock)
{
        int r = check(lock);

        if (r < 0)
                return r;
        if ((r = mproc__owned_release(lock->owned)) < 0)
                return mproc__fail(r, "the lock is not held by anybody: it was released before, or never acquired");
        return 0;
}

int
mproc_lock_locked(mproc_lock *lock)
{
        int r = check(lock);

        if (r < 0)
                return r;
        return (atomic_load(&lock->owned->word) & MPROC__WORD_OWNER) != 0;
}

pid_t
mproc_lock_owner(mproc_lock *lock)
{
        struct mproc__owner owner;

        if (check(lock) < 0)
                return 0;
        mproc__owned_look(lock->owned, &owner);
        return owner.pid;
}

struct mproc__owned *
mproc__lock_owned(struct mproc_lock *lock)
{
        return lock->owned;
}

void
mproc_lock_free(mproc_lock *lock)
{
        mproc__object_free(lock ? &lock->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
lock_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        mproc__small_encode(&((struct mproc_lock *)object)->place, encoder);
        return 0;
}

static int
lock_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc__small place;
        struct mproc_lock *lock;
        int r = mproc__small_decode(decoder, "lock", &place);

        if (r < 0)
                return r;
        if (((struct lock_shm *)mproc__small_at(&place))->magic != LOCK_MAGIC) {
                mproc__small_unref(&place);
                return mproc__fail(MPROC_ECORRUPT, "what came as a lock is none");
        }
        if ((r = make(&place, false, &lock)) < 0)
                return r;
        *ret = &lock->object;
        return 0;
}

static void
lock_destroy(struct mproc__object *object)
{
        struct mproc_lock *lock = (struct mproc_lock *)object;

        mproc__small_unref(&lock->place);
        free(lock);
}

const struct mproc__object_type mproc__lock_type = {
        .name = "lock",
        .arg_type = MPROC_ARG_LOCK,
        .encode = lock_encode,
        .decode = lock_decode,
        .destroy = lock_destroy,
};
