/* SPDX-License-Identifier: MIT */
/*
 * semaphore.pml - permits of the dead come back.
 *
 * A semaphore is a queue without content (queue.pml): tail.n counts what was released, head.n what was
 * acquired, each under the lock of its end.  One that restores has besides
 *
 *   entry[e] = { owner, acq, rel }   one for each process that uses it.  owner: 0 or a slot id, taken by
 *                                    compare-and-swap from 0.  acq: how often it acquired, changed under
 *                                    head.lock; rel: released, under tail.lock.  They go on counting
 *                                    when the entry gets another owner; only acq - rel means something.
 *   head.intent, tail.intent = { e, num, val }   what is being done at this end; e: none, or the entry
 *
 *   acquire, head.lock held, a permit is there
 *       intent.num = head.n + 1; intent.val = acq[e] + 1; then intent.e = e
 *       head.n += 1                                 the commit
 *       acq[e] = intent.val; intent.e = none
 *   release, likewise at the tail
 *   whoever takes a lock whose last owner died inside
 *       intent.e is set and the counter is at intent.num: store val (again); intent.e = none.
 *       A value, not an increment: cut here, it is simply done once more.
 *   restore, holding no other lock: for each entry whose owner is dead
 *       lock tail
 *       busy = head.intent.e == e                   first this,
 *       k = acq[e] - rel[e]                         then that
 *       k > 0: tail.intent = { e, tail.n + k, rel[e] + k }; tail.n += k (the commit); rel[e] += k; none
 *       not busy: owner = 0                         busy: his last acquire is not yet written down; later
 *       unlock tail
 *   Who waits restores: the leader, before he sleeps and after slices, gives head.lock back, restores,
 *   and takes it again, so that nobody ever holds two locks.  So does who finds no free entry, and who does
 *   not want to wait and finds 0.
 *
 * What is proved.  Value, permits held by the living and permits held by the dead always sum up to
 * what there was in the beginning; so nothing is ever restored that was not lost.  At the end of everything
 * all the living are done, and after one more restore the value is what it was and all entries are
 * free.
 *
 * Abstract: the locks (robust.pml), and sleep and wake-up (queue.pml).  That a process dies inside a lock is
 * known before its slot tells of it, as in the kernel: the robust list is worked off before files are
 * closed.  A permit must be released by the process that acquired it: that is the user's part.
 *
 * NP processes that acquire and release, ENT entries, INIT permits, up to MAXK kills.
 *
 * RUN: -DNP=2 -DENT=2 -DMAXK=2
 * RUN: -DNP=3 -DENT=2 -DMAXK=1
 * RUN: -DNP=3 -DENT=2 -DMAXK=2
 * BIG: -DNP=3 -DENT=3 -DMAXK=2
 * BIG: -DNP=3 -DENT=2 -DMAXK=2 -DINIT=2
 * MUTANT_NO_INTENT: -DNP=2 -DENT=2 -DMAXK=1           acq is written after the commit, without an intent
 * MUTANT_ACQ_FIRST: -DNP=2 -DENT=2 -DMAXK=1           ... or before it
 * MUTANT_REDO_ADDS: -DNP=3 -DENT=3 -DMAXK=2           the intent tells by how much, not to what
 * MUTANT_BUSY_LATE: -DNP=3 -DENT=2 -DMAXK=2           looks at the intent after the numbers
 * MUTANT_FREE_BLIND: -DNP=3 -DENT=2 -DMAXK=2          does not look at the intent
 */
#ifndef NP
#define NP 3
#endif
#ifndef ENT
#define ENT 2
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef INIT
#define INIT 1
#endif
#define NONE 255

typedef intent_t { byte e, num, val };
byte tl = 0, hl = 0; /* owners of tail.lock and head.lock */
bit t_died = 0, h_died = 0;
byte tn = INIT, hn = 0;
intent_t ti, hi;
byte owner[ENT], acq[ENT], rel[ENT];
bit dead[NP + 2];    /* what slots tell; also of those who ended in peace */
byte held[NP + 2];   /* in truth */
byte left = NP, kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die
#define DEAD(x) (owner[x] != 0 && dead[owner[x]])
#if ENT == 2
#define ANY_DEAD (DEAD(0) || DEAD(1))
#define PICK_DEAD(e) if :: DEAD(0) -> e = 0 :: !DEAD(0) && DEAD(1) -> e = 1 :: else -> e = NONE fi
#define PICK_FREE(e) if :: owner[0] == 0 -> e = 0 :: owner[0] != 0 && owner[1] == 0 -> e = 1 :: else -> e = NONE fi
#else
#define ANY_DEAD (DEAD(0) || DEAD(1) || DEAD(2))
#define PICK_DEAD(e) if :: DEAD(0) -> e = 0 :: !DEAD(0) && DEAD(1) -> e = 1 :: !DEAD(0) && !DEAD(1) && DEAD(2) -> e = 2 :: else -> e = NONE fi
#define PICK_FREE(e) if :: owner[0] == 0 -> e = 0 :: owner[0] != 0 && owner[1] == 0 -> e = 1 :: owner[0] != 0 && owner[1] != 0 && owner[2] == 0 -> e = 2 :: else -> e = NONE fi
#endif
#ifdef MUTANT_REDO_ADDS
#define REDO(array, i) array[i.e] = array[i.e] + 1
#else
#define REDO(array, i) array[i.e] = i.val
#endif


