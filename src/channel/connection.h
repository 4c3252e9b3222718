/* SPDX-License-Identifier: MIT */
/*
 * channel/connection.h - connections, as the files that make them up and those
 * that wait for or pass them see them.
 *
 * Threads share a connection like this: one at a time sends, one at a time
 * receives, any number just watches.  Who does any of it has the connection in
 * use, and while it is in use its descriptor stays open, even if another thread
 * closes it: the number can never come to mean another file under somebody's
 * hands.  The last user closes it.
 */
#ifndef MPROC_CHANNEL_CONNECTION_H
#define MPROC_CHANNEL_CONNECTION_H

#include "channel/incoming.h"
#include "core/object.h"

#include <mproc/connection.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mproc__decoder;
struct mproc__encoder;

extern const struct mproc__object_type mproc__connection_type;

struct mproc_connection {
        struct mproc__object object; /* first: a handle is a pointer to either */

        pthread_mutex_t lock;    /* the members below up to the blank line; never held while waiting for a peer */
        pthread_cond_t changed;  /* on CLOCK_MONOTONIC: a side came free, or it was closed */
        int socket;              /* -1 once closed and out of use; its users may read it without the lock */
        int directions;          /* MPROC_CONNECTION_READ | _WRITE; fixed at birth */
        bool closed, moved;      /* one of them at most; for ever */
        bool sending, receiving; /* the side is taken */
        unsigned waiters;        /* threads waiting for a side */
        unsigned users;

        bool send_broken;          /* owner: who sends.  A message was cut short: no other may follow */
        struct mproc__incoming in; /* owner: who receives; for others, under the lock, while nobody does */
};

/* How a connection is used: what mproc__connection_begin asks for. */
enum mproc__connection_use {
        MPROC__USE_SEND,
        MPROC__USE_RECEIVE,
        MPROC__USE_WATCH, /* for something to receive; keeps nobody out */
        MPROC__USE_GIVE   /* both sides at once, without waiting: -EBUSY */
};

/*
 * Take it into use; waits until the side is free.  MPROC_ECLOSED, MPROC_EMOVED,
 * MPROC_EREADONLY, MPROC_EWRITEONLY, MPROC_ETIMEDOUT, MPROC_EHANDLE (NULL), with words.
 */
int mproc__connection_begin(struct mproc_connection *connection, enum mproc__connection_use use, int64_t deadline);

/*
 * Give it back.  r is the result of what was done, and is returned, unless that
 * failed and the connection was closed meanwhile: then this is the reason.
 */
int mproc__connection_end(struct mproc_connection *connection, enum mproc__connection_use use, int r);

/*
 * For one who watches: would a receive end at once, whatever the socket says?
 * MPROC_ECLOSED, MPROC_EMOVED: not ours any more.
 */
int mproc__connection_kept(struct mproc_connection *connection, bool *ret_ready);

/* A new one, not published, over a socket, which it takes over (*socket is -1 then).  -ENOMEM with words. */
int mproc__connection_new(int *socket, int directions, struct mproc_connection **ret_connection);

/* 0 if the descriptor is one that a connection can be made of; -EBADF, -ENOTSOCK with words. */
int mproc__connection_check_fd(int fd);

/* gift.c: its form on the wire.  The encoder's caller has it in use, or knows that nobody has. */
int mproc__connection_encode(struct mproc_connection *connection, struct mproc__encoder *encoder);
int mproc__connection_decode(struct mproc__decoder *decoder, struct mproc_connection **ret_connection);

/* It belongs to another process from now on; closed here. */
void mproc__connection_give(struct mproc_connection *connection);

#endif
