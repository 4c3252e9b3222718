/* SPDX-License-Identifier: MIT */
/*
 * sync/semaphore.c - mproc_semaphore, anonymous and named.
 *
 * Runs in: every process.  Owns: a place in a small segment, or the file of a named
 * semaphore and its mapping; its handles.
 *
 * A semaphore is a queue of messages without content: releasing puts, acquiring
 * takes, its value is what was put less what was taken.  So all that sync/counter.h
 * argues for queues holds here: a process killed in release has released or not; one
 * killed in acquire has its permit or not; and who waits is woken.  A permit that
 * a process holds when it dies stays taken, as in the original.
 *
 * Nobody waits for head.n, since a release always has room: head.armed is not used.
 */
#include "sync/semaphore.h"
#include "context/context.h"
#include "core/error.h"
#include "core/object.h"
#include "core/point.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "program/names.h"
#include "shm/small.h"
#include "sync/counter.h"
#include "wire/codec.h"

#include <errno.h>
#include <mproc/sync.h>
#include <stdlib.h>
#include <string.h>

#define SEMAPHORE_MAGIC   0x6d70736du
#define SEMAPHORE_VERSION 1u

/*
 * In shared memory.  The first four: constant once the creator's call has returned.
 *   tail.lock   held to release; tail.n: changed by its holder
 *   head.lock   held to acquire, also asleep; head.n, tail.armed: changed by its holder
 * Anybody reads n and armed.
 */
struct semaphore_end {
        struct mproc__robust lock;
        mproc__word n;
        mproc__word armed;
        uint32_t reserved[5];
};
struct semaphore_shm {
        uint32_t magic;
        uint32_t version;
        uint64_t namespace_id; /* in which thread ids mean what the locks say */
        uint64_t reserved[2];
        struct semaphore_end tail;
        struct semaphore_end head;
};
_Static_assert(sizeof(struct semaphore_shm) <= MPROC__SMALL_BYTES, "a semaphore fits into its place");
_Static_assert(sizeof(struct semaphore_end) == 32, "layout of a semaphore");

struct mproc_semaphore {
        struct mproc__object object;
        struct semaphore_shm *shm;
        struct mproc__small place; /* anonymous; segment NULL: named */
        int fd;                    /* named: its file and mapping */
        void *base;
};

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

/* A ticket for a count that lies behind is void. */
static void
init_shm(struct semaphore_shm *shm, unsigned value)
{
        shm->magic = SEMAPHORE_MAGIC;
        shm->version = SEMAPHORE_VERSION;
        shm->namespace_id = mproc__word_namespace();
        atomic_init(&shm->head.n, MPROC__COUNTER_START);
        atomic_init(&shm->tail.n, MPROC__COUNTER_START + value);
        atomic_init(&shm->head.armed, MPROC__COUNTER_START - 1);
        atomic_init(&shm->tail.armed, MPROC__COUNTER_START - 1);
}

/* The file's first page: names.c's part, then the semaphore. */
static int
map_named(struct mproc_semaphore *semaphore)
{
        int r = mproc__memory_map(semaphore->fd, 0, mproc__memory_page(), &semaphore->base);

        if (r < 0)
                return mproc__fail_errno(-r, "cannot map the semaphore's memory");
        semaphore->shm = (struct semaphore_shm *)((uint8_t *)semaphore->base + MPROC__NAMED_HEADER_BYTES);
        return 0;
}

/* Somebody else filled it in.  Counters are checked whenever they are used. */
static int
check_shm(const struct semaphore_shm *shm)
{
        if (shm->magic != SEMAPHORE_MAGIC || shm->version != SEMAPHORE_VERSION)
                return mproc__fail(MPROC_ECORRUPT, "the semaphore's memory does not hold one of this version");
        if (shm->namespace_id != mproc__word_namespace())
                return mproc__fail(MPROC_EUNSUPPORTED,
                                   "a semaphore cannot be shared between PID namespaces: its locks hold thread ids");
        return 0;
}

static int
make_anonymous(struct mproc_semaphore *semaphore, unsigned value)
{
        int r = mproc__small_create("semaphore", &semaphore->place);

        if (r < 0)
                return r;
        semaphore->shm = mproc__small_at(&semaphore->place);
        init_shm(semaphore->shm, value);
        return 0;
}

