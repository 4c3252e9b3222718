/* SPDX-License-Identifier: MIT */
/*
 * owned.pml - the lock that belongs to a process (src/sync/owned.*), with the gate of src/sync/turns.*
 *
 * The word holds a slot, not a thread id, so of the kernel's three rules only one can hold: a dead thread's
 * `pending` names a word with owner 0: one sleeper is woken.  Dead owners are found by asking about their
 * slots: before the first sleep, and after a slice.
 *
 * The gate is advice, so it is modelled as whim: whoever looks may find that it is not his turn, at any
 * time and for any time, and a releaser may find the gate closed.  What is proved holds then for any gate.
 * Before the gate one sleeps for a slice only.
 *
 * What is proved.  Never two inside.  Who takes a dead owner's lock is told.  Nobody sleeps on for ever: at
 * the end of everything all are done or dead.  Slices are used only for what the code needs them for: a
 * sleeper's slice that finds a living owner, or none, is no step here.
 *
 * Abstract: a process is dead to slots from the moment it dies.  `holder` and `depth` belong to the owner.
 *
 * N processes, ROUNDS rounds each, up to MAXK kills.  TIMED: process 1 gives up at any time.
 *
 * RUN: -DN=3 -DMAXK=2
 * RUN: -DN=3 -DMAXK=1 -DGATE -DTIMED
 * BIG: -DN=4 -DMAXK=1
 * BIG: -DN=4 -DMAXK=2
 * BIG: -DN=3 -DMAXK=2 -DGATE -DROUNDS=2
 * BIG: -DN=4 -DMAXK=1 -DGATE -DTIMED
 * MUTANT_EXCHANGE: -DN=3 -DMAXK=1         WAITERS does not stay when the lock is given up
 * MUTANT_NO_PENDING: -DN=3 -DMAXK=1       `pending` is not kept through the sleep
 * MUTANT_NO_ORACLE: -DN=3 -DMAXK=1        nobody asks whether the owner is dead
 * MUTANT_BLIND_TAKE: -DN=3 -DMAXK=1       a dead owner's lock is taken without comparing
 * MUTANT_TAKE_CLEARS: -DN=3 -DMAXK=1      ... and WAITERS is lost
 * MUTANT_NO_BIT_29: -DN=3 -DMAXK=1        the kernel takes a dying waiter for the owner
 */
#ifndef N
#define N 3
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

byte owner = 0;
bit waiters = 0;
bit asleep[N + 1], dead[N + 1];
byte inside = 0, kills = 0, left = N;
bit dirty = 0;

#define KILL (kills < MAXK) -> kills++; goto die

inline wake_one()
{
        if
        :: asleep[1] -> asleep[1] = 0
        :: asleep[2] -> asleep[2] = 0
        :: asleep[3] -> asleep[3] = 0
#if N >= 4
        :: asleep[4] -> asleep[4] = 0
#endif
        :: else -> skip
        fi
}
#if N == 3
#define ANY_ASLEEP (asleep[1] || asleep[2] || asleep[3])
#else
#define ANY_ASLEEP (asleep[1] || asleep[2] || asleep[3] || asleep[4])
#endif

