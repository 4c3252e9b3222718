/* SPDX-License-Identifier: MIT */
/*
 * memory/shm.c - mproc_shm: handles, what they have in view, how they are passed on.
 *
 * Runs in: every process.  Owns: for each handle a descriptor and a mapping of its own.
 *
 * Memory without a name has no head of ours: all of it is the user's.  So there is nothing in it that a
 * process could leave half done, and what must be known of it travels with the handle.  Memory with a
 * name has the page that program/names.h wants, which is constant, and in nobody's view.
 *
 * Why no view can break.  A view is never longer than the file, and no file becomes shorter: a memfd is sealed
 * against it, and no function of ours does it to any.  So no access within a view is SIGBUS for want of a file. (It
 * can be for want of memory: that is what `reserve` is for.)
 */
#include "memory/shm.h"
#include "core/error.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "platform/shared.h"
#include "program/names.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a handle tells of itself when it travels. */
#define NAMED    1u
#define READONLY 2u

struct mproc_shm *
mproc__shm_blank(void)
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

void
mproc__shm_dispose(struct mproc_shm *shm)
{
        let_go(shm);
        (void)pthread_mutex_destroy(&shm->mutex);
        free(shm->name);
        free(shm);
}

int
mproc__shm_check(const struct mproc_shm *shm)
{
        return shm ? 0 : mproc__fail(MPROC_EHANDLE, "a block of shared memory is wanted, NULL was given");
}

int
mproc__shm_check_open(const struct mproc_shm *shm)
{
        return shm->fd >= 0 ? 0 : mproc__fail(MPROC_ECLOSED, "this handle on shared memory is closed");
}

/* --- the view ---------------------------------------------------------------------------------------- */

/* Pages by the system's measure, but huge pages by theirs: it wants to be told whole ones. */
size_t
mproc__shm_mapping(const struct mproc_shm *shm, size_t size)
{
        size_t page = shm->huge == MPROC_SHM_HUGE_ALWAYS ? mproc__shared_huge_page(shm->fd) : 1;

        return size > SIZE_MAX - page ? 0 : (size + page - 1) / page * page;
}

static int
fail_map(const struct mproc_shm *shm, size_t size, int r)
{
        if (r == -ENOMEM && shm->huge == MPROC_SHM_HUGE_ALWAYS)
                return mproc__fail(r,
                                   "%zu bytes want %zu huge pages, and the system's pool has not so many free: an "
                                   "administrator sets its size in /proc/sys/vm/nr_hugepages; "
                                   "MPROC_SHM_HUGE_IF_POSSIBLE needs none",
                                   size, mproc__shm_mapping(shm, size) / mproc__shared_huge_page(shm->fd));
        return mproc__fail_errno(-r, "cannot bring %zu bytes of shared memory into view", size);
}

static void
set_view(struct mproc_shm *shm, void *base, size_t mapped, size_t size)
{
        shm->base = base;
        shm->mapped = mapped;
        atomic_store(&shm->data, base);
        atomic_store(&shm->size, size);
        if (shm->huge == MPROC_SHM_HUGE_IF_POSSIBLE)
                mproc__shared_want_huge(base, mapped);
}

int
mproc__shm_view(struct mproc_shm *shm, size_t size)
{
        size_t mapped = mproc__shm_mapping(shm, size);
        void *base;
        int r = -ENOMEM;

        if (mapped == 0 || (r = mproc__shared_map(shm->fd, shm->head, mapped, shm->readonly, NULL, &base)) < 0)
                return fail_map(shm, size, r);
        set_view(shm, base, mapped, size);
        return 0;
}

int
mproc__shm_length(const struct mproc_shm *shm, uint64_t *ret_length)
{
        uint64_t len;
        int r = mproc__memory_look(shm->fd, &len, NULL);

        if (r < 0)
                return mproc__fail_errno(-r, "the descriptor of this shared memory is not usable");
        if (len <= shm->head)
                return mproc__fail(MPROC_ECORRUPT, "the file of this shared memory is too short: it has %llu bytes",
                                   (unsigned long long)len);
        *ret_length = len - shm->head;
        return 0;
}

/* --- looking, and ending -------------------------------------------------------------------------------- */

void *
mproc_shm_data(mproc_shm *shm)
{
        return shm ? atomic_load_explicit(&shm->data, memory_order_acquire) : NULL;
}

size_t
mproc_shm_size(mproc_shm *shm)
{
        return shm ? atomic_load_explicit(&shm->size, memory_order_acquire) : 0;
}

const char *
mproc_shm_name(mproc_shm *shm)
{
        return shm ? shm->name : NULL;
}

