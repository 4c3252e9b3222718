/* SPDX-License-Identifier: MIT */
/*
 * sync/semaphore_make.c - making semaphores, anonymous and named, and passing them on.
 *
 * Runs in: every process.  Owns: a place in a small segment, or the file of a named
 * semaphore and its mapping; its handles.
 */
#include "context/context.h"
#include "core/error.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "sync/semaphore_core.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdlib.h>

#define SEMAPHORE_MAGIC   0x6d70736du
#define SEMAPHORE_VERSION 2u

/* What is fixed when a semaphore is made. */
struct shape {
        uint32_t most;
        bool bounded;
        uint32_t holders;
};

int
mproc__semaphore_fail_corrupt(void)
{
        return mproc__fail(MPROC_ECORRUPT,
                           "the semaphore's counters are damaged: some process wrote into its memory");
}

static struct mproc_semaphore *
blank(void)
{
        struct mproc_semaphore *semaphore = calloc(1, sizeof *semaphore);

        if (semaphore)
                semaphore->fd = -1;
        else
                (void)mproc__fail(-ENOMEM, "no memory for a semaphore");
        return semaphore;
}

/* Before it is an object. */
static void
dispose(struct mproc_semaphore *semaphore)
{
        mproc__small_unref(&semaphore->place);
        mproc__memory_unmap(semaphore->base, mproc__memory_page());
        mproc__plat_close(&semaphore->fd);
        free(semaphore);
}

static uint32_t
bytes_for(uint32_t holders)
{
        return (uint32_t)(offsetof(struct mproc__semaphore_shm, permits) + mproc__permits_bytes(holders));
}

/* A ticket for a count that lies behind is void. */
static void
init_shm(struct mproc__semaphore_shm *shm, unsigned value, const struct shape *shape)
{
        shm->magic = SEMAPHORE_MAGIC;
        shm->version = SEMAPHORE_VERSION;
        shm->namespace_id = mproc__word_namespace();
        shm->most = shape->most;
        shm->bounded = shape->bounded;
        shm->holders = shape->holders;
        atomic_init(&shm->head.n, MPROC__COUNTER_START);
        atomic_init(&shm->tail.n, MPROC__COUNTER_START + value);
        atomic_init(&shm->head.armed, MPROC__COUNTER_START - 1);
        atomic_init(&shm->tail.armed, MPROC__COUNTER_START - 1);
        if (shape->holders)
                mproc__permits_init(&shm->permits, MPROC__COUNTER_START, MPROC__COUNTER_START + value);
}

/* The file's first page: names.c's part, then the semaphore. */
static int
map_named(struct mproc_semaphore *semaphore)
{
        int r = mproc__memory_map(semaphore->fd, 0, mproc__memory_page(), &semaphore->base);

        if (r < 0)
                return mproc__fail_errno(-r, "cannot map the semaphore's memory");
        semaphore->shm = (struct mproc__semaphore_shm *)((uint8_t *)semaphore->base + MPROC__NAMED_HEADER_BYTES);
        return 0;
}

/* Somebody else filled it in.  Counters are checked whenever they are used. */
static int
check_shm(const struct mproc__semaphore_shm *shm)
{
        if (shm->magic != SEMAPHORE_MAGIC || shm->version != SEMAPHORE_VERSION)
                return mproc__fail(MPROC_ECORRUPT, "the semaphore's memory does not hold one of this version");
        if (shm->namespace_id != mproc__word_namespace())
                return mproc__fail(MPROC_EUNSUPPORTED,
                                   "a semaphore cannot be shared between PID namespaces: its locks hold thread ids");
        return 0;
}

/* Copies of what is constant, checked once, so that nobody can change them under our hands.  room: bytes mapped. */
static int
adopt_shm(struct mproc_semaphore *semaphore, size_t room)
{
        const volatile struct mproc__semaphore_shm *shm = semaphore->shm;
        uint32_t holders;
        int r = check_shm(semaphore->shm);

        if (r < 0)
                return r;
        semaphore->most = shm->most;
        semaphore->bounded = shm->bounded != 0;
        holders = shm->holders;
        if (semaphore->most == 0 || semaphore->most > MPROC_SEMAPHORE_MAX || holders > MPROC__PERMITS_HOLDERS_MAX ||
            room < bytes_for(holders))
                return mproc__semaphore_fail_corrupt();
        semaphore->permits.capacity = holders;
        semaphore->permits.shm = holders ? &semaphore->shm->permits : NULL;
        semaphore->permits.holders = (struct mproc__permits_holder *)(&semaphore->shm->permits + 1);
        atomic_init(&semaphore->permits.own, MPROC__PERMITS_NOBODY);
        return 0;
}

