/* SPDX-License-Identifier: MIT */
/*
 * pool/progress.c - how far a pool is: statistics, the progress hook, a bar for the terminal.
 *
 * Runs in: the pool's process.  Owns: nothing.
 */
#include "core/error.h"
#include "pool/pool.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL INT64_C(100000000) /* between two calls of the hook */

static uint64_t
sum_of_tasks(const mproc_pool *pool, uint64_t *ret_failed)
{
        uint64_t tasks = 0;

        *ret_failed = 0;
        for (unsigned i = 0; i < pool->workers; i++) {
                tasks += atomic_load_explicit(&pool->shm->records[i].tasks, memory_order_relaxed);
                *ret_failed += atomic_load_explicit(&pool->shm->records[i].failed, memory_order_relaxed);
        }
        return tasks;
}

int
mproc_pool_stats(mproc_pool *pool, mproc_pool_stats_all *ret_all, mproc_worker_stats *ret_workers, size_t capacity)
{
        uint64_t failed;
        int r;

        if ((r = mproc__pool_check(pool)) < 0)
                return r;
        (void)pthread_mutex_lock(&pool->mutex);
        mproc__pool_attend(pool);
        if (ret_all) {
                *ret_all = (mproc_pool_stats_all){
                        .workers = pool->workers,
                        .tasks = pool->given,
                        .done = sum_of_tasks(pool, &failed),
                        .retried = pool->retried,
                        .cancelled = pool->cancelled,
                        .deaths = pool->deaths,
                };
                ret_all->failed = failed + pool->failed;
        }
        for (size_t i = 0; i < capacity && i < pool->workers; i++) {
                const struct mproc__worker_shm *record = &pool->shm->records[i];
                const struct mproc__member *m = &pool->crew[i];

                ret_workers[i] = (mproc_worker_stats){
                        .pid = m->process ? mproc_process_pid(m->process) : 0,
                        .tasks = atomic_load_explicit(&record->tasks, memory_order_relaxed),
                        .busy_us = atomic_load_explicit(&record->busy_ns, memory_order_relaxed) / 1000,
                        .restarts = m->restarts,
                        .busy = atomic_load(&record->current) != MPROC__ITEM_NONE,
                };
                if (m->process)
                        ret_workers[i].resident_bytes = mproc__plat_resident_bytes(ret_workers[i].pid);
        }
        mproc__pool_unlock(pool);
        return 0;
}

/* --- the hook ------------------------------------------------------------------------------------------------- */

static void
measure(mproc_pool *pool, int64_t now, mproc_progress *ret)
{
        uint64_t failed, done = sum_of_tasks(pool, &failed) + pool->cancelled;
        double seconds;

        if (pool->progress_since_ns == 0) { /* idle until now: what comes is timed from here */
                pool->progress_since_ns = now;
                pool->progress_done = done;
        }
        seconds = (double)(now - pool->progress_since_ns) / 1e9;
        *ret = (mproc_progress){
                .tasks = pool->given,
                .done = done < pool->given ? done : pool->given,
                .failed = failed + pool->failed,
                .replacements = pool->deaths,
                .elapsed_ms = (now - pool->progress_since_ns) / 1000000,
                .left_ms = -1,
        };
        if (seconds > 0 && done > pool->progress_done) {
                ret->rate = (double)(done - pool->progress_done) / seconds;
                ret->left_ms = (int64_t)((double)(ret->tasks - ret->done) / ret->rate * 1000);
        }
}

/* Has the hook been told of work that has all ended since? */
bool
mproc__progress_owed(const mproc_pool *pool)
{
        return pool->progress && pool->progress_since_ns != 0 && !mproc__pool_has_work(pool);
}

/* The mutex is given up for the hook.  The driver calls this, so nobody else is in it. */
int64_t
mproc__progress_tell(mproc_pool *pool, bool last)
{
        int64_t now;
        mproc_progress progress;

        if (!pool->progress || (!last && !mproc__pool_has_work(pool)))
                return MPROC__NEVER;
        now = mproc__plat_now_ns();
        if (now < pool->progress_next_ns && !last)
                return pool->progress_next_ns;
        pool->progress_next_ns = now + INTERVAL;
        measure(pool, now, &progress);
        if (last)
                pool->progress_since_ns = 0;
        (void)pthread_mutex_unlock(&pool->mutex);
        pool->progress(pool, &progress, pool->progress_arg);
        (void)pthread_mutex_lock(&pool->mutex);
        return pool->progress_next_ns;
}

/* --- a bar --------------------------------------------------------------------------------------------------------
 */

#define BAR 24

static void
write_time(char *text, size_t size, int64_t ms)
{
        if (ms < 0)
                (void)snprintf(text, size, "--:--");
        else
                (void)snprintf(text, size, "%02lld:%02lld", (long long)(ms / 60000), (long long)(ms / 1000 % 60));
}

void
mproc_progress_bar(mproc_pool *pool, const mproc_progress *p, void *arg)
{
        char bar[BAR + 1], left[32], line[256];
        unsigned filled = p->tasks ? (unsigned)(p->done * BAR / p->tasks) : 0;
        const char *title = arg;
        int n;

        (void)pool;
        if (!isatty(STDERR_FILENO))
                return;
        for (unsigned i = 0; i < BAR; i++)
                bar[i] = i < filled ? '#' : '.';
        bar[BAR] = '\0';
        write_time(left, sizeof left, p->left_ms);
        n = snprintf(line, sizeof line, "\r%s%s[%s] %llu/%llu  %.0f/s  %s left%s", title ? title : "",
                     title ? " " : "", bar, (unsigned long long)p->done, (unsigned long long)p->tasks, p->rate, left,
                     p->failed ? "" : "  ");
        if (p->failed && n > 0 && (size_t)n < sizeof line)
                n += snprintf(line + n, sizeof line - (size_t)n, "  %llu failed", (unsigned long long)p->failed);
        if (p->done == p->tasks && n > 0 && (size_t)n < sizeof line - 1)
                n += snprintf(line + n, sizeof line - (size_t)n, "\n");
        if (n > 0)
                (void)!write(STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}
