/* SPDX-License-Identifier: MIT */
/*
 * sync/permits.h - who holds how many permits of a semaphore, so that those of the dead come back.
 *
 * Beside a semaphore made with that option lies a table: for each process that holds
 * permits how many it has acquired and released.  `acquired` is changed under the lock of the
 * head, as acquiring is, and `released` under that of the tail; both only grow.  The permits
 * that a dead process holds are acquired - released; giving them back is counting tail.n up by as
 * many and making the two equal.
 *
 * Death in between.  Each change is two steps: the semaphore's counter (the commit), then
 * the table.  Before the first an intent is written: which entry gets which value when the
 * counter has which number.  Who enters that end next, looks: if the counter has the number, the change
 * has been committed, and he stores the value (again; that does no harm); if not, it has
 * not happened.  An intent is made void before it is written anew, so none is seen half written.
 *
 * A permit may be released by a process that does not hold one.  Then some other entry
 * gives it up: which one nobody can know, but the sum stays right: value and held permits together are never
 * more than they were at the beginning, whoever dies.
 *
 * An entry is a process's by pid and start time, which programs that share a named semaphore
 * understand alike.  It is his while acquired is not equal to released; then others
 * may take it.  When all are in use, further permits are not recorded: they do not come back.
 */
#ifndef MPROC_SYNC_PERMITS_H
#define MPROC_SYNC_PERMITS_H

#include "platform/futex.h"

#include <stddef.h>

#define MPROC__PERMITS_HOLDERS_MAX 128u
#define MPROC__PERMITS_NOBODY      UINT32_MAX

/* In shared memory.  number: void unless it is the counter's present one. */
struct mproc__permits_intent {
        mproc__word number;
        mproc__word entry;
        mproc__word value;
        mproc__word restored;
};

/*
 * pid 0: free.  pid, start: changed under the head's lock while acquired == released, pid last.
 */
struct mproc__permits_holder {
        mproc__word pid;
        mproc__word acquired;
        mproc__word released;
        uint32_t reserved;
        _Atomic uint64_t start;
};

/* restored, release: under the tail's lock.  acquire: under the head's. */
struct mproc__permits {
        mproc__word restored; /* how many came back so far */
        uint32_t reserved[3];
        struct mproc__permits_intent acquire;
        struct mproc__permits_intent release;
}; /* and behind it the holders */
_Static_assert(sizeof(struct mproc__permits) == 48, "layout of a table of holders");
_Static_assert(sizeof(struct mproc__permits_holder) == 24, "layout of a holder of permits");

/* A process's own view. */
struct mproc__permits_view {
        struct mproc__permits *shm; /* NULL: permits of the dead stay taken */
        struct mproc__permits_holder *holders;
        uint32_t capacity;
        _Atomic uint32_t own; /* where this process's entry was last */
};

static inline size_t
mproc__permits_bytes(uint32_t capacity)
{
        return capacity ? sizeof(struct mproc__permits) + capacity * sizeof(struct mproc__permits_holder) : 0;
}

/* No intents, at these counts.  The rest is zeros. */
void mproc__permits_init(struct mproc__permits *shm, uint32_t head_n, uint32_t tail_n);

/* --- under the lock of the end ----------------------------------------------------------------------- */

/* First of all: finish what a dead process has committed.  n: the end's counter. */
void mproc__permits_settle_acquire(struct mproc__permits_view *view, uint32_t n);
void mproc__permits_settle_release(struct mproc__permits_view *view, uint32_t n);

/* Before the counter goes from n to n + 1.  Returns the entry, for the step after the commit. */
uint32_t mproc__permits_intend_acquire(struct mproc__permits_view *view, uint32_t n);
uint32_t mproc__permits_intend_release(struct mproc__permits_view *view, uint32_t n);

void mproc__permits_acquired(struct mproc__permits_view *view, uint32_t entry);
void mproc__permits_released(struct mproc__permits_view *view, uint32_t entry);

/* --- the dead ------------------------------------------------------------------------------------------ */

struct mproc__permits_dead {
        unsigned count;
        struct {
                uint32_t entry;
                uint32_t pid;
                uint64_t start;
        } one[16];
};

/* Under the head's lock, settled: which dead processes hold permits? */
void mproc__permits_find_dead(struct mproc__permits_view *view, struct mproc__permits_dead *ret);

/*
 * Under the tail's lock, settled: before the counter goes from n to n + k, where k is
 * returned: what the i-th dead holds, at most room.  0: nothing is to be counted, and nothing else to be done.
 */
uint32_t mproc__permits_intend_restore(struct mproc__permits_view *view, const struct mproc__permits_dead *dead,
                                       unsigned i, uint32_t n, uint32_t room);

/* The processes that hold some at this moment, at most most; *ret_held: how many permits all of them hold.  Any time. */
uint32_t mproc__permits_holders(struct mproc__permits_view *view, uint32_t *ret_pids, uint32_t most, uint64_t *ret_held);

/* In a forked child: it is another process. */
void mproc__permits_forked(void);

#endif
