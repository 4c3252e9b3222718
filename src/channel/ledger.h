/* SPDX-License-Identifier: MIT */
/*
 * channel/ledger.h - who has taken which message out of a queue, and is not done with it.
 *
 * A queue that can lease messages, or whose tasks are counted, has a ledger beside it: a
 * segment of its own with a table of entries.  Who takes a message writes an entry; who is
 * done with it frees the entry.  What the entries of a dead process say decides what
 * becomes of its messages.  docs/leases.md has the whole argument; in short:
 *
 *      FREE ----> PREPARED ----> LEASED ----> FREE            taken, done
 *                     |            |  ^
 *                     |            v  |                       given back, or its owner died;
 *                     |          RETURNED                     taken again
 *                     +--------> TAKEN -----> FREE            taken without a copy, done
 *
 * Each arrow is one store or one compare-and-swap of the entry's word.  An entry is PREPARED
 * for message number n before head.n is counted, and means something only once it is:
 * so the count is the commit of the entry, too, and there is no moment at which a message is
 * neither in the queue nor in the ledger, or in both.
 *
 * Copies.  What a leased message consists of is written into the ledger's memory before the
 * count: up to MPROC__LEDGER_CELL bytes into the entry's own cell, more into a place on a tape
 * behind the cells.  As on the queue's tape places are never used twice, so whoever
 * gives one back to the system late, or twice, harms nobody.
 */
#ifndef MPROC_CHANNEL_LEDGER_H
#define MPROC_CHANNEL_LEDGER_H

#include "program/slot.h"
#include "shm/segment.h"
#include "sync/counter.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mproc__decoder;
struct mproc__encoder;

#define MPROC__LEDGER_MAX        65536u /* entries */
#define MPROC__LEDGER_CELL       1024u  /* bytes of a copy that needs no place on the tape */
#define MPROC__LEDGER_DELIVERIES 0xffffu

enum mproc__entry_state {
        MPROC__ENTRY_FREE,
        MPROC__ENTRY_PREPARED, /* by the holder of head.lock, who is about to count its number */
        MPROC__ENTRY_LEASED,   /* its owner has it, the ledger has a copy */
        MPROC__ENTRY_TAKEN,    /* its owner has it, there is no copy */
        MPROC__ENTRY_RETURNED, /* nobody has it: the next who gets is to have it */
        MPROC__ENTRY_SETTLED,  /* done; its owner gives the place on the tape back */
};

/*
 * word: the owner's slot (29 bits), the state (3), how often it was delivered (16), and a serial
 * number (16) that every change moves on, so that an old word never fits.  Changed by the
 * holder of head.lock from FREE to PREPARED to LEASED or TAKEN, and from RETURNED on; by
 * anybody from LEASED or TAKEN on, in one step; by its owner from SETTLED to FREE.
 * The rest is written by the holder of head.lock while the entry is FREE, and constant then.
 */
struct mproc__entry {
        _Atomic uint64_t word;
        _Atomic uint64_t at;  /* where the copy lies on the tape, 0: in the cell */
        _Atomic uint64_t len; /* of the message */
        mproc__word number;   /* the message's, modulo 2^32 */
        mproc__word kept;     /* 1: there is a copy; 0: none */
};
_Static_assert(sizeof(struct mproc__entry) == 32, "layout of an entry");

/*
 * The ledger's first page.  capacity and counts: constant.
 *   used       entries that ever were; grows, by the holder of head.lock, when they have pages
 *   tape       where the next large copy goes; the holder of head.lock
 *   attention  something was returned: look before you sleep.  Set by anybody, cleared by the
 *              holder of head.lock before he looks
 *   watched    somebody waits for entries to become free: set by him, cleared by who tells him
 *   settled    counts how often they were told; what those sleep on
 */
struct mproc__ledger_shm {
        uint8_t segment_head[64];
        uint32_t capacity;
        uint32_t counts; /* 1: every taking is recorded, as tasks need it */
        _Alignas(128) mproc__word used;
        mproc__word hint;
        _Atomic uint64_t tape;
        _Alignas(128) _Atomic bool attention;
        _Alignas(128) mproc__word watched;
        mproc__word settled;
};
_Static_assert(sizeof(struct mproc__ledger_shm) <= 4096, "a ledger's head fits into a page");

/* A handle's view of it; part of the queue's handle. */
struct mproc__ledger {
        struct mproc__segment *segment;
        struct mproc__ledger_shm *shm;
        struct mproc__entry *entries;
        uint32_t capacity; /* copied, checked */
        bool counts;
        _Atomic uint32_t hint; /* where this process's own entries begin, probably */
        int64_t looked_ns;     /* for dead owners; belongs to the holder of head.lock */
};

