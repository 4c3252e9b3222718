/* SPDX-License-Identifier: MIT */
/*
 * bench/raw.c - what the bare system costs, see raw.h.
 *
 * Runs in: the workers of the core group, and the bare fork server.
 */
#define _GNU_SOURCE
#include "raw.h"
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

int
bench_raw_fork(void)
{
        pid_t pid = fork(); /* returns in two processes */

        if (pid == 0)
                _exit(0);
        if (pid < 0) {
                bench_say("fork: %s", strerror(errno));
                return -1;
        }
        return bench_wait(pid, "fork");
}

int
bench_vfork_exec(void)
{
        pid_t pid = vfork(); /* returns in two processes, in the parent after the exec */

        if (pid == 0) {
                execv(bench_program, bench_child_argv);
                _exit(127);
        }
        if (pid < 0) {
                bench_say("vfork: %s", strerror(errno));
                return -1;
        }
        return bench_wait(pid, "vfork+exec");
}

int
bench_posix_spawn(void)
{
        pid_t pid;
        int err = posix_spawn(&pid, bench_program, NULL, NULL, bench_child_argv, environ);

        if (err != 0) {
                bench_say("posix_spawn: %s", strerror(err));
                return -1;
        }
        return bench_wait(pid, "posix_spawn");
}

/* Start the server from the executable, not by fork: it must be small although the worker is large. */
static int
start_server(int *ret_fd)
{
        char *argv[] = { (char *)"mproc-bench", (char *)BENCH_ARG_BARE_SERVER, NULL };
        posix_spawn_file_actions_t actions;
        int pair[2], err;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
                bench_say("bare server: socketpair: %s", strerror(errno));
                return -1;
        }
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pair[1], 0);
        err = posix_spawn(&pid, bench_program, &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        close(pair[1]);
        if (err != 0) {
                bench_say("bare server: posix_spawn: %s", strerror(err));
                close(pair[0]);
                return -1;
        }
        *ret_fd = pair[0]; /* the server ends with its socket, and is left to init */
        return 0;
}

int
bench_bare_server(void)
{
        static int server = -1;
        pid_t pid;

        if (server < 0 && start_server(&server) < 0)
                return -1;
        if (write(server, "f", 1) != 1 || read(server, &pid, sizeof pid) != (ssize_t)sizeof pid || pid <= 0) {
                bench_say("bare server: no answer");
                return -1;
        }
        return bench_wait(pid, "bare server");
}

void
bench_bare_server_main(void)
{
        char request;
        pid_t pid;

        while (read(0, &request, 1) == 1) {
                /* Flags come first on all systems but s390, where they come second. */
#ifdef __s390__
                pid = (pid_t)syscall(SYS_clone, 0, CLONE_PARENT | SIGCHLD, 0, 0, 0);
#else
                pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
#endif
                if (pid == 0) /* returned in two processes */
                        _exit(0);
                if (write(0, &pid, sizeof pid) != (ssize_t)sizeof pid)
                        break;
        }
        _exit(0);
}
