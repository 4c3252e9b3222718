/* SPDX-License-Identifier: MIT */
/*
 * heap.pml - blocks and pages of a heap: src/memory/heap_blocks.c, heap_pages.c, heap_owner.c.
 *
 * Two pages, each with one block word.  A page's word is what it is the head of: a slab of class A over one or two
 * pages (a block is a page), a slab of class B over both (one block, both pages), a run of one or two pages; or INTERIOR,
 * or NOTHING.
 *
 *   claim     CAS block word FREE -> me; look at the head: is it the slab that the hint says?
 *             yes: the block is mine.  No: CAS me -> FREE, as if nothing had been                try_claim
 *   free      CAS block word me -> FREE                                                          mproc_heap_dealloc
 *   slab      heap.lock: for each block word: RETIRED: FREE, else leave it; INTERIORs; head = SLAB, the commit
 *                                                                                                make_slab
 *   retire    heap.lock: retiring = head; for each block word CAS FREE -> RETIRED; one is not FREE: all back;
 *             else head = NOTHING, the commit; INTERIORs = NOTHING; retiring = none              retire
 *   run       heap.lock: INTERIORs; head = RUN of me, the commit                                 mproc__heap_run_create
 *   run free  heap.lock: head = NOTHING, the commit; INTERIORs = NOTHING                         mproc__heap_run_free
 *   recover   heap.lock, told of a death: INTERIORs without a head = NOTHING; retiring is a slab: RETIRED = FREE
 *   reclaim   a block word of a dead one: CAS -> FREE.  A run of a dead one: free it
 *   exchange  heap.lock: intent (new, old, me), the commit; *where = new; new is nobody's; old is mine; no intent
 *             recover: an intent: the same again, old is the dead one's.  reclaim passes through the lock before.
 *             publish is an exchange whose old is none                                     mproc__heap_finish_exchange
 *
 * A hint is where somebody once saw a free block; what it says may be as old as one likes.  So here anybody may have
 * any hint at any time.
 *
 * What is proved.  No page is in two hands (assertions in TAKE).  When all is over and the dead were reclaimed,
 * everything is free: no block is lost, whoever was killed where (timeout).  With EXCHANGE: what `where` names is never
 * free, and what it does not name is lost to nobody.
 *
 * Abstract: heap.lock (robust.pml): one step, handed on when its owner dies, the next is told.  That the dead are dead:
 * slots.  Hints, bitmaps of slabs that may have free blocks, reservation of memory: they decide where one looks, not
 * what is found there.
 *
 * N processes, M turns each, up to MAXK kills.
 *
 * RUN: -DN=2 -DM=2 -DMAXK=1
 * RUN: -DN=2 -DM=3 -DMAXK=0
 * RUN: -DN=2 -DM=2 -DMAXK=2
 * RUN: -DN=3 -DM=1 -DMAXK=1
 * RUN: -DN=2 -DM=3 -DMAXK=1 -DEXCHANGE
 * RUN: -DN=2 -DM=2 -DMAXK=2 -DEXCHANGE
 * BIG: -DN=3 -DM=1 -DMAXK=2
 * BIG: -DN=2 -DM=3 -DMAXK=1
 * MUTANT_NO_LOOK: -DN=2 -DM=3 -DMAXK=0             a claim does not look at the head
 * MUTANT_LOOK_AT_KIND: -DN=2 -DM=3 -DMAXK=0        it looks whether there is a slab, not which
 * MUTANT_FILL_ALL: -DN=3 -DM=2 -DMAXK=1            a new slab's words are stored, whatever they are
 * MUTANT_RETIRE_BLIND: -DN=2 -DM=2 -DMAXK=0        retire looks first and stores then
 * MUTANT_NO_ROLLBACK: -DN=2 -DM=2 -DMAXK=1         the next owner of the lock does not look at `retiring`
 * MUTANT_NO_SWEEP: -DN=2 -DM=2 -DMAXK=1            nor for INTERIORs without a head
 * MUTANT_HEAD_FIRST: -DN=2 -DM=2 -DMAXK=1          the head is written before the INTERIORs
 * MUTANT_HEAD_LAST: -DN=2 -DM=2 -DMAXK=1           the head is cleared after the INTERIORs
 * MUTANT_NO_INTENT: -DN=2 -DM=2 -DMAXK=1 -DEXCHANGE    an exchange without an intent
 * MUTANT_RECLAIM_PAST: -DN=2 -DM=2 -DMAXK=1 -DEXCHANGE reclaim does not pass through the lock
 */
