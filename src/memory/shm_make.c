/* SPDX-License-Identifier: MIT */
/*
 * memory/shm_make.c - making shared memory, with a name and without, and attaching to it.
 *
 * Runs in: every process.  Owns: what is being made, until it is a handle.
 *
 * Killed at any instruction.  Memory without a name is a descriptor and a mapping: they go with the
 * process.  Memory with a name is complete before it has the name, and recorded before that: tracker/publish.c.
 */
#include "context/context.h"
#include "core/error.h"
#include "memory/shm.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "platform/shared.h"
#include "platform/store.h"
#include "program/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const mproc_shm_opts no_opts = MPROC_SHM_OPTS_INIT;

static int
check_opts(size_t size, const char *name, const mproc_shm_opts *o)
{
        if (size == 0)
                return mproc__fail(-EINVAL, "shared memory has 1 byte at least, 0 were asked for");
        if (size > INT64_MAX / 2)
                return mproc__fail(-EFBIG, "no file has %zu bytes", size);
        if (o->reserve < -1 || o->reserve > 1)
                return mproc__fail(-EINVAL,
                                   "option reserve is %d: it takes 1 (claim it now), -1 (do not look for "
                                   "room) or 0 (the default)",
                                   o->reserve);
        if (o->huge < MPROC_SHM_HUGE_NO || o->huge > MPROC_SHM_HUGE_ALWAYS)
                return mproc__fail(-EINVAL, "option huge is %d: see enum mproc_shm_huge", o->huge);
        if (name && o->huge == MPROC_SHM_HUGE_ALWAYS)
                return mproc__fail(
                        MPROC_EUNSUPPORTED,
                        "memory with a name cannot be of huge pages alone: names are files in a file system "
                        "of ordinary pages; take MPROC_SHM_HUGE_IF_POSSIBLE, or no name");
        return 0;
}

static int
fail_no_room(uint64_t size, uint64_t room)
{
        return mproc__fail(
                -ENOSPC,
                "no room for %llu bytes: %llu are free in /dev/shm, where this memory would lie; make that "
                "larger (mount -o remount,size=, docker run --shm-size); on Linux memory without a name "
                "needs none there",
                (unsigned long long)size, (unsigned long long)room);
}

/*
 * A file system with a size of its own has that much; one without has as much as the machine, which matters if
 * all is to be claimed now: the system would rather kill somebody than say no.
 */
int
mproc__shm_check_room(const struct mproc_shm *shm, uint64_t more, int reserve)
{
        uint64_t room, memory;
        int r;

        if (reserve < 0 ||
            shm->huge == MPROC_SHM_HUGE_ALWAYS) /* a pool of its own, which says no when it is mapped */
                return 0;
        if ((r = mproc__shared_room(shm->fd, &room)) < 0)
                return mproc__fail_errno(-r, "cannot ask how much room there is for shared memory");
        if (room < more)
                return fail_no_room(more, room);
        if (reserve > 0 && (memory = mproc__shared_memory_left()) < more)
                return mproc__fail(-ENOSPC, "no room for %llu bytes: this machine has %llu bytes of memory left",
                                   (unsigned long long)more, (unsigned long long)memory);
        return 0;
}

static int
claim(struct mproc_shm *shm, size_t size, const mproc_shm_opts *o)
{
        int r = mproc__shm_check_room(shm, size, o->reserve);

        if (r < 0 || o->reserve <= 0)
                return r;
        if ((r = mproc__memory_reserve(shm->fd, shm->head, mproc__shm_mapping(shm, size))) < 0)
                return mproc__fail_errno(-r, "cannot claim %zu bytes of shared memory", size);
        return 0;
}

/* --- without a name -------------------------------------------------------------------------------------- */

static int
make_anonymous(struct mproc_shm *shm, size_t size, const mproc_shm_opts *o)
{
        int r = mproc__shared_create("mproc-shm", size, o->huge == MPROC_SHM_HUGE_ALWAYS, &shm->fd);

        if (r == -EOPNOTSUPP)
                return mproc__fail(MPROC_EUNSUPPORTED, "this system has no pool of huge pages: take "
                                                       "MPROC_SHM_HUGE_IF_POSSIBLE");
        if (r < 0)
                return mproc__fail_errno(-r, "cannot make %zu bytes of shared memory", size);
        if ((r = claim(shm, size, o)) < 0)
                return r;
        return mproc__shm_view(shm, size);
}

int
mproc__shm_make(size_t size, const mproc_shm_opts *opts, bool fork_only, struct mproc_shm **ret)
{
        const mproc_shm_opts *o = opts ? opts : &no_opts;
        struct mproc_shm *shm;
        int r = check_opts(size, NULL, o);

        if (r < 0)
                return r;
        if (!(shm = mproc__shm_blank()))
                return -ENOMEM;
        shm->huge = o->huge;
        if ((r = make_anonymous(shm, size, o)) < 0) {
                mproc__shm_dispose(shm);
                return r;
        }
        mproc__object_init(&shm->object, &mproc__shm_type, fork_only);
        *ret = shm;
        return 0;
}

/* --- with a name ----------------------------------------------------------------------------------------- */

static int
take_name(struct mproc_shm *shm, const char *name)
{
        int r = mproc__name_check(name);

        if (r < 0)
                return r;
        if (!(shm->name = strdup(name)))
                return mproc__fail(-ENOMEM, "no memory for a name");
        shm->head = mproc__memory_page();
        return 0;
}

/* Its first page is there, and says what it is; the user's part comes behind it. */
static int
fill_named(struct mproc_shm *shm, size_t size, const mproc_shm_opts *o)
{
        int r;

        if ((r = mproc__shm_check_room(shm, size, o->reserve)) < 0)
                return r;
        if ((r = mproc__shared_grow(shm->fd, shm->head + size, true)) < 0)
                return mproc__fail_errno(-r, "cannot make %zu bytes of shared memory", size);
        if ((r = claim(shm, size, o)) < 0)
                return r;
        return mproc__shm_view(shm, size);
}

