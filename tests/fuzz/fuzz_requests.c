/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_requests.c - what comes to the fork server: requests, and the list of what it is to preload.  The first
 * byte says how many descriptors come with it, the second whether the server asked to be told by whom.
 */
#include "fuzz/fuzz.h"
#include "start/forkserver.h"
#include "start/preload.h"
#include "wire/codec.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS = 10 };

void
fuzz_seeds(give_seed *give)
{
        static const uint8_t list[] = { 2, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 'l', 'i', 'b', 0, 0, 0, 0, 0 };
        uint8_t seed[10] = { 1, 1, 1, 2, 3, 4, 5, 6, 7, 8 };

        give("request", seed, sizeof seed);
        seed[0] = 3;
        give("three", seed, sizeof seed);
        give("short", seed, 5);
        give("preload", list, sizeof list);
}

static int
count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int n = 0;

        MUST(dir);
        while (readdir(dir))
                n++;
        (void)closedir(dir);
        return n;
}

static void
request(const uint8_t *data, size_t size, unsigned nfds, bool told)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(FDS * sizeof(int))];
        } control = { .bytes = { 0 } };
        struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        int fds[FDS] = { 0, 1, 2, 0, 1, 2, 0, 1, 2, 0 }, fd[2], channel, on = told, before = count_fds();
        uint64_t token = 0;
        pid_t asker;
        ssize_t n;

        MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) == 0);
        MUST(setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
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
        MUST(sendmsg(fd[0], &m, MSG_NOSIGNAL) == (ssize_t)size);
        n = mproc__forkserver_receive(fd[1], &channel, &asker, &token);
        MUST(size > 0 ? n > 0 : nfds > 0 || told ? n < 0 && channel < 0 : n == 0);
        if (n > 0) {
                MUST((nfds > 0) == (channel >= 0) && asker == (told ? getpid() : 0));
                MUST(channel < 0 || (fcntl(channel, F_GETFD) & FD_CLOEXEC));
        }
        if (channel >= 0)
                (void)close(channel);
        (void)close(fd[0]);
        (void)close(fd[1]);
        MUST(count_fds() == before);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        struct mproc__decoder d;

        if (size < 2)
                return;
        request(data + 2, size - 2, data[0] % (FDS + 1), data[1] & 1);
        d = (struct mproc__decoder){ .data = data + 2, .len = size - 2 };
        (void)mproc__preload_inherit(&d);
}
