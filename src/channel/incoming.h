/* SPDX-License-Identifier: MIT */
/*
 * channel/incoming.h - a message on its way in.
 *
 * A receive takes a header from the socket, then the bytes behind it, into its
 * user's buffer.  What comes between, a buffer too small, another kind of frame
 * than wanted, time running out, leaves what has been taken here, and the next
 * receive goes on from it.
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
        struct mproc__frame frame; /* valid once the message has begun */
        uint8_t *data;             /* what was taken of its bytes, from malloc */
        size_t got, capacity;      /* of data: bytes that are there, bytes that fit */
        int *fds;                  /* the descriptors beside it, owned; from malloc */
        size_t nfds;
        unsigned announced; /* so many descriptors ride on the header that comes next */
        bool fds_lost;      /* there was no room for them, and nobody wanted them */
        int failed;         /* MPROC_EBROKEN or MPROC_EPROTO: nothing more can be received, ever */
};

/*
 * Wait until a message has begun, and tell its header.  want_fds: not without
 * room for the descriptors beside it.  MPROC_EEOF, MPROC_EBROKEN, MPROC_EPROTO,
 * MPROC_ETIMEDOUT, -EMFILE and -ENOMEM (the message stays), -errno; all with words.
 */
int mproc__incoming_look(struct mproc__incoming *in, int socket, bool want_fds, int64_t deadline,
                         struct mproc__frame *ret_frame);

/* After a look: all of the message into a buffer with room for frame.len.  Out of time, it keeps what it got. */
int mproc__incoming_read(struct mproc__incoming *in, int socket, void *buffer, int64_t deadline);

/* After a look: all of the message into in->data, which grows as bytes arrive and is never NULL then. */
int mproc__incoming_gather(struct mproc__incoming *in, int socket, int64_t deadline);

/* A receive would end at once without asking the socket. */
bool mproc__incoming_is_ready(const struct mproc__incoming *in);

/* Free and close all it holds; back to the resting state.  A failure stays. */
void mproc__incoming_reset(struct mproc__incoming *in);

#endif
