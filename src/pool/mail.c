/* SPDX-License-Identifier: MIT */
/*
 * pool/mail.c - arguments and descriptors on their way to a worker.
 *
 * Runs in: the pool's process and workers.  Owns: in a worker, the descriptors of the packet that is open.
 *
 *      bytes   one for each argument: 1 if only fork can pass it on
 *      the list, as wire/args.c writes it
 */
#include "pool/mail.h"
#include "core/error.h"
#include "platform/platform.h"
#include "wire/args.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- the pool's side ------------------------------------------------------------------------------------------- */

/* What is sent later, and perhaps twice, must not depend on what becomes of the objects meanwhile. */
static int
duplicate_all(struct mproc__encoder *e)
{
        for (size_t i = 0; i < e->nfds; i++) {
                int r = mproc__plat_dup(e->fds[i], &e->fds[i]);

                if (r == 0)
                        continue;
                e->nfds = i; /* the others are not ours */
                return mproc__fail_errno(-r, "cannot duplicate a descriptor of the arguments");
        }
        return 0;
}

void
mproc__mail_release(struct mproc__encoder *e)
{
        for (size_t i = 0; i < e->nfds; i++)
                mproc__plat_close(&e->fds[i]);
        mproc__encoder_fini(e);
        *e = (struct mproc__encoder)MPROC__ENCODER_INIT;
}

static int
encode(const mproc_args *args, bool to_fork, struct mproc__encoder *e)
{
        const char *bound;
        size_t index = 0;
        int r;

        if (!to_fork && (bound = mproc__args_fork_only(args, &index)) != NULL)
                return mproc__fail(
                        MPROC_ECONTEXT,
                        "argument %zu is a %s made in the fork context, which only a child by fork can have; "
                        "make the %s in the pool's context",
                        index, bound, bound);
        mproc__args_encode_fork_only(args, e);
        if ((r = mproc__args_encode(args, e)) < 0)
                return r;
        if (e->error)
                return mproc__fail(e->error, "no memory to encode the arguments");
        if (e->nfds > MPROC__FDPASS_MAX)
                return mproc__fail(-EMSGSIZE, "the arguments need %zu descriptors, and %d can go with a task",
                                   e->nfds, MPROC__FDPASS_MAX);
        return 0;
}

int
mproc__mail_encode(const mproc_args *args, bool to_fork, struct mproc__encoder *e)
{
        int r = encode(args, to_fork, e);

        if (r < 0) {
                e->nfds = 0; /* still the objects' */
                return r;
        }
        return duplicate_all(e);
}

int
mproc__mail_send(int socket, uint64_t entry, const int *fds, size_t nfds)
{
        struct iovec iov = { &entry, sizeof entry };
        int r = mproc__send_fds(socket, &iov, 1, fds, nfds, MPROC__AT_ONCE, NULL);

        return r == MPROC_ETIMEDOUT ? -EAGAIN : r;
}

/* --- the worker's side -------------------------------------------------------------------------------------------
 */

uint64_t
mproc__mail_open(struct mproc__worker *w)
{
        uint64_t entry = 0;
        ssize_t n;

        mproc__mail_discard(w);
        atomic_store(&w->record->opened, ++w->mail_read);
        if (!w->fds && !(w->fds = malloc(MPROC__FDPASS_MAX * sizeof *w->fds)))
                return 0;
        n = mproc__recv_fds(w->mail, &entry, sizeof entry, w->fds, &w->nfds, MPROC__NEVER);
        w->mail_error = n < 0 ? (int)n : n == 0 ? MPROC_EEOF : 0;
        return n == (ssize_t)sizeof entry || n == -EMFILE ? entry : 0;
}

void
mproc__mail_discard(struct mproc__worker *w)
{
        for (size_t i = 0; i < w->nfds; i++)
                mproc__plat_close(&w->fds[i]);
        w->nfds = 0;
}

/* The list takes the descriptors, in memory of its own. */
static int
decode(struct mproc__worker *w, uint64_t at, const uint8_t *data, uint64_t len, uint32_t nfds, mproc_args **ret)
{
        struct mproc__block block = { .len = (size_t)len };
        struct mproc__decoder d = { .len = (size_t)len };
        struct mproc__view view = { .data = NULL };
        const void *fork_only;
        size_t fork_only_len;
        int *fds = NULL, r;

        if (nfds != w->nfds)
                return mproc__fail(w->mail_error < 0 ? w->mail_error : MPROC_EBROKEN,
                                   "%u descriptors belong to the arguments, and %zu have come: %s", nfds, w->nfds,
                                   mproc_strerror(w->mail_error < 0 ? w->mail_error : MPROC_EBROKEN));
        if (!data) {
                if ((r = mproc__view_open(w->fd, (uint8_t *)w->shm, at, len, &view)) < 0)
                        return mproc__fail_errno(-r, "a worker cannot map %llu bytes of arguments",
                                                 (unsigned long long)len);
                data = view.data;
        }
        block.data = (void *)(uintptr_t)data;
        if (view.mapping && data != view.mapping) /* it ends with the list, which unmaps from its start */
                r = mproc__fail(MPROC_ECORRUPT, "arguments do not begin on a page");
        else
                r = 0;
        block.mapped = view.mapping != NULL;
        d.data = data;
        fork_only = mproc__dec_bytes(&d, &fork_only_len);
        if (r == 0 && d.error)
                r = mproc__fail(MPROC_EPROTO, "the arguments of a task are damaged");
        if (r == 0 && nfds > 0) {
                if ((fds = malloc(nfds * sizeof *fds)))
                        memcpy(fds, w->fds, nfds * sizeof *fds);
                else
                        r = mproc__fail(-ENOMEM, "no memory for %u descriptors", nfds);
        }
        if (r == 0)
                r = mproc__args_decode_message(&block, d.pos, fds, nfds, fork_only, fork_only_len, ret);
        if (r < 0) {
                free(fds);
                mproc__view_close(&view);
                return r;
        }
        w->nfds = 0; /* they belong to the list now */
        return 0;
}

int
mproc__mail_args(struct mproc__worker *w, const struct mproc__job_shm *job, mproc_args **ret)
{
        return decode(w, job->args_at, job->args_at ? NULL : job->args, job->args_len, job->args_fds, ret);
}

int
mproc__mail_initializer(struct mproc__worker *w, mproc_args **ret)
{
        if (w->shm->initializer_fds > 0)
                (void)mproc__mail_open(w);
        atomic_store(&w->record->opened, 0); /* this one is not counted */
        w->mail_read = 0;
        return decode(w, w->shm->initializer_args_at, NULL, w->shm->initializer_args_len, w->shm->initializer_fds,
                      ret);
}
