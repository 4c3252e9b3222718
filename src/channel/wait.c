/* SPDX-License-Identifier: MIT */
/*
 * channel/wait.c - waiting for any of several things at once.
 *
 * Runs in: every process.  Owns: a hold on each item while a wait lasts, so that
 * no descriptor is closed, and its number given to another file, while it is
 * waited for.
 *
 * Everything comes down to poll(2).  Two kinds of items can be ready although
 * their descriptor says nothing: a connection that has kept a message, and a
 * queue, which lies in shared memory; they are asked before each sleep.
 */
#include "channel/connection.h"
#include "channel/queue.h"
#include "core/error.h"
#include "platform/platform.h"

#include <errno.h>
#include <mproc/process.h>
#include <mproc/queue.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Waits for few items, which is most of them, need no memory. */
#define FEW                      8

#define SOCKET_SENTINEL_SLICE_NS INT64_C(10000000)

mproc_waitable
mproc_wait_process(mproc_process *process)
{
        return (mproc_waitable){ .type = MPROC_ARG_NONE, .fd = -1, .handle = process };
}

mproc_waitable
mproc_wait_connection(mproc_connection *connection)
{
        return (mproc_waitable){ .type = MPROC_ARG_CONNECTION, .fd = -1, .handle = connection };
}

mproc_waitable
mproc_wait_queue(mproc_queue *queue)
{
        return (mproc_waitable){ .type = MPROC_ARG_QUEUE, .fd = -1, .handle = queue };
}

mproc_waitable
mproc_wait_fd(int fd)
{
        return (mproc_waitable){ .type = MPROC_ARG_FD, .fd = fd };
}

/* One wait: the items, and beside each what poll is told and the object that is held for it. */
struct wait {
        mproc_waitable *items;
        struct pollfd *polls;
        struct mproc__object **held;
        size_t count, held_count;
};

static void *
handle_of(const mproc_waitable *item)
{
        return (void *)(uintptr_t)item->handle;
}

/* --- taking hold of an item, and letting it go ---------------------------------------------------- */

static int
hold_connection(const mproc_waitable *item, struct pollfd *poll, struct mproc__object **held)
{
        struct mproc_connection *c;
        int r;

        if ((r = mproc__object_lookup(item->handle, MPROC_ARG_CONNECTION, held)) < 0)
                return r;
        c = (struct mproc_connection *)*held;
        if ((r = mproc__connection_begin(c, MPROC__USE_WATCH, MPROC__NEVER)) < 0) {
                mproc__object_unref(*held);
                return r;
        }
        poll->fd = c->socket;
        return 0;
}

static int
hold_queue(const mproc_waitable *item, struct mproc__object **held)
{
        int r;

        if ((r = mproc__object_lookup(item->handle, MPROC_ARG_QUEUE, held)) < 0)
                return r;
        if ((r = mproc_queue_empty(handle_of(item))) < 0)
                mproc__object_unref(*held);
        return r < 0 ? r : 0;
}

/* One that has ended may have no descriptor any more; ask_process() needs none. */
static int
hold_process(const mproc_waitable *item, struct pollfd *poll)
{
        int exitcode;

        if (item->handle == NULL)
                return mproc__fail(MPROC_EHANDLE, "a process is wanted, NULL was given");
        poll->fd = mproc_process_sentinel(handle_of(item));
        if (poll->fd >= 0 || mproc_process_exitcode(handle_of(item), &exitcode) == 0)
                return 0;
        return poll->fd;
}

static int
hold(const mproc_waitable *item, struct pollfd *poll, struct mproc__object **held)
{
        *held = NULL;
        *poll = (struct pollfd){ .fd = -1, .events = POLLIN };
        switch (item->type) {
        case MPROC_ARG_CONNECTION:
                return hold_connection(item, poll, held);
        case MPROC_ARG_QUEUE:
                return hold_queue(item, held);
        case MPROC_ARG_NONE:
                return hold_process(item, poll);
        case MPROC_ARG_FD:
                if (item->fd < 0)
                        return mproc__fail(-EBADF, "descriptor %d is not open", item->fd);
                poll->fd = item->fd;
                poll->events = item->events ? item->events : POLLIN;
                return 0;
        default:
                return mproc__fail(MPROC_EHANDLE, "a %s is nothing to wait for", mproc__arg_type_name(item->type));
        }
}

static int
hold_all(struct wait *w)
{
        int r;

        for (; w->held_count < w->count; w->held_count++) {
                r = hold(&w->items[w->held_count], &w->polls[w->held_count], &w->held[w->held_count]);
                if (r < 0) {
                        mproc__fail_prefix("item %zu of the wait: ", w->held_count);
                        return r;
                }
        }
        return 0;
}

static void
let_go(struct wait *w)
{
        for (size_t i = 0; i < w->held_count; i++) {
                if (w->items[i].type == MPROC_ARG_CONNECTION)
                        (void)mproc__connection_end((struct mproc_connection *)w->held[i], MPROC__USE_WATCH, 0);
                if (w->items[i].type == MPROC_ARG_QUEUE && w->polls[i].fd >= 0)
                        mproc__queue_wait_end((struct mproc_queue *)w->held[i]);
                mproc__object_unref(w->held[i]);
        }
}

/* --- the wait ------------------------------------------------------------------------------------- */

/*
 * A pidfd is readable when its process has ended, and never before.  Where there
 * are none the sentinel is a socket, which may have other things to tell, and
 * whose end a grandchild may hold back: then the process itself is asked, and
 * again from time to time.
 */
