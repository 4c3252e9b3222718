/* SPDX-License-Identifier: MIT */
/*
 * channel/ring.h - the rings that a queue's messages lie in.
 *
 * A queue's memory is a tape: its first page, then rings, each behind the one before,
 * as long as the queue lives.  Messages are numbered; a ring holds consecutive
 * ones.  When a ring has no room for the next message, a new one is built behind it
 * and linked by one store.  When all messages of a ring have been taken and a next ring is
 * there, its pages go back to the system.  Places on the tape are never used twice, so
 * whoever looks at an old one finds zeros, never something else.
 *
 *      page 0       struct mproc__queue_shm
 *      ring         struct mproc__ring_shm, slot[slots], then the bytes, at the next page
 *      ring ...
 *
 * There are two kinds.  An ordinary ring is mapped, and used round and round.  A ring for one
 * message holds a large one; its bytes are not mapped but written and read by system
 * calls, it takes only the message that it was made for, and once that was taken its
 * bytes go back at once.
 *
 * What was read from shared memory is never believed: a window keeps its own copy of a
 * ring's measures, checked when it was opened, and every number that comes from
 * the ring later is used modulo these.
 */
#ifndef MPROC_CHANNEL_RING_H
#define MPROC_CHANNEL_RING_H

#include "sync/robust.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MPROC__LINE 128 /* neighbours at this distance do not pull each other's cache lines */

/*
 * One end.  lock guards all that only one at a time does at this end.
 *   hold   the process (program/slot.h) that has a message of this end in its hands outside of
 *          lock: reserved at the tail, peeked at at the head; 0: none.  Set by the holder of lock; cleared by
 *          that process, or by a holder of lock who found it dead.  While it is not 0, only that process
 *          changes what follows here.  MPROC__WORD_WAITERS: somebody sleeps on it.  HOLD_COUNTS: he is about to
 *          count, at the tail; set before he looks whether somebody polls.
 *   n      changed by the holder of lock (or hold), read by all: the commit, and what the other end sleeps on
 *   last   a hint: the thread that counted last
 *   armed  the ticket of him who sleeps on n; written by the holder of the other end's lock
 *   rung   the ticket of those who poll for n; written by anybody who is going to poll
 *   ring   where this end's ring lies.  Changed by the holder of lock, after the link that
 *          leads there, so it may lag behind, never run ahead.
 *   tally  in queues with a limit on bytes: how many bytes ever passed this end.  Two of them; the one whose
 *          number is n counts, the other one is free to be written before n moves there.
 *   the rest: hints of this end, changed by the holder of lock; see queue_put.c, queue_get.c
 * Who looks at n from the other end takes its lines away for a moment; so what this end alone uses lies with
 * the lock.
 */
struct mproc__queue_tally {
        _Atomic uint64_t bytes;
        mproc__word n;
};

struct mproc__queue_end {
        _Alignas(MPROC__LINE) struct mproc__robust lock;
        mproc__word hold;
        mproc__word hint_n; /* the number that the other end had reached, at least */
        _Atomic uint64_t ring;
        _Atomic uint64_t hint_ring;  /* tail: the ring that the next one is about, or 0: none */
        _Atomic uint64_t hint_bytes; /* tail: the byte position that the head had reached, at least */
        _Atomic uint64_t released;   /* head: all rings before this place have been given back */
        _Alignas(MPROC__LINE) mproc__word n;
        mproc__word last;
        struct mproc__queue_tally tally[2];
        _Alignas(MPROC__LINE) mproc__word armed;
        mproc__word rung;
};

#define MPROC__QUEUE_HOLD_COUNTS 0x40000000u

#define MPROC__QUEUE_PRODUCERS   128

/* Magic, kind and so on stand in front (shm/segment.h); the limits are constant after creation. */
struct mproc__queue_shm {
        uint8_t segment_head[64];
        uint32_t maxsize;      /* 0: no limit */
        mproc__word ended;     /* 1: shut down, for all and for ever */
        uint64_t max_bytes;    /* 0: no limit */
        uint32_t has_slots;    /* 1: who has a message in his hands can be told: the program has a beacon */
        mproc__word producers; /* 1: producers have been noted; when none of them is left the queue has ended */
        uint64_t packets;      /* ever sent beside messages, see queue_objects.c; the holder of tail.lock */
        mproc__word ending;    /* who (program/slot.h) is about to shut it down; 0: nobody, or he has no slot */
        struct mproc__queue_end tail;
        struct mproc__queue_end head;
        _Atomic uint64_t producer[MPROC__QUEUE_PRODUCERS]; /* queue_ending.c; written by anybody, in single steps */
};
_Static_assert(sizeof(struct mproc__queue_end) == 3 * MPROC__LINE, "layout of a queue's ends");
_Static_assert(offsetof(struct mproc__queue_shm, tail) == MPROC__LINE, "layout of a queue");
_Static_assert(offsetof(struct mproc__queue_shm, producer) == 7 * MPROC__LINE, "layout of a queue");
_Static_assert(sizeof(struct mproc__queue_shm) <= 4096, "layout of a queue");

