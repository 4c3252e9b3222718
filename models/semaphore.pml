/* SPDX-License-Identifier: MIT */
/*
 * semaphore.pml - permits of the dead come back.
 *
 * A semaphore is a queue without content (queue.pml): tail.n counts what was released, head.n what was
 * acquired, each under the lock of its end.  One that restores has besides
 *
 *   entry[e] = { owner, acq, rel }   who holds permits (struct mproc__permits_holder).  acq: how often its owner
 *                                    acquired, changed under head.lock; rel: released, under tail.lock.  An entry
 *                                    with acq == rel may be claimed by another process, under head.lock.
 *   head.intent, tail.intent = { number, entry, value }   what is being done at this end; void unless
 *                                    number is the counter's
 *
 *   who enters an end          the intent's number is the counter's: store value (again; mproc__permits_settle_*)
 *   acquire, a permit is there claim an entry; intent; head.n += 1 (the commit); acq = value; head.lock is given up
 *   acquire, none is there     find a dead owner of an entry with acq != rel; found: give head.lock up, restore, again;
 *                              else sleep for a slice
 *   release                    tail.lock; intent; tail.n += 1 (the commit); rel = value
 *   restore e, of owner d      tail.lock; a = acq[e]; owner is still d? k = a - rel[e]; k > 0: intent; tail.n += k (the
 *                              commit); rel = value.  In this order: once acq is read, the owner tells whose it was
 *
 * What is proved.  Value, permits held by the living and permits held by the dead always sum up to
 * what there was in the beginning; so nothing is ever restored that was not lost.  At the end of everything
 * all the living are done, and after one more restore the value is what it was.
 *
 * Abstract: the locks (robust.pml), and sleep and wake-up (queue.pml).  A permit must be released by the process that acquired it: that is the user's part.
 *
 * NP processes that acquire and release, ENT entries, INIT permits, up to MAXK kills.
 *
 * RUN: -DNP=2 -DENT=2 -DMAXK=2
 * BIG: -DNP=4 -DENT=2 -DMAXK=1
 * RUN: -DNP=3 -DENT=2 -DMAXK=2
 * BIG: -DNP=3 -DENT=2 -DMAXK=3
 * BIG: -DNP=3 -DENT=2 -DMAXK=2 -DINIT=2
 * MUTANT_NO_INTENT: -DNP=2 -DENT=2 -DMAXK=1           acq is written after the commit, without an intent
 * MUTANT_ACQ_FIRST: -DNP=2 -DENT=2 -DMAXK=1           ... or before it
 * MUTANT_REDO_ADDS: -DNP=3 -DENT=2 -DMAXK=2           the intent tells by how much, not to what
 * MUTANT_NO_SETTLE: -DNP=3 -DENT=2 -DMAXK=2           who enters the head does not look at the intent
 * MUTANT_OWNER_BEFORE_ACQ: -DNP=4 -DENT=2 -DMAXK=1    restore asks for the owner before it reads acq
 * MUTANT_NOT_ASKED_AGAIN: -DNP=4 -DENT=2 -DMAXK=1     restore does not ask whether the entry is still the dead's
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
byte tn = INIT, hn = 0;
intent_t ti, hi;
byte owner[ENT], acq[ENT], rel[ENT];
bit dead[NP + 2];    /* what slots tell; also of those who ended in peace */
byte held[NP + 2];   /* in truth */
byte left = NP, kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die
#define DEAD(x) (acq[x] != rel[x] && dead[owner[x]])
#define USABLE(x) (acq[x] == rel[x])
#if ENT == 1
#define ANY_DEAD DEAD(0)
#define PICK_DEAD(e) e = 0
#define PICK_USABLE(e) if :: USABLE(0) -> e = 0 :: else -> e = NONE fi
#else
#define ANY_DEAD (DEAD(0) || DEAD(1))
#define PICK_DEAD(e) if :: DEAD(0) -> e = 0 :: DEAD(1) -> e = 1 fi
#define PICK_USABLE(e) if :: USABLE(0) -> e = 0 :: USABLE(1) -> e = 1 :: else -> e = NONE fi
#endif
#ifdef MUTANT_REDO_ADDS
#define REDO(array, i) array[i.e] = array[i.e] + 1
#else
#define REDO(array, i) array[i.e] = i.val
#endif


