/* SPDX-License-Identifier: MIT */
/*
 * crash/points_queue_ending.c - deaths of who shuts a queue down, and of those who poll it.
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

#define SOON_MS 2000 /* what is told, and not found at the end of a slice of 5 s */

static mproc_queue *
queue_of(mproc_context *ctx, size_t maxsize, int messages)
{
        mproc_queue *q;

        CHECK_OK(mproc_queue_create(ctx, maxsize, &q));
        for (int i = 0; i < messages; i++)
                CHECK_OK(mproc_queue_put(q, "x", 1, 0));
        return q;
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

static void
role_put_until_end(mproc_args *args)
{
        int r;

        while ((r = mproc_queue_put(mproc_args_queue(args, 0), "x", 1, MPROC_FOREVER)) == 0)
                ;
        CHECK_CODE(r, MPROC_ECLOSED);
}

/* Those who sleep are woken in the very step that ends the queue, and the bell has been rung before. */
START_METHOD_TEST(death_while_shutting_down)
{
        static role *const sleepers[] = { role_get_until_end, role_put_until_end };

        for (int i = 0; i < 2; i++) {
                mproc_queue *q = queue_of(ctx, 1, i);
                mproc_process *sleeper[2];
                struct pollfd bell = { .fd = mproc_queue_fileno(q), .events = POLLIN };
                char text[4];

                for (int k = 0; k < 2; k++)
                        sleeper[k] = cast(ctx, sleepers[i], MPROC_ARGS(q));
                for (int k = 0; k < 2; k++)
                        await_asleep(sleeper[k]);
                if (i == 0) {
                        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
                        CHECK_INT(poll(&bell, 1, 0), 0);
                }
                await_death(cast_victim(ctx, "queue.shutdown.said", role_shut_down, MPROC_ARGS(q)),
                            "queue.shutdown.said");
                for (int k = 0; k < 2; k++) {
                        CHECK_OK(mproc_process_join(sleeper[k], scaled_ms(SOON_MS)));
                        mproc_process_free(sleeper[k]);
                }
                CHECK_INT(poll(&bell, 1, 0), 1);
                CHECK_CODE(mproc_queue_put(q, "x", 1, 0), MPROC_ECLOSED);
                if (i == 1)
                        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 0));
                CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_ECLOSED);
                mproc_queue_free(q);
        }
}

static void
stop_at(const char *point)
{
        char *plan = text_format("%s=stop", point);

        CHECK(setenv("MPROC_POINT", plan, 1) == 0);
        free(plan);
}

static void
kill_it(mproc_process *process)
{
        int exitcode;

        CHECK_OK(mproc_process_kill(process));
        CHECK_OK(mproc_process_join(process, scaled_ms(20000)));
        CHECK_OK(mproc_process_exitcode(process, &exitcode));
        CHECK_INT(exitcode, -SIGKILL);
        mproc_process_free(process);
}

static void
role_stop_in_shutdown(mproc_args *args)
{
        stop_at("queue.shutdown.announced");
        role_shut_down(args);
}

/* He has rung, and not ended it.  The bell rings on until he does, or is dead; then all is as it was. */
START_METHOD_TEST(bell_rings_on_beside_one_who_shuts_down)
{
        mproc_queue *q = queue_of(ctx, 0, 0);
        mproc_process *process = cast(ctx, role_stop_in_shutdown, MPROC_ARGS(q));
        struct pollfd bell = { .fd = mproc_queue_fileno(q), .events = POLLIN };
        char text[4];

        await_stop_of(mproc_process_pid(process));
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
        CHECK_INT(poll(&bell, 1, 0), 1);
        kill_it(process);
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
        CHECK_INT(poll(&bell, 1, 0), 0);
        CHECK_OK(mproc_queue_put(q, "x", 1, 0));
        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 0));
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
        static const char *const points[] = { "queue.armed", "queue.poll.ticket" };

        for (int i = 0; i < 2; i++) {
                mproc_queue *q = queue_of(ctx, 0, 1);
                char text[4];

                await_death(cast_victim(ctx, points[i], role_poll, MPROC_ARGS(q)), points[i]);
                CHECK_OK(mproc_queue_put(q, "x", 1, scaled_ms(SERVED_MS)));
                CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, scaled_ms(SERVED_MS)));
                CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
                mproc_queue_free(q);
        }
}

static void
role_wait_slowly(mproc_args *args)
{
        mproc_waitable queue = { .type = MPROC_ARG_QUEUE, .fd = -1, .handle = mproc_args_queue(args, 0) };

        stop_at("queue.poll.empty");
        CHECK_INT(mproc_wait(&queue, 1, scaled_ms(SERVED_MS)), 1);
}

/*
 * He has found nothing, and is going to silence the bell.  It rings for a message, and he silences that; he finds the
 * message and goes off without it: so he has to ring for the others.
 */
START_METHOD_TEST(who_silences_the_bell_for_others_rings_it_again)
{
        mproc_queue *q = queue_of(ctx, 0, 0);
        mproc_process *process = cast(ctx, role_wait_slowly, MPROC_ARGS(q));
        struct pollfd bell = { .fd = mproc_queue_fileno(q), .events = POLLIN };
        char text[4];

        await_stop_of(mproc_process_pid(process));
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
        CHECK_INT(poll(&bell, 1, 0), 0);
        CHECK_OK(mproc_queue_put(q, "x", 1, 0));
        CHECK(kill(mproc_process_pid(process), SIGCONT) == 0);
        CHECK_OK(mproc_process_join(process, scaled_ms(20000)));
        mproc_process_free(process);
        CHECK_INT(poll(&bell, 1, 0), 1);
        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 0));
        mproc_queue_free(q);
}

START_METHOD_TEST(death_before_the_bell_is_silenced)
{
        mproc_queue *q = queue_of(ctx, 0, 0);
        char text[4];
        mproc_process *process = cast(ctx, role_wait_slowly, MPROC_ARGS(q));

        await_stop_of(mproc_process_pid(process));
        kill_it(process);
        CHECK_OK(mproc_queue_put(q, "x", 1, 0));
        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 0));
        mproc_queue_free(q);
}

static void
role_stop_in_commit(mproc_args *args)
{
        void *place;

        stop_at("queue.commit.described");
        CHECK_OK(mproc_queue_reserve(mproc_args_queue(args, 0), 1, &place, MPROC_FOREVER));
        CHECK_OK(mproc_queue_commit(mproc_args_queue(args, 0), 1));
}

/*
 * He has looked for who polls, found nobody, and is about to count.  A loop that comes now cannot know whether he
 * will live to look again: so the bell rings on until he is dead.
 */
START_METHOD_TEST(bell_rings_on_beside_one_who_commits)
{
        mproc_queue *q = queue_of(ctx, 0, 0);
        mproc_process *process = cast(ctx, role_stop_in_commit, MPROC_ARGS(q));
        struct pollfd bell = { .fd = mproc_queue_fileno(q), .events = POLLIN };
        char text[4];

        await_stop_of(mproc_process_pid(process));
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
        CHECK_INT(poll(&bell, 1, 0), 1);
        kill_it(process);
        CHECK_CODE(mproc_queue_get(q, text, sizeof text, NULL, 0), MPROC_EEMPTY);
        CHECK_INT(poll(&bell, 1, 0), 0);
        mproc_queue_free(q);
}
