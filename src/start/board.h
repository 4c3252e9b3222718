/* SPDX-License-Identifier: MIT */
/*
 * start/board.h - where forked children leave word of how they ended.
 *
 * A forked child shares memory with its parent if the parent mapped some before
 * the fork: a slot of it takes the place of a channel, and costs neither
 * descriptors nor system calls.
 */
#ifndef MPROC_START_BOARD_H
#define MPROC_START_BOARD_H

#include "start/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Shared between parent and child.  The child writes text and status, then `told`;
 * the parent reads once the child is dead, and only if told is set.  A child that
 * dies in between has told nothing.
 */
struct mproc__board_slot {
        _Atomic uint32_t go; /* by the parent: it has a descriptor of the child, whose status nobody can take away now */
        _Atomic uint32_t told;
        struct mproc__status status;
        char text[MPROC__STATUS_TEXT_MAX];
};

/* A free slot, cleared; NULL: no memory. */
struct mproc__board_slot *mproc__board_take(void);

/* Parent: let the child go on.  Child: wait for that, or for the parent's death. */
void mproc__board_let_go(struct mproc__board_slot *slot);
void mproc__board_await_go(struct mproc__board_slot *slot, pid_t parent);

/* NULL is fine.  The child must be dead. */
void mproc__board_give_back(struct mproc__board_slot *slot);

/* Child: write it.  Parent: take a copy; false if there is none. */
void mproc__board_tell(struct mproc__board_slot *slot, const struct mproc__status *status, const char *step,
                       const char *text);
bool mproc__board_read(const struct mproc__board_slot *slot, struct mproc__status *ret_status,
                       char ret_text[MPROC__STATUS_TEXT_MAX]);

/* In a forked child: the boards that stand are its parent's. */
void mproc__board_forked(void);

#endif
