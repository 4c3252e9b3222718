/* SPDX-License-Identifier: MIT */
/*
 * sync/semaphore.c - acquiring and releasing the permits of a mproc_semaphore.
 *
 * Runs in: every process.  Owns: nothing beside what semaphore_make.c made.
 *
 * A semaphore is a queue of messages without content: releasing puts, acquiring
 * takes, its value is what was put less what was taken.  So all that sync/counter.h
 * argues for queues holds here: a process killed in release has released or not; one
 * killed in acquire has its permit or not; and who waits is woken.
 *
 * A permit that a process holds when it dies stays taken, as in the original; or, if the semaphore
 * was made so, comes back: sync/permits.h has how.  The leader, who waits for a permit, looks for
 * dead holders before he sleeps and after each slice of 10 to 100 ms.  He looks while he holds the head's
 * lock, gives it up, and gives their permits back under the tail's: nobody ever holds both.
 *
 * Nobody waits for head.n, since a release always has room: head.armed is not used.
 *
 * The leader has the next permit for sure; who becomes leader is a matter of the head's lock, which whoever comes by
 * may take.  So those who take it are counted while others wait for it, and after 10,000 of them those others have
 * their turns (turns.h), as with a lock of the user's.  It is told here and not in robust.h, since the locks inside
 * queues can do without.
 */
#include "core/error.h"
#include "core/point.h"
#include "platform/platform.h"
#include "sync/semaphore_core.h"
#include "sync/waits.h"

#include <errno.h>

#define MS            INT64_C(1000000)
#define SLICE_FIRST   (10 * MS)
#define SLICE_LAST    (100 * MS)
#define SLICE_COUNTED (1000 * MS)

static int
check(const struct mproc_semaphore *semaphore)
{
        return semaphore ? 0 : mproc__fail(MPROC_EHANDLE, "a semaphore is wanted, NULL was given");
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
        struct mproc__semaphore_shm *shm = arg;

        return mproc__counter_distance(&shm->head.n, &shm->tail.n) == 0;
}

/* Nothing is there, and if permits of the dead are to come back, somebody alive sees to that already: the leader. */
static bool
is_hopeless(void *arg)
{
        struct mproc__semaphore_shm *shm = arg;
        uint32_t leader;

        if (!is_zero(arg))
                return false;
        leader = mproc__robust_owner(&shm->head.lock);
        return shm->holders == 0 || (leader != 0 && !mproc__word_owner_is_gone(leader));
}

/* What take_locked found, beside errors. */
enum { TAKEN = 0, DEAD_FOUND = 1, SLICE_OVER = 2 };

/* One wait for a permit. */
struct wait {
        int64_t deadline_ns;
        int64_t slice_ns;
        struct mproc__permits_dead dead;
        struct mproc__turn turn;
};

/*
 * Before the gate: sleep until it opens, or nobody comes through it, or the time is up.  Who waits on the head's
 * lock is woken by it, and not by the gate.
 */
static void
wait_for_turn(struct mproc__semaphore_end *head, struct mproc__turn *turn, int64_t deadline_ns)
{
        mproc__turns_wait(&head->turns, turn);
        while (!mproc__turns_mine(&head->turns, turn) && !mproc__deadline_passed(deadline_ns)) {
                uint32_t gate = atomic_load_explicit(&head->turns.gate, memory_order_relaxed);
                int64_t until = mproc__plat_now_ns() + MPROC__TURNS_STUCK_NS;
                bool free = mproc__robust_owner(&head->lock) == 0;
                int r;

                if ((gate & 0xffff) == 0)
                        continue;
                MPROC_POINT("semaphore.gate.sleep");
                r = mproc__word_wait(&head->turns.gate, gate, until < deadline_ns ? until : deadline_ns);
                if (r == -ETIMEDOUT && until <= deadline_ns && free && mproc__robust_owner(&head->lock) == 0)
                        turn->stuck = gate;
        }
}

