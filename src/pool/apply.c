/* SPDX-License-Identifier: MIT */
/*
 * pool/apply.c - giving a pool one task: apply, apply_async.
 *
 * Runs in: the pool's process.  Owns: nothing beyond the calls.
 */
#include "context/context.h"
#include "core/error.h"
#include "pool/mail.h"
#include "pool/pool.h"
#include "start/start.h"
#include "wire/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The list as bytes where the worker will find it.  Its descriptors become the future's. */
static int
place_arguments(struct mproc_future *f, struct mproc__encoder *e)
{
        struct mproc__areas *areas = &f->pool->areas;
        int r;

        f->args_len = e->len;
        if (e->len <= sizeof f->args_inline) {
                memcpy(f->args_inline, e->data, e->len);
        } else {
                if ((r = mproc__areas_take(areas, e->len, &f->args_at)) < 0)
                        return mproc__fail_errno(-r, "no room in the pool's memory for %zu bytes of arguments",
                                                 e->len);
                f->area_at = f->args_at;
                f->area_len = e->len;
                if ((r = mproc__areas_write(areas, f->args_at, e->data, e->len)) < 0)
                        return mproc__fail_errno(-r, "cannot store %zu bytes of arguments", e->len);
        }
        if (e->nfds == 0)
                return 0;
        f->encoded = *e;
        *e = (struct mproc__encoder)MPROC__ENCODER_INIT;
        return 0;
}

static int
give_locked(mproc_pool *pool, mproc_task_fn *function, struct mproc__encoder *e, mproc_future **ret_future)
{
        struct mproc_future *f;
        int r;

        if ((r = mproc__pool_check_open(pool)) < 0)
                return r;
        if (!(f = mproc__future_new(pool, MPROC__JOB_TASK)))
                return mproc__fail(-ENOMEM, "no memory for a task");
        f->count = f->chunk = f->chunks = 1;
        if ((r = mproc__jobs_function(pool, (void (*)(void))function, &f->function_at, &f->function_len)) < 0 ||
            (r = place_arguments(f, e)) < 0) {
                mproc__future_abandon(f);
                return r;
        }
        mproc__jobs_give(pool, f);
        *ret_future = f;
        return 0;
}

int
mproc_pool_apply_async(mproc_pool *pool, mproc_task_fn *function, mproc_arglist list, mproc_future **ret_future)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        mproc_args *args = NULL;
        int r;

        if ((r = mproc__pool_check(pool)) < 0)
                return r;
        if (!function)
                return mproc__fail(-EINVAL, "a task needs a function: it is NULL");
        if ((r = mproc__args_gather(list, &args)) == 0 && (r = mproc__args_check_passable(args)) == 0 &&
            (r = mproc__mail_encode(args, !pool->context->method->carries, &e)) == 0) {
                (void)pthread_mutex_lock(&pool->mutex);
                r = give_locked(pool, function, &e, ret_future);
                mproc__pool_unlock(pool);
                if (r == 0)
                        mproc__args_given(args);
        }
        mproc__mail_release(&e);
        mproc__args_free(args);
        return r;
}

int
mproc_pool_apply(mproc_pool *pool, mproc_task_fn *function, mproc_arglist args, void *buffer, size_t capacity,
                 size_t *ret_len_bytes)
{
        mproc_future *future;
        int r = mproc_pool_apply_async(pool, function, args, &future);

        return r < 0 ? r : mproc__future_finish(future, buffer, capacity, ret_len_bytes);
}
