/* SPDX-License-Identifier: MIT */
/* start/forkserver.h - the fork server: its client's side, and its main. */
#ifndef MPROC_START_FORKSERVER_H
#define MPROC_START_FORKSERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mproc__started;

/* Does this process know a fork server that lives? */
bool mproc__forkserver_is_running(void);

/* A duplicate of the socket to the program's fork server, for a child; -1 if this process knows none.  With words. */
int mproc__forkserver_socket(int *ret_fd);

/* In a forked child: the server is not its child. */
void mproc__forkserver_forked(void);

/*
 * The server's main(); requests is descriptor 3.  Returns only in a child that
 * was asked for, with the child's channel: unwound out of the server's loop.
 */
int mproc__forkserver_main(int requests);

/* --- what either side makes of the other's words: functions of their own for the sake of their tests ------------ */

/*
 * On the client's side: wait for the word about a child that was asked for with ret->token.  0: it was born; 1: the
 * server died before; or the server's error, with words.
 */
int mproc__forkserver_await_child(int channel, struct mproc__started *ret);

/*
 * On the server's: one request.  The asker's pid as the kernel tells it, his token, and the channel, which is the
 * caller's; or 0, an end of file, or -1, nothing usable; then, and if none came, there is no channel.
 */
ssize_t mproc__forkserver_receive(int requests, int *ret_channel, pid_t *ret_asker, uint64_t *ret_token);

#endif
