/* SPDX-License-Identifier: MIT */
/*
 * poll.pml - polling for messages: the bell (src/channel/queue_poll.c, ring_bell in queue_put.c), and how pollers
 * learn of the end (src/channel/queue_ending.c).
 *
 * The bell is an eventfd.  A poller that finds nothing silences it, leaves the ticket
 * `rung`, looks who is inside and looks again, then sleeps until the bell rings or his slice is over.
 * A putter who finds his number in `rung` rings, once before he counts and once after he has given
 * the lock back.  Messages are everybody's: who finds one takes it (h counts those).
 *
 * What is proved.  With one poller: he does not sleep beside a message; where nobody was inside when he left
 * his ticket, no slice is needed, whoever dies.  With two pollers (-DPOLLERS=2) of which one may silence
 * the bell and die before he looks, the 100 ms slice is needed (-DSLICES): MUTANT_NO_LONG_SLICE shows it.
 * A slice that finds nothing is no step of the model, so none hides a poller who is stuck.
 *
 * With -DARM the poller is a loop that is not ours, without slices (mproc__queue_arm): whoever dies, he does not sleep
 * beside a message, because the bell goes on ringing while somebody is inside.  He asks who is inside first and looks for a
 * message then; waiting for the one inside is given up at any time.  Of two such pollers neither sleeps beside a message as long as
 * none dies between silence and look (-DPOLLERS_LIVE: only others die).
 *
 * With -DEDGES he waits for edges: each ring is one for each poller, but the system looks at the bell again before it
 * tells of it, and forgets it if the bell is silent.  With -DWAITER poller 0 is a call of mproc_wait that ends
 * when there is something, and takes nothing.  With -DTAKER somebody who does not poll takes one message.  With -DEND somebody shuts the queue down, and may die at it: nobody
 * sleeps on beside the end either.  A get that does not wait may find another one inside, and then not see the end.
 *
 * Abstract: the lock (robust.pml).  The ticket holds the count plus one.  Getting a message is one step:
 * who takes which is queue.pml's part.  Memory order is not covered; rung and the owner
 * are sequentially consistent in the code.
 *
 * NP putters of MSG messages each, POLLERS, up to MAXK kills.
 *
 * RUN: -DNP=2 -DMSG=2 -DMAXK=0 -DNO_SHORT_SLICE
 * RUN: -DNP=2 -DMSG=1 -DMAXK=2
 * RUN: -DNP=2 -DMSG=2 -DMAXK=2 -DARM
 * RUN: -DNP=1 -DMSG=2 -DMAXK=1 -DARM -DPOLLERS=2 -DPOLLERS_LIVE -DEDGES
 * RUN: -DNP=1 -DMSG=1 -DMAXK=1 -DARM -DPOLLERS=2 -DPOLLERS_LIVE -DEDGES -DEND
 * RUN: -DNP=1 -DMSG=2 -DMAXK=1 -DARM -DPOLLERS=2 -DPOLLERS_LIVE -DWAITER
 * RUN: -DNP=1 -DMSG=2 -DMAXK=2 -DARM -DTAKER
 * RUN: -DNP=1 -DMSG=1 -DMAXK=2 -DARM -DEND
 * BIG: -DNP=2 -DMSG=2 -DMAXK=2
 * BIG: -DNP=3 -DMSG=1 -DMAXK=2 -DARM
 * BIG: -DNP=2 -DMSG=1 -DMAXK=1 -DPOLLERS=2 -DSLICES
 * BIG: -DNP=2 -DMSG=1 -DMAXK=1 -DARM -DPOLLERS=2 -DPOLLERS_LIVE -DEDGES
 * BIG: -DNP=1 -DMSG=2 -DMAXK=1 -DARM -DPOLLERS=2 -DPOLLERS_LIVE -DEDGES -DWAITER
 * MUTANT_NO_FIRST_RING: -DNP=2 -DMSG=1 -DMAXK=1       not before the count
 * MUTANT_NO_SECOND_RING: -DNP=1 -DMSG=1 -DMAXK=0 -DNO_SHORT_SLICE     not after the lock was given back
 * MUTANT_LATE_SILENCE: -DNP=1 -DMSG=1 -DMAXK=0 -DNO_SHORT_SLICE       silences the bell after the second look
 * MUTANT_NO_SECOND_LOOK: -DNP=1 -DMSG=1 -DMAXK=0 -DNO_SHORT_SLICE     sleeps without looking again
 * MUTANT_NO_SHORT_SLICE: -DNP=2 -DMSG=1 -DMAXK=1 -DNO_SHORT_SLICE     as if nobody was inside
 * MUTANT_NO_LONG_SLICE: -DNP=2 -DMSG=1 -DMAXK=1 -DPOLLERS=2           two pollers without the long slice
 * MUTANT_ARM_LOOKS_FIRST: -DNP=1 -DMSG=1 -DMAXK=1 -DARM       looks for a message first and asks who is inside then
 * MUTANT_ARM_IN_SILENCE: -DNP=1 -DMSG=1 -DMAXK=1 -DARM        does not ring when somebody is inside
 * MUTANT_STALE_TICKET: -DNP=1 -DMSG=2 -DMAXK=0 -DARM -DPOLLERS=2         a ticket is left whatever there was meanwhile
 * MUTANT_TICKET_UNSEEN: -DNP=1 -DMSG=2 -DMAXK=0 -DARM -DTAKER       does not look whether the number is still good
 * MUTANT_WAITER_IN_SILENCE: -DNP=1 -DMSG=1 -DMAXK=0 -DARM -DPOLLERS=2 -DWAITER    goes off without a ring
 * MUTANT_END_IN_SILENCE: -DNP=1 -DMSG=1 -DMAXK=0 -DARM -DPOLLERS=2 -DEDGES -DEND  finds the end, and does not ring
 * MUTANT_END_UNSAID: -DNP=1 -DMSG=1 -DMAXK=1 -DARM -DEND      does not say that he is about to end the queue
 */
