/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz.h - what the fuzz targets have in common.
 *
 * A target is a file fuzz_NAME.c with one function, fuzz_one: bytes of anybody go in, and nothing may happen but
 * errors.  make fuzz runs it under libFuzzer; make test feeds it the seeds in seeds/NAME, and, where it has them,
 * what it makes itself (fuzz_seeds), so that both builds know what valid input looks like.
 *
 * Runs in: fuzz programs.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_one(const uint8_t *data, size_t size);

/* Valid input: hand each to give(name, data, size). */
typedef void give_seed(const char *name, const void *data, size_t size);
void fuzz_seeds(give_seed *give);

#define MUST(expr) ((expr) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #expr))

static inline __attribute__((noreturn)) void
fuzz_failed(const char *file, int line, const char *expr)
{
        (void)fprintf(stderr, "%s:%d: %s does not hold\n", file, line, expr);
        abort();
}

/* The input, eaten from its front; zeros when it is at its end. */
struct input {
        const uint8_t *data;
        size_t left;
};

static inline uint64_t
eat(struct input *in, size_t bytes)
{
        uint64_t v = 0;
        size_t n = in->left < bytes ? in->left : bytes;

        if (n)
                memcpy(&v, in->data, n);
        in->data += n;
        in->left -= n;
        return v;
}

/* Numbers that hurt are chosen often: a byte says which, or that eight bytes follow. */
static inline uint64_t
eat_number(struct input *in, const uint64_t *memory, size_t words)
{
        uint64_t how = eat(in, 1);

        switch (how >> 5) {
        case 0:
                return how & 31;
        case 1:
                return ~(how & 31);
        case 2:
                return UINT64_C(1) << (how & 31) * 2;
        case 3:
                return (how & 31) * 4096;
        case 4:
                return memory[eat(in, 2) % words] + (how & 31) - 16;
        default:
                return eat(in, 8);
        }
}

#endif
