/* SPDX-License-Identifier: MIT */
/*
 * mproc/barrier.h - barriers: nobody goes on before all have come.
 */
#ifndef MPROC_BARRIER_H
#define MPROC_BARRIER_H

#include <mproc/args.h>
#include <mproc/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MPROC_BARRIER_PARTIES_MAX 4096

/*
 * A new barrier for so many parties, 1 to MPROC_BARRIER_PARTIES_MAX.  timeout_ms: what a wait
 * takes that names none of its own; MPROC_FOREVER: no limit.  The caller owns *ret_barrier.
 * -EINVAL: parties.  -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: no descriptor or memory left.  MT-Safe.
 * Origin: multiprocessing.Barrier, which takes its action here; see mproc_barrier_wait_action.
 */
MPROC_API int mproc_barrier_create(mproc_context *ctx, unsigned parties, int64_t timeout_ms,
                                   mproc_barrier **ret_barrier);

/*
 * Wait until as many have come as there are parties; then all go on, and the barrier serves
 * the next round.  Returns the order in which this one came, 0 to parties - 1.
 * timeout_ms: at most so long; MPROC_FOREVER: as long as the barrier was created with.
 *      MPROC_ETIMEDOUT   not all have come in time.  That has broken the barrier for all.
 *      MPROC_EBROKEN     the barrier is broken, or was while this one waited: a wait timed out, somebody
 *                        aborted or reset it, its action failed, or a process died waiting; the words
 *                        tell what and who.  It stays broken until mproc_barrier_reset.
 *      -EAGAIN           as many as there are parties are stopped (SIGSTOP) on their way out
 * A process that dies in here breaks the barrier: those who wait find out within about a tenth of a
 * second, who comes last does at once.  MPROC_EPROGRAM, MPROC_EHANDLE.  EINTR is
 * invisible.  MT-Safe.  Origin: Barrier.wait.
 */
MPROC_API int mproc_barrier_wait(mproc_barrier *barrier, int64_t timeout_ms);

/* 0; a negative code: it failed, and the barrier breaks. */
typedef int mproc_action_fn(void *arg);

/*
 * The same; who comes last calls action(arg) before all go on.  Each party names its own, since
 * functions have no address that all processes share; usually all name the same.  A negative
 * result breaks the barrier and is returned here; the others get MPROC_EBROKEN.
 */
MPROC_API int mproc_barrier_wait_action(mproc_barrier *barrier, mproc_action_fn *action, void *arg,
                                        int64_t timeout_ms);

/* Break it: all who wait, and all who come, get MPROC_EBROKEN.  Does not block.  MPROC_EHANDLE.  MT-Safe.  Origin:
 * Barrier.abort. */
MPROC_API int mproc_barrier_abort(mproc_barrier *barrier);

/*
 * Make it whole and empty.  Those who wait get MPROC_EBROKEN, also those who run later.  Does not block.
 * A process killed in here leaves it as it was, broken, or whole.  MPROC_EHANDLE.  MT-Safe.
 * Origin: Barrier.reset.
 */
MPROC_API int mproc_barrier_reset(mproc_barrier *barrier);

/* How many parties it has; how many of them wait at this moment; 1 if it is broken, 0 if not.  MPROC_EHANDLE.
 * MT-Safe. */
MPROC_API int mproc_barrier_parties(mproc_barrier *barrier);
MPROC_API int mproc_barrier_n_waiting(mproc_barrier *barrier);
MPROC_API int mproc_barrier_broken(mproc_barrier *barrier);

/* End the handle; the barrier itself lives as long as any process has one.  NULL is fine. */
MPROC_API void mproc_barrier_free(mproc_barrier *barrier);

#ifdef __cplusplus
}
#endif
#endif
