/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_status.c - what a parent hears about a child: from the fork server, and from the child, whose target may
 * send what it likes.  Packets: two bytes of length, one that says how many descriptors go with it, then the bytes.
 * The first byte of all says who reads: the start, and then the process's handle, or the handle alone.
 */
#include "fuzz/fuzz.h"
#include "process/child.h"
#include "start/channel.h"
#include "start/forkserver.h"
#include "start/status.h"

#include <mproc/mproc.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS = 3, START = 1, OURS = 2 };

static const uint64_t token = UINT64_C(0x1122334455667788);

static size_t
put_packet(uint8_t *at, struct mproc__status *status, const char *text)
{
        size_t len = sizeof *status + strlen(text);

        at[0] = (uint8_t)len;
        at[1] = (uint8_t)(len >> 8);
        at[2] = 0;
        memcpy(at + 3, status, sizeof *status);
        memcpy(at + 3 + sizeof *status, text, strlen(text));
        return 3 + len;
}

void
fuzz_seeds(give_seed *give)
{
        static const uint32_t kinds[] = { MPROC__STATUS_HELLO, MPROC__STATUS_RUNNING, MPROC__STATUS_FAILED,
                                          MPROC__STATUS_ENDED, MPROC__STATUS_EXIT };
        static const char *const names[] = { "hello", "running", "failed", "ended", "exit" };
        uint8_t seed[2000];

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                for (size_t k = 0; k < 2; k++) {
                        struct mproc__status status = { .kind = kinds[i], .pid = 1, .code = -5, .step = "exec" };
                        size_t len = 1;

                        seed[0] = (uint8_t)k;
                        len += put_packet(seed + len, &status, "words");
                        status.token = token;
                        status.code = (int)i % 2;
                        len += put_packet(seed + len, &status, "other words");
                        status.kind = MPROC__STATUS_ENDED;
                        len += put_packet(seed + len, &status, "");
                        give(names[i], seed, len);
                }
}

static void
send_packet(int socket, const uint8_t *data, size_t size, unsigned nfds)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(FDS * sizeof(int))];
        } control = { .bytes = { 0 } };
        struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        int fds[FDS] = { 0, 1, 0 };

        if (nfds > 0) {
                struct cmsghdr *c;

                m.msg_control = control.bytes;
                m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
                c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
                memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
        }
        (void)sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
send_all(int socket, const uint8_t *data, size_t size)
{
        while (size > 3) {
                size_t len = (size_t)data[0] | (size_t)(data[1] & 3) << 8;
                unsigned nfds = data[2] % (FDS + 1);

                data += 3, size -= 3;
                if (len > size)
                        len = size;
                send_packet(socket, data, len, nfds);
                data += len, size -= len;
        }
}

/* Not a child of ours, whatever was said; it has no end but the channel's. */
static void
follow(struct mproc__started *started)
{
        struct mproc__child *child = mproc__child_new("fuzz", true);

        MUST(child);
        mproc__channel_close(&started->pidfd);
        mproc__child_add(child, started);
        MUST(mproc__child_poll(child));
        MUST(child->ended && memchr(child->step, 0, sizeof child->step) &&
             memchr(child->text, 0, sizeof child->text));
        MUST(child->exit.exitcode >= -64 || child->exit.exitcode == MPROC_EXITCODE_UNKNOWN);
        MUST(child->exit.exitcode <= 255);
        mproc__child_close(child);
        mproc__child_unref(child);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        struct mproc__started started = { .pid = 1, .pidfd = -1, .channel = -1, .announces = true, .token = token };
        int fd[2], r = 0;

        if (size < 1)
                return;
        MUST(mproc__channel_make(fd) == 0);
        send_all(fd[0], data + 1, size - 1);
        mproc__channel_close(&fd[0]);
        if (data[0] & START)
                r = mproc__forkserver_await_child(fd[1], &started);
        if (r == 0) {
                MUST(started.pid > 0 && started.early_count <= 2);
                started.channel = fd[1], fd[1] = -1;
                started.ours = started.ours && (data[0] & OURS);
                follow(&started);
        }
        mproc__channel_close(&fd[1]);
}
