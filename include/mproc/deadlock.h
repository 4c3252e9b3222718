/* SPDX-License-Identifier: MIT */
/*
 * mproc/deadlock.h - who waits for whom: finding processes that wait for each other.
 *
 * With detection on, a thread that sleeps in an acquire or a join writes down what it waits for
 * and who holds that, where all processes of the program can read it.  From that is told
 * which of them wait for each other in a circle.  What counts: locks, recursive locks (also when a condition
 * takes its lock back), bounded semaphores whose permits come back from the dead, and
 * joins of children and of the parent.
 *
 * A deadlock that is told is one: each of its threads waited, and was held up by the next, at one and the same
 * moment.  It can still end, by a timeout, a process that dies, or somebody who releases
 * what others hold.
 */
#ifndef MPROC_DEADLOCK_H
#define MPROC_DEADLOCK_H

#include <mproc/args.h>
#include <mproc/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Turn detection on or off, in this process and in those that it starts from now on, and that they start: call it before the
 * first process is started.  It is off until then, and costs nothing.  On, it costs sleepers some microseconds, ten
 * times a second.
 *
 * A thread that has waited for report_after_ms tells the log hook (mproc_set_log) of its process, from within the
 * wait and as a warning, what it waits for, who holds that, and what he waits for in turn; and tells it
 * again, once, when that has become a circle.  MPROC_FOREVER: the log hears of circles only when a
 * wait times out in one.  Then mproc_last_error, too, names it, whatever report_after_ms is.
 * MPROC_EPROGRAM, -EMFILE, ... : the program's memory of waits cannot be reached.
 * MT-Safe.  Does not block.  Origin: none in multiprocessing.
 */
MPROC_API int mproc_set_deadlock_detection(int on, int64_t report_after_ms);

/*
 * Are there threads of this program that wait for each other?  1: *ret_text tells of each circle, and of those who
 * wait for one, a line with '\n' each: who waits how long for what, and who holds it.  0: no, and it is "".  The
 * caller frees it with free().  A circle is seen some 200 ms after it has closed.  Any process of the program may
 * ask.  -ENODATA: detection is off; -ENOMEM; MPROC_EPROGRAM.  MT-Safe.
 */
MPROC_API int mproc_deadlock_find(char **ret_text);

/*
 * All waits of the program's processes that have lasted for 10 ms or more, also for what nobody in particular holds:
 * how many, and a line with '\n' for each in *ret_text, the longest first.  The caller frees it with free().  At most
 * 16 threads of a process are shown.  Errors as above.  MT-Safe.
 */
MPROC_API int mproc_deadlock_waits(char **ret_text);

/*
 * What a lock is called in reports and in the words of failures: for all processes that have it, from now on.
 * At most MPROC_LOCK_NAME_MAX bytes are kept.  NULL or "": no name; then it has a number.  MPROC_EHANDLE.  MT-Safe.
 */
#define MPROC_LOCK_NAME_MAX 31
MPROC_API int mproc_lock_set_name(mproc_lock *lock, const char *name);
MPROC_API int mproc_rlock_set_name(mproc_rlock *rlock, const char *name);

#ifdef __cplusplus
}
#endif
#endif
