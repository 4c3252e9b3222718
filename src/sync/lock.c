/* SPDX-License-Identifier: MIT */
/*
 * sync/lock.c - mproc_lock: the user's lock.
 *
 * Runs in: every process.  Owns: nothing beside its handles (sync/owned_object.h).
 *
 * Code of the user runs while it is held, any process may release it, and it belongs
 * to a process, not to a thread: sync/owned.h has how.
 */
#include "sync/lock.h"
#include "core/error.h"
#include "core/point.h"
#include "platform/platform.h"

#include <mproc/deadlock.h>
#include <mproc/sync.h>

#define LOCK_MAGIC 0x6d706c6bu

struct mproc_lock {
        struct mproc__owned_object o;
};

int
mproc_lock_create(mproc_context *ctx, mproc_lock **ret_lock)
{
        struct mproc__owned_object *o;
        int r = mproc__owned_object_create(ctx, &mproc__lock_type, LOCK_MAGIC, &o);

        if (r < 0)
                return r;
        *ret_lock = (mproc_lock *)o;
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
        r = mproc__owned_acquire(lock->o.owned, me, timeout_ms == 0 ? 0 : mproc__deadline(timeout_ms));
        MPROC_POINT("lock.acquired");
        if (r == MPROC_ETIMEDOUT)
                return mproc__owned_fail_held(lock->o.owned, me, "lock");
        return r;
}

int
mproc_lock_release(mproc_lock *lock)
{
        int r = check(lock);

        if (r < 0)
                return r;
        if ((r = mproc__owned_release(lock->o.owned)) < 0)
                return mproc__fail(r, "the lock is not held by anybody: it was released before, or never acquired");
        return 0;
}

int
mproc_lock_locked(mproc_lock *lock)
{
        int r = check(lock);

        return r < 0 ? r : mproc__owned_is_held(lock->o.owned);
}

pid_t
mproc_lock_owner(mproc_lock *lock)
{
        mproc_holder holder;

        if (check(lock) < 0)
                return 0;
        (void)mproc__owned_look(lock->o.owned, &holder);
        return holder.pid;
}

int
mproc_lock_look(mproc_lock *lock, mproc_holder *ret_holder)
{
        int r = check(lock);

        return r < 0 ? r : mproc__owned_look(lock->o.owned, ret_holder);
}

int
mproc_lock_set_name(mproc_lock *lock, const char *name)
{
        int r = check(lock);

        if (r == 0)
                mproc__owned_object_set_name(lock->o.owned, name);
        return r;
}

void
mproc_lock_free(mproc_lock *lock)
{
        mproc__object_free(lock ? &lock->o.object : NULL);
}

struct mproc__owned *
mproc__lock_owned(struct mproc_lock *lock)
{
        return lock->o.owned;
}

static int
lock_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        return mproc__owned_object_decode(decoder, &mproc__lock_type, LOCK_MAGIC, ret);
}

const struct mproc__object_type mproc__lock_type = {
        .name = "lock",
        .arg_type = MPROC_ARG_LOCK,
        .encode = mproc__owned_object_encode,
        .decode = lock_decode,
        .destroy = mproc__owned_object_destroy,
};
