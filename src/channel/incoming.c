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

static int
store_fds(struct mproc__incoming *in, const int *fds, size_t nfds)
{
        if (nfds == 0)
                return 0;
        in->fds = malloc(nfds * sizeof(*fds));
        if (in->fds == NULL)
                return mproc__fail(-ENOMEM, "connection: no memory for %zu descriptors; the message stays", nfds);
        memcpy(in->fds, fds, nfds * sizeof(*fds));
        in->nfds = nfds;
        return 0;
}

/*
 * A header with descriptors has been announced.  Duplicate them before it is
 * taken, as it can stay where it is if there is no room for them.  Taking it
 * without asking for them, as receive_header() does, then lets the kernel drop
 * its own.  To a receive that does not want them a lack of room does not matter;
 * but it gets hold of them if it can: it may run out of time, and the next one
 * may want them.
 */
static int
duplicate_fds(struct mproc__incoming *in, int socket, bool want_fds, int64_t deadline)
{
        int fds[MPROC__FDPASS_MAX];
        size_t nfds = 0;
        uint8_t byte;
        ssize_t n;
        int r = 0;

        close_fds(in); /* of an attempt that got no further */
        in->fds_lost = false;
        n = mproc__peek_fds(socket, &byte, 1, fds, &nfds, deadline);
        if (n == -EMFILE)
                r = table_is_full(in->announced);
        else if (n < 0)
                return receive_failed(in, (int)n);
        else if ((r = store_fds(in, fds, nfds)) < 0)
                for (size_t i = 0; i < nfds; i++)
                        mproc__plat_close(&fds[i]);
        if (r == 0 || want_fds)
                return r;
        in->fds_lost = true;
        return 0;
}

/*
 * The header has come.  An announcement says what to do before the next one is
 * taken.  It binds nobody: the frame it spoke of may have failed to be sent, and
 * another come instead.  Then the descriptors that were found may be those of a
 * frame further back, as Linux looks past bytes that have none; they are found
 * again when it is that frame's turn.
 */
static int
accept_header(struct mproc__incoming *in)
{
        if (mproc__frame_decode(in->header, &in->frame) < 0)
                return no_more(in, MPROC_EPROTO);
        in->announced = 0;
        if (in->frame.kind == MPROC__FRAME_ANNOUNCEMENT) {
                in->announced = in->frame.nfds;
                in->header_got = 0;
                return 0;
        }
        if (in->frame.nfds == 0)
                close_fds(in);
        if (in->nfds != in->frame.nfds && !in->fds_lost)
                return no_more(in, MPROC_EPROTO);
        in->fds_lost = false;
        return 0;
}

/* mproc sends a header in one piece, and no socket buffer is so small that Linux would divide it; others may. */
static int
receive_header(struct mproc__incoming *in, int socket, int64_t deadline)
{
        ssize_t n;

        while (!begun(in)) {
                n = mproc__recv_fds(socket, in->header + in->header_got, MPROC__FRAME_BYTES - in->header_got, NULL,
                                    NULL, deadline);
                if (n < 0)
                        return receive_failed(in, (int)n);
                if (n == 0 && in->header_got > 0)
                        return no_more(in, MPROC_EBROKEN);
                if (n == 0)
                        return mproc__fail(MPROC_EEOF, "connection: end of file: the other side is closed");
                in->header_got += (size_t)n;
        }
        return accept_header(in);
}

int
mproc__incoming_look(struct mproc__incoming *in, int socket, bool want_fds, int64_t deadline,
                     struct mproc__frame *ret_frame)
{
        int r;

        if (in->failed != 0)
                return no_more(in, in->failed);
        while (!begun(in)) {
                if (in->header_got == 0 && in->announced > 0 &&
                    (r = duplicate_fds(in, socket, want_fds, deadline)) < 0)
                        return r;
                if ((r = receive_header(in, socket, deadline)) < 0)
                        return r;
        }
        *ret_frame = in->frame;
        return 0;
}

/* Take more of the message's bytes from the socket. */
static int
take(struct mproc__incoming *in, int socket, void *buffer, size_t room, int64_t deadline, size_t *ret_n)
{
        ssize_t n = mproc__recv_fds(socket, buffer, room, NULL, NULL, deadline);

        if (n < 0)
                return receive_failed(in, (int)n);
        if (n == 0)
                return no_more(in, MPROC_EBROKEN);
        *ret_n = (size_t)n;
        return 0;
}

/* What a receive got into its user's buffer before its time ran out becomes ours. */
static int
keep(struct mproc__incoming *in, const void *buffer, size_t got)
{
        if (got == 0)
                return 0;
        in->data = malloc(got);
        if (in->data == NULL) {
                in->failed = MPROC_EBROKEN;
                return mproc__fail(-ENOMEM,
                                   "connection: time ran out in the middle of a message, and there is no memory to "
                                   "keep the %zu bytes that have come; nothing more can be received: close it",
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
        size_t got = 0, n = 0;
        int r, kept;

        while (got < len) {
                if ((r = take(in, socket, buffer + got, len - got, deadline, &n)) < 0) {
                        kept = in->failed == 0 ? keep(in, buffer, got) : 0;
                        return kept < 0 ? kept : r;
                }
                got += n;
        }
        return 0;
}

/* Room for at least one byte more, unless all are there. */
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
        size_t n = 0;
        int r;

        while (in->data == NULL || in->got < in->frame.len) {
                if ((r = grow(in)) < 0)
                        return r;
                if (in->got == in->frame.len)
                        break;
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

        if (in->data == NULL)
                return read_direct(in, socket, buffer, deadline);
        if ((r = mproc__incoming_gather(in, socket, deadline)) < 0)
                return r;
        if (in->frame.len > 0)
                memcpy(buffer, in->data, (size_t)in->frame.len);
        return 0;
}
