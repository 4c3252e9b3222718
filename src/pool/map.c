/* SPDX-License-Identifier: MIT */
/*
 * pool/map.c - giving a pool an array of items: map, map_async.
 *
 * Runs in: the pool's process.  Owns: nothing beyond the calls.
 *
 * One area holds all of a map, each part on its own cache lines:
 *
 *      arrays | states | codes | shared | items | results
 *
 * Items and results that lie in shared arrays stay there; `arrays` says which, as arguments (pool/mail.h).
 */
#include "pool/map.h"
#include "context/context.h"
#include "core/error.h"
#include "pool/mail.h"
#include "start/start.h"
#include "wire/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_A_WORKER 16u

/* Offsets in the area, and its length.  False: more than memory can be. */
struct layout {
        uint64_t arrays, states, codes, shared, items, results, end;
};

static bool
add_part(uint64_t *end, uint64_t count, uint64_t size, uint64_t *ret_at)
{
        uint64_t bytes;

        *ret_at = *end;
        if (__builtin_mul_overflow(count, size, &bytes) || bytes > UINT64_MAX / 8 || *end > UINT64_MAX / 8)
                return false;
        *end += (bytes + 63) / 64 * 64;
        return true;
}

static bool
lay_out(const struct mproc_future *f, const struct mproc__map *m, struct layout *l)
{
        uint64_t states = f->chunks > 1 ? f->chunks : 0;
        uint64_t copied = m->arrays ? 0 : f->count; /* what lies in arrays stays there */

        l->end = 0;
        return add_part(&l->end, m->arrays ? m->arrays->len : 0, 1, &l->arrays) &&
               add_part(&l->end, states, sizeof(uint64_t), &l->states) &&
               add_part(&l->end, m->codes ? f->count : 0, sizeof(int32_t), &l->codes) &&
               add_part(&l->end, f->shared_len, 1, &l->shared) &&
               add_part(&l->end, copied, f->item_size, &l->items) &&
               add_part(&l->end, copied, f->result_size, &l->results);
}

static int
take_area(struct mproc_future *f, const struct mproc__map *m, struct layout *l)
{
        int r;

        if (!lay_out(f, m, l))
                return mproc__fail(-EMSGSIZE,
                                   "a map of %llu items of %llu bytes, with results of %llu, is larger than any "
                                   "memory",
                                   (unsigned long long)f->count, (unsigned long long)f->item_size,
                                   (unsigned long long)f->result_size);
        if (l->end == 0)
                return 0;
        if ((r = mproc__areas_take(&f->pool->areas, l->end, &f->area_at)) < 0)
                return mproc__fail_errno(-r, "no memory for a map of %llu items: %llu bytes",
                                         (unsigned long long)f->count, (unsigned long long)l->end);
        f->area_len = l->end;
        if (m->arrays) {
                f->args_at = f->area_at + l->arrays;
                f->args_len = m->arrays->len;
        }
        f->states_at = f->area_at + l->states;
        f->codes_at = m->codes ? f->area_at + l->codes : 0;
        f->shared_at = f->shared_len ? f->area_at + l->shared : 0;
        f->items_at = f->item_size && !m->arrays ? f->area_at + l->items : 0;
        f->results_at = f->result_size && !m->arrays ? f->area_at + l->results : 0;
        return 0;
}

/* Without the mutex: the area is this future's. */
static int
fill_area(const struct mproc_future *f, const struct mproc__map *m)
{
        const struct mproc__areas *a = &f->pool->areas;
        int r = 0;

        if (m->arrays)
                r = mproc__areas_write(a, f->args_at, m->arrays->data, f->args_len);
        if (r == 0 && f->chunks > 1)
                r = mproc__areas_clear(a, f->states_at, f->chunks * sizeof(uint64_t));
        if (r == 0 && f->shared_at)
                r = mproc__areas_write(a, f->shared_at, m->shared, f->shared_len);
        if (r == 0 && f->items_at)
                r = mproc__areas_write(a, f->items_at, m->items, f->count * f->item_size);
        return r < 0 ? mproc__fail_errno(-r, "cannot store the items of a map") : 0;
}