static size_t
named_room(void)
{
        return mproc__memory_page() - MPROC__NAMED_HEADER_BYTES;
}

static int
make_anonymous(struct mproc_semaphore *semaphore, unsigned value, const struct shape *shape)
{
        int r = mproc__small_create_bytes("semaphore", bytes_for(shape->holders), &semaphore->place);

        if (r < 0)
                return r;
        semaphore->shm = mproc__small_at(&semaphore->place);
        init_shm(semaphore->shm, value, shape);
        return adopt_shm(semaphore, bytes_for(shape->holders));
}

static int
make_named(struct mproc_semaphore *semaphore, const char *name, unsigned value, const struct shape *shape)
{
        int r;

        if ((r = mproc__name_check(name)) < 0 ||
            (r = mproc__named_prepare(MPROC__NAME_SEMAPHORE, mproc__memory_page(), &semaphore->fd)) < 0 ||
            (r = map_named(semaphore)) < 0)
                return r;
        init_shm(semaphore->shm, value, shape);
        if ((r = adopt_shm(semaphore, named_room())) < 0)
                return r;
        return mproc__named_publish(MPROC__NAME_SEMAPHORE, name, semaphore->fd);
}

static int
publish(struct mproc_semaphore *semaphore, bool fork_only, mproc_semaphore **ret)
{
        int r;

        mproc__object_init(&semaphore->object, &mproc__semaphore_type, fork_only);
        if ((r = mproc__object_publish(&semaphore->object)) < 0) {
                mproc__object_unref(&semaphore->object);
                return r;
        }
        *ret = semaphore;
        return 0;
}

/*
 * Permits come back to a bounded one unless that is not wanted: there nothing is held but what was acquired.
 * No more processes hold permits than there are; one more entry, since a permit that was just
 * released may be acquired again before the table says that it was.
 */
static int
shape_of(unsigned value, const mproc_semaphore_opts *o, struct shape *ret)
{
        if (o->restore < -1 || o->restore > 1)
                return mproc__fail(-EINVAL, "option restore is %d: it takes 1 (yes), -1 (no) or 0 (the default)",
                                   o->restore);
        if (o->bound > MPROC_SEMAPHORE_MAX || value > MPROC_SEMAPHORE_MAX)
                return mproc__fail(-EINVAL, "a semaphore's value is at most %u; %u was asked for",
                                   (unsigned)MPROC_SEMAPHORE_MAX, value > o->bound ? value : o->bound);
        if (o->bound && value > o->bound)
                return mproc__fail(-EINVAL, "a semaphore's value cannot begin with %u and be bounded by %u", value,
                                   o->bound);
        ret->bounded = o->bound != 0;
        ret->most = o->bound ? o->bound : MPROC_SEMAPHORE_MAX;
        ret->holders = 0;
        if (o->restore > 0 || (o->restore == 0 && ret->bounded))
                ret->holders = ret->most < MPROC__PERMITS_HOLDERS_MAX ? ret->most + 1 : MPROC__PERMITS_HOLDERS_MAX;
        return 0;
}

int
mproc_semaphore_create_opts(mproc_context *ctx, const char *name, unsigned value, const mproc_semaphore_opts *opts,
                            mproc_semaphore **ret_semaphore)
{
        static const mproc_semaphore_opts none = MPROC_SEMAPHORE_OPTS_INIT;
        struct mproc_semaphore *semaphore;
        struct shape shape;
        bool fork_only;
        int r;

        if ((r = shape_of(value, opts ? opts : &none, &shape)) < 0)
                return r;
        fork_only = !name && mproc__context_is_fork(ctx); /* what has a name is not bound to inheritance */
        if (!(semaphore = blank()))
                return -ENOMEM;
        r = name ? make_named(semaphore, name, value, &shape) : make_anonymous(semaphore, value, &shape);
        if (r < 0) {
                dispose(semaphore);
                return r;
        }
        r = publish(semaphore, fork_only, ret_semaphore);
        if (r < 0 && name)
                (void)mproc__named_unlink(MPROC__NAME_SEMAPHORE, name);
        return r;
}

int
mproc_semaphore_create(mproc_context *ctx, const char *name, unsigned value, mproc_semaphore **ret_semaphore)
{
        return mproc_semaphore_create_opts(ctx, name, value, NULL, ret_semaphore);
}

