/* SPDX-License-Identifier: MIT */
/*
 * program/table.h - the records of named objects in the beacon, and the files they mean.
 *
 * names.h is what other folders see; this is what its parts have among themselves.
 *
 * A record says: this program has made an object of this kind and name, and
 * its file carries this identity.  It is written before the file gets its name and
 * erased after the name is gone, so whoever dies in between leaves a record without
 * a file, which harms nobody: a file is removed for the sake of a record only
 * if it carries the identities of both program and object.
 */
#ifndef MPROC_PROGRAM_TABLE_H
#define MPROC_PROGRAM_TABLE_H

#include "program/beacon.h"
#include "program/names.h"

struct mproc__object_id {
        uint8_t bytes[16];
};

#define MPROC__NAMED_MAGIC   "mproc\0N\1"
#define MPROC__NAMED_VERSION 1u

/* The first bytes of a named object's file.  Written before it has a name, then only read. */
struct mproc__named_header {
        uint8_t magic[8];
        uint32_t version;
        uint32_t kind;
        struct mproc__program_id program;
        struct mproc__object_id object;
        uint64_t size_bytes; /* of the file; of shared memory at least */
        uint8_t unused[MPROC__NAMED_HEADER_BYTES - 56];
};
_Static_assert(sizeof(struct mproc__named_header) == MPROC__NAMED_HEADER_BYTES, "layout of a named object's header");

#define MPROC__NAMED_PATH_MAX (MPROC__NAME_MAX + 32)

/* "semaphore", "shared memory"; NULL for no such kind. */
const char *mproc__name_kind_text(uint32_t kind);

void mproc__named_path(enum mproc__name_kind kind, const char *name, char ret_path[MPROC__NAMED_PATH_MAX]);

/* The header of an object's file, checked against the file's type and size.  0, MPROC_ECORRUPT, -errno; no words. */
int mproc__named_header_read(int fd, struct mproc__named_header *ret_header);

/* The header of the file that has this name now.  -ENOENT, MPROC_ECORRUPT (not one of ours), -errno; no words. */
int mproc__named_look(enum mproc__name_kind kind, const char *name, struct mproc__named_header *ret_header);

/*
 * Remove the file that has this name, if it is the one meant: of this program and with
 * this identity.  1: removed.  0: there is none, or it is another.  -errno.  No words.
 */
int mproc__named_remove(enum mproc__name_kind kind, const char *name, const struct mproc__program_id *program,
                        const struct mproc__object_id *object);

/*
 * The table.  Callers hold MPROC__LOCK_PROGRAM and MPROC__BEACON_NAMES_BYTE, or
 * the claim on a dead program's end.  add: 0 or -errno, *ret_at says where.
 */
int mproc__table_add(int beacon, enum mproc__name_kind kind, const char *name, const struct mproc__object_id *object,
                     off_t *ret_at);
void mproc__table_erase(int beacon, off_t at);
void mproc__table_erase_object(int beacon, const struct mproc__object_id *object);

/* Remove all that is recorded, and the records.  swept hears of each name that was removed.  Returns their number. */
typedef void mproc__swept_fn(enum mproc__name_kind kind, const char *name, void *arg);
int mproc__table_sweep(int beacon, mproc__swept_fn *swept, void *arg);

/*
 * Somebody's object has the name that we want.  If his program is dead and nobody
 * else clears up, do it.  Returns what is to be thought of it afterwards: ALIVE: the
 * name is taken.  ENDING: it is about to be free.  DEAD: it was made free,
 * or it belongs to nobody who has a beacon.  No words.
 */
enum mproc__program_state mproc__names_settle(const struct mproc__program_id *id, int *ret_removed);

#endif
