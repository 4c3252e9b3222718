/* SPDX-License-Identifier: MIT */
/*
 * sync/owned_object.c - making locks, and passing them on.
 *
 * Runs in: every process.  Owns: for each lock a place in a small segment.
 */
#include "sync/owned_object.h"
#include "context/context.h"
#include "core/error.h"
#include "program/program.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdlib.h>

/* In shared memory.  magic: constant once the creator's call has returned. */
struct lock_shm {
        uint32_t magic;
        uint32_t reserved;
        struct mproc__owned owned;
};
_Static_assert(sizeof(struct lock_shm) <= MPROC__SMALL_BYTES, "a lock fits into its place");

/* Takes over the place. */
static int
make(struct mproc__small *place, const struct mproc__object_type *type, bool fork_only,
     struct mproc__owned_object **ret)
{
        struct mproc__owned_object *o = calloc(1, sizeof *o);

        if (!o) {
                mproc__small_unref(place);
                return mproc__fail(-ENOMEM, "no memory for a %s", type->name);
        }
        o->place = *place;
        o->owned = &((struct lock_shm *)mproc__small_at(place))->owned;
        mproc__object_init(&o->object, type, fork_only);
        *ret = o;
        return 0;
}

/*
 * Owners are told by slots in the program's beacon.  There has to be one before a child can
 * inherit the lock, or parent and child would each make their own and not know each other.
 * Children inherit it, so it is enough to have asked once.
 */
static int
need_beacon(void)
{
        static _Atomic bool there;
        int beacon, r;

        if (atomic_load_explicit(&there, memory_order_relaxed))
                return 0;
        if ((r = mproc__program_beacon(&beacon)) < 0)
                return r;
        atomic_store_explicit(&there, true, memory_order_relaxed);
        return 0;
}

int
mproc__owned_object_create(mproc_context *ctx, const struct mproc__object_type *type, uint32_t magic,
                           struct mproc__owned_object **ret)
{
        struct mproc__owned_object *o;
        struct mproc__small place;
        int r;

        ctx = mproc__context_resolve(ctx);
        if ((r = need_beacon()) < 0 || (r = mproc__small_create(type->name, &place)) < 0)
                return r;
        ((struct lock_shm *)mproc__small_at(&place))->magic = magic;
        if ((r = make(&place, type, mproc__context_is_fork(ctx), &o)) < 0)
                return r;
        if ((r = mproc__object_publish(&o->object)) < 0) {
                mproc__object_unref(&o->object);
                return r;
        }
        *ret = o;
        return 0;
}

int
mproc__owned_object_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        mproc__small_encode(&((struct mproc__owned_object *)object)->place, encoder);
        return 0;
}

int
mproc__owned_object_decode(struct mproc__decoder *decoder, const struct mproc__object_type *type, uint32_t magic,
                           struct mproc__object **ret)
{
        struct mproc__owned_object *o;
        struct mproc__small place;
        int r = mproc__small_decode(decoder, type->name, &place);

        if (r < 0)
                return r;
        if (((struct lock_shm *)mproc__small_at(&place))->magic != magic) {
                mproc__small_unref(&place);
                return mproc__fail(MPROC_ECORRUPT, "what came as a %s is none", type->name);
        }
        if ((r = make(&place, type, false, &o)) < 0)
                return r;
        *ret = &o->object;
        return 0;
}

void
mproc__owned_object_destroy(struct mproc__object *object)
{
        struct mproc__owned_object *o = (struct mproc__owned_object *)object;

        mproc__small_unref(&o->place);
        free(o);
}
