/* SPDX-License-Identifier: MIT */
/*
 * sync/owned.h - a lock that is held over code of the user, and belongs to a process.
 *
 * mproc_lock and mproc_rlock are one of these each, and what is waited for under
 * such a lock gives it up and takes it back through the functions here.
 *
 * The word: WAITERS(1) 0(1) 1(1) generation(17) slot(12): whose it is, by the
 * owner's slot in the program (program/slot.h), or 0 in the low 30 bits: free.
 * Bit 29 is always set while it is held, so that the word is never equal to a thread
 * id: a waiter that dies must not be taken for the owner by the system.
 *
 * The system knows threads only, so it cannot hand such a lock on; the waiters find out
 * for themselves.  Waiting and waking are the robust lock's (sync/robust.h), all four
 * rules.  Besides, waiters sleep in slices of 10 to 100 ms and after each ask whether the
 * owner's process is dead.  Of several who find it is, one changes the word from the
 * dead owner to himself; he is told.  So a dead owner is found within 100 ms and what
 * the machine needs to run a waiter, and there is nothing to repair.
 */
#ifndef MPROC_SYNC_OWNED_H
#define MPROC_SYNC_OWNED_H

#include "platform/futex.h"
#include "program/slot.h"
#include "sync/turns.h"

#include <mproc/error.h>
#include <mproc/sync.h>
#include <stdbool.h>
#include <stdint.h>

#define MPROC__OWNED_BIT 0x20000000u /* bit 29 */

_Static_assert(MPROC__SLOT_BITS + MPROC__SLOT_GENERATION_BITS == 29, "an owner fits below bit 29");

/*
 * In shared memory; all zeros is free.
 *   word      changed by anybody who acquires, waits or releases, in single steps.  Who owns
 *             the lock, and whether he does, is told by it alone; the rest may be damaged
 *             or out of date without harm to that.
 *   holder    the word's owner << 32 | the id of the thread that acquired it: written by that
 *             thread when it owns the lock, 0 before it gives it up.  In between, or when
 *             the upper half is not the owner of the word: the thread is unknown.
 *   turns     fairness (sync/turns.h)
 *   depth     how often the holder has acquired it; changed by the holder alone.  Of recursive
 *             locks only; after a death it is what the dead left, so who acquires sets it.
 */
struct mproc__owned {
        mproc__word word;
        mproc__word depth;
        _Atomic uint64_t holder;
        struct mproc__turns turns;
};
_Static_assert(sizeof(struct mproc__owned) == 32, "layout of an owned lock");

/* This process as it stands in the word; with words as mproc__slot_self. */
static inline int
mproc__owned_me(uint32_t *ret_me)
{
        mproc__slot_id slot;
        int r = mproc__slot_self(&slot);

        if (r < 0)
                return r;
        *ret_me = slot | MPROC__OWNED_BIT;
        return 0;
}

int mproc__owned_acquire_slow(struct mproc__owned *lock, uint32_t me, int64_t deadline_ns);
int mproc__owned_release_slow(struct mproc__owned *lock);

static inline void
mproc__owned_hold(struct mproc__owned *lock, uint32_t me)
{
        atomic_store_explicit(&lock->holder, (uint64_t)me << 32 | mproc__word_thread_id(), memory_order_relaxed);
}

/*
 * Take it, waiting until the deadline; 0: now or not at all.  0; MPROC_OWNER_DIED (positive:
 * held, its last owner's process died holding it); MPROC_ETIMEDOUT.  Not recursive:
 * who holds it waits for himself.  Does not touch depth.  Sets no words.
 */
static inline int
mproc__owned_acquire(struct mproc__owned *lock, uint32_t me, int64_t deadline_ns)
{
        uint32_t free = 0;

        if (__builtin_expect(!atomic_compare_exchange_strong_explicit(&lock->word, &free, me, memory_order_seq_cst,
                                                                      memory_order_relaxed),
                             0))
                return mproc__owned_acquire_slow(lock, me, deadline_ns);
        mproc__owned_hold(lock, me);
        return 0;
}

/*
 * Give it up, whoever holds it.  0; MPROC_ERELEASED: nobody did.  Does not block.  Sets no words.
 *
 * Two processes that release one and the same holding may both find it held; the second then
 * releases what somebody else has acquired meanwhile, as it would with any lock that
 * everybody may release.
 */
static inline int
mproc__owned_release(struct mproc__owned *lock)
{
        uint32_t v = atomic_load_explicit(&lock->word, memory_order_relaxed);

        atomic_store_explicit(&lock->holder, 0, memory_order_relaxed);
        if (__builtin_expect((v & MPROC__WORD_OWNER) != 0 && !(v & MPROC__WORD_WAITERS) &&
                                     mproc__turns_idle(&lock->turns) &&
                                     atomic_compare_exchange_strong_explicit(&lock->word, &v, 0, memory_order_seq_cst,
                                                                             memory_order_relaxed),
                             1))
                return 0;
        return mproc__owned_release_slow(lock);
}

/* Does this thread hold it?  Exact: nobody else can make that true or false. */
static inline bool
mproc__owned_is_mine(struct mproc__owned *lock, uint32_t me)
{
        return (atomic_load_explicit(&lock->word, memory_order_relaxed) & MPROC__WORD_OWNER) == me &&
               atomic_load_explicit(&lock->holder, memory_order_relaxed) ==
                       ((uint64_t)me << 32 | mproc__word_thread_id());
}

/* Is it held at this moment, by anybody alive or dead? */
static inline bool
mproc__owned_is_held(struct mproc__owned *lock)
{
        return (atomic_load(&lock->word) & MPROC__WORD_OWNER) != 0;
}

/* Whose it is at this moment: 1 and *ret; 0, and *ret all zeros, if it is free. */
int mproc__owned_look(struct mproc__owned *lock, mproc_holder *ret);

/* The same in words: "process Worker-3 (pid 12, thread 14)". */
#define MPROC__OWNED_TEXT_MAX 128
void mproc__owned_tell(struct mproc__owned *lock, uint32_t me, char ret_text[MPROC__OWNED_TEXT_MAX]);

/* MPROC_ETIMEDOUT, with words that name the owner.  what: "lock". */
int mproc__owned_fail_held(struct mproc__owned *lock, uint32_t me, const char *what);

#endif
