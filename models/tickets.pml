/* SPDX-License-Identifier: MIT */
/*
 * tickets.pml - waiting for a notification, as src/sync/tickets.c and condition.c do it: no lock but the user's.
 *
 * A ticket is one word: id of the process, 0 free; and NOTIFIED, here `told`.  Both halves change in one step.
 *
 *   take      U held      CAS free -> id                                        take_one
 *   sleep                 while word == id; kernel compares and sleeps in one step
 *   slice                 somebody is dead: inherit                             inherit_from
 *                         U's owner is dead: as if notified                     mproc__tickets_sleep
 *   time out              CAS id -> free; fails: notified                       mproc__tickets_sleep
 *   give      U held      word = 0, before wait returns                         mproc__tickets_give
 *   notify    U held      one step { word |= NOTIFIED; wake }, then a look      notify_one
 *
 * What is proved.  An item is put with each notification.  At the end of everything no living waiter
 * sleeps while an item is there, nobody is stuck in U, all notifiers have finished.  Who acquires U
 * and is told that its owner died notifies all, as the manual asks for.  The promise ends when wait
 * has returned.
 *
 * Abstract: U, whose proof is owned.pml: taking it is one step, blocked while a living process has it, and
 * tells of a dead owner.  Which of the waiting is notified: any.  Which dead one is found: any (the code looks
 * at those behind its own ticket, up to 8 living ones).  Waiter 1 has a timeout that may strike at any time.
 * A sleep ends by a slice only if there is somebody dead to be found.  That a waiter sees that U's owner is dead
 * and marks its own ticket is one step: nothing in between makes a difference to the mark.
 *
 * NW waiters, NN notifiers, up to MAXK kills.  ALL: the first notifier puts two items and uses notify_all.
 *
 * RUN: -DNW=2 -DNN=2 -DMAXK=2
 * RUN: -DNW=2 -DNN=2 -DMAXK=2 -DALL
 * RUN: -DNW=3 -DNN=1 -DMAXK=1
 * BIG: -DNW=3 -DNN=1 -DMAXK=2
 * BIG: -DNW=3 -DNN=1 -DMAXK=3 -DALL
 * MUTANT_NO_INHERIT: -DNW=2 -DNN=1 -DMAXK=1         what a dead waiter was told stays with it
 * MUTANT_NO_ALARM: -DNW=3 -DNN=1 -DMAXK=2           nobody who waits looks whether U's owner is dead
 * MUTANT_FREE_BEFORE_MARK: -DNW=3 -DNN=1 -DMAXK=2   an heir frees the ticket of the dead before it marks its own
 * MUTANT_FREE_EARLY: -DNW=2 -DNN=1 -DMAXK=1         the ticket is given up before U is acquired
 * MUTANT_RELEASE_FIRST: -DNW=2 -DNN=1 -DMAXK=0      U is released before a ticket is taken
 * MUTANT_TIMEOUT_BLIND: -DNW=2 -DNN=1 -DMAXK=0      a wait that timed out does not look whether it was notified
 * MUTANT_NO_LOOK: -DNW=2 -DNN=1 -DMAXK=0            notify counts a ticket that was given up meanwhile
 */
#ifndef NW
#define NW 2
#endif
#ifndef NN
#define NN 2
#endif
#ifndef MAXK
#define MAXK 1
#endif
#define NP (NW + NN)

byte id[NW];      /* the tickets; each waiter has one at most */
bit told[NW];
byte u = 0;       /* owner of U, 0: free */
bit dead[NP + 1]; /* what slots tell */
bit asleep[NP + 1], gone[NP + 1];
byte items = 0, kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die

#define IS_FREE(x) (id[x] == 0)
#define WAITS(x) (id[x] != 0 && !told[x])
#define DEAD(x) (id[x] != 0 && dead[id[x]])
#if NW == 2
#define ANY(P) (P(0) || P(1))
#define PICK(P, j) if :: P(0) -> j = 0 :: P(1) -> j = 1 :: else -> j = 255 fi
#else
#define ANY(P) (P(0) || P(1) || P(2))
#define PICK(P, j) if :: P(0) -> j = 0 :: P(1) -> j = 1 :: P(2) -> j = 2 :: else -> j = 255 fi
#endif

inline lock_u() { atomic { if :: KILL :: (u == 0 || dead[u]) -> died = (u != 0); u = me fi } }
inline unlock_u() { atomic { if :: KILL :: true -> u = 0 fi } }

/*
 * U is held.  Up to n.  put: so many items come with the first step, so that who dies before has
 * put nothing.
 */
