/* SPDX-License-Identifier: MIT */
/*
 * robust.pml - the lock inside shared objects (src/sync/robust.*, src/platform/futex.h).
 *
 * The word is modelled by its three parts; whatever the code reads or changes in one step is one step
 * here.  The lines of the code stand beside the steps.
 *
 * The kernel: a death looks at `pending`.  The word's owner is the dead one: OWNER_DIED, and one
 * sleeper is woken if WAITERS is set.  The owner is 0: one sleeper is woken.  Anything else: nothing.
 * That is one step, and wakes any of the sleepers.
 *
 * What is proved.  Never two inside.  Who comes after a death inside is told (whoever finds the state
 * `dirty` without being told fails).  Nobody sleeps on for ever: at the end of everything all are done
 * or dead.  Without any slices, so the slices of the code are a net only.
 *
 * With TIMED, process 1 gives up waiting at any time (deadline, or close), and leaves WAITERS behind.
 *
 * Not covered: memory order (all steps are sequentially consistent here, and are so in the code: the
 * compare-and-swaps and the system calls); kernels before 6.2 (MUTANT_OLD_KERNEL is what happens there
 * without slices).
 *
 * N processes, ROUNDS rounds each, up to MAXK kills.
 *
 * RUN: -DN=4 -DMAXK=1
 * RUN: -DN=4 -DMAXK=2
 * RUN: -DN=3 -DMAXK=2 -DROUNDS=2 -DTIMED
 * BIG: -DN=4 -DMAXK=3 -DTIMED
 * BIG: -DN=5 -DMAXK=2
 * BIG: -DN=4 -DMAXK=2 -DROUNDS=2
 * MUTANT_EXCHANGE: -DN=3 -DMAXK=1         WAITERS does not stay (as in glibc's robust mutex)
 * MUTANT_LATE_CLEAR: -DN=4 -DMAXK=1       WAITERS is cleared by a compare-and-swap of its own, without waking
 * MUTANT_NO_PENDING: -DN=3 -DMAXK=1       `pending` is not kept through the sleep
 * MUTANT_PENDING_LATE: -DN=3 -DMAXK=1     `pending` is set after the first attempt
 * MUTANT_PENDING_EARLY: -DN=3 -DMAXK=1    `pending` is cleared before the lock is given up
 * MUTANT_OLD_KERNEL: -DN=3 -DMAXK=2       the kernel wakes only if the whole word is 0
 */
#ifndef N
#define N 4
#endif
#ifndef MAXK
#define MAXK 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

byte owner = 0; /* the word: the owner's id, WAITERS, OWNER_DIED */
bit waiters = 0, owner_died = 0;
bit asleep[N + 1];
byte inside = 0, kills = 0, left = N;
bit dirty = 0; /* what the lock guards is half done */

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
#if N >= 5
        :: asleep[5] -> asleep[5] = 0
#endif
        :: else -> skip
        fi
}
#if N == 3
#define ANY_ASLEEP (asleep[1] || asleep[2] || asleep[3])
#elif N == 4
#define ANY_ASLEEP (asleep[1] || asleep[2] || asleep[3] || asleep[4])
#else
#define ANY_ASLEEP (asleep[1] || asleep[2] || asleep[3] || asleep[4] || asleep[5])
#endif

proctype process(byte me)
{
        byte v = 0, k = 0; /* v: the owner as it was seen */
        bit w = 0, pending = 0;

again:
#ifndef MUTANT_PENDING_LATE
        pending = 1; /* mproc__word_set_pending */
#endif
look:   atomic { /* robust_try, or in lock_slow: owner field 0, CAS v -> (v & WAITERS) | tid.  A failed one looks again */
                if
                :: KILL
                :: owner == 0 ->
                        owner = me;
                        if :: owner_died -> dirty = 0 :: else fi; /* MPROC__ROBUST_RECOVERED */
                        owner_died = 0; v = 0; w = 0;
                        assert(!dirty);
                        goto got
                :: owner != 0 -> v = owner; w = waiters
                fi
        };
#ifdef MUTANT_PENDING_LATE
        pending = 1;
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
        atomic { /* mproc__word_wait: compare and sleep */
                if
                :: KILL
                :: owner == v && waiters -> asleep[me] = 1; v = 0; w = 0
#ifdef MUTANT_NO_PENDING
                                         ; pending = 0
#endif
                :: !(owner == v && waiters) -> v = 0; w = 0; goto look
                fi
        };
        atomic { /* asleep, or woken and not yet run */
                if
                :: KILL
                :: !asleep[me] -> pending = 1; goto look
#ifdef TIMED
                :: me == 1 && asleep[me] -> asleep[me] = 0; goto give_up
#endif
                fi
        };
give_up: /* mproc__word_clear_pending */
        atomic { if :: KILL :: true -> pending = 0; v = 0; w = 0; goto done fi };

got:
#ifdef MUTANT_PENDING_LATE
        atomic { if :: KILL :: true -> pending = 1 fi };
#endif
        atomic { if :: KILL :: true -> inside++; assert(inside == 1); dirty = 1 fi };
        atomic { if :: KILL :: true -> inside--; dirty = 0 fi };
#ifdef MUTANT_PENDING_EARLY
        atomic { if :: KILL :: true -> pending = 0 fi };
#endif
#ifdef MUTANT_EXCHANGE
        atomic { if :: KILL :: !waiters -> owner = 0; goto released :: waiters -> owner = 0; waiters = 0 fi };
        atomic { if :: KILL :: true -> wake_one(); goto released fi };
#endif
        atomic { /* robust_unlock: CAS tid -> 0 */
                if
                :: KILL
                :: !waiters -> owner = 0; goto released
                :: waiters -> skip
                fi
        };
        atomic { /* unlock_slow: mproc__word_free_and_wake_one: word = WAITERS; wake 1 */
                if
                :: KILL
                :: true ->
                        owner = 0; owner_died = 0; waiters = 1;
                        if :: ANY_ASLEEP -> wake_one(); goto released :: else fi
                fi
        };
        atomic { /* mproc__word_clear_waiters_and_wake_all: word &= ~WAITERS; wake all */
                if
                :: KILL
#ifdef MUTANT_LATE_CLEAR
                :: true -> if :: owner == 0 && waiters -> waiters = 0 :: else fi
#else
                :: true -> waiters = 0; for (v : 1 .. N) { asleep[v] = 0 }; v = 0
#endif
                fi
        };
released:
        atomic { if :: KILL :: true -> pending = 0 fi };
        k++;
        if :: k < ROUNDS -> goto again :: else -> goto done fi;
die:    atomic { /* the kernel, at this thread's end */
                asleep[me] = 0;
                if :: owner == me && inside == 1 -> inside = 0 :: else fi;
                if
                :: pending && owner == me -> owner = 0; owner_died = 1; if :: waiters -> wake_one() :: else fi
#ifdef MUTANT_OLD_KERNEL
                :: pending && owner == 0 && !waiters && !owner_died -> wake_one()
                :: pending && owner == 0 && (waiters || owner_died) -> skip
#else
                :: pending && owner == 0 -> wake_one()
#endif
                :: else -> skip
                fi
        };
done:   atomic { left--; v = 0; w = 0; k = 0; pending = 0 }
}

init {
        byte p;

        atomic { for (p : 1 .. N) { run process(p) } };
        timeout -> assert(left == 0)
}