#ifndef NP
#define NP 2
#endif
#ifndef MSG
#define MSG 1
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef POLLERS
#define POLLERS 1
#endif

byte owner = 0, n = 0, h = 0, rung = 0;
bit bell = 0, edge[POLLERS];
bit ended = 0, ending = 0, ender_dead = 0;
bit gone[POLLERS]; /* dead, or has what he wanted */
byte kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die
#ifdef POLLERS_LIVE
#define KILL_POLLER false -> goto die
#else
#define KILL_POLLER KILL
#endif

inline set_bell()
{
        bell = 1;
#ifdef EDGES
        edge[0] = 1;
        edge[POLLERS - 1] = 1
#endif
}

inline ring() /* ring_bell: the look, then the call */
{
        atomic { if :: KILL :: true -> e = (rung == i + 1) fi };
        if
        :: atomic { e -> if :: KILL :: true -> set_bell(); e = 0 fi }
        :: atomic { !e -> skip }
        fi
}

proctype putter(byte me)
{
        byte k = 0, i = 0;
        bit e = 0;

again:  atomic { if :: KILL :: owner == 0 && !ended -> owner = me; i = n :: ended -> goto done fi };
#ifndef MUTANT_NO_FIRST_RING
        ring();
#endif
        atomic { if :: KILL :: true -> n = i + 1 fi };
        atomic { if :: KILL :: true -> owner = 0 fi };
#ifndef MUTANT_NO_SECOND_RING
        ring();
#endif
        atomic { k++; if :: k < MSG -> goto again :: else -> goto done fi };
die:    atomic { if :: owner == me -> owner = 0 :: else fi };
done:   atomic { k = 0; i = 0; e = 0 }
}

/* A get that does not poll takes one away: then a ticket may be void although nothing is there. */
proctype taker()
{
        n != h -> h++
}

proctype ender() /* mproc_queue_shutdown */
{
#ifndef MUTANT_END_UNSAID
        atomic { if :: KILL :: true -> ending = 1 fi };
#endif
        atomic { if :: KILL :: true -> set_bell() fi };
        atomic { if :: KILL :: true -> ended = 1 fi };
        atomic { if :: KILL :: true -> set_bell() fi };
        atomic { if :: KILL :: true -> ending = 0; goto done fi };
die:    ender_dead = 1;
done:   skip
}

#define SOMETHING (n != h || ended)
#define INSIDE    (owner != 0 || (ending && !ender_dead))

inline leave_ticket()
{
        do
        :: atomic { if :: KILL_POLLER :: true -> last = rung fi };
           atomic { if :: KILL_POLLER :: true -> i = n fi };
#ifdef MUTANT_STALE_TICKET
           atomic { if :: KILL_POLLER :: true -> rung = i + 1 fi };
           break
#else
           atomic { if :: KILL_POLLER :: rung == last -> rung = i + 1; o = 0 :: rung != last -> o = 1 fi };
#ifndef MUTANT_TICKET_UNSEEN
           atomic { if :: KILL_POLLER :: o == 0 && n == i -> break :: o != 0 || n != i -> skip fi }
#else
           atomic { if :: o == 0 -> break :: else fi }
#endif
#endif
        od;
        atomic { i = 0; last = 0; o = 0 }
}

