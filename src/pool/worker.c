/* SPDX-License-Identifier: MIT */
/*
 * pool/worker.c - what a worker does from its birth to its end.
 *
 * Runs in: workers.  Owns: the worker's view of the pool.
 *
 * A worker fetches work by itself (pool/table.h has the protocol and its argument).  It ends when it is told to, when
 * it has done as many tasks as it may, or, being a daemon, with the process that made the pool.  SIGINT is
 * for that process to hear: a worker ignores it.
 */
#include "pool/worker.h"
#include "core/error.h"
#include "core/point.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "pool/mail.h"
#include "wire/args.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SLICE        INT64_C(1000000000) /* of a worker's sleep: it looks for itself this often, too */
#define WATCH_ROUNDS 100                 /* before it sleeps, at most; see sync/watch.h */

int mproc__worker_number = -1; /* what mproc_worker_number tells */

int
mproc_worker_number(void)
{
        return mproc__worker_number;
}

/* --- what jobs refer to ------------------------------------------------------------------------------------ */

int
mproc__worker_function(struct mproc__worker *w, uint64_t at, uint32_t len, mproc__function **ret)
{
        struct mproc__decoder d = { .len = len };
        struct mproc__view view;
        size_t i = at / 64 % MPROC__WORKER_FUNCTIONS;
        int r;

        if (w->functions[i].at == at) {
                *ret = w->functions[i].function;
                return 0;
        }
        if ((r = mproc__view_open(w->fd, (uint8_t *)w->shm, at, len, &view)) < 0)
                return mproc__fail_errno(-r, "a worker cannot map the name of a function");
        d.data = view.data;
        if ((r = mproc__entry_decode(&d, ret)) == 0) {
                w->functions[i].at = at;
                w->functions[i].function = *ret;
        }
        mproc__view_close(&view);
        return r;
}

/* Far areas of a job are one, and the next job of its kind often has the same: the last one stays mapped. */
int
mproc__worker_area(struct mproc__worker *w, const struct mproc__job_shm *job, uint64_t at, uint64_t len,
                   uint8_t **ret)
{
        int r;

        if (mproc__area_is_near(at, len)) {
                *ret = (uint8_t *)w->shm + at;
                return 0;
        }
        if (w->far_at != job->area_at || w->far_len != job->area_len) {
                mproc__view_close(&w->far);
                w->far_at = w->far_len = 0;
                if ((r = mproc__view_open(w->fd, (uint8_t *)w->shm, job->area_at, job->area_len, &w->far)) < 0)
                        return mproc__fail_errno(-r, "a worker cannot map the %llu bytes of a job",
                                                 (unsigned long long)job->area_len);
                w->far_at = job->area_at;
                w->far_len = job->area_len;
        }
        *ret = w->far.data + (at - job->area_at);
        return 0;
}

/* --- fetching work --------------------------------------------------------------------------------------------- */

/* A job that is ready, by its ring entry, or 0.  *ret_front: where it stands. */
static uint64_t
look_for_job(struct mproc__pool_shm *shm, uint64_t *ret_front)
{
        uint64_t front = atomic_load(&shm->front);

        if (front == atomic_load(&shm->tail))
                return 0;
        *ret_front = front;
        return atomic_load_explicit(&shm->ring[front % MPROC__POOL_RING], memory_order_acquire);
}

/* Enter a job; see table.h on the order of these two steps. */
static bool
enter(struct mproc__worker *w, uint64_t entry, struct mproc__job_shm **ret)
{
        struct mproc__job_shm *job = &w->shm->jobs[mproc__entry_slot(entry)];

        atomic_store(&w->record->job, entry);
        MPROC_POINT("pool.enter");
        *ret = job;
        return atomic_load(&job->generation) == entry >> 32;
}

static void
leave(struct mproc__worker *w, struct mproc__job_shm *job)
{
        bool stopped = job && atomic_load(&job->stop);

        atomic_store(&w->record->job, 0);
        if (stopped && mproc__pool_wants_bell(w->shm)) /* who stopped it waits until nobody is inside */
                mproc__bell_ring(w->bell);
}

static bool
run_ready(struct mproc__worker *w)
{
        struct mproc__job_shm *job;
        uint64_t front, entry = look_for_job(w->shm, &front);
        bool entered;

        if (!entry)
                return false;
        if ((entered = enter(w, entry, &job)))
                mproc__worker_run(w, job, entry);
        if (atomic_load_explicit(&w->record->status, memory_order_relaxed) == MPROC__WORKER_READY) {
                MPROC_POINT("pool.front");
                (void)atomic_compare_exchange_strong(&w->shm->front, &front, front + 1);
                if (entered && atomic_load(&job->shaky))
                        mproc__worker_call_attention(w, entry);
        }
        leave(w, entered ? job : NULL);
        MPROC_POINT("pool.left");
        return true;
}

