/* SPDX-License-Identifier: MIT */
/*
 * start/forkserver_main.c - the fork server.
 *
 * Runs in: fork server, which has one thread and, but for what it was told to
 * preload, nothing of the program's in it.
 * Owns: the request socket; for children that are not their asker's, the channel,
 * on which it reports how they ended.
 *
 * Its children become children of its own parent where that is who asked: he can
 * wait for them himself.  For everybody else the server is the parent, and reports.
 */
#include "core/error.h"
#include "platform/platform.h"
#include "start/child.h"
#include "start/destructors.h"
#include "start/entry.h"
#include "start/forkserver.h"
#include "start/preload.h"
#include "start/start.h"
#include "start/status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct served {
        pid_t pid;
        int channel;
        uint64_t token;
        struct served *next;
};

static struct {
        int requests;
        bool plain_fork; /* something was preloaded: its fork handlers have to run */
        int preload_error;
        struct served *children; /* those we have to wait for */
        bool waits;              /* there has been one, and SIGCHLD is caught */
} server;

static void
on_child(int signal)
{
        (void)signal; /* it interrupts ppoll */
}

/*
 * SIGINT and SIGQUIT, which a terminal sends to everybody, stay blocked: that costs a
 * child nothing to undo.  So does SIGCHLD, but while we wait.
 */
static void
set_mask(void)
{
        sigset_t mask;

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGINT);
        (void)sigaddset(&mask, SIGQUIT);
        (void)sigaddset(&mask, SIGCHLD);
        (void)sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* For the first child that is ours to wait for. */
static void
catch_children(void)
{
        struct sigaction action = { .sa_handler = on_child };

        if (!server.waits)
                (void)sigaction(SIGCHLD, &action, NULL);
        server.waits = true;
}

static void
unset_signals_in_child(void)
{
        struct sigaction normal = { .sa_handler = SIG_DFL };

        if (server.waits)
                (void)sigaction(SIGCHLD, &normal, NULL);
}

static void
report(struct served *child, const struct mproc__exit *how)
{
        struct mproc__status s = {
                .kind = MPROC__STATUS_EXIT,
                .token = child->token,
                .pid = (int32_t)child->pid,
                .exitcode = how->exitcode,
                .core_dumped = how->core_dumped,
                .user_us = (int64_t)how->usage.ru_utime.tv_sec * 1000000 + how->usage.ru_utime.tv_usec,
                .system_us = (int64_t)how->usage.ru_stime.tv_sec * 1000000 + how->usage.ru_stime.tv_usec,
                .maxrss_bytes = (int64_t)how->usage.ru_maxrss * 1024,
        };

        mproc__status_send(child->channel, &s, NULL, NULL, -1);
}

static void
reap(void)
{
        for (struct served **p = &server.children; *p;) {
                struct served *child = *p;
                struct mproc__exit how;
                enum mproc__wait_result r = mproc__plat_wait(child->pid, -1, &how);

                if (r == MPROC__WAIT_RUNNING) {
                        p = &child->next;
                        continue;
                }
                if (r == MPROC__WAIT_ENDED)
                        report(child, &how);
                mproc__plat_close(&child->channel);
                *p = child->next;
                free(child);
        }
}

ssize_t
mproc__forkserver_receive(int requests, int *ret_channel, pid_t *ret_asker, uint64_t *ret_token)
{
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 4)];
        } control;
        struct iovec iov = { .iov_base = ret_token, .iov_len = sizeof *ret_token };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
        };
        ssize_t n = recvmsg(requests, &m, MSG_CMSG_CLOEXEC);

        *ret_channel = -1;
        *ret_asker = 0;
        if (n < 0 || (n == 0 && m.msg_controllen == 0))
                return n;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_CREDENTIALS) {
                        struct ucred cred;

                        memcpy(&cred, CMSG_DATA(c), sizeof cred);
                        *ret_asker = cred.pid;
                } else if (c->cmsg_type == SCM_RIGHTS) {
                        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                                int fd;

                                memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                                mproc__plat_close(ret_channel);
                                *ret_channel = fd;
                        }
                }
        }
        if (n > 0)
                return n;
        mproc__plat_close(ret_channel); /* an empty packet is no end of file: beside that stands nothing */
        return -1;
}

static void
refuse(int channel, uint64_t token, const char *step, int code, const char *text)
{
        struct mproc__status s = { .kind = MPROC__STATUS_FAILED, .code = code, .token = token };

        mproc__status_send(channel, &s, step, text, -1);
        mproc__plat_close(&channel);
}

