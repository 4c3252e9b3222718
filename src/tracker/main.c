/* SPDX-License-Identifier: MIT */
/*
 * tracker/main.c - the tracker: waits for the program's end and removes what it left.
 *
 * Runs in: a process of its own, executed for this.
 * Owns: its own open file description of the beacon, at descriptor 3, and nothing else.
 *
 * It is told nothing.  That the program is over it learns from the beacon's life
 * byte, which it waits to write-lock: the kernel grants that when the last process
 * of the program has ended, in whatever way and in whatever session.  What to
 * remove stands in the beacon's table.  So nothing is lost when it dies, and the next
 * tracker knows at once what this one knew.
 */
#include "core/point.h"
#include "platform/platform.h"
#include "program/beacon.h"
#include "program/executable.h"
#include "program/names.h"
#include "tracker/exit.h"
#include "tracker/tracker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PIPE_BUF
#define PIPE_BUF 4096
#endif

#define BEACON_FD MPROC__FD_INHERITED

/*
 * Ended by nothing but its work, or SIGKILL.  SIGPIPE and SIGTTOU: the line it
 * writes at the end may meet a closed pipe, or a terminal that refuses background writers.
 */
static void
ignore_signals(void)
{
        static const int signals[] = { SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGPIPE, SIGTSTP,
                                       SIGTTOU, SIGTTIN, SIGUSR1, SIGUSR2, SIGALRM };
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
                (void)sigaction(signals[i], &ignore, NULL);
}

/*
 * Descriptor 3 is the program's own description; it is replaced by one of ours, and
 * closed by that.  The starter and this process's parent have it yet: so at no moment do
 * strangers see a program that is over and untracked.  The mark comes last, for closing
 * any descriptor of the file may cost it.  Returns the exit code for the parent.
 */
static int
take_beacon(struct mproc__program_id *ret_id)
{
        struct stat st;
        int fd, r;

        if (mproc__beacon_check(BEACON_FD, ret_id, &st) < 0)
                return MPROC__TRACKER_NO_BEACON;
        if (mproc__beacon_reopen(BEACON_FD, &fd) < 0)
                return MPROC__TRACKER_NO_REOPEN;
        r = dup3(fd, BEACON_FD, O_CLOEXEC);
        (void)close(fd);
        if (r < 0 || ((r = mproc__beacon_claim_tracker(BEACON_FD)) < 0 && r != -EAGAIN))
                return MPROC__TRACKER_NO_LOCK;
        return r == -EAGAIN ? MPROC__TRACKER_NOT_NEEDED : 0;
}

/*
 * The starter reaps the process it made, and that is this one; the tracker is its
 * child, so the host program never has a child that it did not ask for: neither its
 * wait() nor its count of children sees it.  This process ends when the child has said over
 * the pipe what has become of it, so when it ends the tracker is there.  The session comes
 * first: from the moment that the starter goes on, no signal of a terminal or to the
 * program's group reaches the tracker, SIGKILL and SIGSTOP included.
 * Returns in the child alone.
 */
static int
leave_starter(void)
{
        char code;
        int said[2];
        ssize_t n;
        pid_t pid;

        (void)setsid();
        if (pipe2(said, O_CLOEXEC) != 0)
                _exit(MPROC__TRACKER_NO_FORK);
        pid = fork();
        if (pid == 0) {
                (void)close(said[0]);
                return said[1];
        }
        (void)close(said[1]);
        if (pid < 0)
                _exit(MPROC__TRACKER_NO_FORK);
        while ((n = read(said[0], &code, 1)) < 0 && errno == EINTR)
                ;
        if (n == 0) /* it was killed, and so shall this one have been: the starter knows what to do then */
                (void)kill(getpid(), SIGKILL);
        _exit(code == 0 ? MPROC__TRACKER_BORN : code);
}

/* Tell the parent what the starter shall hear; the tracker goes on. */
static void
say(int pipe, int code)
{
        char byte = (char)(code == MPROC__TRACKER_NOT_NEEDED ? 0 : code);

        while (write(pipe, &byte, 1) < 0 && errno == EINTR)
                ;
        (void)close(pipe);
        if (code != 0)
                _exit(0);
}

/* The spawning has closed what the program had open; this is what the executable has opened since, before its main().
 */
static void
close_above(int last)
{
        DIR *directory = opendir("/proc/self/fd");
        struct dirent *entry;

        while (directory && (entry = readdir(directory))) {
                int fd = (int)strtol(entry->d_name, NULL, 10);

                if (fd > last && fd != dirfd(directory))
                        (void)close(fd);
        }
        if (directory)
                (void)closedir(directory);
}

/* Keep stderr, for the one line; hold nothing else that somebody might wait for, or want to unmount. */
static void
let_go_of_everything(void)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        for (int fd = 0; fd < 3 && null >= 0; fd++)
                if (fd != null && (fd < 2 || fcntl(fd, F_GETFD) < 0))
                        (void)dup2(null, fd);
        if (null > BEACON_FD)
                (void)close(null);
        close_above(BEACON_FD);
        (void)!chdir("/");
}

/* One write, and no longer than a pipe takes at once, so that it is one line whoever else writes. */
static void
tell(const struct mproc__program_id *id, int removed, int shm, const char *names)
{
        char text[PIPE_BUF], id_text[MPROC__ID_TEXT_MAX], what[80] = "", blocks[48] = "";
        int n, semaphores = removed - shm;

        mproc__program_id_text(id, id_text);
        if (semaphores > 0)
                (void)snprintf(what, sizeof what, "%d leaked semaphore%s%s", semaphores, semaphores == 1 ? "" : "s",
                               shm > 0 ? " and " : "");
        if (shm > 0)
                (void)snprintf(blocks, sizeof blocks, "%d leaked block%s of shared memory", shm, shm == 1 ? "" : "s");
        n = snprintf(text, sizeof text, "mproc: tracker: removed %s%s of program %s: %s\n", what, blocks, id_text,
                     names);
        (void)!write(STDERR_FILENO, text, (size_t)n);
}

static void
clear_up(void)
{
        char names[PIPE_BUF - 250], path[MPROC__BEACON_PATH_MAX];
        struct mproc__program_id id;
        struct stat st;
        int removed, shm;

        if (mproc__beacon_check(BEACON_FD, &id, &st) < 0)
                return;
        removed = mproc__names_sweep_kinds(BEACON_FD, names, sizeof names, &shm);
        MPROC_POINT("tracker.swept");
        mproc__beacon_path(st.st_uid, &id, path);
        (void)unlink(path);
        if (removed > 0)
                tell(&id, removed, shm, names);
}

void
mproc__tracker_main(void)
{
        struct mproc__program_id id;
        int pipe;

        ignore_signals();
        pipe = leave_starter();
        say(pipe, take_beacon(&id));
        let_go_of_everything();
        mproc__plat_set_process_name("mproc-tracker");
        (void)mproc__names_sweep_dead_programs(&id);
        if (mproc__beacon_claim_end(BEACON_FD, true) == 0)
                clear_up();
        _exit(0);
}
