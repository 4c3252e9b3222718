/* SPDX-License-Identifier: MIT */
/*
 * barrier.pml - the rounds of a barrier, as src/sync/rounds.c has them.
 *
 *   state    round | count | BROKEN, one word: here rnd, cnt, brk, which change in one step
 *   ticket   round | serial | mark | id, one word: here t_round, t_mark, t_id
 *
 *   arrive   broken: out.  take_ticket.  Then, again and again: v = state; broken: out; count is full: sleep_once;
 *            ticket = v's round, WAITING; CAS v -> count + 1: come                       come, try_to_come
 *   wait     v = state, then the mark: a mark is the answer; another round: passed; BROKEN: broken; else
 *            sleep_once                                                                  mproc__rounds_wait, outcome
 *   sleep_once   while state == v; slice: the round is over: wake all; a dead one's ticket of state's round: break it
 *   the last one who came: dead ones' tickets of this round: break it; the round before: WAITING -> PASSED;
 *            CAS state -> next round; wake all                                           mproc__rounds_check, _pass
 *   break    CAS state -> BROKEN, unless the round is over or broken; wake all           break_round
 *   reset    break; this round: WAITING -> BROKE; the one before: WAITING -> PASSED; CAS state -> next round; wake all
 *   abort    one step { state |= BROKEN; wake all }
 *
 * What is proved.  Each round ends in one way, and all who came in it are told that way, however late they look.
 * No round passes in which somebody had died before the last one looked.  At the end of everything who still
 * sleeps does so in a round that is neither over nor broken nor full, and in which nobody is dead.
 *
 * Abstract: each process has a ticket of its own, so no ticket of the dead is used again; the serial number,
 * which tells two uses apart.  Which dead one a slice finds: any (the code looks at those behind its own ticket, up to 8
 * living ones).  A slice that finds nothing is no step.  Rounds are numbered on and on; with -DMOD=4 they wrap
 * around, as the 18 bits of the code do: there, who is stopped between two steps while exactly so many rounds pass
 * is beyond what is promised.
 *
 * NP processes of which PARTIES make a round, W waits each (WRAP: 1, 3 and 4), RESETS and ABORTS from outside, the
 * first process may time out at any time (TIMEOUT), up to MAXK kills.
 *
 * RUN: -DNP=2 -DW=2 -DMAXK=2 -DTIMEOUT
 * RUN: -DNP=3 -DW=1 -DMAXK=2
 * RUN: -DNP=2 -DW=1 -DMAXK=1 -DRESETS=1
 * RUN: -DNP=2 -DW=2 -DMAXK=0 -DRESETS=1 -DABORTS=1
 * RUN: -DNP=3 -DWRAP -DMOD=4 -DMAXK=0
 * BIG: -DNP=3 -DW=1 -DMAXK=1 -DRESETS=1
 * BIG: -DNP=3 -DW=2 -DMAXK=1
 * BIG: -DNP=2 -DW=2 -DMAXK=1 -DRESETS=2
 * BIG: -DNP=3 -DPARTIES=3 -DW=2 -DMAXK=1
 * BIG: -DNP=3 -DWRAP -DMOD=4 -DMAXK=1
 * MUTANT_NO_CHECK: -DNP=2 -DW=1 -DMAXK=1                 the last one does not look whether all live
 * MUTANT_NO_SLICE: -DNP=3 -DPARTIES=3 -DW=1 -DMAXK=1     who sleeps does not look for the dead
 * MUTANT_NO_WAKE_AGAIN: -DNP=2 -DW=1 -DMAXK=1            nor whether the round is over
 * MUTANT_PASS_BLIND: -DNP=2 -DW=1 -DMAXK=0 -DTIMEOUT     the last one stores the next round, whatever state is
 * MUTANT_NO_BROKE_MARK: -DNP=2 -DW=1 -DMAXK=0 -DRESETS=1 reset marks nothing
 * MUTANT_NO_PASSED_MARK: -DNP=3 -DWRAP -DMOD=4 -DMAXK=0  the last one marks nothing
 * MUTANT_COUNT_FIRST: -DNP=2 -DW=1 -DMAXK=0 -DRESETS=1   comes first and writes the round then
 * MUTANT_MARK_FIRST: -DNP=2 -DW=1 -DMAXK=0 -DRESETS=1    looks at the mark first and at state then
 */
#ifndef NP
#define NP 2
#endif
#ifndef PARTIES
#define PARTIES 2
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef RESETS
#define RESETS 0
#endif
#ifndef ABORTS
#define ABORTS 0
#endif
#ifndef W
#define W 1
#endif
#ifndef MOD
#define MOD 64
#endif
#define BEFORE(r) ((r + MOD - 1) % MOD)

#define WAITING 0
#define PASSED 1
#define BROKE 2

