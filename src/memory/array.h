/* SPDX-License-Identifier: MIT */
/*
 * memory/array.h - arrays, for those who pass them on or work on their items in place.
 */
#ifndef MPROC_MEMORY_ARRAY_H
#define MPROC_MEMORY_ARRAY_H

#include "memory/shm.h"

#include <mproc/array.h>

extern const struct mproc__object_type mproc__array_type;

/* Where an array lies.  All of it lives as long as the handle. */
struct mproc__array_view {
        void *items;
        size_t count;
        size_t item_bytes;
        bool readonly;
        struct mproc_shm *shm; /* the memory; not a user's handle, but an object that can be encoded */
        size_t offset;         /* of the items in it */
};

/* MPROC_EHANDLE with words. */
int mproc__array_look(struct mproc_array *array, struct mproc__array_view *ret_view);

#endif
