/* SPDX-License-Identifier: MIT */
/*
 * bench/queue/measure.c - one figure of one transport.
 *
 * Runs in: the conductor; the functions ..._main in its members.
 */
#define _GNU_SOURCE
#include "crew.h"
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define THINK_NS 100000 /* how long a client does not ask, so that the server falls asleep */

struct job {
        const struct bench_transport *transport;
        const struct bench_column *column;
        void *channels[2]; /* the second: for the answers */
};

static void *
make_buffer(const struct bench_shape *shape)
{
        size_t bytes = (shape->len * BENCH_BATCH + 4095) & ~(size_t)4095;
        void *buffer = aligned_alloc(4096, bytes);

        if (buffer == NULL)
                abort();
        return memset(buffer, 7, bytes);
}

static void
open_end(struct crew_shared *shared, const struct job *job, int which, int producer, unsigned index)
{
        const struct bench_transport *transport = job->transport;

        if (transport->open && transport->open(job->channels[which], producer, index) < 0)
                crew_fail(shared, "%s", bench_why);
}

/* --- throughput ------------------------------------------------------------------------------------- */

static void
flow_main(struct crew_shared *shared, size_t index, void *arg)
{
        const struct job *job = arg;
        const struct bench_shape *shape = &job->column->shape;
        bool producer = index < shape->producers;
        void *buffer = make_buffer(shape), *channel = job->channels[0];
        uint64_t count = 0;
        int n;

        if (!producer)
                open_end(shared, job, 0, 0, (unsigned)index - shape->producers);
        crew_ready(shared, shape->producers + shape->consumers);
        if (producer)
                open_end(shared, job, 0, 1, (unsigned)index);
        for (;;) {
                n = producer ? job->transport->put(channel, buffer, shape->len)
                             : job->transport->get(channel, buffer, shape->len);
                if (n < 0)
                        crew_fail(shared, "%s", bench_why);
                if (!producer)
                        crew_count(shared, index, count += (uint64_t)n);
        }
}

/* --- round trips ------------------------------------------------------------------------------------- */

static void
pass(struct crew_shared *shared, const struct job *job, bool put, void *channel, void *buffer)
{
        size_t len = job->column->shape.len;

        if ((put ? job->transport->put(channel, buffer, len) : job->transport->get(channel, buffer, len)) < 0)
                crew_fail(shared, "%s", bench_why);
}

static void
trip_main(struct crew_shared *shared, size_t index, void *arg)
{
        const struct job *job = arg;
        bool client = index == 0;
        void *there = job->channels[client ? 0 : 1], *back = job->channels[client ? 1 : 0];
        void *buffer = make_buffer(&job->column->shape);
        uint64_t think = job->column->kind == BENCH_SLEEP ? THINK_NS : 0, count = 0, begin;

        open_end(shared, job, client ? 1 : 0, 0, 0);
        crew_ready(shared, 2);
        open_end(shared, job, client ? 0 : 1, 1, 0);
        for (;;) {
                if (!client) {
                        pass(shared, job, false, back, buffer);
                        pass(shared, job, true, there, buffer);
                        continue;
                }
                for (begin = crew_now_ns(); think > 0 && crew_now_ns() - begin < think;)
                        continue;
                begin = crew_now_ns();
                pass(shared, job, true, there, buffer);
                pass(shared, job, false, back, buffer);
                crew_note_time(shared, crew_now_ns() - begin);
                crew_count(shared, index, ++count);
        }
}

/* --- the conductor's part ------------------------------------------------------------------------------ */

static double
measure_crew(struct job *job, double seconds)
{
        const struct bench_shape *shape = &job->column->shape;
        bool trip = job->column->kind == BENCH_TRIP || job->column->kind == BENCH_SLEEP;
        struct crew crew;
        double value;

        if (crew_start(&crew, shape->producers + shape->consumers, shape->pinned, trip ? trip_main : flow_main, job) <
            0)
                return bench_fail("the processes could not be started");
        value = crew_rate(&crew, seconds);
        if (value < 0)
                bench_fail("%s", crew.shared->why);
        else if (trip)
                value = crew_median_ns(&crew);
        crew_end(&crew);
        return value;
}

double
bench_measure(const struct bench_transport *transport, const struct bench_column *column, double seconds)
{
        struct job job = { transport, column, { NULL, NULL } };
        double value = -1;
        int i, channels = column->kind == BENCH_TRIP || column->kind == BENCH_SLEEP ? 2 : 1;

        if (transport->measure)
                return transport->measure(&column->shape, seconds);
        for (i = 0; i < channels; i++)
                if ((job.channels[i] = transport->create(&column->shape)) == NULL)
                        break;
        if (i == channels)
                value = measure_crew(&job, seconds);
        while (i-- > 0)
                transport->destroy(job.channels[i]);
        return value;
}
