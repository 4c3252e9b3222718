/* SPDX-License-Identifier: MIT */
/*
 * start/fork.c - the start method "fork": a copy of the parent.
 *
 * Runs in: parent, and in the child up to its target.
 * Owns: nothing after it returns.
 */
#include "core/error.h"
#include "core/log.h"
#include "platform/platform.h"
#include "start/channel.h"
#include "start/child.h"
#include "start/stash.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

__thread bool mproc__forking_for_start;
__thread bool mproc__forking_keeps_connections;
__thread int mproc__forking_channel = -1;

static void
warn_of_threads(void)
{
        static _Atomic bool warned;
        int threads;

        if (mproc__plat_single_threaded() || atomic_load(&warned))
                return;
        threads = mproc__plat_thread_count();
        if (threads > 1 && !atomic_exchange(&warned, true))
                mproc__log(MPROC_LOG_WARNING,
                           "this process has %d threads: a child by fork may find locks (of malloc, stdio, other "
                           "libraries) held for ever by threads that it does not have; use spawn or forkserver",
                           threads);
}

/*
 * What stdout and stderr hold would be written twice, by both processes.  A
 * stream that another thread has locked (and may sit in a write for long) is passed over
 * rather than waited for.
 */
static void
flush_standard_streams(void)
{
        FILE *streams[] = { stdout, stderr };

        for (int i = 0; i < 2; i++) {
                if (__fpending(streams[i]) == 0 || ftrylockfile(streams[i]) != 0)
                        continue;
                (void)fflush(streams[i]);
                funlockfile(streams[i]);
        }
}

/*
 * All signals are blocked until here: one that reached the child earlier would have run its parent's
 * handler in it, and been lost.
 */
static void
become_child(const struct mproc__launch *launch, pid_t parent, const char *parent_name, int channel,
             struct mproc__board_slot *board, const sigset_t *mask)
{
        struct mproc__self self = {
                .name = launch->name, /* the parent's copies, as we inherit them, are never freed here */
                .identity = launch->identity,
                .method = "fork",
                .daemon = launch->daemon,
                .parent_pid = parent,
                .parent_name = parent_name,
                .channel = channel,
                .board = board,
        };
        sigset_t none;

        (void)sigemptyset(&none);
        mproc__self_become(&self);
        if (!launch->keep_signals)
                mproc__plat_reset_handlers(); /* the longest piece of work here, while the parent is busy, too */
        mproc__board_await_go(board, parent);
        (void)pthread_sigmask(SIG_SETMASK, launch->keep_signals ? mask : &none, NULL);
        mproc__child_run_forked(launch);
}

/*
 * Memory is enough for what the child has to tell.  A channel is made only where the end
 * of the one has to reach the other: a child that dies with its parent, or a parent that
 * has no pidfds and takes the channel for the sentinel.
 */
static int
prepare(const struct mproc__launch *launch, int fd[2], struct mproc__board_slot **ret_board)
{
        int r;

        if (!(*ret_board = mproc__board_take()))
                return mproc__fail(-ENOMEM, "no memory for what %s may have to tell", launch->name);
        if ((launch->die_with_parent || !mproc__plat_has_pidfds()) &&
            (r = mproc__channel_make(fd)) < 0) {
                mproc__board_give_back(*ret_board);
                return mproc__fail_errno(-r, "making the channel of %s", launch->name);
        }
        mproc__stash_take();
        return 0;
}

static int
start(const struct mproc__launch *launch, struct mproc__started *ret)
{
        pid_t self = getpid(), pid = -1;
        int fd[2] = { -1, -1 };
        sigset_t all, mask;
        int r;

        warn_of_threads();
        if ((r = prepare(launch, fd, &ret->board)) < 0)
                return r;
        flush_standard_streams();
        mproc__args_mark(launch->args, true);
        mproc__forking_for_start = true;
        mproc__forking_keeps_connections = launch->inherit_connections;
        mproc__forking_channel = fd[1];
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &mask);
        r = mproc__plat_fork(&pid); /* returns in two processes; start/forked.c has run in the child */
        mproc__forking_for_start = false;
        if (r == 0 && pid == 0) /* our end is closed already, with all others that are not the child's */
                become_child(launch, self, mproc__self.name, fd[1], ret->board, &mask);
        (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
        mproc__args_mark(launch->args, false);
        mproc__channel_close(&fd[1]);
        if (r < 0) {
                mproc__channel_close(&fd[0]);
                mproc__board_give_back(ret->board);
                ret->board = NULL;
                return mproc__fail_errno(-r, "starting %s by fork", launch->name);
        }
        mproc__channel_open_pidfd(pid, &ret->pidfd);
        mproc__board_let_go(ret->board);
        ret->pid = pid;
        ret->channel = fd[0];
        ret->ours = true;
        return 0;
}

const struct mproc__start_method mproc__start_fork = { .name = "fork", .carries = false, .start = start };
