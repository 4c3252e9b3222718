/* SPDX-License-Identifier: MIT */
/*
 * process/exit.c - the orderly end: daemons are terminated, the others joined.
 *
 * Runs in: every process that has started children, in exit() or, in a forked
 * child, just before _exit().
 * Owns: the policy.
 */
#include "process/exit.h"
#include "core/error.h"
#include "core/log.h"
#include "process/child.h"

#include <errno.h>
#include <mproc/process.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A daemon that has not followed SIGTERM by then is killed. */
#define DAEMON_GRACE_NS INT64_C(3000000000)

static _Atomic int policy = MPROC_EXIT_JOIN;
static pthread_once_t once = PTHREAD_ONCE_INIT;

int
mproc_set_exit_policy(enum mproc_exit_policy wanted)
{
        if (wanted != MPROC_EXIT_JOIN && wanted != MPROC_EXIT_LEAVE)
                return mproc__fail(-EINVAL, "exit policy %d: it is MPROC_EXIT_JOIN or MPROC_EXIT_LEAVE", (int)wanted);
        atomic_store(&policy, (int)wanted);
        return 0;
}

static void
finish(void)
{
        struct mproc__child **alive;
        int64_t grace;
        size_t n;

        if (atomic_load(&policy) == MPROC_EXIT_LEAVE || !mproc__children_any() || mproc__children_alive(&alive, &n) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                if (alive[i]->daemon)
                        (void)mproc__child_signal(alive[i], SIGTERM);
        grace = mproc__plat_now_ns() + DAEMON_GRACE_NS;
        for (size_t i = 0; i < n; i++) {
                if (alive[i]->daemon && !mproc__child_wait(alive[i], grace)) {
                        mproc__log(MPROC_LOG_WARNING, "daemon %s (pid %ld) did not end by SIGTERM: killed",
                                   alive[i]->name, (long)alive[i]->pid);
                        (void)mproc__child_signal(alive[i], SIGKILL);
                }
        }
        for (size_t i = 0; i < n; i++) {
                (void)mproc__child_wait(alive[i], MPROC__NEVER);
                mproc__child_unref(alive[i]);
        }
        free(alive);
}

static void
install(void)
{
        mproc__start_hooks.forked = mproc__children_forked;
        mproc__start_hooks.finish = finish;
        (void)atexit(finish);
}

void
mproc__exit_prepare(void)
{
        (void)pthread_once(&once, install);
}
