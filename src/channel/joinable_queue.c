/* SPDX-License-Identifier: MIT */
/*
 * channel/joinable_queue.c - task_done and join.
 *
 * Runs in: every process.  Owns: nothing.
 *
 * There is no count of unfinished tasks that a death could falsify: unfinished is what lies in
 * the queue, and what the ledger says is taken.  A get moves a task from the one to the
 * other by counting the queue's head, task_done ends it by one step on its entry.
 *
 * So join looks: if the queue is empty, and after that no entry is in use, and after that still
 * nothing was put, there was a moment at which all was finished.  (A task that is unfinished all
 * the while is either in the queue, or in its entry, which it never leaves for another.)
 *
 * Those who join sleep on ledger.settled: they say so in `watched`, look, and sleep; who settles
 * an entry looks at `watched` after that.  Either he sees it, or they see what he did.  If
 * he dies in between, and for deaths of consumers, they sleep no longer than 100 ms at a time.
 */
#include "channel/lease.h"
#include "core/error.h"
#include "platform/platform.h"

#include <limits.h>
#include <mproc/joinable_queue.h>
#include <stdio.h>

#define MS          INT64_C(1000000)
#define SLICE_FIRST (10 * MS)
#define SLICE_LAST  (100 * MS)
#define LOOKS       1000 /* how often to count again, if others do not stop putting and getting */

int
mproc_joinable_queue_create(mproc_context *ctx, size_t maxsize, mproc_queue **ret_queue)
{
        return mproc_queue_create_opts(ctx, &(mproc_queue_opts){ .maxsize = maxsize, .joinable = 1 }, ret_queue);
}

static int
check(const struct mproc_queue *queue)
{
        int r = mproc__queue_check(queue);

        if (r == 0 && (!queue->ledger || !queue->ledger->counts))
                r = mproc__fail(MPROC_EUNSUPPORTED, "the queue does not count its tasks: it must be made by "
                                                    "mproc_joinable_queue_create");
        return r;
}

/* --- done ------------------------------------------------------------------------------------------------- */

/* One of those that this process took.  Which one is the same to all, so the hint need not be true. */
static bool
settle_own(struct mproc__ledger *ledger, mproc__slot_id self)
{
        uint32_t used = mproc__ledger_used(ledger), hint = atomic_load_explicit(&ledger->hint, memory_order_relaxed);

        for (uint32_t i = 0; i < used; i++) {
                uint32_t index = hint < used ? hint : 0;
                uint64_t word = mproc__ledger_word(ledger, index);

                hint = index + 1;
                if (mproc__entry_state(word) != MPROC__ENTRY_TAKEN || mproc__entry_owner(word) != self ||
                    !mproc__ledger_settle(ledger, index, word, self))
                        continue;
                atomic_store_explicit(&ledger->hint, hint, memory_order_relaxed);
                return true;
        }
        return false;
}

static bool
settle_one_of_others(struct mproc__ledger *ledger, mproc__slot_id self, bool dead, struct mproc__roll *roll)
{
        uint32_t used = mproc__ledger_used(ledger);

        for (uint32_t i = 0; i < used; i++) {
                uint64_t word = mproc__ledger_word(ledger, i);

                if (mproc__entry_state(word) == MPROC__ENTRY_TAKEN &&
                    (!dead || mproc__roll_is_dead(roll, mproc__entry_owner(word))) &&
                    mproc__ledger_settle(ledger, i, word, self))
                        return true;
        }
        return false;
}

int
mproc_queue_task_done(mproc_queue *queue)
{
        struct mproc__roll roll = { .next = 0 };
        mproc__slot_id self;
        int r;

        if ((r = check(queue)) < 0 || (r = mproc__slot_self(&self)) < 0)
                return r;
        if (settle_own(queue->ledger, self) || settle_one_of_others(queue->ledger, self, true, &roll) ||
            settle_one_of_others(queue->ledger, self, false, &roll))
                return 0;
        return mproc__fail(MPROC_ERELEASED,
                           "task_done was called more often than tasks were taken by mproc_queue_get "
                           "(leased ones are done by mproc_lease_ack)");
}

/* --- looking ------------------------------------------------------------------------------------------------ */

struct count {
        uint32_t unfinished;
        uint32_t lost;          /* of these, taken by processes that are dead */
        uint32_t lost_by_first; /* of these, by the first such process */
        mproc__slot_id first;
        bool unsettled; /* a dead process left something half done at the queue's head */
};

