/* SPDX-License-Identifier: MIT */
/*
 * memory/number.c - numbers of all of C's types.
 *
 * Runs in: every process.  Owns: nothing.
 *
 * Nothing here waits, allocates or fails but by a return value: values are used in signal handlers.
 * (The words of a failure are the exception; a handler that lets a value overflow gets them, too.)
 */
#include "memory/number.h"
#include "core/error.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <string.h>

static const struct {
        const char *name;
        size_t size;
        enum mproc__number_kind kind;
        int64_t least;
        uint64_t most;
} types[] = {
        [MPROC_TYPE_OTHER] = { "other", 0, MPROC__NUMBER_UNSIGNED, 0, 0 },
        [MPROC_TYPE_BOOL] = { "bool", sizeof(_Bool), MPROC__NUMBER_UNSIGNED, 0, 1 },
#if CHAR_MIN < 0
        [MPROC_TYPE_CHAR] = { "char", 1, MPROC__NUMBER_SIGNED, CHAR_MIN, CHAR_MAX },
#else
        [MPROC_TYPE_CHAR] = { "char", 1, MPROC__NUMBER_UNSIGNED, 0, CHAR_MAX },
#endif
        [MPROC_TYPE_INT8] = { "int8", 1, MPROC__NUMBER_SIGNED, INT8_MIN, INT8_MAX },
        [MPROC_TYPE_UINT8] = { "uint8", 1, MPROC__NUMBER_UNSIGNED, 0, UINT8_MAX },
        [MPROC_TYPE_INT16] = { "int16", 2, MPROC__NUMBER_SIGNED, INT16_MIN, INT16_MAX },
        [MPROC_TYPE_UINT16] = { "uint16", 2, MPROC__NUMBER_UNSIGNED, 0, UINT16_MAX },
        [MPROC_TYPE_INT32] = { "int32", 4, MPROC__NUMBER_SIGNED, INT32_MIN, INT32_MAX },
        [MPROC_TYPE_UINT32] = { "uint32", 4, MPROC__NUMBER_UNSIGNED, 0, UINT32_MAX },
        [MPROC_TYPE_INT64] = { "int64", 8, MPROC__NUMBER_SIGNED, INT64_MIN, INT64_MAX },
        [MPROC_TYPE_UINT64] = { "uint64", 8, MPROC__NUMBER_UNSIGNED, 0, UINT64_MAX },
        [MPROC_TYPE_FLOAT] = { "float", sizeof(float), MPROC__NUMBER_REAL, 0, 0 },
        [MPROC_TYPE_DOUBLE] = { "double", sizeof(double), MPROC__NUMBER_REAL, 0, 0 },
        [MPROC_TYPE_LONG_DOUBLE] = { "long double", sizeof(long double), MPROC__NUMBER_REAL, 0, 0 },
};
_Static_assert(sizeof(_Bool) == 1 && sizeof(float) == 4 && sizeof(double) == 8, "the types are what they are");

#define TYPE_COUNT (sizeof types / sizeof *types)

size_t
mproc_type_size(mproc_type type)
{
        return (size_t)type < TYPE_COUNT ? types[type].size : 0;
}

const char *
mproc_type_name(mproc_type type)
{
        return (size_t)type < TYPE_COUNT ? types[type].name : "unknown";
}

struct mproc__number_bounds
mproc__number_bounds(mproc_type type)
{
        if ((size_t)type >= TYPE_COUNT)
                type = MPROC_TYPE_OTHER;
        return (struct mproc__number_bounds){ types[type].kind, (unsigned)types[type].size, types[type].least,
                                              types[type].most };
}

struct mproc__number
mproc__number_int(int64_t x)
{
        return (struct mproc__number){ MPROC__NUMBER_SIGNED, { .i = x } };
}

struct mproc__number
mproc__number_uint(uint64_t x)
{
        return (struct mproc__number){ MPROC__NUMBER_UNSIGNED, { .u = x } };
}

struct mproc__number
mproc__number_double(double x)
{
        return (struct mproc__number){ MPROC__NUMBER_REAL, { .d = x } };
}

/* --- to the nearest there is ---------------------------------------------------------------------------- */

/* 2^63 and 2^64 are doubles, the numbers below them are not. */
#define TWO_63 9223372036854775808.0
#define TWO_64 18446744073709551616.0

int64_t
mproc__number_to_int(struct mproc__number x)
{
        switch (x.kind) {
        case MPROC__NUMBER_SIGNED:
                return x.as.i;
        case MPROC__NUMBER_UNSIGNED:
                return x.as.u > INT64_MAX ? INT64_MAX : (int64_t)x.as.u;
        default:
                if (x.as.d != x.as.d)
                        return 0;
                if (x.as.d >= TWO_63)
                        return INT64_MAX;
                return x.as.d <= -TWO_63 ? INT64_MIN : (int64_t)x.as.d;
        }
}

uint64_t
mproc__number_to_uint(struct mproc__number x)
{
        switch (x.kind) {
        case MPROC__NUMBER_SIGNED:
                return x.as.i < 0 ? 0 : (uint64_t)x.as.i;
        case MPROC__NUMBER_UNSIGNED:
                return x.as.u;
        default:
                if (!(x.as.d > 0)) /* also what is no number */
                        return 0;
                return x.as.d >= TWO_64 ? UINT64_MAX : (uint64_t)x.as.d;
        }
}

