/* SPDX-License-Identifier: MIT */
/*
 * pool/future.c - futures as their owner sees them.
 *
 * Runs in: the pool's process.  Owns: nothing; a future and its job are one (pool/pool.h).
 */
#include "core/error.h"
#include "platform/memory.h"
#include "pool/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mproc_future *
mproc__future_new(mproc_pool *pool, enum mproc__job_kind kind)
{
        struct mproc_future *f = calloc(1, sizeof *f);

        if (!f)
                return NULL;
        f->pool = pool;
        pool->refs++;
        f->refs = 2; /* the user's and the pool's */
        f->kind = kind;
        f->worker = -1;
        f->retries = pool->retries;
        f->time_limit_ns = pool->time_limit_ns;
        return f;
}

void
mproc__future_abandon(struct mproc_future *f)
{
        if (!f)
                return;
        mproc__areas_give(&f->pool->areas, f->area_at, f->area_len);
        mproc__job_destroy(f);
}

/* A future of this process, its pool locked.  With words. */
static int
lock(mproc_future *f)
{
        int r;

        if (!f)
                return mproc__fail(MPROC_EHANDLE, "a future is wanted, NULL was given");
        if ((r = mproc__pool_check(f->pool)) < 0)
                return r;
        (void)pthread_mutex_lock(&f->pool->mutex);
        return 0;
}

/* In words, before its number. */
static const char *
what_it_is(const struct mproc_future *f)
{
        return f->kind == MPROC__JOB_TASK ? "task" : "the map of tasks from";
}

static bool
has_ended(mproc_pool *pool, void *arg)
{
        (void)pool;
        return ((struct mproc_future *)arg)->state == MPROC__JOB_ENDED;
}

/* Who only ever looks has to see deaths and limits, too. */
static bool
look_whether_ended(mproc_future *f)
{
        return f->state == MPROC__JOB_ENDED ||
               mproc__pool_wait(f->pool, has_ended, f, mproc__deadline(MPROC_NOWAIT)) == 0;
}

/* Lock, and wait: if the result is 0, it has ended and the pool is locked; otherwise it is not. */
static int
lock_ended(mproc_future *f, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        int r;

        if ((r = lock(f)) < 0)
                return r;
        if (f->state == MPROC__JOB_ENDED || (r = mproc__pool_wait(f->pool, has_ended, f, deadline)) == 0)
                return 0;
        r = mproc__fail(r, "%s %llu has not ended after %lld ms", what_it_is(f), (unsigned long long)f->number,
                        (long long)timeout_ms);
        mproc__pool_unlock(f->pool);
        return r;
}

/* Its failure, with the words that belong to it. */
static int
tell_outcome(const struct mproc_future *f)
{
        const char *words = f->text ? f->text : mproc_strerror(f->code);

        if (f->code == 0)
                return 0;
        if (f->kind == MPROC__JOB_TASK)
                return mproc__fail(f->code, "task %llu: %s", (unsigned long long)f->number, words);
        if (f->cancelled)
                return mproc__fail(f->code, "the map of %llu items: %s", (unsigned long long)f->count, words);
        return mproc__fail(f->code, "item %llu of %llu: %s", (unsigned long long)f->failed_item,
                           (unsigned long long)f->count, words);
}

int
mproc_future_wait(mproc_future *f, int64_t timeout_ms)
{
        int r = lock_ended(f, timeout_ms);

        if (r == 0)
                mproc__pool_unlock(f->pool);
        return r;
}

int
mproc_future_ready(mproc_future *f)
{
        int r = lock(f);

        if (r < 0)
                return r;
        r = look_whether_ended(f);
        mproc__pool_unlock(f->pool);
        return r;
}

/* --- results ----------------------------------------------------------------------------------------------- */