int
mproc_bounded_semaphore_create(mproc_context *ctx, unsigned value, mproc_semaphore **ret_semaphore)
{
        mproc_semaphore_opts opts = MPROC_SEMAPHORE_OPTS_INIT;

        if (value == 0)
                return mproc__fail(-EINVAL, "a bounded semaphore begins with one permit at least: none could ever be "
                                            "released");
        opts.bound = value;
        return mproc_semaphore_create_opts(ctx, NULL, value, &opts, ret_semaphore);
}

int
mproc_semaphore_attach(mproc_context *ctx, const char *name, mproc_semaphore **ret_semaphore)
{
        struct mproc_semaphore *semaphore;
        size_t len;
        int r;

        (void)ctx; /* a name belongs to no context: nothing is fixed by it */
        if ((r = mproc__name_check(name)) < 0)
                return r;
        if (!(semaphore = blank()))
                return -ENOMEM;
        if ((r = mproc__named_open(MPROC__NAME_SEMAPHORE, name, &semaphore->fd, &len)) < 0)
                goto fail;
        if (len < mproc__memory_page()) {
                r = mproc__fail(MPROC_ECORRUPT, "semaphore '%s' is only %zu bytes", name, len);
                goto fail;
        }
        if ((r = map_named(semaphore)) < 0 || (r = adopt_shm(semaphore, named_room())) < 0)
                goto fail;
        return publish(semaphore, false, ret_semaphore);
fail:
        dispose(semaphore);
        return r;
}

int
mproc_semaphore_unlink(const char *name)
{
        int r = mproc__name_check(name);

        return r < 0 ? r : mproc__named_unlink(MPROC__NAME_SEMAPHORE, name);
}

void
mproc_semaphore_free(mproc_semaphore *semaphore)
{
        mproc__object_free(semaphore ? &semaphore->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
semaphore_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_semaphore *semaphore = (struct mproc_semaphore *)object;

        mproc__enc_u32(encoder, semaphore->fd >= 0);
        if (semaphore->fd >= 0)
                mproc__enc_fd(encoder, semaphore->fd);
        else
                mproc__small_encode(&semaphore->place, encoder);
        return 0;
}

/* In a child: its permits are its own. */
static void
semaphore_forked(struct mproc__object *object, bool passed)
{
        (void)object;
        (void)passed;
        mproc__permits_forked();
}

/* The room is that of as many holders as it says it has, if the segment has that. */
static int
adopt_anonymous(struct mproc_semaphore *semaphore)
{
        uint32_t holders;

        semaphore->shm = mproc__small_at(&semaphore->place);
        holders = *(const volatile uint32_t *)&semaphore->shm->holders;
        if (holders > MPROC__PERMITS_HOLDERS_MAX || !mproc__small_has(&semaphore->place, bytes_for(holders)))
                return mproc__semaphore_fail_corrupt();
        return adopt_shm(semaphore, bytes_for(holders));
}

/* A descriptor of its own each, since the same one may stand there for several handles. */
static int
decode_named(struct mproc_semaphore *semaphore, struct mproc__decoder *decoder)
{
        int fd = mproc__dec_fd(decoder), r;
        uint64_t len;

        if (decoder->error)
                return mproc__fail(MPROC_EPROTO, "the message that brought a semaphore is damaged");
        if ((r = mproc__plat_dup(fd, &semaphore->fd)) < 0 || (r = mproc__memory_look(fd, &len, NULL)) < 0)
                return mproc__fail_errno(-r, "the descriptor that came as a semaphore's is not usable");
        if (len < mproc__memory_page())
                return mproc__fail(MPROC_ECORRUPT, "the semaphore's memory is too small");
        r = map_named(semaphore);
        return r < 0 ? r : adopt_shm(semaphore, named_room());
}

static int
semaphore_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_semaphore *semaphore = blank();
        int r;

        if (!semaphore)
                return -ENOMEM;
        if (mproc__dec_u32(decoder)) {
                r = decode_named(semaphore, decoder);
        } else if ((r = mproc__small_decode(decoder, "semaphore", &semaphore->place)) == 0) {
                r = adopt_anonymous(semaphore);
        }
        if (r < 0) {
                dispose(semaphore);
                return r;
        }
        mproc__object_init(&semaphore->object, &mproc__semaphore_type, false);
        *ret = &semaphore->object;
        return 0;
}

static void
semaphore_destroy(struct mproc__object *object)
{
        dispose((struct mproc_semaphore *)object);
}

const struct mproc__object_type mproc__semaphore_type = {
        .name = "semaphore",
        .arg_type = MPROC_ARG_SEMAPHORE,
        .encode = semaphore_encode,
        .decode = semaphore_decode,
        .forked = semaphore_forked,
        .destroy = semaphore_destroy,
};
