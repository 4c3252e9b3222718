/* SPDX-License-Identifier: MIT */
/*
 * pool/results.c - results of tasks: a worker writes them, the pool's process looks at them.
 *
 * Runs in: workers; the pool's process (mproc__results_file_...).
 * Owns: the worker's mapping of the directory, and of a result that is being filled in.
 */
#include "pool/results.h"
#include "core/error.h"
#include "platform/memory.h"
#include "platform/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- places ---------------------------------------------------------------------------------------------------- */

int
mproc__results_open(struct mproc__results *results, int fd, uint64_t idle_max)
{
        void *base;
        int r = mproc__memory_map(fd, 0, MPROC__RESULTS_DIRECTORY, &base);

        if (r < 0)
                return mproc__fail_errno(-r, "a worker cannot map its file of results");
        *results = (struct mproc__results){
                .fd = fd, .shm = base, .end = MPROC__RESULTS_DIRECTORY, .idle_max = idle_max
        };
        return 0;
}

static bool
is_used(const struct mproc__place_shm *place)
{
        return atomic_load_explicit(&place->state, memory_order_acquire) == MPROC__PLACE_USED;
}

/* The smallest one that is free and large enough, but not far too large; else one that has never had an extent. */
static struct mproc__place_shm *
find_place(struct mproc__results *results, uint64_t len)
{
        struct mproc__place_shm *best = NULL, *blank = NULL;

        for (unsigned i = 0; i < MPROC__RESULTS_PLACES; i++) {
                struct mproc__place_shm *p = &results->shm->places[i];

                if (is_used(p))
                        continue;
                if (p->len == 0)
                        blank = blank ? blank : p;
                else if (p->len >= len && p->len / 4 <= len && (!best || p->len < best->len))
                        best = p;
        }
        return best ? best : blank;
}

/* Free places give their pages and their extents back. */
static void
sweep(struct mproc__results *results)
{
        for (unsigned i = 0; i < MPROC__RESULTS_PLACES; i++) {
                struct mproc__place_shm *p = &results->shm->places[i];

                if (is_used(p) || p->len == 0)
                        continue;
                if (results->maps[i].base)
                        mproc__memory_unmap(results->maps[i].base, results->maps[i].len);
                results->maps[i].base = NULL;
                mproc__memory_release(results->fd, p->at, p->len);
                p->len = 0;
        }
}

static uint64_t
idle_bytes(const struct mproc__results *results)
{
        uint64_t sum = 0;

        for (unsigned i = 0; i < MPROC__RESULTS_PLACES; i++)
                if (atomic_load_explicit(&results->shm->places[i].state, memory_order_acquire) == MPROC__PLACE_FREE)
                        sum += results->shm->places[i].len;
        return sum;
}

/* New room behind all that there is. */
static int
extend(struct mproc__results *results, uint64_t len, uint64_t *ret_at)
{
        int r = mproc__memory_reserve(results->fd, results->end, len);

        if (r < 0)
                return r;
        *ret_at = results->end;
        results->end += len;
        return 0;
}

/* At least len bytes, with pages, in a place or, if so many results are held that there is none, without. */
static int
take_place(struct mproc__results *results, uint64_t len, uint32_t *ret_place, uint64_t *ret_at)
{
        uint64_t page = mproc__memory_page();
        struct mproc__place_shm *p;
        int r;

        if (len > UINT64_MAX / 4)
                return -EFBIG;
        len = (len + page - 1) / page * page;
        p = find_place(results, len);
        if (!p || (p->len == 0 && idle_bytes(results) + len > results->idle_max)) {
                sweep(results);
                p = find_place(results, len);
        }
        if (!p) {
                *ret_place = MPROC__RESULT_NO_PLACE;
                return extend(results, len, ret_at);
        }
        if (p->len == 0) {
                if ((r = extend(results, len, &p->at)) < 0)
                        return r;
                p->len = len;
        } else if (atomic_load_explicit(&p->state, memory_order_acquire) == MPROC__PLACE_COLD) {
                if ((r = mproc__memory_reserve(results->fd, p->at, p->len)) < 0)
                        return r;
        }
        atomic_store_explicit(&p->state, MPROC__PLACE_USED, memory_order_relaxed);
        *ret_place = (uint32_t)(p - results->shm->places) + 1;
        *ret_at = p->at;
        return 0;
}