int
mproc_shm_is_readonly(mproc_shm *shm)
{
        int r = mproc__shm_check(shm);

        return r < 0 ? r : shm->readonly;
}

int
mproc_shm_fileno(mproc_shm *shm)
{
        int r = mproc__shm_check(shm);

        if (r < 0)
                return r;
        (void)pthread_mutex_lock(&shm->mutex);
        r = mproc__shm_check_open(shm);
        r = r < 0 ? r : shm->fd;
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

int
mproc__shm_enter(struct mproc_shm *shm)
{
        int r;

        (void)pthread_mutex_lock(&shm->mutex);
        if ((r = mproc__shm_check_open(shm)) == 0) {
                shm->tenants++;
                mproc__object_ref(&shm->object);
        }
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

void
mproc__shm_leave(struct mproc_shm *shm)
{
        (void)pthread_mutex_lock(&shm->mutex);
        shm->tenants--;
        (void)pthread_mutex_unlock(&shm->mutex);
        mproc__object_unref(&shm->object);
}

int
mproc_shm_close(mproc_shm *shm)
{
        int r = mproc__shm_check(shm);

        if (r < 0)
                return r;
        (void)pthread_mutex_lock(&shm->mutex);
        if (shm->tenants > 0)
                r = mproc__fail(-EBUSY, "%u arrays or the like lie in this shared memory: free them first",
                                shm->tenants);
        else
                let_go(shm);
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

void
mproc_shm_free(mproc_shm *shm)
{
        mproc__object_free(shm ? &shm->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
shm_passable(struct mproc__object *object)
{
        int fd = mproc_shm_fileno((struct mproc_shm *)object);

        return fd < 0 ? fd : 0;
}

static int
shm_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_shm *shm = (struct mproc_shm *)object;
        int r;

        (void)pthread_mutex_lock(&shm->mutex);
        if ((r = mproc__shm_check_open(shm)) == 0) {
                mproc__enc_u32(encoder, (shm->name ? NAMED : 0) | (shm->readonly ? READONLY : 0));
                mproc__enc_u32(encoder, (uint32_t)shm->huge);
                mproc__enc_u64(encoder, shm->size);
                mproc__enc_string(encoder, shm->name);
                mproc__enc_fd(encoder, shm->fd);
        }
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

static int
fail_damaged(void)
{
        return mproc__fail(MPROC_EPROTO, "the message that brought shared memory is damaged");
}

static int
take_name(struct mproc_shm *shm, const char *name)
{
        if (!name || strlen(name) > MPROC__NAME_MAX)
                return fail_damaged();
        if (!(shm->name = strdup(name)))
                return mproc__fail(-ENOMEM, "no memory for a name");
        shm->head = mproc__memory_page();
        return 0;
}

/* Somebody may have sealed it after the handle was sent: then it cannot be mapped for writing. */
static bool
is_sealed(int fd)
{
        int seals = mproc__shared_seals(fd);

        return seals >= 0 && (seals & (MPROC_SHM_SEAL_WRITE | MPROC_SHM_SEAL_FUTURE_WRITE));
}

/* The same descriptor may stand there for several handles: each has a duplicate. */
static int
receive(struct mproc_shm *shm, struct mproc__decoder *decoder)
{
        uint32_t flags = mproc__dec_u32(decoder);
        uint32_t huge = mproc__dec_u32(decoder);
        uint64_t size = mproc__dec_u64(decoder), len = 0;
        const char *name = mproc__dec_string(decoder);
        int fd = mproc__dec_fd(decoder), r;

        if (decoder->error || size == 0 || size > SIZE_MAX || huge > MPROC_SHM_HUGE_ALWAYS)
                return fail_damaged();
        if ((flags & NAMED) && (r = take_name(shm, name)) < 0)
                return r;
        shm->huge = (int)huge;
        shm->readonly = (flags & READONLY) || is_sealed(fd);
        if ((r = mproc__plat_dup(fd, &shm->fd)) < 0)
                return mproc__fail_errno(-r, "the descriptor that came as shared memory is not usable");
        if ((r = mproc__shm_length(shm, &len)) < 0)
                return r;
        if (len < size || (!shm->name && !mproc__memory_cannot_shrink(fd)))
                return mproc__fail(MPROC_ECORRUPT, "what came as shared memory can be taken away from under us");
        return mproc__shm_view(shm, (size_t)size);
}

static int
shm_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_shm *shm = mproc__shm_blank();
        int r;

        if (!shm)
                return -ENOMEM;
        if ((r = receive(shm, decoder)) < 0) {
                mproc__shm_dispose(shm);
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
        mproc__shm_dispose((struct mproc_shm *)object);
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
