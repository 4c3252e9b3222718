/* SPDX-License-Identifier: MIT */
/*
 * queue.pml - put, get and sleep (src/sync/counter.*, src/channel/queue_put.c, queue_get.c).
 *
 * Two ends, T and H, with a lock, a counter n and a ticket `armed` each.  Each step is one access of the
 * code to shared memory, or one system call; a death is possible before every one of them.
 *
 * What is proved.  What is taken is whole and is what was committed under that number; so a message
 * is delivered once, in the order of commits, and half-written ones never.  At the end of
 * everything no living consumer waits beside a message, no living producer beside room, and not both
 * wait.  Slices: only those that the code takes, where somebody was in the other end's lock when
 * the ticket was left; -DMAXK=0 -DNO_SLICES: without deaths none is needed.
 *
 * Abstract: the locks (robust.pml): one step, handed on at once when the owner dies.  `armed` holds the
 * count plus one here, 0 being void.  The hint of the head's position is left out (a hint that is behind
 * makes the code look), and so are rings (growth.pml).
 *
 * With TIMED, consumer 1 gives up at any time while it sleeps.  Not covered: memory order.  armed, the
 * owner and the lock are sequentially consistent in the code, the counters release and acquire.
 *
 * NP producers of MSG messages each, NC consumers, room for CAP, up to MAXK kills.
 *
 * RUN: -DNP=2 -DNC=2 -DMSG=1 -DMAXK=1
 * RUN: -DNP=2 -DNC=2 -DMSG=1 -DMAXK=0 -DNO_SLICES
 * RUN: -DNP=2 -DNC=1 -DMSG=1 -DMAXK=2 -DTIMED
 * RUN: -DNP=1 -DNC=2 -DMSG=2 -DMAXK=2
 * BIG: -DNP=2 -DNC=2 -DMSG=2 -DMAXK=0 -DNO_SLICES
 * BIG: -DNP=2 -DNC=2 -DMSG=1 -DMAXK=3
 * BIG: -DNP=2 -DNC=2 -DMSG=2 -DMAXK=2 -DCAP=2
 * BIG: -DNP=3 -DNC=1 -DMSG=1 -DMAXK=2
 * BIG: -DNP=1 -DNC=3 -DMSG=2 -DMAXK=2 -DTIMED
 * MUTANT_NO_LOOK_AGAIN: -DNP=2 -DNC=2 -DMAXK=0 -DNO_SLICES     no look at `armed` after the lock was given back
 * MUTANT_TWO_STEPS: -DNP=2 -DNC=2 -DMAXK=1         count, then wake
 * MUTANT_WAKE_FIRST: -DNP=2 -DNC=2 -DMAXK=0 -DNO_SLICES    wake, then count
 * MUTANT_COUNT_FIRST: -DNP=1 -DNC=1 -DMAXK=0       put counts before it has written
 * MUTANT_TAKE_FIRST: -DNP=1 -DNC=1 -DMSG=2 -DMAXK=0    get counts before it has read
 * MUTANT_NO_SLICE: -DNP=2 -DNC=2 -DMAXK=1 -DNO_SLICES  deaths, but no slices while somebody is inside
 * MUTANT_OWNER_FIRST: -DNP=2 -DNC=2 -DMAXK=1       looks who is inside before it leaves the ticket
 */
#ifndef NP
#define NP 2
#endif
#ifndef NC
#define NC 2
#endif
#ifndef MSG
#define MSG 1
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef MAXK
#define MAXK 1
#endif
#define T 0
#define H 1

byte owner[2], n[2], armed[2];
bit asleep[2];              /* the leader of the other end, on n */
byte low[CAP], high[CAP];   /* a message: two halves, each who wrote it */
byte truth[NP * MSG + 1];   /* who committed it */
byte producers = NP, consumers = NC, kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die

inline lock(x) { atomic { if :: KILL :: owner[x] == 0 -> owner[x] = me fi } }
inline unlock(x) { atomic { if :: KILL :: true -> owner[x] = 0 fi } }

/* mproc__counter_commit; truth is for the model alone */
#define RECORD(x, who) if :: x == T -> truth[n[T]] = who :: else fi
inline commit(x, who)
{
        atomic { if :: KILL :: true -> e = (armed[x] == n[x] + 1) fi };
#ifdef MUTANT_TWO_STEPS
        atomic { if :: KILL :: true -> RECORD(x, who); n[x]++ fi };
        atomic { if :: KILL :: true -> if :: e -> asleep[x] = 0 :: else fi fi }
#elif defined MUTANT_WAKE_FIRST
        atomic { if :: KILL :: true -> if :: e -> asleep[x] = 0 :: else fi fi };
        atomic { if :: KILL :: true -> RECORD(x, who); n[x]++ fi }
#else
        atomic { /* mproc__word_add_and_wake_one, or a plain store */
                if
                :: KILL
                :: true -> RECORD(x, who); n[x]++; if :: e -> asleep[x] = 0 :: else fi
                fi
        }
#endif
}

