/* SPDX-License-Identifier: MIT */
/* pool/map.h - a map as map and imap ask for it. */
#ifndef MPROC_POOL_MAP_H
#define MPROC_POOL_MAP_H

#include "pool/pool.h"

struct mproc__map {
        mproc_map_fn *function;
        const void *items;
        size_t count, item_size;
        void *results; /* NULL: they stay in the area, as long as the job is active */
        size_t result_size;
        size_t chunk;
        const void *shared;
        size_t shared_bytes;
        int *codes;
        unsigned retries;
        int64_t time_limit_ms;
        struct mproc__encoder *arrays; /* in which items and results lie, as arguments; taken over; or NULL */
};

/* Without the mutex.  The caller owns *ret.  With words. */
int mproc__map_give(mproc_pool *pool, const struct mproc__map *map, struct mproc_future **ret);

#endif
