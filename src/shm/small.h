/* SPDX-License-Identifier: MIT */
/*
 * shm/small.h - small shared objects, thousands in one mapping.
 *
 * Each process cuts the objects that it creates from a segment of its own, in order,
 * and never uses a place twice: a process that was handed an object may go on
 * using it long after its creator freed his handle, or died, and nobody
 * can know.  A segment goes, whole, when no process has a handle on anything in it.
 * So an allocation needs no shared state, and no death can damage it.
 */
#ifndef MPROC_SHM_SMALL_H
#define MPROC_SHM_SMALL_H

#include "shm/segment.h"

#define MPROC__SMALL_BYTES 128 /* the size of a place: no two share a pair of cache lines */
#define MPROC__SMALL_BYTES_MAX (1u << 18)

struct mproc__small {
        struct mproc__segment *segment; /* one reference */
        uint32_t offset;
};

/*
 * A new place of so many bytes, all zeros, of which as many as fill whole places are taken.  At
 * most MPROC__SMALL_BYTES_MAX.  With words; what: "lock".
 */
int mproc__small_create_bytes(const char *what, uint32_t bytes, struct mproc__small *ret);

static inline int
mproc__small_create(const char *what, struct mproc__small *ret)
{
        return mproc__small_create_bytes(what, MPROC__SMALL_BYTES, ret);
}

/* Does a place that came from somebody else have room for so many bytes? */
static inline bool
mproc__small_has(const struct mproc__small *small, uint32_t bytes)
{
        return small->segment->size - small->offset >= bytes;
}

void mproc__small_encode(const struct mproc__small *small, struct mproc__encoder *encoder);
int mproc__small_decode(struct mproc__decoder *decoder, const char *what, struct mproc__small *ret);

void mproc__small_unref(struct mproc__small *small);

static inline void *
mproc__small_at(const struct mproc__small *small)
{
        return small->segment->base + small->offset;
}

#endif
