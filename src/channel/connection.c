/* SPDX-License-Identifier: MIT */
/*
 * channel/connection.c - a connection's life: birth, sharing among threads,
 * closing, what fork() does to it.
 *
 * Runs in: every process.  Owns: the socket, until it is closed or given away.
 *
 * Messages are sent and received in message.c, connections in gift.c.
 */
#include "channel/connection.h"

#include "context/context.h"
#include "core/error.h"
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static struct mproc_connection *
connection_of(struct mproc__object *object)
{
        return (struct mproc_connection *)object;
}

static int
init_lock(struct mproc_connection *c)
{
        pthread_condattr_t attr;
        int err;

        if ((err = pthread_condattr_init(&attr)) != 0)
                return -err;
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        err = pthread_cond_init(&c->changed, &attr);
        (void)pthread_condattr_destroy(&attr);
        if (err == 0 && (err = pthread_mutex_init(&c->lock, NULL)) != 0)
                (void)pthread_cond_destroy(&c->changed);
        return -err;
}

int
mproc__connection_new(int *socket, int directions, struct mproc_connection **ret_connection)
{
        struct mproc_connection *c = calloc(1, sizeof(*c));
        int r;

        if (c == NULL || (r = init_lock(c)) < 0) {
                free(c);
                return mproc__fail(-ENOMEM, "no memory for a connection");
        }
        c->socket = *socket;
        c->directions = directions;
        *socket = -1;
        mproc__object_init(&c->object, &mproc__connection_type, false);
        *ret_connection = c;
        return 0;
}

/* --- use by several threads ----------------------------------------------------------------------- */

static int
check_open_locked(const struct mproc_connection *c)
{
        if (c->moved)
                return mproc__fail(MPROC_EMOVED,
                                   "connection: it was given to another process, which owns it now; here "
                                   "it can only be freed");
        if (c->closed)
                return mproc__fail(MPROC_ECLOSED, "connection: it is closed");
        return 0;
}

static int
check_direction(const struct mproc_connection *c, enum mproc__connection_use use)
{
        if (use == MPROC__USE_SEND && !(c->directions & MPROC_CONNECTION_WRITE))
                return mproc__fail(MPROC_EREADONLY, "connection: this end only receives; send through the other one");
        if ((use == MPROC__USE_RECEIVE || use == MPROC__USE_WATCH) && !(c->directions & MPROC_CONNECTION_READ))
                return mproc__fail(MPROC_EWRITEONLY, "connection: this end only sends; receive from the other one");
        return 0;
}

static bool
taken_locked(const struct mproc_connection *c, enum mproc__connection_use use)
{
        return (use == MPROC__USE_SEND && c->sending) || (use == MPROC__USE_RECEIVE && c->receiving);
}

/* Wait for another thread to be done with a side, or to close it. */
static int
wait_locked(struct mproc_connection *c, int64_t deadline)
{
        struct timespec t;
        int err;

        c->waiters++;
        if (mproc__deadline_passed(deadline))
                err = ETIMEDOUT;
        else if (deadline == MPROC__NEVER)
                err = pthread_cond_wait(&c->changed, &c->lock);
        else {
                t.tv_sec = (time_t)(deadline / 1000000000);
                t.tv_nsec = (long)(deadline % 1000000000);
                err = pthread_cond_timedwait(&c->changed, &c->lock, &t);
        }
        c->waiters--;
        if (err == ETIMEDOUT)
                return mproc__fail(MPROC_ETIMEDOUT, "connection: another thread was using it all the time");
        return 0;
}

static void
take_locked(struct mproc_connection *c, enum mproc__connection_use use, bool taken)
{
        if (use == MPROC__USE_SEND || use == MPROC__USE_GIVE)
                c->sending = taken;
        if (use == MPROC__USE_RECEIVE || use == MPROC__USE_GIVE)
                c->receiving = taken;
}

int
mproc__connection_begin(struct mproc_connection *c, enum mproc__connection_use use, int64_t deadline)
{
        int r;

        if (c == NULL)
                return mproc__fail(MPROC_EHANDLE, "a connection is wanted, NULL was given");
        pthread_mutex_lock(&c->lock);
        do
                r = check_open_locked(c);
        while (r == 0 && (r = check_direction(c, use)) == 0 && taken_locked(c, use) &&
               (r = wait_locked(c, deadline)) == 0);
        if (r == 0 && use == MPROC__USE_GIVE && c->users > 0)
                r = mproc__fail(-EBUSY, "connection: it cannot be given away while another thread is using it");
        if (r == 0) {
                take_locked(c, use, true);
                c->users++;
        }
        pthread_mutex_unlock(&c->lock);
        return r;
}

