/* SPDX-License-Identifier: MIT */
/* bench/methods.h - mproc's start methods as contenders. */
#ifndef MPROC_BENCH_METHODS_H
#define MPROC_BENCH_METHODS_H

/* Create, start, join and free one process with an empty target. */
int bench_mproc_fork(void);
int bench_mproc_spawn(void);
int bench_mproc_forkserver(void);

/*
 * For each method, start a child that blocks on a connection and print
 * "METHOD BYTES" on standard output: its unique set size, what would come free
 * if it alone went away.  Returns main's result.
 */
int bench_memory(void);

#endif
