/* SPDX-License-Identifier: MIT */
/* sync/deadlock.h - what all waits together mean: see mproc/deadlock.h, and deadlock.c for the argument. */
#ifndef MPROC_SYNC_DEADLOCK_H
#define MPROC_SYNC_DEADLOCK_H

#include "program/slot.h"

#include <mproc/deadlock.h>
#include <stdbool.h>

/*
 * About the calling thread's own wait, whose record stands: is it held up by a circle for ever?  *ret_words is then
 * the circle, else whom it waits for; NULL: no memory.  To be freed.  Sets no words.
 */
bool mproc__deadlock_look(mproc__slot_id slot, uint32_t number, char **ret_words);

#endif
