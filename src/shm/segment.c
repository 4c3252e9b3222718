/* SPDX-License-Identifier: MIT */
/*
 * shm/segment.c - the segments of this process.
 *
 * Runs in: every process.  Owns: the list of segments, their mappings and
 * descriptors, under MPROC__LOCK_SEGMENTS.
 *
 * A forked child inherits all of it, mappings and descriptors, and the references
 * of the handles it inherits with them; the list is whole because fork() happens
 * with the lock held.
 */
#include "shm/segment.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/futex.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mproc__segment *list;

static struct mproc__segment *
find_locked(const uint64_t identity[2])
{
        struct mproc__segment *s = list;

        while (s && (s->identity[0] != identity[0] || s->identity[1] != identity[1]))
                s = s->next;
        return s;
}

static void
destroy(struct mproc__segment *segment)
{
        if (!segment)
                return;
        mproc__memory_unmap(segment->base, segment->size);
        mproc__plat_close(&segment->fd);
        mproc__plat_close(&segment->bell);
        free(segment);
}

static struct mproc__segment *
blank(void)
{
        struct mproc__segment *segment = calloc(1, sizeof *segment);

        if (segment) {
                segment->fd = segment->bell = -1;
                segment->refs = 1;
        }
        return segment;
}

static int
map(struct mproc__segment *segment, size_t size)
{
        void *base;
        int r = mproc__memory_map(segment->fd, 0, size, &base);

        if (r < 0)
                return r;
        segment->base = base;
        segment->size = size;
        return 0;
}

static void
enlist(struct mproc__segment *segment)
{
        mproc__lock(MPROC__LOCK_SEGMENTS);
        segment->next = list;
        list = segment;
        mproc__unlock(MPROC__LOCK_SEGMENTS);
}

int
mproc__segment_create(enum mproc__segment_kind kind, const char *what, size_t len, size_t reserve_bytes,
                      bool with_bell, struct mproc__segment **ret)
{
        struct mproc__segment *segment = blank();
        char name[32]; /* what /proc/PID/fd and maps show */
        uint64_t size;
        int r = -ENOMEM;

        (void)snprintf(name, sizeof name, "mproc-%s", what);
        if (!segment || (r = mproc__memory_create(name, len, &segment->fd)) < 0 ||
            (r = mproc__memory_reserve(segment->fd, 0, reserve_bytes)) < 0 ||
            (with_bell && (r = mproc__bell_create(&segment->bell)) < 0) ||
            (r = mproc__memory_look(segment->fd, &size, segment->identity)) < 0 || (r = map(segment, len)) < 0) {
                destroy(segment);
                return mproc__fail_errno(-r, "cannot make the shared memory of a %s", what);
        }
        *(struct mproc__segment_head *)segment->base = (struct mproc__segment_head){
                .magic = MPROC__SEGMENT_MAGIC,
                .version = MPROC__SEGMENT_VERSION,
                .kind = kind,
                .mapped_bytes = (uint32_t)len,
                .namespace_id = mproc__word_namespace(),
        };
        enlist(segment);
        *ret = segment;
        return 0;
}

void
mproc__segment_encode(struct mproc__segment *segment, struct mproc__encoder *encoder)
{
        mproc__enc_fd(encoder, segment->fd);
        mproc__enc_u32(encoder, segment->bell >= 0);
        if (segment->bell >= 0)
                mproc__enc_fd(encoder, segment->bell);
}

/* Map what came and look whether it is what it should be.  The head is read once. */
static int
inspect(struct mproc__segment *segment, enum mproc__segment_kind kind, const char *what, size_t len_min,
        size_t len_max)
{
        struct mproc__segment_head head;
        uint64_t size;
        int r;

        if (!mproc__memory_cannot_shrink(segment->fd))
                return mproc__fail(MPROC_ECORRUPT, "what came as the memory of a %s can be taken away from under us",
                                   what);
        if ((r = mproc__memory_look(segment->fd, &size, NULL)) < 0 ||
            (r = mproc__memory_read(segment->fd, 0, &head, sizeof head)) < 0)
                return mproc__fail_errno(-r, "cannot read the memory of a %s", what);
        if (head.magic != MPROC__SEGMENT_MAGIC || head.kind != kind || head.mapped_bytes < len_min ||
            head.mapped_bytes > len_max || head.mapped_bytes > size)
                return mproc__fail(MPROC_ECORRUPT, "what came as the memory of a %s is something else", what);
        if (head.version != MPROC__SEGMENT_VERSION)
                return mproc__fail(MPROC_ECORRUPT,
                                   "the memory of a %s has layout %u, this library knows %u: both processes must "
                                   "run the same version of mproc",
                                   what, head.version, MPROC__SEGMENT_VERSION);
        if (head.namespace_id != mproc__word_namespace())
                return mproc__fail(MPROC_EUNSUPPORTED,
                                   "a %s cannot be shared between PID namespaces: its locks hold thread ids", what);
        if ((r = map(segment, head.mapped_bytes)) < 0)
                return mproc__fail_errno(-r, "cannot map the memory of a %s", what);
        return 0;
}