/* Where it can be looked at.  The pool is locked. */
static int
open_view(struct mproc_future *f, const void **ret)
{
        int r;

        if (f->data || f->len == 0) {
                *ret = f->data;
                return 0;
        }
        if (!f->view.data) {
                uint64_t size;

                if ((r = mproc__memory_look(f->file->fd, &size, NULL)) < 0 || size < f->at || size - f->at < f->len)
                        return mproc__fail(MPROC_ECORRUPT,
                                           "task %llu: its result lies outside of its worker's memory",
                                           (unsigned long long)f->number);
                if ((r = mproc__view_map(f->file->fd, f->at, f->len, &f->view)) < 0)
                        return mproc__fail_errno(-r, "cannot map a result of %llu bytes", (unsigned long long)f->len);
        }
        *ret = f->view.data;
        return 0;
}

static int
copy_out(struct mproc_future *f, void *buffer, size_t capacity, size_t *ret_len)
{
        int r = 0;

        if (ret_len)
                *ret_len = (size_t)f->len;
        if (f->len > capacity)
                return mproc__fail(MPROC_ETOOSMALL,
                                   "task %llu: its result has %llu bytes, the buffer has room for %zu",
                                   (unsigned long long)f->number, (unsigned long long)f->len, capacity);
        if (f->len == 0)
                return 0;
        if (f->data)
                memcpy(buffer, f->data, f->len);
        else if (f->view.data)
                memcpy(buffer, f->view.data, f->len);
        else
                r = mproc__memory_read(f->file->fd, f->at, buffer, f->len);
        return r < 0 ? mproc__fail_errno(-r, "cannot read a result of %llu bytes", (unsigned long long)f->len) : 0;
}

int
mproc_future_get(mproc_future *f, void *buffer, size_t capacity, size_t *ret_len_bytes, int64_t timeout_ms)
{
        int r = lock_ended(f, timeout_ms);

        if (r < 0)
                return r;
        if ((r = tell_outcome(f)) == 0)
                r = copy_out(f, buffer, capacity, ret_len_bytes);
        mproc__pool_unlock(f->pool);
        return r;
}

int
mproc_future_view(mproc_future *f, const void **ret_data, size_t *ret_len_bytes, int64_t timeout_ms)
{
        int r = lock_ended(f, timeout_ms);

        if (r < 0)
                return r;
        if ((r = tell_outcome(f)) == 0 && (r = open_view(f, ret_data)) == 0 && ret_len_bytes)
                *ret_len_bytes = (size_t)f->len;
        mproc__pool_unlock(f->pool);
        return r;
}

static const char *
type_name(mproc_arg_type type)
{
        switch (type) {
        case MPROC_ARG_NONE:
                return "nothing";
        case MPROC_ARG_INT:
                return "an integer";
        case MPROC_ARG_UINT:
                return "an unsigned integer";
        case MPROC_ARG_DOUBLE:
                return "a floating-point number";
        case MPROC_ARG_STRING:
                return "a string";
        default:
                return "bytes";
        }
}

/* A result of one type, in place. */
static int
get_typed(mproc_future *f, mproc_arg_type type, size_t size, const void **ret, int64_t timeout_ms)
{
        int r = lock_ended(f, timeout_ms);

        if (r < 0)
                return r;
        if ((r = tell_outcome(f)) == 0) {
                if (f->type != type || (size > 0 && f->len != size) || f->len == 0)
                        r = mproc__fail(MPROC_EARGTYPE, "task %llu: its result is wanted as %s, but it is %s",
                                        (unsigned long long)f->number, type_name(type), type_name(f->type));
                else
                        r = open_view(f, ret);
                if (r == 0 && type == MPROC_ARG_STRING && ((const char *)*ret)[f->len - 1] != '\0')
                        r = mproc__fail(MPROC_ECORRUPT, "task %llu: its result is a string without an end",
                                        (unsigned long long)f->number);
        }
        mproc__pool_unlock(f->pool);
        return r;
}

static int
get_number(mproc_future *f, mproc_arg_type type, void *ret, size_t size, int64_t timeout_ms)
{
        const void *data;
        int r = get_typed(f, type, size, &data, timeout_ms);

        if (r == 0)
                memcpy(ret, data, size);
        return r;
}

