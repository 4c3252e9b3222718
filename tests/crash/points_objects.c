/* SPDX-License-Identifier: MIT */
/*
 * crash/points_objects.c - deaths at the points of queues, locks and semaphores: for each one process
 * dies there, the others go on.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <stdlib.h>

enum { TEXT = 64 };

/* --- what the processes do ---------------------------------------------------------------------------- */

struct objects {
        mproc_queue *queue;
        mproc_lock *lock;
        mproc_semaphore *semaphore;
};

static char large[3000000]; /* has a ring for itself */

static int
put_text(mproc_queue *queue, char c)
{
        char text[TEXT];

        memset(text, c, sizeof text);
        return mproc_queue_put(queue, text, sizeof text, scaled_ms(SERVED_MS));
}

static void
do_put(struct objects *o)
{
        CHECK_OK(put_text(o->queue, 'v'));
}

static void
do_put_large(struct objects *o)
{
        CHECK_OK(mproc_queue_put(o->queue, large, sizeof large, MPROC_FOREVER));
}

static void
do_get(struct objects *o)
{
        void *data;

        CHECK_OK(mproc_queue_get_alloc(o->queue, &data, NULL, MPROC_FOREVER));
        free(data);
}

static void
do_get_briefly(struct objects *o)
{
        (void)mproc_queue_get(o->queue, large, sizeof large, NULL, 100);
}

static void
do_acquire(struct objects *o)
{
        CHECK(mproc_lock_acquire(o->lock, MPROC_FOREVER) >= 0);
}

static void
do_acquire_briefly(struct objects *o)
{
        (void)mproc_lock_acquire(o->lock, 50);
}

static void
do_release(struct objects *o)
{
        CHECK_OK(mproc_lock_release(o->lock));
}

static void
do_acquire_permit(struct objects *o)
{
        CHECK_OK(mproc_semaphore_acquire(o->semaphore, MPROC_FOREVER));
}

static void
do_release_permit(struct objects *o)
{
        CHECK_OK(mproc_semaphore_release(o->semaphore));
}

typedef void action(struct objects *o);

static action *const actions[] = { do_put,
                                   do_put_large,
                                   do_get,
                                   do_get_briefly,
                                   do_acquire,
                                   do_release,
                                   do_acquire_briefly,
                                   do_acquire_permit,
                                   do_release_permit };

static void
play_action(mproc_args *args)
{
        struct objects o = { mproc_args_queue(args, 0), mproc_args_lock(args, 1), mproc_args_semaphore(args, 2) };

        actions[mproc_args_int(args, 3)](&o);
}

/* point: where it dies, or NULL. */
static mproc_process *
start_action(mproc_context *ctx, struct objects *o, action *wanted, const char *point)
{
        int i = 0;

        while (actions[i] != wanted)
                i++;
        if (point)
                return cast_victim(ctx, point, play_action, MPROC_ARGS(o->queue, o->lock, o->semaphore, i));
        return cast(ctx, play_action, MPROC_ARGS(o->queue, o->lock, o->semaphore, i));
}

/* --- the cases ------------------------------------------------------------------------------------------- */

/* Before the victim comes: */
enum before {
        NOTHING,
        THREE_MESSAGES,
        RING_FULL,
        RING_ALMOST_READ,
        LARGE_MESSAGE,
        FULL, /* one message, in a queue for one */
        LOCKED,
        LOCKED_ONCE_WAITED
};
/* While it is there, again and again until it is dead: */
enum meanwhile { WATCH, PUT, GET, UNLOCK };

