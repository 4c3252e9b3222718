/* SPDX-License-Identifier: MIT */
/*
 * sync/turns.c - who is next: counting those who wait, closing and opening the gate.
 *
 * Runs in: every process that waits for a lock.  Owns: nothing.
 *
 * Nothing here has to be exact.  A waiter who drew his ticket and is not counted yet when
 * the gate closes, goes through it uncounted, and the gate opens one too early; one
 * who dies is counted for ever, and the gate is found stuck.
 */
#include "sync/turns.h"
#include "core/point.h"

#include <limits.h>

#define COUNT 0xffffu

/* Count him, if he is not counted in this epoch.  A full count stays full: he waits uncounted. */
static void
count(struct mproc__turns *turns, struct mproc__turn *turn)
{
        uint32_t v = atomic_load_explicit(&turns->waiting, memory_order_relaxed);

        do {
                if (turn->counted && turn->epoch == v >> 16)
                        return;
                if ((v & COUNT) == COUNT)
                        return;
        } while (!atomic_compare_exchange_weak_explicit(&turns->waiting, &v, v + 1, memory_order_relaxed,
                                                        memory_order_relaxed));
        if ((v & COUNT) == 0)
                atomic_store_explicit(&turns->passed, 0, memory_order_relaxed);
        turn->counted = true;
        turn->epoch = (uint16_t)(v >> 16);
}

void
mproc__turns_wait(struct mproc__turns *turns, struct mproc__turn *turn)
{
        if (!turn->counted)
                turn->ticket = (uint16_t)atomic_fetch_add_explicit(&turns->tickets, 1, memory_order_relaxed);
        count(turns, turn);
        MPROC_POINT("turns.counted");
        if (turn->losses >= MPROC__TURNS_LOSSES)
                mproc__turns_close(turns);
}

/* For those who wait now. */
void
mproc__turns_close(struct mproc__turns *turns)
{
        uint32_t gate = atomic_load_explicit(&turns->gate, memory_order_relaxed);
        uint32_t left = atomic_load_explicit(&turns->waiting, memory_order_relaxed) & COUNT;
        uint32_t ticket = atomic_load_explicit(&turns->tickets, memory_order_relaxed);

        if ((gate & COUNT) != 0 || left == 0)
                return;
        atomic_store_explicit(&turns->passed, 0, memory_order_relaxed);
        (void)atomic_compare_exchange_strong_explicit(&turns->gate, &gate, ticket << 16 | left, memory_order_relaxed,
                                                      memory_order_relaxed);
        MPROC_POINT("turns.closed");
}

static void
uncount(struct mproc__turns *turns, const struct mproc__turn *turn)
{
        uint32_t v = atomic_load_explicit(&turns->waiting, memory_order_relaxed);

        do {
                if (turn->epoch != v >> 16 || (v & COUNT) == 0)
                        return;
        } while (!atomic_compare_exchange_weak_explicit(&turns->waiting, &v, v - 1, memory_order_relaxed,
                                                        memory_order_relaxed));
}

/* Nobody came through this gate: those behind it are counted no longer, nor is anybody else who is not awake. */
static void
open_stuck(struct mproc__turns *turns, uint32_t gate)
{
        uint32_t v = atomic_load_explicit(&turns->waiting, memory_order_relaxed);

        if (!atomic_compare_exchange_strong_explicit(&turns->gate, &gate, 0, memory_order_relaxed,
                                                     memory_order_relaxed))
                return;
        MPROC_POINT("turns.opened");
        (void)atomic_compare_exchange_strong_explicit(&turns->waiting, &v, (v | COUNT) + 1, memory_order_relaxed,
                                                      memory_order_relaxed);
        (void)mproc__word_wake(&turns->gate, INT_MAX);
}

/* One of those behind the gate leaves it; with the last one it opens. */
static void
pass_gate(struct mproc__turns *turns, const struct mproc__turn *turn)
{
        uint32_t gate = atomic_load_explicit(&turns->gate, memory_order_relaxed);

        do {
                if ((gate & COUNT) == 0 || (int16_t)(turn->ticket - (gate >> 16)) >= 0)
                        return;
        } while (!atomic_compare_exchange_weak_explicit(&turns->gate, &gate, gate - 1, memory_order_relaxed,
                                                        memory_order_relaxed));
        MPROC_POINT("turns.passed");
        if ((gate & COUNT) == 1)
                (void)mproc__word_wake(&turns->gate, INT_MAX);
}

void
mproc__turns_leave(struct mproc__turns *turns, struct mproc__turn *turn)
{
        if (turn->stuck)
                open_stuck(turns, turn->stuck);
        if (!turn->counted)
                return;
        uncount(turns, turn);
        pass_gate(turns, turn);
}