/* --- making and passing on; with words --------------------------------------------------------------- */

int mproc__ledger_create(uint32_t capacity, bool counts, struct mproc__ledger **ret);
void mproc__ledger_encode(const struct mproc__ledger *ledger, struct mproc__encoder *encoder);
int mproc__ledger_decode(struct mproc__decoder *decoder, struct mproc__ledger **ret);
void mproc__ledger_free(struct mproc__ledger *ledger); /* NULL is fine */

/* --- the word of an entry ----------------------------------------------------------------------------- */

static inline enum mproc__entry_state
mproc__entry_state(uint64_t word)
{
        return (enum mproc__entry_state)(word >> 29 & 7);
}

static inline mproc__slot_id
mproc__entry_owner(uint64_t word)
{
        return (mproc__slot_id)(word & 0x1fffffff);
}

static inline unsigned
mproc__entry_deliveries(uint64_t word)
{
        return (unsigned)(word >> 32 & 0xffff);
}

/* What `word` becomes. */
static inline uint64_t
mproc__entry_next(uint64_t word, enum mproc__entry_state state, mproc__slot_id owner, unsigned deliveries)
{
        return (word & UINT64_C(0xffff000000000000)) + UINT64_C(0x1000000000000) + ((uint64_t)deliveries << 32) +
               ((uint64_t)state << 29) + owner;
}

/* How many entries there are to look at; every index below is safe. */
uint32_t mproc__ledger_used(const struct mproc__ledger *ledger);

static inline uint64_t
mproc__ledger_word(const struct mproc__ledger *ledger, uint32_t i)
{
        return atomic_load_explicit(&ledger->entries[i].word, memory_order_seq_cst);
}

/* --- for the holder of head.lock; no words ---------------------------------------------------------------- */

/*
 * Record that message `number` is going to be taken by `self`: entry *ret_index is PREPARED.  data not
 * NULL, or kept with a length of 0: with a copy.  -ENOBUFS: all entries are in use; -ENOSPC, -ENOMEM,
 * -EFBIG: no memory for the copy, and nothing happened.
 */
int mproc__ledger_prepare(struct mproc__ledger *ledger, uint32_t number, mproc__slot_id self, bool kept,
                          const void *data, size_t len, uint32_t *ret_index);

/* It has been counted: the entry is LEASED or TAKEN from here on.  Returns its word. */
uint64_t mproc__ledger_confirm(struct mproc__ledger *ledger, uint32_t index);

/* The last owner of head.lock died; head_n is what was counted. */
void mproc__ledger_recover(struct mproc__ledger *ledger, uint32_t head_n);

/* The oldest entry that is RETURNED, if any; head_n tells what old is. */
bool mproc__ledger_oldest(struct mproc__ledger *ledger, uint32_t head_n, uint32_t *ret_index, uint64_t *ret_word);

/* The copy's bytes; len as *ret_len of mproc__ledger_len said.  MPROC_ECORRUPT, -errno. */
int mproc__ledger_len(struct mproc__ledger *ledger, uint32_t index, size_t *ret_len);
int mproc__ledger_read(struct mproc__ledger *ledger, uint32_t index, void *buffer, size_t len);

/* --- for anybody; no words --------------------------------------------------------------------------------- */

/* One step from `word`.  False: it is no longer that. */
bool mproc__ledger_change(struct mproc__ledger *ledger, uint32_t index, uint64_t word, uint64_t next);

/* Done with it: from `word` to FREE, whatever that takes.  False: it is no longer that, and nothing happened. */
bool mproc__ledger_settle(struct mproc__ledger *ledger, uint32_t index, uint64_t word, mproc__slot_id self);

/* Leases of dead owners are RETURNED from here on.  *ret_out: some are still out.  True: something is RETURNED. */
bool mproc__ledger_bury(struct mproc__ledger *ledger, bool *ret_out);

/* All who sleep because of the ledger look around. */
void mproc__ledger_wake(struct mproc__ledger *ledger);

/* How many are RETURNED. */
uint32_t mproc__ledger_returned(struct mproc__ledger *ledger);

/* --- asking for many who is dead --------------------------------------------------------------------------- */

/* Remembers the last answers, since asking is a system call or three.  All zeros at first; short-lived. */
struct mproc__roll {
        mproc__slot_id id[8];
        bool dead[8];
        unsigned next;
};
bool mproc__roll_is_dead(struct mproc__roll *roll, mproc__slot_id id);

#endif