static int
make_named(struct mproc_semaphore *semaphore, const char *name, unsigned value)
{
        int r;

        if ((r = mproc__name_check(name)) < 0 ||
            (r = mproc__named_prepare(MPROC__NAME_SEMAPHORE, mproc__memory_page(), &semaphore->fd)) < 0 ||
            (r = map_named(semaphore)) < 0)
                return r;
        init_shm(semaphore->shm, value);
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

int
mproc_semaphore_create(mproc_context *ctx, const char *name, unsigned value, mproc_semaphore **ret_semaphore)
{
        struct mproc_semaphore *semaphore;
        bool fork_only;
        int r;

        if (value > MPROC_SEMAPHORE_MAX)
                return mproc__fail(-EINVAL, "a semaphore's value is at most %u; %u was asked for",
                                   (unsigned)MPROC_SEMAPHORE_MAX, value);
        fork_only = !name && mproc__context_is_fork(ctx); /* what has a name is not bound to inheritance */
        if (!(semaphore = blank()))
                return -ENOMEM;
        r = name ? make_named(semaphore, name, value) : make_anonymous(semaphore, value);
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
        if ((r = map_named(semaphore)) < 0 || (r = check_shm(semaphore->shm)) < 0)
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

static int
check(const struct mproc_semaphore *semaphore)
{
        return semaphore ? 0 : mproc__fail(MPROC_EHANDLE, "a semaphore is wanted, NULL was given");
}

static int
fail_corrupt(void)
{
        return mproc__fail(MPROC_ECORRUPT,
                           "the semaphore's counters are damaged: some process wrote into its memory");
}

static int
fail_reentered(void)
{
        return mproc__fail(MPROC_EDEADLK, "a signal handler used the semaphore while its thread was using it");
}

/* --- acquire -------------------------------------------------------------------------------------- */

static bool
is_zero(void *arg)
{
        struct semaphore_shm *shm = arg;

        return mproc__counter_distance(&shm->head.n, &shm->tail.n) == 0;
}

static int
enter(struct mproc__robust *lock, int64_t deadline_ns, bool nowait, struct semaphore_shm *shm)
{
        if (mproc__robust_try(lock, mproc__word_thread()))
                return 0;
        return mproc__counter_enter(lock, deadline_ns, nowait, is_zero, shm, NULL);
}

/* The head's lock is held. */
static int
take_locked(struct semaphore_shm *shm, int64_t deadline_ns)
{
        uint32_t n = atomic_load_explicit(&shm->head.n, memory_order_relaxed);
        int r;

        if (atomic_load_explicit(&shm->tail.n, memory_order_acquire) == n &&
            (r = mproc__counter_sleep(&shm->tail.n, &shm->tail.armed, &shm->tail.lock, &shm->head.lock, n,
                                      deadline_ns, NULL)) < 0)
                return r;
        if (atomic_load_explicit(&shm->tail.n, memory_order_acquire) - n > MPROC_SEMAPHORE_MAX)
                return MPROC_ECORRUPT;
        MPROC_POINT("semaphore.acquire.found");
        atomic_store_explicit(&shm->head.n, n + 1, memory_order_release);
        MPROC_POINT("semaphore.acquire.taken");
        return 0;
}

int
mproc_semaphore_acquire(mproc_semaphore *semaphore, int64_t timeout_ms)
{
        struct semaphore_shm *shm;
        bool nowait = timeout_ms == 0;
        int64_t deadline_ns;
        int r;

        if ((r = check(semaphore)) < 0)
                return r;
        shm = semaphore->shm;
        if (nowait && is_zero(shm))
                return mproc__fail(MPROC_ETIMEDOUT, "the semaphore's value is 0");
        deadline_ns = nowait ? 0 : mproc__deadline(timeout_ms);
        if ((r = enter(&shm->head.lock, deadline_ns, nowait, shm)) >= 0) {
                r = take_locked(shm, deadline_ns);
                mproc__robust_unlock(&shm->head.lock);
        }
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(r, "nobody released the semaphore in time");
        if (r == MPROC_EDEADLK)
                return fail_reentered();
        return r == MPROC_ECORRUPT ? fail_corrupt() : r;
}

/* --- release -------------------------------------------------------------------------------------- */

int
mproc_semaphore_release(mproc_semaphore *semaphore)
{
        struct semaphore_shm *shm;
        uint32_t n, value;
        bool woken;
        int r;

        if ((r = check(semaphore)) < 0)
                return r;
        shm = semaphore->shm;
        if ((r = mproc__robust_lock(&shm->tail.lock, MPROC__NEVER, NULL)) < 0)
                return fail_reentered();
        n = atomic_load_explicit(&shm->tail.n, memory_order_relaxed);
        value = n - atomic_load_explicit(&shm->head.n, memory_order_acquire);
        if (value >= MPROC_SEMAPHORE_MAX) {
                mproc__robust_unlock(&shm->tail.lock);
                if (value > MPROC_SEMAPHORE_MAX)
                        return fail_corrupt();
                return mproc__fail(-EOVERFLOW, "the semaphore has its greatest value, %u", value);
        }
        MPROC_POINT("semaphore.release.inside");
        woken = mproc__counter_commit(&shm->tail.n, &shm->tail.armed, n, 1);
        MPROC_POINT("semaphore.release.counted");
        mproc__robust_unlock(&shm->tail.lock);
        mproc__counter_look_again(&shm->tail.n, &shm->tail.armed, n, woken);
        return 0;
}

int
mproc_semaphore_value(mproc_semaphore *semaphore, unsigned *ret_value)
{
        uint32_t value;
        int r;

        if ((r = check(semaphore)) < 0)
                return r;
        value = mproc__counter_distance(&semaphore->shm->head.n, &semaphore->shm->tail.n);
        if (value > MPROC_SEMAPHORE_MAX)
                return fail_corrupt();
        *ret_value = value;
        return 0;
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
        return map_named(semaphore);
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
                semaphore->shm = mproc__small_at(&semaphore->place);
        }
        if (r < 0 || (r = check_shm(semaphore->shm)) < 0) {
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
        .destroy = semaphore_destroy,
};
