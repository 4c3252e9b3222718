/* SPDX-License-Identifier: MIT */
/*
 * sync/permits.c - the table of those who hold permits of a semaphore.
 *
 * Runs in: every process that uses such a semaphore.  Owns: this process's identity.
 */
#include "sync/permits.h"
#include "core/point.h"
#include "platform/platform.h"

#include <unistd.h>

/* The counter grows by one system call, whose argument has 11 bits. */
#define RESTORE_MAX 2000u

/* start is set before pid; several threads set the same. */
static struct {
        _Atomic uint32_t pid;
        _Atomic uint64_t start;
} self;

static uint32_t
own_pid(void)
{
        uint32_t pid = atomic_load_explicit(&self.pid, memory_order_acquire);

        if (pid)
                return pid;
        atomic_store_explicit(&self.start, mproc__plat_process_start_time(getpid()), memory_order_relaxed);
        pid = (uint32_t)getpid();
        atomic_store_explicit(&self.pid, pid, memory_order_release);
        return pid;
}

void
mproc__permits_forked(void)
{
        atomic_store(&self.pid, 0);
}

/* Stores in this order and no other: what a death leaves is a beginning of them. */
static void
put(mproc__word *word, uint32_t value)
{
        atomic_store_explicit(word, value, memory_order_release);
}

static uint32_t
look(mproc__word *word)
{
        return atomic_load_explicit(word, memory_order_acquire);
}

static void
intend(struct mproc__permits_intent *intent, uint32_t n, uint32_t k, uint32_t entry, uint32_t value,
       uint32_t restored)
{
        put(&intent->number, n - 1); /* neither n nor n + k */
        put(&intent->entry, entry);
        put(&intent->value, value);
        put(&intent->restored, restored);
        put(&intent->number, n + k);
        MPROC_POINT("permits.intended");
}

void
mproc__permits_init(struct mproc__permits *shm, uint32_t head_n, uint32_t tail_n)
{
        intend(&shm->acquire, head_n, 0, MPROC__PERMITS_NOBODY, 0, 0);
        intend(&shm->release, tail_n, 0, MPROC__PERMITS_NOBODY, 0, 0);
}

/* --- acquiring ------------------------------------------------------------------------------------- */

void
mproc__permits_settle_acquire(struct mproc__permits_view *view, uint32_t n)
{
        struct mproc__permits_intent *intent = &view->shm->acquire;
        uint32_t entry = look(&intent->entry);

        if (look(&intent->number) == n && entry < view->capacity)
                put(&view->holders[entry].acquired, look(&intent->value));
}

static bool
is_own(struct mproc__permits_view *view, uint32_t entry)
{
        struct mproc__permits_holder *holder = &view->holders[entry];

        return look(&holder->pid) == own_pid() && atomic_load_explicit(&holder->start, memory_order_relaxed) ==
                                                          atomic_load_explicit(&self.start, memory_order_relaxed);
}

static bool
holds_some(struct mproc__permits_holder *holder)
{
        return look(&holder->acquired) != look(&holder->released);
}

/*
 * This process's entry, or one made so: an empty one, or that of a process that holds
 * nothing.  The counts go on from where they are, since an intent may name them.
 */
static uint32_t
claim(struct mproc__permits_view *view)
{
        uint32_t entry = atomic_load_explicit(&view->own, memory_order_relaxed), usable = MPROC__PERMITS_NOBODY;
        struct mproc__permits_holder *holders = view->holders;
        bool empty = false;

        if (entry < view->capacity && is_own(view, entry))
                return entry;
        for (entry = 0; entry < view->capacity; entry++) {
                if (is_own(view, entry))
                        goto found;
                if (!empty && !holds_some(&holders[entry])) {
                        empty = look(&holders[entry].pid) == 0;
                        usable = entry;
                }
        }
        if ((entry = usable) == MPROC__PERMITS_NOBODY)
                return entry;
        put(&holders[entry].pid, 0);
        atomic_store_explicit(&holders[entry].start, atomic_load_explicit(&self.start, memory_order_relaxed),
                              memory_order_release);
        put(&holders[entry].pid, own_pid());
        MPROC_POINT("permits.claimed");
found:
        atomic_store_explicit(&view->own, entry, memory_order_relaxed);
        return entry;
}

uint32_t
mproc__permits_intend_acquire(struct mproc__permits_view *view, uint32_t n)
{
        uint32_t entry = claim(view);

        intend(&view->shm->acquire, n, 1, entry,
               entry < view->capacity ? look(&view->holders[entry].acquired) + 1 : 0, 0);
        return entry;
}

void
mproc__permits_acquired(struct mproc__permits_view *view, uint32_t entry)
{
        if (entry < view->capacity)
                put(&view->holders[entry].acquired, look(&view->shm->acquire.value));
}

/* --- releasing ------------------------------------------------------------------------------------- */

