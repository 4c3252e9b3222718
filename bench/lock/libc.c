/* SPDX-License-Identifier: MIT */
/*
 * bench/lock/libc.c - what libc has: process-shared mutexes, plain and robust, and sem_t.
 *
 * Runs in: the conductor and its members.
 */
#include "lock.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

static void *
create(void *memory, int robust)
{
        pthread_mutexattr_t attributes;
        int r;

        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        if (robust)
                pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        r = pthread_mutex_init(memory, &attributes);
        pthread_mutexattr_destroy(&attributes);
        return r == 0 ? memory : NULL;
}

static void *
create_plain(void *memory)
{
        return create(memory, 0);
}

static void *
create_robust(void *memory)
{
        return create(memory, 1);
}

static int
mutex_pairs(void *mutex, volatile uint64_t *guarded, unsigned pairs)
{
        while (pairs-- > 0) {
                if (pthread_mutex_lock(mutex) != 0)
                        return -1;
                ++*guarded;
                if (pthread_mutex_unlock(mutex) != 0)
                        return -1;
        }
        return 0;
}

static void
destroy_mutex(void *mutex)
{
        (void)pthread_mutex_destroy(mutex); /* busy if its owner was killed: it goes with the memory */
}

const struct bench_lock bench_lock_pthread = {
        .name = "pthread",
        .label = "pthread mutex, process-shared",
        .bytes = sizeof(pthread_mutex_t),
        .create = create_plain,
        .pairs = mutex_pairs,
        .destroy = destroy_mutex,
};

const struct bench_lock bench_lock_robust = {
        .name = "pthread_robust",
        .label = "pthread mutex, robust",
        .bytes = sizeof(pthread_mutex_t),
        .create = create_robust,
        .pairs = mutex_pairs,
        .destroy = destroy_mutex,
};

static void *
create_sem(void *memory)
{
        return sem_init(memory, 1, 1) == 0 ? memory : NULL;
}

static int
sem_pairs(void *sem, volatile uint64_t *guarded, unsigned pairs)
{
        while (pairs-- > 0) {
                while (sem_wait(sem) < 0)
                        if (errno != EINTR)
                                return -1;
                ++*guarded;
                if (sem_post(sem) < 0)
                        return -1;
        }
        return 0;
}

static void
destroy_sem(void *sem)
{
        sem_destroy(sem);
}

const struct bench_lock bench_lock_sem = {
        .name = "sem_t",
        .label = "sem_t, process-shared",
        .bytes = sizeof(sem_t),
        .create = create_sem,
        .pairs = sem_pairs,
        .destroy = destroy_sem,
};
