/* SPDX-License-Identifier: MIT */
/*
 * pool/imap.c - maps over items that come one after the other.
 *
 * Runs in: the pool's process.  Owns: the chunks that have been given to the pool and not been taken back.
 *
 * Each chunk is a map of its own, so that there is nothing new for workers.  They stand in a list in the order of
 * their items; results are taken from the first one, or, unordered, from the first that has ended.
 */
#include "core/error.h"
#include "pool/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct piece {
        struct piece *next;
        mproc_future *future;
        uint64_t first; /* number of its first item */
        size_t count, taken;
        bool opened; /* its results are there */
        int *codes;
        uint8_t *results;
};

struct mproc_imap {
        mproc_pool *pool;
        mproc_map_fn *function;
        mproc_source_fn *source;
        void *source_arg;
        size_t item_size, result_size, chunk, ahead;
        bool unordered, dry;
        int source_code; /* what the source ended with, if it failed */
        void *shared;
        size_t shared_bytes;
        uint64_t fetched;
        size_t pending; /* items fetched whose results have not been taken */
        struct piece *pieces, **last;
};

static void
free_piece(struct piece *p)
{
        mproc_future_free(p->future);
        free(p->codes);
        free(p->results);
        free(p);
}

static int
check(const mproc_pool *pool, mproc_map_fn *function, mproc_source_fn *source, const mproc_imap_opts *o)
{
        int r = mproc__pool_check(pool);

        if (r < 0)
                return r;
        if (!function || !source)
                return mproc__fail(-EINVAL, "an imap needs a function and a source of items: the %s is NULL",
                                   function ? "source" : "function");
        if (o->unordered != 0 && o->unordered != 1)
                return mproc__fail(-EINVAL, "option unordered of an imap is %d: it takes 0 or 1", o->unordered);
        if (o->shared_bytes > 0 && !o->shared)
                return mproc__fail(-EINVAL, "an imap has shared bytes, but the pointer to them is NULL");
        return 0;
}

int
mproc_pool_imap(mproc_pool *pool, mproc_map_fn *function, mproc_source_fn *source, void *source_arg, size_t item_size,
                size_t result_size, const mproc_imap_opts *opts, mproc_imap **ret_imap)
{
        static const mproc_imap_opts none;
        const mproc_imap_opts *o = opts ? opts : &none;
        mproc_imap *m;
        int r;

        if ((r = check(pool, function, source, o)) < 0)
                return r;
        if (!(m = calloc(1, sizeof *m)) || (o->shared_bytes > 0 && !(m->shared = malloc(o->shared_bytes)))) {
                free(m);
                return mproc__fail(-ENOMEM, "no memory for an imap");
        }
        if (o->shared_bytes > 0)
                memcpy(m->shared, o->shared, o->shared_bytes);
        m->shared_bytes = o->shared_bytes;
        m->pool = pool;
        m->function = function;
        m->source = source;
        m->source_arg = source_arg;
        m->item_size = item_size;
        m->result_size = result_size;
        m->chunk = o->chunk ? o->chunk : 1;
        if (o->ahead)
                m->ahead = o->ahead;
        else if (__builtin_mul_overflow(m->chunk, 4 * (size_t)mproc_pool_workers(pool), &m->ahead))
                m->ahead = SIZE_MAX;
        m->unordered = o->unordered;
        m->last = &m->pieces;
        *ret_imap = m;
        return 0;
}

/* --- fetching ------------------------------------------------------------------------------------------------ */

static size_t
fetch_items(mproc_imap *m, uint8_t *items, size_t wanted)
{
        size_t n = 0;

        while (n < wanted && !m->dry) {
                int r = m->source(items + n * m->item_size, m->source_arg);

                if (r == 1)
                        n++;
                else
                        m->dry = true;
                if (r < 0)
                        m->source_code = r;
        }
        return n;
}

static int
give_piece(mproc_imap *m, const uint8_t *items, struct piece *p)
{
        struct mproc__map map = {
                .function = m->function,
                .items = items,
                .count = p->count,
                .item_size = m->item_size,
                .results = p->results,
                .result_size = m->result_size,
                .chunk = p->count,
                .shared = m->shared,
                .shared_bytes = m->shared_bytes,
                .codes = p->codes,
        };

        return mproc__map_give(m->pool, &map, &p->future);
}

