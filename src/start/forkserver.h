/* SPDX-License-Identifier: MIT */
/* start/forkserver.h - the fork server: its client's side, and its main. */
#ifndef MPROC_START_FORKSERVER_H
#define MPROC_START_FORKSERVER_H

#include <stdbool.h>

/* Does this process know a fork server that lives? */
bool mproc__forkserver_is_running(void);

/* The socket to the program's fork server if this process knows one, for its children; or -1. */
int mproc__forkserver_socket(void);

/* In a forked child: the server is not its child. */
void mproc__forkserver_forked(void);

/*
 * The server's main(); requests is descriptor 3.  Returns only in a child that
 * was asked for, with the child's channel: unwound out of the server's loop.
 */
int mproc__forkserver_main(int requests);

#endif
