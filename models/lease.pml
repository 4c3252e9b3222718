/* SPDX-License-Identifier: MIT */
/*
 * lease.pml - messages on a lease, and tasks: src/channel/ledger.c, lease.c, and the look of joinable_queue.c.
 *
 * An entry's word is state | owner | deliveries | serial: here st, own, gen, which change in one step.
 *
 *   get, head.lock held   (told of a death: recover)  attention: clear it, oldest RETURNED -> mine, attention again
 *                         find_returned, take_returned; else a message in the queue: keep_copy; PREPARED for its
 *                         number; head.n + 1 (the commit); LEASED          take_fresh, mproc__ledger_prepare, _confirm
 *                         else bury; else look at attention, sleep on tail.n; in slices if leases are out      take, doze
 *   keep_copy             at = 0; len; at = tape; tape + len: the order in which who dies harms no other's copy
 *   recover               PREPARED: its number is head.n: FREE, else LEASED; FREE with a place: give it back; attention
 *   bury                  LEASED of the dead: CAS -> RETURNED; found some, or a RETURNED one: attention
 *   ack                   CAS LEASED -> SETTLED; give the place back; FREE                   mproc__ledger_settle
 *   return                CAS LEASED -> RETURNED; attention; wake the leader, again and again for a while   call_leader
 *   join's look           head.n, tail.n; the entries, one after another; both again        count_tasks
 *
 * What is proved.  No message is in two living processes' hands, none is done twice; a copy that is needed
 * is not given back.  At the end of everything, if a consumer lives, all that was put is done and nobody sleeps
 * beside something that was given back, by a living one or a dead one.  A join that finds all finished
 * is right (JOIN).
 *
 * Abstract: head.lock (robust.pml): one step, handed on when its owner dies, the next is told.  The
 * queue's own waking (queue.pml): who sleeps on tail.n wakes up when it moves.  That an entry with its 16-bit serial
 * is changed 65536 times between two steps of somebody.  Slices that find nothing are no steps.  call_leader
 * may give up at any time.  With all entries in use a get fails and is tried again after a look for the dead.
 *
 * C consumers, who do or give back (RETURNS in all) what they get, for ever; M messages, which a putter puts; E entries;
 * message 2 is twice as long as the others.  BURIER: a poller looks for the dead without a lock.  Up to MAXK kills.
 *
 * RUN: -DC=2 -DM=2 -DE=2 -DMAXK=1 -DRETURNS=1
 * RUN: -DC=2 -DM=3 -DE=2 -DMAXK=2 -DRETURNS=1
 * RUN: -DC=3 -DM=2 -DE=2 -DMAXK=1
 * RUN: -DC=3 -DM=1 -DE=1 -DMAXK=2 -DRETURNS=1
 * RUN: -DC=2 -DM=1 -DE=1 -DMAXK=1 -DRETURNS=1 -DBURIER
 * RUN: -DC=2 -DM=2 -DE=2 -DMAXK=1 -DJOIN
 * BIG: -DC=3 -DM=2 -DE=2 -DMAXK=2
 * BIG: -DC=3 -DM=2 -DE=2 -DMAXK=1 -DRETURNS=1
 * MUTANT_LEN_FIRST: -DC=2 -DM=3 -DE=2 -DMAXK=1 -DRETURNS=1  keep_copy leaves the old place while it writes the new length
 * MUTANT_COUNT_FIRST: -DC=2 -DM=1 -DE=1 -DMAXK=1            the message is counted before the entry is PREPARED
 * MUTANT_LEASED_FIRST: -DC=2 -DM=1 -DE=1 -DMAXK=1           the entry is LEASED before the message is counted
 * MUTANT_NO_RECOVERY: -DC=2 -DM=1 -DE=1 -DMAXK=1            the next owner of head.lock does not look
 * MUTANT_NO_SLICE: -DC=2 -DM=1 -DE=1 -DMAXK=1               the leader sleeps without a limit while leases are out
 * MUTANT_BURY_UNASKED: -DC=2 -DM=1 -DE=1 -DMAXK=1 -DRETURNS=1   RETURNED is not looked for by bury
 * MUTANT_FREE_FIRST: -DC=2 -DM=2 -DE=1 -DMAXK=0             ack frees the entry before it gives the place back
 * MUTANT_JOIN_ONCE: -DC=2 -DM=2 -DE=2 -DMAXK=0 -DJOIN       join does not read the counters again
 */
#ifndef C
#define C 2
#endif
#ifndef M
#define M 2
#endif
#ifndef E
#define E 2
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef RETURNS
#define RETURNS 0
#endif
#define NONE 15

#define FREE 0
#define PREPARED 1
#define LEASED 2
#define RETURNED 3
#define SETTLED 4

