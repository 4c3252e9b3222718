/* SPDX-License-Identifier: MIT */
/*
 * start/forkserver.c - the start method "forkserver", the client's side.
 *
 * Runs in: parent.
 * Owns: the socket on which all processes of the program send requests, and, if
 * this process started the server, its pid and pidfd; under MPROC__LOCK_START.
 *
 * The socket is one end of an unnamed pair of SOCK_SEQPACKET, so nobody outside the
 * program can reach it, each request arrives whole, and the server sees the end of file
 * when the last process that holds our end is gone.  A request is one byte and
 * the child's end of a channel in which everything already lies.  Processes share
 * the server by inheriting the socket through their stash; one that finds it dead
 * starts another, for itself and its later children.
 */
#include "start/forkserver.h"
#include "core/error.h"
#include "core/locks.h"
#include "core/log.h"
#include "platform/platform.h"
#include "program/executable.h"
#include "program/program.h"
#include "start/boot.h"
#include "start/channel.h"
#include "start/preload.h"
#include "start/stash.h"
#include "tracker/tracker.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

/* So many servers in a row are started for one process, and given so long to call mproc_init. */
#define ATTEMPTS 3
#define INIT_MS  30000

/* A server with a full socket is asked again after so long. */
#define BUSY_NS INT64_C(1000000)

/* One that is given up ends soon, and is reaped; if it does not, it is killed. */
#define LAST_NS INT64_C(1000000000)

static struct {
        int socket;
        pid_t pid; /* 0: not our child */
        int pidfd;
        bool asked_stash;
        unsigned serial; /* which one it is, counted by this process */
} server = { .socket = -1, .pidfd = -1 };

static bool
is_dead_locked(void)
{
        struct pollfd p[2] = { { .fd = server.socket, .events = 0 }, { .fd = server.pidfd, .events = POLLIN } };

        return mproc__plat_poll(p, 2, 0) > 0 && ((p[0].revents & (POLLHUP | POLLERR)) || (p[1].revents & POLLIN));
}

static void
kill_locked(void)
{
        if (server.pidfd >= 0)
                (void)mproc__plat_pidfd_signal(server.pidfd, SIGKILL);
        else if (server.pid > 0)
                (void)kill(server.pid, SIGKILL);
}

/*
 * A dying process gives up its socket a little before it can be reaped, and one that
 * refused to serve says so before it exits.
 */
static void
reap_locked(void)
{
        int64_t deadline = mproc__plat_now_ns() + LAST_NS;
        struct pollfd p = { .fd = server.pidfd, .events = POLLIN };
        struct mproc__exit ignored;

        while (mproc__plat_wait(server.pid, server.pidfd, &ignored) == MPROC__WAIT_RUNNING) {
                if (mproc__deadline_passed(deadline)) {
                        kill_locked();
                        deadline = MPROC__NEVER;
                }
                if (server.pidfd >= 0)
                        (void)mproc__plat_poll(&p, 1, deadline);
                else
                        mproc__plat_sleep_ns(1000000);
        }
}

static void
forget_locked(void)
{
        mproc__plat_close(&server.socket);
        if (server.pid > 0)
                reap_locked();
        mproc__plat_close(&server.pidfd);
        server.pid = 0;
}

static void
find_locked(void)
{
        if (server.socket < 0 && !server.asked_stash) {
                server.asked_stash = true;
                server.socket = mproc__stash_server();
        }
}

static void
look_locked(void)
{
        find_locked();
        if (server.socket >= 0 && is_dead_locked())
                forget_locked();
}

bool
mproc__forkserver_is_running(void)
{
        bool running;

        mproc__lock(MPROC__LOCK_START);
        look_locked();
        running = server.socket >= 0;
        mproc__unlock(MPROC__LOCK_START);
        return running;
}

int
mproc__forkserver_socket(int *ret_fd)
{
        int r = 0;

        *ret_fd = -1;
        mproc__lock(MPROC__LOCK_START);
        look_locked();
        if (server.socket >= 0 && (r = mproc__plat_dup(server.socket, ret_fd)) < 0)
                mproc__fail_errno(-r, "duplicating the fork server's socket");
        mproc__unlock(MPROC__LOCK_START);
        return r;
}

void
mproc__forkserver_forked(void)
{
        mproc__plat_close(&server.pidfd);
        server.pid = 0;
}

static int
execute_server(int requests)
{
        char argument[] = MPROC__ARG_FORKSERVER, *path;
        const char *own_name;
        struct mproc__plat_spawn spawn = { .fd3 = requests, .stay_blocked = true };
        int r = mproc__executable_acquire(&path, &own_name);

        if (r < 0)
                return r;
        char *argv[] = { (char *)(uintptr_t)own_name, argument, NULL };
        spawn.path = path;
        spawn.argv = argv;
        r = mproc__plat_spawn(&spawn, &server.pid, &server.pidfd);
        if (r < 0)
                mproc__fail_errno(-r, "starting the fork server: %s of %s", spawn.reterr_step,
                                  path ? path : "the running executable");
        mproc__executable_release(path);
        return r;
}