static bool
has_pidfd(const struct pollfd *poll)
{
        socklen_t len = sizeof(int);
        int type;

        return poll->fd >= 0 && getsockopt(poll->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0;
}

static void
ask_process(struct wait *w, size_t i, bool *ret_ready, int64_t *slice)
{
        if (has_pidfd(&w->polls[i]))
                return;
        *ret_ready = mproc_process_is_alive(handle_of(&w->items[i])) == 0;
        *slice = SOCKET_SENTINEL_SLICE_NS;
}

/* Ask what has no say in poll: is it ready already?  Some also tell how long a sleep may last. */
static int
ask(struct wait *w, size_t i, bool *ret_ready, int64_t *slice_ns)
{
        int64_t slice = MPROC__NEVER;
        int r = 0;

        *ret_ready = false;
        if (w->items[i].type == MPROC_ARG_CONNECTION)
                r = mproc__connection_kept((struct mproc_connection *)w->held[i], ret_ready);
        else if (w->items[i].type == MPROC_ARG_QUEUE)
                r = mproc__queue_wait_prepare((struct mproc_queue *)w->held[i], &w->polls[i].fd, ret_ready, &slice);
        else if (w->items[i].type == MPROC_ARG_NONE)
                ask_process(w, i, ret_ready, &slice);
        if (slice < *slice_ns)
                *slice_ns = slice;
        if (r < 0)
                mproc__fail_prefix("item %zu of the wait: ", i);
        return r;
}

/* Sets `ready` of those that are, returns how many, and how long a sleep may last. */
static int
ask_all(struct wait *w, int64_t *ret_slice_ns)
{
        int ready_count = 0;
        bool ready;
        int r;

        *ret_slice_ns = MPROC__NEVER;
        for (size_t i = 0; i < w->count; i++) {
                if ((r = ask(w, i, &ready, ret_slice_ns)) < 0)
                        return r;
                w->items[i].ready = ready;
                ready_count += ready;
        }
        return ready_count;
}

/*
 * What poll found.  A queue's descriptor only says that it is time to ask the
 * queue again.  A connection that another thread closed has woken us, too, and
 * has been asked since.
 */
static int
look_at(struct wait *w, size_t i)
{
        mproc_waitable *item = &w->items[i];
        short seen = w->polls[i].revents;

        if (seen & POLLNVAL) {
                if (item->type == MPROC_ARG_FD)
                        return mproc__fail(-EBADF, "item %zu of the wait: descriptor %d is not open", i, item->fd);
                return mproc__fail(
                        -EBADF, "item %zu of the wait: the descriptor of the %s, %d, was closed by somebody", i,
                        item->type == MPROC_ARG_NONE ? "process" : mproc__arg_type_name(item->type), w->polls[i].fd);
        }
        if (seen == 0 || item->type == MPROC_ARG_QUEUE)
                return 0;
        if (item->type == MPROC_ARG_NONE && !has_pidfd(&w->polls[i])) {
                w->polls[i].fd =
                        -1; /* it has told what it could; were it polled again, it might tell that for ever */
                return 0;
        }
        item->ready = item->type == MPROC_ARG_FD ? seen : 1;
        return 0;
}

static int
count_ready(const struct wait *w)
{
        int ready_count = 0;

        for (size_t i = 0; i < w->count; i++)
                ready_count += w->items[i].ready != 0;
        return ready_count;
}

/* One sleep: until something happens, the deadline, or a queue wants to be asked again. */
static int
sleep_once(struct wait *w, int64_t slice_ns, int64_t deadline)
{
        int64_t now = mproc__plat_now_ns();
        int64_t until = slice_ns < MPROC__NEVER - now ? now + slice_ns : MPROC__NEVER;
        int r;

        r = mproc__plat_poll(w->polls, w->count, until < deadline ? until : deadline);
        if (r == -EINVAL)
                return mproc__fail(r, "%zu items are more than can be waited for at once: the limit is RLIMIT_NOFILE",
                                   w->count);
        return r < 0 ? mproc__fail_errno(-r, "waiting failed") : r;
}

static int
wait_loop(struct wait *w, int64_t deadline)
{
        int64_t slice_ns;
        int ready_count, r;

        for (;;) {
                if ((ready_count = ask_all(w, &slice_ns)) < 0)
                        return ready_count;
                if ((r = sleep_once(w, ready_count > 0 ? 0 : slice_ns, deadline)) < 0)
                        return r;
                if (r > 0 && (r = ask_all(w, &slice_ns)) < 0)
                        return r;
                for (size_t i = 0; i < w->count; i++)
                        if ((r = look_at(w, i)) < 0)
                                return r;
                if ((ready_count = count_ready(w)) > 0)
                        return ready_count;
                if (mproc__deadline_passed(deadline))
                        return mproc__fail(MPROC_ETIMEDOUT, "none of the %zu items became ready in time", w->count);
        }
}

int
mproc_wait(mproc_waitable *items, size_t count, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        struct mproc__object *few_held[FEW];
        struct pollfd few_polls[FEW];
        struct wait w = { .items = items, .polls = few_polls, .held = few_held, .count = count };
        int r;

        if (count == 0 && timeout_ms < 0)
                return mproc__fail(-EINVAL, "nothing to wait for, and for ever");
        if (items == NULL && count > 0)
                return mproc__fail(-EINVAL, "NULL given for %zu items to wait for", count);
        if (count > FEW) {
                w.polls = calloc(count, sizeof(*w.polls));
                w.held = calloc(count, sizeof(*w.held));
        }
        if (w.polls == NULL || w.held == NULL)
                r = mproc__fail(-ENOMEM, "no memory to wait for %zu items", count);
        else if ((r = hold_all(&w)) == 0)
                r = wait_loop(&w, deadline);
        let_go(&w);
        if (count > FEW) {
                free(w.polls);
                free(w.held);
        }
        return r;
}
