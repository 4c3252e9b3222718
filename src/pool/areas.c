/* SPDX-License-Identifier: MIT */
/*
 * pool/areas.c - handing out areas.
 *
 * Runs in: the pool's process, under the pool's mutex; views: in every process.
 */
#include "pool/areas.h"
#include "platform/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GRAIN        UINT64_C(64)
#define RESERVE_STEP (UINT64_C(256) << 10)
#define NEAR_LARGEST (MPROC__POOL_NEAR_BYTES / 8) /* larger ones are far, so that many small ones stay near */
#define IDLE_MAX     (UINT64_C(64) << 20)         /* of far areas: more goes back to the system */

/* --- free pieces ------------------------------------------------------------------------------------------- */

static int
make_room(struct mproc__extents *e)
{
        size_t capacity = e->capacity ? 2 * e->capacity : 16;
        struct mproc__extent *list;

        if (e->count < e->capacity)
                return 0;
        if (!(list = reallocarray(e->list, capacity, sizeof *list)))
                return -ENOMEM;
        e->list = list;
        e->capacity = capacity;
        return 0;
}

static void
drop(struct mproc__extents *e, size_t i)
{
        memmove(&e->list[i], &e->list[i + 1], (--e->count - i) * sizeof *e->list);
}

/* The first piece that is large enough.  There is room for one more piece, always: see put_piece. */
static bool
take_piece(struct mproc__extents *e, uint64_t len, uint64_t *ret_at)
{
        for (size_t i = 0; i < e->count; i++) {
                struct mproc__extent *x = &e->list[i];

                if (x->len < len)
                        continue;
                *ret_at = x->at;
                x->at += len;
                x->len -= len;
                if (x->len == 0)
                        drop(e, i);
                return true;
        }
        return false;
}