/* What to prepare is the first packet, there before the server is. */
static int
send_preload(int socket)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        struct iovec iov;
        int r = mproc__preload_encode(&e);

        if (r == 0 && e.error)
                r = mproc__fail(e.error, "no memory for the fork server's preload list");
        if (r == 0) {
                iov = (struct iovec){ .iov_base = e.data, .iov_len = e.len };
                if ((r = mproc__send_fds(socket, &iov, 1, NULL, 0, MPROC__AT_ONCE, NULL)) < 0)
                        mproc__fail(r, "sending the fork server its preload list: %s", mproc_strerror(r));
        }
        mproc__encoder_fini(&e);
        return r;
}

/* The first word of a server is that it has come to mproc_init.  1: it has ended instead. */
static int
await_init_locked(void)
{
        struct pollfd p[2] = { { .fd = server.socket, .events = POLLIN }, { .fd = server.pidfd, .events = POLLIN } };
        char word;

        if (mproc__plat_poll(p, 2, mproc__deadline(INIT_MS)) <= 0) {
                kill_locked();
                forget_locked();
                return mproc__fail(MPROC_ECHILDDIED, "the fork server did not answer for %d seconds: does its "
                                                     "executable's main() call mproc_init() first?", INIT_MS / 1000);
        }
        if (recv(server.socket, &word, 1, MSG_DONTWAIT) == 1)
                return 0;
        forget_locked();
        return 1;
}

