/* SPDX-License-Identifier: MIT */
/*
 * condition.pml - waiting for a notification, with tickets.
 *
 * Tickets under an internal lock.  src/sync/tickets.* keeps the same rules without such a lock, by single steps on one
 * word; that form is argued there and is not modelled.  The protocol here:
 *
 *   A condition has the user's lock U (mproc_lock or mproc_rlock), an internal robust lock L
 *   (sync/robust.h), and a table of tickets.  A ticket is one word, state | slot id of its
 *   process (program/slot.h), so that it is told apart from those of later processes:
 *
 *       FREE       0
 *       WAITING    its process sleeps on this very word, or is about to
 *       NOTIFIED   its process is told, and has not returned yet
 *
 *   wait (U is held)
 *       lock L; FREE -> WAITING|me; unlock L        before U is released, or a notification in between is missed
 *       release U
 *       sleep while the word is WAITING|me, in slices; after each slice: settle
 *       timed out: lock L; WAITING -> FREE; but if it is NOTIFIED by now, it has come in time; unlock L
 *       acquire U
 *       NOTIFIED -> FREE                            the last thing, with U held; without L
 *   notify n (U is held)
 *       lock L; n times: one step { the oldest ticket WAITING -> NOTIFIED; wake 1 }; unlock L
 *   settle
 *       is there a NOTIFIED ticket whose slot is dead, or is L marked OWNER_DIED?  (one look, without a lock)
 *       lock L; for each such ticket: -> FREE; notify 1; unlock L
 *   whenever L is taken and its last owner died inside
 *       notify all.  He may have been in the middle of notify_all, or between the two halves of settle;
 *       a spurious wake-up is allowed, and this way nothing needs to be recorded.
 *
 *   A wait that finds no free ticket frees those of the dead: WAITING by -> FREE, NOTIFIED by settle.
 *   L is never held while anything is awaited, so notify waits for nobody.  Tickets need no `pending`: on each
 *   sleeps one thread, and what was owed to it is passed on by its slot.  The bound is one slice.
 *
 *   May be done, need not: notify passes over WAITING tickets of the dead (the others are served at once and
 *   not after a slice; VARIANT_COUNT_THE_DEAD shows that it is right without).
 *
 * What is proved.  An item is put with each notification.  At the end of everything no living waiter
 * sleeps while an item is there, nobody is stuck in U or L, all notifiers have finished.  The
 * promise ends when wait has returned: who dies after that, holding U, leaves it to the next owner
 * of U, who is told MPROC_OWNER_DIED (and should notify all).
 *
 * Abstract: U and L, whose own proofs are owned.pml and robust.pml: taking them is one step,
 * blocked while a living process has them.  Which of the WAITING is notified: any, which includes the
 * oldest.  Waiter 1 has a timeout that may strike at any time.
 *
 * NW waiters, NN notifiers, up to MAXK kills.  ALL: the first notifier puts two items and uses notify_all.
 *
 * RUN: -DNW=2 -DNN=2 -DMAXK=2
 * RUN: -DNW=2 -DNN=2 -DMAXK=2 -DALL
 * RUN: -DNW=3 -DNN=1 -DMAXK=1
 * RUN: -DNW=3 -DNN=1 -DMAXK=1 -DALL -DVARIANT_COUNT_THE_DEAD
 * BIG: -DNW=3 -DNN=1 -DMAXK=2
 * BIG: -DNW=3 -DNN=2 -DMAXK=1
 * MUTANT_NO_PASSING_ON: -DNW=2 -DNN=2 -DMAXK=2        what a dead waiter was told stays with it
 * MUTANT_FREE_EARLY: -DNW=2 -DNN=2 -DMAXK=2           the ticket is given up before U is acquired
 * MUTANT_NO_REPAIR: -DNW=2 -DNN=2 -DMAXK=2 -DALL      a death inside L notifies nobody
 * MUTANT_RELEASE_FIRST: -DNW=2 -DNN=1 -DMAXK=0        U is released before the ticket is WAITING
 * MUTANT_TIMEOUT_BLIND: -DNW=2 -DNN=1 -DMAXK=0        a wait that timed out does not look whether it was notified
 */
