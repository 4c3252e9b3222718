/* SPDX-License-Identifier: MIT */
/*
 * wire/codec.h - values as bytes, with descriptors beside them.
 *
 * Fixed-width integers in native order (both ends run on one machine), byte
 * blocks with a length in front, descriptors by their index in a list that
 * travels as SCM_RIGHTS.  Errors stick: encode or decode everything, then ask
 * once.  A decoder never reads outside its block and never trusts a length.
 */
#ifndef MPROC_WIRE_CODEC_H
#define MPROC_WIRE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mproc__encoder {
        uint8_t *data;
        size_t len, cap;
        int *fds; /* borrowed numbers */
        size_t nfds, cap_fds;
        int error; /* 0 or the first failure */
};

#define MPROC__ENCODER_INIT { NULL, 0, 0, NULL, 0, 0, 0 }

void mproc__enc_u32(struct mproc__encoder *e, uint32_t v);
void mproc__enc_u64(struct mproc__encoder *e, uint64_t v);
void mproc__enc_bytes(struct mproc__encoder *e, const void *data, size_t len);
void mproc__enc_string(struct mproc__encoder *e, const char *text); /* NULL travels as NULL */
void mproc__enc_fd(struct mproc__encoder *e, int fd);               /* the same number twice travels once */
void mproc__encoder_fini(struct mproc__encoder *e);

struct mproc__decoder {
        const uint8_t *data;
        size_t len, pos;
        int *fds;    /* received numbers */
        bool *taken; /* per fd: somebody else closes it now */
        size_t nfds;
        int error;
};

uint32_t mproc__dec_u32(struct mproc__decoder *d);
uint64_t mproc__dec_u64(struct mproc__decoder *d);
const void *mproc__dec_bytes(struct mproc__decoder *d, size_t *ret_len); /* points into the block */
const char *mproc__dec_string(struct mproc__decoder *d);                 /* NUL-terminated in the block, or NULL */

/*
 * A received descriptor's number, or -1 with the error set.  It stays open as
 * long as the arguments it came with; mproc__dec_take_fd also makes the caller
 * its owner (who closes it), which later decoders of the same number rely on
 * staying open as long as they do.
 */
int mproc__dec_fd(struct mproc__decoder *d);
int mproc__dec_take_fd(struct mproc__decoder *d);

#endif