/*
 * By turns.  Who sleeps on the lock looks at times whether he still counts: turns of one who died or was stopped are
 * found void together with those of all who slept then.
 */
static int
enter_by_turns(struct mproc__semaphore_shm *shm, struct wait *wait)
{
        struct mproc__semaphore_end *head = &shm->head;
        struct mproc__word_thread *self = mproc__word_thread();
        int64_t until;
        int r;

        do {
                mproc__word_clear_pending(self);
                wait_for_turn(head, &wait->turn, wait->deadline_ns);
                mproc__word_set_pending(self, &head->lock.word);
                until = mproc__plat_now_ns() + SLICE_COUNTED;
                if (until > wait->deadline_ns)
                        until = wait->deadline_ns;
                r = mproc__counter_enter(&head->lock, until, false, NULL, NULL, NULL);
        } while (r == MPROC_ETIMEDOUT && until < wait->deadline_ns);
        return r;
}

/* Take the head's lock: at once if it is free and nobody has waited too long for it. */
static int
enter(struct mproc__semaphore_shm *shm, struct wait *wait, bool nowait)
{
        struct mproc__semaphore_end *head = &shm->head;

        if ((nowait || mproc__turns_mine(&head->turns, &wait->turn)) &&
            mproc__robust_try(&head->lock, mproc__word_thread()))
                return 0;
        if (nowait)
                return mproc__counter_enter(&head->lock, 0, true, is_hopeless, shm, NULL);
        return enter_by_turns(shm, wait);
}

/*
 * Nothing is there; the head's lock is held.  Where the permits of the dead come back, sleep for
 * a slice only: 0 (there is something), DEAD_FOUND, SLICE_OVER, or an error.
 */
static int
sleep_locked(struct mproc_semaphore *semaphore, struct wait *wait, uint32_t n)
{
        struct mproc__semaphore_shm *shm = semaphore->shm;
        int64_t until = wait->deadline_ns, slice_end;
        int r;

        if (semaphore->permits.shm) {
                mproc__permits_find_dead(&semaphore->permits, &wait->dead);
                if (wait->dead.count)
                        return DEAD_FOUND;
                slice_end = mproc__plat_now_ns() + wait->slice_ns;
                wait->slice_ns = wait->slice_ns * 2 < SLICE_LAST ? wait->slice_ns * 2 : SLICE_LAST;
                if (slice_end < until)
                        until = slice_end;
        }
        r = mproc__counter_sleep(&shm->tail.n, &shm->tail.armed, &shm->tail.lock, &shm->head.lock, n, until, NULL);
        return r == MPROC_ETIMEDOUT && until < wait->deadline_ns ? SLICE_OVER : r;
}

/* The head's lock is held. */
static int
take_locked(struct mproc_semaphore *semaphore, struct wait *wait)
{
        struct mproc__semaphore_shm *shm = semaphore->shm;
        uint32_t n = atomic_load_explicit(&shm->head.n, memory_order_relaxed), entry = MPROC__PERMITS_NOBODY;
        int r;

        if (semaphore->permits.shm)
                mproc__permits_settle_acquire(&semaphore->permits, n);
        if (atomic_load_explicit(&shm->tail.n, memory_order_acquire) == n &&
            (r = sleep_locked(semaphore, wait, n)) != 0)
                return r;
        if (atomic_load_explicit(&shm->tail.n, memory_order_acquire) - n > MPROC_SEMAPHORE_MAX)
                return MPROC_ECORRUPT;
        MPROC_POINT("semaphore.acquire.found");
        if (semaphore->permits.shm)
                entry = mproc__permits_intend_acquire(&semaphore->permits, n);
        atomic_store_explicit(&shm->head.n, n + 1, memory_order_release);
        MPROC_POINT("semaphore.acquire.taken");
        mproc__turns_pass(&shm->head.turns);
        if (semaphore->permits.shm)
                mproc__permits_acquired(&semaphore->permits, entry);
        return TAKEN;
}

