/* SPDX-License-Identifier: MIT */
/*
 * sync/owned.c - locks that belong to a process: when they are not free at once.
 *
 * Runs in: every process that uses one.  Owns: nothing.
 */
#include "sync/owned.h"
#include "core/error.h"
#include "core/point.h"
#include "platform/platform.h"
#include "sync/owned_object.h"
#include "sync/waits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS          INT64_C(1000000)
#define SLICE_FIRST (10 * MS)
#define SLICE_LAST  (100 * MS)

/* From `seen` to ours; what the waiters left stays. */
static bool
take(struct mproc__owned *lock, uint32_t seen, uint32_t me)
{
        if (!atomic_compare_exchange_strong_explicit(&lock->word, &seen, (seen & MPROC__WORD_WAITERS) | me,
                                                     memory_order_seq_cst, memory_order_relaxed))
                return false;
        MPROC__TSAN_ACQUIRE(&lock->word);
        mproc__owned_hold(lock, me);
        return true;
}

/*
 * Who stands before the gate sleeps on it, not on the lock's word, so that a release wakes one of those
 * whose turn it is; the others look again after each slice.
 */
static int
sleep_before_gate(struct mproc__owned *lock, struct mproc__turn *turn, uint32_t seen, int64_t deadline_ns)
{
        uint32_t gate = atomic_load_explicit(&lock->turns.gate, memory_order_relaxed);
        int64_t until = mproc__plat_now_ns() + MPROC__TURNS_STUCK_NS;
        int r;

        if (mproc__turns_mine(&lock->turns, turn))
                return 0;
        MPROC_POINT("lock.gate.sleep");
        r = mproc__word_wait(&lock->turns.gate, gate, until < deadline_ns ? until : deadline_ns);
        if (r == -ETIMEDOUT && until <= deadline_ns && (seen & MPROC__WORD_OWNER) == 0 &&
            atomic_load_explicit(&lock->word, memory_order_relaxed) == seen)
                turn->stuck = gate;
        return r;
}

/* The lock is held by somebody, `seen`. */
static int
sleep_on_word(struct mproc__owned *lock, struct mproc__turn *turn, uint32_t seen, int64_t until)
{
        int r;

        MPROC_POINT("lock.sleep");
        r = mproc__word_wait(&lock->word, seen, until);
        MPROC_POINT("lock.woken");
        if (r == 0 && (atomic_load_explicit(&lock->word, memory_order_relaxed) & MPROC__WORD_OWNER) != 0)
                turn->losses++;
        return r;
}

/*
 * A dead owner is looked for before the first sleep, too, and also by him who does not want
 * to wait: his lock is as good as free.  `pending` is set all the while: should this
 * thread die after it was woken, the system finds the word free and wakes another one.
 * It is woken, and must not take the lock because the gate was closed behind its back: then it
 * wakes another one instead, before it goes to sleep at the gate.
 */
static int
wait_for(struct mproc__owned *lock, struct mproc__word_thread *self, struct mproc__turn *turn,
         struct mproc__wait *wait, uint32_t me, int64_t deadline_ns)
{
        unsigned spins = mproc__word_spin_limit();
        int64_t slice = SLICE_FIRST;
        bool look_for_dead = true, woken = false;

        for (;;) {
                uint32_t v = atomic_load_explicit(&lock->word, memory_order_relaxed);
                bool late, mine = mproc__turns_mine(&lock->turns, turn);
                int64_t until;
                int r;

                if ((v & MPROC__WORD_OWNER) == 0 && (mine || mproc__deadline_passed(deadline_ns))) {
                        if (take(lock, v, me))
                                return 0;
                        continue;
                }
                if (spins > 0 && deadline_ns != 0) {
                        spins--;
                        mproc__word_pause();
                        continue;
                }
                if (look_for_dead && (v & MPROC__WORD_OWNER) != 0 &&
                    mproc__slot_is_dead(v & ~MPROC__OWNED_BIT & MPROC__WORD_OWNER)) {
                        if (take(lock, v, me))
                                return MPROC_OWNER_DIED;
                        continue;
                }
                late = mproc__deadline_passed(deadline_ns);
                if (late && (v & MPROC__WORD_OWNER) != 0)
                        return MPROC_ETIMEDOUT;
                if (late)
                        continue; /* and takes it */
                mproc__wait_look(wait, mproc__owned_object_describe, lock);
                mproc__word_set_pending(self, &lock->word);
                mproc__turns_wait(&lock->turns, turn);
                if (!mproc__turns_mine(&lock->turns, turn)) {
                        if (woken)
                                (void)mproc__word_wake(&lock->word, 1);
                        woken = false;
                        look_for_dead = sleep_before_gate(lock, turn, v, deadline_ns) != 0;
                        mproc__word_set_pending(self, &lock->word);
                        continue;
                }
                if ((v & MPROC__WORD_OWNER) == 0)
                        continue; /* the gate has opened meanwhile */
                if (!(v & MPROC__WORD_WAITERS)) {
                        if (!atomic_compare_exchange_weak_explicit(&lock->word, &v, v | MPROC__WORD_WAITERS,
                                                                   memory_order_relaxed, memory_order_relaxed))
                                continue;
                        v |= MPROC__WORD_WAITERS;
                }
                until = mproc__plat_now_ns() + slice;
                r = sleep_on_word(lock, turn, v, until < deadline_ns ? until : deadline_ns);
                mproc__word_set_pending(self, &lock->word);
                woken = r == 0;
                look_for_dead = r == -ETIMEDOUT || r == -EINTR; /* not to be kept from it by signals */
                if (r == -ETIMEDOUT)
                        slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
        }
}