#ifndef N
#define N 2
#endif
#ifndef M
#define M 2
#endif
#ifndef MAXK
#define MAXK 1
#endif

/* block words: an owner 1..N, NOBODYS, or */
#define RETIRED 0
#define NOBODYS 8
#define FREE 9

/* page words */
#define NOTHING 0
#define INTERIOR 1
#define SLAB_A1 2
#define SLAB_A2 3
#define SLAB_B 4
#define RUN1 5
#define RUN2 6
#define IS_SLAB(h) ((h) == SLAB_A1 || (h) == SLAB_A2 || (h) == SLAB_B)
#define PAGES(h) (((h) == SLAB_A2 || (h) == SLAB_B || (h) == RUN2) -> 2 : 1)
#define BLOCKS(h) ((h) == SLAB_A2 -> 2 : 1)

byte w[2];            /* block words */
byte head[2];         /* page words */
byte runner[2];       /* whose a run is: part of the page word */
byte hl = 0;          /* owner of heap.lock */
bit hl_died = 0;
byte retiring = 2;    /* 2: none */

byte own[2];          /* in truth: in whose hands the page is; 0: nobody's */
byte ext[2];          /* which pages were handed out by that block word, as a mask */
bit dead[N + 1];
byte kills = 0;

#ifdef EXCHANGE
#define NONE 2
byte where = NONE;    /* the block (by its word) that a shared pointer names */
bit intent = 0;
byte i_new = NONE, i_old = NONE, i_me = 0;
#endif

#define KILL (kills < MAXK) -> kills++; goto die
#define STEP :: KILL :: true
#define TAKE(p, who) assert(own[p] == 0); own[p] = who

inline hand_out(i, mask, who)
{
        if :: (mask & 1) -> TAKE(0, who) :: else fi;
        if :: (mask & 2) -> TAKE(1, who) :: else fi;
        ext[i] = mask
}

inline hand_back(i)
{
        if :: (ext[i] & 1) -> own[0] = 0 :: else fi;
        if :: (ext[i] & 2) -> own[1] = 0 :: else fi;
        ext[i] = 0
}

inline lock() { atomic { if :: KILL :: hl == 0 -> hl = me; told = hl_died; hl_died = 0 fi } }
inline unlock() { atomic { if STEP -> hl = 0 fi } }

/* --- recovery, step by step: who does it may die as well ------------------------------------------------- */

inline sweep()
{
#ifndef MUTANT_NO_SWEEP
        atomic { if STEP -> if :: head[1] == INTERIOR && PAGES(head[0]) == 1 -> head[1] = NOTHING :: else fi fi }
#else
        skip
#endif
}

inline roll_back()
{
#ifndef MUTANT_NO_ROLLBACK
        if
        :: retiring != 2 && IS_SLAB(head[retiring]) ->
                atomic { if STEP -> if :: w[retiring] == RETIRED -> w[retiring] = FREE :: else fi fi };
                if
                :: BLOCKS(head[retiring]) == 2 ->
                        atomic { if STEP -> if :: w[1] == RETIRED -> w[1] = FREE :: else fi fi }
                :: else
                fi
        :: else
        fi;
#endif
        atomic { if STEP -> retiring = 2 fi }
}

#ifdef EXCHANGE
inline finish_exchange()
{
        if
        :: intent ->
                atomic { if STEP -> where = i_new fi };
                atomic { if STEP -> if :: i_new != NONE -> w[i_new] = NOBODYS :: else fi fi };
                atomic { if STEP -> if :: i_old != NONE -> w[i_old] = i_me :: else fi fi };
                atomic { if STEP -> intent = 0 fi }
        :: else
        fi
}
#endif

inline recover()
{
        if
        :: told ->
                sweep();
                roll_back();
#ifdef EXCHANGE
                finish_exchange();
#endif
                told = 0
        :: else
        fi
}