void
mproc__permits_settle_release(struct mproc__permits_view *view, uint32_t n)
{
        struct mproc__permits_intent *intent = &view->shm->release;
        uint32_t entry = look(&intent->entry);

        if (look(&intent->number) != n || entry >= view->capacity)
                return;
        put(&view->holders[entry].released, look(&intent->value));
        put(&view->shm->restored, look(&intent->restored));
}

/* Whose permit is it?  The caller's own, if he has one; else somebody's. */
static uint32_t
giver(struct mproc__permits_view *view)
{
        uint32_t entry = atomic_load_explicit(&view->own, memory_order_relaxed);

        if (entry < view->capacity && is_own(view, entry) && holds_some(&view->holders[entry]))
                return entry;
        for (entry = 0; entry < view->capacity; entry++)
                if (is_own(view, entry) && holds_some(&view->holders[entry]))
                        return entry;
        for (entry = 0; entry < view->capacity; entry++)
                if (holds_some(&view->holders[entry]))
                        return entry;
        return MPROC__PERMITS_NOBODY;
}

uint32_t
mproc__permits_intend_release(struct mproc__permits_view *view, uint32_t n)
{
        uint32_t entry = giver(view);

        intend(&view->shm->release, n, 1, entry,
               entry < view->capacity ? look(&view->holders[entry].released) + 1 : 0, look(&view->shm->restored));
        return entry;
}

void
mproc__permits_released(struct mproc__permits_view *view, uint32_t entry)
{
        if (entry < view->capacity) {
                put(&view->holders[entry].released, look(&view->shm->release.value));
                put(&view->shm->restored, look(&view->shm->release.restored));
        }
}

/* --- the dead ---------------------------------------------------------------------------------------- */

/* Where the system does not tell of the unreaped, the one who knows the owners of words may: there, pids are among
 * them. */
static bool
is_dead(uint32_t pid, uint64_t start)
{
        enum mproc__process_life life;
        uint64_t now;

        if (pid == own_pid() || (pid_t)pid <= 0)
                return false;
        life = mproc__plat_process_life((pid_t)pid);
        if (life == MPROC__PROCESS_ENDED || (life == MPROC__PROCESS_UNKNOWN && mproc__word_owner_is_gone(pid)))
                return true;
        now = mproc__plat_process_start_time((pid_t)pid);
        return now != 0 && start != 0 && now != start;
}

void
mproc__permits_find_dead(struct mproc__permits_view *view, struct mproc__permits_dead *ret)
{
        ret->count = 0;
        for (uint32_t i = 0; i < view->capacity && ret->count < sizeof ret->one / sizeof *ret->one; i++) {
                struct mproc__permits_holder *holder = &view->holders[i];
                uint64_t start = atomic_load_explicit(&holder->start, memory_order_relaxed);
                uint32_t pid = look(&holder->pid);

                if (!holds_some(holder) || !is_dead(pid, start))
                        continue;
                ret->one[ret->count].entry = i;
                ret->one[ret->count].pid = pid;
                ret->one[ret->count++].start = start;
        }
}

/*
 * Since the dead was found, somebody else may have given his permits back, and a third taken the
 * entry.  So the counts are read first, and then whose they are: an entry that is the dead's after `acquired` was
 * read was his when it was read, since it is never his again.  The other way round, the living who takes the entry
 * in between would lose what he acquires.  While it is his nobody changes `acquired`: he is dead, and what he had
 * committed was settled under the head's lock when he was found.
 */
uint32_t
mproc__permits_intend_restore(struct mproc__permits_view *view, const struct mproc__permits_dead *dead, unsigned i,
                              uint32_t n, uint32_t room)
{
        uint32_t entry = dead->one[i].entry, held, k, released;
        struct mproc__permits_holder *holder = &view->holders[entry];

        released = look(&holder->released);
        held = look(&holder->acquired) - released;
        MPROC_POINT("permits.restore.looked");
        if (look(&holder->pid) != dead->one[i].pid ||
            atomic_load_explicit(&holder->start, memory_order_relaxed) != dead->one[i].start)
                return 0;
        if (held > RESTORE_MAX)
                held = RESTORE_MAX; /* the rest the next time */
        k = held < room ? held : room;
        if (k == 0) { /* the semaphore is full without them */
                put(&view->shm->release.number, n - 1);
                put(&holder->released, released + held);
                return 0;
        }
        intend(&view->shm->release, n, k, entry, released + held, look(&view->shm->restored) + k);
        return k;
}

uint32_t
mproc__permits_holders(struct mproc__permits_view *view, uint32_t *ret_pids, uint32_t most, uint64_t *ret_held)
{
        uint32_t n = 0;

        *ret_held = 0;
        for (uint32_t i = 0; i < view->capacity; i++) {
                uint32_t held = look(&view->holders[i].acquired) - look(&view->holders[i].released);

                if (held == 0)
                        continue;
                *ret_held += held;
                if (n < most)
                        ret_pids[n] = look(&view->holders[i].pid);
                n++;
        }
        return n;
}
