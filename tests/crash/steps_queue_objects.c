/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_queue_objects.c - descriptors put into a queue, and taken out, by somebody who is killed after each
 * instruction.
 *
 * Runs in: test processes.
 */
#include "crash/stage.h"

#include <fcntl.h>
#include <unistd.h>

static int victims_end, null = -1;

static void
objects_open(void)
{
        mproc_queue_opts opts = { .objects = 1 };

        stage_open(0, 0);
        CHECK_OK(mproc_queue_create_opts(scene_context, &opts, &stage.queue));
        scene_keep(stage.queue, mproc_queue_free);
        if (null < 0)
                null = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static void
do_put_pipe(void)
{
        (void)mproc_queue_put_args(stage.queue, MPROC_ARGS(5, mproc_fd(victims_end)), MPROC_FOREVER);
}

static void
do_get_args(void)
{
        mproc_args *args;

        if (mproc_queue_get_args(stage.queue, &args, MPROC_FOREVER) == 0) {
                board->value[current_helper] = (uint32_t)mproc_args_int(args, 0);
                mproc_args_free(args);
        }
}

static void
put_list(int number)
{
        mark();
        CHECK_OK(mproc_queue_put_args(stage.queue, MPROC_ARGS(number, mproc_fd(null)), scaled_ms(SERVED_MS)));
}

static int
get_list(void)
{
        mproc_args *args;
        int number;

        CHECK_OK(mproc_queue_get_args(stage.queue, &args, scaled_ms(SERVED_MS)));
        number = (int)mproc_args_int(args, 0);
        CHECK(fcntl(mproc_args_fd(args, 1), F_GETFD) == FD_CLOEXEC);
        mproc_args_free(args);
        return number;
}

SCENE(put_a_descriptor)
{
        enum fate fate;
        int fds[2], number;
        char byte;

        objects_open();
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        victims_end = fds[1];
        fate = step_and_kill(make_victim(do_put_pipe), steps);
        (void)close(fds[1]);
        put_list(6);
        number = get_list();
        CHECK(number == 5 || number == 6);
        if (number == 5)
                CHECK_INT(get_list(), 6);
        CHECK_INT(read(fds[0], &byte, 1), 0); /* nobody holds it */
        (void)close(fds[0]);
        CHECK_INT(queued(), 0);
        return fate;
}

SCENE(get_a_descriptor)
{
        enum fate fate;
        int number;

        objects_open();
        put_list(1);
        put_list(2);
        fate = step_and_kill(make_victim(do_get_args), steps);
        number = get_list();
        CHECK(number == 1 || number == 2);
        if (number == 1)
                CHECK_INT(get_list(), 2);
        CHECK_INT(queued(), 0);
        return fate;
}

SCENE(put_a_descriptor_while_one_waits)
{
        enum fate fate;

        objects_open();
        victims_end = null;
        help(0, do_get_args);
        fate = step_and_kill(make_victim(do_put_pipe), steps);
        (void)usleep(300);
        if (!board->done[0])
                put_list(6);
        CHECK_MSG(helped(0), "a list is there, and the consumer sleeps");
        CHECK(board->value[0] == 5 || board->value[0] == 6);
        return fate;
}
