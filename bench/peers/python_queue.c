/* SPDX-License-Identifier: MIT */
/* bench/peers/python_queue.c - multiprocessing.Queue as a transport.  Runs in: the conductor, which starts Python. */
#define _GNU_SOURCE
#include "queue/transport.h"

#include <stdio.h>

const char *bench_python_interpreter, *bench_python_script;

static double
measure(const struct bench_shape *shape, double seconds)
{
        char command[8192];
        double rate = -1;
        FILE *answer;

        snprintf(command, sizeof command, "'%s' '%s' %zu %u %u %u %d %f", bench_python_interpreter,
                 bench_python_script, shape->len, shape->producers, shape->consumers, shape->capacity, shape->pinned,
                 seconds);
        answer = popen(command, "re");
        if (answer == NULL || fscanf(answer, "%lf", &rate) != 1)
                rate = bench_fail("Python had no answer");
        if (answer != NULL)
                pclose(answer);
        return rate;
}

const struct bench_transport bench_python = {
        .name = "python_queue",
        .label = "Python multiprocessing.Queue",
        .kinds = BENCH_FLOW | BENCH_ONE,
        .measure = measure,
};
