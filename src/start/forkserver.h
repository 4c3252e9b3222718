/* SPDX-License-Identifier: MIT */
/* start/forkserver.h - the fork server: its client's side, and its main. */
#ifndef MPROC_START_FORKSERVER_H
#define MPROC_START_FORKSERVER_H

#include <stdbool.h>

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

#endif
