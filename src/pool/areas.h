/* SPDX-License-Identifier: MIT */
/*
 * pool/areas.h - where the items and results of jobs lie in the memory of a pool.
 *
 * Runs in: the pool's process, which alone hands areas out and takes them back, so that the
 * books are its own and no death elsewhere can damage them.  An area is near, in the part that all have mapped, or
 * far: then who needs it maps it.  Areas that were given back keep their pages for the next, up to a bound.
 */
#ifndef MPROC_POOL_AREAS_H
#define MPROC_POOL_AREAS_H

#include "pool/table.h"

#include <stddef.h>

struct mproc__extent {
        uint64_t at, len;
};

/* Free pieces, sorted by place, none next to another. */
struct mproc__extents {
        struct mproc__extent *list;
        size_t count, capacity;
};

struct mproc__areas {
        int fd;        /* borrowed */
        uint8_t *base; /* of MPROC__POOL_MAPPED_BYTES; borrowed */
        struct mproc__extents near, far;
        uint64_t near_reserved; /* has pages up to here */
        uint64_t end;           /* of the far part */
        uint64_t idle;          /* free bytes of the far part that may have pages */
};

void mproc__areas_init(struct mproc__areas *areas, int fd, uint8_t *base);
void mproc__areas_fini(struct mproc__areas *areas);

/* An area of len bytes, more than 0, 64-byte aligned, of any content.  -ENOMEM, -ENOSPC, -EFBIG; sets no words. */
int mproc__areas_take(struct mproc__areas *areas, uint64_t len, uint64_t *ret_at);

/* Give it back: len as it was taken; 0 is fine. */
void mproc__areas_give(struct mproc__areas *areas, uint64_t at, uint64_t len);

/* Copy in and out. */
int mproc__areas_write(const struct mproc__areas *areas, uint64_t at, const void *data, size_t len);
int mproc__areas_clear(const struct mproc__areas *areas, uint64_t at, size_t len);
int mproc__areas_read(const struct mproc__areas *areas, uint64_t at, void *buffer, size_t len);

static inline bool
mproc__area_is_near(uint64_t at, uint64_t len)
{
        return at <= MPROC__POOL_MAPPED_BYTES && len <= MPROC__POOL_MAPPED_BYTES - at;
}

/* A piece of the memory as it can be looked at: near ones where they are, far ones by a mapping of their own. */
struct mproc__view {
        uint8_t *data;
        void *mapping;
        size_t mapping_len;
};

int mproc__view_open(int fd, uint8_t *base, uint64_t at, uint64_t len, struct mproc__view *ret);
int mproc__view_map(int fd, uint64_t at, uint64_t len, struct mproc__view *ret); /* of any file */
void mproc__view_close(struct mproc__view *view);

#endif
