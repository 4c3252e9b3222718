/* SPDX-License-Identifier: MIT */
/*
 * pool/pool.c - a pool's life: create, close, join, terminate, free.
 *
 * Runs in: the pool's process; in forked children only as far as to refuse.
 * Owns: the pool's memory, its bell, its struct.
 */
#include "pool/pool.h"
#include "context/context.h"
#include "core/error.h"
#include "platform/memory.h"
#include "pool/mail.h"
#include "start/start.h"
#include "wire/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- checks ------------------------------------------------------------------------------------------------ */

int
mproc__pool_check(const mproc_pool *pool)
{
        if (!pool)
                return mproc__fail(MPROC_EHANDLE, "a pool is wanted, NULL was given");
        if (pool->creator != getpid())
                return mproc__fail(MPROC_ENOTCHILD,
                                   "the pool %s was made by process %ld, and only that one can use it; "
                                   "this is process %ld: make a pool of its own here",
                                   pool->name, (long)pool->creator, (long)getpid());
        return 0;
}

int
mproc__pool_check_open(const mproc_pool *pool)
{
        if (pool->broken < 0)
                return mproc__fail(pool->broken, "the pool %s takes no more tasks: %s", pool->name,
                                   pool->broken_text ? pool->broken_text : "its workers cannot be replaced");
        if (pool->closed || pool->terminated || atomic_load(&pool->stopped))
                return mproc__fail(MPROC_ECLOSED, "the pool %s takes no more tasks: it was %s", pool->name,
                                   pool->terminated ? "terminated"
                                   : pool->closed   ? "closed"
                                                    : "stopped");
        return 0;
}

/* --- references --------------------------------------------------------------------------------------------------
 */

static void
free_parts(mproc_pool *pool)
{
        if (pool->crew)
                for (unsigned i = 0; i < pool->workers; i++) {
                        mproc__plat_close(&pool->crew[i].mail);
                        mproc__results_file_unref(pool->crew[i].results);
                }
        mproc__areas_fini(&pool->areas);
        if (pool->shm)
                mproc__memory_unmap(pool->shm, MPROC__POOL_MAPPED_BYTES);
        mproc__plat_close(&pool->fd);
        mproc__plat_close(&pool->bell);
        mproc__mail_release(&pool->initializer_encoded);
        free(pool->functions);
        free(pool->slots);
        free(pool->crew);
        free(pool->polled);
        free(pool->broken_text);
        free(pool->name);
        (void)pthread_cond_destroy(&pool->changed);
        (void)pthread_mutex_destroy(&pool->mutex);
        free(pool);
}

/* Callbacks may use the pool and their future, so they run without the mutex, one after the other. */
void
mproc__pool_unlock(mproc_pool *pool)
{
        struct mproc_future *job;
        bool last;

        while ((job = pool->to_call.first)) {
                mproc__jobs_remove(&pool->to_call, job);
                (void)pthread_mutex_unlock(&pool->mutex);
                job->callback(job, job->callback_arg);
                (void)pthread_mutex_lock(&pool->mutex);
                if (--job->refs == 0)
                        mproc__job_destroy(job);
        }
        last = pool->refs == 0;
        (void)pthread_mutex_unlock(&pool->mutex);
        if (last)
                free_parts(pool);
}

/* --- create --------------------------------------------------------------------------------------------------------
 */

static int
check_options(unsigned workers, const mproc_pool_opts *o)
{
        if (workers > MPROC__POOL_WORKERS_MAX)
                return mproc__fail(-EINVAL, "a pool of %u workers was asked for: it has at most %u", workers,
                                   MPROC__POOL_WORKERS_MAX);
        if (o->time_limit_ms < 0)
                return mproc__fail(-EINVAL,
                                   "the time limit of a pool's tasks is %lld ms: it takes a positive number, "
                                   "or 0 for none",
                                   (long long)o->time_limit_ms);
        if (o->initializer_args.count > 0 && !o->initializer)
                return mproc__fail(-EINVAL, "a pool is given arguments for an initializer, but no initializer");
        return 0;
}

/* What all keep together for large results to come is an eighth of the machine's memory at most. */
static uint64_t
idle_bytes_a_worker(unsigned workers)
{
        const uint64_t least = UINT64_C(64) << 20;
        long pages = sysconf(_SC_PHYS_PAGES);
        uint64_t bytes = pages > 0 ? (uint64_t)pages * mproc__memory_page() / 8 / workers : 0;

        return bytes > least ? bytes : least;
}

