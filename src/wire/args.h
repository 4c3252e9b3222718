/* SPDX-License-Identifier: MIT */
/*
 * wire/args.h - argument lists: taken over from the user, encoded, rebuilt.
 *
 * One struct serves both sides.  The parent's holds copies, duplicated
 * descriptors and references to objects; the child's points into the block it
 * received, and makes an object when the target first asks for it.
 */
#ifndef MPROC_WIRE_ARGS_H
#define MPROC_WIRE_ARGS_H

#include "core/object.h"
#include "wire/codec.h"

/* Take over a user's list.  With words: MPROC_EHANDLE, MPROC_EMOVED, MPROC_ECLOSED, -EBADF, -EMFILE, -ENOMEM,
 * -EINVAL. */
int mproc__args_gather(mproc_arglist list, mproc_args **ret_args);

/* An argument that only fork can pass on?  MPROC_ECONTEXT with words naming it; method is the one wanted. */
int mproc__args_check_portable(const mproc_args *args, const char *method);

/* May every object still be passed on?  With words. */
int mproc__args_check_passable(const mproc_args *args);

int mproc__args_encode(const mproc_args *args, struct mproc__encoder *encoder);

/* The child has its arguments: one-owner objects are closed here. */
void mproc__args_given(mproc_args *args);

/* Mark the objects among them (mproc__object.in_arguments); for fork. */
void mproc__args_mark(mproc_args *args, bool on);

/*
 * What the child received.  On success the args own the fds and the block.  MPROC_EPROTO, -ENOMEM.
 */
struct mproc__block {
        void *data;
        size_t len;
        bool mapped; /* to be unmapped */
        bool heap;   /* to be freed; otherwise it stays for good */
};
int mproc__args_decode(struct mproc__block *block, size_t at, int *fds, size_t nfds, mproc_args **ret_args);

/*
 * The same for a list that came as a message: freed by mproc_args_free, and a wrong index or type ends nobody.
 * fork_only: what mproc__args_encode_fork_only wrote, a byte for each argument.  On failure nothing is taken over.
 */
int mproc__args_decode_message(struct mproc__block *block, size_t at, int *fds, size_t nfds, const void *fork_only,
                               size_t fork_only_len, mproc_args **ret_args);
int mproc__args_failed(const mproc_args *args); /* 0, or why a getter of such a list has failed since it came */
void mproc__args_encode_fork_only(const mproc_args *args, struct mproc__encoder *encoder);

/* Is there an object that only fork can pass on?  The name of its type, or NULL. */
const char *mproc__args_fork_only(const mproc_args *args, size_t *ret_index);

/* Drops references, closes descriptors.  NULL is fine. */
void mproc__args_free(mproc_args *args);

/* The handle of an object argument; ends the child on a mismatch. */
struct mproc__object *mproc__args_object(mproc_args *args, size_t index, const struct mproc__object_type *type);

/* start/child.c: how a child ends when an argument is not what the target wants (words are set).  Does not return. */
typedef void mproc__args_failure_fn(int code);
void mproc__args_set_failure(mproc__args_failure_fn *fn);

#endif
