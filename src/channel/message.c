/* SPDX-License-Identifier: MIT */
/*
 * channel/message.c - messages through a connection.
 *
 * Runs in: every process.  Owns: nothing but what a call needs while it lasts.
 *
 * A small message is one system call to send, header and bytes together, and
 * two to receive.
 */
#include "channel/message.h"

#include "core/error.h"
#include "platform/platform.h"
#include "wire/fdpass.h"
#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* --- sending -------------------------------------------------------------------------------------- */

static int
send_failed(int r, size_t sent)
{
        if (r == MPROC_ETIMEDOUT && sent > 0)
                return mproc__fail(
                        r,
                        "connection: time ran out in the middle of a message (%zu bytes had gone); the rest "
                        "cannot be sent any more: the connection is broken for sending",
                        sent);
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(r, "connection: the other side made no room in time; nothing was sent");
        if (r == -EPIPE)
                return mproc__fail(r, "connection: the other side is closed: nobody can receive");
        if (r == -ETOOMANYREFS)
                return mproc__fail(r, "connection: too many descriptors of this user are on their way and not yet "
                                      "received (the limit is RLIMIT_NOFILE); nothing was sent");
        return mproc__fail_errno(-r, "connection: sending failed");
}

/*
 * A descriptor that is not open makes sendmsg() fail before anything is sent,
 * but after the announcement; so they are looked at before.  One that is closed
 * between then and now leaves an announcement without a frame, which is harmless.
 */
static int
check_fds(const int *fds, size_t nfds)
{
        for (size_t i = 0; i < nfds; i++)
                if (fcntl(fds[i], F_GETFD) < 0)
                        return mproc__fail(
                                -EBADF,
                                "connection: descriptor %d, number %zu of the %zu to be sent, is not open; "
                                "nothing was sent",
                                fds[i], i, nfds);
        return 0;
}

/* One header and what follows it.  *ret_sent counts, also on failure. */
static int
send_frame(int socket, const struct mproc__frame *frame, const void *data, const int *fds, int64_t deadline,
           size_t *ret_sent)
{
        uint8_t header[MPROC__FRAME_BYTES];
        struct iovec iov[2] = { { header, sizeof(header) }, { (void *)(uintptr_t)data, (size_t)frame->len } };
        size_t nfds = frame->kind == MPROC__FRAME_ANNOUNCEMENT ? 0 : frame->nfds;

        mproc__frame_encode(frame, header);
        return mproc__send_fds(socket, iov, 2, fds, nfds, deadline, ret_sent);
}

/*
 * The sending side is ours.  A message cut short is the last one: what came
 * after it would be taken for its end.  The receiver is told by an end of file
 * in the middle, at once, and not left to wait for the rest.
 */
static int
send_frames(struct mproc_connection *c, const struct mproc__frame *frame, const void *data, const int *fds,
            int64_t deadline)
{
        struct mproc__frame announcement = { .kind = MPROC__FRAME_ANNOUNCEMENT, .nfds = frame->nfds };
        size_t sent = 0;
        int r = 0;

        if (c->send_broken)
                return mproc__fail(MPROC_EBROKEN,
                                   "connection: an earlier message could not be sent to its end, so no "
                                   "other can follow it; close the connection");
        if ((r = check_fds(fds, frame->nfds)) < 0)
                return r;
        if (frame->nfds > 0 && (r = send_frame(c->socket, &announcement, NULL, NULL, deadline, &sent)) == 0)
                sent = 0;
        if (r == 0)
                r = send_frame(c->socket, frame, data, fds, deadline, &sent);
        if (r == 0)
                return 0;
        if (sent > 0 && r != -EPIPE) {
                c->send_broken = true;
                (void)shutdown(c->socket, SHUT_WR);
        }
        return send_failed(r, sent);
}

int
mproc__message_send(struct mproc_connection *c, enum mproc__frame_kind kind, const void *data, size_t len,
                    const int *fds, size_t nfds, int64_t deadline)
{
        struct mproc__frame frame = { .len = len, .kind = (uint16_t)kind, .nfds = (uint16_t)nfds };
        int r;

        if ((r = mproc__connection_begin(c, MPROC__USE_SEND, deadline)) < 0)
                return r;
        r = send_frames(c, &frame, data, fds, deadline);
        return mproc__connection_end(c, MPROC__USE_SEND, r);
}

int
mproc_connection_send_fds(mproc_connection *connection, const void *data, size_t len_bytes, const int *fds,
                          size_t nfds, int64_t timeout_ms)
{
        if ((data == NULL && len_bytes > 0) || (fds == NULL && nfds > 0))
                return mproc__fail(-EINVAL, "connection: NULL given for %s",
                                   data == NULL ? "the message" : "descriptors");
        if (len_bytes > SIZE_MAX / 2 - MPROC__FRAME_BYTES)
                return mproc__fail(-EINVAL, "connection: a message of %zu bytes is no length of memory", len_bytes);
        if (nfds > MPROC_CONNECTION_MAX_FDS)
                return mproc__fail(-EINVAL, "connection: %zu descriptors beside one message; at most %d can travel",
                                   nfds, MPROC_CONNECTION_MAX_FDS);
        return mproc__message_send(connection, MPROC__FRAME_MESSAGE, data, len_bytes, fds, nfds,
                                   mproc__deadline(timeout_ms));
}

