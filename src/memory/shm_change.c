/* SPDX-License-Identifier: MIT */
/*
 * memory/shm_change.c - what can be changed about shared memory: its size, its seals, its pages.
 *
 * Runs in: every process.  Owns: nothing beside the handles.
 */
#include "core/error.h"
#include "core/locks.h"
#include "core/point.h"
#include "memory/shm.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "platform/shared.h"

#include <errno.h>

static int
fail_readonly(const char *what)
{
        return mproc__fail(MPROC_EREADONLY, "this handle on shared memory is read-only: it cannot %s", what);
}

/* --- size ------------------------------------------------------------------------------------------------- */

/*
 * Two who make it grow at once: each asks for its own length, and the longer one wins, since none makes it
 * shorter.  Killed in here, nothing but the length is changed, in one step.
 */
static int
grow(struct mproc_shm *shm, uint64_t length, size_t size)
{
        int r;

        if (shm->readonly)
                return fail_readonly("make it grow");
        if ((r = mproc__shm_check_room(shm, size - length, 0)) < 0)
                return r;
        r = mproc__shared_grow(shm->fd, shm->head + mproc__shm_mapping(shm, size), false);
        if (r == -EPERM)
                return mproc__fail(r, "this shared memory is sealed: it stays at %llu bytes",
                                   (unsigned long long)length);
        return r < 0 ? mproc__fail_errno(-r, "cannot make shared memory grow to %zu bytes", size) : 0;
}

/* fork() waits for the lock: a child gets the old view or the new one, and never an address in between. */
static int
change_view(struct mproc_shm *shm, size_t size)
{
        size_t mapped = mproc__shm_mapping(shm, size);
        void *base;
        int r;

        mproc__lock(MPROC__LOCK_SEGMENTS);
        if ((r = mproc__shared_remap(shm->fd, shm->head, shm->base, shm->mapped, mapped, shm->readonly, &base)) ==
            0) {
                shm->base = base;
                shm->mapped = mapped;
                atomic_store(&shm->data, base);
                atomic_store(&shm->size, size);
        }
        mproc__unlock(MPROC__LOCK_SEGMENTS);
        if (r < 0)
                return mproc__fail_errno(-r, "cannot bring %zu bytes of shared memory into view", size);
        if (shm->huge == MPROC_SHM_HUGE_IF_POSSIBLE)
                mproc__shared_want_huge(base, mapped);
        return 0;
}

/* The mutex is held. */
static int
resize(struct mproc_shm *shm, size_t size)
{
        uint64_t length;
        int r;

        if ((r = mproc__shm_check_open(shm)) < 0 || (r = mproc__shm_length(shm, &length)) < 0)
                return r;
        if (size == 0)
                size = (size_t)length;
        if (size == shm->size)
                return 0;
        if (shm->tenants > 0)
                return mproc__fail(-EBUSY,
                                   "%u arrays or the like lie in this shared memory, which may have to move: "
                                   "free them first",
                                   shm->tenants);
        if (size > INT64_MAX / 2)
                return mproc__fail(-EFBIG, "no file has %zu bytes", size);
        if (size > length && (r = grow(shm, length, size)) < 0)
                return r;
        MPROC_POINT("shm.resize.grown");
        return change_view(shm, size);
}