byte hl = 0;          /* owner of head.lock */
bit hl_died = 0;
byte hn = 0, tn = 0;
byte st[E], own[E], gen[E], num[E], at[E], ln[E];
byte tape = 1;
bit attention = 0;
bit asleep = 0;       /* the leader, on tail.n */
byte left = RETURNS;

byte hand[M];         /* in truth: who has it; 0: nobody */
bit done[M];
bit dead[C + 3];
byte kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die
#define STEP :: KILL :: true
#define SIZE(m) (m == 2 -> 2 : 1)
#define NEEDED(i) (st[i] == LEASED || st[i] == RETURNED || (st[i] == PREPARED && num[i] != hn))
#define HIT(i, a, l) (NEEDED(i) && at[i] < (a) + (l) && (a) < at[i] + ln[i])
#define LOST(i) (st[i] == RETURNED || (st[i] == LEASED && dead[own[i]]))
#if E == 1
#define ANY(P) P(0)
#define ANY_HIT(a, l) HIT(0, a, l)
#else
#define ANY(P) (P(0) || P(1))
#define ANY_HIT(a, l) (HIT(0, a, l) || HIT(1, a, l))
#endif
#define IN_USE(i) (st[i] != FREE && st[i] != SETTLED)

inline release(a, l) { assert(!ANY_HIT(a, l)) }

/* mproc__ledger_bury; out: some lease is out */
inline bury()
{
        found = 0; out = 0; i = 0;
        do
        :: i < E -> atomic { if STEP ->
                        if
#ifndef MUTANT_BURY_UNASKED
                        :: st[i] == RETURNED -> found = 1
#endif
                        :: st[i] == LEASED && dead[own[i]] -> hand[num[i]] = 0; st[i] = RETURNED; own[i] = 0; found = 1
                        :: st[i] == LEASED && !dead[own[i]] -> out = 1
                        :: else
                        fi; i++ fi }
        :: else -> i = 0; break
        od;
        if :: found -> atomic { if STEP -> attention = 1 fi } :: else fi
}