int
mproc_connection_send(mproc_connection *connection, const void *data, size_t len_bytes, int64_t timeout_ms)
{
        return mproc_connection_send_fds(connection, data, len_bytes, NULL, 0, timeout_ms);
}

/* --- receiving ------------------------------------------------------------------------------------ */

/* Where a message is to go. */
struct destination {
        void *buffer; /* NULL with alloc: memory of its own */
        size_t capacity;
        bool alloc;
        int *fds; /* has room for *nfds; nfds NULL: descriptors are not wanted */
        size_t *nfds;
        void *data; /* out: alloc's memory */
        size_t len; /* out, also when it does not fit */
};

static int
check_fits(const struct mproc__frame *frame, struct destination *to)
{
        size_t room = to->nfds == NULL ? 0 : *to->nfds;

        if (frame->kind != MPROC__FRAME_MESSAGE)
                return mproc__fail(MPROC_EPROTO,
                                   "connection: what comes next is not a message but a connection; receive "
                                   "it with mproc_connection_recv_connection");
        to->len = (size_t)frame->len;
        if (to->nfds != NULL)
                *to->nfds = frame->nfds;
        if (!to->alloc && to->len > to->capacity)
                return mproc__fail(
                        MPROC_ETOOSMALL,
                        "connection: the message has %zu bytes, the buffer %zu; the message stays: receive "
                        "it again with more room",
                        to->len, to->capacity);
        if (to->nfds != NULL && frame->nfds > room)
                return mproc__fail(MPROC_ETOOSMALL,
                                   "connection: %u descriptors came beside the message, there is room for %zu; the "
                                   "message stays: receive it again with more room",
                                   frame->nfds, room);
        return 0;
}

/* The receiving side is ours. */
static int
receive_message(struct mproc_connection *c, struct destination *to, int64_t deadline)
{
        struct mproc__frame frame;
        int r;

        if ((r = mproc__incoming_look(&c->in, c->socket, to->nfds != NULL, deadline, &frame)) < 0 ||
            (r = check_fits(&frame, to)) < 0)
                return r;
        if (to->nfds != NULL && c->in.nfds != frame.nfds)
                return mproc__fail(-EMFILE,
                                   "connection: the descriptors beside this message are lost: a receive that did not "
                                   "ask for them began it when there was no room for them; receive it without");
        if (to->alloc)
                r = mproc__incoming_gather(&c->in, c->socket, deadline);
        else
                r = mproc__incoming_read(&c->in, c->socket, to->buffer, deadline);
        if (r < 0)
                return r;
        if (to->alloc) {
                to->data = c->in.data;
                c->in.data = NULL;
        }
        if (to->nfds != NULL) {
                if (c->in.nfds > 0)
                        memcpy(to->fds, c->in.fds, c->in.nfds * sizeof(int));
                c->in.nfds = 0;
        }
        mproc__incoming_reset(&c->in);
        return 0;
}

static int
receive(struct mproc_connection *c, struct destination *to, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        int r;

        if ((r = mproc__connection_begin(c, MPROC__USE_RECEIVE, deadline)) < 0)
                return r;
        r = receive_message(c, to, deadline);
        return mproc__connection_end(c, MPROC__USE_RECEIVE, r);
}

int
mproc_connection_recv_fds(mproc_connection *connection, void *buffer, size_t capacity, size_t *ret_len_bytes,
                          int *fds, size_t *nfds, int64_t timeout_ms)
{
        size_t count = nfds == NULL ? 0 : *nfds;
        struct destination to = { .buffer = buffer, .capacity = capacity, .fds = fds, .nfds = nfds ? &count : NULL };
        int r;

        if ((buffer == NULL && capacity > 0) || (fds == NULL && count > 0))
                return mproc__fail(-EINVAL, "connection: NULL given for %s",
                                   fds == NULL && count > 0 ? "descriptors" : "the buffer");
        r = receive(connection, &to, timeout_ms);
        if (r == 0 || r == MPROC_ETOOSMALL) {
                if (ret_len_bytes != NULL)
                        *ret_len_bytes = to.len;
                if (nfds != NULL)
                        *nfds = count;
        }
        return r;
}

int
mproc_connection_recv(mproc_connection *connection, void *buffer, size_t capacity, size_t *ret_len_bytes,
                      int64_t timeout_ms)
{
        return mproc_connection_recv_fds(connection, buffer, capacity, ret_len_bytes, NULL, NULL, timeout_ms);
}

int
mproc_connection_recv_alloc(mproc_connection *connection, void **ret_data, size_t *ret_len_bytes, int64_t timeout_ms)
{
        struct destination to = { .alloc = true };
        int r;

        if (ret_data == NULL)
                return mproc__fail(-EINVAL, "connection: NULL given for where the message is to be told");
        if ((r = receive(connection, &to, timeout_ms)) < 0)
                return r;
        *ret_data = to.data;
        if (ret_len_bytes != NULL)
                *ret_len_bytes = to.len;
        return 0;
}
