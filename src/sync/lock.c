/* SPDX-License-Identifier: MIT */
/*
 * sync/lock.c - mproc_lock: the user's lock.
 *
 * Runs in: every process.  Owns: a place in a small segment; its handles.
 *
 * Code of the user runs while it is held, any process may release it, and it belongs
 * to a process, not to a thread.  So the system, which knows threads only, cannot
 * hand it on; the waiters find out for themselves.
 *
 * The word: WAITERS(1) 0(1) 1(1) generation(17) slot(12): whose it is, by the
 * owner's slot in the program (program/slot.h), or 0 in the low 30 bits: free.
 * Bit 29 is always set while it is held, so that the word is never equal to a thread
 * id: a waiter that dies must not be taken for the owner by the system.
 *
 * Waiting and waking are the robust lock's (sync/robust.h), all four rules.  Besides, waiters
 * sleep in slices of 10 to 100 ms and after each ask whether the owner's process is
 * dead.  Of several who find it is, one changes the word from the dead owner to himself;
 * he is told.  So a dead owner is found within 100 ms and what the machine needs to
 * run a waiter, and there is nothing to repair.
 */
#include "sync/lock.h"
#include "context/context.h"
#include "core/error.h"
#include "core/object.h"
#include "core/point.h"
#include "platform/futex.h"
#include "platform/platform.h"
#include "program/program.h"
#include "program/slot.h"
#include "shm/small.h"
#include "wire/codec.h"

#include <errno.h>
#include <mproc/sync.h>
#include <stdlib.h>

#define MS          INT64_C(1000000)
#define SLICE_FIRST (10 * MS)
#define SLICE_LAST  (100 * MS)
#define OWNED       0x20000000u /* bit 29 */
#define LOCK_MAGIC  0x6d706c6bu

_Static_assert(MPROC__SLOT_BITS + MPROC__SLOT_GENERATION_BITS == 29, "an owner fits below bit 29");

/*
 * In shared memory.  magic: constant once the creator's call has returned.  word: changed
 * by anybody who acquires, waits or releases, in single steps; there is no other state.
 */
struct lock_shm {
        uint32_t magic;
        mproc__word word;
};
_Static_assert(sizeof(struct lock_shm) <= MPROC__SMALL_BYTES, "a lock fits into its place");

struct mproc_lock {
        struct mproc__object object;
        struct mproc__small place;
        mproc__word *word;
};

static int
make(struct mproc__small *place, bool fork_only, struct mproc_lock **ret)
{
        struct mproc_lock *lock = calloc(1, sizeof *lock);

        if (!lock) {
                mproc__small_unref(place);
                return mproc__fail(-ENOMEM, "no memory for a lock");
        }
        lock->place = *place;
        lock->word = &((struct lock_shm *)mproc__small_at(place))->word;
        mproc__object_init(&lock->object, &mproc__lock_type, fork_only);
        *ret = lock;
        return 0;
}

int
mproc_lock_create(mproc_context *ctx, mproc_lock **ret_lock)
{
        struct mproc__small place;
        struct mproc_lock *lock;
        int beacon, r;

        ctx = mproc__context_resolve(ctx);
        /*
         * Owners are told by slots in the program's beacon.  There has to be one before a child can
         * inherit the lock, or parent and child would each make their own and not know each other.
         */
        if ((r = mproc__program_beacon(&beacon)) < 0)
                return r;
        if ((r = mproc__small_create("lock", &place)) < 0)
                return r;
        ((struct lock_shm *)mproc__small_at(&place))->magic = LOCK_MAGIC;
        if ((r = make(&place, mproc__context_is_fork(ctx), &lock)) < 0)
                return r;
        if ((r = mproc__object_publish(&lock->object)) < 0) {
                mproc__object_unref(&lock->object);
                return r;
        }
        *ret_lock = lock;
        return 0;
}

static int
check(const struct mproc_lock *lock)
{
        return lock ? 0 : mproc__fail(MPROC_EHANDLE, "a lock is wanted, NULL was given");
}

/*
 * A dead owner is looked for before the first sleep, too, and also by him who does not want
 * to wait: his lock is as good as free.  `pending` is set all the while: should this thread die after it was woken,
 * the system finds the word free and wakes another one.
 */
