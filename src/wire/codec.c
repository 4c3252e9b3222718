/* SPDX-License-Identifier: MIT */
/*
 * wire/codec.c - values as bytes; see codec.h.
 *
 * Runs in: every process.  Owns: an encoder's buffers until its fini.
 */
#include "wire/codec.h"
#include "core/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
reserve(struct mproc__encoder *e, size_t more)
{
        size_t cap = e->cap ? e->cap : 256;
        uint8_t *data;

        if (e->error)
                return false;
        if (more <= e->cap - e->len)
                return true;
        while (cap - e->len < more) {
                if (cap > SIZE_MAX / 2) {
                        e->error = -ENOMEM;
                        return false;
                }
                cap *= 2;
        }
        data = realloc(e->data, cap);
        if (!data) {
                e->error = -ENOMEM;
                return false;
        }
        e->data = data;
        e->cap = cap;
        return true;
}

static void
append(struct mproc__encoder *e, const void *data, size_t len)
{
        if (len == 0 || !reserve(e, len))
                return;
        memcpy(e->data + e->len, data, len);
        e->len += len;
}

void
mproc__enc_u32(struct mproc__encoder *e, uint32_t v)
{
        append(e, &v, sizeof v);
}

void
mproc__enc_u64(struct mproc__encoder *e, uint64_t v)
{
        append(e, &v, sizeof v);
}

/* A length, the bytes, and a NUL that is not counted, so that strings can be used where they lie. */
void
mproc__enc_bytes(struct mproc__encoder *e, const void *data, size_t len)
{
        static const char nul = 0;

        mproc__enc_u64(e, len);
        append(e, data, len);
        append(e, &nul, 1);
}

void
mproc__enc_string(struct mproc__encoder *e, const char *text)
{
        mproc__enc_u32(e, text != NULL);
        if (text)
                mproc__enc_bytes(e, text, strlen(text));
}

void
mproc__enc_fd(struct mproc__encoder *e, int fd)
{
        size_t i = 0;

        while (i < e->nfds && e->fds[i] != fd)
                i++;
        if (i == e->nfds) {
                if (e->nfds == e->cap_fds) {
                        size_t cap = e->cap_fds ? e->cap_fds * 2 : 8;
                        int *fds = realloc(e->fds, cap * sizeof *fds);

                        if (!fds) {
                                e->error = -ENOMEM;
                                return;
                        }
                        e->fds = fds;
                        e->cap_fds = cap;
                }
                e->fds[e->nfds++] = fd;
        }
        mproc__enc_u32(e, (uint32_t)i);
}

void
mproc__encoder_fini(struct mproc__encoder *e)
{
        free(e->data);
        free(e->fds);
        memset(e, 0, sizeof *e);
}

static const void *
take(struct mproc__decoder *d, size_t len)
{
        const void *p = d->data + d->pos;

        if (d->error || len > d->len - d->pos) {
                d->error = d->error ? d->error : MPROC_EPROTO;
                return NULL;
        }
        d->pos += len;
        return p;
}

uint32_t
mproc__dec_u32(struct mproc__decoder *d)
{
        const void *p = take(d, sizeof(uint32_t));
        uint32_t v = 0;

        if (p)
                memcpy(&v, p, sizeof v);
        return v;
}

uint64_t
mproc__dec_u64(struct mproc__decoder *d)
{
        const void *p = take(d, sizeof(uint64_t));
        uint64_t v = 0;

        if (p)
                memcpy(&v, p, sizeof v);
        return v;
}

const void *
mproc__dec_bytes(struct mproc__decoder *d, size_t *ret_len)
{
        uint64_t len = mproc__dec_u64(d);
        const char *p;

        *ret_len = 0;
        if (d->error || len >= d->len - d->pos) { /* the NUL behind it has to fit, too */
                d->error = d->error ? d->error : MPROC_EPROTO;
                return NULL;
        }
        p = take(d, (size_t)len + 1);
        if (p[len] != 0) {
                d->error = MPROC_EPROTO;
                return NULL;
        }
        *ret_len = (size_t)len;
        return p;
}

const char *
mproc__dec_string(struct mproc__decoder *d)
{
        size_t len;
        const char *text;

        if (!mproc__dec_u32(d))
                return NULL;
        text = mproc__dec_bytes(d, &len);
        for (size_t i = 0; text && i < len; i++) {
                if (text[i] != 0)
                        continue;
                d->error = MPROC_EPROTO;
                return NULL;
        }
        return text;
}

static int
fd_index(struct mproc__decoder *d)
{
        uint32_t i = mproc__dec_u32(d);

        if (!d->error && i >= d->nfds)
                d->error = MPROC_EPROTO;
        return d->error ? -1 : (int)i;
}

int
mproc__dec_fd(struct mproc__decoder *d)
{
        int i = fd_index(d);

        return i < 0 ? -1 : d->fds[i];
}

int
mproc__dec_take_fd(struct mproc__decoder *d)
{
        int i = fd_index(d);

        if (i < 0)
                return -1;
        d->taken[i] = true;
        return d->fds[i];
}