static int
check(const struct mproc__map *m)
{
        if (!m->function)
                return mproc__fail(-EINVAL, "a map needs a function: it is NULL");
        if (m->count > MPROC__ITEMS_MAX)
                return mproc__fail(-EMSGSIZE, "a map of %zu items was asked for: it has at most %llu", m->count,
                                   (unsigned long long)MPROC__ITEMS_MAX);
        if ((m->item_size > 0 && !m->items && m->count > 0 && !m->arrays) || (m->shared_bytes > 0 && !m->shared))
                return mproc__fail(-EINVAL, "a map has %s of a size above 0, but the pointer to them is NULL",
                                   m->shared_bytes > 0 && !m->shared ? "shared bytes" : "items");
        if (m->time_limit_ms < 0)
                return mproc__fail(-EINVAL,
                                   "the time limit of a map's items is %lld ms: it takes a positive number, or 0",
                                   (long long)m->time_limit_ms);
        return 0;
}

/* Few enough to cost little, many enough for an even load at the end. */
static uint64_t
choose_chunk(const mproc_pool *pool, const struct mproc__map *m)
{
        uint64_t chunk = m->chunk ? m->chunk : m->count / (CHUNKS_A_WORKER * (uint64_t)pool->workers);

        chunk = chunk < m->count ? chunk : m->count;
        return chunk > 0 ? chunk : 1;
}

static int
make_future(mproc_pool *pool, const struct mproc__map *m, struct mproc_future **ret)
{
        struct mproc_future *f;
        struct layout layout;
        int r;

        if ((r = mproc__pool_check_open(pool)) < 0)
                return r;
        if (!(f = mproc__future_new(pool, MPROC__JOB_MAP)))
                return mproc__fail(-ENOMEM, "no memory for a map");
        f->count = m->count;
        f->chunk = choose_chunk(pool, m);
        f->chunks = (f->count + f->chunk - 1) / f->chunk;
        f->item_size = m->item_size;
        f->result_size = m->result_size;
        f->shared_len = m->shared_bytes;
        f->results = m->results;
        f->codes = m->codes;
        if (m->retries)
                f->retries = m->retries;
        if (m->time_limit_ms)
                f->time_limit_ns = mproc__pool_limit_ns(m->time_limit_ms);
        if (f->time_limit_ns && f->time_limit_ns < pool->least_limit_ns)
                pool->least_limit_ns = f->time_limit_ns;
        if ((r = mproc__jobs_function(pool, (void (*)(void))m->function, &f->function_at, &f->function_len)) < 0 ||
            (r = take_area(f, m, &layout)) < 0) {
                mproc__future_abandon(f);
                return r;
        }
        *ret = f;
        return 0;
}

int
mproc__map_give(mproc_pool *pool, const struct mproc__map *m, struct mproc_future **ret)
{
        struct mproc_future *f;
        int r;

        if ((r = mproc__pool_check(pool)) < 0 || (r = check(m)) < 0)
                return r;
        (void)pthread_mutex_lock(&pool->mutex);
        r = make_future(pool, m, &f);
        mproc__pool_unlock(pool);
        if (r < 0)
                return r;
        r = fill_area(f, m);
        (void)pthread_mutex_lock(&pool->mutex);
        if (r == 0 && (r = mproc__pool_check_open(pool)) == 0) {
                if (m->arrays) { /* the descriptors are the future's from now on */
                        f->encoded = *m->arrays;
                        *m->arrays = (struct mproc__encoder)MPROC__ENCODER_INIT;
                }
                mproc__jobs_give(pool, f);
                *ret = f;
        } else {
                mproc__future_abandon(f);
        }
        mproc__pool_unlock(pool);
        return r;
}

