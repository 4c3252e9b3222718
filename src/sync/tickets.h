/* SPDX-License-Identifier: MIT */
/*
 * sync/tickets.h - who waits on a condition, and who of them has been notified.
 *
 * A ring of tickets, one word each, NOTIFIED(1) 0(2) slot id(29):
 *
 *      0                       free (so is NOTIFIED without an id)
 *      id                      a thread of that process waits, and sleeps on this very word
 *      NOTIFIED | id           it was told, and its wait has not returned yet
 *
 * The user's lock is held where tickets are taken and notified, so these two never meet; what happens
 * without it is noted below.  There is no lock inside.
 *
 *   take     CAS free -> id, before the user's lock is released: a notify that comes after the
 *            release finds the ticket.
 *   notify   the next ticket that waits: one step { word |= NOTIFIED; wake 1 }.  If that woke one,
 *            it counts.  If not: no id there (it timed out meanwhile): does not count.  The id is a
 *            dead process's: CAS -> free, does not count.  Else he is awake and will look: counts.
 *   sleep    (no lock)  while word == id, in slices.
 *   time out (no lock)  CAS id -> free; fails: he was notified in time after all.
 *   inherit  (no lock)  after each slice, among the next tickets in the ring: NOTIFIED of a dead
 *            process: first CAS one's own id -> NOTIFIED | id, then CAS the other -> free.
 *            Of a dead process that was not notified: CAS -> free.
 *            And if the process that owns the user's lock is dead: one's own as if notified.
 *   give     word = 0, when the user's lock is held again, as the last thing in a wait.
 *
 * What is promised: a notification that was given to a waiter whose process dies before his wait has
 * returned is passed on to another one that waits, if there is one.  Because
 *   - a ticket tells who has it, in the same word as its state, and slot ids are never used again;
 *   - a ticket is NOTIFIED until the user's lock is held again.  Who dies before leaves it so, and
 *     who dies after leaves the user's lock to the next owner, who is told;
 *   - inherit marks before it frees.  Killed between the two, both tickets are NOTIFIED and of
 *     the dead: passed on twice, which is a wake-up for no reason; never lost;
 *   - every change is one step of one word, so no death leaves anything between.  A notifier
 *     killed on his way has notified some, and owned the user's lock;
 *   - who owns the user's lock and dies is found by those who wait, too.  The first of them returns and is told,
 * whether the dead was about to notify or not: so not all sleep beside what a dead owner has changed. How soon:
 * whoever waits looks at those behind him, up to WATCHED living ones who wait, so a dead ticket is seen by the
 * nearest living waiter in front of it that is not stopped, within his slice: 100 ms.  Nobody watches only if WATCHED
 * waiters in a row are stopped.
 *
 * A stopped waiter (SIGSTOP) keeps his ticket and the notification that he got, like one who is
 * slow.  He is in nobody's way.
 *
 * Order: tickets are taken and notified in the direction of the ring, so who waited longest is first, as
 * long as the ring has not gone round a ticket that is still taken; and no waiting ticket is passed
 * by in favour of more than MPROC__TICKETS others.
 */
#ifndef MPROC_SYNC_TICKETS_H
#define MPROC_SYNC_TICKETS_H

#include "platform/futex.h"
#include "program/slot.h"

#include <stdint.h>

#define MPROC__TICKETS 1024 /* a power of two: numbers of tickets wrap around */

/*
 * In shared memory.
 *   entered  the number behind the last ticket that was taken      raised only, under the user's lock; where to
 *   head     no ticket with a number before it waits, or it lies    begin to look, and how far
 *            more than a round behind entered
 *   high     no word from here on was ever taken                   before one is taken
 *   word     see above; numbers follow each other through it, round and round
 */
struct mproc__tickets {
        mproc__word entered;
        mproc__word head;
        mproc__word high;
        uint32_t reserved[13];
        mproc__word word[MPROC__TICKETS];
};

void mproc__tickets_init(struct mproc__tickets *tickets);

/* Take one.  The user's lock is held.  Its index, or -EAGAIN: all are taken by the living.  Sets no words. */
int mproc__tickets_take(struct mproc__tickets *tickets, mproc__slot_id me);

/*
 * 0: notified; the ticket is still taken.  MPROC_ETIMEDOUT: not in time, and it is free.  owner_word: the user's
 * lock (sync/owned.h); NULL: nobody's death ends the sleep.
 */
int mproc__tickets_sleep(struct mproc__tickets *tickets, unsigned index, mproc__slot_id me, mproc__word *owner_word,
                         int64_t deadline_ns);

/* Free it again. */
void mproc__tickets_give(struct mproc__tickets *tickets, unsigned index);

/* Notify up to n that wait.  The user's lock is held. */
void mproc__tickets_notify(struct mproc__tickets *tickets, unsigned n);

#endif
