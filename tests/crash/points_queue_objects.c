/* SPDX-License-Identifier: MIT */
/*
 * crash/points_queue_objects.c - deaths of processes that put and get lists with descriptors: no descriptor is lost,
 * comes with a wrong list, or stays open for nobody.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <fcntl.h>
#include <unistd.h>

static void
role_put(mproc_args *args)
{
        CHECK_OK(mproc_queue_put_args(mproc_args_queue(args, 0), MPROC_ARGS(0, mproc_fd(mproc_args_fd(args, 1))),
                                      MPROC_FOREVER));
}

static void
role_get(mproc_args *args)
{
        mproc_args *got;

        CHECK_OK(mproc_queue_get_args(mproc_args_queue(args, 0), &got, MPROC_FOREVER));
        mproc_args_free(got);
}

static mproc_queue *
make_queue(mproc_context *ctx)
{
        mproc_queue_opts opts = { .objects = 1 };
        mproc_queue *queue;

        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        return queue;
}

/* A pipe of ours goes in as number `number`. */
static void
put_pipe(mproc_queue *queue, int number, int *ret_read_end)
{
        int fds[2];

        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        CHECK_OK(mproc_queue_put_args(queue, MPROC_ARGS(number, mproc_fd(fds[1])), scaled_ms(SERVED_MS)));
        (void)close(fds[1]);
        *ret_read_end = fds[0];
}

/* The next one is this number, and its descriptor the other end of the pipe. */
static void
expect_pipe(mproc_queue *queue, int number, int read_end, const char *point)
{
        mproc_args *args;
        char byte = 0;

        CHECK_OK(mproc_queue_get_args(queue, &args, scaled_ms(SERVED_MS)));
        CHECK_MSG(mproc_args_int(args, 0) == number, "%s: list %d came, not %d", point, (int)mproc_args_int(args, 0),
                  number);
        write_all(mproc_args_fd(args, 1), "x", 1);
        mproc_args_free(args);
        CHECK(read(read_end, &byte, 1) == 1 && byte == 'x');
        CHECK_MSG(read(read_end, &byte, 1) == 0, "%s: somebody holds the descriptor still", point);
        (void)close(read_end);
}

START_METHOD_TEST(death_while_putting_descriptors)
{
        static const struct {
                const char *point;
                bool in;
        } deaths[] = { { "objects.put.numbered", false },
                       { "objects.put.sent", false },
                       { "queue.put.described", false },
                       { "queue.put.committed", true } };

        for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
                mproc_queue *queue = make_queue(ctx);
                int victims[2], read_end;
                char byte;

                CHECK(pipe2(victims, O_CLOEXEC) == 0);
                await_death(cast_victim(ctx, deaths[i].point, role_put, MPROC_ARGS(queue, mproc_fd(victims[1]))),
                            deaths[i].point);
                (void)close(victims[1]);
                put_pipe(queue, 1, &read_end);
                if (deaths[i].in)
                        expect_pipe(queue, 0, victims[0], deaths[i].point);
                expect_pipe(queue, 1, read_end, deaths[i].point);
                if (!deaths[i].in) {
                        CHECK_INT(read(victims[0], &byte, 1), 0); /* what was under way is gone */
                        (void)close(victims[0]);
                }
                CHECK_INT(mproc_queue_empty(queue), 1);
                mproc_queue_free(queue);
        }
}

START_METHOD_TEST(death_while_getting_descriptors)
{
        static const struct {
                const char *point;
                bool out;
        } deaths[] = { { "objects.get.opened", false },
                       { "queue.get.committed", true },
                       { "objects.get.counted", true } };

        for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
                mproc_queue *queue = make_queue(ctx);
                int read_end[2];
                char byte;

                put_pipe(queue, 1, &read_end[0]);
                put_pipe(queue, 2, &read_end[1]);
                await_death(cast_victim(ctx, deaths[i].point, role_get, MPROC_ARGS(queue)), deaths[i].point);
                if (!deaths[i].out)
                        expect_pipe(queue, 1, read_end[0], deaths[i].point);
                expect_pipe(queue, 2, read_end[1], deaths[i].point);
                if (deaths[i].out) {
                        CHECK_INT(read(read_end[0], &byte, 1), 0);
                        (void)close(read_end[0]);
                }
                mproc_queue_free(queue);
        }
}
