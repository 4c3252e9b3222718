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

/* --- the worker's side -------------------------------------------------------------------------------------- */

static void
free_packet(struct mproc__packet *p)
{
        for (size_t i = 0; i < p->nfds; i++)
                mproc__plat_close(&p->fds[i]);
        mproc__args_free(p->args);
        free(p->fds);
        free(p);
}

/* What it was for has ended, if the slot has another generation: that is all we may look at without entering. */
static bool
is_over(const struct mproc__worker *w, uint64_t entry)
{
        return atomic_load(&w->shm->jobs[mproc__entry_slot(entry)].generation) != entry >> 32;
}

static void
drop_what_is_over(struct mproc__worker *w)
{
        for (struct mproc__packet **at = &w->attached, *p; (p = *at) != NULL;) {
                if (is_over(w, p->entry)) {
                        *at = p->next;
                        free_packet(p);
                } else {
                        at = &p->next;
                }
        }
}

/* NULL: no memory, or nothing came. */
static struct mproc__packet *
receive(struct mproc__worker *w)
{
        struct mproc__packet *p = calloc(1, sizeof *p);
        int fds[MPROC__FDPASS_MAX];
        size_t nfds = 0;
        ssize_t n;

        if (!p)
                return NULL;
        n = mproc__recv_fds(w->mail, &p->entry, sizeof p->entry, fds, &nfds, MPROC__NEVER);
        p->error = n < 0 ? (int)n : n == 0 ? MPROC_EEOF : 0;
        if (nfds > 0 && (p->fds = malloc(nfds * sizeof *fds)) != NULL) {
                memcpy(p->fds, fds, nfds * sizeof *fds);
                p->nfds = nfds;
        } else {
                for (size_t i = 0; i < nfds; i++)
                        mproc__plat_close(&fds[i]);
        }
        return p;
}

static void
sort(struct mproc__worker *w, struct mproc__packet *p)
{
        struct mproc__packet **at = &w->packets;

        if (p->entry & MPROC__MAIL_ATTACH) {
                p->entry &= ~MPROC__MAIL_ATTACH;
                p->next = w->attached;
                w->attached = p;
                return;
        }
        while (*at)
                at = &(*at)->next;
        *at = p;
        w->npackets++;
}

void
mproc__mail_fetch(struct mproc__worker *w)
{
        struct mproc__packet *p;

        if (w->mail_read == atomic_load_explicit(&w->record->mail, memory_order_acquire))
                return;
        drop_what_is_over(w);
        while (w->mail_read != atomic_load_explicit(&w->record->mail, memory_order_acquire) && (p = receive(w))) {
                w->mail_read++;
                sort(w, p);
        }
        atomic_store(&w->record->opened, w->mail_read - w->npackets);
}

struct mproc__packet *
mproc__mail_next(struct mproc__worker *w)
{
        struct mproc__packet *p;

        mproc__mail_fetch(w);
        if (!(p = w->packets))
                return NULL;
        w->packets = p->next;
        w->npackets--;
        atomic_store(&w->record->opened, w->mail_read - w->npackets);
        return p;
}

static void
free_all(struct mproc__packet *p)
{
        struct mproc__packet *next;

        for (; p; p = next) {
                next = p->next;
                free_packet(p);
        }
}

void
mproc__mail_close(struct mproc__worker *w)
{
        free_all(w->packets);
        free_all(w->attached);
        w->packets = w->attached = NULL;
}

void
mproc__mail_discard(struct mproc__packet *packet)
{
        free_packet(packet);
}

/* The list takes the descriptors, in memory of its own. */
static int
decode(struct mproc__worker *w, struct mproc__packet *p, uint64_t at, const uint8_t *data, uint64_t len,
       uint32_t nfds, mproc_args **ret)
{
        struct mproc__block block = { .len = (size_t)len };
        struct mproc__decoder d = { .len = (size_t)len };
        struct mproc__view view = { .data = NULL };
        const void *fork_only;
        size_t fork_only_len;
        int *fds = NULL, r;

        if (nfds != (p ? p->nfds : 0)) {
                r = p && p->error < 0 ? p->error : MPROC_EBROKEN;
                return mproc__fail(r, "%u descriptors belong to the arguments, and %zu have come: %s", nfds,
                                   p ? p->nfds : 0, mproc_strerror(r));
        }
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
                        memcpy(fds, p->fds, nfds * sizeof *fds);
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
        if (p)
                p->nfds = 0; /* they belong to the list now */
        return 0;
}

int
mproc__mail_args(struct mproc__worker *w, const struct mproc__job_shm *job, struct mproc__packet *packet,
                 mproc_args **ret)
{
        return decode(w, packet, job->args_at, job->args_at ? NULL : job->args, job->args_len, job->args_fds, ret);
}

int
mproc__mail_attached(struct mproc__worker *w, const struct mproc__job_shm *job, uint64_t entry, mproc_args **ret)
{
        struct mproc__packet *p;
        int r;

        mproc__mail_fetch(w);
        for (p = w->attached; p && p->entry != entry; p = p->next)
                ;
        if (!p)
                return mproc__fail(MPROC_EBROKEN, "the arrays of a map have not come to its worker");
        if (!p->args && (r = mproc__mail_args(w, job, p, &p->args)) < 0)
                return r;
        *ret = p->args;
        return 0;
}

int
mproc__mail_initializer(struct mproc__worker *w, mproc_args **ret)
{
        struct mproc__packet *p = w->shm->initializer_fds > 0 ? receive(w) : NULL; /* it is not counted */
        int r = decode(w, p, w->shm->initializer_args_at, NULL, w->shm->initializer_args_len, w->shm->initializer_fds,
                       ret);

        if (p)
                free_packet(p);
        return r;
}
