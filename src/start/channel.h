/* SPDX-License-Identifier: MIT */
/*
 * start/channel.h - the sockets between parents and children.
 *
 * The parent's end of a channel tells the child whether its parent lives.  A sibling
 * that was forked at the wrong moment, even by the program itself, would hold a copy
 * and hide the parent's death.  So a channel is made and noted in one step, in
 * which nobody can fork, and every forked child closes what is noted.
 */
#ifndef MPROC_START_CHANNEL_H
#define MPROC_START_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A connected pair that keeps messages apart.  -EMFILE, -ENFILE, -ENOMEM; sets no words. */
int mproc__channel_make(int ret_fd[2]);

/* A pidfd of a child by fork, noted like a channel.  *ret_pidfd is -1 where there are none. */
void mproc__channel_open_pidfd(pid_t pid, int *ret_pidfd);

/* Note a descriptor that came about elsewhere: a child's pidfd.  -1 is passed over. */
void mproc__channel_note(int fd);

/* Close what was made or noted here, if it is open, and set it to -1. */
void mproc__channel_close(int *fd);

/*
 * mproc__recv_fds, one packet.  Linux may report an end twice in front of packets that are there.
 * A receiver that finds nothing is overtaken by a peer that sends and closes: it sees the closing, but
 * not the packets, and reports the end.  And a peer that closed with something unreceived in it (a
 * child's stash, as a rule) makes the next call report a reset, once.  After that nothing
 * can change any more, so the end counts when it is seen a third time.
 */
ssize_t mproc__channel_recv(int channel, void *buffer, size_t len, int *fds, size_t *nfds, int64_t deadline);

/* In a forked child: close all that is noted but its own end (-1: it has none). */
void mproc__channels_forked(int own);

#endif
