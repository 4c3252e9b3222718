/* SPDX-License-Identifier: MIT */
/* context/context.h - contexts as the layers above see them. */
#ifndef MPROC_CONTEXT_CONTEXT_H
#define MPROC_CONTEXT_CONTEXT_H

#include <mproc/context.h>
#include <stdbool.h>

struct mproc__start_method; /* start/start.h */

struct mproc_context {
        const struct mproc__start_method *method;
};

/* The context itself, or for NULL the default one, which is thereby fixed.  Never fails. */
mproc_context *mproc__context_resolve(mproc_context *ctx);

/* Objects made in it are bound to inheritance by fork. */
bool mproc__context_is_fork(mproc_context *ctx);

#endif
