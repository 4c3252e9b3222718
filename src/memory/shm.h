/* SPDX-License-Identifier: MIT */
/*
 * memory/shm.h - shared memory from inside.
 *
 *      shm.c        handles: making, passing on, closing
 */
#ifndef MPROC_MEMORY_SHM_H
#define MPROC_MEMORY_SHM_H

#include "core/object.h"

#include <mproc/shm.h>
#include <pthread.h>

struct mproc_shm {
        struct mproc__object object;
        pthread_mutex_t mutex; /* the fields below, but see data and size */
        int fd;                /* -1: closed */
        uint8_t *base;         /* what is mapped */
        size_t mapped;
        _Atomic(void *) data; /* the user's part of it; read without the mutex */
        _Atomic size_t size;
};

extern const struct mproc__object_type mproc__shm_type;

#endif