byte rnd = 0, cnt = 0; /* state */
bit brk = 0;
byte t_round[NP], t_mark[NP]; /* tickets */
bit t_used[NP];

byte nth = 0;         /* the round's number, in truth */
bit passed[12], broke[12];
bit inside[NP];       /* has come, in round in_nth */
byte in_nth[NP];
bit dead[NP], gone[NP], asleep[NP];
byte slept_on[NP];    /* the round of the v with which it sleeps */
byte kills = 0;

#define KILL (kills < MAXK) -> kills++; goto die
#define STEP :: KILL :: true

#define IN(i) (t_used[i] && t_mark[i] == WAITING && t_round[i] == rnd)
#define BODY(i) (inside[i] && dead[i] && in_nth[i] == nth)
#if NP == 2
#define ANY_DEAD ((IN(0) && dead[0]) || (IN(1) && dead[1]))
#define ANY_BODY (BODY(0) || BODY(1))
#define WAKE_ALL asleep[0] = 0; asleep[1] = 0
#else
#define ANY_DEAD ((IN(0) && dead[0]) || (IN(1) && dead[1]) || (IN(2) && dead[2]))
#define ANY_BODY (BODY(0) || BODY(1) || BODY(2))
#define WAKE_ALL asleep[0] = 0; asleep[1] = 0; asleep[2] = 0
#endif
#define NEXT_ROUND rnd = (rnd + 1) % MOD; nth++; cnt = 0; brk = 0

inline wake_all() { atomic { if STEP -> WAKE_ALL fi } }

/* Round r.  A CAS that fails looks again: so it is one step, at the CAS or at the look that finds it over. */
inline break_round(r, did)
{
        atomic { if STEP -> if :: rnd == r && !brk -> brk = 1; broke[nth] = 1; did = 1 :: else -> did = 0 fi fi };
        if :: did -> wake_all() :: else fi
}

/* One compare-and-swap for each ticket. */
inline mark_all(r, m)
{
        j = 0;
        do
        :: j < NP -> atomic { if STEP -> if :: t_used[j] && t_mark[j] == WAITING && t_round[j] == r -> t_mark[j] = m :: else fi; j++ fi }
        :: j == NP -> j = 0; break
        od
}

inline end_round()
{
        mark_all(v_rnd, BROKE);
        mark_all(BEFORE(v_rnd), PASSED)
}