proctype process(byte me)
{
        byte turns = 0, i = 0, h = 0, a = 0, v = 0;
        bit told = 0;

begin:
        atomic { i = 0; h = 0; a = 0; v = 0; told = 0; if :: turns == M -> goto end :: else -> turns++ fi };
        if
        :: atomic { i = 0; h = 0; a = SLAB_A1 }; goto claim
        :: atomic { i = 1; h = 1; a = SLAB_A1 }; goto claim
        :: atomic { i = 1; h = 0; a = SLAB_A2 }; goto claim
#ifndef EXCHANGE
        :: atomic { i = 0; h = 0; a = SLAB_B }; goto claim
#endif
        :: atomic { h = 0; a = SLAB_A1 }; goto create
        :: atomic { h = 0; a = SLAB_A2 }; goto create
        :: atomic { h = 1; a = SLAB_A1 }; goto create
        :: h = 0; goto retire
        :: h = 1; goto retire
#ifndef EXCHANGE
        :: atomic { h = 0; a = SLAB_B }; goto create
        :: atomic { h = 0; a = RUN2 }; goto create
        :: atomic { h = 1; a = RUN1 }; goto create
#endif
        :: i = 0; goto reclaim
        :: i = 1; goto reclaim
        fi;

claim:  atomic { if STEP -> if :: w[i] == FREE -> w[i] = me :: else -> goto begin fi fi };
        atomic { if STEP ->
                if
#ifdef MUTANT_NO_LOOK
                :: true ->
#elif defined MUTANT_LOOK_AT_KIND
                :: IS_SLAB(head[h]) ->
#else
                /* the class, and that the slab has so many blocks */
                :: (a == SLAB_B && head[h] == SLAB_B) || (a != SLAB_B && (head[h] == SLAB_A2 || (head[h] == SLAB_A1 && i == h))) ->
#endif
                        hand_out(i, (a == SLAB_B -> 3 : 1 << i), me)
                :: else -> goto undo
                fi fi };
        if
        :: true -> /* free it */
                atomic { if STEP -> assert(w[i] == me); hand_back(i); w[i] = FREE; goto begin fi }
#ifdef EXCHANGE
        :: true -> v = i; goto exchange
#endif
        fi;

undo:   atomic { if STEP -> if :: w[i] == me -> w[i] = FREE :: else fi; goto begin fi };

create: lock();
        recover();
        if :: head[h] != NOTHING || (PAGES(a) == 2 && head[1] != NOTHING) -> unlock(); goto begin :: else fi;
        if
        :: IS_SLAB(a) ->
                i = h;
                do
                :: i < h + BLOCKS(a) ->
#ifdef MUTANT_FILL_ALL
                        atomic { if STEP -> w[i] = FREE fi };
#else
                        atomic { if STEP -> v = w[i] fi };
                        if :: v == RETIRED -> atomic { if STEP -> w[i] = FREE fi } :: else fi;
#endif
                        i++
                :: else -> break
                od
        :: else
        fi;
#ifdef MUTANT_HEAD_FIRST
        atomic { if STEP -> head[h] = a; runner[h] = me; if :: a >= RUN1 -> TAKE(h, me); if :: a == RUN2 -> TAKE(1, me) :: else fi :: else fi fi };
        if :: PAGES(a) == 2 -> atomic { if STEP -> head[1] = INTERIOR fi } :: else fi;
#else
        if :: PAGES(a) == 2 -> atomic { if STEP -> head[1] = INTERIOR fi } :: else fi;
        atomic { if STEP -> head[h] = a; runner[h] = me; if :: a >= RUN1 -> TAKE(h, me); if :: a == RUN2 -> TAKE(1, me) :: else fi :: else fi fi };
#endif
        unlock();
        if :: a >= RUN1 -> skip :: else -> goto begin fi;
        if :: true -> skip :: true -> goto begin fi; /* some are kept until their owner dies */
        lock();
        recover();
free_run:
        assert(head[h] == a);
#ifdef MUTANT_HEAD_LAST
        if :: PAGES(a) == 2 -> atomic { if STEP -> own[1] = 0; head[1] = NOTHING fi } :: else fi;
        atomic { if STEP -> own[h] = 0; head[h] = NOTHING fi };
#else
        atomic { if STEP -> own[h] = 0; if :: a == RUN2 -> own[1] = 0 :: else fi; head[h] = NOTHING fi };
        if :: PAGES(a) == 2 -> atomic { if STEP -> head[1] = NOTHING fi } :: else fi;
#endif
        unlock();
        goto begin;

retire: lock();
        recover();
        a = head[h];
        if :: !IS_SLAB(a) -> unlock(); goto begin :: else fi;
        atomic { if STEP -> retiring = h fi };
        i = h;
        do
        :: i < h + BLOCKS(a) ->
#ifdef MUTANT_RETIRE_BLIND
                atomic { if STEP -> v = w[i] fi };
                if :: v != FREE -> break :: else fi;
                atomic { if STEP -> w[i] = RETIRED fi };
#else
                atomic { if STEP -> v = w[i]; if :: v == FREE -> w[i] = RETIRED :: else -> break fi fi };
#endif
                i++
        :: else -> break
        od;
        if
        :: i < h + BLOCKS(a) -> roll_back()
        :: else ->
                atomic { if STEP -> head[h] = NOTHING fi };
                if :: PAGES(a) == 2 -> atomic { if STEP -> head[1] = NOTHING fi } :: else fi;
                atomic { if STEP -> retiring = 2 fi }
        fi;
        unlock();
        goto begin;

reclaim:
        v = w[i];
        if
        :: v >= 1 && v <= N && dead[v] ->
#if defined EXCHANGE && !defined MUTANT_RECLAIM_PAST
                lock();
                recover();
                unlock();
#endif
#ifdef EXCHANGE
                atomic { if STEP -> if :: w[i] == v -> assert(where != i); hand_back(i); w[i] = FREE :: else fi fi }
#else
                atomic { if STEP -> if :: w[i] == v -> hand_back(i); w[i] = FREE :: else fi fi }
#endif
        :: else -> v = 0
        fi;
        v = 0;
        lock();
        recover();
        a = head[0];
        h = 0;
        if :: a >= RUN1 && dead[runner[0]] -> goto free_run :: else fi;
        a = head[1];
        h = 1;
        if :: a == RUN1 && dead[runner[1]] -> goto free_run :: else fi;
        unlock();
        goto begin;

#ifdef EXCHANGE
exchange: /* v: a block that is mine; what `where` named comes back to me, and I free it */
        lock();
        recover();
        i = where;
#ifdef MUTANT_NO_INTENT
        atomic { if STEP -> where = v fi };
        atomic { if STEP -> own[v] = NOBODYS; w[v] = NOBODYS fi };
        atomic { if STEP -> if :: i != NONE -> w[i] = me :: else fi fi };
#else
        atomic { i_new = v; i_old = i; i_me = me }; /* only its commit is seen */
        atomic { if STEP -> intent = 1; fi };
        finish_exchange();
#endif
        unlock();
        atomic { if STEP -> v = 0; if :: i == NONE -> goto begin :: else fi fi };
        atomic { if STEP -> assert(w[i] == me && where != i); hand_back(i); w[i] = FREE; goto begin fi };
#endif

die:    atomic { dead[me] = 1; if :: hl == me -> hl = 0; hl_died = 1 :: else fi; i = 0; h = 0; a = 0; v = 0; told = 0 }
end:    skip
}

