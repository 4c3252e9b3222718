/* SPDX-License-Identifier: MIT */
/*
 * crash/points_queue_inplace.c - deaths with a message in the hands, on the way there, and at the end of a queue.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

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

static void
role_shut_down(mproc_args *args)
{
        CHECK_OK(mproc_queue_shutdown(mproc_args_queue(args, 0)));
}

static void
role_get_until_end(mproc_args *args)
{
        char text[100];
        int r;

        while ((r = mproc_queue_get(mproc_args_queue(args, 0), text, sizeof text, NULL, MPROC_FOREVER)) == 0)
                ;
        CHECK_CODE(r, MPROC_ECLOSED);
}

/* The sleepers are not woken then, but end all the same: in a slice. */
START_METHOD_TEST(death_while_shutting_down)
{
        mproc_queue *q = queue_with(ctx, 1);
        mproc_process *getter = cast(ctx, role_get_until_end, MPROC_ARGS(q));

        await_asleep(getter);
        await_death(cast_victim(ctx, "queue.shutdown.said", role_shut_down, MPROC_ARGS(q)), "queue.shutdown.said");
        CHECK_CODE(mproc_queue_put(q, "x", 1, 0), MPROC_ECLOSED);
        CHECK_OK(mproc_process_join(getter, scaled_ms(20000)));
        mproc_process_free(getter);
        mproc_queue_free(q);
}

static void
role_poll(mproc_args *args)
{
        char text[100];
        int r;

        CHECK(mproc_queue_fileno(mproc_args_queue(args, 0)) >= 0);
        while ((r = mproc_queue_get(mproc_args_queue(args, 0), text, sizeof text, NULL, 0)) == 0)
                ;
        CHECK_CODE(r, MPROC_EEMPTY);
}

START_METHOD_TEST(death_of_a_poller)
{
        mproc_queue *q = queue_with(ctx, 1);

        await_death(cast_victim(ctx, "queue.armed", role_poll, MPROC_ARGS(q)), "queue.armed");
        expect_all_works(q, 0);
        mproc_queue_free(q);
}

static void
role_stop_in_commit(mproc_args *args)
{
        CHECK(setenv("MPROC_POINT", "queue.commit.described=stop", 1) == 0);
        role_put_in_place(args);
}

static void
await_stop_of(pid_t pid)
{
        int64_t end = monotonic_ms() + scaled_ms(20000);
        char path[40], state = 0;

        CHECK(snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid) < (int)sizeof path);
        while (state != 'T') {
                FILE *file = fopen(path, "re");

                CHECK(file && monotonic_ms() < end);
                CHECK(fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
                CHECK(fclose(file) == 0);
        }
}

/*
 * He has looked for who polls, found nobody, and is about to count.  A loop that comes now cannot know whether he
 * will live to look again: so the bell rings on until he is dead.
 */
START_METHOD_TEST(bell_rings_on_beside_one_who_commits)
{
        mproc_queue *q = queue_with(ctx, 0);
        mproc_process *process = cast(ctx, role_stop_in_commit, MPROC_ARGS(q));
        struct pollfd bell = { .fd = mproc_queue_fileno(q), .events = POLLIN };
        char text[100];
        int exitcode;

        await_stop_of(mproc_process_pid(process));
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
        CHECK_INT(poll(&bell, 1, 0), 1);
        CHECK_OK(mproc_process_kill(process));
        CHECK_OK(mproc_process_join(process, scaled_ms(20000)));
        CHECK_OK(mproc_process_exitcode(process, &exitcode));
        CHECK_INT(exitcode, -SIGKILL);
        mproc_process_free(process);
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
        CHECK_INT(poll(&bell, 1, 0), 0);
        expect_all_works(q, 0);
        mproc_queue_free(q);
}