static const struct death {
        const char *point;
        action *victim;
        enum before before;
        action *first;  /* a process that sleeps before the victim comes, or NULL */
        action *second; /* one that comes when the victim sleeps, or NULL */
        enum meanwhile meanwhile;
} deaths[] = {
        { "queue.put.entered", do_put, NOTHING, NULL, NULL, WATCH },
        { "queue.put.copied", do_put, NOTHING, NULL, NULL, WATCH },
        { "queue.put.described", do_put, NOTHING, do_get, NULL, WATCH },
        { "queue.put.committed", do_put, NOTHING, do_get, NULL, WATCH },
        { "queue.put.left", do_put, NOTHING, do_get, NULL, WATCH },
        { "queue.grow.built", do_put, RING_FULL, NULL, NULL, WATCH },
        { "queue.grow.linked", do_put, RING_FULL, NULL, NULL, WATCH },
        { "queue.grow.named", do_put, RING_FULL, NULL, NULL, WATCH },
        { "queue.put.copied", do_put, RING_FULL, NULL, NULL, WATCH },
        { "queue.grow.built", do_put_large, NOTHING, NULL, NULL, WATCH },
        { "queue.grow.linked", do_put_large, THREE_MESSAGES, NULL, NULL, WATCH },
        { "queue.grow.named", do_put_large, THREE_MESSAGES, NULL, NULL, WATCH },
        { "queue.put.copied", do_put_large, THREE_MESSAGES, NULL, NULL, WATCH },
        { "queue.put.committed", do_put_large, NOTHING, NULL, NULL, WATCH },
        { "queue.get.entered", do_get, THREE_MESSAGES, NULL, NULL, WATCH },
        { "queue.get.copied", do_get, THREE_MESSAGES, NULL, NULL, WATCH },
        { "queue.get.committed", do_get, THREE_MESSAGES, NULL, NULL, WATCH },
        { "queue.get.left", do_get, THREE_MESSAGES, NULL, NULL, WATCH },
        { "queue.get.released", do_get, RING_ALMOST_READ, NULL, NULL, WATCH },
        { "queue.get.copied", do_get, LARGE_MESSAGE, NULL, NULL, WATCH },
        { "queue.get.committed", do_get, LARGE_MESSAGE, NULL, NULL, WATCH },
        { "counter.armed", do_get, NOTHING, NULL, NULL, WATCH },
        { "counter.woken", do_get, NOTHING, NULL, NULL, PUT },
        { "robust.lock.sleep", do_get, NOTHING, do_get, NULL, WATCH },
        { "robust.lock.woken", do_get, NOTHING, do_get, NULL, PUT },
        { "robust.unlock.contended", do_get, NOTHING, NULL, do_get, PUT },
        { "robust.unlock.stale", do_get, NOTHING, NULL, do_get_briefly, PUT },
        { "lock.acquired", do_acquire, NOTHING, NULL, NULL, WATCH },
        { "lock.sleep", do_acquire, LOCKED, NULL, NULL, WATCH },
        { "lock.woken", do_acquire, LOCKED, NULL, do_acquire, UNLOCK },
        { "lock.release.contended", do_release, LOCKED, do_acquire, NULL, WATCH },
        { "lock.release.stale", do_release, LOCKED_ONCE_WAITED, NULL, NULL, WATCH },
        { "semaphore.release.inside", do_release_permit, NOTHING, do_acquire_permit, NULL, WATCH },
        { "semaphore.release.counted", do_release_permit, NOTHING, do_acquire_permit, NULL, WATCH },
        { "semaphore.acquire.found", do_acquire_permit, NOTHING, NULL, NULL, WATCH },
        { "semaphore.acquire.taken", do_acquire_permit, NOTHING, NULL, NULL, WATCH },
        { "counter.armed", do_put, FULL, NULL, NULL, WATCH },
        { "counter.woken", do_put, FULL, NULL, do_put, GET },
};

enum { DEATHS = sizeof deaths / sizeof *deaths, RING = 1023 };

static void
prepare(const struct death *d, struct objects *o)
{
        static const int messages[] = { [THREE_MESSAGES] = 3,
                                        [RING_FULL] = RING,
                                        [RING_ALMOST_READ] = RING + 1,
                                        [FULL] = 1,
                                        [LOCKED_ONCE_WAITED] = 0 };
        int puts = messages[d->before];

        for (int i = 0; i < puts; i++)
                CHECK_OK(put_text(o->queue, (char)('a' + i % 16)));
        for (int i = 0; d->before == RING_ALMOST_READ && i < RING - 1; i++)
                do_get(o);
        if (d->before == LARGE_MESSAGE)
                do_put_large(o);
        if (d->before == LOCKED || d->before == LOCKED_ONCE_WAITED)
                CHECK_OK(mproc_lock_acquire(o->lock, 0));
}

/* All go on: whatever the victim did or did not do, every operation works in bounded time. */
static void
check_aftermath(struct objects *o, bool bounded)
{
        size_t n = 99, size;
        char text[sizeof large];
        unsigned value;
        int r;

        while ((r = mproc_queue_get(o->queue, text, sizeof text, &size, MPROC_NOWAIT)) == 0) {
                CHECK(size == TEXT || size == sizeof large);
                for (size_t i = 1; i < size; i++)
                        CHECK_MSG(text[i] == text[0], "a torn message");
        }
        CHECK_CODE(r, MPROC_EEMPTY);
        for (int i = 0; i < 3; i++) {
                CHECK_OK(put_text(o->queue, 'y'));
                CHECK_OK(mproc_queue_get(o->queue, text, sizeof text, NULL, scaled_ms(SERVED_MS)));
                CHECK_INT(text[0], 'y');
        }
        for (int i = 0; !bounded && i < 1100; i++) /* over the end of a ring */
                CHECK_OK(put_text(o->queue, 'z'));
        CHECK_OK(mproc_queue_qsize(o->queue, &n));
        CHECK_INT(n, bounded ? 0 : 1100);
        for (size_t i = 0; i < n; i++) {
                CHECK_OK(mproc_queue_get(o->queue, text, sizeof text, NULL, scaled_ms(SERVED_MS)));
                CHECK_INT(text[TEXT - 1], 'z');
        }
        CHECK_OK(mproc_semaphore_release(o->semaphore));
        CHECK_OK(mproc_semaphore_acquire(o->semaphore, scaled_ms(SERVED_MS)));
        CHECK_OK(mproc_semaphore_value(o->semaphore, &value));
        CHECK(value <= 6);
        if (mproc_lock_owner(o->lock) == mproc_process_pid(mproc_current_process()))
                CHECK_OK(mproc_lock_release(o->lock));
        CHECK(mproc_lock_acquire(o->lock, scaled_ms(SERVED_MS)) >= 0);
        CHECK_OK(mproc_lock_release(o->lock));
}