/* Work that was given to this worker, since descriptors come with it. */
static bool
run_mail(struct mproc__worker *w)
{
        struct mproc__packet *packet = mproc__mail_next(w);
        struct mproc__job_shm *job;

        if (!packet)
                return false;
        w->open = packet;
        if (enter(w, packet->entry, &job)) {
                mproc__worker_run(w, job, packet->entry);
                leave(w, job);
        } else {
                leave(w, NULL);
        }
        w->open = NULL;
        mproc__mail_discard(packet);
        return true;
}

static bool
is_there_work(struct mproc__worker *w)
{
        uint64_t front;

        return look_for_job(w->shm, &front) != 0 ||
               w->mail_read != atomic_load_explicit(&w->record->mail, memory_order_acquire) ||
               atomic_load_explicit(&w->shm->quit, memory_order_acquire);
}

static void
sleep_until_there_is(struct mproc__worker *w)
{
        mproc__word *work = &w->shm->work;
        struct mproc__watch watch;
        int64_t began;
        uint32_t v;

        watch = mproc__watch_begin(&w->patience, 0, WATCH_ROUNDS);
        do
                if (is_there_work(w))
                        return;
        while (mproc__watch_on(&watch));
        v = atomic_load(work);
        if (!(v & MPROC__WORK_WAITERS)) {
                if (!atomic_compare_exchange_strong(work, &v, v | MPROC__WORK_WAITERS))
                        return;
                v |= MPROC__WORK_WAITERS;
        }
        if (is_there_work(w)) /* it was made visible before the count that we have seen, or will change it */
                return;
        MPROC_POINT("pool.sleep");
        began = mproc__plat_now_ns();
        (void)mproc__word_wait(work, v, began + SLICE);
        mproc__watch_learn(&w->patience, mproc__plat_now_ns() - began);
}

static void
serve(struct mproc__worker *w)
{
        while (atomic_load_explicit(&w->record->status, memory_order_relaxed) == MPROC__WORKER_READY) {
                if (run_mail(w) || run_ready(w))
                        continue;
                if (atomic_load_explicit(&w->shm->quit, memory_order_acquire))
                        return;
                sleep_until_there_is(w);
        }
}

/* --- birth ------------------------------------------------------------------------------------------------------ */

static int
open_pool(struct mproc__worker *w, mproc_args *args)
{
        void *base;
        int r;

        w->fd = mproc_args_fd(args, MPROC__WORKER_ARG_TABLE);
        w->bell = mproc_args_fd(args, MPROC__WORKER_ARG_BELL);
        w->mail = mproc_args_fd(args, MPROC__WORKER_ARG_MAIL);
        w->index = (unsigned)mproc_args_uint(args, MPROC__WORKER_ARG_INDEX);
        if ((r = mproc__memory_map(w->fd, 0, MPROC__POOL_MAPPED_BYTES, &base)) < 0)
                return mproc__fail_errno(-r, "a worker cannot map the memory of its pool");
        w->shm = base;
        if (w->shm->magic != MPROC__POOL_MAGIC || w->shm->version != MPROC__POOL_VERSION ||
            w->index >= w->shm->workers)
                return mproc__fail(MPROC_ECORRUPT, "the memory of the pool has another layout: all of its processes "
                                                   "must run the same version of mproc");
        w->record = &w->shm->records[w->index];
        mproc__worker_number = (int)w->index;
        return mproc__results_open(&w->results, mproc_args_fd(args, MPROC__WORKER_ARG_RESULTS),
                                   w->shm->results_idle_max);
}

/* What the pool's maker wants done first.  Its arguments live as long as the worker: tasks use the objects among
 * them. */
static int
initialize(struct mproc__worker *w)
{
        mproc__function *function;
        int r, failed;

        if (w->shm->initializer_len == 0)
                return 0;
        if ((r = mproc__worker_function(w, w->shm->initializer_at, w->shm->initializer_len, &function)) < 0 ||
            (r = mproc__mail_initializer(w, &w->initializer_args)) < 0)
                return r;
        mproc__fail_forget();
        r = ((mproc_main_fn *)function)(w->initializer_args);
        failed = mproc__args_failed(w->initializer_args);
        if (failed < 0)
                return failed;
        if (r < 0 && mproc__fail_code() != r)
                return mproc__fail(r, "%s", mproc_strerror(r));
        return r > 0 ? mproc__fail(MPROC_ETASK, "it returned %d", r) : r;
}

static int
tell_failure(struct mproc__worker *w, int code)
{
        w->record->code = code;
        (void)snprintf(w->record->text, sizeof w->record->text, "%s", mproc_last_error());
        atomic_store(&w->record->status, MPROC__WORKER_FAILED);
        mproc__bell_ring(w->bell);
        return code;
}

int
mproc__worker_main(mproc_args *args)
{
        struct mproc__worker w = { .fd = -1 };
        int r;

        (void)signal(SIGINT, SIG_IGN);
        if ((r = open_pool(&w, args)) < 0)
                return r;
        if ((r = initialize(&w)) < 0) {
                (void)tell_failure(&w, r);
        } else {
                atomic_store(&w.record->status, MPROC__WORKER_READY);
                mproc__bell_ring(w.bell);
                serve(&w);
        }
        mproc__mail_close(&w);
        mproc__args_free(w.initializer_args);
        return r;
}