static int
make_memory(mproc_pool *pool)
{
        void *base;
        int r;

        if ((r = mproc__memory_create("mproc-pool", MPROC__POOL_MAPPED_BYTES, &pool->fd)) < 0 ||
            (r = mproc__memory_reserve(pool->fd, 0, offsetof(struct mproc__pool_shm, jobs))) < 0 ||
            (r = mproc__memory_reserve(pool->fd, offsetof(struct mproc__pool_shm, records),
                                       pool->workers * sizeof(struct mproc__worker_shm))) < 0 ||
            (r = mproc__bell_create(&pool->bell)) < 0 ||
            (r = mproc__memory_map(pool->fd, 0, MPROC__POOL_MAPPED_BYTES, &base)) < 0)
                return mproc__fail_errno(-r, "cannot make the memory of a pool");
        pool->shm = base;
        mproc__areas_init(&pool->areas, pool->fd, base);
        pool->shm->magic = MPROC__POOL_MAGIC;
        pool->shm->version = MPROC__POOL_VERSION;
        pool->shm->workers = pool->workers;
        pool->shm->results_idle_max = idle_bytes_a_worker(pool->workers);
        return 0;
}

static int
set_initializer(mproc_pool *pool, const mproc_pool_opts *o)
{
        struct mproc__encoder *e = &pool->initializer_encoded;
        struct mproc__pool_shm *shm = pool->shm;
        mproc_args *args;
        uint32_t len;
        int r;

        if (!o->initializer)
                return 0;
        if ((r = mproc__args_gather(o->initializer_args, &args)) < 0)
                return r;
        r = mproc__mail_encode(args, !pool->context->method->carries, e);
        mproc__args_free(args);
        if (r < 0 || (r = mproc__jobs_function(pool, (void (*)(void))o->initializer, &shm->initializer_at, &len)) < 0)
                return r;
        if ((r = mproc__areas_take(&pool->areas, e->len, &shm->initializer_args_at)) < 0 ||
            (r = mproc__areas_write(&pool->areas, shm->initializer_args_at, e->data, e->len)) < 0)
                return mproc__fail_errno(-r, "no room in the pool's memory for the initializer's arguments");
        shm->initializer_args_len = e->len;
        shm->initializer_fds = (uint32_t)e->nfds;
        shm->initializer_len = len;
        return 0;
}

static int
name_pool(mproc_pool *pool, const char *name)
{
        static _Atomic unsigned count;

        if (name)
                pool->name = strdup(name);
        else if (asprintf(&pool->name, "Pool-%u-worker", atomic_fetch_add(&count, 1) + 1) < 0)
                pool->name = NULL;
        return pool->name ? 0 : -ENOMEM;
}

static int
new_pool(mproc_context *ctx, unsigned workers, const mproc_pool_opts *o, mproc_pool **ret)
{
        mproc_pool *pool = calloc(1, sizeof *pool);
        pthread_condattr_t attr;

        if (!pool)
                return mproc__fail(-ENOMEM, "no memory for a pool");
        (void)pthread_mutex_init(&pool->mutex, NULL);
        (void)pthread_condattr_init(&attr);
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&pool->changed, &attr);
        (void)pthread_condattr_destroy(&attr);
        pool->refs = 1;
        pool->creator = getpid();
        pool->context = mproc__context_resolve(ctx);
        pool->fd = pool->bell = -1;
        pool->workers = workers;
        pool->retries = o->retries;
        pool->time_limit_ns = mproc__pool_limit_ns(o->time_limit_ms);
        pool->least_limit_ns = pool->time_limit_ns ? pool->time_limit_ns : MPROC__NEVER;
        pool->progress = o->progress;
        pool->progress_arg = o->progress_arg;
        pool->start_again_ns = MPROC__NEVER;
        pool->slots = calloc(MPROC__POOL_SLOTS, sizeof *pool->slots);
        pool->crew = calloc(workers, sizeof *pool->crew);
        pool->polled = calloc(workers + 1, sizeof *pool->polled);
        *ret = pool;
        for (unsigned i = 0; pool->crew && i < workers; i++)
                pool->crew[i].mail = -1;
        if (!pool->slots || !pool->crew || !pool->polled || name_pool(pool, o->name) < 0)
                return mproc__fail(-ENOMEM, "no memory for a pool of %u workers", workers);
        return 0;
}

int
mproc_pool_create(mproc_context *ctx, unsigned workers, const mproc_pool_opts *opts, mproc_pool **ret_pool)
{
        static const mproc_pool_opts none;
        const mproc_pool_opts *o = opts ? opts : &none;
        mproc_pool *pool = NULL;
        int r;

        if (workers == 0)
                workers = (unsigned)mproc_cpu_count();
        if ((r = check_options(workers, o)) < 0)
                return r;
        if ((r = new_pool(ctx, workers, o, &pool)) == 0 && (r = make_memory(pool)) == 0) {
                pool->shm->tasks_per_worker = o->tasks_per_worker;
                r = set_initializer(pool, o);
        }
        if (r == 0) {
                (void)pthread_mutex_lock(&pool->mutex);
                r = mproc__crew_start(pool);
                mproc__pool_unlock(pool);
        }
        if (r < 0) {
                char words[MPROC__ERROR_TEXT_MAX];

                (void)snprintf(words, sizeof words, "%s", mproc_last_error());
                mproc_pool_free(pool);
                return mproc__fail(r, "%s", words);
        }
        *ret_pool = pool;
        return 0;
}