/* mproc__counter_look_again */
inline look_again(x, old)
{
#ifdef MUTANT_NO_LOOK_AGAIN
        e = 0
#else
        if
        :: atomic { e -> e = 0 }
        :: atomic { !e -> if :: KILL :: true -> e = (armed[x] == old + 1) fi };
           if
           :: atomic { e -> if :: KILL :: true -> asleep[x] = 0; e = 0 fi } /* mproc__word_wake */
           :: atomic { !e -> skip }
           fi
        fi
#endif
}

/* mproc__counter_sleep.  It begins again after each waking; `timed_out` is left to TIMED. */
inline counter_sleep(x, old)
{
        do
        ::
#ifdef MUTANT_OWNER_FIRST
           atomic { if :: KILL :: true -> o = owner[x] fi };
           atomic { if :: KILL :: true -> armed[x] = old + 1 fi };
#else
           atomic { if :: KILL :: true -> armed[x] = old + 1 fi };
           atomic { if :: KILL :: true -> o = owner[x] fi };
#endif
           atomic { /* mproc__word_wait */
                   if
                   :: KILL
                   :: n[x] == old -> asleep[x] = 1; s = 1
                   :: n[x] != old -> o = 0; break
                   fi
           };
           atomic {
                   if
                   :: KILL
                   :: !asleep[x] -> s = 0
#ifndef NO_SLICES
                   :: asleep[x] && o != 0 && (owner[x] != o || n[x] != old) -> asleep[x] = 0; s = 0
#endif
#ifdef TIMED
                   :: asleep[x] && me == NP + 1 -> asleep[x] = 0; s = 0; o = 0; goto give_up
#endif
                   fi
           };
           atomic { o = 0; if :: n[x] != old -> break :: else fi }
        od
}

proctype producer(byte me)
{
        byte k = 0, o = 0, i = 0;
        bit e = 0, s = 0;

again:  lock(T);
        i = n[T];
        do
        :: atomic { i - n[H] >= CAP -> skip }; counter_sleep(H, i - CAP)
        :: atomic { i - n[H] < CAP -> break }
        od;
#ifdef MUTANT_COUNT_FIRST
        commit(T, me + k * 16);
#endif
        atomic { if :: KILL :: true -> low[i % CAP] = me + k * 16 fi };
        atomic { if :: KILL :: true -> high[i % CAP] = me + k * 16 fi };
#ifndef MUTANT_COUNT_FIRST
        commit(T, me + k * 16);
#endif
        unlock(T);
        look_again(T, i);
        atomic { i = 0; k++; if :: k < MSG -> goto again :: else -> goto done fi };
give_up:
die:    atomic { if :: owner[T] == me -> owner[T] = 0 :: else fi; if :: s -> asleep[H] = 0 :: else fi };
done:   atomic { producers--; k = 0; o = 0; i = 0; e = 0; s = 0 }
}

proctype consumer(byte me)
{
        byte i = 0, o = 0, a = 0;
        bit e = 0, s = 0;

again:  lock(H);
        i = n[H];
        if
        :: atomic { n[T] == i -> skip }; counter_sleep(T, i)
        :: atomic { n[T] != i -> skip }
        fi;
#ifdef MUTANT_TAKE_FIRST
        commit(H, 0);
#endif
        atomic { if :: KILL :: true -> a = low[i % CAP] fi };
        atomic { if :: KILL :: true -> assert(a == truth[i] && high[i % CAP] == a); a = 0 fi };
#ifndef MUTANT_TAKE_FIRST
        commit(H, 0);
#endif
        unlock(H);
        look_again(H, i);
        i = 0;
        goto again;
give_up:
        atomic { if :: KILL :: true -> owner[H] = 0; goto done fi };
die:    atomic { if :: owner[H] == me -> owner[H] = 0 :: else fi; if :: s -> asleep[T] = 0 :: else fi };
done:   atomic { consumers--; i = 0; o = 0; a = 0; e = 0; s = 0 }
}

init {
        byte p;

        atomic {
                for (p : 1 .. NP) { run producer(p) };
                for (p : 1 .. NC) { run consumer(NP + p) }
        };
        timeout -> atomic {
                assert(!(consumers > 0 && n[T] != n[H]));
                assert(!(producers > 0 && n[T] - n[H] < CAP));
                assert(!(producers > 0 && consumers > 0))
        }
}