double
mproc__number_to_double(struct mproc__number x)
{
        switch (x.kind) {
        case MPROC__NUMBER_SIGNED:
                return (double)x.as.i;
        case MPROC__NUMBER_UNSIGNED:
                return (double)x.as.u;
        default:
                return x.as.d;
        }
}

/* --- in memory ------------------------------------------------------------------------------------------- */

static int
fail_range(struct mproc__number x, mproc_type type)
{
        switch (x.kind) {
        case MPROC__NUMBER_SIGNED:
                return mproc__fail(-ERANGE, "%lld is no number of type %s", (long long)x.as.i, mproc_type_name(type));
        case MPROC__NUMBER_UNSIGNED:
                return mproc__fail(-ERANGE, "%llu is no number of type %s", (unsigned long long)x.as.u,
                                   mproc_type_name(type));
        default:
                return mproc__fail(-ERANGE, "%g is no number of type %s", x.as.d, mproc_type_name(type));
        }
}

/* Is it whole, and within the bounds of that type? */
static bool
fits(struct mproc__number x, mproc_type type)
{
        double d = x.as.d;

        switch (x.kind) {
        case MPROC__NUMBER_SIGNED:
                return x.as.i >= types[type].least && (x.as.i < 0 || (uint64_t)x.as.i <= types[type].most);
        case MPROC__NUMBER_UNSIGNED:
                return x.as.u <= types[type].most;
        default:
                if (!(d >= -TWO_63 && d < TWO_64))
                        return false;
                if (d < 0)
                        return (double)(int64_t)d == d && (int64_t)d >= types[type].least;
                return (double)(uint64_t)d == d && (uint64_t)d <= types[type].most;
        }
}

/* A double that float cannot hold but as infinity is beyond its range; what lies between its numbers is rounded. */
static int
pack_real(struct mproc__number x, mproc_type type, uint64_t *ret_bits)
{
        double d = mproc__number_to_double(x);

        *ret_bits = 0;
        if (type == MPROC_TYPE_DOUBLE) {
                memcpy(ret_bits, &d, sizeof d);
        } else {
                uint32_t bits;
                float f;

                if ((d > FLT_MAX || d < -FLT_MAX) && d - d == 0)
                        return fail_range(x, type);
                f = (float)d;
                memcpy(&bits, &f, sizeof f);
                *ret_bits = bits;
        }
        return 0;
}

int
mproc__number_pack(struct mproc__number x, mproc_type type, uint64_t *ret_bits)
{
        if (types[type].kind == MPROC__NUMBER_REAL)
                return pack_real(x, type, ret_bits);
        if (!fits(x, type))
                return fail_range(x, type);
        if (types[type].kind == MPROC__NUMBER_SIGNED)
                *ret_bits = (uint64_t)mproc__number_to_int(x);
        else
                *ret_bits = mproc__number_to_uint(x);
        return 0;
}

/* The bits above the type's are whatever they are. */
struct mproc__number
mproc__number_unpack(uint64_t bits, mproc_type type)
{
        unsigned spare = 64 - 8 * (unsigned)types[type].size;
        uint32_t low = (uint32_t)bits;
        double d;
        float f;

        switch (types[type].kind) {
        case MPROC__NUMBER_SIGNED:
                return mproc__number_int((int64_t)(bits << spare) >> spare);
        case MPROC__NUMBER_UNSIGNED:
                return mproc__number_uint(bits << spare >> spare);
        default:
                memcpy(&d, &bits, sizeof d);
                memcpy(&f, &low, sizeof f);
                return mproc__number_double(type == MPROC_TYPE_FLOAT ? (double)f : d);
        }
}

/* A negative number beside one without a sign: what is left must not be negative. */
static int
add_mixed(uint64_t u, int64_t i, struct mproc__number *ret)
{
        uint64_t sum, less = 0 - (uint64_t)i;

        if (i < 0) {
                if (u < less)
                        return mproc__fail(-ERANGE, "%llu and %lld make less than 0", (unsigned long long)u,
                                           (long long)i);
                sum = u - less;
        } else if (__builtin_add_overflow(u, (uint64_t)i, &sum)) {
                return mproc__fail(-ERANGE, "%llu and %lld make more than 64 bits", (unsigned long long)u,
                                   (long long)i);
        }
        *ret = mproc__number_uint(sum);
        return 0;
}

int
mproc__number_add(struct mproc__number x, struct mproc__number y, struct mproc__number *ret)
{
        int64_t sum;

        if (x.kind == MPROC__NUMBER_REAL || y.kind == MPROC__NUMBER_REAL) {
                *ret = mproc__number_double(mproc__number_to_double(x) + mproc__number_to_double(y));
                return 0;
        }
        if (x.kind == MPROC__NUMBER_UNSIGNED)
                return add_mixed(x.as.u, mproc__number_to_int(y), ret);
        if (__builtin_add_overflow(x.as.i, mproc__number_to_int(y), &sum))
                return mproc__fail(-ERANGE, "%lld and %lld make more than 64 bits", (long long)x.as.i,
                                   (long long)mproc__number_to_int(y));
        *ret = mproc__number_int(sum);
        return 0;
}
