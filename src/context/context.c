/* SPDX-License-Identifier: MIT */
/*
 * context/context.c - the three contexts and the default one.
 *
 * Runs in: every process.
 * Owns: the choice of the default context, under MPROC__LOCK_CONTEXT.
 *
 * A child's default is the method it was started by; that is looked up at the
 * first use, so nothing has to be set when it starts.  A forked child finds its
 * parent's choice in its memory: a choice counts only in the process that made it.
 */
#include "context/context.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/platform.h"
#include "start/start.h"

#include <pthread.h>
#include <string.h>

#define METHODS 3

static mproc_context contexts[METHODS];
static mproc_context *chosen; /* the default; NULL: not fixed yet */
static unsigned chosen_by;    /* mproc__self.generation of who chose it */

static void
fill_in(void)
{
        for (int i = 0; i < METHODS && mproc__start_methods[i]; i++)
                contexts[i].method = mproc__start_methods[i];
}

static mproc_context *
find(const char *method)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void)pthread_once(&once, fill_in);
        for (int i = 0; i < METHODS && contexts[i].method; i++)
                if (strcmp(contexts[i].method->name, method) == 0)
                        return &contexts[i];
        return NULL;
}

static mproc_context *
initial(void)
{
        mproc_context *ctx = mproc__self.method ? find(mproc__self.method) : NULL;

        return ctx ? ctx : find(mproc__start_methods[0]->name);
}

/* Called with MPROC__LOCK_CONTEXT held. */
static mproc_context *
chosen_locked(void)
{
        return chosen_by == mproc__self.generation ? chosen : NULL;
}

static mproc_context *
choose_locked(mproc_context *ctx)
{
        chosen_by = mproc__self.generation;
        return chosen = ctx;
}

static int
unknown_method(const char *method)
{
        return mproc__fail(MPROC_EMETHOD, "cannot find context for '%s': the start methods here are fork, spawn and "
                                          "forkserver", method ? method : "NULL");
}

mproc_context *
mproc__context_resolve(mproc_context *ctx)
{
        if (ctx)
                return ctx;
        mproc__lock(MPROC__LOCK_CONTEXT);
        if (!(ctx = chosen_locked()))
                ctx = choose_locked(initial());
        mproc__unlock(MPROC__LOCK_CONTEXT);
        return ctx;
}

bool
mproc__context_is_fork(mproc_context *ctx)
{
        return !mproc__context_resolve(ctx)->method->carries;
}

const char *const *
mproc_get_all_start_methods(void)
{
        return mproc__start_method_names;
}

int
mproc_set_start_method(const char *method)
{
        const char *standing = NULL;
        mproc_context *ctx;

        mproc__lock(MPROC__LOCK_CONTEXT);
        ctx = method ? find(method) : NULL;
        if (ctx && chosen_locked())
                standing = chosen->method->name;
        else if (ctx)
                (void)choose_locked(ctx);
        mproc__unlock(MPROC__LOCK_CONTEXT);
        if (!ctx)
                return unknown_method(method);
        if (standing)
                return mproc__fail(MPROC_EMETHODSET,
                                   "the start method is already '%s': it was set, or fixed by the first use of the "
                                   "default context; set it once, early in main(), or use mproc_get_context(\"%s\")",
                                   standing, method);
        return 0;
}

int
mproc_force_start_method(const char *method)
{
        mproc_context *ctx = NULL;

        mproc__lock(MPROC__LOCK_CONTEXT);
        if (method)
                ctx = find(method);
        if (ctx || !method)
                (void)choose_locked(ctx);
        mproc__unlock(MPROC__LOCK_CONTEXT);
        return ctx || !method ? 0 : unknown_method(method);
}

const char *
mproc_get_start_method(int allow_none)
{
        mproc_context *ctx;

        mproc__lock(MPROC__LOCK_CONTEXT);
        if (!(ctx = chosen_locked()) && !allow_none)
                ctx = choose_locked(initial());
        mproc__unlock(MPROC__LOCK_CONTEXT);
        return ctx ? ctx->method->name : NULL;
}

int
mproc_get_context(const char *method, mproc_context **ret_context)
{
        mproc_context *ctx;

        if (!method) {
                *ret_context = mproc__context_resolve(NULL);
                return 0;
        }
        mproc__lock(MPROC__LOCK_CONTEXT);
        ctx = find(method);
        mproc__unlock(MPROC__LOCK_CONTEXT);
        if (!ctx)
                return unknown_method(method);
        *ret_context = ctx;
        return 0;
}

const char *
mproc_context_name(mproc_context *ctx)
{
        return mproc__context_resolve(ctx)->method->name;
}

int
mproc_cpu_count(void)
{
        return mproc__plat_cpu_count();
}