proctype poller(byte p)
{
        byte o = 0, i = 0, last = 0;

look:   atomic { /* get, which does not wait; in mproc_wait a look */
                if
                :: KILL_POLLER
#ifdef WAITER
                :: p == 0 && n != h -> goto away
                :: p != 0 && n != h -> h++; goto look
#else
                :: n != h -> h++; goto look
#endif
                :: n == h && !ended -> skip
#ifdef END
                :: n == h && ended && owner == 0 -> goto away
                :: n == h && ended && (owner != 0 || POLLERS > 1) -> skip
#endif
                fi
        };
#ifdef ARM
#ifndef MUTANT_END_IN_SILENCE
        atomic { if :: KILL_POLLER :: ended -> set_bell(); goto asleep :: !ended -> skip fi };
#else
        atomic { if :: KILL_POLLER :: ended -> goto asleep :: !ended -> skip fi };
#endif
#endif
#ifndef MUTANT_LATE_SILENCE
        atomic { if :: KILL_POLLER :: true -> bell = 0 fi };    /* mproc__bell_silence */
#endif
        leave_ticket();
#ifdef ARM
#ifdef WAITER
        if
        :: atomic { p == 0 -> goto second }
        :: atomic { p != 0 -> skip }
        fi;
#endif
        /* While somebody is inside and there is nothing, for a little; then ask, look, ring. */
        atomic { if :: KILL_POLLER :: !INSIDE || SOMETHING -> skip :: true -> skip fi };
#ifdef MUTANT_ARM_LOOKS_FIRST
        atomic { if :: KILL_POLLER :: SOMETHING -> set_bell() :: !SOMETHING -> skip fi };
        atomic { if :: KILL_POLLER :: INSIDE -> set_bell() :: !INSIDE -> skip fi };
#else
        atomic { if :: KILL_POLLER :: true -> o = INSIDE fi };
        atomic { if :: KILL_POLLER :: SOMETHING -> o = 1 :: !SOMETHING -> skip fi };
#ifdef MUTANT_ARM_IN_SILENCE
        o = 0;
#endif
        if
        :: o != 0 -> atomic { if :: KILL_POLLER :: true -> set_bell(); o = 0 fi }
        :: else
        fi;
#endif
asleep: /* epoll_wait */
#ifdef EDGES
        atomic { if :: KILL_POLLER :: edge[p] -> edge[p] = 0; if :: bell -> goto look :: !bell -> goto asleep fi fi };
#else
        atomic { if :: KILL_POLLER :: bell -> goto look fi };
#endif
#endif
#if !defined(ARM) || defined(WAITER)
second: atomic { if :: KILL_POLLER :: true -> o = owner fi };   /* mproc__robust_owner */
#ifndef MUTANT_NO_SECOND_LOOK
#ifdef WAITER
        atomic {
                if
                :: KILL_POLLER
                :: n != h -> o = 0; goto away
                :: n == h -> skip
                fi
        };
#else
        atomic { if :: KILL_POLLER :: n != h -> o = 0; goto look :: n == h -> skip fi };
#endif
#endif
#ifdef MUTANT_LATE_SILENCE
        atomic { if :: KILL_POLLER :: true -> bell = 0 fi };
#endif
        atomic { /* poll */
                if
                :: KILL_POLLER
                :: bell -> o = 0
#ifndef NO_SHORT_SLICE
                :: o != 0 && (owner != o || n != h) -> o = 0
#endif
#ifdef SLICES
                :: n != h -> o = 0
#endif
                fi
        };
        goto look;
#endif
away:
#if defined(WAITER) && !defined(MUTANT_WAITER_IN_SILENCE)
        atomic { if :: KILL_POLLER :: true -> o = INSIDE fi };  /* mproc__queue_wait_end */
        atomic { if :: KILL_POLLER :: SOMETHING -> o = 1 :: !SOMETHING -> skip fi };
        atomic { if :: KILL_POLLER :: o -> set_bell(); o = 0 :: !o -> skip fi };
#endif
        skip;
die:    gone[p] = 1
}

init {
        byte p;

        atomic {
                for (p : 1 .. NP) { run putter(p) };
                for (p : 0 .. (POLLERS - 1)) { run poller(p) };
#ifdef END
                run ender();
#endif
#ifdef TAKER
                run taker();
#endif
        };
        timeout -> for (p : 0 .. (POLLERS - 1)) { assert(gone[p] || (n == h && !ended)) }
}
