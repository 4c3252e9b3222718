/* SPDX-License-Identifier: MIT */
/*
 * sync/condition.c - mproc_condition: waiting under the user's lock.
 *
 * Runs in: every process.  Owns: places in a small segment; its handles, each of which has a handle
 * on the lock.
 *
 * A condition is a ring of tickets (sync/tickets.h, where the protocol and its argument are) and
 * a lock, mproc_lock or mproc_rlock, that the user holds in every call but create.  It
 * keeps no other state: whatever dies in here, a ticket is free, waiting or notified, and the lock is
 * somebody's or nobody's.
 */
#include "sync/condition.h"
#include "context/context.h"
#include "core/error.h"
#include "core/object.h"
#include "core/point.h"
#include "platform/platform.h"
#include "sync/lock.h"
#include "sync/owned_object.h"
#include "sync/rlock.h"
#include "sync/tickets.h"
#include "sync/waits.h"
#include "wire/codec.h"

#include <errno.h>
#include <limits.h>
#include <mproc/condition.h>
#include <mproc/sync.h>
#include <stdlib.h>

#define CONDITION_MAGIC 0x6d706364u

_Static_assert(MPROC__TICKETS == MPROC_CONDITION_WAITERS_MAX, "what the header promises");

/* In shared memory.  magic: constant once the creator's call has returned. */
struct condition_shm {
        uint32_t magic;
        uint32_t reserved[15];
        struct mproc__tickets tickets;
};
_Static_assert(sizeof(struct condition_shm) <= MPROC__SMALL_BYTES_MAX, "a condition fits into a segment");

struct mproc_condition {
        struct mproc__object object;
        struct mproc__small place;
        struct mproc__tickets *tickets;
        struct mproc__object *lock; /* one reference */
        struct mproc__owned *owned; /* in it */
        bool recursive;
};

/* --- making one --------------------------------------------------------------------------------------- */

/* Takes over both references, also when it fails. */
static int
make(struct mproc__small *place, struct mproc__object *lock, bool fork_only, struct mproc_condition **ret)
{
        struct mproc_condition *condition = calloc(1, sizeof *condition);

        if (!condition) {
                mproc__small_unref(place);
                mproc__object_unref(lock);
                return mproc__fail(-ENOMEM, "no memory for a condition");
        }
        condition->place = *place;
        condition->tickets = &((struct condition_shm *)mproc__small_at(place))->tickets;
        condition->lock = lock;
        condition->owned = ((struct mproc__owned_object *)lock)->owned;
        condition->recursive = lock->type == &mproc__rlock_type;
        mproc__object_init(&condition->object, &mproc__condition_type, fork_only);
        *ret = condition;
        return 0;
}

/* Under this lock, whose reference it takes over.  What is bound to inheritance binds the condition. */
static int
create(mproc_context *ctx, struct mproc__object *lock, mproc_condition **ret_condition)
{
        struct mproc_condition *condition;
        struct condition_shm *shm;
        struct mproc__small place;
        int r = mproc__small_create_bytes("condition", sizeof *shm, &place);

        if (r < 0) {
                mproc__object_unref(lock);
                return r;
        }
        shm = mproc__small_at(&place);
        mproc__tickets_init(&shm->tickets);
        shm->magic = CONDITION_MAGIC;
        if ((r = make(&place, lock, mproc__context_is_fork(ctx) || lock->fork_only, &condition)) < 0)
                return r;
        if ((r = mproc__object_publish(&condition->object)) < 0) {
                mproc__object_unref(&condition->object);
                return r;
        }
        *ret_condition = condition;
        return 0;
}

/* Nobody else has a handle on it. */
static int
create_own_lock(mproc_context *ctx, struct mproc__object **ret)
{
        mproc_rlock *rlock;
        int r = mproc_rlock_create(ctx, &rlock);

        if (r < 0)
                return r;
        *ret = (struct mproc__object *)rlock;
        mproc__object_ref(*ret);
        mproc_rlock_free(rlock);
        return 0;
}

