/* SPDX-License-Identifier: MIT */
/*
 * channel/gift.c - connections that change their owner: as an argument of a
 * process, or as a message through another connection.
 *
 * Runs in: the giver and the receiver.  Owns: what is being taken apart or put
 * together.
 *
 * A connection travels whole: its socket, its directions, whether it is still
 * fit for use, and what it has received of a message that has not come to its
 * end.  In order:
 *
 *      u32     directions: MPROC_CONNECTION_READ | MPROC_CONNECTION_WRITE
 *      u32     1 if its sending side is broken
 *      u32     why nothing more can be received: 0, 1 (broken), 2 (not understood)
 *      bytes   of a header: 0 to 16
 *      bytes   of the message behind that header
 *      u32     how many descriptors came beside it, and each of them
 *      u32     how many are announced for the header that comes next
 *      u32     1 if those could not be had
 *      fd      the socket
 *
 * What comes out of this is checked as if a stranger had sent it: a stranger may.
 */
#include "channel/connection.h"
#include "channel/message.h"
#include "core/error.h"
#include "platform/platform.h"
#include "wire/codec.h"
#include "wire/fdpass.h"
#include "wire/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
mproc__connection_encode(struct mproc_connection *c, struct mproc__encoder *e)
{
        const struct mproc__incoming *in = &c->in;

        mproc__enc_u32(e, (uint32_t)c->directions);
        mproc__enc_u32(e, c->send_broken);
        mproc__enc_u32(e, in->failed == MPROC_EBROKEN ? 1 : in->failed != 0 ? 2 : 0);
        mproc__enc_bytes(e, in->header, in->header_got);
        mproc__enc_bytes(e, in->data, in->header_got == MPROC__FRAME_BYTES ? in->got : 0);
        mproc__enc_u32(e, in->header_got > 0 ? (uint32_t)in->nfds : 0);
        for (size_t i = 0; in->header_got > 0 && i < in->nfds; i++)
                mproc__enc_fd(e, in->fds[i]);
        mproc__enc_u32(e, in->announced);
        mproc__enc_u32(e, in->fds_lost);
        mproc__enc_fd(e, c->socket);
        if (e->error < 0)
                return mproc__fail(e->error,
                                   "connection: no memory to pass it on with the %zu bytes it has received of a "
                                   "message",
                                   in->got);
        return 0;
}

static int
not_understood(struct mproc__decoder *d)
{
        d->error = MPROC_EPROTO;
        return mproc__fail(MPROC_EPROTO, "connection: one that came from another process cannot be put together from "
                                         "what was sent");
}

/*
 * Take a descriptor over that nobody else has taken.  The same index twice would
 * make two owners, the second of which closes somebody else's file.
 */
static int
take_once(struct mproc__decoder *d)
{
        struct mproc__decoder ahead = *d;
        int fd = mproc__dec_fd(&ahead);

        for (size_t i = 0; fd >= 0 && i < d->nfds; i++)
                if (d->fds[i] == fd && d->taken[i])
                        d->error = MPROC_EPROTO;
        return d->error ? -1 : mproc__dec_take_fd(d);
}

/* The part of a message that came with it; what is wrong in it leaves the decoder's error set. */
static int
decode_incoming(struct mproc__decoder *d, struct mproc__incoming *in)
{
        uint32_t failed = mproc__dec_u32(d);
        const void *header, *data;
        size_t header_len, len;
        uint32_t nfds, lost;

        header = mproc__dec_bytes(d, &header_len);
        data = mproc__dec_bytes(d, &len);
        nfds = mproc__dec_u32(d);
        if (d->error || failed > 2 || header_len > sizeof(in->header) || nfds > MPROC__FDPASS_MAX)
                return not_understood(d);
        in->failed = failed == 0 ? 0 : failed == 1 ? MPROC_EBROKEN : MPROC_EPROTO;
        memcpy(in->header, header, header_len);
        in->header_got = header_len;
        if (header_len == sizeof(in->header)) {
                if (mproc__frame_decode(in->header, &in->frame) < 0 || len > in->frame.len || nfds > in->frame.nfds ||
                    in->frame.kind == MPROC__FRAME_ANNOUNCEMENT)
                        return not_understood(d);
        } else if (len > 0 || (header_len == 0 && nfds > 0)) {
                return not_understood(d);
        }
        if ((len > 0 && (in->data = malloc(len)) == NULL) ||
            (nfds > 0 && (in->fds = malloc(nfds * sizeof(int))) == NULL))
                return mproc__fail(-ENOMEM, "connection: no memory for what it has received of a message");
        if (len > 0)
                memcpy(in->data, data, len);
        in->got = in->capacity = len;
        for (uint32_t i = 0; i < nfds && !d->error; i++)
                if ((in->fds[in->nfds] = take_once(d)) >= 0)
                        in->nfds++;
        in->announced = mproc__dec_u32(d);
        lost = mproc__dec_u32(d);
        in->fds_lost = lost != 0;
        return d->error || in->announced > MPROC__FDPASS_MAX || lost > 1 ? not_understood(d) : 0;
}

