/* SPDX-License-Identifier: MIT */
/*
 * crash/points_pool.c - deaths of a pool's worker at each step of fetching work, doing it and telling of it: at most
 * the one item that it was at fails, or is tried again, and the pool stays usable.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ITEMS = 60, CHUNK = 3 };

/* One worker, the first that comes, is to die. */
static int
take_the_plan(mproc_args *args)
{
        if (mproc_semaphore_acquire(mproc_args_semaphore(args, 0), MPROC_NOWAIT) == 0)
                CHECK(setenv("MPROC_POINT", mproc_args_string(args, 1), 1) == 0);
        return 0;
}

static int
count_by_three(const void *item, void *result, const void *shared)
{
        (void)shared;
        if (*(const int64_t *)item == 0)
                (void)usleep(2000); /* so that the other one wakes up, and has its share */
        *(int64_t *)result = *(const int64_t *)item * 3 + 1;
        return *(const int64_t *)item == 17 ? 4 : 0; /* who fails by itself has words to tell */
}

static int
give_a_permit(mproc_args *args, mproc_result *result)
{
        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 0)));
        return mproc_result_int(result, 5);
}

/* How many items failed because their worker died: none but these has another outcome than its own. */
static unsigned
map_once(mproc_pool *pool, size_t chunk)
{
        int64_t items[ITEMS], results[ITEMS];
        mproc_future *future;
        int codes[ITEMS];
        mproc_map_opts opts = { .chunk = chunk, .codes = codes };
        unsigned died = 0;

        for (int i = 0; i < ITEMS; i++)
                items[i] = i;
        CHECK_OK(mproc_pool_map_async(pool, count_by_three, items, ITEMS, sizeof *items, results, sizeof *results,
                                      &opts, &future));
        CHECK_OK(mproc_future_wait(future, scaled_ms(20000)));
        mproc_future_free(future);
        for (int i = 0; i < ITEMS; i++) {
                died += codes[i] == MPROC_EWORKER;
                CHECK_MSG(codes[i] == (i == 17 ? 4 : 0) || codes[i] == MPROC_EWORKER, "item %d: %d", i, codes[i]);
                CHECK_INT(results[i], codes[i] == 0 ? items[i] * 3 + 1 : 0);
        }
        return died;
}

/* The same for tasks that are sent to one worker, with an object. */
static unsigned
give_once(mproc_pool *pool, mproc_context *ctx)
{
        mproc_semaphore *permits;
        mproc_future *futures[6];
        unsigned died = 0, given = 0;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &permits));
        for (int i = 0; i < 6; i++)
                CHECK_OK(mproc_pool_apply_async(pool, give_a_permit, MPROC_ARGS(permits), &futures[i]));
        for (int i = 0; i < 6; i++) {
                int64_t value = 0;
                int r = mproc_future_get_int(futures[i], &value, scaled_ms(20000));

                CHECK_MSG((r == 0 && value == 5) || r == MPROC_EWORKER, "%s", mproc_last_error());
                died += r == MPROC_EWORKER;
                mproc_future_free(futures[i]);
        }
        while (mproc_semaphore_acquire(permits, MPROC_NOWAIT) == 0)
                given++;
        CHECK(given + died >= 6);
        mproc_semaphore_free(permits);
        return died;
}

static void
one_death(mproc_context *ctx, const char *point, unsigned time, unsigned retries, bool mail)
{
        int64_t end = monotonic_ms() + scaled_ms(20000);
        mproc_pool_opts opts = { .initializer = take_the_plan, .retries = retries };
        mproc_pool_stats_all stats = { .deaths = 0 };
        mproc_semaphore *first;
        mproc_arg args[2];
        unsigned died = 0;
        mproc_pool *pool;
        char plan[100];

        (void)snprintf(plan, sizeof plan, "%s=kill@%u", point, time);
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 1, &first));
        args[0] = mproc_arg_semaphore(first);
        args[1] = mproc_arg_string(plan);
        opts.initializer_args = (mproc_arglist){ args, 2 };
        CHECK_OK(mproc_pool_create(ctx, 2, &opts, &pool));
        for (unsigned turn = 0; stats.deaths == 0; turn++) {
                CHECK_MSG(monotonic_ms() < end, "%s: nobody came by", plan);
                died += mail && turn % 2 ? give_once(pool, ctx) : map_once(pool, turn % 3 ? CHUNK : ITEMS / 2);
                (void)mproc_pool_run(pool, 0);
                if (strcmp(point, "pool.sleep") == 0)
                        (void)usleep(1000); /* there has to be nothing to do, now and then */
                CHECK_OK(mproc_pool_stats(pool, &stats, NULL, 0));
        }
        CHECK_MSG(died <= (retries == 0), "%s: %u items died", plan, died);
        CHECK_INT(map_once(pool, CHUNK), 0);
        CHECK_INT(give_once(pool, ctx), 0);
        CHECK_OK(mproc_pool_stats(pool, &stats, NULL, 0));
        CHECK_INT(stats.deaths, 1);
        CHECK_OK(mproc_pool_close(pool));
        CHECK_OK(mproc_pool_join(pool, scaled_ms(20000)));
        mproc_pool_free(pool);
        mproc_semaphore_free(first);
}

START_METHOD_TEST(death_of_a_worker_of_a_pool)
{
        static const char *const points[] = {
                "pool.enter",      "pool.front",       "pool.claim", "pool.item",  "pool.chunk.ended",
                "pool.chunk.told", "pool.done.marked", "pool.left",  "pool.sleep",
        };

        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
                one_death(ctx, points[i], 1, 0, false);
                one_death(ctx, points[i], 2, 2, true);
                one_death(ctx, points[i], 3, 0, true);
        }
}
