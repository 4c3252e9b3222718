/* SPDX-License-Identifier: MIT */
/*
 * pool/run.c - running chunks of a job: claim, call, tell.
 *
 * Runs in: workers.  Owns: nothing.
 */
#include "core/error.h"
#include "core/point.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "pool/mail.h"
#include "pool/worker.h"
#include "wire/args.h"

#include <mproc/array.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t task_number;

uint64_t
mproc_task_number(void)
{
        return task_number;
}

/* A job, where it lies here. */
struct view {
        struct mproc__worker *worker;
        struct mproc__job_shm *job;
        uint64_t entry;
        mproc__function *function;
        _Atomic uint64_t *states;
        const uint8_t *items;
        uint8_t *results;
        const uint8_t *shared;
        int32_t *codes;
        uint64_t item_size, result_size;
        int64_t limit;
        bool in_place; /* results are the user's own memory */
        int failed;    /* what none of it could be run for */
};

/* --- claiming ------------------------------------------------------------------------------------------------ */

static bool
claim_state(const struct view *v, uint64_t chunk, uint64_t *ret_start)
{
        _Atomic uint64_t *state = &v->states[chunk];
        uint64_t seen = atomic_load_explicit(state, memory_order_acquire);

        if (mproc__chunk_kind(seen) != MPROC__CHUNK_OPEN)
                return false;
        atomic_store_explicit(&v->worker->record->chunk, chunk, memory_order_relaxed);
        MPROC_POINT("pool.claim");
        *ret_start = mproc__chunk_start(seen);
        return atomic_compare_exchange_strong(state, &seen,
                                              mproc__chunk_state(MPROC__CHUNK_RUNNING, v->worker->index, *ret_start));
}

static bool
claim(const struct view *v, uint64_t *ret_chunk, uint64_t *ret_start)
{
        if (atomic_load_explicit(&v->job->stop, memory_order_relaxed))
                return false;
        if (v->job->chunks == 1) {
                *ret_chunk = 0;
                return claim_state(v, 0, ret_start);
        }
        if (atomic_load_explicit(&v->job->next, memory_order_relaxed) >= v->job->chunks)
                return false;
        do
                *ret_chunk = atomic_fetch_add(&v->job->next, 1);
        while (*ret_chunk < v->job->chunks && !claim_state(v, *ret_chunk, ret_start));
        return *ret_chunk < v->job->chunks;
}

/* --- telling ---------------------------------------------------------------------------------------------------- */

void
mproc__worker_call_attention(struct mproc__worker *w, uint64_t entry)
{
        struct mproc__pool_shm *shm = w->shm;
        uint32_t slot = mproc__entry_slot(entry), word = slot / 64;

        atomic_fetch_or(&shm->done[word], UINT64_C(1) << slot % 64);
        atomic_fetch_or(&shm->done_summary[word / 64], UINT64_C(1) << word % 64);
        MPROC_POINT("pool.done.marked");
        if (mproc__pool_wants_bell(shm))
                mproc__bell_ring(w->bell);
}

/* The first failure leaves its words.  Words that stand belong to it only if its code does, too. */
static void
note_failure(const struct view *v, uint64_t item, int r)
{
        struct mproc__failure_shm *f = &v->job->failure;
        uint32_t none = 0, me = v->worker->index + 1;

        atomic_store(&v->job->any_failed, 1);
        atomic_fetch_add_explicit(&v->worker->record->failed, 1, memory_order_relaxed);
        if (v->codes)
                v->codes[item] = r;
        if (!atomic_compare_exchange_strong(&f->owner, &none, me))
                return;
        f->code = r > 0 ? MPROC_ETASK : r;
        f->result = r;
        f->item = item;
        f->pid = (int32_t)getpid();
        if (r > 0)
                (void)snprintf(f->text, sizeof f->text, "it returned %d", r);
        else
                (void)snprintf(f->text, sizeof f->text, "%s",
                               mproc__fail_code() == r ? mproc_last_error() : mproc_strerror(r));
        atomic_store(&f->owner, me | MPROC__FAILURE_READY);
}

