/* SPDX-License-Identifier: MIT */
/*
 * pool/mail.h - arguments of tasks, and the descriptors that belong to them.
 *
 * Arguments lie in the slot of the job, or in an area.  Descriptors cannot: a task that has some is given to one
 * worker, with a packet through that worker's own socket: the ring entry, and the descriptors beside it.  At most
 * MPROC__MAIL_MAX packets wait in a socket, so that it never fills up.  What a dead worker had in its socket is gone
 * with it; the pool's process still has the arguments and sends them again.  It also sends a task that waits for
 * a busy worker to an idle one.  So a task may have been sent to several: the state of its chunk
 * decides, as ever, who runs it, and the others throw their packet away.
 * A map over arrays sends its descriptors to every worker, before it is listed, and to each new one before it begins.
 * The first packet of a worker's life are the descriptors of its initializer's arguments, if it has some.
 */
#ifndef MPROC_POOL_MAIL_H
#define MPROC_POOL_MAIL_H

#include "pool/worker.h"
#include "wire/codec.h"

#define MPROC__MAIL_MAX 32
#define MPROC__MAIL_ATTACH                                                                                           \
        UINT64_C(0x80000000) /* in an entry: what every worker gets that may run a part of that map */

/* --- the pool's side ------------------------------------------------------------------------------------------ */

/*
 * A list as bytes and descriptors; the latter are duplicates that belong to the encoder, which is ended by
 * mproc__mail_release.  With words, naming the argument that only fork could pass on if it is not allowed.
 */
int mproc__mail_encode(const mproc_args *args, bool to_fork, struct mproc__encoder *encoder);
void mproc__mail_release(struct mproc__encoder *encoder);

/* entry 0: for the initializer.  -EAGAIN: its socket is full; -errno, -EPIPE.  Sets no words. */
int mproc__mail_send(int socket, uint64_t entry, const int *fds, size_t nfds);

/* --- the worker's side -------------------------------------------------------------------------------------- */

struct mproc__packet {
        struct mproc__packet *next;
        uint64_t entry;
        int *fds;
        size_t nfds;
        int error;        /* why there are fewer descriptors than were sent */
        mproc_args *args; /* attached: what was made of it */
};

/* Take in what has come. */
void mproc__mail_fetch(struct mproc__worker *worker);

/* The next task of this worker's own, to be discarded afterwards; NULL: none. */
struct mproc__packet *mproc__mail_next(struct mproc__worker *worker);
void mproc__mail_discard(struct mproc__packet *packet);

/* The worker leaves. */
void mproc__mail_close(struct mproc__worker *worker);

/*
 * The arguments of a task whose job was entered; the descriptors of the packet (NULL: none) become theirs.  Freed by
 * mproc__args_free.  With words.
 */
int mproc__mail_args(struct mproc__worker *worker, const struct mproc__job_shm *job, struct mproc__packet *packet,
                     mproc_args **ret_args);

/* The arrays of a map that was entered: they stay the worker's as long as that lasts.  With words. */
int mproc__mail_attached(struct mproc__worker *worker, const struct mproc__job_shm *job, uint64_t entry,
                         mproc_args **ret_args);

int mproc__mail_initializer(struct mproc__worker *worker, mproc_args **ret_args);

#endif