#ifndef NW
#define NW 3
#endif
#ifndef NN
#define NN 2
#endif
#ifndef MAXK
#define MAXK 1
#endif
#define NP (NW + NN)

#define FREE 0
#define WAITING 1
#define NOTIFIED 2

byte state[NW], who[NW]; /* the tickets: both halves are one word, and change in one step */
byte u = 0, l = 0;       /* owners of U and L, 0: free */
bit l_died = 0;          /* L: OWNER_DIED */
bit dead[NP + 1];        /* what slots tell */
bit asleep[NP + 1], gone[NP + 1];
byte items = 0, kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die

/* A living process that waits, or 0xff in j. */
#define CAN_NOTIFY(x) (state[x] == WAITING && !dead[who[x]])
#define OWED(x) (state[x] == NOTIFIED && dead[who[x]])
#if NW == 2
#define ANY(P) (P(0) || P(1))
#define PICK(P, j) if :: P(0) -> j = 0 :: P(1) -> j = 1 :: else -> j = 255 fi
#elif NW == 3
#define ANY(P) (P(0) || P(1) || P(2))
#define PICK(P, j) if :: P(0) -> j = 0 :: P(1) -> j = 1 :: P(2) -> j = 2 :: else -> j = 255 fi
#else
#define ANY(P) (P(0) || P(1) || P(2) || P(3))
#define PICK(P, j) if :: P(0) -> j = 0 :: P(1) -> j = 1 :: P(2) -> j = 2 :: P(3) -> j = 3 :: else -> j = 255 fi
#endif
#define IS_WAITING(x) (state[x] == WAITING)

/* Each step is atomic { die here, or do one thing that others see and all that only this process sees }. */
inline lock_u() { atomic { if :: KILL :: (u == 0 || dead[u]) -> u = me fi } }
inline unlock_u() { atomic { if :: KILL :: true -> u = 0 fi } }

inline notify_one() { PICK(CAN_NOTIFY, j); if :: j != 255 -> state[j] = NOTIFIED; j = 255 :: else fi }

/* L, and what is to be done if its owner died inside: all are notified. */
inline lock_l()
{
        atomic { if :: KILL :: l == 0 -> l = me; died = l_died; l_died = 0 fi };
        do
        :: atomic {
                if
#ifndef MUTANT_NO_REPAIR
                :: died && kills < MAXK -> kills++; goto die
                :: died && ANY(CAN_NOTIFY) -> notify_one()
                :: !died || !ANY(CAN_NOTIFY) -> died = 0; break
#else
                :: true -> died = 0; break
#endif
                fi
           }
        od
}
inline unlock_l() { atomic { if :: KILL :: true -> l = 0 fi } }

/* L is held.  Pass on what the dead were told. */
inline settle()
{
        do
        :: atomic { PICK(OWED, d); if :: d == 255 -> break :: else fi;
                if :: KILL :: true -> state[d] = FREE; who[d] = 0; d = 255 fi };
           atomic { if :: KILL :: true -> notify_one() fi }
        od
}

