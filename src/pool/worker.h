/* SPDX-License-Identifier: MIT */
/*
 * pool/worker.h - a worker as its own program: main, the fetching of work, results.
 */
#ifndef MPROC_POOL_WORKER_H
#define MPROC_POOL_WORKER_H

#include "pool/areas.h"
#include "pool/results.h"
#include "start/entry.h"
#include "sync/watch.h"

#include <mproc/args.h>

/* The arguments of a worker's process, in this order. */
enum mproc__worker_arg {
        MPROC__WORKER_ARG_TABLE, /* descriptor of the pool's memory */
        MPROC__WORKER_ARG_BELL,
        MPROC__WORKER_ARG_RESULTS,
        MPROC__WORKER_ARG_MAIL,
        MPROC__WORKER_ARG_INDEX
};

mproc_main_fn mproc__worker_main;

#define MPROC__WORKER_FUNCTIONS 64

struct mproc__worker {
        struct mproc__pool_shm *shm;
        struct mproc__worker_shm *record;
        int fd, bell, mail;
        unsigned index;
        uint64_t mail_read;
        struct mproc__packet *packets, *attached; /* taken in: tasks in their order, and what maps need */
        uint64_t npackets;
        struct mproc__packet *open;   /* of the task that is being run */
        mproc_args *initializer_args; /* NULL: none */
        struct mproc__patience patience;
        uint64_t begun;  /* tasks in this life */
        uint64_t serial; /* of chunks; see mproc__item_mark */
        struct mproc__results results;
        struct {
                uint64_t at;
                mproc__function *function;
        } functions[MPROC__WORKER_FUNCTIONS];
        struct mproc__view far; /* the last one that was needed */
        uint64_t far_at, far_len;
};

/* The function that a job names.  With words. */
int mproc__worker_function(struct mproc__worker *worker, uint64_t at, uint32_t len, mproc__function **ret);

/* Where an area lies here; job: the one it belongs to.  With words. */
int mproc__worker_area(struct mproc__worker *worker, const struct mproc__job_shm *job, uint64_t at, uint64_t len,
                       uint8_t **ret);

/* Somebody should look at this job. */
void mproc__worker_call_attention(struct mproc__worker *worker, uint64_t entry);

/* Run what there is to claim of the job that the record names. */
void mproc__worker_run(struct mproc__worker *worker, struct mproc__job_shm *job, uint64_t entry);

#endif
