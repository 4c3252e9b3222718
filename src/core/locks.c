/* SPDX-License-Identifier: MIT */
/*
 * core/locks.c - the ranked global locks.
 *
 * Runs in: every process.  Owns: the mutexes.
 */
#include "core/locks.h"

#include <assert.h>
#include <pthread.h>

static pthread_mutex_t mutexes[] = {
        [MPROC__LOCK_START] = PTHREAD_MUTEX_INITIALIZER,    [MPROC__LOCK_CONTEXT] = PTHREAD_MUTEX_INITIALIZER,
        [MPROC__LOCK_CHILDREN] = PTHREAD_MUTEX_INITIALIZER, [MPROC__LOCK_PROGRAM] = PTHREAD_MUTEX_INITIALIZER,
        [MPROC__LOCK_STASH] = PTHREAD_MUTEX_INITIALIZER,    [MPROC__LOCK_SEGMENTS] = PTHREAD_MUTEX_INITIALIZER,
        [MPROC__LOCK_OBJECTS] = PTHREAD_MUTEX_INITIALIZER,  [MPROC__LOCK_LOG] = PTHREAD_MUTEX_INITIALIZER,
};
_Static_assert(sizeof mutexes / sizeof *mutexes == MPROC__LOCK_COUNT, "a mutex for each lock");

#ifndef NDEBUG
static __thread unsigned held; /* one bit a lock */
#endif

void
mproc__lock(enum mproc__lock which)
{
#ifndef NDEBUG
        assert((held >> which) == 0); /* this lock, or one that ranks lower, is held: see locks.h */
        held |= 1u << which;
#endif
        (void)pthread_mutex_lock(&mutexes[which]);
}

void
mproc__unlock(enum mproc__lock which)
{
#ifndef NDEBUG
        assert(held & (1u << which));
        held &= ~(1u << which);
#endif
        (void)pthread_mutex_unlock(&mutexes[which]);
}

/*
 * The forking thread may itself hold MPROC__LOCK_START: a start by fork is made
 * under no lock, but a user's atfork handler may call us.  None of our own code
 * forks with a lock of this table held, which the assertion in mproc__lock keeps.
 */
void
mproc__locks_prepare_fork(void)
{
        for (int i = 0; i < MPROC__LOCK_COUNT; i++)
                mproc__lock((enum mproc__lock)i);
}

void
mproc__locks_parent_after_fork(void)
{
        for (int i = MPROC__LOCK_COUNT - 1; i >= 0; i--)
                mproc__unlock((enum mproc__lock)i);
}

void
mproc__locks_child_after_fork(void)
{
        for (int i = MPROC__LOCK_COUNT - 1; i >= 0; i--)
                mutexes[i] = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; /* nobody else is here who could wait */
#ifndef NDEBUG
        held = 0;
#endif
}