#define VOID 254
inline lock_head()
{
        atomic { if :: KILL :: hl == 0 -> hl = me fi };
#ifndef MUTANT_NO_SETTLE
        atomic { if :: KILL :: true -> if :: hi.num == hn -> REDO(acq, hi) :: else fi fi }
#endif
}
inline lock_tail()
{
        atomic { if :: KILL :: tl == 0 -> tl = me fi };
        atomic { if :: KILL :: true -> if :: ti.num == tn -> REDO(rel, ti) :: else fi fi }
}

/* tail.lock is held: the permits of d, k of them, come back from entry x. */
inline give(x, d, k)
{
        atomic { if :: KILL :: true -> ti.num = VOID; ti.e = x; ti.val = rel[x] + k fi };
        atomic { if :: KILL :: true -> ti.num = tn + k fi };
        atomic { if :: KILL :: true -> assert(held[d] >= k); tn = tn + k; held[d] = held[d] - k fi };
        atomic { if :: KILL :: true -> rel[x] = ti.val fi }
}

/* x: the entry, who: whose it was. */
inline restore()
{
        lock_tail();
#ifdef MUTANT_OWNER_BEFORE_ACQ
        atomic { if :: KILL :: true -> if :: owner[x] == who -> skip :: else -> goto kept fi fi };
        atomic { if :: KILL :: true -> k = acq[x] - rel[x] fi };
#else
        atomic { if :: KILL :: true -> k = acq[x] - rel[x] fi };
#ifndef MUTANT_NOT_ASKED_AGAIN
        atomic { if :: KILL :: true -> if :: owner[x] == who -> skip :: else -> goto kept fi fi };
#endif
#endif
        if
        :: k > 0 -> give(x, who, k)
        :: else
        fi;
kept:   atomic { if :: KILL :: true -> tl = 0; x = NONE; k = 0; who = 0 fi }
}

proctype user(byte me)
{
        byte e = NONE, x = NONE, k = 0, who = 0;

again:  lock_head();
        atomic { /* mproc__permits_find_dead, or the leader's sleep until there is something */
                if
                :: KILL
                :: tn != hn -> goto take
                :: tn == hn && ANY_DEAD -> PICK_DEAD(x); who = owner[x]
                fi
        };
        atomic { if :: KILL :: true -> hl = 0 fi };
        restore();
        goto again;

take:   atomic { if :: KILL :: true -> PICK_USABLE(e); assert(e != NONE); owner[e] = 0 fi };
        atomic { if :: KILL :: true -> owner[e] = me fi };
#if !defined MUTANT_NO_INTENT && !defined MUTANT_ACQ_FIRST
        atomic { if :: KILL :: true -> hi.num = VOID; hi.e = e; hi.val = acq[e] + 1 fi };
        atomic { if :: KILL :: true -> hi.num = hn + 1 fi };
#endif
#ifdef MUTANT_ACQ_FIRST
        atomic { if :: KILL :: true -> acq[e]++ fi };
#endif
        atomic { if :: KILL :: true -> hn++; held[me]++ fi };
#ifdef MUTANT_NO_INTENT
        atomic { if :: KILL :: true -> acq[e]++ fi };
#elif !defined MUTANT_ACQ_FIRST
        atomic { if :: KILL :: true -> acq[e] = hi.val fi };
#endif
        atomic { if :: KILL :: true -> hl = 0 fi };

        lock_tail();
        give(e, me, 1);
        atomic { if :: KILL :: true -> tl = 0 fi };
        goto out;
die:    atomic {
                if :: tl == me -> tl = 0 :: else fi;
                if :: hl == me -> hl = 0 :: else fi
        };
out:    atomic { e = NONE; x = NONE; k = 0; who = 0; left--; dead[me] = 1 }
}

init {
        byte p, me = NP + 1, x = NONE, k = 0, who = 0;

        atomic { ti.e = NONE; hi.e = NONE; ti.num = VOID; hi.num = VOID; for (p : 1 .. NP) { run user(p) } };
        timeout -> assert(left == 0); /* nobody waits for the dead */
        kills = MAXK;
        lock_head();
        hl = 0;
        do
        :: ANY_DEAD -> PICK_DEAD(x); who = owner[x]; restore()
        :: else -> break
        od;
        assert(tn - hn == INIT);
        goto end;
die:    assert(false);
end:    skip
}