/* Give back what one of the dead held.  The caller holds no lock; who releases may have been stopped inside. */
static int
restore(struct mproc_semaphore *semaphore, const struct mproc__permits_dead *dead, unsigned i, int64_t deadline_ns)
{
        struct mproc__semaphore_shm *shm = semaphore->shm;
        uint32_t n, value, k = 0;
        bool woken = false;
        int r;

        if ((r = mproc__robust_lock(&shm->tail.lock, deadline_ns, NULL)) < 0)
                return r;
        n = atomic_load_explicit(&shm->tail.n, memory_order_relaxed);
        mproc__permits_settle_release(&semaphore->permits, n);
        value = n - atomic_load_explicit(&shm->head.n, memory_order_acquire);
        if (value <= semaphore->most &&
            (k = mproc__permits_intend_restore(&semaphore->permits, dead, i, n, semaphore->most - value)) > 0) {
                woken = mproc__counter_commit(&shm->tail.n, &shm->tail.armed, n, k);
                MPROC_POINT("semaphore.restored");
                mproc__permits_released(&semaphore->permits, dead->one[i].entry);
        }
        mproc__robust_unlock(&shm->tail.lock);
        if (k)
                mproc__counter_look_again(&shm->tail.n, &shm->tail.armed, n, woken);
        return 0;
}

struct acquisition {
        struct mproc_semaphore *semaphore;
        struct wait *wait;
};

static int
acquire(struct mproc_semaphore *semaphore, struct wait *wait, bool nowait)
{
        struct mproc__semaphore_shm *shm = semaphore->shm;
        int64_t patience;
        int r, failed;

        do {
                wait->dead.count = 0;
                if ((r = enter(shm, wait, nowait)) < 0)
                        return r;
                r = take_locked(semaphore, wait);
                if (r > 0 && !nowait) /* who gives the lock up to come back keeps his turn */
                        mproc__turns_wait(&shm->head.turns, &wait->turn);
                mproc__robust_unlock(&shm->head.lock);
                patience = nowait && wait->dead.count ? mproc__plat_now_ns() + SLICE_LAST : wait->deadline_ns;
                for (unsigned i = 0; i < wait->dead.count; i++)
                        if ((failed = restore(semaphore, &wait->dead, i, patience)) < 0)
                                return failed;
        } while (r > 0);
        return r;
}

/*
 * For sync/waits.h.  Who holds the permits is known, and nobody else can release one, only if it is
 * bounded and all its permits are accounted for.
 */
static void
describe(void *arg, struct mproc__wait_subject *ret)
{
        struct mproc_semaphore *semaphore = ((struct acquisition *)arg)->semaphore;
        struct mproc__semaphore_shm *shm = semaphore->shm;
        uint32_t pids[MPROC__WAIT_HOLDERS_MAX], n = 0;
        uint64_t held = 0;

        ret->kind = MPROC__WAIT_PERMIT;
        mproc__wait_number(shm, semaphore->bounded ? "bounded semaphore" : "semaphore", ret->what);
        if (semaphore->permits.shm && semaphore->bounded)
                n = mproc__permits_holders(&semaphore->permits, pids, MPROC__WAIT_HOLDERS_MAX, &held);
        ret->unknown = n > MPROC__WAIT_HOLDERS_MAX ||
                       held + mproc__counter_distance(&shm->head.n, &shm->tail.n) != semaphore->most;
        ret->holder_count = n < MPROC__WAIT_HOLDERS_MAX ? n : MPROC__WAIT_HOLDERS_MAX;
        for (uint32_t i = 0; i < ret->holder_count; i++)
                ret->holder[i].pid = pids[i];
}

static int
acquire_until(void *arg, int64_t deadline_ns)
{
        struct acquisition *a = arg;

        a->wait->deadline_ns = deadline_ns;
        return acquire(a->semaphore, a->wait, false);
}