/* What is left is made up for by whoever comes next, and then everything can be had again. */
init {
        byte i = 1;

        atomic {
                do :: i <= N -> run process(i); i++ :: else -> break od;
                i = 0
        };
        timeout -> atomic {
                assert(hl == 0);
                if
                :: hl_died ->
#ifndef MUTANT_NO_SWEEP
                        if :: head[1] == INTERIOR && PAGES(head[0]) == 1 -> head[1] = NOTHING :: else fi;
#endif
#ifndef MUTANT_NO_ROLLBACK
                        if
                        :: retiring != 2 && IS_SLAB(head[retiring]) ->
                                if :: w[retiring] == RETIRED -> w[retiring] = FREE :: else fi;
                                if :: BLOCKS(head[retiring]) == 2 && w[1] == RETIRED -> w[1] = FREE :: else fi
                        :: else
                        fi;
#endif
#ifdef EXCHANGE
                        if
                        :: intent ->
                                where = i_new;
                                if :: i_new != NONE -> w[i_new] = NOBODYS :: else fi;
                                if :: i_old != NONE -> w[i_old] = i_me :: else fi
                        :: else
                        fi
#endif
                :: else -> assert(retiring == 2)
                fi;
                do /* reclaim */
                :: i < 2 ->
                        if :: w[i] >= 1 && w[i] <= N && dead[w[i]] -> hand_back(i); w[i] = FREE :: else fi;
                        i++
                :: else -> break
                od;
                /* pages: each INTERIOR has its head, and the head all of its pages */
                assert((head[1] == INTERIOR) == (head[0] != NOTHING && PAGES(head[0]) == 2));
                assert(head[0] != INTERIOR);
                i = 0;
                do
                :: i < 2 ->
                        if
                        :: IS_SLAB(head[i]) ->
#ifdef EXCHANGE
                                assert(w[i] == FREE || (where == i && w[i] == NOBODYS));
                                if :: BLOCKS(head[i]) == 2 -> assert(w[1] == FREE || (where == 1 && w[1] == NOBODYS)) :: else fi
#else
                                assert(w[i] == FREE);
                                if :: BLOCKS(head[i]) == 2 -> assert(w[1] == FREE) :: else fi
#endif
                        :: else
                        fi;
                        i++
                :: else -> break
                od;
#ifdef EXCHANGE
                if :: where != NONE -> assert(w[where] == NOBODYS) :: else fi
#endif
        }
}