/* Closed, and nobody uses it: the descriptor can go. */
static void
dispose_locked(struct mproc_connection *c)
{
        if (c->users > 0 || !(c->closed || c->moved))
                return;
        mproc__plat_close(&c->socket);
        mproc__incoming_reset(&c->in);
}

int
mproc__connection_end(struct mproc_connection *c, enum mproc__connection_use use, int r)
{
        pthread_mutex_lock(&c->lock);
        if (r < 0 && (c->closed || c->moved))
                r = check_open_locked(c);
        take_locked(c, use, false);
        c->users--;
        dispose_locked(c);
        if (c->waiters > 0)
                pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
        return r;
}

int
mproc__connection_kept(struct mproc_connection *c, bool *ret_ready)
{
        int r;

        pthread_mutex_lock(&c->lock);
        r = check_open_locked(c);
        *ret_ready = r == 0 && !c->receiving && mproc__incoming_is_ready(&c->in);
        pthread_mutex_unlock(&c->lock);
        return r;
}

void
mproc__connection_give(struct mproc_connection *c)
{
        pthread_mutex_lock(&c->lock);
        if (!c->closed)
                c->moved = true;
        dispose_locked(c);
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
}

/* --- as an object --------------------------------------------------------------------------------- */

static int
connection_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_connection *c = connection_of(object);
        int r;

        if ((r = mproc__connection_begin(c, MPROC__USE_GIVE, 0)) < 0)
                return r;
        r = mproc__connection_encode(c, encoder);
        return mproc__connection_end(c, MPROC__USE_GIVE, r);
}

static int
connection_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_connection *c;
        int r;

        if ((r = mproc__connection_decode(decoder, &c)) < 0)
                return r;
        *ret = &c->object;
        return 0;
}

static int
connection_passable(struct mproc__object *object)
{
        struct mproc_connection *c = connection_of(object);
        int r;

        r = mproc__connection_begin(c, MPROC__USE_GIVE, 0);
        return r < 0 ? r : mproc__connection_end(c, MPROC__USE_GIVE, 0);
}

static void
connection_given(struct mproc__object *object)
{
        mproc__connection_give(connection_of(object));
}

/*
 * In the only thread of a new process.  What other threads of the parent were
 * doing at the fork goes on there and not here.  One that was receiving may
 * have left half a change in c->in: that is not to be touched, and the memory it
 * names, a part of a message that the parent will have, is given up.
 *
 * Not passed, it is closed here, or the other side would wait for an end of file
 * that this process, which knows nothing of it, holds back.
 */
static void
connection_forked(struct mproc__object *object, bool passed)
{
        struct mproc_connection *c = connection_of(object);

        (void)init_lock(c); /* cannot fail: it needs no memory where this runs, and nobody could be told */
        if (c->receiving) {
                memset(&c->in, 0, sizeof(c->in));
                c->in.failed = MPROC_EBROKEN;
        }
        if (c->sending)
                c->send_broken = true;
        c->sending = c->receiving = false;
        c->users = c->waiters = 0;
        if (!passed)
                c->closed = true;
        dispose_locked(c);
}

static void
connection_destroy(struct mproc__object *object)
{
        struct mproc_connection *c = connection_of(object);

        mproc__plat_close(&c->socket);
        mproc__incoming_reset(&c->in);
        (void)pthread_cond_destroy(&c->changed);
        (void)pthread_mutex_destroy(&c->lock);
        free(c);
}

const struct mproc__object_type mproc__connection_type = {
        .name = "connection",
        .arg_type = MPROC_ARG_CONNECTION,
        .encode = connection_encode,
        .decode = connection_decode,
        .passable = connection_passable,
        .given = connection_given,
        .forked = connection_forked,
        .destroy = connection_destroy,
};

/* --- public --------------------------------------------------------------------------------------- */