static int
launch_locked(void)
{
        int fd[2] = { -1, -1 }, on = 1;
        int r = mproc__plat_socketpair(SOCK_SEQPACKET, fd);

        if (r < 0)
                return mproc__fail_errno(-r, "making the fork server's socket");
        if (setsockopt(fd[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
                r = mproc__fail_errno(errno, "preparing the fork server's socket");
        if (r == 0 && (r = send_preload(fd[0])) == 0 && (r = execute_server(fd[1])) == 0) {
                server.socket = fd[0];
                server.serial++;
                fd[0] = -1;
                mproc__plat_close(&fd[1]); /* its end is the server's alone: what we read ends when it does */
                r = await_init_locked();
        }
        mproc__plat_close(&fd[0]);
        mproc__plat_close(&fd[1]);
        return r;
}

/* One process's way to its start. */
struct request {
        unsigned launched; /* servers, for it */
        unsigned serial;   /* of the server that was asked */
        int channel;
        uint64_t token;
};

/*
 * Under the lock, so that the socket cannot be replaced between: the child's stash
 * and the request go to the same server.  1: it is dead.
 */
static int
request_locked(const struct mproc__launch *launch, int beacon, struct request *request)
{
        struct iovec iov = { .iov_base = &request->token, .iov_len = sizeof request->token };
        int childs = -1;
        int r;

        find_locked(); /* a dead one refuses the request, below: no need to ask before */
        if (server.socket < 0) {
                request->launched++;
                if ((r = launch_locked()) != 0)
                        return r;
        }
        request->serial = server.serial;
        if ((r = mproc__plat_random(&request->token, sizeof request->token)) < 0)
                return mproc__fail_errno(-r, "making the token of a request");
        if ((r = mproc__boot_prepare(launch, "forkserver", beacon, server.socket, &request->channel, &childs)) < 0)
                return r;
        r = mproc__send_fds(server.socket, &iov, 1, &childs, 1, MPROC__AT_ONCE, NULL);
        mproc__channel_close(&childs);
        if (r < 0) {
                mproc__channel_close(&request->channel);
                if (r == -EPIPE || r == -ECONNRESET) {
                        forget_locked();
                        return 1;
                }
                if (r == -ETOOMANYREFS)
                        mproc__fail(r, "asking the fork server: too many descriptors of this user are on their way in "
                                       "sockets: raise the limit on open files (RLIMIT_NOFILE), which counts for these");
                else if (r != MPROC_ETIMEDOUT)
                        mproc__fail(r, "asking the fork server: %s", mproc_strerror(r));
        }
        return r;
}

/* One status message.  0: there; 1: the channel has ended without a word. */
static int
await_word(int channel, struct mproc__word *ret, int *ret_pidfd, int64_t deadline)
{
        int fds[MPROC__FDPASS_MAX];
        size_t nfds = 0;
        ssize_t n;

        memset(ret, 0, sizeof *ret);
        n = mproc__channel_recv(channel, ret, sizeof *ret - 1, fds, &nfds, deadline);
        if (n > 0 && ret->status.kind == MPROC__STATUS_HELLO && nfds == 1) {
                *ret_pidfd = fds[0];
                nfds = 0;
        }
        for (size_t i = 0; i < nfds; i++)
                mproc__plat_close(&fds[i]);
        return n < (ssize_t)sizeof ret->status;
}

/*
 * The server says hello for the child, with its pidfd, before it lets go of the channel; the
 * child itself may be faster with a word or two of its own, which are kept for the one
 * who reads the channel.  Its end without a hello means that the server died: before it
 * forked, if the child has not spoken either.  The target, which runs by then, could say
 * hello, too, in the name of any process, and its parent would signal that one: the server shows
 * the request's token.  If the target has filled the channel, so that the server's hello is
 * lost, the child's first word, from before its target ran, has to do.
 */
int
mproc__forkserver_await_child(int channel, struct mproc__started *ret)
{
        int64_t deadline = MPROC__NEVER;
        struct mproc__word word;

        while (!mproc__deadline_passed(deadline) && await_word(channel, &word, &ret->pidfd, deadline) == 0) {
                if (word.status.token == ret->token && word.status.kind == MPROC__STATUS_HELLO &&
                    word.status.pid > 0) {
                        ret->pid = word.status.pid;
                        ret->ours = word.status.code != 0;
                        return 0;
                }
                mproc__plat_close(&ret->pidfd);
                if (word.status.token == ret->token && word.status.kind == MPROC__STATUS_FAILED)
                        return mproc__fail(word.status.code, "%.31s: %s", word.status.step, word.text);
                if (ret->early_count == 0)
                        deadline = mproc__plat_now_ns() + LAST_NS;
                if (ret->early_count < 2)
                        ret->early[ret->early_count++] = word;
        }
        if (ret->early_count == 0)
                return 1;
        if (ret->early[0].status.pid <= 0) /* it would be signalled */
                return mproc__fail(MPROC_EPROTO, "the first word of a new process names no process");
        ret->pid = ret->early[0].status.pid;
        ret->ours = true; /* if it is not, waiting for it says so */
        (void)mproc__plat_pidfd_open(ret->pid, &ret->pidfd);
        return 0;
}

/* It could not prepare itself, has said why, and ends: the next start tries again, perhaps with another list. */
static void
dismiss(unsigned serial)
{
        mproc__lock(MPROC__LOCK_START);
        if (server.socket >= 0 && server.serial == serial)
                forget_locked();
        mproc__unlock(MPROC__LOCK_START);
}

/*
 * It has dropped a request without a word.  That is how it dies: its descriptors are closed one by
 * one, the request's perhaps before its socket, so its death may not be seen yet.  1: it is dead.
 */
static int
await_death(unsigned serial)
{
        int r = 1;

        mproc__lock(MPROC__LOCK_START);
        if (server.socket >= 0 && server.serial == serial) {
                struct pollfd p[2] = { { .fd = server.socket, .events = 0 }, { .fd = server.pidfd, .events = POLLIN } };

                if (mproc__plat_poll(p, 2, mproc__plat_now_ns() + LAST_NS) > 0)
                        forget_locked();
                else
                        r = mproc__fail(MPROC_ECHILDDIED, "the fork server has dropped a request: has it reached the "
                                                          "limit on open files (RLIMIT_NOFILE)?");
        }
        mproc__unlock(MPROC__LOCK_START);
        return r;
}

/* 1: the server died before it had forked. */
static int
attempt(const struct mproc__launch *launch, int beacon, struct request *request, struct mproc__started *ret)
{
        int r;

        request->channel = -1;
        for (;;) {
                mproc__lock(MPROC__LOCK_START);
                r = request_locked(launch, beacon, request);
                mproc__unlock(MPROC__LOCK_START);
                if (r != MPROC_ETIMEDOUT)
                        break;
                mproc__plat_sleep_ns(BUSY_NS); /* without the lock, for which every fork() of the program waits */
        }
        if (r != 0)
                return r;
        ret->token = request->token;
        if ((r = mproc__forkserver_await_child(request->channel, ret)) == 0)
                return 0;
        mproc__channel_close(&request->channel);
        if (r == MPROC_EPRELOAD)
                dismiss(request->serial);
        return r < 0 ? r : await_death(request->serial);
}

/* A server that was there already and dies is replaced; only those count that die newly started. */
static int
start(const struct mproc__launch *launch, struct mproc__started *ret)
{
        struct request request = { .launched = 0 };
        int beacon, r;

        if ((r = mproc__tracker_ensure(&beacon)) < 0)
                return r;
        while ((r = attempt(launch, beacon, &request, ret)) == 1) {
                if (request.launched == ATTEMPTS)
                        return mproc__fail(MPROC_ECHILDDIED,
                                           "starting %s: the fork server died %d times in a row before it had forked; "
                                           "does the program's main() end, or crash, before mproc_init()?",
                                           launch->name, ATTEMPTS);
                mproc__log(MPROC_LOG_INFO, "the fork server has died: starting another");
        }
        if (r == 0) {
                mproc__channel_note(ret->pidfd);
                ret->channel = request.channel;
                ret->announces = true;
        }
        return r;
}

const struct mproc__start_method mproc__start_forkserver = { .name = "forkserver", .carries = true, .start = start };