/* One message.  Written by the putter under tail.lock while its number is not yet committed; constant afterwards. */
struct mproc__slot {
        _Atomic uint64_t end; /* the byte position behind it; the first byte of a ring has 0 */
        _Atomic uint64_t len; /* its bytes begin mproc__ring_need(len) before the end, and do not wrap around */
};
_Static_assert(sizeof(struct mproc__slot) == 16, "layout of a slot");

/*
 * The head of a ring.  All but the last two are written before the ring is linked, and
 * constant then.  last_n, then next, are written once, by the holder of tail.lock, when the
 * next ring is linked: next is the link, and last_n is valid once next is not 0.
 */
struct mproc__ring_shm {
        uint32_t magic;
        uint32_t first_n;                         /* the number of its first message */
        uint32_t slots;                           /* a power of two; 2 in a ring for one message */
        uint32_t single;                          /* 1: a ring for one message */
        uint64_t bytes;                           /* room for bytes; in an ordinary ring a power of two */
        _Alignas(MPROC__LINE) mproc__word last_n; /* the number of the first message of the next ring */
        _Atomic uint64_t next;                    /* where that lies, or 0 */
        _Alignas(MPROC__LINE) struct mproc__slot slot[];
};
_Static_assert(sizeof(struct mproc__ring_shm) == 2 * MPROC__LINE, "layout of a ring");

#define MPROC__RING_MAGIC 0x6d707267u

/*
 * A ring as one end of one handle sees it.  Belongs to the holder of that end's lock.  A
 * child that fork() makes while a thread of its parent changes it finds `ring` NULL or
 * all the rest valid.
 */
struct mproc__window {
        struct mproc__ring_shm *_Atomic ring; /* NULL: none */
        uint64_t at;                          /* its place on the tape */
        size_t mapped;
        uint32_t first_n, slots;
        bool single;
        uint64_t bytes;
        uint64_t bytes_at; /* relative to `at` */
};

/* Open a ring that is there; closes what was open.  MPROC_ECORRUPT, -ENOMEM, -errno; no words. */
int mproc__window_open(struct mproc__window *window, int fd, uint64_t at);
void mproc__window_close(struct mproc__window *window);
void mproc__window_take(struct mproc__window *window, struct mproc__window *other); /* other is empty afterwards */

/*
 * Build a ring at a place where nothing that counts is yet, with room for a first message of
 * `need` bytes, and open it.  like: the ring before, for its size, or NULL.  most: so many messages the queue can
 * hold at a time, or 0: no limit.  Nobody knows of it until it is linked.  -ENOSPC, -ENOMEM, -EFBIG; then nothing
 * remains.
 */
int mproc__ring_build(struct mproc__window *window, int fd, uint64_t at, uint32_t first_n, uint64_t need,
                      const struct mproc__window *like, uint32_t most);

uint64_t mproc__window_end(const struct mproc__window *window); /* the place behind it */

static inline struct mproc__slot *
mproc__window_slot(const struct mproc__window *window, uint32_t n)
{
        struct mproc__ring_shm *ring = atomic_load_explicit(&window->ring, memory_order_relaxed);

        return &ring->slot[n & (window->slots - 1)];
}

/* Where the ring behind it lies, 0 if there is none yet. */
static inline uint64_t
mproc__window_next(const struct mproc__window *window)
{
        return atomic_load_explicit(&atomic_load_explicit(&window->ring, memory_order_relaxed)->next,
                                    memory_order_acquire);
}

/* The number of that ring's first message. */
static inline uint32_t
mproc__window_last(const struct mproc__window *window)
{
        return atomic_load_explicit(&atomic_load_explicit(&window->ring, memory_order_relaxed)->last_n,
                                    memory_order_relaxed);
}

/* Bytes that a message takes: whole lines of 16. */
static inline uint64_t
mproc__ring_need(uint64_t len)
{
        return (len + 15) & ~UINT64_C(15);
}

/* Where a message's bytes lie in an ordinary ring.  They do not wrap around: its start leaves room for them all. */
static inline void *
mproc__window_at(const struct mproc__window *window, uint64_t position)
{
        uint8_t *ring = (uint8_t *)atomic_load_explicit(&window->ring, memory_order_relaxed);

        return ring + window->bytes_at + (position & (window->bytes - 1));
}

/* Small messages are copied without a call. */
static inline void
mproc__ring_copy(void *restrict to, const void *restrict from, size_t len)
{
        enum { PIECE = 16, SMALL = 128 };
        size_t i = 0;

        if (len < PIECE || len > SMALL) {
                memcpy(to, from, len);
                return;
        }
        do {
                memcpy((char *)to + i, (const char *)from + i, PIECE);
                i += PIECE;
        } while (i + PIECE <= len);
        memcpy((char *)to + len - PIECE, (const char *)from + len - PIECE, PIECE);
}

/* Copy the message of a ring for one message in or out.  len is at most the ring's bytes.  -ENOSPC, -EFAULT, -errno.
 */
int mproc__window_write_single(const struct mproc__window *window, int fd, const void *data, size_t len);
int mproc__window_read_single(const struct mproc__window *window, int fd, void *buffer, size_t len);

/* A ring for one message whose message has been taken: give its bytes back. */
void mproc__window_release_bytes(const struct mproc__window *window, int fd);

#endif