static int
make_named(struct mproc_shm *shm, const char *name, size_t size, const mproc_shm_opts *o)
{
        int r;

        if ((r = take_name(shm, name)) < 0 || (r = mproc__named_prepare(MPROC__NAME_SHM, shm->head, &shm->fd)) < 0)
                return r;
        if ((r = fill_named(shm, size, o)) < 0) {
                mproc__store_discard(shm->fd);
                return r;
        }
        return mproc__named_publish(MPROC__NAME_SHM, name, shm->fd);
}

static int
create_named(const char *name, size_t size, const mproc_shm_opts *o, struct mproc_shm **ret)
{
        struct mproc_shm *shm;
        int r = check_opts(size, name, o);

        if (r < 0)
                return r;
        if (!(shm = mproc__shm_blank()))
                return -ENOMEM;
        shm->huge = o->huge;
        if ((r = make_named(shm, name, size, o)) < 0) {
                mproc__shm_dispose(shm);
                return r;
        }
        mproc__object_init(&shm->object, &mproc__shm_type, false); /* what has a name is not bound to inheritance */
        *ret = shm;
        return 0;
}

/* --- for users ----------------------------------------------------------------------------------------------- */

static int
publish(struct mproc_shm *shm, mproc_shm **ret)
{
        int r = mproc__object_publish(&shm->object);

        if (r < 0)
                mproc__object_unref(&shm->object);
        else
                *ret = shm;
        return r;
}

int
mproc_shm_create_opts(mproc_context *ctx, const char *name, size_t size_bytes, const mproc_shm_opts *opts,
                      mproc_shm **ret_shm)
{
        struct mproc_shm *shm;
        int r;

        if (name)
                r = create_named(name, size_bytes, opts ? opts : &no_opts, &shm);
        else
                r = mproc__shm_make(size_bytes, opts, mproc__context_is_fork(ctx), &shm);
        if (r < 0)
                return r;
        if ((r = publish(shm, ret_shm)) < 0 && name)
                (void)mproc__named_unlink(MPROC__NAME_SHM, name);
        return r;
}

int
mproc_shm_create(mproc_context *ctx, const char *name, size_t size_bytes, mproc_shm **ret_shm)
{
        return mproc_shm_create_opts(ctx, name, size_bytes, NULL, ret_shm);
}

/* Another description that can only read, or, where there is no way to one, the same with that intention. */
static int
make_readonly(struct mproc_shm *shm, int fd)
{
        int r = mproc__shared_readonly(fd, &shm->fd);

        if (r == -ENOSYS)
                r = mproc__plat_dup(fd, &shm->fd);
        shm->readonly = true;
        return r < 0 ? mproc__fail_errno(-r, "cannot open shared memory for reading alone") : 0;
}

static int
attach(struct mproc_shm *shm, const char *name, bool readonly)
{
        uint64_t length;
        size_t unused;
        int fd, r;

        if ((r = take_name(shm, name)) < 0 || (r = mproc__named_open(MPROC__NAME_SHM, name, &fd, &unused)) < 0)
                return r;
        if (!readonly) {
                shm->fd = fd;
        } else {
                r = make_readonly(shm, fd);
                mproc__plat_close(&fd);
                if (r < 0)
                        return r;
        }
        if ((r = mproc__shm_length(shm, &length)) < 0)
                return r;
        return mproc__shm_view(shm, (size_t)length);
}

static int
attach_by(const char *name, bool readonly, mproc_shm **ret_shm)
{
        struct mproc_shm *shm = mproc__shm_blank();
        int r;

        if (!shm)
                return -ENOMEM;
        if ((r = attach(shm, name, readonly)) < 0) {
                mproc__shm_dispose(shm);
                return r;
        }
        mproc__object_init(&shm->object, &mproc__shm_type, false);
        return publish(shm, ret_shm);
}

int
mproc_shm_attach(mproc_context *ctx, const char *name, mproc_shm **ret_shm)
{
        (void)ctx; /* a name belongs to no context: nothing is fixed by it */
        return attach_by(name, false, ret_shm);
}

int
mproc_shm_attach_readonly(mproc_context *ctx, const char *name, mproc_shm **ret_shm)
{
        (void)ctx;
        return attach_by(name, true, ret_shm);
}

int
mproc_shm_unlink(const char *name)
{
        int r = mproc__name_check(name);

        return r < 0 ? r : mproc__named_unlink(MPROC__NAME_SHM, name);
}

static int
copy_for_reading(struct mproc_shm *copy, struct mproc_shm *shm)
{
        int r;

        if ((r = mproc__shm_check_open(shm)) < 0 || (shm->name && (r = take_name(copy, shm->name)) < 0) ||
            (r = make_readonly(copy, shm->fd)) < 0)
                return r;
        copy->huge = shm->huge;
        return mproc__shm_view(copy, shm->size);
}

int
mproc_shm_readonly(mproc_shm *shm, mproc_shm **ret_shm)
{
        struct mproc_shm *copy;
        int r = mproc__shm_check(shm);

        if (r < 0)
                return r;
        if (!(copy = mproc__shm_blank()))
                return -ENOMEM;
        (void)pthread_mutex_lock(&shm->mutex);
        r = copy_for_reading(copy, shm);
        (void)pthread_mutex_unlock(&shm->mutex);
        if (r < 0) {
                mproc__shm_dispose(copy);
                return r;
        }
        mproc__object_init(&copy->object, &mproc__shm_type, shm->object.fork_only);
        return publish(copy, ret_shm);
}
