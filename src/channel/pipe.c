/* SPDX-License-Identifier: MIT */
/*
 * channel/pipe.c - two connections, each the other's other end.
 *
 * Runs in: every process.  Owns: nothing; both ends are the caller's.
 *
 * A one-way pipe is a socket pair, too: only so can descriptors and connections
 * travel through it.  The direction is kept by the handles.  The sockets' own
 * shutdown() is not used for it: the writer's descriptor would count as readable
 * for ever, while like this it becomes so when the reader is gone, which an
 * event loop can wait for.
 */
#include "channel/connection.h"
#include "context/context.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/platform.h"

#include <sys/socket.h>

/*
 * A child that another thread forks must find both sockets as objects, whose copies it closes, or
 * not at all: a copy that nobody knows of would hide the end of the other one.
 */
static int
make(int fd[2], int directions_a, int directions_b, mproc_connection **ret_a, mproc_connection **ret_b)
{
        int r;

        mproc__lock(MPROC__LOCK_STASH);
        if ((r = mproc__plat_socketpair(SOCK_STREAM, fd)) < 0)
                r = mproc__fail_errno(-r, "pipe: cannot make a pair of sockets");
        else if ((r = mproc__connection_new(&fd[0], directions_a, ret_a)) == 0)
                r = mproc__connection_new(&fd[1], directions_b, ret_b);
        mproc__unlock(MPROC__LOCK_STASH);
        return r;
}

static int
create(mproc_context *ctx, int directions_a, int directions_b, mproc_connection **ret_a, mproc_connection **ret_b)
{
        mproc_connection *a = NULL, *b = NULL;
        int fd[2] = { -1, -1 };
        int r;

        (void)mproc__context_resolve(ctx);
        if ((r = make(fd, directions_a, directions_b, &a, &b)) < 0 || (r = mproc__object_publish(&a->object)) < 0)
                goto out;
        if ((r = mproc__object_publish(&b->object)) < 0) {
                mproc_connection_free(a);
                a = NULL;
                goto out;
        }
        *ret_a = a;
        *ret_b = b;
        return 0;
out:
        mproc__object_unref(a ? &a->object : NULL);
        mproc__object_unref(b ? &b->object : NULL);
        mproc__plat_close(&fd[0]);
        mproc__plat_close(&fd[1]);
        return r;
}

int
mproc_pipe_create(mproc_context *ctx, mproc_connection **ret_a, mproc_connection **ret_b)
{
        int both = MPROC_CONNECTION_READ | MPROC_CONNECTION_WRITE;

        return create(ctx, both, both, ret_a, ret_b);
}

int
mproc_pipe_create_oneway(mproc_context *ctx, mproc_connection **ret_reader, mproc_connection **ret_writer)
{
        return create(ctx, MPROC_CONNECTION_READ, MPROC_CONNECTION_WRITE, ret_reader, ret_writer);
}
