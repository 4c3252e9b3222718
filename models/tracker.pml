/* SPDX-License-Identifier: MIT */
/*
 * tracker.pml - the tracker: one is there, another takes its place, and it clears up once, at the end
 * (src/tracker/client.c, src/tracker/main.c, src/program/beacon.*).
 *
 * D is the program's open file description of the beacon: it holds the life byte as long as anybody has it
 * open, which all members have, and a tracker that is being started.  The tracker has a description of
 * its own, its lock on the tracker byte, and waits to claim the life byte.  A member that needs it looks
 * for the tracker byte; if that is free he takes the start byte, looks again, spawns a starter with D,
 * which forks the tracker, waits until that has said what became of it, and ends; the member waits for
 * the starter's end, and if it was killed, or the tracker is gone again, spawns once more.  A stranger (another program that
 * starts) sweeps what is over and untracked.
 *
 * What is proved.  Nobody clears up while a member lives.  No member waits for the dead, and none is told of
 * failure before two processes were killed.  At the end of everything no tracker is left, and what the
 * members left is gone: by the tracker, or, if that was killed after them, by the next stranger.
 *
 * Abstract: the kernel's locks: given up by death, in one step with it.  A member's table of names is one
 * name; names of the dead and their files are swept in one step (it is idempotent).
 *
 * NM members of USES uses each, up to MAXK kills of members, starters and trackers.
 *
 * RUN: -DNM=2 -DUSES=1 -DMAXK=1
 * RUN: -DNM=1 -DUSES=2 -DMAXK=2
 * RUN: -DNM=2 -DUSES=1 -DMAXK=2
 * RUN: -DNM=2 -DUSES=2 -DMAXK=2
 * MUTANT_KEEP: -DNM=1 -DUSES=1 -DMAXK=0             the tracker keeps the program's description open
 * MUTANT_OWN_LIFE: -DNM=2 -DUSES=1 -DMAXK=0         life belongs to the first member, not to the description
 * MUTANT_SAY_EARLY: -DNM=1 -DUSES=1 -DMAXK=0        the tracker says it is there before it has its lock
 * MUTANT_NO_RETRY: -DNM=1 -DUSES=1 -DMAXK=1         a starter that was killed is not replaced
 * MUTANT_NO_RETRY_AFTER_BIRTH: -DNM=1 -DUSES=1 -DMAXK=1      ... only if it was killed before it said that it is there
 * MUTANT_NO_SWEEP: -DNM=1 -DUSES=1 -DMAXK=1             nobody sweeps for a tracker that was killed
 */
#ifndef NM
#define NM 2
#endif
#ifndef USES
#define USES 1
#endif
#ifndef MAXK
#define MAXK 1
#endif
#define STARTS (NM * USES * 2 + 1)

byte d_open = NM;            /* copies of D */
bit start_taken = 0, tracker_taken = 0, life_claimed = 0;
bit names = 0;               /* something that is to be removed at the end */
byte living = NM, trackers = 0, kills = 0, starts = 0;
byte said[STARTS];           /* over the pipe: 0 nothing yet, 1 it is there or not needed, 2 it was closed */
byte ended[STARTS];          /* the starter: 0 runs, 1 ended, 2 was killed */
bit first_lives = 1, tracker_killed = 0;

#define KILL (kills < MAXK) -> kills++; goto die
#ifdef MUTANT_OWN_LIFE
#define OVER (!first_lives)
#else
#define OVER (d_open == 0)
#endif

proctype tracker(byte s)
{
        bit d = 1, mine = 0, claimed = 0;

#ifdef MUTANT_SAY_EARLY
        atomic { if :: KILL :: true -> said[s] = 1 fi };
#endif
#ifndef MUTANT_KEEP
        atomic { if :: KILL :: true -> d_open--; d = 0 fi };                                /* dup3 over it */
#endif
        atomic { if :: KILL :: !tracker_taken -> tracker_taken = 1; mine = 1 :: tracker_taken -> skip fi };
        atomic { if :: KILL :: true -> said[s] = 1; if :: !mine -> goto end :: else fi fi };
        atomic { if :: KILL :: OVER && !life_claimed -> life_claimed = 1; claimed = 1 fi }; /* waits here for the end */
        atomic { if :: KILL :: true -> assert(living == 0); names = 0; goto end fi };
die:    tracker_killed = 1;
end:    atomic {
                if :: d -> d_open-- :: else fi;
                if :: said[s] == 0 -> said[s] = 2 :: else fi;
                if :: mine -> tracker_taken = 0 :: else fi;
                if :: claimed -> life_claimed = 0 :: else fi;
                trackers--
        }
}

proctype starter(byte s)
{
        byte how = 2;

        atomic { if :: KILL :: true -> d_open++; trackers++; run tracker(s) fi };
        atomic { if :: KILL :: said[s] != 0 -> how = said[s] fi }; /* 2: it kills itself, too */
die:    atomic { d_open--; ended[s] = how }
}

/* Killed on its way, or as soon as it was there (MPROC__TRACKER_BORN). */
#if defined MUTANT_NO_RETRY
#define AGAIN false
#elif defined MUTANT_NO_RETRY_AFTER_BIRTH
#define AGAIN (ended[s] == 2)
#else
#define AGAIN true
#endif

proctype member(byte me)
{
        byte k = 0, s = 0, tries = 0;
        bit holds = 0;

again:  atomic { if :: KILL :: tracker_taken -> goto use :: !tracker_taken -> skip fi };
        atomic { if :: KILL :: !start_taken -> start_taken = 1; holds = 1; tries = 0 fi };
        atomic { if :: KILL :: tracker_taken -> goto unlock :: !tracker_taken -> skip fi };
spawn:  atomic { if :: KILL :: true -> s = starts; starts++; tries++; d_open++; run starter(s) fi };
        atomic { if :: KILL :: ended[s] != 0 -> skip fi };
        atomic {
                if
                :: KILL
                :: tracker_taken -> skip
                :: !tracker_taken && AGAIN && tries == 1 -> goto spawn
                :: !tracker_taken && !(AGAIN && tries == 1) -> assert(kills >= 2); goto failed
                fi
        };
unlock: atomic { if :: KILL :: true -> start_taken = 0; holds = 0 fi };
use:    atomic { if :: KILL :: true -> names = 1 fi };
        atomic { k++; if :: k < USES -> goto again :: else -> goto failed fi };
die:    skip;
failed: atomic { if :: holds -> start_taken = 0 :: else fi; d_open--; living--; if :: me == 1 -> first_lives = 0 :: else fi }
}

init {
        byte p;

        atomic { for (p : 1 .. NM) { run member(p) } };
        timeout -> atomic {
                assert(living == 0);
                assert(trackers == 0);
                assert(!tracker_taken && !life_claimed && OVER);
                /* It is over and untracked.  The next program's sweep is needed only if a tracker was killed. */
                assert(!names || tracker_killed);
#ifndef MUTANT_NO_SWEEP
                names = 0;
#endif
                assert(!names)
        }
}