static int
acquire_or_wait(struct mproc_semaphore *semaphore, struct wait *wait, bool nowait)
{
        struct acquisition a = { semaphore, wait };
        int r;

        wait->turn = (struct mproc__turn){ .counted = false };
        if (nowait || !mproc__waits_on())
                r = acquire(semaphore, wait, nowait);
        else
                r = mproc__wait_watched(acquire_until, describe, &a, wait->deadline_ns);
        mproc__turns_leave(&semaphore->shm->head.turns, &wait->turn);
        return r;
}

int
mproc_semaphore_acquire(mproc_semaphore *semaphore, int64_t timeout_ms)
{
        struct wait wait;
        bool nowait = timeout_ms == 0;
        int r;

        if ((r = check(semaphore)) < 0)
                return r;
        if (nowait && !semaphore->permits.shm && is_zero(semaphore->shm))
                return mproc__fail(MPROC_ETIMEDOUT, "the semaphore's value is 0");
        wait.deadline_ns = nowait ? 0 : mproc__deadline(timeout_ms);
        wait.slice_ns = SLICE_FIRST;
        r = acquire_or_wait(semaphore, &wait, nowait);
        if (r == MPROC_ETIMEDOUT) {
                mproc__fail_words(r, nowait ? "the semaphore's value is 0" : "nobody released the semaphore in time");
                mproc__wait_add_words();
                return r;
        }
        if (r == MPROC_EDEADLK)
                return fail_reentered();
        return r == MPROC_ECORRUPT ? mproc__semaphore_fail_corrupt() : r;
}

/* --- release -------------------------------------------------------------------------------------- */

static int
fail_full(const struct mproc_semaphore *semaphore, uint32_t value)
{
        if (value > semaphore->most)
                return mproc__semaphore_fail_corrupt();
        if (semaphore->bounded)
                return mproc__fail(MPROC_ERELEASED,
                                   "the bounded semaphore has all its %u permits: one more was released "
                                   "than acquired",
                                   value);
        return mproc__fail(-EOVERFLOW, "the semaphore has its greatest value, %u", value);
}

/* The value can only become less meanwhile, so a bound that holds here holds. */
int
mproc_semaphore_release(mproc_semaphore *semaphore)
{
        struct mproc__semaphore_shm *shm;
        uint32_t n, value, entry = MPROC__PERMITS_NOBODY;
        bool woken;
        int r;

        if ((r = check(semaphore)) < 0)
                return r;
        shm = semaphore->shm;
        if ((r = mproc__robust_lock(&shm->tail.lock, MPROC__NEVER, NULL)) < 0)
                return fail_reentered();
        n = atomic_load_explicit(&shm->tail.n, memory_order_relaxed);
        if (semaphore->permits.shm)
                mproc__permits_settle_release(&semaphore->permits, n);
        value = n - atomic_load_explicit(&shm->head.n, memory_order_acquire);
        if (value >= semaphore->most) {
                mproc__robust_unlock(&shm->tail.lock);
                return fail_full(semaphore, value);
        }
        MPROC_POINT("semaphore.release.inside");
        if (semaphore->permits.shm)
                entry = mproc__permits_intend_release(&semaphore->permits, n);
        woken = mproc__counter_commit(&shm->tail.n, &shm->tail.armed, n, 1);
        MPROC_POINT("semaphore.release.counted");
        if (semaphore->permits.shm)
                mproc__permits_released(&semaphore->permits, entry);
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
                return mproc__semaphore_fail_corrupt();
        *ret_value = value;
        return 0;
}

int
mproc_semaphore_restored(mproc_semaphore *semaphore, unsigned *ret_restored)
{
        int r = check(semaphore);

        if (r < 0)
                return r;
        *ret_restored = semaphore->permits.shm ? atomic_load(&semaphore->permits.shm->restored) : 0;
        return 0;
}
