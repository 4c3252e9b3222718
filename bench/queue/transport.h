/* SPDX-License-Identifier: MIT */
/*
 * bench/queue/transport.h - ways to bring a message from one process to another.
 *
 * A transport is a table of functions, the conductor does the rest.  create and destroy run in
 * the conductor, open, put and get in its forked members.
 */
#ifndef MPROC_BENCH_QUEUE_TRANSPORT_H
#define MPROC_BENCH_QUEUE_TRANSPORT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_shape {
        size_t len; /* of a message: all have the same */
        unsigned producers, consumers;
        unsigned capacity; /* in messages */
        int pinned;
};

struct bench_transport {
        const char *name, *label;
        unsigned kinds; /* what it takes part in: BENCH_... below */
        int one_to_one; /* one producer and one consumer, no more */
        size_t max_len; /* of messages; 0: any */

        /* What members share; NULL: not possible, bench_why tells. */
        void *(*create)(const struct bench_shape *shape);
        /* What a member has to do first, or NULL.  All consumers have done so before a producer does. */
        int (*open)(void *channel, int producer, unsigned index);
        /* Wait, then put or take whole messages of len bytes; return how many, below 0: bench_why tells. */
        int (*put)(void *channel, const void *data, size_t len);
        int (*get)(void *channel, void *buffer, size_t len);
        void (*destroy)(void *channel);

        /* Instead of all these: measure it yourself, messages per second. */
        double (*measure)(const struct bench_shape *shape, double seconds);
};

#define BENCH_FLOW  1u /* throughput */
#define BENCH_TRIP  2u /* round trips, both ends busy */
#define BENCH_SLEEP 4u /* round trips, the other end asleep */
#define BENCH_ONE   8u /* throughput with room for one message */

#define BENCH_BATCH 16 /* messages that a batch has */

/* Why something cannot be.  Words for people, kept until the next. */
extern char bench_why[256];
int bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2))); /* -1 */

/* A number for names that others must not have. */
unsigned bench_serial(void);

extern const struct bench_transport bench_mproc, bench_mproc_unlimited, bench_mproc_many;
extern const struct bench_transport bench_pipe, bench_seqpacket, bench_mq;
extern const struct bench_transport bench_spsc, bench_mpmc, bench_handoff, bench_futex;
extern const struct bench_transport bench_boost_mq, bench_zeromq, bench_nng, bench_python;
extern const char *bench_python_interpreter, *bench_python_script; /* NULL: not here */

#ifdef __cplusplus
}
#endif
#endif