unsigned
mproc_pool_workers(const mproc_pool *pool)
{
        return pool ? pool->workers : 0;
}

/* --- close, join, terminate
 * -------------------------------------------------------------------------------------------- */

static bool
nothing_to_do(mproc_pool *pool, void *arg)
{
        (void)arg;
        return pool->ended || !mproc__pool_has_work(pool);
}

static bool
all_gone(mproc_pool *pool, void *arg)
{
        (void)arg;
        return pool->ended || mproc__crew_gone(pool);
}

int
mproc_pool_run(mproc_pool *pool, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        int r;

        if ((r = mproc__pool_check(pool)) < 0)
                return r;
        (void)pthread_mutex_lock(&pool->mutex);
        r = mproc__pool_wait(pool, nothing_to_do, NULL, deadline);
        if (pool->terminated || atomic_load(&pool->stopped))
                r = mproc__fail(MPROC_ECLOSED, "the pool %s was %s", pool->name,
                                pool->terminated ? "terminated" : "stopped");
        else if (r < 0)
                r = mproc__fail(r, "the pool %s still has tasks after %lld ms", pool->name, (long long)timeout_ms);
        mproc__pool_unlock(pool);
        return r;
}

void
mproc_pool_stop(mproc_pool *pool)
{
        if (!pool || pool->creator != getpid())
                return;
        atomic_store(&pool->stopped, true);
        mproc__bell_ring(pool->bell);
}

/* Workers that find nothing to do leave. */
static void
tell_to_leave(mproc_pool *pool)
{
        if (atomic_exchange(&pool->shm->quit, 1) == 0)
                mproc__crew_wake(pool, MPROC__POOL_WORKERS_MAX);
}

int
mproc_pool_close(mproc_pool *pool)
{
        int r;

        if ((r = mproc__pool_check(pool)) < 0)
                return r;
        (void)pthread_mutex_lock(&pool->mutex);
        pool->closed = true;
        mproc__pool_unlock(pool);
        return 0;
}

int
mproc_pool_join(mproc_pool *pool, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        int r;

        if ((r = mproc__pool_check(pool)) < 0)
                return r;
        (void)pthread_mutex_lock(&pool->mutex);
        if (!pool->closed && !pool->terminated && !atomic_load(&pool->stopped)) {
                r = mproc__fail(MPROC_ERUNNING, "the pool %s takes tasks: close or terminate it before joining it",
                                pool->name);
        } else if ((r = mproc__pool_wait(pool, nothing_to_do, NULL, deadline)) == 0) {
                tell_to_leave(pool);
                r = mproc__pool_wait(pool, all_gone, NULL, deadline);
        }
        if (r == MPROC_ETIMEDOUT)
                r = mproc__fail(r, "the pool %s has not ended after %lld ms", pool->name, (long long)timeout_ms);
        mproc__pool_unlock(pool);
        return r;
}

/* Only the driver may touch the crew: become him. */
static void
terminate_locked(mproc_pool *pool)
{
        pool->terminated = true;
        while (pool->driving) {
                mproc__bell_ring(pool->bell);
                (void)pthread_cond_wait(&pool->changed, &pool->mutex);
        }
        if (pool->ended)
                return;
        mproc__crew_kill(pool);
        mproc__jobs_fail_all(pool, MPROC_ECANCELLED, "the pool was terminated");
        if (mproc__progress_owed(pool)) {
                pool->driving = true;
                (void)mproc__progress_tell(pool, true);
                pool->driving = false;
        }
        (void)pthread_cond_broadcast(&pool->changed);
}

int
mproc_pool_terminate(mproc_pool *pool)
{
        int r;

        if ((r = mproc__pool_check(pool)) < 0)
                return r;
        (void)pthread_mutex_lock(&pool->mutex);
        terminate_locked(pool);
        mproc__pool_unlock(pool);
        return 0;
}

void
mproc_pool_free(mproc_pool *pool)
{
        int saved = errno;

        if (!pool)
                return;
        if (pool->creator != getpid())
                return; /* a copy, whose mutex may be locked for ever by a thread that is not here */
        (void)pthread_mutex_lock(&pool->mutex);
        if (pool->shm && pool->crew)
                terminate_locked(pool);
        pool->refs--;
        mproc__pool_unlock(pool);
        errno = saved;
}
