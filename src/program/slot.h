/* SPDX-License-Identifier: MIT */
/*
 * program/slot.h - a process's place in its program, and who is alive.
 *
 * A slot is a number with a generation.  Taking a slot is taking a write lock
 * (fcntl F_SETLK, owned by the process, gone when it dies however it dies) on one
 * byte of the beacon, so a slot can neither leak nor be confused with a
 * later process that happens to have the same pid.
 */
#ifndef MPROC_PROGRAM_SLOT_H
#define MPROC_PROGRAM_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MPROC__SLOT_BITS            12
#define MPROC__SLOT_COUNT           (1u << MPROC__SLOT_BITS)
#define MPROC__SLOT_GENERATION_BITS 17

/* generation << 12 | slot: fits into 29 bits; never 0. */
typedef uint32_t mproc__slot_id;

/* This process's slot, taken on first need.  With words: MPROC_EPROGRAM, -EAGAIN (all taken). */
int mproc__slot_self(mproc__slot_id *ret_id);

/* Is that process dead?  False when in doubt. */
bool mproc__slot_is_dead(mproc__slot_id id);

/* Its pid, 0 if unknown. */
pid_t mproc__slot_pid(mproc__slot_id id);

/* What its process is called there; "" if unknown.  Longer names are cut. */
#define MPROC__SLOT_NAME_MAX 48 /* the NUL included */
void mproc__slot_name(mproc__slot_id id, char ret_name[MPROC__SLOT_NAME_MAX]);

/* A slot that somebody has, or the last one who had it.  name is text whatever stands there. */
struct mproc__slot_entry {
        mproc__slot_id id;
        pid_t pid;
        char name[MPROC__SLOT_NAME_MAX];
};

/* All that were ever taken; whether their processes live is not looked at.  *ret is freed with free().  -errno; no words. */
int mproc__slot_list(struct mproc__slot_entry **ret, size_t *ret_count);

/* What this process is called; before it takes its slot.  The text lives as long as the process. */
void mproc__slot_call_self(const char *name);

/* In a forked child: the parent's slot is not ours. */
void mproc__slot_forked(void);

#endif