proctype process(byte me)
{
        byte v = 0, k = 0;
        bit w = 0, pending = 0, woken = 0, look_for_dead = 1;

again:  pending = 1;
look:   atomic { /* one look at the word; take() if it is free and our turn */
                if
                :: KILL
                :: owner == 0 -> owner = me; assert(!dirty); goto got
                :: owner != 0 -> v = owner; w = waiters
#ifdef GATE
                :: owner == 0 -> goto gate
                :: owner != 0 -> goto gate
#endif
                fi
        };
#ifndef MUTANT_NO_ORACLE
        if
        :: atomic { look_for_dead && dead[v] ->
                if
                :: KILL
#ifdef MUTANT_BLIND_TAKE
                :: true -> owner = me; dirty = 0; v = 0; w = 0; goto got
#else
                :: owner == v && waiters == w -> owner = me; dirty = 0; v = 0; w = 0; /* MPROC_OWNER_DIED */
#ifdef MUTANT_TAKE_CLEARS
                        waiters = 0;
#endif
                        goto got
                :: !(owner == v && waiters == w) -> v = 0; w = 0; goto look
#endif
                fi }
        :: atomic { !(look_for_dead && dead[v]) -> skip }
        fi;
#endif
#ifdef TIMED
        if :: me == 1 -> goto give_up :: true -> skip fi;
#endif
        atomic { /* CAS v -> v | WAITERS */
                if
                :: KILL
                :: owner == v && waiters == w -> waiters = 1
                :: !(owner == v && waiters == w) -> v = 0; w = 0; goto look
                fi
        };
        atomic { /* mproc__word_wait */
                if
                :: KILL
                :: owner == v && waiters -> asleep[me] = 1; v = 0; w = 0
#ifdef MUTANT_NO_PENDING
                                         ; pending = 0
#endif
                :: !(owner == v && waiters) -> v = 0; w = 0; look_for_dead = 0; goto look
                fi
        };
        atomic { /* asleep, or woken and not yet run; or a slice that finds the owner dead */
                if
                :: KILL
                :: !asleep[me] -> pending = 1; woken = 1; look_for_dead = 0; goto look
#ifndef MUTANT_NO_ORACLE
                :: asleep[me] && dead[owner] -> asleep[me] = 0; woken = 0; look_for_dead = 1; goto look
#endif
#ifdef TIMED
                :: me == 1 && asleep[me] -> asleep[me] = 0; goto give_up
#endif
                fi
        };
#ifdef GATE
gate:   /* not his turn: pass the wake-up on, sleep for a slice, look again */
        if
        :: atomic { woken -> if :: KILL :: true -> wake_one(); woken = 0 fi }
        :: atomic { !woken -> skip }
        fi;
        atomic { if :: KILL :: true -> v = 0; w = 0; look_for_dead = 1; goto look fi };
#endif
give_up:
        atomic { if :: KILL :: true -> pending = 0; v = 0; w = 0; goto done fi };

got:    pending = 0;
        atomic { if :: KILL :: true -> inside++; assert(inside == 1); dirty = 1 fi };
        atomic { if :: KILL :: true -> inside--; dirty = 0 fi };
        pending = 1;
#ifdef MUTANT_EXCHANGE
        atomic { if :: KILL :: !waiters -> owner = 0; goto released :: waiters -> owner = 0; waiters = 0 fi };
        atomic { if :: KILL :: true -> wake_one(); goto released fi };
#endif
        atomic { /* the gate is not closed and nobody waits: CAS v -> 0 */
                if
                :: KILL
                :: !waiters -> owner = 0; goto released
                :: waiters -> skip
#ifdef GATE
                :: !waiters -> skip
#endif
                fi
        };
        atomic { /* mproc__word_free_and_wake_one */
                if
                :: KILL
                :: true ->
                        owner = 0; waiters = 1;
                        if :: ANY_ASLEEP -> wake_one(); goto released :: else fi
                fi
        };
        atomic { /* mproc__word_clear_waiters_and_wake_all; not with the gate closed */
                if
                :: KILL
                :: true -> waiters = 0; for (v : 1 .. N) { asleep[v] = 0 }; v = 0
#ifdef GATE
                :: true -> skip
#endif
                fi
        };
released:
        atomic { if :: KILL :: true -> pending = 0 fi };
        atomic { k++; woken = 0; look_for_dead = 1; if :: k < ROUNDS -> goto again :: else -> goto done fi };
die:    atomic {
                asleep[me] = 0;
                if :: owner == me && inside == 1 -> inside = 0 :: else fi;
                if
#ifdef MUTANT_NO_BIT_29
                :: pending && owner != 0 && owner != me -> owner = 0; if :: waiters -> wake_one() :: else fi
#endif
                :: pending && owner == 0 -> wake_one()
                :: else -> skip
                fi;
                dead[me] = 1
        };
done:   atomic { left--; v = 0; w = 0; k = 0; pending = 0; woken = 0; look_for_dead = 0 }
}

init {
        byte p;

        atomic { for (p : 1 .. N) { run process(p) } };
        timeout -> assert(left == 0)
}