/* --- calling ---------------------------------------------------------------------------------------------------- */

/* We are about to be killed for an item that has ended: begin nothing more. */
static void
await_the_end(void)
{
        for (;;)
                (void)pause();
}

static inline void
set_current(const struct view *v, uint64_t mark)
{
        if (atomic_exchange(&v->worker->record->current, mark) & MPROC__ITEM_DOOMED)
                await_the_end();
}

static inline void
begin_item(const struct view *v, uint64_t item)
{
        if (v->limit > 0)
                atomic_store_explicit(&v->worker->record->since_ns, mproc__plat_now_ns(), memory_order_relaxed);
        set_current(v, mproc__item_mark(v->worker->serial, item));
        MPROC_POINT("pool.item");
        task_number = item;
}

static int
call_task(const struct view *v)
{
        struct mproc__job_shm *job = v->job;
        struct mproc_result result;
        mproc_args *args = NULL;
        int r, misused = 0;

        if ((r = mproc__mail_args(v->worker, job, v->worker->open, &args)) < 0)
                return r;
        job->result.worker = v->worker->index;
        mproc__result_begin(&result, &v->worker->results, &job->result);
        task_number = job->number;
        mproc__fail_forget();
        r = ((mproc_task_fn *)v->function)(args, &result);
        if ((misused = mproc__args_failed(args)) < 0 && r >= 0)
                r = misused;
        mproc__args_free(args);
        mproc__result_end(&result, r != 0);
        return r;
}

static inline int
call_map(const struct view *v, uint64_t item)
{
        uint8_t *result = v->results + item * v->result_size;
        int r = ((mproc_map_fn *)v->function)(v->items + item * v->item_size, result, v->shared);

        if (__builtin_expect(r != 0, 0) && v->result_size > 0 && !v->in_place)
                memset(result, 0, v->result_size);
        return r;
}

/* Items from `start` on; the chunk is ours.  How many of it were begun. */
static uint64_t
run_items(const struct view *v, uint64_t first, uint64_t start, uint64_t end)
{
        uint64_t item = first + start;
        int r;

        for (; item < end; item++) {
                if (atomic_load_explicit(&v->job->stop, memory_order_relaxed))
                        break;
                begin_item(v, item);
                if (v->failed)
                        r = v->failed;
                else
                        r = v->job->kind == MPROC__JOB_TASK ? call_task(v) : call_map(v, item);
                if (__builtin_expect(r != 0, 0))
                        note_failure(v, item, r);
        }
        return item - first;
}

static void
run_chunk(const struct view *v, uint64_t chunk, uint64_t start)
{
        struct mproc__worker_shm *record = v->worker->record;
        uint64_t first = chunk * v->job->chunk, end = first + v->job->chunk, reached;
        int64_t began = mproc__plat_now_ns();
        bool done;

        v->worker->serial++;
        end = end < v->job->count ? end : v->job->count;
        if (v->result_size > 0 && !v->in_place)
                memset(v->results + (first + start) * v->result_size, 0, (end - first - start) * v->result_size);
        if (v->codes)
                memset(v->codes + first + start, 0, (end - first - start) * sizeof *v->codes);
        if (!v->failed)
                mproc__fail_forget();
        reached = run_items(v, first, start, end);
        MPROC_POINT("pool.chunk.ended");
        done = first + reached == end;
        atomic_store(&v->states[chunk], done ? mproc__chunk_state(MPROC__CHUNK_DONE, 0, 0)
                                             : mproc__chunk_state(MPROC__CHUNK_OPEN, 0, reached));
        MPROC_POINT("pool.chunk.told");
        set_current(v, MPROC__ITEM_NONE);
        v->worker->begun += reached - start;
        atomic_store_explicit(&record->tasks,
                              atomic_load_explicit(&record->tasks, memory_order_relaxed) + reached - start,
                              memory_order_relaxed);
        atomic_store_explicit(&record->busy_ns,
                              atomic_load_explicit(&record->busy_ns, memory_order_relaxed) + mproc__plat_now_ns() -
                                      began,
                              memory_order_relaxed);
        if (!done || atomic_fetch_sub(&v->job->left, 1) == 1 || atomic_load(&v->job->shaky))
                mproc__worker_call_attention(v->worker, v->entry);
}