int
mproc__owned_acquire_slow(struct mproc__owned *lock, uint32_t me, int64_t deadline_ns)
{
        struct mproc__word_thread *self = mproc__word_thread();
        struct mproc__turn turn = { .counted = false };
        struct mproc__wait wait = { 0 };
        int r;

        mproc__word_set_pending(self, &lock->word);
        r = wait_for(lock, self, &turn, &wait, me, deadline_ns);
        mproc__turns_leave(&lock->turns, &turn);
        mproc__word_clear_pending(self);
        mproc__wait_end(&wait, r == MPROC_ETIMEDOUT, mproc__owned_object_describe, lock);
        return r;
}

int
mproc__owned_release_slow(struct mproc__owned *lock)
{
        struct mproc__word_thread *self = mproc__word_thread();
        uint32_t v = atomic_load_explicit(&lock->word, memory_order_relaxed);
        int r = 0;

        mproc__turns_pass(&lock->turns);
        mproc__word_set_pending(self, &lock->word);
        for (;;) {
                bool closed = mproc__turns_closed(&lock->turns);

                if ((v & MPROC__WORD_OWNER) == 0) {
                        r = MPROC_ERELEASED;
                        break;
                }
                if (closed || (v & MPROC__WORD_WAITERS)) {
                        MPROC_POINT("lock.release.contended");
                        if (mproc__word_free_and_wake_one(&lock->word) == 0 && !closed) {
                                MPROC_POINT("lock.release.stale");
                                (void)mproc__word_clear_waiters_and_wake_all(&lock->word);
                        }
                        break;
                }
                if (atomic_compare_exchange_weak_explicit(&lock->word, &v, 0, memory_order_seq_cst,
                                                          memory_order_relaxed))
                        break;
        }
        mproc__word_clear_pending(self);
        return r;
}

/* The owner may change between the two loads; then word and holder do not agree. */
int
mproc__owned_look(struct mproc__owned *lock, mproc_holder *ret)
{
        uint32_t owner = atomic_load(&lock->word) & MPROC__WORD_OWNER;
        uint64_t holder = atomic_load(&lock->holder);

        memset(ret, 0, sizeof *ret);
        if (!owner)
                return 0;
        ret->pid = mproc__slot_pid(owner & ~MPROC__OWNED_BIT);
        mproc__slot_name(owner & ~MPROC__OWNED_BIT, ret->name);
        if ((uint32_t)(holder >> 32) == owner) {
                ret->thread = (pid_t)(uint32_t)holder;
                ret->depth = atomic_load_explicit(&lock->depth, memory_order_relaxed);
        }
        return 1;
}

void
mproc__owned_tell(struct mproc__owned *lock, uint32_t me, char ret_text[MPROC__OWNED_TEXT_MAX])
{
        char thread[32] = "";
        mproc_holder holder;

        if (mproc__owned_is_mine(lock, me)) {
                (void)snprintf(ret_text, MPROC__OWNED_TEXT_MAX, "this thread itself");
                return;
        }
        if (!mproc__owned_look(lock, &holder)) {
                (void)snprintf(ret_text, MPROC__OWNED_TEXT_MAX, "nobody");
                return;
        }
        if (holder.thread && holder.thread != holder.pid)
                (void)snprintf(thread, sizeof thread, ", thread %ld", (long)holder.thread);
        (void)snprintf(ret_text, MPROC__OWNED_TEXT_MAX, "process %s%s(pid %ld%s)", holder.name,
                       *holder.name ? " " : "", (long)holder.pid, thread);
}

int
mproc__owned_fail_held(struct mproc__owned *lock, uint32_t me, const char *what)
{
        char text[MPROC__OWNED_TEXT_MAX], name[MPROC__OWNED_NAME_MAX];

        mproc__owned_object_name(lock, name);
        if (mproc__owned_is_held(lock)) {
                mproc__owned_tell(lock, me, text);
                mproc__fail_words(MPROC_ETIMEDOUT, "the %s%s is held by %s; it was not released in time", what, name,
                                  text);
        } else {
                mproc__fail_words(MPROC_ETIMEDOUT, "the %s%s was not released in time", what, name);
        }
        mproc__wait_add_words();
        return MPROC_ETIMEDOUT;
}