inline lock_head()
{
        atomic { if :: KILL :: hl == 0 -> hl = me; died = h_died; h_died = 0 fi };
        if
        :: atomic { died -> if :: KILL :: true -> if :: hi.e != NONE && hn == hi.num -> REDO(acq, hi) :: else fi fi };
           atomic { if :: KILL :: true -> hi.e = NONE; died = 0 fi }
        :: atomic { !died -> skip }
        fi
}
inline lock_tail()
{
        atomic { if :: KILL :: tl == 0 -> tl = me; died = t_died; t_died = 0 fi };
        if
        :: atomic { died -> if :: KILL :: true -> if :: ti.e != NONE && tn == ti.num -> REDO(rel, ti) :: else fi fi };
           atomic { if :: KILL :: true -> ti.e = NONE; died = 0 fi }
        :: atomic { !died -> skip }
        fi
}

/* tail.lock is held: d is whose permits come back, k how many.  Also: a plain release. */
inline give(x, d, k)
{
        atomic { if :: KILL :: true -> ti.num = tn + k; ti.val = rel[x] + k fi };
        atomic { if :: KILL :: true -> ti.e = x fi };
        atomic { if :: KILL :: true -> assert(held[d] >= k); tn = tn + k; held[d] = held[d] - k fi };
        atomic { if :: KILL :: true -> rel[x] = ti.val fi };
        atomic { if :: KILL :: true -> ti.e = NONE fi }
}

inline restore()
{
        do
        :: atomic { PICK_DEAD(x); if :: x == NONE -> break :: else fi };
           lock_tail();
           if
           :: atomic { !DEAD(x) -> skip } /* somebody else was faster */
           :: atomic { DEAD(x) -> skip };
#ifdef MUTANT_BUSY_LATE
              atomic { if :: KILL :: true -> k = acq[x] - rel[x] fi };
              atomic { if :: KILL :: true -> busy = (hi.e == x) fi };
#else
              atomic { if :: KILL :: true -> busy = (hi.e == x) fi };
              atomic { if :: KILL :: true -> k = acq[x] - rel[x] fi };
#endif
              if
              :: k > 0 -> give(x, owner[x], k)
              :: else
              fi;
#ifdef MUTANT_FREE_BLIND
              busy = 0;
#endif
              atomic { if :: KILL :: true -> if :: !busy -> owner[x] = 0 :: else fi; k = 0 fi }
           fi;
           atomic { if :: KILL :: true -> tl = 0; x = NONE; if :: busy -> busy = 0; break :: else fi fi }
        od;
        x = NONE
}

proctype user(byte me)
{
        byte e = NONE, x = NONE, k = 0;
        bit died = 0, busy = 0;

claim:  atomic { if :: KILL :: true -> PICK_FREE(e); if :: e != NONE -> owner[e] = me :: else fi fi };
        if
        :: atomic { e == NONE && ANY_DEAD -> skip }; restore(); goto look
        :: atomic { e == NONE && !ANY_DEAD -> goto out } /* no room: an error */
        :: e != NONE -> skip
        fi;
again:  lock_head();
        if
        :: atomic { tn != hn -> goto take }
        :: atomic { tn == hn -> skip }
        fi;
        atomic { /* the leader's sleep, or a slice of it that finds somebody dead */
                if
                :: KILL
                :: tn != hn -> goto take
                :: tn == hn && ANY_DEAD -> skip
                fi
        };
        atomic { if :: KILL :: true -> hl = 0 fi };
        restore();
        goto again;
look:   /* without a free entry: help a dead one's acquire to be written down, then look again */
        if
        :: atomic { h_died && hl == 0 -> skip }; lock_head(); atomic { if :: KILL :: true -> hl = 0 fi }
        :: atomic { !(h_died && hl == 0) -> skip }
        fi;
        goto claim;

take:
#if !defined MUTANT_NO_INTENT && !defined MUTANT_ACQ_FIRST
        atomic { if :: KILL :: true -> hi.num = hn + 1; hi.val = acq[e] + 1 fi };
        atomic { if :: KILL :: true -> hi.e = e fi };
#endif
#ifdef MUTANT_ACQ_FIRST
        atomic { if :: KILL :: true -> acq[e]++ fi };
#endif
        atomic { if :: KILL :: true -> hn++; held[me]++ fi };
#ifdef MUTANT_NO_INTENT
        atomic { if :: KILL :: true -> acq[e]++ fi };
#elif !defined MUTANT_ACQ_FIRST
        atomic { if :: KILL :: true -> acq[e] = hi.val fi };
        atomic { if :: KILL :: true -> hi.e = NONE fi };
#endif
        atomic { if :: KILL :: true -> hl = 0 fi };

        lock_tail();
        give(e, me, 1);
        atomic { if :: KILL :: true -> tl = 0 fi };
        goto out;
die:    atomic {
                if :: tl == me -> tl = 0; t_died = 1 :: else fi;
                if :: hl == me -> hl = 0; h_died = 1 :: else fi
        };
out:    atomic { e = NONE; x = NONE; k = 0; died = 0; busy = 0; left--; dead[me] = 1 }
}

init {
        byte p, me = NP + 1, x = NONE, k = 0;
        bit died = 0, busy = 0;

        atomic { ti.e = NONE; hi.e = NONE; for (p : 1 .. NP) { run user(p) } };
        timeout -> assert(left == 0); /* nobody waits for the dead */
        kills = MAXK;
        lock_head();
        hl = 0;
        restore();
        assert(tn - hn == INIT && !ANY_DEAD);
        goto end;
die:    assert(false);
end:    skip
}