proctype party(byte me; byte waits)
{
        byte v_rnd = 0, v_cnt = 0, j = 0, mark = 0, round = 0;
        bit v_brk = 0, did = 0, body = 0, watch = 0;

arrive: atomic { if STEP -> if :: brk -> goto out :: else fi fi };
        atomic { if STEP -> v_rnd = rnd fi };
        atomic { if STEP -> t_used[me] = 1; t_round[me] = v_rnd; t_mark[me] = WAITING fi };

come:   atomic { if STEP -> v_rnd = rnd; v_cnt = cnt; v_brk = brk; if :: v_brk -> goto leave :: v_cnt == PARTIES -> goto doze :: else fi fi };
#ifndef MUTANT_COUNT_FIRST
        atomic { if STEP -> t_round[me] = v_rnd; t_mark[me] = WAITING fi };
#endif
        atomic {
                if STEP ->
                        if
                        :: rnd == v_rnd && cnt == v_cnt && brk == v_brk -> cnt++; inside[me] = 1; in_nth[me] = nth; round = v_rnd
                        :: else -> goto come
                        fi
                fi
        };
#ifdef MUTANT_COUNT_FIRST
        atomic { if STEP -> t_round[me] = v_rnd; t_mark[me] = WAITING fi };
#endif
        if :: v_cnt + 1 == PARTIES -> goto last :: else fi;

wait:
#ifdef MUTANT_MARK_FIRST
        atomic { if STEP -> mark = t_mark[me] fi };
        atomic { if STEP -> v_rnd = rnd; v_cnt = cnt; v_brk = brk fi };
#else
        atomic { if STEP -> v_rnd = rnd; v_cnt = cnt; v_brk = brk fi };
        atomic { if STEP -> mark = t_mark[me] fi };
#endif
        atomic {
                if
                :: mark == PASSED || (mark == WAITING && v_rnd != round) -> assert(passed[in_nth[me]]); goto leave
                :: mark == BROKE || (mark == WAITING && v_rnd == round && v_brk) -> assert(broke[in_nth[me]]); goto leave
                :: else -> mark = 0
                fi
        };
#ifdef TIMEOUT
        if
        :: me == 0 -> break_round(round, did); if :: did -> did = 0; goto leave :: else -> goto wait fi
        :: true
        fi;
#endif
doze:   atomic { if STEP -> if :: rnd == v_rnd && cnt == v_cnt && brk == v_brk -> asleep[me] = 1; slept_on[me] = v_rnd :: else fi fi };
        atomic { /* awake, or a slice that finds something */
                if
                :: KILL
                :: !asleep[me] -> watch = 0
#ifndef MUTANT_NO_WAKE_AGAIN
                :: asleep[me] && (rnd != v_rnd || brk) -> asleep[me] = 0; watch = 1
#endif
#ifndef MUTANT_NO_SLICE
                :: asleep[me] && rnd == v_rnd && !brk && ANY_DEAD -> asleep[me] = 0; watch = 1
#endif
                fi
        };
        if
        :: watch -> watch = 0;
                atomic { if STEP -> if :: rnd != v_rnd || brk -> did = 1 :: else fi fi };
                if
                :: did -> did = 0; wake_all()
                :: else -> /* watch */
                        atomic { if STEP -> v_rnd = rnd fi };
                        atomic { if STEP -> if :: v_rnd == rnd && ANY_DEAD -> watch = 1 :: else fi fi };
                        if :: watch -> watch = 0; break_round(v_rnd, did); did = 0 :: else fi
                fi
        :: else
        fi;
        if :: inside[me] -> goto wait :: else -> goto come fi;

last:   body = ANY_BODY; j = 0;
#ifndef MUTANT_NO_CHECK
        do
        :: j < NP -> atomic { if STEP -> if :: t_used[j] && t_mark[j] == WAITING && t_round[j] == round && dead[j] -> did = 1; break :: else -> j++ fi fi }
        :: j == NP -> break
        od;
        j = 0;
        if :: did -> break_round(round, did); did = 0; atomic { assert(broke[in_nth[me]]); goto leave } :: else fi;
#endif
#ifndef MUTANT_NO_PASSED_MARK
        mark_all(BEFORE(round), PASSED);
#endif
        atomic {
                if STEP ->
#ifndef MUTANT_PASS_BLIND
                        if :: rnd == round && cnt == PARTIES && !brk -> did = 1 :: else fi;
#else
                        did = 1;
#endif
                        if
                        :: did -> assert(!body && !broke[nth]); passed[nth] = 1; did = 0; NEXT_ROUND
                        :: else -> assert(broke[in_nth[me]]); goto leave
                        fi
                fi
        };
        wake_all();

leave:  atomic { if STEP -> t_used[me] = 0; t_mark[me] = WAITING; t_round[me] = 0; inside[me] = 0; in_nth[me] = 0 fi };
out:    atomic {
                v_rnd = 0; v_cnt = 0; v_brk = 0; mark = 0; round = 0; body = 0; did = 0; waits--;
                if :: waits > 0 -> goto arrive :: else -> gone[me] = 1; goto end fi
        };
die:    atomic { dead[me] = 1; asleep[me] = 0; v_rnd = 0; v_cnt = 0; v_brk = 0; mark = 0; round = 0; body = 0; did = 0; watch = 0; j = 0 };
end:    skip
}

proctype resetter()
{
        byte v_rnd = 0, v_cnt = 0, j = 0;
        bit v_brk = 0, did = 0;

        atomic { if STEP -> v_rnd = rnd; v_cnt = cnt; v_brk = brk; if :: !v_brk && v_cnt == 0 -> goto end :: else fi fi };
        do
        :: v_brk -> break
        :: else -> break_round(v_rnd, did); atomic { if STEP -> v_rnd = rnd; v_cnt = cnt; v_brk = brk; did = 0 fi }
        od;
#ifndef MUTANT_NO_BROKE_MARK
        end_round();
#endif
        atomic { if STEP -> if :: rnd == v_rnd && cnt == v_cnt && brk == v_brk -> NEXT_ROUND :: else -> goto end fi fi };
        wake_all();
        goto end;
die:    skip;
end:    atomic { v_rnd = 0; v_cnt = 0; v_brk = 0; j = 0; did = 0 }
}

proctype aborter()
{
        atomic { if STEP -> if :: brk -> goto end :: else fi fi };
        atomic { if STEP -> if :: !brk -> brk = 1; broke[nth] = 1 :: else fi; WAKE_ALL fi };
        goto end;
die:    skip;
end:    skip
}

init {
        byte p = 0;

        atomic {
#ifdef WRAP
                run party(0, 1); run party(1, 3); run party(2, 4);
#else
                do :: p < NP -> run party(p, W); p++ :: else -> break od;
#endif
                p = 0;
                do :: p < RESETS -> run resetter(); p++ :: else -> break od;
                p = 0;
                do :: p < ABORTS -> run aborter(); p++ :: else -> break od;
                p = 0
        };
        timeout -> atomic {
                do
                :: p < NP ->
                        assert(gone[p] || dead[p] || (asleep[p] && !brk && slept_on[p] == rnd && cnt < PARTIES && !ANY_DEAD &&
                                                     (!inside[p] || in_nth[p] == nth)));
                        p++
                :: else -> break
                od
        }
}