/*
 * The first handle takes the descriptors over; later ones of the same memory leave
 * theirs with the arguments.  The encoder sends a number once, so the very same
 * descriptor may stand there again: taking it twice would be as harmless, but a segment
 * that is known needs none.
 */
int
mproc__segment_decode(struct mproc__decoder *decoder, enum mproc__segment_kind kind, const char *what, size_t len_min,
                      size_t len_max, struct mproc__segment **ret)
{
        struct mproc__segment *segment = NULL, *known;
        uint64_t identity[2] = { 0, 0 }, size;
        size_t start = decoder->pos;
        int fd = mproc__dec_fd(decoder), r;
        bool with_bell = mproc__dec_u32(decoder) != 0;

        if (with_bell)
                (void)mproc__dec_fd(decoder);
        if (decoder->error)
                return mproc__fail(MPROC_EPROTO, "the message that brought a %s is cut short or damaged", what);
        if ((r = mproc__memory_look(fd, &size, identity)) < 0)
                return mproc__fail_errno(-r, "the descriptor that came as the memory of a %s is not usable", what);

        mproc__lock(MPROC__LOCK_SEGMENTS);
        if ((known = find_locked(identity)))
                known->refs++;
        mproc__unlock(MPROC__LOCK_SEGMENTS);
        if (known) {
                if (((struct mproc__segment_head *)known->base)->kind != kind) {
                        mproc__segment_unref(known);
                        return mproc__fail(MPROC_ECORRUPT, "what came as the memory of a %s is something else", what);
                }
                *ret = known;
                return 0;
        }

        if (!(segment = blank()))
                return mproc__fail(-ENOMEM, "no memory for a %s", what);
        memcpy(segment->identity, identity, sizeof identity);
        decoder->pos = start;
        segment->fd = mproc__dec_take_fd(decoder);
        (void)mproc__dec_u32(decoder);
        if (with_bell)
                segment->bell = mproc__dec_take_fd(decoder);
        if ((r = inspect(segment, kind, what, len_min, len_max)) < 0) {
                destroy(segment);
                return r;
        }
        /* Two threads may have come here with the same memory: the second finds the first one's. */
        mproc__lock(MPROC__LOCK_SEGMENTS);
        if ((known = find_locked(identity))) {
                known->refs++;
        } else {
                segment->next = list;
                list = segment;
        }
        mproc__unlock(MPROC__LOCK_SEGMENTS);
        if (known) {
                destroy(segment);
                segment = known;
        }
        *ret = segment;
        return 0;
}

bool
mproc__segment_find(const void *at, uint64_t *ret_number, size_t *ret_offset)
{
        struct mproc__segment *s;

        mproc__lock(MPROC__LOCK_SEGMENTS);
        for (s = list; s; s = s->next)
                if ((uintptr_t)at >= (uintptr_t)s->base && (uintptr_t)at - (uintptr_t)s->base < s->size) {
                        *ret_number = s->identity[1];
                        *ret_offset = (uintptr_t)at - (uintptr_t)s->base;
                        break;
                }
        mproc__unlock(MPROC__LOCK_SEGMENTS);
        return s != NULL;
}

void
mproc__segment_ref(struct mproc__segment *segment)
{
        mproc__lock(MPROC__LOCK_SEGMENTS);
        segment->refs++;
        mproc__unlock(MPROC__LOCK_SEGMENTS);
}

void
mproc__segment_unref(struct mproc__segment *segment)
{
        bool last;

        if (!segment)
                return;
        mproc__lock(MPROC__LOCK_SEGMENTS);
        last = --segment->refs == 0;
        if (last) {
                struct mproc__segment **link = &list;

                while (*link && *link != segment)
                        link = &(*link)->next;
                if (*link)
                        *link = segment->next;
        }
        mproc__unlock(MPROC__LOCK_SEGMENTS);
        if (last)
                destroy(segment);
}