static size_t
first_behind(const struct mproc__extents *e, uint64_t at)
{
        size_t low = 0, high = e->count;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (e->list[middle].at < at)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* False: no memory to remember it by. */
static bool
put_piece(struct mproc__extents *e, uint64_t at, uint64_t len)
{
        size_t i = first_behind(e, at);
        bool joins_last = i > 0 && e->list[i - 1].at + e->list[i - 1].len == at;
        bool joins_next = i < e->count && at + len == e->list[i].at;

        if (joins_last) {
                e->list[i - 1].len += len;
                if (joins_next) {
                        e->list[i - 1].len += e->list[i].len;
                        drop(e, i);
                }
                return true;
        }
        if (joins_next) {
                e->list[i].at = at;
                e->list[i].len += len;
                return true;
        }
        if (make_room(e) < 0)
                return false;
        memmove(&e->list[i + 1], &e->list[i], (e->count++ - i) * sizeof *e->list);
        e->list[i] = (struct mproc__extent){ at, len };
        return true;
}

/* --- areas --------------------------------------------------------------------------------------------------- */

void
mproc__areas_init(struct mproc__areas *a, int fd, uint8_t *base)
{
        *a = (struct mproc__areas){ .fd = fd, .base = base };
        a->near_reserved = MPROC__POOL_TABLE_BYTES;
        a->end = MPROC__POOL_MAPPED_BYTES;
        (void)put_piece(&a->near, MPROC__POOL_TABLE_BYTES, MPROC__POOL_NEAR_BYTES);
}

void
mproc__areas_fini(struct mproc__areas *a)
{
        free(a->near.list);
        free(a->far.list);
        a->near.list = a->far.list = NULL;
}

static uint64_t
round_up(uint64_t len, uint64_t to)
{
        return (len + to - 1) / to * to;
}

/* Pages are had in steps, so that a store into an area can never fail. */
static int
take_near(struct mproc__areas *a, uint64_t len, uint64_t *ret_at)
{
        uint64_t at;
        int r = 0;

        if (!take_piece(&a->near, len, &at))
                return -ENOMEM;
        if (at + len > a->near_reserved) {
                uint64_t to = round_up(at + len, RESERVE_STEP);

                to = to < MPROC__POOL_MAPPED_BYTES ? to : MPROC__POOL_MAPPED_BYTES;
                r = mproc__memory_reserve(a->fd, a->near_reserved, to - a->near_reserved);
                if (r < 0)
                        (void)put_piece(&a->near, at, len);
                else
                        a->near_reserved = to;
        }
        if (r == 0)
                *ret_at = at;
        return r;
}

static int
take_far(struct mproc__areas *a, uint64_t len, uint64_t *ret_at)
{
        uint64_t at;
        int r;

        if (take_piece(&a->far, len, &at)) {
                a->idle -= a->idle < len ? a->idle : len;
        } else {
                at = a->end;
                if (len > UINT64_MAX / 4 - at)
                        return -EFBIG;
        }
        if ((r = mproc__memory_reserve(a->fd, at, len)) < 0) { /* parts of it may have lost their pages */
                if (at != a->end)
                        (void)put_piece(&a->far, at, len);
                return r;
        }
        if (at == a->end)
                a->end += len;
        *ret_at = at;
        return 0;
}

int
mproc__areas_take(struct mproc__areas *a, uint64_t len, uint64_t *ret_at)
{
        uint64_t page = mproc__memory_page();

        if (len > UINT64_MAX / 4)
                return -EFBIG;
        if (len <= NEAR_LARGEST && take_near(a, round_up(len, GRAIN), ret_at) == 0)
                return 0;
        return take_far(a, round_up(len, page), ret_at);
}

void
mproc__areas_give(struct mproc__areas *a, uint64_t at, uint64_t len)
{
        if (len == 0)
                return;
        if (mproc__area_is_near(at, len)) {
                (void)put_piece(&a->near, at, round_up(len, GRAIN));
                return;
        }
        len = round_up(len, mproc__memory_page());
        if (a->idle + len > IDLE_MAX)
                mproc__memory_release(a->fd, at, len);
        else
                a->idle += len;
        (void)put_piece(&a->far, at, len);
}

/* --- content --------------------------------------------------------------------------------------------------- */

int
mproc__areas_write(const struct mproc__areas *a, uint64_t at, const void *data, size_t len)
{
        if (!mproc__area_is_near(at, len))
                return mproc__memory_write(a->fd, at, data, len);
        memcpy(a->base + at, data, len);
        return 0;
}

int
mproc__areas_clear(const struct mproc__areas *a, uint64_t at, size_t len)
{
        static const uint8_t zeros[16384];
        int r = 0;

        if (mproc__area_is_near(at, len)) {
                memset(a->base + at, 0, len);
                return 0;
        }
        for (size_t done = 0, n; r == 0 && done < len; done += n) {
                n = len - done < sizeof zeros ? len - done : sizeof zeros;
                r = mproc__memory_write(a->fd, at + done, zeros, n);
        }
        return r;
}

int
mproc__areas_read(const struct mproc__areas *a, uint64_t at, void *buffer, size_t len)
{
        if (!mproc__area_is_near(at, len))
                return mproc__memory_read(a->fd, at, buffer, len);
        memcpy(buffer, a->base + at, len);
        return 0;
}

int
mproc__view_open(int fd, uint8_t *base, uint64_t at, uint64_t len, struct mproc__view *ret)
{
        if (!mproc__area_is_near(at, len))
                return mproc__view_map(fd, at, len, ret);
        *ret = (struct mproc__view){ .data = base + at };
        return 0;
}

int
mproc__view_map(int fd, uint64_t at, uint64_t len, struct mproc__view *ret)
{
        uint64_t page = mproc__memory_page(), start = at / page * page;
        void *mapping;
        int r;

        if ((r = mproc__memory_map(fd, start, (size_t)(at + len - start), &mapping)) < 0)
                return r;
        *ret = (struct mproc__view){ (uint8_t *)mapping + (at - start), mapping, (size_t)(at + len - start) };
        return 0;
}

void
mproc__view_close(struct mproc__view *view)
{
        if (view->mapping)
                mproc__memory_unmap(view->mapping, view->mapping_len);
        *view = (struct mproc__view){ .data = NULL };
}