int
mproc_future_get_int(mproc_future *f, int64_t *ret_value, int64_t timeout_ms)
{
        return get_number(f, MPROC_ARG_INT, ret_value, sizeof *ret_value, timeout_ms);
}

int
mproc_future_get_uint(mproc_future *f, uint64_t *ret_value, int64_t timeout_ms)
{
        return get_number(f, MPROC_ARG_UINT, ret_value, sizeof *ret_value, timeout_ms);
}

int
mproc_future_get_double(mproc_future *f, double *ret_value, int64_t timeout_ms)
{
        return get_number(f, MPROC_ARG_DOUBLE, ret_value, sizeof *ret_value, timeout_ms);
}

int
mproc_future_get_string(mproc_future *f, const char **ret_text, int64_t timeout_ms)
{
        const void *data;
        int r = get_typed(f, MPROC_ARG_STRING, 0, &data, timeout_ms);

        if (r == 0)
                *ret_text = data;
        return r;
}

/* --- the rest ------------------------------------------------------------------------------------------------ */

int
mproc_future_report(mproc_future *f, mproc_task_report *ret)
{
        int r = lock(f);

        if (r < 0)
                return r;
        if (look_whether_ended(f)) {
                *ret = (mproc_task_report){
                        .code = f->code,
                        .result = f->function_result,
                        .number = f->kind == MPROC__JOB_TASK ? f->number : f->failed_item,
                        .worker_pid = f->worker_pid,
                        .exitcode = f->exitcode,
                        .signal = f->exitcode < 0 && f->exitcode != MPROC_EXITCODE_UNKNOWN ? -f->exitcode : 0,
                        .tries = f->deaths + (f->worker_pid != 0 && f->code != MPROC_EWORKER),
                };
                (void)snprintf(ret->text, sizeof ret->text, "%s", f->text ? f->text : "");
        } else {
                r = mproc__fail(MPROC_ERUNNING, "task %llu has not ended yet", (unsigned long long)f->number);
        }
        mproc__pool_unlock(f->pool);
        return r;
}

int
mproc_future_cancel(mproc_future *f)
{
        int r = lock(f);

        if (r < 0)
                return r;
        mproc__pool_attend(f->pool);
        mproc__jobs_cancel(f->pool, f, true);
        if (f->state != MPROC__JOB_ENDED)
                (void)mproc__pool_wait(f->pool, has_ended, f, MPROC__NEVER);
        if (!f->cancelled)
                r = mproc__fail(MPROC_ERELEASED, "%s %llu had ended before it was cancelled", what_it_is(f),
                                (unsigned long long)f->number);
        mproc__pool_unlock(f->pool);
        return r;
}

int
mproc_future_on_done(mproc_future *f, mproc_done_fn *callback, void *arg)
{
        bool at_once;
        int r = lock(f);

        if (r < 0)
                return r;
        if (!callback || f->callback)
                r = mproc__fail(callback ? -EBUSY : -EINVAL,
                                callback ? "task %llu has a callback already" : "task %llu: the callback is NULL",
                                (unsigned long long)f->number);
        at_once = r == 0 && f->state == MPROC__JOB_ENDED;
        if (r == 0) {
                f->callback = callback;
                f->callback_arg = arg;
        }
        mproc__pool_unlock(f->pool);
        if (at_once)
                callback(f, arg);
        return r;
}

void
mproc_future_free(mproc_future *f)
{
        int saved = errno;
        mproc_pool *pool;

        if (!f || f->pool->creator != getpid())
                return;
        pool = f->pool;
        (void)pthread_mutex_lock(&pool->mutex);
        f->results = NULL; /* nobody wants them any more */
        f->codes = NULL;
        if (--f->refs == 0)
                mproc__job_destroy(f);
        mproc__pool_unlock(pool);
        errno = saved;
}

int
mproc__future_finish(mproc_future *f, void *buffer, size_t capacity, size_t *ret_len_bytes)
{
        int r = mproc_future_get(f, buffer, capacity, ret_len_bytes, MPROC_FOREVER);

        mproc_future_free(f);
        return r;
}
