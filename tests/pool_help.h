/* SPDX-License-Identifier: MIT */
/* pool_help.h - what the tests of pools share: functions for workers, and a pool in one line. */
#ifndef POOL_HELP_H
#define POOL_HELP_H

#include "process_help.h"

#include <mproc/mproc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static inline mproc_pool *
make_pool(mproc_context *ctx, unsigned workers, const mproc_pool_opts *opts)
{
        mproc_pool *pool;

        CHECK_OK(mproc_pool_create(ctx, workers, opts, &pool));
        return pool;
}

/* All is done and nothing of it is left. */
static inline void
finish_pool(mproc_pool *pool)
{
        CHECK_OK(mproc_pool_close(pool));
        CHECK_OK(mproc_pool_join(pool, MPROC_FOREVER));
        mproc_pool_free(pool);
}

static inline mproc_future *
give_task(mproc_pool *pool, mproc_task_fn *function, mproc_arglist args)
{
        mproc_future *future;

        CHECK_OK(mproc_pool_apply_async(pool, function, args, &future));
        return future;
}

__attribute__((unused)) static int
double_it(const void *item, void *result, const void *shared)
{
        (void)shared;
        *(int64_t *)result = 2 * *(const int64_t *)item;
        return 0;
}

__attribute__((unused)) static int
add(mproc_args *args, mproc_result *result)
{
        return mproc_result_int(result, mproc_args_int(args, 0) + mproc_args_int(args, 1));
}

/* Tells that it runs, and waits for ever. */
__attribute__((unused)) static int
hang(mproc_args *args, mproc_result *result)
{
        (void)result;
        (void)mproc_event_set(mproc_args_event(args, 0));
        for (;;)
                (void)pause();
        return 0;
}

__attribute__((unused)) static int
kill_myself(mproc_args *args, mproc_result *result)
{
        (void)args;
        (void)result;
        (void)kill(getpid(), SIGKILL);
        return 0;
}

/* 0, 1, 2, ... */
static inline int64_t *
numbers(size_t count)
{
        int64_t *n = calloc(count ? count : 1, sizeof *n);

        CHECK(n != NULL);
        for (size_t i = 0; i < count; i++)
                n[i] = (int64_t)i;
        return n;
}

#endif
