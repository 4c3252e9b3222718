/* SPDX-License-Identifier: MIT */
/*
 * start/entry.h - a function's name that means the same in every process.
 *
 * A function is named by the ELF object that holds it and its offset from the
 * object's load address.  The object is known by its build-id; where it has none, by
 * path, size and a hash of the first page of its code.
 */
#ifndef MPROC_START_ENTRY_H
#define MPROC_START_ENTRY_H

#include "wire/codec.h"

typedef void mproc__function(void); /* any function; cast back before the call */

/* MPROC_ETARGET with words: the address lies in no loaded object. */
int mproc__entry_encode(mproc__function *function, struct mproc__encoder *encoder);

/* Find it here, loading its shared object if need be.  MPROC_ETARGET, MPROC_EBUILDID, MPROC_EPROTO, with words. */
int mproc__entry_decode(struct mproc__decoder *decoder, mproc__function **ret_function);

/* Fork server: look up once what its children would look up each. */
void mproc__entry_prepare(void);

/* For messages: "name", or "prog+0x1234".  Cut to size. */
void mproc__entry_describe(mproc__function *function, char *buffer, size_t size);

#endif