static int
create_under(mproc_context *ctx, const void *handle, mproc_arg_type type, mproc_condition **ret_condition)
{
        struct mproc__object *lock;
        int r;

        ctx = mproc__context_resolve(ctx);
        r = handle ? mproc__object_lookup(handle, type, &lock) : create_own_lock(ctx, &lock);
        return r < 0 ? r : create(ctx, lock, ret_condition);
}

int
mproc_condition_create(mproc_context *ctx, mproc_lock *lock, mproc_condition **ret_condition)
{
        return create_under(ctx, lock, MPROC_ARG_LOCK, ret_condition);
}

int
mproc_condition_create_rlock(mproc_context *ctx, mproc_rlock *rlock, mproc_condition **ret_condition)
{
        return create_under(ctx, rlock, MPROC_ARG_RLOCK, ret_condition);
}

void
mproc_condition_free(mproc_condition *condition)
{
        mproc__object_free(condition ? &condition->object : NULL);
}

/* --- its lock ------------------------------------------------------------------------------------------ */

static int
check(const struct mproc_condition *condition)
{
        return condition ? 0 : mproc__fail(MPROC_EHANDLE, "a condition is wanted, NULL was given");
}

int
mproc_condition_acquire(mproc_condition *condition, int64_t timeout_ms)
{
        int r = check(condition);

        if (r < 0)
                return r;
        return condition->recursive ? mproc_rlock_acquire((mproc_rlock *)condition->lock, timeout_ms)
                                    : mproc_lock_acquire((mproc_lock *)condition->lock, timeout_ms);
}

int
mproc_condition_release(mproc_condition *condition)
{
        int r = check(condition);

        if (r < 0)
                return r;
        return condition->recursive ? mproc_rlock_release((mproc_rlock *)condition->lock)
                                    : mproc_lock_release((mproc_lock *)condition->lock);
}

/* A handle, and this thread holds its lock. */
static int
check_held(struct mproc_condition *condition, const char *what, uint32_t *ret_me)
{
        char text[MPROC__OWNED_TEXT_MAX];
        int r;

        if ((r = check(condition)) < 0 || (r = mproc__owned_me(ret_me)) < 0)
                return r;
        if (mproc__owned_is_mine(condition->owned, *ret_me))
                return 0;
        if (!mproc__owned_is_held(condition->owned))
                return mproc__fail(MPROC_ENOTOWNER,
                                   "the condition's lock is not held by anybody: acquire it before %s", what);
        mproc__owned_tell(condition->owned, *ret_me, text);
        return mproc__fail(MPROC_ENOTOWNER, "the condition's lock is held by %s: acquire it before %s", text, what);
}

/* However deep; 0 or MPROC_OWNER_DIED.  That it takes as long as it takes is what a condition is. */
static int
acquire_again(struct mproc_condition *condition, uint32_t me, uint32_t depth)
{
        int r = mproc__owned_acquire(condition->owned, me, MPROC__NEVER);

        MPROC_POINT("condition.wait.reacquired");
        if (condition->recursive)
                atomic_store_explicit(&condition->owned->depth, depth, memory_order_relaxed);
        return r;
}

/* --- wait and notify ------------------------------------------------------------------------------------ */

/* For sync/waits.h. */
static void
describe(void *arg, struct mproc__wait_subject *ret)
{
        mproc__wait_number(arg, "condition", ret->what);
}

/* The lock is held.  As mproc_condition_wait, without words for time. */
static int
wait_until(struct mproc_condition *condition, uint32_t me, int64_t deadline_ns)
{
        uint32_t depth = atomic_load_explicit(&condition->owned->depth, memory_order_relaxed);
        mproc__slot_id id = me & ~MPROC__OWNED_BIT;
        struct mproc__wait note = { 0 };
        int ticket, r, again;

        if ((ticket = mproc__tickets_take(condition->tickets, id)) < 0)
                return mproc__fail(ticket, "%d threads wait on the condition already, and none of them is dead",
                                   MPROC_CONDITION_WAITERS_MAX);
        MPROC_POINT("condition.wait.entered");
        (void)mproc__owned_release(condition->owned);
        MPROC_POINT("condition.wait.released");
        mproc__wait_note(&note, describe, condition->tickets);
        r = mproc__tickets_sleep(condition->tickets, (unsigned)ticket, id, &condition->owned->word, deadline_ns);
        mproc__wait_end(&note, false, describe, condition->tickets);
        again = acquire_again(condition, me, depth);
        if (r == 0)
                mproc__tickets_give(condition->tickets, (unsigned)ticket);
        return again != 0 ? again : r;
}

