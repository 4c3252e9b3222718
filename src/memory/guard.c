/* SPDX-License-Identifier: MIT */
/*
 * memory/guard.c - the recursive lock that an array or a value brings along.
 *
 * Runs in: every process.  Owns: for each guard a handle and a reference beside it.
 */
#include "memory/guard.h"
#include "core/error.h"
#include "sync/rlock.h"
#include "wire/codec.h"

#include <errno.h>

static struct mproc__object *
object_of(const mproc_rlock *guard)
{
        return (struct mproc__object *)(uintptr_t)guard; /* a lock begins with it */
}

int
mproc__guard_create(mproc_context *ctx, int option, mproc_rlock **ret)
{
        mproc_rlock *guard = NULL;
        int r;

        if (option < -1 || option > 1)
                return mproc__fail(-EINVAL, "option lock is %d: it takes 1 or 0 (a lock) or -1 (none)", option);
        if (option >= 0) {
                if ((r = mproc_rlock_create(ctx, &guard)) < 0)
                        return r;
                mproc__object_ref(object_of(guard));
        }
        *ret = guard;
        return 0;
}

/* What only fork can pass on stays so where it arrives, as a message in a queue of that context. */
int
mproc__guard_encode(mproc_rlock *guard, struct mproc__encoder *encoder)
{
        mproc__enc_u32(encoder, guard != NULL);
        if (!guard)
                return 0;
        mproc__enc_u32(encoder, object_of(guard)->fork_only);
        return mproc__rlock_type.encode(object_of(guard), encoder);
}

int
mproc__guard_decode(struct mproc__decoder *decoder, mproc_rlock **ret)
{
        struct mproc__object *object;
        bool fork_only;
        int r;

        *ret = NULL;
        if (!mproc__dec_u32(decoder))
                return decoder->error ? mproc__fail(decoder->error, "the message that brought it is damaged") : 0;
        fork_only = mproc__dec_u32(decoder) != 0;
        if ((r = mproc__rlock_type.decode(decoder, &object)) < 0)
                return r;
        object->fork_only = fork_only;
        if ((r = mproc__object_publish(object)) < 0) {
                mproc__object_unref(object);
                return r;
        }
        mproc__object_ref(object);
        *ret = (mproc_rlock *)object;
        return 0;
}

bool
mproc__guard_is_fork_only(const mproc_rlock *guard)
{
        return guard && object_of(guard)->fork_only;
}

void
mproc__guard_free(mproc_rlock *guard)
{
        if (!guard)
                return;
        mproc__object_free(object_of(guard)); /* does nothing if its user has done so */
        mproc__object_unref(object_of(guard));
}

static int
fail_none(const char *what)
{
        return mproc__fail(MPROC_EUNSUPPORTED, "this %s was made without a lock", what);
}

int
mproc__guard_acquire(mproc_rlock *guard, const char *what, int64_t timeout_ms)
{
        return guard ? mproc_rlock_acquire(guard, timeout_ms) : fail_none(what);
}

int
mproc__guard_release(mproc_rlock *guard, const char *what)
{
        return guard ? mproc_rlock_release(guard) : fail_none(what);
}