static void
give_place(struct mproc__results *results, uint32_t place, uint64_t at, uint64_t len)
{
        if (place == MPROC__RESULT_NO_PLACE)
                mproc__memory_release(results->fd, at, len);
        else
                atomic_store(&results->shm->places[place - 1].state, MPROC__PLACE_FREE);
}

/* A place as it can be written to; it stays mapped for results to come.  NULL: it cannot be, or is none. */
static void *
open_place(struct mproc__results *results, uint32_t place)
{
        const struct mproc__place_shm *p;
        void *base;

        if (place == MPROC__RESULT_NO_PLACE)
                return NULL;
        p = &results->shm->places[place - 1];
        if (!results->maps[place - 1].base) {
                if (mproc__memory_map(results->fd, p->at, p->len, &base) < 0)
                        return NULL;
                mproc__memory_populate(base, p->len);
                results->maps[place - 1].base = base;
                results->maps[place - 1].len = p->len;
        }
        return results->maps[place - 1].base;
}

/* --- the result of a task ------------------------------------------------------------------------------------------
 */

void
mproc__result_begin(struct mproc_result *result, struct mproc__results *results, struct mproc__result_shm *shm)
{
        *result = (struct mproc_result){ .results = results, .shm = shm };
        shm->type = MPROC_ARG_NONE;
        shm->file = 0;
        shm->len = 0;
}

static void
unmap(struct mproc_result *result)
{
        if (result->view.mapping)
                mproc__memory_unmap(result->view.mapping, result->view.len);
        result->view.mapping = NULL;
}

/* What was set before is forgotten. */
static void
forget(struct mproc_result *result)
{
        unmap(result);
        if (result->place)
                give_place(result->results, result->place, result->shm->at, result->shm->len);
        result->place = 0;
        result->shm->type = MPROC_ARG_NONE;
        result->shm->file = 0;
        result->shm->len = 0;
}

void
mproc__result_end(struct mproc_result *result, bool failed)
{
        if (failed)
                forget(result);
        else
                unmap(result);
}

static int
check(const struct mproc_result *result)
{
        return result ? 0 : mproc__fail(-EINVAL, "the result of a task is wanted, NULL was given");
}

static int
set(struct mproc_result *result, mproc_arg_type type, const void *data, size_t len)
{
        struct mproc__result_shm *shm;
        uint32_t place;
        void *base;
        int r;

        if ((r = check(result)) < 0)
                return r;
        if (!data && len > 0)
                return mproc__fail(-EINVAL, "a result of %zu bytes is set, but the data is NULL", len);
        forget(result);
        shm = result->shm;
        if (len <= MPROC__POOL_INLINE) {
                if (len > 0)
                        memcpy(shm->data, data, len);
        } else {
                if ((r = take_place(result->results, len, &place, &shm->at)) < 0)
                        return mproc__fail_errno(-r, "no room for a result of %zu bytes", len);
                result->place = place;
                shm->len = len;
                if ((base = open_place(result->results, place)) != NULL) {
                        memcpy(base, data, len);
                } else if ((r = mproc__memory_write(result->results->fd, shm->at, data, len)) < 0) {
                        forget(result);
                        return mproc__fail_errno(-r, "cannot write a result of %zu bytes", len);
                }
                shm->file = place;
        }
        shm->len = len;
        shm->type = type;
        return 0;
}