/* --- a whole job -------------------------------------------------------------------------------------------------
 */

/* Items and results lie in shared arrays, perhaps in one: nothing is copied, and nothing is cleared. */
static int
open_arrays(struct view *v)
{
        const struct mproc__job_shm *job = v->job;
        mproc_args *args;
        mproc_array *items, *results;
        int r;

        if ((r = mproc__mail_attached(v->worker, job, v->entry, &args)) < 0)
                return r;
        if (!(items = mproc_args_array(args, 0)))
                return mproc__args_failed(args);
        v->items = mproc_array_data(items);
        if (mproc_array_count(items) < job->count || mproc_array_item_size(items) != job->item_size)
                return mproc__fail(MPROC_ECORRUPT, "the items of a map over an array have changed");
        if (mproc_args_count(args) < 2)
                return 0;
        if (!(results = mproc_args_array(args, 1)))
                return mproc__args_failed(args);
        v->results = mproc_array_data(results);
        if (mproc_array_count(results) < job->count || mproc_array_item_size(results) != job->result_size)
                return mproc__fail(MPROC_ECORRUPT, "the results of a map over an array have changed");
        v->in_place = true;
        return 0;
}

static int
open_map(struct view *v)
{
        const struct mproc__job_shm *job = v->job;
        uint8_t *p;
        int r;

        v->item_size = job->item_size;
        v->result_size = job->result_size;
        if (job->args_fds > 0 && (r = open_arrays(v)) < 0)
                return r;
        if (job->items_at) {
                if ((r = mproc__worker_area(v->worker, job, job->items_at, job->count * job->item_size, &p)) < 0)
                        return r;
                v->items = p;
        }
        if (job->results_at &&
            (r = mproc__worker_area(v->worker, job, job->results_at, job->count * job->result_size, &v->results)) < 0)
                return r;
        if (job->shared_at) {
                if ((r = mproc__worker_area(v->worker, job, job->shared_at, job->shared_len, &p)) < 0)
                        return r;
                v->shared = p;
        }
        if (job->codes_at) {
                if ((r = mproc__worker_area(v->worker, job, job->codes_at, job->count * sizeof *v->codes, &p)) < 0)
                        return r;
                v->codes = (int32_t *)(void *)p;
        }
        return 0;
}

/* What cannot be had here fails the items; without the states there is nothing that can be said of any. */
static bool
open_job(struct view *v)
{
        struct mproc__job_shm *job = v->job;
        uint8_t *p;
        int r;

        if (job->chunks == 1) {
                v->states = &job->state;
        } else {
                if (mproc__worker_area(v->worker, job, job->states_at, job->chunks * sizeof *v->states, &p) < 0)
                        return false;
                v->states = (_Atomic uint64_t *)(void *)p;
        }
        v->limit = job->time_limit_ns;
        if ((r = mproc__worker_function(v->worker, job->function_at, job->function_len, &v->function)) < 0 ||
            (job->kind == MPROC__JOB_MAP && (r = open_map(v)) < 0)) {
                v->failed = r;
                v->result_size = 0;
        }
        return true;
}

void
mproc__worker_run(struct mproc__worker *worker, struct mproc__job_shm *job, uint64_t entry)
{
        struct view v = { .worker = worker, .job = job, .entry = entry };
        uint64_t chunk, start;

        if (!open_job(&v)) { /* the job stays where it is, for a worker that has the memory */
                atomic_store(&worker->record->status, MPROC__WORKER_RETIRED);
                return;
        }
        while (claim(&v, &chunk, &start)) {
                run_chunk(&v, chunk, start);
                if (worker->shm->tasks_per_worker && worker->begun >= worker->shm->tasks_per_worker) {
                        atomic_store(&worker->record->status, MPROC__WORKER_RETIRED);
                        return;
                }
        }
}
