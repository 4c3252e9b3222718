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

/* What it is called: " 'accounts'", to stand behind "lock"; or "". */
#define MPROC__OWNED_NAME_MAX 40
void mproc__owned_object_name(struct mproc__owned *owned, char ret_text[MPROC__OWNED_NAME_MAX]);

/* From now on, for all processes; NULL: nothing. */
void mproc__owned_object_set_name(struct mproc__owned *owned, const char *name);

/* For sync/waits.h; arg: the struct mproc__owned of one of these. */
struct mproc__wait_subject;
void mproc__owned_object_describe(void *arg, struct mproc__wait_subject *ret);

#endif
