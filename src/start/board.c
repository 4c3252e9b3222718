/* SPDX-License-Identifier: MIT */
/*
 * start/board.c - see board.h.
 *
 * Runs in: parent (take, read, give back), forked child (tell).
 * Owns: the mapped boards and which slots are taken, under MPROC__LOCK_STASH.
 * Boards are kept for the life of the process, each serving many children in turn.
 */
#include "start/board.h"
#include "core/locks.h"
#include "platform/futex.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BOARD_BYTES 65536
#define PAUSES      500 /* before the processor is offered to the parent */
#define BOARD_SLOTS (BOARD_BYTES / sizeof(struct mproc__board_slot))

struct board {
        struct board *next;
        struct mproc__board_slot *slots; /* shared with children */
        unsigned free_count;
        bool taken[BOARD_SLOTS]; /* private to this process */
};

static struct board *boards;
static struct board *volatile inherited; /* in a forked child: its parent's; kept where a leak checker finds it */

static struct board *
new_board(void)
{
        struct board *b = calloc(1, sizeof *b);
        void *memory;

        if (!b)
                return NULL;
        memory = mmap(NULL, BOARD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
                free(b);
                return NULL;
        }
        b->slots = memory;
        b->free_count = BOARD_SLOTS;
        b->next = boards;
        boards = b;
        return b;
}

static struct mproc__board_slot *
take_locked(void)
{
        struct board *b = boards;
        size_t i = 0;

        while (b && b->free_count == 0)
                b = b->next;
        if (!b && !(b = new_board()))
                return NULL;
        while (b->taken[i])
                i++;
        b->taken[i] = true;
        b->free_count--;
        return &b->slots[i];
}

struct mproc__board_slot *
mproc__board_take(void)
{
        struct mproc__board_slot *slot;

        mproc__lock(MPROC__LOCK_STASH);
        slot = take_locked();
        mproc__unlock(MPROC__LOCK_STASH);
        if (slot) {
                atomic_store(&slot->told, 0);
                atomic_store(&slot->go, 0);
        }
        return slot;
}

void
mproc__board_let_go(struct mproc__board_slot *slot)
{
        atomic_store_explicit(&slot->go, 1, memory_order_release);
}

/*
 * Some microseconds, as a rule over before the child runs at all: the parent opens its
 * pidfd.  A child that ended sooner could be reaped by other code of the parent (a
 * waitpid(-1), an ignored SIGCHLD), its status be lost and its pid another's.
 */
void
mproc__board_await_go(struct mproc__board_slot *slot, pid_t parent)
{
        for (unsigned i = 0; !atomic_load_explicit(&slot->go, memory_order_acquire); i++) {
                if (i < PAUSES)
                        mproc__word_pause();
                else if (getppid() != parent)
                        break;
                else
                        (void)sched_yield();
        }
}

void
mproc__board_give_back(struct mproc__board_slot *slot)
{
        if (!slot)
                return;
        mproc__lock(MPROC__LOCK_STASH);
        for (struct board *b = boards; b; b = b->next) {
                if (slot < b->slots || slot >= b->slots + BOARD_SLOTS)
                        continue;
                b->taken[slot - b->slots] = false;
                b->free_count++;
        }
        mproc__unlock(MPROC__LOCK_STASH);
}

void
mproc__board_tell(struct mproc__board_slot *slot, const struct mproc__status *status, const char *step,
                  const char *text)
{
        slot->status = *status;
        if (step)
                (void)strncpy(slot->status.step, step, sizeof slot->status.step - 1);
        slot->text[0] = 0;
        if (text)
                (void)strncat(slot->text, text, sizeof slot->text - 1);
        atomic_store_explicit(&slot->told, 1, memory_order_release);
}

/* What a child wrote is a claim: copied first, ended by us. */
bool
mproc__board_read(const struct mproc__board_slot *slot, struct mproc__status *ret_status,
                  char ret_text[MPROC__STATUS_TEXT_MAX])
{
        if (!slot || !atomic_load_explicit(&slot->told, memory_order_acquire))
                return false;
        memcpy(ret_status, &slot->status, sizeof *ret_status);
        memcpy(ret_text, slot->text, MPROC__STATUS_TEXT_MAX);
        ret_status->step[sizeof ret_status->step - 1] = 0;
        ret_text[MPROC__STATUS_TEXT_MAX - 1] = 0;
        return true;
}

void
mproc__board_forked(void)
{
        if (boards)
                inherited = boards; /* this process's own slot is in one; and freeing the rest would touch memory */
        boards = NULL;
}