inline notify(n)
{
        do
        ::      atomic {
                        if :: n == 0 -> break :: else fi;
                        if
                        :: KILL
                        :: true -> PICK(WAITS, j); if :: j == 255 -> items = items + put; put = 0; n = 0; break :: else fi
                        fi
                };
                atomic {
                        if
                        :: KILL
                        :: true ->
                                items = items + put; put = 0;
                                told[j] = 1;
                                if
                                :: id[j] != 0 && asleep[id[j]] -> asleep[id[j]] = 0; n--; j = 255
                                :: else
                                fi
                        fi
                };
                if
                :: j == 255
                :: else ->
                        atomic {
                                if
                                :: KILL
#ifdef MUTANT_NO_LOOK
                                :: id[j] == 0 -> n--
#else
                                :: id[j] == 0 -> skip
#endif
                                :: id[j] != 0 && !dead[id[j]] -> n--
                                :: id[j] != 0 && dead[id[j]] -> id[j] = 0; told[j] = 0
                                fi;
                                j = 255
                        }
                fi
        od
}

proctype waiter(byte me)
{
        byte i = 255, j = 255, v = 0, n = 0, put = 0;
        bit died = 0, out = 0, mine = 0;

        lock_u();
        if :: died -> n = NW; died = 0; notify(n) :: else fi;
        atomic { if :: KILL :: items > 0 -> items--; goto leave :: items == 0 fi };
        do
        ::
#ifdef MUTANT_RELEASE_FIRST
                unlock_u();
#endif
                atomic { if :: KILL :: true -> PICK(IS_FREE, i); if :: i == 255 -> PICK(DEAD, i) :: else fi;
                         assert(i != 255);
                         told[i] = (id[i] != 0 && told[i]); id[i] = me fi }; /* of the dead: what it was told is ours */
#ifndef MUTANT_RELEASE_FIRST
                unlock_u();
#endif
                do
                :: atomic { if :: KILL :: told[i] -> break :: !told[i] -> asleep[me] = 1 fi };
                   atomic {
                        if
                        :: kills < MAXK -> kills++; asleep[me] = 0; goto die
                        :: !asleep[me] -> skip
#ifndef MUTANT_NO_INHERIT
                        :: asleep[me] && ANY(DEAD) -> asleep[me] = 0; PICK(DEAD, j); v = id[j]; mine = told[j]
#endif
#ifndef MUTANT_NO_ALARM
                        :: asleep[me] && u != 0 && dead[u] -> asleep[me] = 0; told[i] = 1
#endif
                        :: asleep[me] && me == 1 -> asleep[me] = 0; out = 1
                        fi
                   };
                   if
                   :: out ->
#ifdef MUTANT_TIMEOUT_BLIND
                        atomic { if :: KILL :: true -> id[i] = 0; told[i] = 0; i = 255 fi };
#else
                        atomic { if :: KILL :: !told[i] -> id[i] = 0; i = 255 :: told[i] -> out = 0 fi };
#endif
                        break
                   :: !out && j != 255 && mine ->
#ifdef MUTANT_FREE_BEFORE_MARK
                        atomic { if :: KILL :: true -> if :: id[j] == v && told[j] -> id[j] = 0; told[j] = 0 :: else fi fi };
                        atomic { if :: KILL :: true -> told[i] = 1; j = 255 fi };
#else
                        atomic { if :: KILL :: !told[i] -> told[i] = 1 :: told[i] -> j = 255 fi };
                        if
                        :: j != 255 -> atomic { if :: KILL :: true ->
                                if :: id[j] == v && told[j] -> id[j] = 0; told[j] = 0 :: else fi; j = 255 fi }
                        :: else
                        fi;
#endif
                        break
                   :: !out && j != 255 && !mine ->
                        atomic { if :: KILL :: true -> if :: id[j] == v && !told[j] -> id[j] = 0 :: else fi; j = 255 fi }
                   :: else
                   fi
                od;
#ifdef MUTANT_FREE_EARLY
                atomic { if :: KILL :: i != 255 -> id[i] = 0; told[i] = 0; i = 255 :: i == 255 fi };
#endif
                lock_u();
                atomic { /* give, and wait returns; what the caller does with U held is his */
                        if
                        :: KILL
                        :: true ->
                                if :: i != 255 -> id[i] = 0; told[i] = 0; i = 255 :: else fi;
                                if :: died -> n = NW :: else fi;
                                if
                                :: out -> v = 1
                                :: !out && items > 0 -> items--; v = 1
                                :: !out && items == 0 -> v = 0
                                fi
                        fi
                };
                if :: n > 0 -> died = 0; notify(n) :: else fi;
                if :: v == 1 -> break :: else fi
        od;
leave:  unlock_u();
        atomic { gone[me] = 1; i = 255; out = 0; j = 255; v = 0; mine = 0; goto end };
die:
        atomic { dead[me] = 1; gone[me] = 1; i = 255; j = 255; v = 0; n = 0; died = 0; out = 0; mine = 0; put = 0 };
end:    skip
}

proctype notifier(byte me)
{
        byte j = 255, n = 1, put = 1;
        bit died = 0;

        lock_u();
#ifdef ALL
        if :: me == NW + 1 -> n = NW; put = 2 :: else fi;
#endif
        if :: died -> n = NW; died = 0 :: else fi;
        notify(n);
        unlock_u();
        atomic { gone[me] = 1; n = 0; put = 0; goto end };
die:
        atomic { dead[me] = 1; gone[me] = 1; j = 255; n = 0; put = 0; died = 0 };
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