int
mproc_result_int(mproc_result *result, int64_t value)
{
        return set(result, MPROC_ARG_INT, &value, sizeof value);
}

int
mproc_result_uint(mproc_result *result, uint64_t value)
{
        return set(result, MPROC_ARG_UINT, &value, sizeof value);
}

int
mproc_result_double(mproc_result *result, double value)
{
        return set(result, MPROC_ARG_DOUBLE, &value, sizeof value);
}

int
mproc_result_string(mproc_result *result, const char *text)
{
        if (!text)
                return mproc__fail(-EINVAL, "a result is set to a string, but the text is NULL");
        return set(result, MPROC_ARG_STRING, text, strlen(text) + 1);
}

int
mproc_result_bytes(mproc_result *result, const void *data, size_t len_bytes)
{
        return set(result, MPROC_ARG_BYTES, data, len_bytes);
}

int
mproc_result_reserve(mproc_result *result, size_t len_bytes, void **ret_data)
{
        struct mproc__result_shm *shm;
        uint32_t place;
        int r;

        if ((r = check(result)) < 0)
                return r;
        forget(result);
        shm = result->shm;
        if (len_bytes <= MPROC__POOL_INLINE) {
                *ret_data = shm->data;
        } else {
                if ((r = take_place(result->results, len_bytes, &place, &shm->at)) < 0)
                        return mproc__fail_errno(-r, "no room for a result of %zu bytes", len_bytes);
                result->place = place;
                shm->len = len_bytes;
                if ((*ret_data = open_place(result->results, place)) == NULL) {
                        r = mproc__memory_map(result->results->fd, shm->at, len_bytes, &result->view.mapping);
                        if (r < 0) {
                                result->view.mapping = NULL;
                                forget(result);
                                return mproc__fail_errno(-r, "cannot map a result of %zu bytes", len_bytes);
                        }
                        result->view.len = len_bytes;
                        *ret_data = result->view.mapping;
                }
                shm->file = place;
        }
        shm->len = len_bytes;
        shm->type = MPROC_ARG_BYTES;
        return 0;
}

/* --- the side of the pool's process -------------------------------------------------------------------------------
 */

int
mproc__results_file_create(uint64_t idle_max, struct mproc__results_file **ret)
{
        struct mproc__results_file *file = calloc(1, sizeof *file);
        void *base;
        int r = -ENOMEM;

        if (!file)
                goto fail;
        file->fd = -1;
        file->refs = 1;
        file->idle_max = idle_max;
        if ((r = mproc__memory_create("mproc-results", MPROC__RESULTS_DIRECTORY, &file->fd)) < 0 ||
            (r = mproc__memory_reserve(file->fd, 0, MPROC__RESULTS_DIRECTORY)) < 0 ||
            (r = mproc__memory_map(file->fd, 0, MPROC__RESULTS_DIRECTORY, &base)) < 0)
                goto fail;
        file->shm = base;
        *ret = file;
        return 0;
fail:
        if (file)
                mproc__plat_close(&file->fd);
        free(file);
        return mproc__fail_errno(-r, "cannot make the file for a worker's results");
}

void
mproc__results_file_unref(struct mproc__results_file *file)
{
        if (!file || --file->refs > 0)
                return;
        mproc__memory_unmap(file->shm, MPROC__RESULTS_DIRECTORY);
        mproc__plat_close(&file->fd);
        free(file);
}

void
mproc__results_file_give(struct mproc__results_file *file, uint32_t place, uint64_t at, uint64_t len)
{
        bool cold = file->writer_gone || len > file->idle_max || place == MPROC__RESULT_NO_PLACE;

        if (cold)
                mproc__memory_release(file->fd, at, len);
        if (place > 0 && place <= MPROC__RESULTS_PLACES)
                atomic_store_explicit(&file->shm->places[place - 1].state,
                                      cold ? MPROC__PLACE_COLD : MPROC__PLACE_FREE, memory_order_release);
}
