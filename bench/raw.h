/* SPDX-License-Identifier: MIT */
/* bench/raw.h - what the bare system costs: the baselines that the ratios are made against. */
#ifndef MPROC_BENCH_RAW_H
#define MPROC_BENCH_RAW_H

int bench_raw_fork(void);    /* fork, _exit, waitpid */
int bench_vfork_exec(void);  /* vfork, execv of the empty program, waitpid */
int bench_posix_spawn(void); /* posix_spawn of the empty program, waitpid */

/*
 * The barest fork server: one byte asks, the server clones with CLONE_PARENT,
 * so that the child is the asker's own, and answers with its pid; the asker waits.
 */
int bench_bare_server(void);

/* argv[1] of that server's process, and its main: descriptor 0 is the socket.  Never returns. */
#define BENCH_ARG_BARE_SERVER "--bare-server"
void bench_bare_server_main(void) __attribute__((noreturn));

#endif
