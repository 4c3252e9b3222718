/* SPDX-License-Identifier: MIT */
/*
 * memory/shm.h - shared memory from inside.
 *
 *      shm.c          handles: passing on, looking, closing
 *      shm_make.c     making memory and attaching to it
 *      shm_change.c   what can be changed: size, seals, pages given back
 */
#ifndef MPROC_MEMORY_SHM_H
#define MPROC_MEMORY_SHM_H

#include "core/object.h"

#include <mproc/shm.h>
#include <pthread.h>

/*
 * A handle.  Fixed once it is made: name, head, huge.  data, size and readonly are read by anybody
 * and changed under the mutex; the rest is read and changed under it.
 */
struct mproc_shm {
        struct mproc__object object;
        char *name;  /* NULL: none */
        size_t head; /* bytes of the file in front of the user's: names.h's page, or none */
        int huge;    /* enum mproc_shm_huge */
        pthread_mutex_t mutex;
        int fd; /* -1: closed */
        uint8_t *base;
        size_t mapped;
        unsigned tenants; /* arrays and the like of this process that lie in it: it must stay where it is */
        _Atomic(void *) data;
        _Atomic size_t size;
        _Atomic bool readonly;
};

extern const struct mproc__object_type mproc__shm_type;

/* A handle without memory, and not yet an object; -ENOMEM has words. */
struct mproc_shm *mproc__shm_blank(void);
void mproc__shm_dispose(struct mproc_shm *shm); /* the same way back */

/* Have size bytes of what its descriptor means in view.  The mutex is held, or nobody else has the handle.  With
 * words. */
int mproc__shm_view(struct mproc_shm *shm, size_t size);

/* How many bytes the mapping of a view has; 0: more than there are addresses. */
size_t mproc__shm_mapping(const struct mproc_shm *shm, size_t size);

/* How many bytes there are for users.  With words. */
int mproc__shm_length(const struct mproc_shm *shm, uint64_t *ret_length);

/* Is there room for so many bytes more?  reserve: as in the options.  With words. */
int mproc__shm_check_room(const struct mproc_shm *shm, uint64_t more, int reserve);

/* 0, or MPROC_EHANDLE; with the mutex held MPROC_ECLOSED.  With words. */
int mproc__shm_check(const struct mproc_shm *shm);
int mproc__shm_check_open(const struct mproc_shm *shm);

/* One more reference and one more tenant; both given back.  MPROC_ECLOSED with words. */
int mproc__shm_enter(struct mproc_shm *shm);
void mproc__shm_leave(struct mproc_shm *shm);

/* Memory without a name as an object that no user has a handle on: one reference.  opts may be NULL.  With words. */
int mproc__shm_make(size_t size, const mproc_shm_opts *opts, bool fork_only, struct mproc_shm **ret);

#endif
