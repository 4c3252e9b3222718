/* SPDX-License-Identifier: MIT */
/*
 * growth.pml - rings: building, linking, stepping, giving back (settle_tail, recover_tail and grow in
 * src/channel/queue_put.c; settle_head, release_rings and recover_head in queue_get.c).
 *
 * The tape is places 0, 1, ...; a place holds one ring: whole (its head is written), first_n, last_n,
 * next (0: none; nothing links to place 0) and SLOTS messages.  Giving back makes it all zeros.
 *
 * What is proved.  Whoever opens the ring that tail.ring or head.ring names finds it whole.  What is read is
 * what was committed under that number.  Nobody is stuck.  All rings before head.released are given
 * back, and at the end nothing is left behind the last ring but what the next owner of tail.lock, who is told of
 * a death, gives back.
 *
 * Abstract: locks (robust.pml), sleeping (queue.pml).  Not here: bytes and their hints, rings for one
 * message, windows (which are looked up again at each use by the place that `ring` names), wrap-around.
 *
 * NP putters of MSG messages each, NC getters, SLOTS messages to a ring, up to MAXK kills.
 *
 * RUN: -DNP=2 -DNC=2 -DMSG=1 -DSLOTS=1 -DMAXK=2
 * RUN: -DNP=2 -DNC=1 -DMSG=2 -DSLOTS=1 -DMAXK=1
 * BIG: -DNP=2 -DNC=2 -DMSG=2 -DSLOTS=1 -DMAXK=2
 * BIG: -DNP=2 -DNC=2 -DMSG=2 -DSLOTS=2 -DMAXK=2
 * BIG: -DNP=3 -DNC=2 -DMSG=1 -DSLOTS=1 -DMAXK=3
 * MUTANT_LINK_FIRST: -DNP=1 -DNC=1 -DMSG=3 -DSLOTS=2 -DMAXK=0        next before last_n
 * MUTANT_NAME_FIRST: -DNP=2 -DNC=1 -DMSG=2 -DSLOTS=1 -DMAXK=1        tail.ring before next
 * MUTANT_LINK_UNBUILT: -DNP=2 -DNC=1 -DMSG=2 -DSLOTS=1 -DMAXK=1      next before the ring is whole
 * MUTANT_RELEASE_BLIND: -DNP=2 -DNC=1 -DMSG=2 -DSLOTS=1 -DMAXK=1     gives back what tail.ring still names
 * MUTANT_RELEASED_FIRST: -DNP=1 -DNC=2 -DMSG=3 -DSLOTS=1 -DMAXK=1    head.released before the pages
 * MUTANT_RECOVER_BLIND: -DNP=2 -DNC=1 -DMSG=2 -DSLOTS=1 -DMAXK=1     recovery does not follow the links first
 * MUTANT_STEP_EARLY: -DNP=1 -DNC=1 -DMSG=3 -DSLOTS=2 -DMAXK=0        the head steps when there is a next ring
 */
#ifndef NP
#define NP 2
#endif
#ifndef NC
#define NC 2
#endif
#ifndef MSG
#define MSG 2
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef MAXK
#define MAXK 1
#endif
#define PLACES (NP * MSG + 1)

typedef ring_t { bit whole; byte first, last, next, slot[SLOTS] };
ring_t tape[PLACES];
byte tl = 0, hl = 0;           /* the locks' owners */
bit t_died = 0, h_died = 0;
byte tn = 0, hn = 0;           /* tail.n, head.n */
byte t_ring = 0, h_ring = 0, released = 0;
byte truth[NP * MSG];
byte putters = NP, getters = NC, kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die

inline give_back(p) { tape[p].whole = 0; tape[p].first = 0; tape[p].last = 0; tape[p].next = 0; for (z : 0 .. (SLOTS - 1)) { tape[p].slot[z] = 0 }; z = 0 }

/* open_ring, and step along the links: r is the last ring */
inline settle_tail()
{
        atomic { if :: KILL :: true -> r = t_ring; assert(tape[r].whole) fi };
        do
        :: atomic { tape[r].next == 0 -> break }
        :: atomic { tape[r].next != 0 -> if :: KILL :: true -> r = tape[r].next; assert(tape[r].whole); t_ring = r fi }
        od
}

