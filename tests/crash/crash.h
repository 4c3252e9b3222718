/* SPDX-License-Identifier: MIT */
/*
 * crash/crash.h - a process dies inside an operation, and the others must not notice.
 *
 * crash-steps kills a process after the first instruction of an operation, after the second,
 * the third, ... and each time looks whether the others go on.  A scene is one such operation with
 * its surroundings.  Scenes stand in files steps_NAME.c, one for each kind of object; a new file is
 * found by itself.  A scene sets the stage, lets the victim die after so many steps, and checks:
 *
 *      #include "crash/crash.h"
 *
 *      static mproc_event *event;
 *
 *      static void do_set(void) { (void)mproc_event_set(event); }
 *      static void do_wait(void) { (void)mproc_event_wait(event, MPROC_FOREVER); }
 *
 *      SCENE(set_while_one_waits)
 *      {
 *              enum fate fate;
 *
 *              scene_open();
 *              CHECK_OK(mproc_event_create(scene_context, &event));
 *              scene_keep(event, mproc_event_free);
 *              help(0, do_wait);                                  // a process that sleeps now
 *              fate = step_and_kill(make_victim(do_set), steps);
 *              if (!mproc_event_is_set(event)) {                  // it had done nothing: so do it
 *                      mark();
 *                      CHECK_OK(mproc_event_set(event));
 *              }
 *              CHECK_MSG(helped(0), "the event is set, and the waiter sleeps");
 *              return fate;
 *      }
 *
 * The harness calls it with 0, 1, 2, ... until the victim survives its operation (all of them with
 * MPROC_CRASH=full in the environment, else at random places for a moment; MPROC_CRASH=SEED
 * repeats), closes the scene after each case, counts, and measures how long the helpers took.
 * What a scene may rely on: each case begins with all helpers gone.  What it must not do: wait
 * without an end (use scaled_ms(SERVED_MS)), or believe that a step number means the same place twice.
 *
 * A PAIR has two victims:
 *
 *      PAIR(putter_and_getter)
 *      {
 *              ...
 *              (void)step_and_kill(make_victim(do_put), first);   // 'first' and 'second' are steps
 *              (void)step_and_kill(make_victim(do_get), second);
 *              ...
 *      }
 *
 * Runs in: test processes and their forked children.
 */
#ifndef CRASH_H
#define CRASH_H

#include "support/runner.h"

#include <mproc/mproc.h>
#include <stdatomic.h>
#include <sys/types.h>

/* How long a survivor may take.  The promise is milliseconds; the machine may be busy. */
#define SERVED_MS 3000

enum { HELPERS = 8 };

/* --- scenes -------------------------------------------------------------------------------------------- */

/* What became of a victim. */
enum fate {
        KILLED, /* inside the operation */
        ASLEEP, /* in a system call that waits, where no further instruction comes */
        ENDED   /* it was through before */
};

#define SCENE(name)                                                                                                  \
        static enum fate scene_##name(long steps);                                                                   \
        TEST(name, .limit_s = 3600)                                                                                  \
        {                                                                                                            \
                sweep(#name, scene_##name);                                                                          \
        }                                                                                                            \
        static enum fate scene_##name(long steps)

#define PAIR(name)                                                                                                   \
        static void pair_##name(long first, long second);                                                            \
        TEST(name, .limit_s = 3600)                                                                                  \
        {                                                                                                            \
                sweep_pairs(#name, pair_##name);                                                                     \
        }                                                                                                            \
        static void pair_##name(long first, long second)

void sweep(const char *name, enum fate (*scene)(long steps));
void sweep_pairs(const char *name, void (*pair)(long first, long second));

/* --- the stage ------------------------------------------------------------------------------------------- */

extern mproc_context *scene_context;

void scene_open(void); /* first in each scene: the board is empty */

/* The harness frees it after the case: scene_keep(queue, mproc_queue_free). */
#define scene_keep(object, free_function) scene_keep_((object), (void (*)(void *))(free_function))
void scene_keep_(void *object, void (*free_function)(void *));
void scene_close(void); /* ends helpers that are left, frees what is kept; the harness calls it */

/* Shared with all children of the scene; zeros at its beginning. */
struct board {
        atomic_int finished; /* the victim has returned from its operation */
        atomic_int done[HELPERS];
        _Atomic int64_t done_ns[HELPERS];
        atomic_int result[HELPERS];      /* for the scene's own use: codes, */
        _Atomic uint32_t value[HELPERS]; /* what was got, */
        atomic_long note[HELPERS];       /* anything */
};
extern struct board *board;

/* --- helpers: forked children that do one operation --------------------------------------------------------- */

typedef void operation(void);

extern int current_helper; /* in a helper: which; in a victim: HELPERS - 1 */

void help(int i, operation *op); /* start it and wait until it sleeps, or has ended */
bool helped(int i);              /* it has returned; true if within the time that survivors have */
void kill_helper(int i);         /* it dies, wherever it is */
bool helper_sleeps(int i);       /* and has not returned */

/*
 * From now on a helper that was still asleep could go on: the time until it does is measured from
 * here.  A victim's death and the put_number and get_number of stage.h are marks by themselves.
 */
void mark(void);

/* --- victims: children that die ----------------------------------------------------------------------------- */

/* One that stands before its operation.  It has used a queue, a lock and a semaphore of its own before. */
pid_t make_victim(operation *op);
pid_t make_prepared_victim(operation *prepare, operation *op); /* it has done `prepare` before */

enum fate step_and_kill(pid_t victim, long steps);

/* The same, but it lives, and stands where it is (KILLED: inside the operation).  kill_and_reap ends it. */
enum fate step_to(pid_t victim, long steps);

/*
 * Let it run until it sleeps on a word of shared memory; it stops when it wakes.  await_waking waits
 * for that; has_woken looks.
 */
void run_to_sleep(pid_t victim);
void await_waking(pid_t victim);
bool has_woken(pid_t victim);

/* --- processes ---------------------------------------------------------------------------------------------- */

bool sleeps(pid_t pid);         /* in the kernel?  Looks several times. */
void await_sleep_of(pid_t pid); /* or its end */
void kill_and_reap(pid_t pid);

/* --- inside the harness --------------------------------------------------------------------------------------- */

/* How long survivors took: counts up to 0.2, 0.5, 1, 2, 5, 10, 100 ms, and above. */
struct tally {
        char what[300]; /* is being tried: told by the process that watches, when a check has ended the other */
        unsigned long cases, served[8];
        int64_t worst_ns;
};
extern struct tally *tally;

#endif