/* One chunk more, or less at the end of the items.  What was fetched and cannot be given is lost, and said so. */
static int
fetch_piece(mproc_imap *m)
{
        size_t room = m->ahead - m->pending, wanted = m->chunk < room ? m->chunk : room;
        struct piece *p = calloc(1, sizeof *p);
        uint8_t *items = calloc(wanted, m->item_size ? m->item_size : 1);
        int r = -ENOMEM;

        if (p) {
                p->codes = calloc(wanted, sizeof *p->codes);
                p->results = calloc(wanted, m->result_size ? m->result_size : 1);
        }
        if (!p || !items || !p->codes || !p->results) {
                r = mproc__fail(-ENOMEM, "no memory for %zu items of an imap", wanted);
        } else if ((p->count = fetch_items(m, items, wanted)) == 0) {
                r = 0;
        } else {
                p->first = m->fetched;
                m->fetched += p->count;
                if ((r = give_piece(m, items, p)) == 0) {
                        m->pending += p->count;
                        *m->last = p;
                        m->last = &p->next;
                        p = NULL;
                }
        }
        free(items);
        if (p)
                free_piece(p);
        return r;
}

static int
fetch_ahead(mproc_imap *m)
{
        int r = 0;

        while (r == 0 && !m->dry && m->pending < m->ahead)
                r = fetch_piece(m);
        return r;
}

/* --- taking --------------------------------------------------------------------------------------------------- */

static struct piece **
find_ended(mproc_imap *m)
{
        struct piece **p = &m->pieces;

        if (!m->unordered)
                return p;
        while (*p && (*p)->future->state != MPROC__JOB_ENDED)
                p = &(*p)->next;
        return *p ? p : NULL;
}

static bool
one_has_ended(mproc_pool *pool, void *arg)
{
        struct piece **p = find_ended(arg);

        (void)pool;
        return p && (*p)->future->state == MPROC__JOB_ENDED;
}

static int
await(mproc_imap *m, int64_t deadline)
{
        int r = 0;

        (void)pthread_mutex_lock(&m->pool->mutex);
        if (!one_has_ended(m->pool, m))
                r = mproc__pool_wait(m->pool, one_has_ended, m, deadline);
        mproc__pool_unlock(m->pool);
        return r < 0 ? mproc__fail(r, "no result of the imap came in time") : 0;
}

static int
tell_failure(const struct piece *p, size_t i, int code)
{
        const struct mproc_future *f = p->future;

        code = code > 0 ? MPROC_ETASK : code;
        return mproc__fail(code, "item %llu: %s", (unsigned long long)(p->first + i),
                           f->text && (f->failed_item == i || f->cancelled) ? f->text : mproc_strerror(code));
}

/* The piece that `at` points to has a result to be taken. */
static int
take_item(mproc_imap *m, struct piece **at, void *result, uint64_t *ret_number)
{
        struct piece *p = *at;
        size_t i = p->taken++;
        int r = p->future->cancelled || (p->future->code && !p->codes[i] && p->future->failed_items == 0 &&
                                         p->future->pool->ended)
                        ? p->future->code
                        : p->codes[i];

        if (ret_number)
                *ret_number = p->first + i;
        if (r != 0)
                r = tell_failure(p, i, r);
        else if (result)
                memcpy(result, p->results + i * m->result_size, m->result_size);
        m->pending--;
        if (p->taken == p->count) {
                *at = p->next;
                if (m->last == &p->next)
                        m->last = at;
                free_piece(p);
        }
        return r;
}

int
mproc_imap_next(mproc_imap *m, void *result, uint64_t *ret_number, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        struct piece **p;
        int r;

        if (!m)
                return mproc__fail(MPROC_EHANDLE, "an imap is wanted, NULL was given");
        if ((r = mproc__pool_check(m->pool)) < 0 || (r = fetch_ahead(m)) < 0)
                return r;
        if (!m->pieces && m->source_code < 0)
                return mproc__fail(m->source_code, "the source of an imap failed after %llu items",
                                   (unsigned long long)m->fetched);
        if (!m->pieces)
                return mproc__fail(MPROC_EEOF, "all %llu results of the imap were taken",
                                   (unsigned long long)m->fetched);
        if ((r = await(m, deadline)) < 0)
                return r;
        p = find_ended(m);
        return take_item(m, p, result, ret_number);
}

void
mproc_imap_free(mproc_imap *m)
{
        struct piece *next;

        if (!m)
                return;
        for (struct piece *p = m->pieces; p; p = next) {
                next = p->next;
                if (mproc__pool_check(m->pool) == 0) {
                        (void)pthread_mutex_lock(&m->pool->mutex);
                        mproc__jobs_cancel(m->pool, p->future, false);
                        mproc__pool_unlock(m->pool);
                }
                free_piece(p);
        }
        free(m->shared);
        free(m);
}
