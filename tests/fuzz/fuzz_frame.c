/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_frame.c - what comes over a connection from somebody who does not keep to docs/wire.md: raw bytes
 * and, on the first of them, descriptors.  The first byte says how the stream is cut into pieces.
 */
#include "fuzz/fuzz.h"
#include "wire/frame.h"

#include <fcntl.h>
#include <mproc/mproc.h>
#include <sys/socket.h>
#include <unistd.h>

void
fuzz_seeds(give_seed *give)
{
        uint8_t seed[200] = { 0 };

        for (int kind = 1; kind <= 3; kind++) {
                struct mproc__frame frame = { .len = kind == 3 ? 0 : 20, .kind = (uint16_t)kind, .nfds = 1 };

                mproc__frame_encode(&frame, seed + 1);
                give(kind == 1 ? "message" : kind == 2 ? "gift" : "announcement", seed, 40);
                frame.nfds = 0;
                mproc__frame_encode(&frame, seed + 1);
                mproc__frame_encode(&frame, seed + 1 + 36);
                give(kind == 1 ? "messages" : kind == 2 ? "gifts" : "announcements", seed, 80);
        }
}

static void
send_with_fd(int socket, const uint8_t *data, size_t size)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .bytes = { 0 } };
        struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        struct cmsghdr *c;

        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &(int){ 0 }, sizeof(int));
        (void)sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
receive(mproc_connection *connection, unsigned how)
{
        mproc_connection *gift;
        int fds[4], r;
        char buffer[64];
        size_t len, nfds = 4;
        void *data;

        switch (how % 4) {
        case 0:
                (void)mproc_connection_recv(connection, buffer, sizeof buffer, &len, 0);
                break;
        case 1:
                if (mproc_connection_recv_alloc(connection, &data, &len, 0) == 0)
                        free(data);
                break;
        case 2:
                r = mproc_connection_recv_fds(connection, buffer, sizeof buffer, &len, fds, &nfds, 0);
                for (size_t i = 0; r == 0 && i < nfds; i++)
                        (void)close(fds[i]);
                break;
        default:
                if (mproc_connection_recv_connection(connection, &gift, 0) == 0)
                        mproc_connection_free(gift);
        }
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        struct mproc__frame frame, again;
        uint8_t bytes[MPROC__FRAME_BYTES];
        mproc_connection *connection;
        int fd[2];

        if (size < 1)
                return;
        if (size > MPROC__FRAME_BYTES && mproc__frame_decode(data + 1, &frame) == 0) {
                mproc__frame_encode(&frame, bytes);
                MUST(mproc__frame_decode(bytes, &again) == 0 && again.len == frame.len && again.kind == frame.kind);
        }
        MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
        MUST(mproc_connection_from_fd(NULL, fd[0], MPROC_CONNECTION_READ | MPROC_CONNECTION_WRITE, &connection) == 0);
        if (data[0] & 1)
                send_with_fd(fd[1], data + 1, size - 1);
        else if (size > 1)
                (void)send(fd[1], data + 1, size - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (data[0] & 2)
                (void)close(fd[1]);
        for (unsigned i = 0; i < 4; i++)
                receive(connection, data[0] >> (2 + i % 2 * 2));
        mproc_connection_free(connection);
        if (!(data[0] & 2))
                (void)close(fd[1]);
}