int
mproc_shm_resize(mproc_shm *shm, size_t size_bytes)
{
        int r = mproc__shm_check(shm);

        if (r < 0)
                return r;
        (void)pthread_mutex_lock(&shm->mutex);
        r = resize(shm, size_bytes);
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

static int
discard(struct mproc_shm *shm, size_t offset, size_t len)
{
        int r = mproc__shm_check_open(shm);

        if (r < 0)
                return r;
        if (shm->readonly)
                return fail_readonly("give its pages back");
        if (offset > shm->size || len > shm->size - offset)
                return mproc__fail(-EINVAL, "%zu bytes from %zu on are not within the %zu bytes in view", len, offset,
                                   shm->size);
        if (len == 0)
                return 0;
        r = mproc__shared_discard(shm->fd, shm->head + offset, len);
        return r < 0 ? mproc__fail_errno(-r, "cannot give pages of shared memory back") : 0;
}

int
mproc_shm_discard(mproc_shm *shm, size_t offset_bytes, size_t len_bytes)
{
        int r = mproc__shm_check(shm);

        if (r < 0)
                return r;
        (void)pthread_mutex_lock(&shm->mutex);
        r = discard(shm, offset_bytes, len_bytes);
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

/* --- seals ------------------------------------------------------------------------------------------------- */

#define ALL_SEALS (MPROC_SHM_SEAL_SHRINK | MPROC_SHM_SEAL_GROW | MPROC_SHM_SEAL_WRITE | MPROC_SHM_SEAL_FUTURE_WRITE)

static int
fail_seal(int r)
{
        if (r == -EBUSY)
                return mproc__fail(r, "this shared memory cannot be sealed against writing: another handle has it in "
                                      "view for writing, here or in another process; close it, or take "
                                      "MPROC_SHM_SEAL_FUTURE_WRITE");
        if (r == -ENOSYS)
                return mproc__fail(MPROC_EUNSUPPORTED, "this system has no seals for memory");
        if (r == -EINVAL)
                return mproc__fail(MPROC_EUNSUPPORTED, "this system does not have the seals that were asked for");
        return mproc__fail_errno(-r, "cannot seal shared memory");
}

/*
 * Nobody may have it mapped for writing, and we have.  So a view through a descriptor that can only read
 * takes our view's place, in one step and at the same address; if there is another writer, ours comes back.
 */
static int
seal_writes(struct mproc_shm *shm, int seals)
{
        void *base;
        int fd = -1, r;

        if ((r = mproc__shared_readonly(shm->fd, &fd)) < 0)
                return fail_seal(r);
        if ((r = mproc__shared_map(fd, 0, shm->mapped, true, shm->base, &base)) == 0 &&
            (r = mproc__shared_seal(shm->fd, seals)) < 0)
                (void)mproc__shared_map(shm->fd, 0, shm->mapped, false, shm->base, &base);
        if (r < 0) {
                mproc__plat_close(&fd);
                return fail_seal(r);
        }
        shm->readonly = true;
        mproc__plat_close(&shm->fd);
        shm->fd = fd;
        return 0;
}

/* The mutex is held. */
static int
seal(struct mproc_shm *shm, int seals)
{
        int r = mproc__shm_check_open(shm);

        if (r < 0)
                return r;
        if (shm->name)
                return mproc__fail(MPROC_EUNSUPPORTED,
                                   "shared memory with a name cannot be sealed: it is a file that "
                                   "anybody may open");
        if ((r = mproc__shared_seals(shm->fd)) < 0)
                return fail_seal(r);
        if (!(seals & ~r))
                return 0; /* all that is so already */
        if (shm->readonly)
                return fail_readonly("be used to seal it");
        if (seals & MPROC_SHM_SEAL_WRITE)
                return seal_writes(shm, seals);
        r = mproc__shared_seal(shm->fd, seals);
        return r < 0 ? fail_seal(r) : 0;
}

int
mproc_shm_seal(mproc_shm *shm, int seals)
{
        int r = mproc__shm_check(shm);

        if (r < 0)
                return r;
        if (seals & ~ALL_SEALS)
                return mproc__fail(-EINVAL, "there are no such seals: %#x", (unsigned)(seals & ~ALL_SEALS));
        (void)pthread_mutex_lock(&shm->mutex);
        r = seal(shm, seals);
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}

int
mproc_shm_seals(mproc_shm *shm)
{
        int r = mproc__shm_check(shm);

        if (r < 0)
                return r;
        (void)pthread_mutex_lock(&shm->mutex);
        if ((r = mproc__shm_check_open(shm)) == 0) {
                r = shm->name ? 0 : mproc__shared_seals(shm->fd);
                r = r < 0 ? 0 : r; /* a system without seals has sealed nothing */
        }
        (void)pthread_mutex_unlock(&shm->mutex);
        return r;
}