int
mproc__connection_check_fd(int fd)
{
        int domain = 0, type = 0;
        socklen_t len = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return mproc__fail_errno(errno, "connection: descriptor %d cannot be one", fd);
        len = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
                return mproc__fail_errno(errno, "connection: descriptor %d cannot be one", fd);
        if (domain != AF_UNIX || type != SOCK_STREAM)
                return mproc__fail(-ENOTSOCK,
                                   "connection: descriptor %d is a socket, but not of the kind that carries messages "
                                   "and descriptors: AF_UNIX, SOCK_STREAM",
                                   fd);
        return 0;
}

int
mproc_connection_from_fd(mproc_context *ctx, int fd, int flags, mproc_connection **ret_connection)
{
        int both = MPROC_CONNECTION_READ | MPROC_CONNECTION_WRITE;
        mproc_connection *c = NULL;
        int socket = fd;
        int r;

        if (flags == 0 || (flags & ~both) != 0)
                return mproc__fail(-EINVAL,
                                   "connection: flags %d name no direction: MPROC_CONNECTION_READ, _WRITE or both",
                                   flags);
        if ((r = mproc__connection_check_fd(fd)) < 0)
                return r;
        (void)mproc__context_resolve(ctx);
        if ((r = mproc__connection_new(&socket, flags, &c)) < 0)
                return r;
        if ((r = mproc__object_publish(&c->object)) < 0) {
                c->socket = -1; /* still the caller's */
                mproc__object_unref(&c->object);
                return r;
        }
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        *ret_connection = c;
        return 0;
}

int
mproc_connection_poll(mproc_connection *connection, int64_t timeout_ms)
{
        struct pollfd item = { .events = POLLIN };
        int64_t deadline = mproc__deadline(timeout_ms);
        bool ready = false;
        int r;

        if ((r = mproc__connection_begin(connection, MPROC__USE_WATCH, deadline)) < 0)
                return r;
        item.fd = connection->socket;
        r = mproc__connection_kept(connection, &ready);
        if (r == 0 && !ready)
                r = mproc__plat_poll(&item, 1, deadline);
        else if (r == 0)
                r = 1;
        if (r == 0)
                r = mproc__fail(MPROC_ETIMEDOUT, "connection: nothing to receive came in time");
        else if (r < 0)
                r = mproc__fail_errno(-r, "connection: poll failed");
        else
                r = mproc__connection_kept(connection, &ready); /* closing it wakes us, too */
        return mproc__connection_end(connection, MPROC__USE_WATCH, r);
}

int
mproc_connection_fileno(mproc_connection *connection)
{
        int r;

        if (connection == NULL)
                return mproc__fail(MPROC_EHANDLE, "a connection is wanted, NULL was given");
        pthread_mutex_lock(&connection->lock);
        r = check_open_locked(connection);
        r = r < 0 ? r : connection->socket;
        pthread_mutex_unlock(&connection->lock);
        return r;
}

int
mproc_connection_readable(mproc_connection *connection)
{
        return connection != NULL && (connection->directions & MPROC_CONNECTION_READ) != 0;
}

int
mproc_connection_writable(mproc_connection *connection)
{
        return connection != NULL && (connection->directions & MPROC_CONNECTION_WRITE) != 0;
}

int
mproc_connection_closed(mproc_connection *connection)
{
        int closed;

        if (connection == NULL)
                return 1;
        pthread_mutex_lock(&connection->lock);
        closed = connection->closed || connection->moved;
        pthread_mutex_unlock(&connection->lock);
        return closed;
}

/*
 * Threads that wait in it are to wake up and be told, so the socket is shut
 * down: it becomes readable and writable for good.  The other side sees what it
 * would see anyway, the end.  This is not done when nobody waits, so a socket
 * that a forked child inherited on purpose lives on there.
 */
int
mproc_connection_close(mproc_connection *connection)
{
        mproc_connection *c = connection;

        if (c == NULL)
                return mproc__fail(MPROC_EHANDLE, "a connection is wanted, NULL was given");
        pthread_mutex_lock(&c->lock);
        if (!c->closed && !c->moved) {
                c->closed = true;
                if (c->users > 0)
                        (void)shutdown(c->socket, SHUT_RDWR);
                dispose_locked(c);
                pthread_cond_broadcast(&c->changed);
        }
        pthread_mutex_unlock(&c->lock);
        return 0;
}

void
mproc_connection_free(mproc_connection *connection)
{
        if (connection != NULL)
                mproc__object_free(&connection->object);
}