static int
fail_timed_out(void)
{
        return mproc__fail(MPROC_ETIMEDOUT, "the condition was not notified in time; its lock is held again");
}

int
mproc_condition_wait(mproc_condition *condition, int64_t timeout_ms)
{
        int64_t deadline_ns = timeout_ms == 0 ? MPROC__AT_ONCE : mproc__deadline(timeout_ms);
        uint32_t me;
        int r;

        if ((r = check_held(condition, "waiting", &me)) < 0)
                return r;
        r = wait_until(condition, me, deadline_ns);
        return r == MPROC_ETIMEDOUT ? fail_timed_out() : r;
}

/* If it left words of its own, they stay. */
static int
fail_predicate(int r)
{
        if (mproc__fail_code() != r)
                mproc__fail_words(r, "the predicate failed: %s", mproc_strerror(r));
        return r;
}

int
mproc_condition_wait_for(mproc_condition *condition, mproc_predicate_fn *predicate, void *arg, int64_t timeout_ms)
{
        int64_t deadline_ns = timeout_ms == 0 ? MPROC__AT_ONCE : mproc__deadline(timeout_ms);
        uint32_t me;
        int r, waited = 0;

        if ((r = check_held(condition, "waiting", &me)) < 0)
                return r;
        if (!predicate)
                return mproc__fail(-EINVAL, "a predicate is wanted, NULL was given");
        for (;;) {
                if ((r = predicate(arg)) != 0)
                        return r < 0 ? fail_predicate(r) : 0;
                if (waited == MPROC_ETIMEDOUT)
                        return mproc__fail(waited, "the predicate did not become true in time");
                waited = wait_until(condition, me, deadline_ns);
                if (waited != 0 && waited != MPROC_ETIMEDOUT)
                        return waited;
        }
}

int
mproc_condition_notify(mproc_condition *condition, unsigned n)
{
        uint32_t me;
        int r;

        if ((r = check_held(condition, "notifying", &me)) < 0)
                return r;
        mproc__tickets_notify(condition->tickets, n);
        return 0;
}

int
mproc_condition_notify_all(mproc_condition *condition)
{
        return mproc_condition_notify(condition, UINT_MAX);
}

/* --- as an object ---------------------------------------------------------------------------------- */

/* The lock goes with it. */
static int
condition_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_condition *condition = (struct mproc_condition *)object;

        mproc__enc_u32(encoder, condition->recursive);
        mproc__small_encode(&condition->place, encoder);
        return condition->lock->type->encode(condition->lock, encoder);
}

static int
check_place(const struct mproc__small *place)
{
        const struct condition_shm *shm = mproc__small_at(place);

        if (!mproc__small_has(place, sizeof *shm) || shm->magic != CONDITION_MAGIC)
                return mproc__fail(MPROC_ECORRUPT, "what came as a condition is none");
        return 0;
}

static int
condition_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        const struct mproc__object_type *type = mproc__dec_u32(decoder) ? &mproc__rlock_type : &mproc__lock_type;
        struct mproc_condition *condition;
        struct mproc__object *lock = NULL;
        struct mproc__small place;
        int r = mproc__small_decode(decoder, "condition", &place);

        if (r < 0)
                return r;
        if ((r = check_place(&place)) < 0 || (r = type->decode(decoder, &lock)) < 0) {
                mproc__small_unref(&place);
                return r;
        }
        if ((r = make(&place, lock, false, &condition)) < 0)
                return r;
        *ret = &condition->object;
        return 0;
}

static void
condition_destroy(struct mproc__object *object)
{
        struct mproc_condition *condition = (struct mproc_condition *)object;

        mproc__object_unref(condition->lock);
        mproc__small_unref(&condition->place);
        free(condition);
}

const struct mproc__object_type mproc__condition_type = {
        .name = "condition",
        .arg_type = MPROC_ARG_CONDITION,
        .encode = condition_encode,
        .decode = condition_decode,
        .destroy = condition_destroy,
};
