/* SPDX-License-Identifier: MIT */
/*
 * wire/frame.h - the sixteen bytes in front of each message of a connection.
 *
 *      offset  bytes
 *      0       4      "mpc1": so that a stream of something else is told from ours
 *      4       2      kind
 *      6       2      how many descriptors ride on the header's first byte;
 *                     in an announcement: on that of the next header
 *      8       8      length of what follows
 *
 * Native byte order: both ends run on one machine.  docs/wire.md tells who
 * sends what.
 */
#ifndef MPROC_WIRE_FRAME_H
#define MPROC_WIRE_FRAME_H

#include <stdint.h>

#define MPROC__FRAME_BYTES 16

enum mproc__frame_kind {
        MPROC__FRAME_MESSAGE = 1,     /* a user's bytes */
        MPROC__FRAME_GIFT = 2,        /* a connection that changes its owner */
        MPROC__FRAME_ANNOUNCEMENT = 3 /* nothing: the frame behind it brings descriptors */
};

struct mproc__frame {
        uint64_t len;
        uint16_t kind;
        uint16_t nfds;
};

void mproc__frame_encode(const struct mproc__frame *frame, uint8_t ret_bytes[MPROC__FRAME_BYTES]);

/*
 * 0, or MPROC_EPROTO: not a header, a kind nobody knows, more descriptors than
 * can travel, a length that no memory could hold.  A length that passes is not
 * yet to be believed: memory is to be had as bytes arrive.  Sets no words.
 */
int mproc__frame_decode(const uint8_t bytes[MPROC__FRAME_BYTES], struct mproc__frame *ret_frame);

#endif
