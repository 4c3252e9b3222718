/* SPDX-License-Identifier: MIT */
/*
 * bench/queue/kernel.c - what the system offers: pipe, AF_UNIX seqpacket, POSIX message queue.
 *
 * Runs in: the conductor and its members.
 */
#define _GNU_SOURCE
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct ends {
        int in, out; /* written to, read from; the same for a message queue */
};

static struct ends *
make_ends(int in, int out)
{
        struct ends *ends = malloc(sizeof *ends);

        if (ends)
                ends->in = in, ends->out = out;
        return ends;
}

static void
destroy_ends(void *channel)
{
        struct ends *ends = channel;

        close(ends->in);
        if (ends->out != ends->in)
                close(ends->out);
        free(ends);
}

/* --- pipe ----------------------------------------------------------------------------------------- */

/*
 * All messages are equally long, so they carry no length.  Up to PIPE_BUF bytes are written
 * in one piece, so even several producers and consumers exchange whole messages.
 */
static void *
create_pipe(const struct bench_shape *shape)
{
        int fd[2];

        if (shape->len > 4096 && shape->producers + shape->consumers > 2) {
                bench_fail("a pipe mixes long messages of several producers");
                return NULL;
        }
        if (pipe2(fd, O_CLOEXEC) < 0) {
                bench_fail("pipe: %s", strerror(errno));
                return NULL;
        }
        return make_ends(fd[1], fd[0]);
}

static int
put_pipe(void *channel, const void *data, size_t len)
{
        const char *at = data;

        while (len > 0) {
                ssize_t n = write(((struct ends *)channel)->in, at, len);

                if (n < 0)
                        return bench_fail("write to a pipe: %s", strerror(errno));
                at += n;
                len -= (size_t)n;
        }
        return 1;
}

static int
get_pipe(void *channel, void *buffer, size_t len)
{
        char *at = buffer;

        while (len > 0) {
                ssize_t n = read(((struct ends *)channel)->out, at, len);

                if (n <= 0)
                        return bench_fail("read from a pipe: %s", n < 0 ? strerror(errno) : "end");
                at += n;
                len -= (size_t)n;
        }
        return 1;
}

const struct bench_transport bench_pipe = {
        .name = "pipe",
        .label = "pipe",
        .kinds = BENCH_FLOW | BENCH_TRIP | BENCH_SLEEP,
        .create = create_pipe,
        .put = put_pipe,
        .get = get_pipe,
        .destroy = destroy_ends,
};

/* --- seqpacket ------------------------------------------------------------------------------------ */

static void *
create_seqpacket(const struct bench_shape *shape)
{
        int fd[2], want = (int)(shape->len * 4), have = 0;
        socklen_t size = sizeof have;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0) {
                bench_fail("socketpair: %s", strerror(errno));
                return NULL;
        }
        getsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &have, &size);
        if (have < want && setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof want) < 0)
                setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &want, sizeof want);
        getsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &have, &size);
        if ((size_t)have < shape->len + 4096) {
                bench_fail("a socket takes no packets of %zu bytes from this user", shape->len);
                close(fd[0]);
                close(fd[1]);
                return NULL;
        }
        return make_ends(fd[0], fd[1]);
}

static int
put_seqpacket(void *channel, const void *data, size_t len)
{
        return send(((struct ends *)channel)->in, data, len, MSG_NOSIGNAL) == (ssize_t)len
                       ? 1
                       : bench_fail("send: %s", strerror(errno));
}

static int
get_seqpacket(void *channel, void *buffer, size_t len)
{
        return recv(((struct ends *)channel)->out, buffer, len, 0) == (ssize_t)len
                       ? 1
                       : bench_fail("recv: %s", strerror(errno));
}

const struct bench_transport bench_seqpacket = {
        .name = "seqpacket",
        .label = "AF_UNIX seqpacket",
        .kinds = BENCH_FLOW | BENCH_TRIP | BENCH_SLEEP,
        .create = create_seqpacket,
        .put = put_seqpacket,
        .get = get_seqpacket,
        .destroy = destroy_ends,
};

/* --- POSIX message queue ----------------------------------------------------------------------------- */

/* With the capacity that is asked for if this user may, else with the ten messages that anybody may have. */
static void *
create_mq(const struct bench_shape *shape)
{
        struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
        struct mq_attr attr = { .mq_maxmsg = shape->capacity, .mq_msgsize = (long)shape->len };
        char name[64];
        mqd_t mq;

        (void)setrlimit(RLIMIT_MSGQUEUE, &unlimited);
        snprintf(name, sizeof name, "/mproc-bench-%ld-%u", (long)getpid(), bench_serial());
        mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
        if (mq < 0 && attr.mq_maxmsg > 10) {
                attr.mq_maxmsg = 10;
                mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
        }
        if (mq < 0) {
                bench_fail("mq_open: %s; /proc/sys/fs/mqueue has the limits", strerror(errno));
                return NULL;
        }
        mq_unlink(name);
        return make_ends((int)mq, (int)mq);
}

static int
put_mq(void *channel, const void *data, size_t len)
{
        return mq_send(((struct ends *)channel)->in, data, len, 0) == 0 ? 1
                                                                        : bench_fail("mq_send: %s", strerror(errno));
}

static int
get_mq(void *channel, void *buffer, size_t len)
{
        return mq_receive(((struct ends *)channel)->out, buffer, len, NULL) == (ssize_t)len
                       ? 1
                       : bench_fail("mq_receive: %s", strerror(errno));
}

const struct bench_transport bench_mq = {
        .name = "posix_mq",
        .label = "POSIX mq",
        .kinds = BENCH_FLOW | BENCH_TRIP | BENCH_SLEEP | BENCH_ONE,
        .create = create_mq,
        .put = put_mq,
        .get = get_mq,
        .destroy = destroy_ends,
};