proctype waiter(byte me)
{
        byte i = 255, j = 255, d = 255;
        bit died = 0, out = 0;

        atomic { if :: KILL :: (u == 0 || dead[u]) -> u = me; if :: items > 0 -> items--; goto leave :: else fi fi };
        do
        ::
#ifdef MUTANT_RELEASE_FIRST
                unlock_u();
#endif
                lock_l();
                atomic { if :: KILL :: true -> i = 0; do :: state[i] != FREE -> i++ :: else -> break od; state[i] = WAITING; who[i] = me fi };
                unlock_l();
#ifndef MUTANT_RELEASE_FIRST
                unlock_u();
#endif
                do /* a guard that waits: the sleep, or one of its slices that finds something */
                :: atomic {
                        asleep[me] = 1;
                        if
                        :: kills < MAXK -> kills++; asleep[me] = 0; goto die
                        :: state[i] != WAITING -> asleep[me] = 0; break
#ifndef MUTANT_NO_PASSING_ON
                        :: state[i] == WAITING && (ANY(OWED) || (l_died && l == 0)) -> asleep[me] = 0
#endif
                        :: state[i] == WAITING && me == 1 -> asleep[me] = 0; out = 1
                        fi
                   };
                   if
                   :: out -> /* timed out */
#ifdef MUTANT_TIMEOUT_BLIND
                        atomic { if :: KILL :: true -> state[i] = FREE; who[i] = 0; i = 255 fi }
#else
                        lock_l();
                        atomic { if :: KILL :: state[i] == WAITING -> state[i] = FREE; who[i] = 0; i = 255
                                    :: state[i] == NOTIFIED -> out = 0 fi };
                        unlock_l();
#endif
                        break
                   :: else -> lock_l(); settle(); unlock_l()
                   fi
                od;
#ifdef MUTANT_FREE_EARLY
                atomic { if :: KILL :: i != 255 -> state[i] = FREE; who[i] = 0; i = 255 :: i == 255 -> skip fi };
#endif
                lock_u();
                atomic { /* wait returns; what the caller does with U held is his */
                        if
                        :: KILL
                        :: true ->
                                if :: i != 255 -> state[i] = FREE; who[i] = 0; i = 255 :: else fi;
                                if
                                :: out -> break
                                :: !out && items > 0 -> items--; break
                                :: !out && items == 0 -> skip
                                fi
                        fi
                }
        od;
leave:  unlock_u();
        atomic { gone[me] = 1; i = 255; out = 0; goto end };
die:
        atomic { if :: l == me -> l = 0; l_died = 1 :: else fi; i = 255; j = 255; d = 255; died = 0; out = 0 };
        atomic { dead[me] = 1; gone[me] = 1 };
end:    skip
}

proctype notifier(byte me)
{
#ifdef ALL
        byte n = (me == NW + 1 -> NW : 1);
#else
        byte n = 1;
#endif
        byte j = 255;
        bit died = 0, put = 0;

        lock_u();
        lock_l();
        do
        ::      atomic {
                        if :: n == 0 -> break :: else fi;
                        if
                        :: KILL
                        :: true ->
                                PICK(IS_WAITING, j);
                                if
                                :: j == 255 -> n = 0 /* nobody waits */
#ifndef VARIANT_COUNT_THE_DEAD
                                :: j != 255 && dead[who[j]] -> state[j] = FREE; who[j] = 0
#endif
                                :: else -> state[j] = NOTIFIED; n--
                                fi;
                                /* The item comes with the first notification: an earlier death has put nothing. */
                                if
                                :: !put && (j == 255 || state[j] == NOTIFIED) ->
                                        put = 1; items++;
#ifdef ALL
                                        if :: me == NW + 1 -> items++ :: else fi
#endif
                                :: else
                                fi;
                                j = 255
                        fi
                }
        od;
        unlock_l();
        unlock_u();
        atomic { gone[me] = 1; n = 0; put = 0; goto end };
die:
        atomic { if :: l == me -> l = 0; l_died = 1 :: else fi; j = 255; died = 0; n = 0; put = 0 };
        atomic { dead[me] = 1; gone[me] = 1 };
end:    skip
}

init {
        byte p = 1;
        atomic {
                do
                :: p <= NW -> run waiter(p); p++
                :: p > NW && p <= NP -> run notifier(p); p++
                :: p > NP -> break
                od;
                p = 1
        };
        timeout -> atomic {
                do
                :: p <= NP ->
                        assert(gone[p] || (asleep[p] && p <= NW)); /* nobody is stuck elsewhere */
                        assert(gone[p] || items == 0);             /* nobody sleeps beside an item */
                        p++
                :: p > NP -> break
                od
        }
}
