/* SPDX-License-Identifier: MIT */
/*
 * sync/rounds.h - the rounds of a barrier: who has come, how each round ends.
 *
 * One word, which is also what those who have come sleep on:
 *
 *      state    round(18) count(13) BROKEN(1)
 *
 * and a table of tickets, twice as many as parties, two halves that change in one step:
 *
 *      ticket   round(18) serial(14) | mark(2) 0(1) slot id(29)       id 0: free
 *
 * A ticket says: a thread of this process is inside, on behalf of this round.  Its mark is WAITING, until
 * somebody who ends a round says how it went for those of them who have not looked yet.
 *
 *   arrive   take a ticket.  BROKEN: out.  count is full: the last one runs his action; sleep until he
 *            is through.  Write the round into the ticket, then CAS state -> count + 1: come.  If
 *            that fails, all of it again.
 *   wait     look at state, then at one's ticket.  A mark there is the answer.  The round is still one's own:
 *            BROKEN: broken; else sleep, in slices.  Another round: passed.
 *   the last one, count is full:
 *            is any ticket of this round a dead process's?  Then the round is broken.  The action.
 *            Mark WAITING tickets of the round before PASSED.  CAS state -> round + 1, count 0; wake all.
 *   break    CAS state -> BROKEN, if it is still this round and not broken; wake all.
 *   abort    one step { state |= BROKEN; wake all }.
 *   reset    break; mark WAITING tickets of this round BROKE and of the one before PASSED;
 *            CAS state -> round + 1, count 0, whole; wake all.
 *
 * Each round ends in one way for all.  Its end is one compare-and-swap of state, from this round and
 * not broken: to the next round, or to BROKEN.  Who looks while state is of his round sees it there.
 * Who looks later, having been stopped perhaps, would take a reset for a pass; so tickets of a broken
 * round are marked before reset moves on.  And since state has 18 bits of rounds, nobody moves to
 * round n + 1 before all tickets of round n - 1 are marked: who looks after any number of rounds
 * finds his mark, and who finds none is at most one round behind.  Tickets that are taken but have not
 * come yet have no say: their mark is void, because the round is written anew right before coming.
 *
 * Who dies:
 *   - inside, in a round that goes on: his ticket is of this round.  The last one looks at all tickets
 *     before he ends the round.  Those who wait look after each slice at the tickets behind their own, until
 *     they have seen WATCHED living ones, so that every dead one is seen within 100 ms, unless WATCHED in
 *     a row are stopped.  Who sees one breaks the round.
 *   - with a ticket of a round that is over: nothing; the ticket is used again when there is no other.
 *   - the last one, before his compare-and-swap: as inside.  After it: all go on.
 *   - between a compare-and-swap and waking: who wakes up by himself at the end of his slice, within
 *     100 ms, sees that the round is over, and wakes the others.
 *   - in reset, marking: it is broken, and can be reset again.
 * Nobody waits for one who has not left yet: he keeps his ticket, of which there are twice as many.
 */
#ifndef MPROC_SYNC_ROUNDS_H
#define MPROC_SYNC_ROUNDS_H

#include "platform/futex.h"
#include "program/slot.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * In shared memory, with the tickets behind it.  Changed in single steps: state and tickets as above.
 *   why      of the last break: round << 32 | reason << 29 | slot id.  For words only; written before
 *            the break by whoever is about to make it, the first of them in a round.
 */
struct mproc__rounds {
        mproc__word state;
        uint32_t reserved;
        _Atomic uint64_t why;
};

/* A barrier as this process sees it: the counts are not read from where others may write. */
struct mproc__barrier_view {
        struct mproc__rounds *rounds;
        _Atomic uint64_t *ticket;
        uint32_t parties;
        uint32_t tickets; /* twice as many */
};

/* One thread inside. */
struct mproc__party {
        struct mproc__barrier_view view;
        mproc__slot_id me;
        uint32_t ticket;
        uint32_t round;
        uint32_t index; /* the order in which it came */
};

enum mproc__broken_by {
        MPROC__BROKEN_UNKNOWN,
        MPROC__BROKEN_DEATH,
        MPROC__BROKEN_TIMEOUT,
        MPROC__BROKEN_ABORT,
        MPROC__BROKEN_RESET,
        MPROC__BROKEN_ACTION
};

/* Come.  0; MPROC_EBROKEN, MPROC_ETIMEDOUT, -EAGAIN (no ticket): not inside.  Sets no words, nor do the others. */
int mproc__rounds_arrive(struct mproc__party *party, int64_t deadline_ns);

bool mproc__party_is_last(const struct mproc__party *party);

/* Not the last one.  0: passed; MPROC_EBROKEN; MPROC_ETIMEDOUT: broken by this. */
int mproc__rounds_wait(struct mproc__party *party, int64_t deadline_ns);

/* The last one: 0, or MPROC_EBROKEN because one of the others is dead; then end the round: 0, or MPROC_EBROKEN. */
int mproc__rounds_check(struct mproc__party *party);
int mproc__rounds_pass(struct mproc__party *party);

/* Break the party's round, if it is not over. */
void mproc__rounds_break(struct mproc__party *party, enum mproc__broken_by reason);

/* Not inside any more; after each arrive that returned 0. */
void mproc__rounds_leave(struct mproc__party *party);

void mproc__rounds_abort(const struct mproc__barrier_view *view, mproc__slot_id me);
void mproc__rounds_reset(const struct mproc__barrier_view *view, mproc__slot_id me);

bool mproc__rounds_broken(const struct mproc__barrier_view *view);
uint32_t mproc__rounds_count(const struct mproc__barrier_view *view); /* who waits; 0 if broken */

/* Why the last break was made, and by or of whom (0: unknown). */
enum mproc__broken_by mproc__rounds_why(const struct mproc__barrier_view *view, mproc__slot_id *ret_who);

#endif