static struct mproc__map
with_options(mproc_map_fn *function, const mproc_map_opts *opts)
{
        static const mproc_map_opts none;
        const mproc_map_opts *o = opts ? opts : &none;

        return (struct mproc__map){
                .function = function,
                .chunk = o->chunk,
                .shared = o->shared,
                .shared_bytes = o->shared_bytes,
                .codes = o->codes,
                .retries = o->retries,
                .time_limit_ms = o->time_limit_ms,
        };
}

int
mproc_pool_map_async(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count, size_t item_size,
                     void *results, size_t result_size, const mproc_map_opts *opts, mproc_future **ret_future)
{
        struct mproc__map m = with_options(function, opts);

        m.items = items;
        m.count = count;
        m.item_size = item_size;
        m.results = results;
        m.result_size = result_size;
        if (result_size > 0 && !results && count > 0)
                return mproc__fail(-EINVAL, "a map has results of %zu bytes, but the pointer to them is NULL",
                                   result_size);
        return mproc__map_give(pool, &m, ret_future);
}

int
mproc_pool_map_opts(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count, size_t item_size,
                    void *results, size_t result_size, const mproc_map_opts *opts)
{
        mproc_future *future;
        int r = mproc_pool_map_async(pool, function, items, count, item_size, results, result_size, opts, &future);

        return r < 0 ? r : mproc__future_finish(future, NULL, 0, NULL);
}

int
mproc_pool_map(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count, size_t item_size,
               void *results, size_t result_size)
{
        return mproc_pool_map_opts(pool, function, items, count, item_size, results, result_size, NULL);
}

/* --- over arrays --------------------------------------------------------------------------------------------- */

static int
check_arrays(mproc_array *items, mproc_array *results)
{
        if (!items)
                return mproc__fail(MPROC_EHANDLE, "a map over an array needs one: items is NULL");
        if (results && mproc_array_count(results) < mproc_array_count(items))
                return mproc__fail(-EINVAL, "a map over an array of %zu items has room for %zu results only",
                                   mproc_array_count(items), mproc_array_count(results));
        return 0;
}

/* The arrays, as arguments that each worker is sent. */
static int
encode_arrays(mproc_pool *pool, mproc_array *items, mproc_array *results, struct mproc__encoder *e)
{
        mproc_arg values[] = { mproc_arg_array(items), mproc_arg_array(results) };
        mproc_args *args;
        int r;

        if ((r = mproc__args_gather((mproc_arglist){ values, results ? 2 : 1 }, &args)) < 0)
                return r;
        r = mproc__mail_encode(args, !pool->context->method->carries, e);
        mproc__args_free(args);
        return r;
}

int
mproc_pool_map_array_async(mproc_pool *pool, mproc_map_fn *function, mproc_array *items, mproc_array *results,
                           const mproc_map_opts *opts, mproc_future **ret_future)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        struct mproc__map m = with_options(function, opts);
        int r;

        m.arrays = &e;
        if ((r = mproc__pool_check(pool)) < 0 || (r = check_arrays(items, results)) < 0 ||
            (r = encode_arrays(pool, items, results, &e)) < 0) {
                mproc__mail_release(&e);
                return r;
        }
        m.count = mproc_array_count(items);
        m.item_size = mproc_array_item_size(items);
        m.result_size = results ? mproc_array_item_size(results) : 0;
        r = mproc__map_give(pool, &m, ret_future);
        mproc__mail_release(&e);
        return r;
}

int
mproc_pool_map_array(mproc_pool *pool, mproc_map_fn *function, mproc_array *items, mproc_array *results,
                     const mproc_map_opts *opts)
{
        mproc_future *future;
        int r = mproc_pool_map_array_async(pool, function, items, results, opts, &future);

        return r < 0 ? r : mproc__future_finish(future, NULL, 0, NULL);
}
