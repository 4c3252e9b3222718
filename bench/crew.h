/* SPDX-License-Identifier: MIT */
/*
 * bench/crew.h - processes that do one thing as fast as they can, until they are killed.
 *
 * Each counts what it has done in a line of its own of shared memory; the conductor, asleep
 * otherwise, looks at the counts and the clock at the beginning and at the end of
 * a window.  So no contender needs a way to say stop, all are in full swing when
 * they are measured, and the start of a process is in no figure.
 */
#ifndef MPROC_BENCH_CREW_H
#define MPROC_BENCH_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CREW_MAX   32
#define CREW_TIMES (1u << 16)

/* In shared memory, made anew for each crew. */
struct crew_shared {
        struct {
                _Alignas(128) _Atomic uint64_t count; /* written by its member alone */
        } done[CREW_MAX];
        _Alignas(128) _Atomic unsigned ready; /* how many members have come to crew_ready */
        _Atomic int failed;                   /* a member has given up */
        _Alignas(128) _Atomic uint64_t time_count;
        uint32_t time_ns[CREW_TIMES]; /* written by one member: the last times it took */
        char why[256];
};

struct crew {
        size_t size;
        bool pinned;
        pid_t pids[CREW_MAX];
        struct crew_shared *shared;
};

/* What a member does; it never returns.  index: 0 to size - 1. */
typedef void crew_fn(struct crew_shared *shared, size_t index, void *arg);

/* Start them.  pinned: each to one CPU, in turn.  0, or -1: nothing is left of it. */
int crew_start(struct crew *crew, size_t size, bool pinned, crew_fn *fn, void *arg);

/* Count done per second within about `seconds`, once they are in full swing; -1: nothing came, crew_why tells. */
double crew_rate(struct crew *crew, double seconds);

/* The median of the times noted until now, -1 if there are none.  In nanoseconds. */
double crew_median_ns(const struct crew *crew);

/* Kill them all, forget them. */
void crew_end(struct crew *crew);

/* --- for members --- */

/* Wait until `count` members are here. */
void crew_ready(struct crew_shared *shared, unsigned count);

static inline void
crew_count(struct crew_shared *shared, size_t index, uint64_t count)
{
        atomic_store_explicit(&shared->done[index].count, count, memory_order_relaxed);
}

static inline void
crew_note_time(struct crew_shared *shared, uint64_t ns)
{
        uint64_t n = atomic_load_explicit(&shared->time_count, memory_order_relaxed);

        shared->time_ns[n % CREW_TIMES] = (uint32_t)ns;
        atomic_store_explicit(&shared->time_count, n + 1, memory_order_release);
}

/* Give up, with words that the conductor prints. */
_Noreturn void crew_fail(struct crew_shared *shared, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t crew_now_ns(void);

#endif