int
mproc__connection_decode(struct mproc__decoder *d, struct mproc_connection **ret_connection)
{
        uint32_t directions = mproc__dec_u32(d);
        uint32_t send_broken = mproc__dec_u32(d);
        struct mproc__incoming in = { .failed = 0 };
        struct mproc_connection *c = NULL;
        int socket = -1;
        int r;

        if ((r = decode_incoming(d, &in)) < 0)
                goto out;
        socket = take_once(d);
        if (socket < 0 || directions < 1 || directions > 3 || send_broken > 1) {
                r = not_understood(d);
                goto out;
        }
        if ((r = mproc__connection_check_fd(socket)) < 0 ||
            (r = mproc__connection_new(&socket, (int)directions, &c)) < 0)
                goto out;
        c->send_broken = send_broken;
        c->in = in;
        *ret_connection = c;
        return 0;
out:
        mproc__incoming_reset(&in);
        mproc__plat_close(&socket);
        return r;
}

/* Both sides of the gift are ours: nobody else uses it. */
static int
send_gift(mproc_connection *connection, mproc_connection *gift, int64_t deadline)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        int r;

        if ((r = mproc__connection_encode(gift, &e)) == 0 && e.nfds > MPROC__FDPASS_MAX)
                r = mproc__fail(-EMSGSIZE,
                                "connection: the gift has received %zu descriptors of a message that is not "
                                "complete; with its own they are too many to travel: receive that message first",
                                e.nfds - 1);
        if (r == 0)
                r = mproc__message_send(connection, MPROC__FRAME_GIFT, e.data, e.len, e.fds, e.nfds, deadline);
        mproc__encoder_fini(&e);
        return r;
}

/*
 * The gift is taken into use without waiting.  Two threads that give each of two
 * connections through the other would otherwise wait for each other for ever.
 */
int
mproc_connection_send_connection(mproc_connection *connection, mproc_connection *gift, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        int r;

        if (connection == gift)
                return mproc__fail(-EINVAL, "connection: it cannot be sent through itself");
        if ((r = mproc__connection_begin(gift, MPROC__USE_GIVE, deadline)) < 0) {
                mproc__fail_prefix("gift: ");
                return r;
        }
        r = send_gift(connection, gift, deadline);
        if (r == 0)
                mproc__connection_give(gift);
        return mproc__connection_end(gift, MPROC__USE_GIVE, r);
}

static int
unwrap(struct mproc__incoming *in, mproc_connection **ret_gift)
{
        bool taken[MPROC__FDPASS_MAX] = { false };
        struct mproc__decoder d = {
                .data = in->data, .len = in->got, .fds = in->fds, .taken = taken, .nfds = in->nfds
        };
        mproc_connection *gift = NULL;
        int r;

        r = mproc__connection_decode(&d, &gift);
        for (size_t i = 0; i < in->nfds; i++)
                if (taken[i])
                        in->fds[i] = -1;
        if (r < 0)
                return r;
        if ((r = mproc__object_publish(&gift->object)) < 0) {
                mproc__object_unref(&gift->object);
                return r;
        }
        *ret_gift = gift;
        return 0;
}

/* The receiving side is ours. */
static int
receive_gift(mproc_connection *c, mproc_connection **ret_gift, int64_t deadline)
{
        struct mproc__frame frame;
        int r;

        if ((r = mproc__incoming_look(&c->in, c->socket, true, deadline, &frame)) < 0)
                return r;
        if (frame.kind != MPROC__FRAME_GIFT)
                return mproc__fail(MPROC_EPROTO,
                                   "connection: what comes next is a message of %llu bytes and not a "
                                   "connection; receive it with mproc_connection_recv",
                                   (unsigned long long)frame.len);
        if ((r = mproc__incoming_gather(&c->in, c->socket, deadline)) < 0)
                return r;
        r = unwrap(&c->in, ret_gift);
        mproc__incoming_reset(&c->in);
        return r;
}

int
mproc_connection_recv_connection(mproc_connection *connection, mproc_connection **ret_gift, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        int r;

        if ((r = mproc__connection_begin(connection, MPROC__USE_RECEIVE, deadline)) < 0)
                return r;
        r = receive_gift(connection, ret_gift, deadline);
        return mproc__connection_end(connection, MPROC__USE_RECEIVE, r);
}
