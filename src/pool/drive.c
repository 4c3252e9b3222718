/* SPDX-License-Identifier: MIT */
/*
 * pool/drive.c - waiting for something of a pool, and doing meanwhile what there is to do.
 *
 * Runs in: threads of the pool's process.
 *
 * Why no wake-up is lost.  The driver sets `watch`, then looks at everything once more, then sleeps.  Workers make
 * visible what they have done, then look at `watch`; who finds it set clears it and rings the bell.  If that one is
 * killed between the two, his sentinel wakes the driver instead.  Other threads of this process hear of changes
 * under the mutex, through `changed`; what they themselves bring about while a driver sleeps (jobs that go to
 * workers, a stop) reaches the driver through the workers or by the bell.
 */
#include "platform/futex.h"
#include "platform/memory.h"
#include "pool/pool.h"

#include <time.h>

#define WATCH_ROUNDS 100 /* before the driver sleeps, at most; see sync/watch.h */

void
mproc__pool_attend(mproc_pool *pool)
{
        mproc__jobs_collect(pool);
        if (pool->cancelling > 0)
                mproc__jobs_look_at_cancelled(pool);
        mproc__jobs_tidy(pool);
        if (pool->active_mail.first)
                mproc__jobs_spread(pool);
        mproc__jobs_feed(pool);
}

static int64_t
earlier(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

/*
 * The mutex is given up; the crew does not change meanwhile, for only the driver changes it.  True: a worker may have
 * ended.
 */
static bool
sleep_as_driver(mproc_pool *pool, int64_t deadline_ns)
{
        struct pollfd *p = pool->polled;
        int64_t began;
        size_t n = 1;

        p[0] = (struct pollfd){ .fd = pool->bell, .events = POLLIN };
        for (unsigned i = 0; i < pool->workers; i++)
                if (pool->crew[i].process)
                        p[n++] = (struct pollfd){ .fd = mproc_process_sentinel(pool->crew[i].process),
                                                  .events = POLLIN };
        (void)pthread_mutex_unlock(&pool->mutex);
        began = mproc__plat_now_ns();
        (void)mproc__plat_poll(p, n, deadline_ns);
        (void)pthread_mutex_lock(&pool->mutex);
        mproc__watch_learn(&pool->patience, mproc__plat_now_ns() - began);
        if (p[0].revents)
                mproc__bell_silence(pool->bell);
        atomic_store(&pool->shm->watch, 0);
        for (size_t i = 1; i < n; i++)
                if (p[i].revents)
                        return true;
        return false;
}

static bool
is_marked(mproc_pool *pool)
{
        for (size_t i = 0; i < MPROC__POOL_DONE_WORDS / 64; i++)
                if (atomic_load_explicit(&pool->shm->done_summary[i], memory_order_relaxed))
                        return true;
        return false;
}

/* Somebody marks a job within a moment, often. */
static void
spin(mproc_pool *pool)
{
        struct mproc__watch watch = mproc__watch_begin(&pool->patience, 0, WATCH_ROUNDS);

        while (!is_marked(pool) && mproc__watch_on(&watch))
                ;
}

static void
drive(mproc_pool *pool, bool (*done)(mproc_pool *pool, void *arg), void *arg, int64_t deadline_ns)
{
        int64_t until = deadline_ns;
        bool ended = false;

        pool->driving = true;
        if (!mproc__deadline_passed(deadline_ns)) {
                (void)pthread_mutex_unlock(&pool->mutex);
                spin(pool);
                (void)pthread_mutex_lock(&pool->mutex);
        }
        atomic_store(&pool->shm->watch, 1);
        mproc__pool_attend(pool);
        until = earlier(until, mproc__crew_limits(pool));
        until = earlier(until, mproc__progress_tell(pool, false));
        until = earlier(until, pool->start_again_ns);
        if (!done(pool, arg) && !pool->to_call.first && !atomic_load(&pool->stopped))
                ended = sleep_as_driver(pool, until);
        if (ended || mproc__deadline_passed(pool->start_again_ns) || pool->unready > 0)
                mproc__crew_look(pool);
        atomic_store(&pool->shm->watch, 0);
        mproc__pool_attend(pool);
        pool->driving = false;
        (void)pthread_cond_broadcast(&pool->changed);
}

static void
sleep_as_passenger(mproc_pool *pool, int64_t deadline_ns)
{
        struct timespec until = { .tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000 };

        if (deadline_ns == MPROC__NEVER)
                (void)pthread_cond_wait(&pool->changed, &pool->mutex);
        else
                (void)pthread_cond_timedwait(&pool->changed, &pool->mutex, &until);
}

/* How it ended, to who looks at the progress; else his last look would be of what was a moment before. */
static void
tell_the_end(mproc_pool *pool)
{
        if (pool->driving || !mproc__progress_owed(pool))
                return;
        pool->driving = true;
        (void)mproc__progress_tell(pool, true);
        pool->driving = false;
        (void)pthread_cond_broadcast(&pool->changed);
}

/* Also who will not wait looks after the pool once: his program may do nothing but ask, again and again. */
static int
wait_until(mproc_pool *pool, bool (*done)(mproc_pool *pool, void *arg), void *arg, int64_t deadline_ns)
{
        bool looked = false;

        mproc__pool_attend(pool);
        for (;;) {
                if (atomic_load(&pool->stopped) && !pool->ended && !pool->driving) {
                        pool->driving = true;
                        mproc__crew_kill(pool);
                        mproc__jobs_fail_all(pool, MPROC_ECANCELLED, "the pool was stopped");
                        pool->driving = false;
                        (void)pthread_cond_broadcast(&pool->changed);
                }
                if (pool->to_call.first) { /* callbacks run without the mutex */
                        mproc__pool_unlock(pool);
                        (void)pthread_mutex_lock(&pool->mutex);
                        continue;
                }
                if (done(pool, arg)) {
                        tell_the_end(pool);
                        return 0;
                }
                if (mproc__deadline_passed(deadline_ns) && (looked || pool->driving))
                        return MPROC_ETIMEDOUT;
                if (pool->driving || (pool->terminated && !pool->ended)) /* who terminates it wants the wheel */
                        sleep_as_passenger(pool, deadline_ns);
                else
                        drive(pool, done, arg, deadline_ns);
                looked = true;
        }
}

/* Another thread may free the pool meanwhile: its last user, who may be this one, then does. */
int
mproc__pool_wait(mproc_pool *pool, bool (*done)(mproc_pool *pool, void *arg), void *arg, int64_t deadline_ns)
{
        int r;

        pool->refs++;
        r = wait_until(pool, done, arg, deadline_ns);
        pool->refs--;
        return r;
}
