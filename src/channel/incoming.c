/* SPDX-License-Identifier: MIT */
/*
 * channel/incoming.c - a message on its way in; see incoming.h.
 *
 * Runs in: every process that receives.  Owns: what has been taken from the
 * socket and not yet been handed to a receiver.
 *
 * The length in a header is the other side's word.  It is compared and told,
 * but memory is asked for only as bytes arrive: a peer that announces what it
 * never sends costs us no more than it sends.
 */
#include "channel/incoming.h"

#include "core/error.h"
#include "platform/platform.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Memory for a message is had in steps: this much, then twice of what has arrived. */
#define FIRST_STEP ((size_t)1 << 20)

static int
table_is_full(size_t wanted)
{
        struct rlimit limit = { 0, 0 };

        (void)getrlimit(RLIMIT_NOFILE, &limit);
        return mproc__fail(
                -EMFILE,
                "connection: no room for the %zu descriptors beside the next message: this process may have "
                "%llu open (RLIMIT_NOFILE), or the system is at its limit (fs.file-max); the message stays: "
                "close some, or raise the limit, and receive again",
                wanted, (unsigned long long)limit.rlim_cur);
}

/* The words for a result of a receiving system call; for what is no failure of the connection. */
static int
receive_failed(struct mproc__incoming *in, int r)
{
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(
                        r, in->header_got > 0
                                   ? "connection: time ran out in the middle of a message; what has come is kept"
                                   : "connection: no message came in time");
        return mproc__fail_errno(-r, "connection: receiving failed");
}

static void
close_fds(struct mproc__incoming *in)
{
        for (size_t i = 0; i < in->nfds; i++)
                mproc__plat_close(&in->fds[i]);
        free(in->fds);
        in->fds = NULL;
        in->nfds = 0;
}

void
mproc__incoming_reset(struct mproc__incoming *in)
{
        int failed = in->failed;

        close_fds(in);
        free(in->data);
        memset(in, 0, sizeof(*in));
        in->failed = failed;
}

/* The end of all receiving: what has been kept is of no use any more. */
static int
no_more(struct mproc__incoming *in, int code)
{
        mproc__incoming_reset(in);
        in->failed = code;
        if (code == MPROC_EBROKEN)
                return mproc__fail(code, "connection: the other side died, or gave up sending, in the middle of a "
                                         "message; nothing more can be received: close it");
        return mproc__fail(code, "connection: what arrives is not a message of mproc: is the other end a connection, "
                                 "and is this the only process that receives here? close it");
}

static bool
begun(const struct mproc__incoming *in)
{
        return in->header_got == MPROC__FRAME_BYTES;
}

bool
mproc__incoming_is_ready(const struct mproc__incoming *in)
{
        return in->failed != 0 || (begun(in) && in->got == in->frame.len);
}

/*
 * Duplicate the descriptors that wait beside the next byte.  They are not taken
 * away by this: taking the byte without asking for them, as take() does, lets
 * the kernel drop its own.
 */
static int
peek_fds(struct mproc__incoming *in, int socket, size_t announced)
{
        int fds[MPROC__FDPASS_MAX];
        size_t nfds;
        uint8_t byte;
        ssize_t n;

        n = mproc__peek_fds(socket, &byte, 1, fds, &nfds, 0);
        if (n == -EMFILE)
                return table_is_full(announced);
        if (n < 0)
                return receive_failed(in, (int)n);
        if (nfds == 0)
                return 0;
        in->fds = malloc(nfds * sizeof(*fds));
        if (in->fds == NULL) {
                for (size_t i = 0; i < nfds; i++)
                        mproc__plat_close(&fds[i]);
                return mproc__fail(-ENOMEM, "connection: no memory for %zu descriptors; the message stays", nfds);
        }
        memcpy(in->fds, fds, nfds * sizeof(*fds));
        in->nfds = nfds;
        return 0;
}

int
mproc__incoming_take_fds(struct mproc__incoming *in, int socket)
{
        int r;

        if (in->header_got > 0 || in->frame.nfds == 0)
                return 0;
        close_fds(in);
        if ((r = peek_fds(in, socket, in->frame.nfds)) < 0)
                return r;
        if (in->nfds != in->frame.nfds)
                return no_more(in, MPROC_EPROTO);
        return 0;
}

/*
 * A header in pieces.  mproc sends the header with the message's first bytes in
 * one call, and no socket buffer is so small that Linux would divide it; so this
 * is for foreign peers.  The pieces have to be taken, or the socket would be
 * readable without end while we wait for more; the descriptors ride on the
 * first of them.
 */
static int
collect_header(struct mproc__incoming *in, int socket, int64_t deadline)
{
        ssize_t n;
        int r;

        if (in->header_got == 0) {
                close_fds(in);
                if ((r = peek_fds(in, socket, 1)) < 0)
                        return r;
        }
        while (!begun(in)) {
                n = mproc__recv_fds(socket, in->header + in->header_got, MPROC__FRAME_BYTES - in->header_got, NULL,
                                    NULL, deadline);
                if (n < 0)
                        return receive_failed(in, (int)n);
                if (n == 0)
                        return no_more(in, MPROC_EBROKEN);
                in->header_got += (size_t)n;
        }
        if (mproc__frame_decode(in->header, &in->frame) < 0 || in->nfds != in->frame.nfds)
                return no_more(in, MPROC_EPROTO);
        return 0;
}

