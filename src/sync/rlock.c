/* SPDX-License-Identifier: MIT */
/*
 * sync/rlock.c - mproc_rlock: a lock that its holder may acquire again.
 *
 * Runs in: every process.  Owns: nothing beside its handles (sync/owned_object.h).
 *
 * The holder is one thread of one process, and he alone releases it.  The depth is
 * his: he changes it while he holds the lock, so it needs no order with anything.  Who dies leaves
 * whatever depth he had; who takes the lock over begins with 1, as everybody does.
 *
 * A thread is told apart by process and thread id together (owned.h: holder).  The id of a
 * thread that ended while it held the lock may come again in the same process: then that
 * thread counts as the holder.  Any other thread waits, since the process lives.
 */
#include "sync/rlock.h"
#include "core/error.h"
#include "core/point.h"
#include "platform/platform.h"

#include <errno.h>
#include <mproc/deadlock.h>
#include <mproc/sync.h>

struct mproc_rlock {
        struct mproc__owned_object o;
};

int
mproc_rlock_create(mproc_context *ctx, mproc_rlock **ret_rlock)
{
        struct mproc__owned_object *o;
        int r = mproc__owned_object_create(ctx, &mproc__rlock_type, MPROC__RLOCK_MAGIC, &o);

        if (r < 0)
                return r;
        *ret_rlock = (mproc_rlock *)o;
        return 0;
}

static int
check(const struct mproc_rlock *rlock)
{
        return rlock ? 0 : mproc__fail(MPROC_EHANDLE, "a recursive lock is wanted, NULL was given");
}

/* It is this thread's already. */
static int
acquire_again(struct mproc__owned *lock)
{
        uint32_t depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);

        if (depth == UINT32_MAX)
                return mproc__fail(-EOVERFLOW, "this thread has acquired the recursive lock %lu times already",
                                   (unsigned long)depth);
        atomic_store_explicit(&lock->depth, depth + 1, memory_order_relaxed);
        MPROC_POINT("rlock.again");
        return 0;
}

int
mproc_rlock_acquire(mproc_rlock *rlock, int64_t timeout_ms)
{
        struct mproc__owned *lock;
        uint32_t me;
        int r;

        if ((r = check(rlock)) < 0 || (r = mproc__owned_me(&me)) < 0)
                return r;
        lock = rlock->o.owned;
        if (mproc__owned_is_mine(lock, me))
                return acquire_again(lock);
        r = mproc__owned_acquire(lock, me, timeout_ms == 0 ? 0 : mproc__deadline(timeout_ms));
        if (r == MPROC_ETIMEDOUT)
                return mproc__owned_fail_held(lock, me, "recursive lock");
        MPROC_POINT("rlock.acquired");
        atomic_store_explicit(&lock->depth, 1, memory_order_relaxed);
        return r;
}

static int
fail_foreign(struct mproc__owned *lock, uint32_t me)
{
        char text[MPROC__OWNED_TEXT_MAX];

        if (!mproc__owned_is_held(lock))
                return mproc__fail(MPROC_ERELEASED, "the recursive lock is not held by anybody: it was released as "
                                                    "often as acquired, or never acquired");
        mproc__owned_tell(lock, me, text);
        return mproc__fail(MPROC_ENOTOWNER, "the recursive lock is held by %s: that thread alone can release it",
                           text);
}

int
mproc_rlock_release(mproc_rlock *rlock)
{
        struct mproc__owned *lock;
        uint32_t me, depth;
        int r;

        if ((r = check(rlock)) < 0 || (r = mproc__owned_me(&me)) < 0)
                return r;
        lock = rlock->o.owned;
        if (!mproc__owned_is_mine(lock, me))
                return fail_foreign(lock, me);
        depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);
        if (depth > 1) {
                atomic_store_explicit(&lock->depth, depth - 1, memory_order_relaxed);
                return 0;
        }
        MPROC_POINT("rlock.release");
        return mproc__owned_release(lock);
}

int
mproc_rlock_locked(mproc_rlock *rlock)
{
        int r = check(rlock);

        return r < 0 ? r : mproc__owned_is_held(rlock->o.owned);
}

pid_t
mproc_rlock_owner(mproc_rlock *rlock)
{
        mproc_holder holder;

        if (check(rlock) < 0)
                return 0;
        (void)mproc__owned_look(rlock->o.owned, &holder);
        return holder.pid;
}

int
mproc_rlock_look(mproc_rlock *rlock, mproc_holder *ret_holder)
{
        int r = check(rlock);

        return r < 0 ? r : mproc__owned_look(rlock->o.owned, ret_holder);
}

int
mproc_rlock_set_name(mproc_rlock *rlock, const char *name)
{
        int r = check(rlock);

        if (r == 0)
                mproc__owned_object_set_name(rlock->o.owned, name);
        return r;
}

void
mproc_rlock_free(mproc_rlock *rlock)
{
        mproc__object_free(rlock ? &rlock->o.object : NULL);
}

struct mproc__owned *
mproc__rlock_owned(struct mproc_rlock *rlock)
{
        return rlock->o.owned;
}

static int
rlock_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        return mproc__owned_object_decode(decoder, &mproc__rlock_type, MPROC__RLOCK_MAGIC, ret);
}

const struct mproc__object_type mproc__rlock_type = {
        .name = "recursive lock",
        .arg_type = MPROC_ARG_RLOCK,
        .encode = mproc__owned_object_encode,
        .decode = rlock_decode,
        .destroy = mproc__owned_object_destroy,
};
