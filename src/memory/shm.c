/* SPDX-License-Identifier: MIT */
/*
 * memory/shm.c - mproc_shm: making handles, passing them on, ending them.
 *
 * Runs in: every process.  Owns: for each handle a descriptor and a mapping of its own.
 *
 * Memory without a name has no head of ours: all of it is the user's.  So there is nothing in it that a
 * process could leave half done, and what must be known of it travels with the handle.
 */
#include "memory/shm.h"
#include "context/context.h"
#include "core/error.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "platform/shared.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdlib.h>

static struct mproc_shm *
blank(void)
{
        struct mproc_shm *shm = calloc(1, sizeof *shm);

        if (!shm) {
                (void)mproc__fail(-ENOMEM, "no memory for a handle on shared memory");
                return NULL;
        }
        shm->fd = -1;
        shm->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        return shm;
}

/*
 * Out of view; the descriptor closed.  The mutex is held, or nobody else has the handle.  The address is
 * forgotten first: a child that is forked in between must not unmap what has come there since.
 */
static void
let_go(struct mproc_shm *shm)
{
        void *base = shm->base;

        atomic_store(&shm->data, NULL);
        atomic_store(&shm->size, 0);
        shm->base = NULL;
        mproc__memory_unmap(base, shm->mapped);
        mproc__plat_close(&shm->fd);
}

/* Before it is an object. */
static void
dispose(struct mproc_shm *shm)
{
        let_go(shm);
        (void)pthread_mutex_destroy(&shm->mutex);
        free(shm);
}

static int
map(struct mproc_shm *shm, size_t size)
{
        void *base;
        int r = mproc__shared_map(shm->fd, 0, size, false, NULL, &base);

        if (r < 0)
                return mproc__fail_errno(-r, "cannot map %zu bytes of shared memory", size);
        shm->base = base;
        shm->mapped = size;
        atomic_store(&shm->data, base);
        atomic_store(&shm->size, size);
        return 0;
}

static int
make_anonymous(struct mproc_shm *shm, size_t size)
{
        int r = mproc__shared_create("mproc-shm", size, &shm->fd);

        return r < 0 ? mproc__fail_errno(-r, "cannot make %zu bytes of shared memory", size) : map(shm, size);
}

static int
publish(struct mproc_shm *shm, bool fork_only, mproc_shm **ret)
{
        int r;

        mproc__object_init(&shm->object, &mproc__shm_type, fork_only);
        if ((r = mproc__object_publish(&shm->object)) < 0) {
                mproc__object_unref(&shm->object);
                return r;
        }
        *ret = shm;
        return 0;
}

int
mproc_shm_create(mproc_context *ctx, const char *name, size_t size_bytes, mproc_shm **ret_shm)
{
        struct mproc_shm *shm;
        int r;

        if (size_bytes == 0)
                return mproc__fail(-EINVAL, "shared memory has 1 byte at least, 0 were asked for");
        if (name)
                return mproc__fail(MPROC_EUNSUPPORTED, "shared memory with a name");
        if (!(shm = blank()))
                return -ENOMEM;
        if ((r = make_anonymous(shm, size_bytes)) < 0) {
                dispose(shm);
                return r;
        }
        return publish(shm, mproc__context_is_fork(ctx), ret_shm);
}

void *
mproc_shm_data(mproc_shm *shm)
{
        return shm ? atomic_load(&shm->data) : NULL;
}

size_t
mproc_shm_size(mproc_shm *shm)
{
        return shm ? atomic_load(&shm->size) : 0;
}

int
mproc_shm_close(mproc_shm *shm)
{
        if (!shm)
                return mproc__fail(MPROC_EHANDLE, "a block of shared memory is wanted, NULL was given");
        (void)pthread_mutex_lock(&shm->mutex);
        let_go(shm);
        (void)pthread_mutex_unlock(&shm->mutex);
        return 0;
}

void
mproc_shm_free(mproc_shm *shm)
{
        mproc__object_free(shm ? &shm->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
check_open(const struct mproc_shm *shm)
{
        return shm->fd >= 0 ? 0 : mproc__fail(MPROC_ECLOSED, "the handle on shared memory is closed");
}

static int
shm_passable(struct mproc__object *object)
{
        return check_open((struct mproc_shm *)object);
}

static int
shm_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_shm *shm = (struct mproc_shm *)object;
        int r;

        (void)pthread_mutex_lock(&shm->mutex);
        if ((r = check_open(shm)) == 0) {
                mproc__enc_u64(encoder, atomic_load(&shm->size));
                mproc__enc_fd(encoder, shm->fd);
        }
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

/* The same descriptor may stand there for several handles: each has a duplicate. */
static int
receive(struct mproc_shm *shm, struct mproc__decoder *decoder)
{
        uint64_t size = mproc__dec_u64(decoder), len;
        int fd = mproc__dec_fd(decoder), r;

        if (decoder->error || size == 0 || size > SIZE_MAX)
                return mproc__fail(MPROC_EPROTO, "the message that brought shared memory is damaged");
        if ((r = mproc__plat_dup(fd, &shm->fd)) < 0 || (r = mproc__memory_look(fd, &len, NULL)) < 0)
                return mproc__fail_errno(-r, "the descriptor that came as shared memory is not usable");
        if (!mproc__memory_cannot_shrink(fd) || len < size)
                return mproc__fail(MPROC_ECORRUPT, "what came as shared memory can be taken away from under us");
        return map(shm, (size_t)size);
}

static int
shm_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_shm *shm = blank();
        int r;

        if (!shm)
                return -ENOMEM;
        if ((r = receive(shm, decoder)) < 0) {
                dispose(shm);
                return r;
        }
        mproc__object_init(&shm->object, &mproc__shm_type, false);
        *ret = &shm->object;
        return 0;
}

/* Another thread of the parent may have held it. */
static void
shm_forked(struct mproc__object *object, bool passed)
{
        (void)passed;
        ((struct mproc_shm *)object)->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static void
shm_destroy(struct mproc__object *object)
{
        dispose((struct mproc_shm *)object);
}

const struct mproc__object_type mproc__shm_type = {
        .name = "block of shared memory",
        .arg_type = MPROC_ARG_SHM,
        .encode = shm_encode,
        .decode = shm_decode,
        .passable = shm_passable,
        .forked = shm_forked,
        .destroy = shm_destroy,
};
