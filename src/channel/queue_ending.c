/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_ending.c - the end of a queue, for all: by decision, or because nobody is left who could put.
 *
 * Runs in: every process that uses a queue.  Owns: nothing.
 *
 * Shutting down is one step: it sets `ended` and wakes those who sleep inside one end, getters or putters.  Putters
 * look at it after they have entered, so once it is
 * set and the tail has been seen free, no put will come; getters wait for that moment
 * (mproc__queue_await_end) and then go.
 *
 * Who dies after that step owes the rest: to wake those inside the other end, and to ring the bell.  Both ends
 * sleep at once only for moments, since no queue is both empty and full, and the end to wake is the one
 * where somebody sleeps.  Whoever finds that the queue has ended wakes both.  As for the bell, it is rung once
 * before that step, and `ending` says until the end who is at it: a poller who finds a living one there lets
 * the bell ring on (queue_poll.c).  One who looked at `ended` just before and
 * is on his way to sleep is called again a little later; he sleeps to the end of his slice (5 s) if
 * he took longer still, or if there was nobody any more to call.
 *
 * Producers are noted in a table, one word each: pid and start time, which together name a process for ever.
 * A word is written in one step, so there is nothing to repair.  Whoever finds a producer
 * dead clears it.
 */
#include "channel/queue_core.h"
#include "core/error.h"
#include "platform/platform.h"
#include "program/slot.h"

#include <errno.h>
#include <limits.h>
#include <mproc/process.h>
#include <unistd.h>

#define PID_BITS   22
#define PID_MASK   ((UINT64_C(1) << PID_BITS) - 1)
#define GONE       (UINT64_C(1) << 63) /* lives, but puts no more; said so before it was noted */
#define CALLS      20
#define CALL_PAUSE INT64_C(1000000)

/* --- shutting down ---------------------------------------------------------------------------------------- */

/* Does somebody sleep inside that end, or is he on his way there?  Others who wait for it follow him. */
static bool
sleeps(struct mproc__queue_end *mine, struct mproc__queue_end *theirs)
{
        uint32_t n = atomic_load(&theirs->n);

        return atomic_load(&theirs->armed) == n && mproc__robust_owner(&mine->lock) != 0;
}

/* Wake him.  False: there is none. */
static bool
call_end(struct mproc__queue_end *mine, struct mproc__queue_end *theirs)
{
        bool asleep = sleeps(mine, theirs);

        if (asleep)
                (void)mproc__word_wake(&theirs->n, INT_MAX);
        return asleep;
}

/* False: nobody sleeps. */
static bool
call_both(struct mproc__queue_shm *shm)
{
        bool putter = call_end(&shm->tail, &shm->head), getter = call_end(&shm->head, &shm->tail);

        return putter || getter;
}

/* Say that we are at it; 0: there is no telling who we are, and only those who look find out if we die. */
static uint32_t
announce(struct mproc_queue *queue)
{
        mproc__slot_id me = 0;

        if (!queue->shm->has_slots || mproc__slot_self(&me) < 0)
                return 0;
        atomic_store(&queue->shm->ending, me);
        mproc__bell_ring(queue->segment->bell);
        return me;
}

static void
end_now(struct mproc__queue_shm *shm)
{
        bool putters = sleeps(&shm->tail, &shm->head);

        (void)mproc__word_set_and_wake_all(&shm->ended, putters ? &shm->head.n : &shm->tail.n);
}

int
mproc_queue_shutdown(mproc_queue *queue)
{
        struct mproc__queue_shm *shm;
        uint32_t me;
        int r = mproc__queue_check(queue);

        if (r < 0)
                return r;
        shm = queue->shm;
        me = announce(queue);
        MPROC_POINT("queue.shutdown.announced");
        end_now(shm);
        MPROC_POINT("queue.shutdown.said");
        for (int i = 0; i < CALLS && call_both(shm); i++)
                mproc__plat_sleep_ns(CALL_PAUSE);
        mproc__bell_ring(queue->segment->bell);
        if (me != 0) /* or somebody else has come to it meanwhile */
                (void)atomic_compare_exchange_strong(&shm->ending, &me, 0);
        return 0;
}

/* --- producers -------------------------------------------------------------------------------------------- */

static uint64_t
name_of(pid_t pid)
{
        return (mproc__plat_process_start_time(pid) << PID_BITS | ((uint64_t)pid & PID_MASK)) & ~GONE;
}

