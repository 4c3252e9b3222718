/* SPDX-License-Identifier: MIT */
/* bench/peers/peers.h - other libraries that start processes; each is built only if it is found. */
#ifndef MPROC_BENCH_PEERS_H
#define MPROC_BENCH_PEERS_H

#ifdef __cplusplus
extern "C" {
#endif

int bench_libuv(void);          /* uv_spawn, the loop until the child and the handle have ended */
int bench_glib(void);           /* g_spawn_async as it is by default: it closes descriptors in the child */
int bench_glib_leave_fds(void); /* the same with G_SPAWN_LEAVE_DESCRIPTORS_OPEN */
int bench_apr(void);            /* apr_proc_create, apr_proc_wait, in a pool of its own */
int bench_boost(void);          /* boost::process::child, wait */

#ifdef __cplusplus
}
#endif
#endif
