/* SPDX-License-Identifier: MIT */
/*
 * start/preload.c - the fork server's preparations.
 *
 * Runs in: parent, child, fork server.
 * Owns: the list, under MPROC__LOCK_CONTEXT.
 *
 * On the wire: u32 count, then for each the path (or NULL) and, if NULL, the function's name.
 */
#include "start/preload.h"
#include "core/error.h"
#include "core/locks.h"
#include "start/entry.h"
#include "start/forkserver.h"

#include <dlfcn.h>
#include <errno.h>
#include <mproc/context.h>
#include <stdlib.h>
#include <string.h>

#pragma weak dlopen
#pragma weak dlerror

static mproc_preload *list; /* the paths in it are ours, too */
static size_t list_count;

static void
release(mproc_preload *items, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free((void *)(uintptr_t)items[i].path);
        free(items);
}

static int
copy(const mproc_preload *items, size_t count, mproc_preload **ret)
{
        mproc_preload *copies = calloc(count ? count : 1, sizeof *copies);

        if (!copies)
                return mproc__fail(-ENOMEM, "no memory for %zu preload items", count);
        for (size_t i = 0; i < count; i++) {
                copies[i].function = items[i].function;
                if (!items[i].path == !items[i].function) {
                        release(copies, count);
                        return mproc__fail(-EINVAL, "preload item %zu: set either its path or its function", i);
                }
                if (items[i].path && !(copies[i].path = strdup(items[i].path))) {
                        release(copies, count);
                        return mproc__fail(-ENOMEM, "no memory for preload item %zu", i);
                }
        }
        *ret = copies;
        return 0;
}

static void
replace(mproc_preload *items, size_t count)
{
        mproc_preload *old;
        size_t old_count;

        mproc__lock(MPROC__LOCK_CONTEXT);
        old = list;
        old_count = list_count;
        list = items;
        list_count = count;
        mproc__unlock(MPROC__LOCK_CONTEXT);
        release(old, old_count);
}

int
mproc_set_forkserver_preload(const mproc_preload *items, size_t count)
{
        mproc_preload *copies = NULL;
        int r;

        if (count > 0 && !items)
                return mproc__fail(-EINVAL, "%zu preload items at NULL", count);
        if (mproc__forkserver_is_running())
                return mproc__fail(-EBUSY, "the fork server is running already: name what it is to preload before the "
                                           "first process is started by forkserver");
        if ((r = copy(items, count, &copies)) < 0)
                return r;
        replace(copies, count);
        return 0;
}

int
mproc__preload_encode(struct mproc__encoder *e)
{
        int r = 0;

        mproc__lock(MPROC__LOCK_CONTEXT);
        mproc__enc_u32(e, (uint32_t)list_count);
        for (size_t i = 0; i < list_count && r == 0; i++) {
                mproc__enc_string(e, list[i].path);
                if (!list[i].path)
                        r = mproc__entry_encode((mproc__function *)list[i].function, e);
        }
        mproc__unlock(MPROC__LOCK_CONTEXT);
        return r;
}

static int
decode(struct mproc__decoder *d, mproc_preload **ret_items, uint32_t *ret_count)
{
        uint32_t count = mproc__dec_u32(d);
        mproc_preload *items;
        int r = 0;

        if (d->error || count > d->len)
                return mproc__fail(MPROC_EPROTO, "the preload list that arrived is damaged");
        if (!(items = calloc(count ? count : 1, sizeof *items)))
                return mproc__fail(-ENOMEM, "no memory for %u preload items", (unsigned)count);
        for (uint32_t i = 0; i < count && r == 0; i++) {
                const char *path = mproc__dec_string(d);

                if (path && !(items[i].path = strdup(path)))
                        r = mproc__fail(-ENOMEM, "no memory for a preload item");
                if (!path)
                        r = mproc__entry_decode(d, (mproc__function **)&items[i].function);
        }
        if (r < 0) {
                release(items, count);
                return r;
        }
        *ret_items = items;
        *ret_count = count;
        return 0;
}

int
mproc__preload_inherit(struct mproc__decoder *d)
{
        struct mproc__decoder ahead = *d;
        mproc_preload *items;
        uint32_t count;
        int r;

        if (mproc__dec_u32(&ahead) == 0 && !list) { /* as a rule; and no memory is touched for it */
                *d = ahead;
                return 0;
        }
        if ((r = decode(d, &items, &count)) == 0)
                replace(items, count);
        return r;
}

static int
run_item(const mproc_preload *item)
{
        char name[128];
        int r;

        if (item->path) {
                if (!dlopen)
                        return mproc__fail(MPROC_EPRELOAD, "a static program cannot load %s", item->path);
                if (!dlopen(item->path, RTLD_NOW | RTLD_GLOBAL))
                        return mproc__fail(MPROC_EPRELOAD, "loading %s: %s", item->path, dlerror());
                return 0;
        }
        if ((r = item->function()) == 0)
                return 0;
        mproc__entry_describe((mproc__function *)item->function, name, sizeof name);
        if (r < 0)
                mproc__fail_prefix("preload function %s failed (%s): ", name, mproc_strerror(r));
        else
                mproc__fail(MPROC_EPRELOAD, "preload function %s returned %d instead of 0", name, r);
        return MPROC_EPRELOAD;
}

int
mproc__preload_run(struct mproc__decoder *d)
{
        mproc_preload *items;
        uint32_t count;
        int r = decode(d, &items, &count);

        if (r < 0)
                return r;
        for (uint32_t i = 0; i < count && r == 0; i++)
                r = run_item(&items[i]);
        release(items, count);
        return r;
}
