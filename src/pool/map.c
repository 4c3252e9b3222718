/* SPDX-License-Identifier: MIT */
/*
 * pool/map.c - giving a pool an array of items: map, map_async.
 *
 * Runs in: the pool's process.  Owns: nothing beyond the calls.
 *
 * One area holds all of a map, each part on its own cache lines:
 *
 *      states | codes | shared | items | results
 */
#include "pool/map.h"
#include "core/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_A_WORKER 16u

/* Offsets in the area, and its length.  False: more than memory can be. */
struct layout {
        uint64_t states, codes, shared, items, results, end;
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

        l->end = 0;
        return add_part(&l->end, states, sizeof(uint64_t), &l->states) &&
               add_part(&l->end, m->codes ? f->count : 0, sizeof(int32_t), &l->codes) &&
               add_part(&l->end, f->shared_len, 1, &l->shared) &&
               add_part(&l->end, f->count, f->item_size, &l->items) &&
               add_part(&l->end, f->count, f->result_size, &l->results);
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
        f->states_at = f->area_at + l->states;
        f->codes_at = m->codes ? f->area_at + l->codes : 0;
        f->shared_at = f->shared_len ? f->area_at + l->shared : 0;
        f->items_at = f->item_size ? f->area_at + l->items : 0;
        f->results_at = f->result_size ? f->area_at + l->results : 0;
        return 0;
}

/* Without the mutex: the area is this future's. */
static int
fill_area(const struct mproc_future *f, const struct mproc__map *m)
{
        const struct mproc__areas *a = &f->pool->areas;
        int r = 0;

        if (f->chunks > 1)
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
        if ((m->item_size > 0 && !m->items && m->count > 0) || (m->shared_bytes > 0 && !m->shared))
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
                f->time_limit_ns = m->time_limit_ms * INT64_C(1000000);
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
                mproc__jobs_give(pool, f);
                *ret = f;
        } else {
                mproc__future_abandon(f);
        }
        mproc__pool_unlock(pool);
        return r;
}

int
mproc_pool_map_async(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count, size_t item_size,
                     void *results, size_t result_size, const mproc_map_opts *opts, mproc_future **ret_future)
{
        static const mproc_map_opts none;
        const mproc_map_opts *o = opts ? opts : &none;
        struct mproc__map m = {
                .function = function,
                .items = items,
                .count = count,
                .item_size = item_size,
                .results = results,
                .result_size = result_size,
                .chunk = o->chunk,
                .shared = o->shared,
                .shared_bytes = o->shared_bytes,
                .codes = o->codes,
                .retries = o->retries,
                .time_limit_ms = o->time_limit_ms,
        };

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

        if (r < 0)
                return r;
        r = mproc_future_get(future, NULL, 0, NULL, MPROC_FOREVER);
        mproc_future_free(future);
        return r;
}

int
mproc_pool_map(mproc_pool *pool, mproc_map_fn *function, const void *items, size_t count, size_t item_size,
               void *results, size_t result_size)
{
        return mproc_pool_map_opts(pool, function, items, count, item_size, results, result_size, NULL);
}
