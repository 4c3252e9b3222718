/* SPDX-License-Identifier: MIT */
/*
 * poll.pml - polling for messages: the bell (src/channel/queue_poll.c, ring_bell in queue_put.c).
 *
 * The bell is an eventfd, level-triggered.  A poller that finds nothing silences it, leaves the ticket
 * `rung`, looks who is inside and looks again, then sleeps until the bell rings or his slice is over.
 * A putter who finds his number in `rung` rings, once before he counts and once after he has given
 * the lock back.
 *
 * What is proved.  With one poller: he does not sleep beside a message; where nobody was inside when he left
 * his ticket, no slice is needed, whoever dies.  With two pollers (-DPOLLERS=2) of which one may silence
 * the bell, take nothing and die, the 100 ms slice is needed (-DSLICES): MUTANT_NO_LONG_SLICE shows it.
 * A slice that finds nothing is no step of the model, so none hides a poller who is stuck.
 *
 * With -DARM the poller is a loop that is not ours, without slices (mproc__queue_arm): whoever dies, he does not sleep
 * beside a message, because the bell goes on ringing while somebody is inside.  He asks who is inside first and looks for a
 * message then; waiting for the one inside is given up at any time.
 *
 * Abstract: the lock (robust.pml).  The ticket holds the count plus one.  Getting a message is looking
 * at the counter: who takes it is queue.pml's part.  Memory order is not covered; rung and the owner
 * are sequentially consistent in the code.
 *
 * NP putters of MSG messages each, POLLERS, up to MAXK kills.
 *
 * RUN: -DNP=2 -DMSG=2 -DMAXK=0 -DNO_SHORT_SLICE
 * RUN: -DNP=2 -DMSG=1 -DMAXK=2
 * RUN: -DNP=2 -DMSG=2 -DMAXK=2 -DARM
 * BIG: -DNP=2 -DMSG=2 -DMAXK=2
 * BIG: -DNP=3 -DMSG=2 -DMAXK=2 -DARM
 * BIG: -DNP=2 -DMSG=1 -DMAXK=1 -DPOLLERS=2 -DSLICES
 * BIG: -DNP=3 -DMSG=2 -DMAXK=2
 * BIG: -DNP=2 -DMSG=1 -DMAXK=2 -DPOLLERS=2 -DSLICES
 * MUTANT_NO_FIRST_RING: -DNP=2 -DMSG=1 -DMAXK=1       not before the count
 * MUTANT_NO_SECOND_RING: -DNP=1 -DMSG=1 -DMAXK=0 -DNO_SHORT_SLICE     not after the lock was given back
 * MUTANT_LATE_SILENCE: -DNP=1 -DMSG=1 -DMAXK=0 -DNO_SHORT_SLICE       silences the bell after the second look
 * MUTANT_NO_SECOND_LOOK: -DNP=1 -DMSG=1 -DMAXK=0 -DNO_SHORT_SLICE     sleeps without looking again
 * MUTANT_NO_SHORT_SLICE: -DNP=2 -DMSG=1 -DMAXK=1 -DNO_SHORT_SLICE     as if nobody was inside
 * MUTANT_NO_LONG_SLICE: -DNP=2 -DMSG=1 -DMAXK=1 -DPOLLERS=2           two pollers without the long slice
 * MUTANT_ARM_LOOKS_FIRST: -DNP=1 -DMSG=1 -DMAXK=1 -DARM       looks for a message first and asks who is inside then
 * MUTANT_ARM_IN_SILENCE: -DNP=1 -DMSG=1 -DMAXK=1 -DARM        does not ring when somebody is inside
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

byte owner = 0, n = 0, rung = 0;
bit bell = 0;
byte seen[POLLERS];
bit dead_poller[POLLERS];
byte kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die

inline ring() /* ring_bell: the look, then the call */
{
        atomic { if :: KILL :: true -> e = (rung == i + 1) fi };
        if
        :: atomic { e -> if :: KILL :: true -> bell = 1; e = 0 fi }
        :: atomic { !e -> skip }
        fi
}

proctype putter(byte me)
{
        byte k = 0, i = 0;
        bit e = 0;

again:  atomic { if :: KILL :: owner == 0 -> owner = me; i = n fi };
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

proctype poller(byte p)
{
        byte o = 0, i = 0;

look:   atomic { if :: KILL :: n != seen[p] -> seen[p] = n; goto look :: n == seen[p] -> skip fi };
#ifndef MUTANT_LATE_SILENCE
        atomic { if :: KILL :: true -> bell = 0 fi };           /* mproc__bell_silence */
#endif
        atomic { if :: KILL :: true -> i = n fi };
        atomic { if :: KILL :: true -> rung = i + 1; i = 0 fi };
#ifdef ARM
        /* While somebody is inside and there is nothing, for a little; then ask, look, ring. */
        atomic { if :: KILL :: owner == 0 || n != seen[p] -> skip :: true -> skip fi };
#ifdef MUTANT_ARM_LOOKS_FIRST
        atomic { if :: KILL :: n != seen[p] -> bell = 1 :: n == seen[p] -> skip fi };
        atomic { if :: KILL :: owner != 0 -> bell = 1 :: owner == 0 -> skip fi };
#else
        atomic { if :: KILL :: true -> o = owner fi };
        atomic { if :: KILL :: n != seen[p] -> o = 1 :: n == seen[p] -> skip fi };
#ifdef MUTANT_ARM_IN_SILENCE
        o = 0;
#endif
        if
        :: o != 0 -> atomic { if :: KILL :: true -> bell = 1; o = 0 fi }
        :: else
        fi;
#endif
        atomic { if :: KILL :: bell fi };                       /* epoll_wait */
        goto look;
#endif
        atomic { if :: KILL :: true -> o = owner fi };          /* mproc__robust_owner */
#ifndef MUTANT_NO_SECOND_LOOK
        atomic { if :: KILL :: n != seen[p] -> o = 0; goto look :: n == seen[p] -> skip fi };
#endif
#ifdef MUTANT_LATE_SILENCE
        atomic { if :: KILL :: true -> bell = 0 fi };
#endif
        atomic { /* poll */
                if
                :: KILL
                :: bell -> o = 0
#ifndef NO_SHORT_SLICE
                :: o != 0 && (owner != o || n != seen[p]) -> o = 0
#endif
#ifdef SLICES
                :: n != seen[p] -> o = 0
#endif
                fi
        };
        goto look;
die:    dead_poller[p] = 1
}

init {
        byte p;

        atomic {
                for (p : 1 .. NP) { run putter(p) };
                for (p : 0 .. (POLLERS - 1)) { run poller(p) }
        };
        timeout -> for (p : 0 .. (POLLERS - 1)) { assert(dead_poller[p] || n == seen[p]) }
}
