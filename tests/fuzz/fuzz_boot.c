/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_boot.c - what a newborn process reads from its channel before its target runs.  The first byte says how
 * many descriptors go beside the first packet, the second whether another packet follows.
 */
#include "fuzz/fuzz.h"
#include "start/boot.h"
#include "start/channel.h"

#include <mproc/mproc.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKET = 12000, FDS = 3 };

static int
target(mproc_args *args)
{
        (void)args;
        return 0;
}

/* What a parent would send, without its descriptors.  Made once: later this process has become somebody else. */
void
fuzz_seeds(give_seed *give)
{
        static uint8_t seed[2 + PACKET];
        static size_t size;

        if (size == 0) {
                struct mproc__launch launch = { .target = target, .name = "Process-1", .identity = "1" };
                int ours = -1, childs = -1;
                ssize_t n;

                MUST(mproc__args_gather(MPROC_ARGS(7, "text", 2.5, mproc_fd(0)), &launch.args) == 0);
                MUST(mproc__boot_prepare(&launch, "spawn", 0, -1, &ours, &childs) == 0);
                n = recv(childs, seed + 2, PACKET, MSG_DONTWAIT);
                MUST(n > 0);
                size = 2 + (size_t)n;
                seed[0] = 1;
                mproc__args_free(launch.args);
                mproc__channel_close(&ours);
                mproc__channel_close(&childs);
        }
        give("genuine", seed, size);
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

void
fuzz_one(const uint8_t *data, size_t size)
{
        static const struct mproc__self nobody = { .name = "fuzz", .identity = "", .channel = -1 };
        struct mproc__boot boot = { .args = NULL };
        const char *step = NULL;
        int fd[2];

        if (size < 3)
                return;
        MUST(mproc__channel_make(fd) == 0);
        send_packet(fd[0], data + 2, size - 2, data[0] % (FDS + 1));
        if (data[1] & 1)
                send_packet(fd[0], data, 1, data[1] >> 1 & 3);
        mproc__channel_close(&fd[0]);
        if (mproc__boot_receive(fd[1], &boot, &step) == 0) {
                for (size_t i = 0; i < mproc_args_count(boot.args); i++)
                        (void)mproc_args_type(boot.args, i);
                mproc__args_free(boot.args);
        } else {
                MUST(step);
        }
        mproc__channel_close(&fd[1]);
        mproc__self_become(&nobody); /* the names that came lie in a buffer that is used again */
}
