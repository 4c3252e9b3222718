/* SPDX-License-Identifier: MIT */
/*
 * pool/results.h - results of tasks, which may have any size.
 *
 * Small ones lie in the slot of the job.  For the others each life of a worker has a file of its own, in which it
 * alone hands out places: a directory, then extents.  The pool's process reads a result where it lies, and says in
 * the directory when it needs it no more; the place, with its pages, then serves another result.
 * When the worker dies nobody writes into the file any more, and it goes, whole, with the last result in it.
 */
#ifndef MPROC_POOL_RESULTS_H
#define MPROC_POOL_RESULTS_H

#include "pool/table.h"

#include <mproc/task.h>
#include <stddef.h>

#define MPROC__RESULTS_PLACES  255
#define MPROC__RESULT_NO_PLACE UINT32_MAX /* an extent that is given back to the system */

/*
 * An extent.  at, len: the worker's.  state: USED by the worker, before anybody else hears of it; FREE, or COLD if it
 * has no pages any more, by the pool's process.
 */
enum mproc__place_state { MPROC__PLACE_FREE = 0, MPROC__PLACE_USED, MPROC__PLACE_COLD };

struct mproc__place_shm {
        uint64_t at, len;
        _Atomic uint32_t state;
        uint32_t reserved;
};

struct mproc__results_shm {
        uint64_t reserved[3];
        struct mproc__place_shm places[MPROC__RESULTS_PLACES];
};

#define MPROC__RESULTS_DIRECTORY 8192
_Static_assert(sizeof(struct mproc__results_shm) <= MPROC__RESULTS_DIRECTORY, "layout of a directory of results");

/* --- the worker's side -------------------------------------------------------------------------------------- */

struct mproc__results {
        int fd;
        struct mproc__results_shm *shm;
        uint64_t end;
        uint64_t idle_max; /* bytes kept for results to come */
        struct {
                void *base;
                size_t len;
        } maps[MPROC__RESULTS_PLACES]; /* places that have been written to stay mapped */
};

int mproc__results_open(struct mproc__results *results, int fd, uint64_t idle_max);

/* What mproc_result is, while a task runs. */
struct mproc_result {
        struct mproc__results *results;
        struct mproc__result_shm *shm;
        uint32_t place; /* + 1; 0: none */
        struct mproc__view_of {
                void *mapping;
                size_t len;
        } view;
};

void mproc__result_begin(struct mproc_result *result, struct mproc__results *results, struct mproc__result_shm *shm);

/* The task is over; it failed, or its result stands. */
void mproc__result_end(struct mproc_result *result, bool failed);

/* --- the side of the pool's process: a file, as long as somebody needs something in it
 * ---------------------------------- */

struct mproc__results_file {
        unsigned refs; /* under the pool's mutex */
        int fd;
        struct mproc__results_shm *shm;
        uint64_t idle_max;
        bool writer_gone;
};

int mproc__results_file_create(uint64_t idle_max, struct mproc__results_file **ret);
void mproc__results_file_unref(struct mproc__results_file *file); /* NULL is fine */

/* A result in it is needed no more.  place: 0 for none. */
void mproc__results_file_give(struct mproc__results_file *file, uint32_t place, uint64_t at, uint64_t len);

#endif