/* In the newborn child: nothing of the server stays but its memory.  The channel moves to its usual number. */
static int
become_child(int channel)
{
        unset_signals_in_child();
        for (struct served *c = server.children, *next; c; c = next) {
                next = c->next;
                mproc__plat_close(&c->channel);
                free(c);
        }
        if (channel != server.requests)
                mproc__plat_newborn_move(channel, server.requests);
        return server.requests;
}

/* explicit_bzero(3), which is three page faults away. */
static void
wipe(uint64_t *token)
{
        *(volatile uint64_t *)token = 0;
}

static int
fork_for(pid_t asker, pid_t *ret_pid, int *ret_pidfd, bool *ret_sibling)
{
        int r;

        *ret_sibling = false;
        *ret_pidfd = -1;
        if (!server.plain_fork && asker > 0 && asker == getppid()) {
                r = mproc__plat_fork_sibling(ret_pid, ret_pidfd);
                *ret_sibling = r == 0;
                if (r != -ENOSYS)
                        return r;
        }
        catch_children();
        if ((r = mproc__plat_fork(ret_pid)) == 0 && *ret_pid > 0)
                (void)mproc__plat_pidfd_open(*ret_pid, ret_pidfd); /* -1 where there are none */
        return r;
}

/*
 * Keep what is needed to report how it ended.  Without memory for that, the parent
 * learns it from the pidfd or not at all.
 */
static void
remember(pid_t pid, int channel, uint64_t token)
{
        struct served *child = malloc(sizeof *child);

        if (!child) {
                mproc__plat_close(&channel);
                return;
        }
        child->pid = pid;
        child->channel = channel;
        child->token = token;
        child->next = server.children;
        server.children = child;
}

/*
 * Returns true in the child.  The hello goes out before our copy of the channel is
 * closed, so a parent that sees the end of file without one knows that we are dead, and
 * not just the child.
 */
static bool
serve(int channel, pid_t asker, uint64_t token)
{
        struct mproc__status s = { .kind = MPROC__STATUS_HELLO };
        bool sibling;
        pid_t pid;
        int pidfd, r;

        r = fork_for(asker, &pid, &pidfd, &sibling); /* returns in two processes */
        if (r < 0) {
                refuse(channel, token, "fork", r, mproc_strerror(r));
                return false;
        }
        if (pid == 0)
                return true;
        s.token = token;
        s.pid = (int32_t)pid;
        s.code = sibling;
        mproc__status_send(channel, &s, NULL, NULL, pidfd);
        mproc__plat_close(&pidfd);
        if (sibling)
                mproc__plat_close(&channel);
        else
                remember(pid, channel, token);
        return false;
}

static void
prepare(void)
{
        uint8_t packet[65536]; /* on the stack: the server's own memory is copied, page by page, by its children */
        ssize_t n = recv(server.requests, packet, sizeof packet, 0);
        struct mproc__decoder d = { .data = packet, .len = n > 0 ? (size_t)n : 0 };
        struct mproc__decoder count = d;

        if (n <= 0)
                exit(0);
        server.plain_fork = mproc__dec_u32(&count) > 0;
        if (mproc__preload_run(&d) < 0)
                server.preload_error = MPROC_EPRELOAD;
}

int
mproc__forkserver_main(int requests)
{
        sigset_t waiting;

        (void)fcntl(requests, F_SETFD, FD_CLOEXEC);
        server.requests = requests;
        mproc__plat_set_process_name("mproc-forksrv");
        set_mask();
        (void)send(requests, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* we have come to mproc_init: see forkserver.c */
        (void)sigemptyset(&waiting);
        (void)sigaddset(&waiting, SIGINT);
        (void)sigaddset(&waiting, SIGQUIT);
        prepare();
        mproc__entry_prepare();
        if (!server.plain_fork) /* what was preloaded may have registered anything */
                mproc__destructors_look();
        mproc__child_watch_exit();
        for (;;) {
                struct pollfd p = { .fd = requests, .events = POLLIN };
                uint64_t token = 0;
                int channel;
                pid_t asker;
                ssize_t n;

                reap();
                if (server.children && ppoll(&p, 1, NULL, &waiting) < 0)
                        continue; /* SIGCHLD */
                n = mproc__forkserver_receive(requests, &channel, &asker, &token);
                if (n == 0)
                        exit(0); /* the last process that could ask is gone */
                if (n < 0 || channel < 0)
                        continue;
                if (server.preload_error) { /* the next start tries again, perhaps with another list */
                        refuse(channel, token, "preload", server.preload_error, mproc_last_error());
                        exit(1);
                }
                if (serve(channel, asker, token)) {
                        wipe(&token); /* the target may not speak for us */
                        return become_child(channel);
                }
        }
}
