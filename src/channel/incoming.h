/* SPDX-License-Identifier: MIT */
/*
 * channel/incoming.h - a message on its way in.
 *
 * As long as nothing goes wrong a message is left in its socket until a receive
 * can have all of it: its header is looked at (MSG_PEEK) and, when the receiver
 * has room, header and bytes are taken together.  So a buffer too small, a
 * message of another kind and a full descriptor table take nothing away.  Only a
 * receive that runs out of time in the middle of a message leaves something
 * here, and the next one goes on from it.
 *
 * None of this locks: whoever holds the connection's receiving side owns it.
 */
#ifndef MPROC_CHANNEL_INCOMING_H
#define MPROC_CHANNEL_INCOMING_H

#include "wire/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is the resting state: nothing of the next message has been taken from the socket. */
struct mproc__incoming {
        uint8_t header[MPROC__FRAME_BYTES];
        size_t header_got;         /* bytes of it that were taken; all of them: the message has begun */
        struct mproc__frame frame; /* valid once the message has begun, or after a successful look */
        uint8_t *data;             /* what was taken of its bytes, from malloc */
        size_t got, capacity;      /* of data: bytes that are there, bytes that fit */
        int *fds;                  /* the descriptors beside it, owned; from malloc */
        size_t nfds;
        int failed; /* MPROC_EBROKEN or MPROC_EPROTO: nothing more can be received, ever */
};

/*
 * Wait for a message and tell its header.  MPROC_EEOF, MPROC_EBROKEN,
 * MPROC_EPROTO, MPROC_ETIMEDOUT, -EMFILE, -errno; all with words.
 */
int mproc__incoming_look(struct mproc__incoming *in, int socket, int64_t deadline, struct mproc__frame *ret_frame);

/*
 * After a look: get hold of the descriptors beside the message, into in->fds.
 * -EMFILE, -ENOMEM; the message stays.  MPROC_EPROTO: not the announced number.
 */
int mproc__incoming_take_fds(struct mproc__incoming *in, int socket);

/* After a look: all of the message into a buffer with room for frame.len.  Out of time, it keeps what it got. */
int mproc__incoming_read(struct mproc__incoming *in, int socket, void *buffer, int64_t deadline);

/* After a look: all of the message into in->data, which grows as bytes arrive and is never NULL then. */
int mproc__incoming_gather(struct mproc__incoming *in, int socket, int64_t deadline);

/* A receive would end at once without asking the socket. */
bool mproc__incoming_is_ready(const struct mproc__incoming *in);

/* Free and close all it holds; back to the resting state.  A failure stays. */
void mproc__incoming_reset(struct mproc__incoming *in);

#endif