static bool
lives(uint64_t name)
{
        pid_t pid = (pid_t)(name & PID_MASK);
        int saved = errno;
        bool ended = mproc__plat_process_life(pid) == MPROC__PROCESS_ENDED;
        uint64_t now = ended ? 0 : name_of(pid);

        errno = saved;
        name &= ~GONE;
        if (ended)
                return false;
        return now >> PID_BITS == 0 || name >> PID_BITS == 0 || now == name;
}

/* Does a place hold nobody, or somebody dead, who is cleared?  *seen: what it holds now. */
static bool
is_vacant(_Atomic uint64_t *place, uint64_t *seen)
{
        *seen = atomic_load(place);
        if (*seen == 0)
                return true;
        if (lives(*seen) || !atomic_compare_exchange_strong(place, seen, 0))
                return false;
        *seen = 0;
        return true;
}

/* Change the place that holds one word to another.  False: there is none. */
static bool
replace(struct mproc__queue_shm *shm, uint64_t old, uint64_t new)
{
        for (int i = 0; i < MPROC__QUEUE_PRODUCERS; i++) {
                uint64_t seen = old;

                if (atomic_load(&shm->producer[i]) == old &&
                    atomic_compare_exchange_strong(&shm->producer[i], &seen, new))
                        return true;
        }
        return false;
}

static int
enter_name(struct mproc__queue_shm *shm, uint64_t name)
{
        uint64_t seen;

        if (replace(shm, name, name))
                return 0;
        for (int i = 0; i < MPROC__QUEUE_PRODUCERS; i++)
                if (is_vacant(&shm->producer[i], &seen) &&
                    atomic_compare_exchange_strong(&shm->producer[i], &seen, name))
                        return 0;
        return mproc__fail(-EAGAIN, "a queue can have %d producers at a time", MPROC__QUEUE_PRODUCERS);
}

/*
 * A child may have closed the queue before its parent came to note it: then it left word, and is not noted.
 * If both come at the same time, both words stand in the table, and the child does not count.
 */
static int
note_producer(struct mproc__queue_shm *shm, uint64_t name, bool self)
{
        if (replace(shm, name | GONE, self ? name : 0))
                return 0;
        return enter_name(shm, name);
}

int
mproc_queue_add_producer(mproc_queue *queue, struct mproc_process *process)
{
        pid_t pid = process ? mproc_process_pid(process) : getpid();
        int r;

        if ((r = mproc__queue_check(queue)) < 0)
                return r;
        if (pid <= 0)
                return mproc__fail(MPROC_ENOTSTARTED, "a producer has to be started before it is added");
        if (lives(name_of(pid)) && (r = note_producer(queue->shm, name_of(pid), process == NULL)) < 0)
                return r;
        atomic_store(&queue->shm->producers, 1);
        return 0;
}

/* If there is no place for it, a parent who notes us later believes that we put until we end. */
static void
leave_word(struct mproc__queue_shm *shm, uint64_t word)
{
        uint64_t seen;

        for (int i = 0; i < MPROC__QUEUE_PRODUCERS; i++)
                if (is_vacant(&shm->producer[i], &seen) &&
                    atomic_compare_exchange_strong(&shm->producer[i], &seen, word))
                        return;
}

void
mproc__queue_forget_producer(struct mproc_queue *queue)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint64_t name;

        if (atomic_load(&shm->producers) == 0)
                return;
        name = name_of(getpid());
        if (!replace(shm, name, 0) && !replace(shm, name | GONE, name | GONE))
                leave_word(shm, name | GONE);
        mproc__bell_ring(queue->segment->bell);
}

int
mproc_queue_remove_producer(mproc_queue *queue)
{
        int r = mproc__queue_check(queue);

        if (r == 0)
                mproc__queue_forget_producer(queue);
        return r;
}

bool
mproc__queue_has_ended(struct mproc_queue *queue)
{
        struct mproc__queue_shm *shm = queue->shm;
        bool left = false;
        uint64_t seen;

        if (atomic_load(&shm->ended) != 0) {
                (void)call_both(shm); /* who said so may have died before he did */
                return true;
        }
        if (atomic_load(&shm->producers) == 0)
                return false;
        for (int i = 0; i < MPROC__QUEUE_PRODUCERS && !left; i++)
                left = !is_vacant(&shm->producer[i], &seen) && !(seen & GONE) &&
                       !replace(shm, seen | GONE, seen | GONE);
        return !left;
}
