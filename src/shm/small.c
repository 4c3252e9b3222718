/* SPDX-License-Identifier: MIT */
/*
 * shm/small.c - cutting small shared objects from segments.
 *
 * Runs in: every process.  Owns: the segment that this process cuts from at
 * present, and how much of it is cut, under MPROC__LOCK_SEGMENTS.
 */
#include "shm/small.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/memory.h"
#include "wire/codec.h"

#include <errno.h>
#include <unistd.h>

#define SEGMENT_BYTES (1u << 20) /* 8191 places and the head */

_Static_assert(sizeof(struct mproc__segment_head) <= MPROC__SMALL_BYTES, "the head is the first place");
_Static_assert(MPROC__SMALL_BYTES_MAX <= SEGMENT_BYTES / 2, "the largest fits into a new segment");
_Static_assert(SEGMENT_BYTES % MPROC__SMALL_BYTES == 0, "places fill a segment");

/*
 * A forked child goes on using the objects that it inherits, but must not cut from
 * its parent's segment, in which the parent goes on cutting: pid tells whose this is.
 */
static struct {
        struct mproc__segment *segment; /* the cutter's own reference */
        pid_t pid;
        uint32_t used;     /* bytes cut */
        uint32_t reserved; /* bytes that have pages */
} cutter;

/*
 * Cut, if there is a segment with room.  Pages are reserved when they are needed, so that many
 * locks cost what they use, and so that want of memory is an error here and not a
 * signal later.  1: cut; 0: no segment or none with room; or a negative code.
 */
static int
cut_locked(pid_t pid, uint32_t bytes, struct mproc__small *ret)
{
        uint32_t page = (uint32_t)mproc__memory_page(), more;
        int r;

        if (!cutter.segment || cutter.pid != pid || SEGMENT_BYTES - cutter.used < bytes)
                return 0;
        if (cutter.reserved - cutter.used < bytes) {
                more = (bytes - (cutter.reserved - cutter.used) + page - 1) / page * page;
                if ((r = mproc__memory_reserve(cutter.segment->fd, cutter.reserved, more)) < 0)
                        return r;
                cutter.reserved += more;
        }
        cutter.segment->refs++;
        ret->segment = cutter.segment;
        ret->offset = cutter.used;
        cutter.used += bytes;
        return 1;
}

int
mproc__small_create_bytes(const char *what, uint32_t bytes, struct mproc__small *ret)
{
        bytes = (bytes + MPROC__SMALL_BYTES - 1) / MPROC__SMALL_BYTES * MPROC__SMALL_BYTES;
        for (;;) {
                struct mproc__segment *fresh = NULL, *old;
                pid_t pid = getpid();
                int r;

                mproc__lock(MPROC__LOCK_SEGMENTS);
                r = cut_locked(pid, bytes, ret);
                mproc__unlock(MPROC__LOCK_SEGMENTS);
                if (r > 0)
                        return 0;
                if (r < 0)
                        return mproc__fail_errno(-r, "no shared memory for a %s", what);
                r = mproc__segment_create(MPROC__SEGMENT_SMALL, "small", SEGMENT_BYTES, mproc__memory_page(), false,
                                          &fresh);
                if (r < 0)
                        return r;
                mproc__lock(MPROC__LOCK_SEGMENTS);
                if (cutter.segment && cutter.pid == pid && SEGMENT_BYTES - cutter.used >= bytes) {
                        old = fresh; /* another thread was faster */
                } else {
                        old = cutter.segment;
                        cutter.segment = fresh;
                        cutter.pid = pid;
                        cutter.used = MPROC__SMALL_BYTES;
                        cutter.reserved = (uint32_t)mproc__memory_page();
                }
                mproc__unlock(MPROC__LOCK_SEGMENTS);
                mproc__segment_unref(old);
        }
}

void
mproc__small_encode(const struct mproc__small *small, struct mproc__encoder *encoder)
{
        mproc__segment_encode(small->segment, encoder);
        mproc__enc_u32(encoder, small->offset);
}

int
mproc__small_decode(struct mproc__decoder *decoder, const char *what, struct mproc__small *ret)
{
        struct mproc__segment *segment;
        uint32_t offset;
        int r = mproc__segment_decode(decoder, MPROC__SEGMENT_SMALL, what, SEGMENT_BYTES, SEGMENT_BYTES, &segment);

        if (r < 0)
                return r;
        offset = mproc__dec_u32(decoder);
        if (decoder->error || offset % MPROC__SMALL_BYTES != 0 || offset < MPROC__SMALL_BYTES ||
            offset >= SEGMENT_BYTES) {
                mproc__segment_unref(segment);
                return mproc__fail(MPROC_EPROTO, "the message that brought a %s is damaged", what);
        }
        ret->segment = segment;
        ret->offset = offset;
        return 0;
}

void
mproc__small_unref(struct mproc__small *small)
{
        mproc__segment_unref(small->segment);
        small->segment = NULL;
}