static void
count_entries(struct mproc_queue *queue, uint32_t head_n, struct count *ret)
{
        struct mproc__ledger *ledger = queue->ledger;
        uint32_t used = mproc__ledger_used(ledger);
        struct mproc__roll roll = { .next = 0 };

        for (uint32_t i = 0; i < used; i++) {
                uint64_t word = mproc__ledger_word(ledger, i);
                enum mproc__entry_state state = mproc__entry_state(word);
                bool prepared = state == MPROC__ENTRY_PREPARED;

                if (state == MPROC__ENTRY_FREE || state == MPROC__ENTRY_SETTLED)
                        continue;
                if (prepared && atomic_load_explicit(&ledger->entries[i].number, memory_order_relaxed) == head_n)
                        continue; /* not taken yet */
                ret->unfinished++;
                if ((state != MPROC__ENTRY_TAKEN && !prepared) ||
                    !mproc__roll_is_dead(&roll, mproc__entry_owner(word)))
                        continue;
                ret->unsettled |= prepared;
                ret->lost += !prepared;
                if (ret->lost == 1 && !prepared)
                        ret->first = mproc__entry_owner(word);
                ret->lost_by_first += !prepared && mproc__entry_owner(word) == ret->first;
        }
}

/*
 * Exact, unless the others never stop; if all was finished at some moment between, it says so, and only then.
 * Repairing may take a second, if the living process that is about to do it is stopped just there: so it is tried
 * once, and a task that is still unsettled then counts as unfinished and not yet as lost.
 */
static struct count
count_tasks(struct mproc_queue *queue)
{
        struct mproc__queue_shm *shm = queue->shm;
        struct count count;
        bool repaired = false;

        for (unsigned i = 0; i < LOOKS; i++) {
                uint32_t h = atomic_load(&shm->head.n), t = atomic_load(&shm->tail.n);

                count = (struct count){ .unfinished = t - h };
                count_entries(queue, h, &count);
                if (count.unsettled && !repaired) {
                        mproc__lease_repair(queue);
                        repaired = true;
                        continue;
                }
                if (atomic_load(&shm->tail.n) == t && atomic_load(&shm->head.n) == h)
                        break;
                if (count.unfinished == 0)
                        count.unfinished = 1; /* something was put meanwhile */
        }
        return count;
}

int
mproc_queue_unfinished(mproc_queue *queue, size_t *ret_count)
{
        int r = check(queue);

        if (r == 0)
                *ret_count = count_tasks(queue).unfinished;
        return r;
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

static int
fail_lost(const struct count *count)
{
        char name[MPROC__SLOT_NAME_MAX], others[80] = "";
        long pid = (long)mproc__slot_pid(count->first);

        mproc__slot_name(count->first, name);
        if (count->lost > count->lost_by_first)
                (void)snprintf(others, sizeof others, ", and %u by others that are dead",
                               count->lost - count->lost_by_first);
        return mproc__fail(
                MPROC_ELOST,
                "%u task%s taken by process %s%s%s%ld%s, which died before %s done%s: do %s again and call "
                "mproc_queue_task_done, or drop %s with mproc_queue_drop_lost",
                count->lost_by_first, count->lost_by_first == 1 ? " was" : "s were", name[0] ? "'" : "", name,
                name[0] ? "' (pid " : "", pid, name[0] ? ")" : "", count->lost_by_first == 1 ? "it was" : "they were",
                others, count->lost == 1 ? "it" : "them", count->lost == 1 ? "it" : "them");
}

/* Counted among those who wait inside, so that close knows. */
static int
sleep_until_settled(struct mproc_queue *queue, uint32_t seen, int64_t until_ns)
{
        int r;

        atomic_fetch_add(&queue->sleepers, 1);
        if (atomic_load(&queue->closed))
                r = 0;
        else
                r = mproc__word_wait(&queue->ledger->shm->settled, seen, until_ns);
        atomic_fetch_sub(&queue->sleepers, 1);
        return r;
}

int
mproc_queue_join(mproc_queue *queue, int64_t timeout_ms)
{
        int64_t deadline_ns = timeout_ms == 0 ? 0 : mproc__deadline(timeout_ms), slice = SLICE_FIRST, until;
        struct mproc__ledger_shm *shm;
        struct count count;
        uint32_t seen;
        int r;

        while ((r = check(queue)) == 0) {
                shm = queue->ledger->shm;
                seen = atomic_load(&shm->settled);
                atomic_store(&shm->watched, 1);
                count = count_tasks(queue);
                if (count.unfinished == 0)
                        return 0;
                if (count.lost > 0)
                        return fail_lost(&count);
                if (mproc__deadline_passed(deadline_ns))
                        return mproc__fail(MPROC_ETIMEDOUT, "%u task%s not finished in time", count.unfinished,
                                           count.unfinished == 1 ? " was" : "s were");
                until = mproc__plat_now_ns() + slice;
                if (sleep_until_settled(queue, seen, until < deadline_ns ? until : deadline_ns) < 0)
                        slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
        }
        return r;
}

int
mproc_queue_drop_lost(mproc_queue *queue, size_t *ret_count)
{
        struct mproc__roll roll = { .next = 0 };
        mproc__slot_id self;
        size_t count = 0;
        int r;

        if ((r = check(queue)) < 0 || (r = mproc__slot_self(&self)) < 0)
                return r;
        (void)count_tasks(queue); /* whatever was left half done is settled, or waits for one who is inside */
        while (settle_one_of_others(queue->ledger, self, true, &roll))
                count++;
        if (ret_count)
                *ret_count = count;
        return 0;
}
