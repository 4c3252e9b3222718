/* SPDX-License-Identifier: MIT */
/*
 * queue_help.h - messages that tell who sent them and whether they are whole.
 *
 * Runs in: test processes.
 */
#ifndef QUEUE_HELP_H
#define QUEUE_HELP_H

#include "support/runner.h"

#include <mproc/mproc.h>
#include <stdlib.h>

#define LONG_MS 30000

struct stamp {
        uint32_t producer;
        uint32_t number;
        uint64_t len;
        uint64_t sum;
};

static inline uint64_t
pattern(uint64_t seed, uint64_t i)
{
        return (seed * UINT64_C(0x9e3779b97f4a7c15) + i) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* Fill len bytes, at least a stamp's. */
static inline void
stamp_message(void *buffer, size_t len, uint32_t producer, uint32_t number)
{
        struct stamp stamp = { producer, number, len, 0 };
        uint8_t *p = buffer;

        for (size_t i = sizeof stamp; i < len; i++) {
                p[i] = (uint8_t)pattern((uint64_t)producer << 32 | number, i);
                stamp.sum += p[i];
        }
        memcpy(p, &stamp, sizeof stamp);
}

/* Is it whole, and from whom? */
static inline void
check_stamp(const void *buffer, size_t len, struct stamp *ret)
{
        const uint8_t *p = buffer;
        uint64_t sum = 0;

        CHECK(len >= sizeof *ret);
        memcpy(ret, p, sizeof *ret);
        CHECK_INT(ret->len, len);
        for (size_t i = sizeof *ret; i < len; i++) {
                if (p[i] != (uint8_t)pattern((uint64_t)ret->producer << 32 | ret->number, i))
                        CHECK_MSG(false, "message %u of %u: byte %zu is damaged", ret->number, ret->producer, i);
                sum += p[i];
        }
        CHECK(sum == ret->sum);
}

/* Lengths that vary, all at least a stamp's. */
static inline size_t
some_length(uint32_t number, size_t most)
{
        return sizeof(struct stamp) + (size_t)(pattern(7, number) >> 20) % (most - sizeof(struct stamp) + 1);
}

static inline mproc_process *
start(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(ctx, target, args, &process));
        CHECK_OK(mproc_process_start(process));
        return process;
}

/* It ended with this exit code; the handle is freed. */
static inline void
finish(mproc_process *process, int wanted)
{
        int exitcode;

        CHECK_OK(mproc_process_join(process, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_process_exitcode(process, &exitcode));
        CHECK_MSG(exitcode == wanted, "%s ended with %d, not %d: %s", mproc_process_name(process), exitcode, wanted,
                  mproc_process_error(process));
        mproc_process_free(process);
}

#endif
