/* SPDX-License-Identifier: MIT */
/*
 * connection_help.h - what the tests of connections have in common: messages
 * whose bytes tell where they belong, and threads that send or receive them.
 */
#ifndef CONNECTION_HELP_H
#define CONNECTION_HELP_H

#include "support/runner.h"

#include <dirent.h>
#include <mproc/mproc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_MS scaled_ms(30000) /* a wait that is not meant to run out */

/* The byte at a place of a test message: any shift, cut or mixture shows. */
static inline uint8_t
pattern(size_t at, unsigned seed)
{
        return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16) + seed);
}

static inline uint8_t *
make_message(size_t len, unsigned seed)
{
        uint8_t *data = malloc(len + 1);

        CHECK(data != NULL);
        for (size_t i = 0; i < len; i++)
                data[i] = pattern(i, seed);
        return data;
}

static inline void
check_message(const uint8_t *data, size_t len, unsigned seed)
{
        for (size_t i = 0; i < len; i++)
                if (data[i] != pattern(i, seed))
                        CHECK_MSG(false, "byte %zu of %zu is wrong", i, len);
}

struct transfer {
        mproc_connection *connection;
        size_t len, count;
        unsigned seed;
        int64_t timeout_ms;
        int result;
};

static inline void *
send_messages(void *arg)
{
        struct transfer *t = arg;
        uint8_t *data = make_message(t->len, t->seed);

        t->result = 0;
        for (size_t i = 0; i < t->count && t->result == 0; i++)
                t->result = mproc_connection_send(t->connection, data, t->len, t->timeout_ms);
        free(data);
        return NULL;
}

static inline pthread_t
start_sender(struct transfer *t)
{
        pthread_t thread;

        CHECK_INT(pthread_create(&thread, NULL, send_messages, t), 0);
        return thread;
}

static inline void
make_pipe(mproc_connection **a, mproc_connection **b)
{
        CHECK_OK(mproc_pipe_create(NULL, a, b));
}

static inline void
free_pipe(mproc_connection *a, mproc_connection *b)
{
        mproc_connection_free(a);
        mproc_connection_free(b);
}

static inline void
send_text(mproc_connection *c, const char *text)
{
        CHECK_OK(mproc_connection_send(c, text, strlen(text) + 1, LONG_MS));
}

static inline void
expect_text(mproc_connection *c, const char *text)
{
        char buffer[256];
        size_t len;

        CHECK_OK(mproc_connection_recv(c, buffer, sizeof buffer, &len, LONG_MS));
        CHECK_INT(len, strlen(text) + 1);
        CHECK_STR(buffer, text);
}

static inline void *
receive_for_ever(void *arg)
{
        struct transfer *t = arg;
        char byte;

        t->result = mproc_connection_recv(t->connection, &byte, 1, NULL, MPROC_FOREVER);
        return NULL;
}

/* Another thread is receiving from it now, or about to wait. */
static inline bool
is_being_received_from(mproc_connection *c)
{
        char byte;

        return mproc_connection_recv(c, &byte, 0, NULL, MPROC_NOWAIT) == MPROC_ETIMEDOUT &&
               strstr(mproc_last_error(), "another thread") != NULL;
}

/* --- the other end as a bare socket: see docs/wire.md --------------------------------------------- */

#define HEADER_BYTES 16

enum { KIND_MESSAGE = 1, KIND_GIFT = 2, KIND_ANNOUNCEMENT = 3 };

static inline void
make_header(uint8_t *header, unsigned kind, size_t nfds, uint64_t len)
{
        uint16_t kind16 = (uint16_t)kind, nfds16 = (uint16_t)nfds;

        memcpy(header, "mpc1", 4);
        memcpy(header + 4, &kind16, 2);
        memcpy(header + 6, &nfds16, 2);
        memcpy(header + 8, &len, 8);
}

static inline void
raw_send(int fd, const void *data, size_t len, const int *fds, size_t nfds)
{
        char control[CMSG_SPACE(253 * sizeof(int))] __attribute__((aligned(sizeof(size_t)))) = { 0 };
        struct iovec iov = { (void *)(uintptr_t)data, len };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        struct cmsghdr *cmsg;

        if (nfds > 0) {
                message.msg_control = control;
                message.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
                cmsg = CMSG_FIRSTHDR(&message);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
                memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
        }
        CHECK_INT(sendmsg(fd, &message, MSG_NOSIGNAL), len);
}

/* What goes before a frame with descriptors. */
static inline void
raw_announce(int fd, size_t nfds)
{
        uint8_t header[HEADER_BYTES];

        make_header(header, KIND_ANNOUNCEMENT, nfds, 0);
        raw_send(fd, header, sizeof header, NULL, 0);
}

/* A connection whose other end is a bare socket. */
static inline mproc_connection *
half_raw_pipe(int *ret_raw)
{
        mproc_connection *c;
        int fds[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        CHECK_OK(mproc_connection_from_fd(NULL, fds[0], MPROC_CONNECTION_READ | MPROC_CONNECTION_WRITE, &c));
        *ret_raw = fds[1];
        return c;
}

#endif
