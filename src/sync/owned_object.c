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
#include "sync/rlock.h"
#include "sync/waits.h"
#include "wire/codec.h"

#include <errno.h>
#include <mproc/deadlock.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_WORDS 4

/*
 * In shared memory.  magic: constant once the creator's call has returned.  name: written by anybody, for
 * people only; of two who write at once each may have a part of it.
 */
struct lock_shm {
        uint32_t magic;
        uint32_t reserved;
        struct mproc__owned owned;
        _Atomic uint64_t name[NAME_WORDS];
};
_Static_assert(sizeof(struct lock_shm) <= MPROC__SMALL_BYTES, "a lock fits into its place");
_Static_assert(NAME_WORDS * sizeof(uint64_t) == MPROC_LOCK_NAME_MAX + 1, "a name fits, with its end");

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

int
mproc__owned_object_create(mproc_context *ctx, const struct mproc__object_type *type, uint32_t magic,
                           struct mproc__owned_object **ret)
{
        struct mproc__owned_object *o;
        struct mproc__small place;
        int r;

        ctx = mproc__context_resolve(ctx);
        if ((r = mproc__program_need_beacon()) < 0 || /* owners are told by slots */
            (r = mproc__small_create(type->name, &place)) < 0)
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

/* --- for people ------------------------------------------------------------------------------------ */

static struct lock_shm *
around(struct mproc__owned *owned)
{
        return (struct lock_shm *)((uint8_t *)owned - offsetof(struct lock_shm, owned));
}

void
mproc__owned_object_set_name(struct mproc__owned *owned, const char *name)
{
        struct lock_shm *shm = around(owned);
        uint64_t word[NAME_WORDS] = { 0 };

        if (name)
                memcpy(word, name, strnlen(name, MPROC_LOCK_NAME_MAX));
        for (unsigned i = 0; i < NAME_WORDS; i++)
                atomic_store_explicit(&shm->name[i], word[i], memory_order_relaxed);
}

static bool
read_name(struct mproc__owned *owned, char ret_name[MPROC_LOCK_NAME_MAX + 1])
{
        struct lock_shm *shm = around(owned);
        uint64_t word[NAME_WORDS];

        for (unsigned i = 0; i < NAME_WORDS; i++)
                word[i] = atomic_load_explicit(&shm->name[i], memory_order_relaxed);
        memcpy(ret_name, word, sizeof word);
        ret_name[MPROC_LOCK_NAME_MAX] = 0;
        for (char *c = ret_name; *c; c++)
                if ((unsigned char)*c < ' ' || *c == 127)
                        *c = '?';
        return *ret_name != 0;
}

void
mproc__owned_object_name(struct mproc__owned *owned, char ret_text[MPROC__OWNED_NAME_MAX])
{
        char name[MPROC_LOCK_NAME_MAX + 1];

        ret_text[0] = 0;
        if (read_name(owned, name))
                (void)snprintf(ret_text, MPROC__OWNED_NAME_MAX, " '%s'", name);
}

/* The owner may change between the two loads; then word and holder do not agree, and the thread is unknown. */
void
mproc__owned_object_describe(void *arg, struct mproc__wait_subject *ret)
{
        struct mproc__owned *owned = arg;
        uint32_t owner = atomic_load(&owned->word) & MPROC__WORD_OWNER;
        uint64_t holder = atomic_load(&owned->holder);
        char name[MPROC_LOCK_NAME_MAX + 1];
        const char *kind = around(owned)->magic == MPROC__RLOCK_MAGIC ? "recursive lock" : "lock";

        ret->kind = MPROC__WAIT_LOCK;
        if (read_name(owned, name))
                (void)snprintf(ret->what, sizeof ret->what, "%s '%s'", kind, name);
        else
                mproc__wait_number(owned, kind, ret->what);
        if (!owner)
                return;
        ret->holder_count = 1;
        ret->holder[0].slot = owner & ~MPROC__OWNED_BIT;
        ret->holder[0].pid = (uint32_t)mproc__slot_pid(ret->holder[0].slot);
        if ((uint32_t)(holder >> 32) == owner)
                ret->holder[0].thread = (uint32_t)holder;
}
