/* SPDX-License-Identifier: MIT */
/*
 * start/stash.h - the descriptors of the program that wait in a child's channel.
 *
 * A child by spawn or forkserver has to keep its program alive (the beacon) and
 * to reach its fork server, but most children never make a named object or
 * start a process.  So these two descriptors are the last message in the child's
 * channel, and stay there, unreceived: they are open as far as the system is
 * concerned, and die with the child, yet occupy no number in it until the
 * child needs one.
 */
#ifndef MPROC_START_STASH_H
#define MPROC_START_STASH_H

/* Put into the channel of a child: the beacon, and the fork server's socket (-1: none).  Sets words. */
int mproc__stash_send(int channel, int beacon, int server);

/* In an exec'd child: the stash is what its channel holds now, and nothing else will come. */
void mproc__stash_expect(void);

/* This child's fork server socket, or -1; each time the same.  Takes the stash out on first need. */
int mproc__stash_server(void);

/* Take it out now: before a fork, since two processes cannot share a channel. */
void mproc__stash_take(void);

#endif
