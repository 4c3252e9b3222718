/* SPDX-License-Identifier: MIT */
/*
 * crash/points_queue_inplace.c - deaths with a message in the hands, and on the way there.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <string.h>

static void
role_put_in_place(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        void *place;

        CHECK_OK(mproc_queue_reserve(q, 100, &place, MPROC_FOREVER));
        memset(place, 'v', 100);
        CHECK_OK(mproc_queue_commit(q, 100));
}

static void
role_get_in_place(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        const void *data;

        CHECK_OK(mproc_queue_peek(q, &data, NULL, MPROC_FOREVER));
        CHECK_OK(mproc_queue_release(q));
}

/* All the same works for those who are left, and whatever is there is whole. */
static void
expect_all_works(mproc_queue *q, size_t most)
{
        char text[100];
        size_t len, got = 0;

        CHECK_OK(mproc_queue_put(q, "after", 6, scaled_ms(SERVED_MS)));
        for (;; got++) {
                CHECK_OK(mproc_queue_get(q, text, sizeof text, &len, scaled_ms(SERVED_MS)));
                if (len == 6)
                        break;
                CHECK(len == 100 && text[0] == 'v' && text[99] == 'v');
        }
        CHECK(got <= most);
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, &len, 0), MPROC_EEMPTY);
}

static mproc_queue *
queue_with(mproc_context *ctx, int messages)
{
        char text[100];
        mproc_queue *q;

        memset(text, 'v', sizeof text);
        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        for (int i = 0; i < messages; i++)
                CHECK_OK(mproc_queue_put(q, text, sizeof text, 0));
        return q;
}

START_METHOD_TEST(death_with_a_message_in_the_hands)
{
        static const struct {
                const char *point;
                role *victim;
                int before;
        } deaths[] = {
                { "queue.reserved", role_put_in_place, 0 },      { "queue.commit.described", role_put_in_place, 0 },
                { "queue.hold.counted", role_put_in_place, 0 },  { "queue.commit.left", role_put_in_place, 0 },
                { "queue.peeked", role_get_in_place, 2 },        { "queue.hold.counted", role_get_in_place, 2 },
                { "queue.get.committed", role_get_in_place, 2 }, { "queue.release.left", role_get_in_place, 2 },
        };

        for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
                mproc_queue *q = queue_with(ctx, deaths[i].before);

                await_death(cast_victim(ctx, deaths[i].point, deaths[i].victim, MPROC_ARGS(q)), deaths[i].point);
                expect_all_works(q, 2);
                mproc_queue_free(q);
        }
}

static void
role_put(mproc_args *args)
{
        CHECK_OK(mproc_queue_put(mproc_args_queue(args, 0), "x", 1, MPROC_FOREVER));
}

/* Who finds the dead one dies of it, too. */
START_METHOD_TEST(death_while_burying_a_dead_holder)
{
        mproc_queue *q = queue_with(ctx, 0);

        await_death(cast_victim(ctx, "queue.reserved", role_put_in_place, MPROC_ARGS(q)), "queue.reserved");
        await_death(cast_victim(ctx, "queue.hold.dead", role_put, MPROC_ARGS(q)), "queue.hold.dead");
        expect_all_works(q, 0);
        mproc_queue_free(q);
}