static int
wait_for(mproc__word *word, struct mproc__word_thread *self, uint32_t mine, int64_t deadline_ns)
{
        unsigned spins = mproc__word_spin_limit();
        int64_t slice = SLICE_FIRST;
        bool look_for_dead = true;

        for (;;) {
                uint32_t v = atomic_load_explicit(word, memory_order_relaxed);
                int64_t until;
                int r;

                if ((v & MPROC__WORD_OWNER) == 0) {
                        if (!atomic_compare_exchange_weak_explicit(word, &v, (v & MPROC__WORD_WAITERS) | mine,
                                                                   memory_order_seq_cst, memory_order_relaxed))
                                continue;
                        MPROC__TSAN_ACQUIRE(word);
                        return 0;
                }
                if (spins > 0 && deadline_ns != 0) {
                        spins--;
                        mproc__word_pause();
                        continue;
                }
                if (look_for_dead && mproc__slot_is_dead(v & ~OWNED & MPROC__WORD_OWNER)) {
                        if (!atomic_compare_exchange_strong(word, &v, (v & MPROC__WORD_WAITERS) | mine))
                                continue;
                        MPROC__TSAN_ACQUIRE(word);
                        return MPROC_OWNER_DIED;
                }
                if (mproc__deadline_passed(deadline_ns))
                        return MPROC_ETIMEDOUT;
                if (!(v & MPROC__WORD_WAITERS)) {
                        if (!atomic_compare_exchange_weak_explicit(word, &v, v | MPROC__WORD_WAITERS,
                                                                   memory_order_relaxed, memory_order_relaxed))
                                continue;
                        v |= MPROC__WORD_WAITERS;
                }
                until = mproc__plat_now_ns() + slice;
                if (until > deadline_ns)
                        until = deadline_ns;
                MPROC_POINT("lock.sleep");
                r = mproc__word_wait(word, v, until);
                look_for_dead = r == -ETIMEDOUT || r == -EINTR; /* not to be kept from it by signals */
                if (r == -ETIMEDOUT)
                        slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
                MPROC_POINT("lock.woken");
                mproc__word_set_pending(self, word);
        }
}

int
mproc_lock_acquire(mproc_lock *lock, int64_t timeout_ms)
{
        struct mproc__word_thread *self = mproc__word_thread();
        mproc__slot_id slot;
        uint32_t mine, free = 0;
        int r;

        if ((r = check(lock)) < 0 || (r = mproc__slot_self(&slot)) < 0)
                return r;
        mine = slot | OWNED;
        mproc__word_set_pending(self, lock->word);
        if (__builtin_expect(!atomic_compare_exchange_strong_explicit(lock->word, &free, mine, memory_order_seq_cst,
                                                                      memory_order_relaxed),
                             0))
                r = wait_for(lock->word, self, mine, timeout_ms == 0 ? 0 : mproc__deadline(timeout_ms));
        mproc__word_clear_pending(self);
        MPROC_POINT("lock.acquired");
        if (r == MPROC_ETIMEDOUT)
                return mproc__fail(r, "the lock is held by process %ld; it was not released in time",
                                   (long)mproc_lock_owner(lock));
        return r;
}

/*
 * Two processes that release one and the same holding may both find it held; the second
 * then releases what somebody else has acquired meanwhile, as it would with any
 * lock that everybody may release.
 */
int
mproc_lock_release(mproc_lock *lock)
{
        struct mproc__word_thread *self = mproc__word_thread();
        uint32_t v;
        int r;

        if ((r = check(lock)) < 0)
                return r;
        mproc__word_set_pending(self, lock->word);
        v = atomic_load_explicit(lock->word, memory_order_relaxed);
        for (;;) {
                if ((v & MPROC__WORD_OWNER) == 0) {
                        r = MPROC_ERELEASED;
                        break;
                }
                if (v & MPROC__WORD_WAITERS) {
                        MPROC_POINT("lock.release.contended");
                        if (mproc__word_free_and_wake_one(lock->word) == 0) {
                                MPROC_POINT("lock.release.stale");
                                (void)mproc__word_clear_waiters_and_wake_all(lock->word);
                        }
                        break;
                }
                if (atomic_compare_exchange_weak_explicit(lock->word, &v, 0, memory_order_seq_cst,
                                                          memory_order_relaxed))
                        break;
        }
        mproc__word_clear_pending(self);
        if (r < 0)
                return mproc__fail(r, "the lock is not held by anybody: it was released before, or never acquired");
        return 0;
}

int
mproc_lock_locked(mproc_lock *lock)
{
        int r = check(lock);

        if (r < 0)
                return r;
        return (atomic_load(lock->word) & MPROC__WORD_OWNER) != 0;
}

pid_t
mproc_lock_owner(mproc_lock *lock)
{
        uint32_t owner;

        if (check(lock) < 0)
                return 0;
        owner = atomic_load(lock->word) & MPROC__WORD_OWNER;
        return owner ? mproc__slot_pid(owner & ~OWNED) : 0;
}

void
mproc_lock_free(mproc_lock *lock)
{
        mproc__object_free(lock ? &lock->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
lock_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        mproc__small_encode(&((struct mproc_lock *)object)->place, encoder);
        return 0;
}

static int
lock_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc__small place;
        struct mproc_lock *lock;
        int r = mproc__small_decode(decoder, "lock", &place);

        if (r < 0)
                return r;
        if (((struct lock_shm *)mproc__small_at(&place))->magic != LOCK_MAGIC) {
                mproc__small_unref(&place);
                return mproc__fail(MPROC_ECORRUPT, "what came as a lock is none");
        }
        if ((r = make(&place, false, &lock)) < 0)
                return r;
        *ret = &lock->object;
        return 0;
}

static void
lock_destroy(struct mproc__object *object)
{
        struct mproc_lock *lock = (struct mproc_lock *)object;

        mproc__small_unref(&lock->place);
        free(lock);
}

const struct mproc__object_type mproc__lock_type = {
        .name = "lock",
        .arg_type = MPROC_ARG_LOCK,
        .encode = lock_encode,
        .decode = lock_decode,
        .destroy = lock_destroy,
};