proctype consumer(byte me)
{
        byte i = 0, e = NONE, g = 0;
        bit out = 0, found = 0;

begin:  atomic { if :: KILL :: hl == 0 -> hl = me; found = hl_died; hl_died = 0 fi };
        if
#ifndef MUTANT_NO_RECOVERY
        :: found -> found = 0; /* mproc__ledger_recover */
                do
                :: i < E -> atomic { if STEP ->
                                if
                                :: st[i] == PREPARED && num[i] != hn -> st[i] = LEASED
                                :: st[i] == PREPARED && num[i] == hn -> st[i] = FREE; own[i] = 0
                                :: else
                                fi fi };
                        atomic { if STEP -> if :: st[i] == FREE && at[i] != 0 -> release(at[i], ln[i]); at[i] = 0 :: else fi; i++ fi }
                :: else -> i = 0; break
                od;
                atomic { if STEP -> attention = 1 fi }
#endif
        :: else -> found = 0
        fi;

again:  /* find_returned */
        atomic { if STEP -> if :: attention -> skip :: else -> goto fresh fi fi };
        atomic { if STEP -> attention = 0 fi };
        do
        :: i < E -> atomic { if STEP -> if :: st[i] == RETURNED && (e == NONE || num[i] < num[e]) -> e = i :: else fi; i++ fi }
        :: else -> i = 0; break
        od;
        if
        :: e != NONE ->
                atomic { if STEP -> attention = 1 fi };
                atomic { if STEP -> assert(st[e] == RETURNED && hand[num[e]] == 0 && !done[num[e]]);
                        st[e] = LEASED; own[e] = me; gen[e]++; hand[num[e]] = me; goto got fi }
        :: else
        fi;

fresh:  atomic { if STEP -> if :: tn != hn -> skip :: else -> goto nothing fi fi };
        atomic { if STEP -> /* find_free */
                if
                :: st[0] == FREE -> e = 0
#if E > 1
                :: st[0] != FREE && st[1] == FREE -> e = 1
#endif
                :: else -> e = NONE
                fi fi };
        if
        :: e == NONE -> /* of the dead who were done; if there is none, the get fails, and is tried again */
                do
                :: i < E -> atomic { if STEP -> if :: st[i] == SETTLED && dead[own[i]] -> release(at[i], ln[i]); st[i] = FREE; own[i] = 0 :: else fi; i++ fi }
                :: else -> i = 0; break
                od;
                bury();
                atomic { if STEP -> hl = 0 fi };
                atomic { (ANY(LOST) || attention || !ANY(IN_USE) || st[0] == FREE
#if E > 1
                        || st[1] == FREE
#endif
                        ) -> goto begin }
        :: else
        fi;
        /* keep_copy */
#ifndef MUTANT_LEN_FIRST
        atomic { if STEP -> at[e] = 0 fi };
#endif
        atomic { if STEP -> ln[e] = SIZE(hn) fi };
        atomic { if STEP -> at[e] = tape fi };
        atomic { if STEP -> tape = tape + ln[e] fi };
#ifdef MUTANT_COUNT_FIRST
        atomic { if STEP -> hn++ fi };
        atomic { if STEP -> num[e] = hn - 1; st[e] = PREPARED; own[e] = me; gen[e]++ fi };
#elif defined MUTANT_LEASED_FIRST
        atomic { if STEP -> num[e] = hn; st[e] = LEASED; own[e] = me; gen[e]++ fi };
        atomic { if STEP -> assert(hand[hn] == 0 && !done[hn]); hand[hn] = me; hn++ fi };
#else
        atomic { if STEP -> num[e] = hn; st[e] = PREPARED; own[e] = me; gen[e]++ fi };
        atomic { if STEP -> assert(hand[hn] == 0 && !done[hn]); hand[hn] = me; hn++ fi };
#endif
        atomic { if STEP -> st[e] = LEASED fi };
        goto got;

nothing:
        bury();
        if :: found -> found = 0; goto again :: else fi;
        atomic { if STEP -> if :: attention -> goto again :: else fi fi }; /* is_called */
        atomic { if STEP -> asleep = 1 fi };
        atomic {
                if
                :: kills < MAXK -> asleep = 0; kills++; goto die
                :: tn != hn || !asleep -> asleep = 0
#ifndef MUTANT_NO_SLICE
                :: tn == hn && asleep && out && (ANY(LOST) || attention) -> asleep = 0
#endif
                fi;
                out = 0
        };
        goto again;

got:    atomic { g = gen[e]; out = 0; found = 0 };
        atomic { if STEP -> hl = 0 fi };
        if
        :: atomic { left > 0 -> left-- };
                atomic { if STEP -> assert(st[e] == LEASED && own[e] == me && gen[e] == g); hand[num[e]] = 0; st[e] = RETURNED; own[e] = 0; e = NONE; g = 0 fi };
                atomic { if STEP -> attention = 1 fi };
                atomic { if STEP -> if :: asleep -> asleep = 0 :: else fi fi } /* call_leader: wakes him, or gives up */
        :: true ->
                atomic { if STEP -> assert(st[e] == LEASED && own[e] == me && gen[e] == g && hand[num[e]] == me && !done[num[e]]);
                        done[num[e]] = 1; hand[num[e]] = 0;
#ifdef MUTANT_FREE_FIRST
                        st[e] = FREE; own[e] = 0 fi };
                atomic { if STEP -> release(at[e], ln[e]); e = NONE; g = 0 fi }
#else
                        st[e] = SETTLED fi };
                atomic { if STEP -> release(at[e], ln[e]) fi };
                atomic { if STEP -> assert(st[e] == SETTLED); st[e] = FREE; own[e] = 0; e = NONE; g = 0 fi }
#endif
        fi;
        goto begin;

die:    atomic { dead[me] = 1; if :: hl == me -> hl = 0; hl_died = 1 :: else fi; i = 0; e = NONE; g = 0; out = 0; found = 0 }
}

proctype putter() { do :: atomic { tn < M -> tn++ } :: atomic { tn == M -> break } od }

#ifdef BURIER
proctype poller()
{
        byte i = 0;
        bit out = 0, found = 0;

        bury();
die:    skip
}
#endif

#ifdef JOIN
proctype joiner()
{
        byte h, t, i = 0, m = 0;
        bit unfinished = 0;

        t = 0; h = 0;
        h = hn;
        t = tn;
        if :: t != h -> goto end :: else fi;
        do
        :: i < E -> atomic { if :: IN_USE(i) && !(st[i] == PREPARED && num[i] == h) -> unfinished = 1 :: else fi; i++ }
        :: else -> break
        od;
        if :: unfinished -> goto end :: else fi;
        atomic {
#ifndef MUTANT_JOIN_ONCE
                if :: tn != t || hn != h -> goto end :: else fi;
#endif
                do :: m < tn -> assert(done[m]); m++ :: else -> break od
        };
end:    skip
}
#endif

init {
        byte p = 1;

        atomic {
                do :: p <= C -> run consumer(p); p++ :: else -> break od;
                run putter();
#ifdef BURIER
                run poller();
#endif
#ifdef JOIN
                run joiner();
#endif
                p = 0
        };
        timeout -> atomic {
                do
                :: p < M -> assert(done[p] || (dead[1] && dead[2]
#if C > 2
                                && dead[3]
#endif
                                )); p++
                :: else -> break
                od
        }
}