/* Processes that still wait are given what they wait for. */
static void
let_go(struct objects *o, mproc_process *process)
{
        int64_t end = monotonic_ms() + scaled_ms(SERVED_MS);

        if (!process)
                return;
        while (mproc_process_is_alive(process)) {
                size_t n;

                CHECK_MSG(monotonic_ms() < end, "a survivor is not served");
                CHECK_OK(mproc_queue_qsize(o->queue, &n));
                if (n == 0)
                        (void)put_text(o->queue, 'l');
                else if (mproc_queue_full(o->queue) == 1)
                        do_get(o);
                CHECK_OK(mproc_semaphore_release(o->semaphore));
                if (mproc_lock_owner(o->lock) == mproc_process_pid(mproc_current_process()))
                        CHECK_OK(mproc_lock_release(o->lock));
                (void)mproc_process_join(process, 20);
                (void)mproc_semaphore_acquire(o->semaphore, 0);
        }
        mproc_process_free(process);
}

static void
die_at(mproc_context *ctx, const struct death *d)
{
        mproc_process *first = NULL, *second = NULL, *victim;
        struct objects o;

        CHECK_OK(mproc_queue_create(ctx, d->before == FULL, &o.queue));
        CHECK_OK(mproc_lock_create(ctx, &o.lock));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, d->victim == do_acquire_permit, &o.semaphore));
        prepare(d, &o);
        if (d->first) {
                first = start_action(ctx, &o, d->first, NULL);
                await_asleep(first);
        }
        if (d->before == LOCKED_ONCE_WAITED) {
                mproc_process *waiter = start_action(ctx, &o, do_acquire_briefly, NULL);

                CHECK_OK(mproc_process_join(waiter, scaled_ms(SERVED_MS)));
                mproc_process_free(waiter);
        }
        victim = start_action(ctx, &o, d->victim, d->point);
        if (d->second || d->meanwhile != WATCH)
                await_asleep(victim);
        if (d->second) {
                second = start_action(ctx, &o, d->second, NULL);
                if (d->second == do_get_briefly)
                        CHECK_OK(mproc_process_join(second, scaled_ms(SERVED_MS)));
                else
                        await_asleep(second);
        }
        while (!has_died(victim, d->point)) {
                if (d->meanwhile == PUT)
                        CHECK_OK(put_text(o.queue, 'm'));
                if (d->meanwhile == GET)
                        (void)mproc_queue_get(o.queue, large, sizeof large, NULL, 0);
                if (d->meanwhile == UNLOCK && mproc_lock_owner(o.lock) == mproc_process_pid(mproc_current_process()))
                        CHECK_OK(mproc_lock_release(o.lock));
        }
        let_go(&o, first);
        let_go(&o, second);
        check_aftermath(&o, d->before == FULL);
        mproc_queue_free(o.queue);
        mproc_lock_free(o.lock);
        mproc_semaphore_free(o.semaphore);
}

/* Here a ring is left after 5,000 messages, where the library as it is shipped leaves it after a billion. */
TEST(a_ring_is_left_in_time)
{
        mproc_queue *q;
        size_t len;

        for (size_t maxsize = 0; maxsize < 20; maxsize += 7) {
                CHECK_OK(mproc_queue_create(NULL, maxsize, &q));
                for (uint32_t put = 0, got = 0; got < 60000;) {
                        uint32_t text[2];

                        for (uint32_t i = 0; i <= got % 6; i++, put++)
                                CHECK_OK(mproc_queue_put(q, (uint32_t[]){ put, ~put }, 8, 0));
                        for (; got < put; got++) {
                                CHECK_OK(mproc_queue_get(q, text, sizeof text, &len, 0));
                                CHECK(len == 8 && text[0] == got && text[1] == ~got);
                        }
                }
                mproc_queue_free(q);
        }
}

START_METHOD_TEST(death_at_every_point, .limit_s = 300)
{
        for (int i = 0; i < DEATHS; i++)
                die_at(ctx, &deaths[i]);
}