inline settle_head(i)
{
        atomic { if :: KILL :: true -> r = h_ring; assert(tape[r].whole) fi };
        do
#ifdef MUTANT_STEP_EARLY
        :: atomic { tape[r].next == 0 -> break }
        :: atomic { tape[r].next != 0 -> if :: KILL :: true -> r = tape[r].next; assert(tape[r].whole); h_ring = r fi }
#else
        :: atomic { if :: KILL :: tape[r].next == 0 -> break :: tape[r].next != 0 -> skip fi };
           atomic { /* last_n is looked at after next */
                   if
                   :: KILL
                   :: tape[r].last != i -> break
                   :: tape[r].last == i -> r = tape[r].next; assert(tape[r].whole); h_ring = r
                   fi
           }
#endif
        od;
        /* release_rings */
        atomic { if :: KILL :: true -> to = h_ring; if :: t_ring < to -> to = t_ring :: else fi fi };
#ifdef MUTANT_RELEASE_BLIND
        to = h_ring;
#endif
        if
        :: atomic { released >= to -> to = 0 }
        :: atomic { released < to -> skip };
#ifdef MUTANT_RELEASED_FIRST
           atomic { if :: KILL :: true -> x = released; released = to fi };
           atomic { if :: KILL :: true -> do :: x < to -> give_back(x); x++ :: else -> break od; x = 0; to = 0 fi }
#else
           atomic { if :: KILL :: true -> x = released; do :: x < to -> give_back(x); x++ :: else -> break od; x = 0 fi };
           atomic { if :: KILL :: true -> released = to; to = 0 fi }
#endif
        fi
}

proctype putter(byte me)
{
        byte k = 0, r = 0, i = 0, x = 0, z = 0;
        bit died = 0;

again:  atomic { if :: KILL :: tl == 0 -> tl = me; died = t_died; t_died = 0; i = tn fi };
        if /* recover_tail */
        :: atomic { died -> skip };
#ifdef MUTANT_RECOVER_BLIND
           r = t_ring;
#else
           settle_tail();
#endif
           atomic { if :: KILL :: true -> x = r + 1; do :: x < PLACES -> give_back(x); x++ :: else -> break od; x = 0; died = 0 fi }
        :: atomic { !died -> skip }
        fi;
        settle_tail();
        if
        :: atomic { (i - (hn > tape[r].first -> hn : tape[r].first)) < SLOTS -> skip }
        :: atomic { (i - (hn > tape[r].first -> hn : tape[r].first)) >= SLOTS -> skip };
           x = r + 1; /* grow */
#ifndef MUTANT_LINK_UNBUILT
           atomic { if :: KILL :: true -> assert(!tape[x].whole || tape[x].next == 0); tape[x].first = i fi };
           atomic { if :: KILL :: true -> tape[x].whole = 1 fi };
#endif
#if defined MUTANT_LINK_FIRST
           atomic { if :: KILL :: true -> tape[r].next = x fi };
           atomic { if :: KILL :: true -> tape[r].last = i fi };
           atomic { if :: KILL :: true -> t_ring = x fi };
#elif defined MUTANT_NAME_FIRST
           atomic { if :: KILL :: true -> t_ring = x fi };
           atomic { if :: KILL :: true -> tape[r].last = i fi };
           atomic { if :: KILL :: true -> tape[r].next = x fi };
#else
           atomic { if :: KILL :: true -> tape[r].last = i fi };
           atomic { if :: KILL :: true -> tape[r].next = x fi };
#ifdef MUTANT_LINK_UNBUILT
           atomic { if :: KILL :: true -> tape[x].first = i; tape[x].whole = 1 fi };
#endif
           atomic { if :: KILL :: true -> t_ring = x fi };
#endif
           atomic { r = x; x = 0 }
        fi;
        atomic { if :: KILL :: true -> tape[r].slot[i % SLOTS] = me + k * 16 fi };
        atomic { if :: KILL :: true -> truth[i] = me + k * 16; tn++ fi };
        atomic { if :: KILL :: true -> tl = 0; r = 0; i = 0; k++; if :: k < MSG -> goto again :: else -> goto done fi fi };
die:    atomic { if :: tl == me -> tl = 0; t_died = 1 :: else fi };
done:   atomic { putters--; k = 0; r = 0; i = 0; x = 0; died = 0 }
}

proctype getter(byte me)
{
        byte r = 0, i = 0, to = 0, x = 0, z = 0;
        bit died = 0;

again:  atomic { if :: KILL :: hl == 0 -> hl = me; died = h_died; h_died = 0; i = hn fi };
        if /* recover_head */
        :: atomic { died -> skip }; settle_head(i); died = 0
        :: atomic { !died -> skip }
        fi;
        atomic { if :: KILL :: tn != i -> skip fi }; /* counter_sleep */
        settle_head(i);
        atomic { if :: KILL :: true -> assert(tape[r].slot[i % SLOTS] == truth[i]) fi };
        atomic { if :: KILL :: true -> hn++ fi };
        settle_head(i + 1);
        atomic { if :: KILL :: true -> hl = 0; r = 0; i = 0; goto again fi };
die:    atomic { if :: hl == me -> hl = 0; h_died = 1 :: else fi; getters--; r = 0; i = 0; to = 0; x = 0; died = 0 }
}

init {
        byte p;

        atomic {
                tape[0].whole = 1;
                for (p : 1 .. NP) { run putter(p) };
                for (p : 1 .. NC) { run getter(NP + p) }
        };
        timeout -> atomic {
                assert(putters == 0);
                assert(getters == 0 || tn == hn);
                for (p : 0 .. (PLACES - 1)) {
                        assert(p >= released || !tape[p].whole);
                        assert(p <= t_ring || t_died || !tape[p].whole)
                }
        }
}
