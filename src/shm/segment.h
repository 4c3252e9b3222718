/* SPDX-License-Identifier: MIT */
/*
 * shm/segment.h - pieces of anonymous shared memory, each mapped once in a process.
 *
 * A segment is a memfd that cannot shrink, its descriptor and the mapping of its
 * first bytes.  It begins with a struct mproc__segment_head.  A process that is handed the
 * same memory twice, by arguments or messages, finds the segment that it has:
 * one mapping, one descriptor, a count of references.
 */
#ifndef MPROC_SHM_SEGMENT_H
#define MPROC_SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mproc__decoder;

enum mproc__segment_kind { MPROC__SEGMENT_QUEUE = 1, MPROC__SEGMENT_SMALL = 2, MPROC__SEGMENT_LEDGER = 3 };

#define MPROC__SEGMENT_MAGIC   0x6d70736du
#define MPROC__SEGMENT_VERSION 1u

/* The first 64 bytes of a segment.  Written by its creator before anybody else has it; constant from then on. */
struct mproc__segment_head {
        uint32_t magic;
        uint32_t version;
        uint32_t kind;
        uint32_t mapped_bytes; /* how much of the beginning is to be mapped */
        uint64_t namespace_id; /* in which thread ids mean what the locks inside say */
        uint64_t reserved[5];
};
_Static_assert(sizeof(struct mproc__segment_head) == 64, "layout of a segment's head");

struct mproc__segment {
        uint8_t *base; /* mapped_bytes of it */
        size_t size;
        int fd;
        int bell; /* a second descriptor that travels with it, or -1 */
        /* Under MPROC__LOCK_SEGMENTS: */
        unsigned refs;
        uint64_t identity[2];
        struct mproc__segment *next;
};

/*
 * A new one of len bytes, of which all are mapped and reserve_bytes have pages.  with_bell: see
 * memory.h.  One reference.  With words; what: "queue", for them.
 */
int mproc__segment_create(enum mproc__segment_kind kind, const char *what, size_t len, size_t reserve_bytes,
                          bool with_bell, struct mproc__segment **ret);

struct mproc__encoder;
void mproc__segment_encode(struct mproc__segment *segment, struct mproc__encoder *encoder);

/*
 * The segment that the decoder has the descriptors of: the one that is mapped here
 * already, or a new mapping that owns them.  len_max: more must not be mapped.
 * One reference more.  Refuses memory that can shrink, is no segment of
 * this kind, or comes from another space of thread ids.  With words.
 */
int mproc__segment_decode(struct mproc__decoder *decoder, enum mproc__segment_kind kind, const char *what,
                          size_t len_min, size_t len_max, struct mproc__segment **ret);

/*
 * Whose memory is this?  The number by which the system tells the segment from all others, the same in all processes, and
 * how far behind its beginning.  False: no segment's.
 */
bool mproc__segment_find(const void *at, uint64_t *ret_number, size_t *ret_offset);

void mproc__segment_ref(struct mproc__segment *segment);
void mproc__segment_unref(struct mproc__segment *segment); /* NULL is fine */

#endif