int
mproc__incoming_look(struct mproc__incoming *in, int socket, int64_t deadline, struct mproc__frame *ret_frame)
{
        ssize_t n;
        int r;

        if (in->failed != 0)
                return no_more(in, in->failed);
        if (in->header_got == 0) {
                n = mproc__peek_fds(socket, in->header, MPROC__FRAME_BYTES, NULL, NULL, deadline);
                if (n < 0)
                        return receive_failed(in, (int)n);
                if (n == 0)
                        return mproc__fail(MPROC_EEOF, "connection: end of file: the other side is closed");
                if (n == MPROC__FRAME_BYTES && mproc__frame_decode(in->header, &in->frame) < 0)
                        return no_more(in, MPROC_EPROTO);
                if (n < MPROC__FRAME_BYTES && (r = collect_header(in, socket, deadline)) < 0)
                        return r;
        } else if (!begun(in) && (r = collect_header(in, socket, deadline)) < 0) {
                return r;
        }
        *ret_frame = in->frame;
        return 0;
}

/*
 * Take bytes of the message from the socket, and with the first of them the
 * header that was only looked at so far.  That header must come out as it was
 * seen: if not, another process receives from the same socket.
 */
static int
take(struct mproc__incoming *in, int socket, void *buffer, size_t room, int64_t deadline, size_t *ret_n)
{
        uint8_t header[MPROC__FRAME_BYTES];
        struct iovec iov[2] = { { header, sizeof(header) }, { buffer, room } };
        bool first = in->header_got == 0;
        ssize_t n;

        n = mproc__recv_iov(socket, first ? iov : iov + 1, first ? 2 : 1, deadline);
        if (n < 0)
                return receive_failed(in, (int)n);
        if (first) {
                if (n < MPROC__FRAME_BYTES || memcmp(header, in->header, sizeof(header)) != 0)
                        return no_more(in, MPROC_EPROTO);
                in->header_got = MPROC__FRAME_BYTES;
                n -= MPROC__FRAME_BYTES;
        } else if (n == 0) {
                return no_more(in, MPROC_EBROKEN);
        }
        *ret_n = (size_t)n;
        return 0;
}

/* What a receive got into its user's buffer before its time ran out becomes ours. */
static int
keep(struct mproc__incoming *in, const void *buffer, size_t got)
{
        in->data = malloc(got > 0 ? got : 1);
        if (in->data == NULL) {
                in->failed = MPROC_EBROKEN;
                return mproc__fail(
                        -ENOMEM,
                        "connection: time ran out in the middle of a message, and there is no memory to keep "
                        "the %zu bytes that have come; nothing more can be received: close it",
                        got);
        }
        memcpy(in->data, buffer, got);
        in->got = in->capacity = got;
        return 0;
}

static int
read_direct(struct mproc__incoming *in, int socket, uint8_t *buffer, int64_t deadline)
{
        size_t len = (size_t)in->frame.len;
        size_t got = 0, n;
        int r;

        while (!begun(in) || got < len) {
                r = take(in, socket, buffer + got, len - got, deadline, &n);
                if (r < 0 && in->failed == 0 && begun(in)) {
                        int kept = keep(in, buffer, got);

                        return kept < 0 ? kept : r;
                }
                if (r < 0)
                        return r;
                got += n;
        }
        return 0;
}

static int
grow(struct mproc__incoming *in)
{
        size_t len = (size_t)in->frame.len;
        size_t capacity = in->got > FIRST_STEP / 2 ? in->got * 2 : FIRST_STEP;
        uint8_t *data;

        if (in->data != NULL && in->got < in->capacity)
                return 0;
        if (capacity > len)
                capacity = len;
        data = realloc(in->data, capacity > 0 ? capacity : 1);
        if (data == NULL)
                return mproc__fail(-ENOMEM, "connection: no memory for a message of %zu bytes; it stays", len);
        in->data = data;
        in->capacity = capacity;
        return 0;
}

int
mproc__incoming_gather(struct mproc__incoming *in, int socket, int64_t deadline)
{
        size_t n;
        int r;

        while (in->data == NULL || !begun(in) || in->got < in->frame.len) {
                if ((r = grow(in)) < 0)
                        return r;
                if (begun(in) && in->got == in->frame.len)
                        break; /* an empty message whose header came in pieces */
                r = take(in, socket, in->data + in->got, in->capacity - in->got, deadline, &n);
                if (r < 0)
                        return r;
                in->got += n;
        }
        return 0;
}

int
mproc__incoming_read(struct mproc__incoming *in, int socket, void *buffer, int64_t deadline)
{
        int r;

        if (in->header_got == 0 && in->data == NULL)
                return read_direct(in, socket, buffer, deadline);
        if ((r = mproc__incoming_gather(in, socket, deadline)) < 0)
                return r;
        if (in->frame.len > 0)
                memcpy(buffer, in->data, (size_t)in->frame.len);
        return 0;
}
