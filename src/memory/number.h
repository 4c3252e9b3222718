/* SPDX-License-Identifier: MIT */
/*
 * memory/number.h - numbers of all of C's types: what they can hold, and how they become each other.
 */
#ifndef MPROC_MEMORY_NUMBER_H
#define MPROC_MEMORY_NUMBER_H

#include <mproc/array.h>
#include <stdbool.h>

/* A number by itself, as large as can be. */
struct mproc__number {
        enum mproc__number_kind { MPROC__NUMBER_SIGNED, MPROC__NUMBER_UNSIGNED, MPROC__NUMBER_REAL } kind;
        union {
                int64_t i;
                uint64_t u;
                double d;
        } as;
};

/* What a type can hold, if it is of whole numbers. */
struct mproc__number_bounds {
        enum mproc__number_kind kind;
        unsigned size; /* in bytes; 0: no number's type */
        int64_t least;
        uint64_t most;
};
struct mproc__number_bounds mproc__number_bounds(mproc_type type);

struct mproc__number mproc__number_int(int64_t x);
struct mproc__number mproc__number_uint(uint64_t x);
struct mproc__number mproc__number_double(double x);

/* To the nearest there is. */
int64_t mproc__number_to_int(struct mproc__number x);
uint64_t mproc__number_to_uint(struct mproc__number x);
double mproc__number_to_double(struct mproc__number x);

/*
 * As the bits that a type of at most 8 bytes has in memory, in the low bytes of a word, and back.  pack: -ERANGE with
 * words, if the type cannot hold it.
 */
int mproc__number_pack(struct mproc__number x, mproc_type type, uint64_t *ret_bits);
struct mproc__number mproc__number_unpack(uint64_t bits, mproc_type type);

/* -ERANGE with words, if the sum is beyond 64 bits. */
int mproc__number_add(struct mproc__number x, struct mproc__number y, struct mproc__number *ret);

#endif
