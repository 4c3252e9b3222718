/* SPDX-License-Identifier: MIT */
/*
 * wire/frame.c - the header of a connection's messages; see frame.h.
 *
 * Runs in: every process.  Owns: nothing.
 */
#include "wire/frame.h"

#include "wire/fdpass.h"

#include <mproc/error.h>
#include <string.h>

static const uint8_t magic[4] = { 'm', 'p', 'c', '1' };

/* What an object may measure, less the header, so that no sum of the two overflows. */
#define LEN_MAX ((uint64_t)(SIZE_MAX / 2) - MPROC__FRAME_BYTES)

void
mproc__frame_encode(const struct mproc__frame *frame, uint8_t ret_bytes[MPROC__FRAME_BYTES])
{
        memcpy(ret_bytes, magic, sizeof(magic));
        memcpy(ret_bytes + 4, &frame->kind, 2);
        memcpy(ret_bytes + 6, &frame->nfds, 2);
        memcpy(ret_bytes + 8, &frame->len, 8);
}

int
mproc__frame_decode(const uint8_t bytes[MPROC__FRAME_BYTES], struct mproc__frame *ret_frame)
{
        struct mproc__frame frame;

        memcpy(&frame.kind, bytes + 4, 2);
        memcpy(&frame.nfds, bytes + 6, 2);
        memcpy(&frame.len, bytes + 8, 8);
        if (memcmp(bytes, magic, sizeof(magic)) != 0 || frame.nfds > MPROC__FDPASS_MAX || frame.len > LEN_MAX)
                return MPROC_EPROTO;
        switch (frame.kind) {
        case MPROC__FRAME_ANNOUNCEMENT:
                if (frame.nfds == 0 || frame.len != 0)
                        return MPROC_EPROTO;
                break;
        case MPROC__FRAME_MESSAGE:
        case MPROC__FRAME_GIFT:
                break;
        default:
                return MPROC_EPROTO;
        }
        *ret_frame = frame;
        return 0;
}
