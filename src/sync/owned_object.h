/* SPDX-License-Identifier: MIT */
/*
 * sync/owned_object.h - an owned lock as something that users have handles on and pass to others.
 *
 * mproc_lock and mproc_rlock are one each and differ in what acquiring and releasing
 * mean, not in where they lie and how they travel.
 */
#ifndef MPROC_SYNC_OWNED_OBJECT_H
#define MPROC_SYNC_OWNED_OBJECT_H

#include "core/object.h"
#include "shm/small.h"
#include "sync/owned.h"

struct mproc__owned_object {
        struct mproc__object object;
        struct mproc__small place;
        struct mproc__owned *owned; /* in it */
};

/* A new one, free, in a place of its own.  The type's name is what it is called in words.  With words. */
int mproc__owned_object_create(mproc_context *ctx, const struct mproc__object_type *type, uint32_t magic,
                               struct mproc__owned_object **ret);

/* The type's encode, decode and destroy. */
int mproc__owned_object_encode(struct mproc__object *object, struct mproc__encoder *encoder);
int mproc__owned_object_decode(struct mproc__decoder *decoder, const struct mproc__object_type *type, uint32_t magic,
                               struct mproc__object **ret);
void mproc__owned_object_destroy(struct mproc__object *object);

#endif
