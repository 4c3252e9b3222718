/* SPDX-License-Identifier: MIT */
/*
 * mproc/array.h - numbers in shared memory: arrays of them, and single ones.
 *
 *      mproc_array *samples;
 *      mproc_array_create(ctx, MPROC_TYPE(double), 1000, &samples);
 *      double *x = mproc_array_data(samples);
 *
 *      mproc_value *done;
 *      mproc_value_create(ctx, MPROC_TYPE(int), &done);
 *      mproc_value_add(done, 1);
 *
 * Both are passed to other processes as arguments or messages (args.h), and go away with their last handle.
 * Both bring a recursive lock along, unless one does without.
 */
#ifndef MPROC_ARRAY_H
#define MPROC_ARRAY_H

#include <mproc/args.h>
#include <mproc/context.h>
#include <mproc/shm.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the items of an array, and values, can be: MPROC_TYPE(unsigned long) names them by their type in C. */
typedef enum mproc_type {
        MPROC_TYPE_OTHER = 0, /* not a number: a struct, say */
        MPROC_TYPE_BOOL,
        MPROC_TYPE_CHAR,
        MPROC_TYPE_INT8,
        MPROC_TYPE_UINT8,
        MPROC_TYPE_INT16,
        MPROC_TYPE_UINT16,
        MPROC_TYPE_INT32,
        MPROC_TYPE_UINT32,
        MPROC_TYPE_INT64,
        MPROC_TYPE_UINT64,
        MPROC_TYPE_FLOAT,
        MPROC_TYPE_DOUBLE,
        MPROC_TYPE_LONG_DOUBLE
} mproc_type;

MPROC_API size_t mproc_type_size(mproc_type type);      /* in bytes; 0: not a number's */
MPROC_API const char *mproc_type_name(mproc_type type); /* "int32"; static storage */

/* --- arrays ---------------------------------------------------------------------------------------- */

/*
 * A new array of count numbers, all zero, with a lock of its own.  The caller owns *ret_array.  Nothing is touched:
 * each page takes memory when some process first uses it.
 * -EINVAL: not a type of numbers.  -EFBIG, -ENOMEM: more than there can be.  -EMFILE, -ENFILE, -ENOSPC.  MT-Safe.
 * Origin: multiprocessing.Array.
 */
MPROC_API int mproc_array_create(mproc_context *ctx, mproc_type type, size_t count, mproc_array **ret_array);

/* Options; zeros are the defaults. */
typedef struct mproc_array_opts {
        int lock;            /* 1 or 0: it has a lock; -1: it has none */
        int reserve, huge;   /* as those of mproc_shm_create_opts */
        size_t item_bytes;   /* of items that are no numbers (MPROC_TYPE_OTHER) */
        const void *items;   /* what they are to begin with: count of them, copied; NULL: zeros */
        mproc_shm *shm;      /* the array lies in this memory, and nothing is set; NULL: in memory of its own */
        size_t offset_bytes; /* where in it */
        int reserved[6];
} mproc_array_opts;

/* clang-format off */
#define MPROC_ARRAY_OPTS_INIT { 0, 0, 0, 0, NULL, NULL, 0, { 0 } }
/* clang-format on */

/*
 * The same with options; NULL: the defaults.  In shared memory of the caller's the array is what lies there: of
 * memory with a name strangers can have arrays in the same place.  The array keeps that memory in this
 * process's view; it cannot be resized or closed before.
 * Errors as above, and those of mproc_shm_create_opts; -EINVAL: items of no size, or not within that memory,
 * or not aligned there.  MPROC_EREADONLY: items for memory that is read-only.  MT-Safe.
 * Origin: multiprocessing.RawArray; Array(type, sequence).
 */
MPROC_API int mproc_array_create_opts(mproc_context *ctx, mproc_type type, size_t count, const mproc_array_opts *opts,
                                      mproc_array **ret_array);

/* The items themselves: double *x = mproc_array_data(a).  NULL without an array.  MT-Safe.  Origin: Array.get_obj. */
MPROC_API void *mproc_array_data(mproc_array *array);
MPROC_API size_t mproc_array_count(mproc_array *array);
MPROC_API size_t mproc_array_item_size(mproc_array *array); /* in bytes */
MPROC_API mproc_type mproc_array_type(mproc_array *array);

/* The same pointer if the items are of this type; NULL with words (MPROC_EARGTYPE) if not.  MT-Safe. */
MPROC_API void *mproc_array_data_of(mproc_array *array, mproc_type type);

/* One item by its index; NULL with words (-ERANGE) beyond the end.  MT-Safe. */
MPROC_API void *mproc_array_at(mproc_array *array, size_t index);

/*
 * The array's lock, which guards what its users agree on.  Acquiring waits at most timeout_ms.  0: held;
 * MPROC_OWNER_DIED (positive): held, and its last owner died holding it, so what it guards may be half changed.
 * Errors as mproc_rlock_acquire and mproc_rlock_release; MPROC_EUNSUPPORTED: the array has no lock.  MT-Safe.
 * Origin: Array.get_lock, acquire, release.
 */
MPROC_API int mproc_array_acquire(mproc_array *array, int64_t timeout_ms);
MPROC_API int mproc_array_release(mproc_array *array);
MPROC_API mproc_rlock *mproc_array_lock(mproc_array *array); /* the lock itself, the array's; NULL: it has none */

/* End the handle; the array itself lives as long as any process has one.  NULL is fine. */
MPROC_API void mproc_array_free(mproc_array *array);

/* --- values ---------------------------------------------------------------------------------------- */

/*
 * A new number, zero, with a lock of its own.  The caller owns *ret_value.  Thousands cost no descriptor each.
 * -EINVAL: not a number's type, or long double, which no processor stores in one step (take an array of one).
 * -EMFILE, -ENFILE, -ENOMEM, -ENOSPC.  MT-Safe.  Origin: multiprocessing.Value.
 */
MPROC_API int mproc_value_create(mproc_context *ctx, mproc_type type, mproc_value **ret_value);

/* Options; zeros are the defaults. */
typedef struct mproc_value_opts {
        int lock; /* 1 or 0: it has a lock; -1: it has none */
        int reserved[7];
} mproc_value_opts;

/* clang-format off */
#define MPROC_VALUE_OPTS_INIT { 0, { 0 } }
/* clang-format on */

MPROC_API int mproc_value_create_opts(mproc_context *ctx, mproc_type type, const mproc_value_opts *opts,
                                      mproc_value **ret_value);

/*
 * What it is now, as the type that is asked for: real numbers lose their fraction, and what is too large
 * or too small becomes the largest or smallest there is.  0 without a value.  Reading and writing are single
 * steps, whatever the type; they need no lock, never wait, and may be done in a signal handler.  MT-Safe.
 * Origin: Value.value.
 */
MPROC_API int64_t mproc_value_int(mproc_value *value);
MPROC_API uint64_t mproc_value_uint(mproc_value *value);
MPROC_API double mproc_value_double(mproc_value *value);

/*
 * Set it: mproc_value_set(value, x) below takes the one that fits x.  -ERANGE: its type cannot hold that number (too
 * large, negative, or not whole), and it stays what it was.  MPROC_EHANDLE.  MT-Safe.
 */
MPROC_API int mproc_value_set_int(mproc_value *value, int64_t x);
MPROC_API int mproc_value_set_uint(mproc_value *value, uint64_t x);
MPROC_API int mproc_value_set_double(mproc_value *value, double x);

/*
 * Add to it in one step: nobody's addition is lost, with a lock or without.  ret_before: what it was; may be NULL.
 * mproc_value_add(value, x) below takes the one that fits x.  -ERANGE: the sum does not fit its type, and it stays
 * what it was.  A value of a real type takes whole numbers, too; one of a whole type no fractions.  MPROC_EHANDLE.
 * MT-Safe.  (In the original, value.value += 1 loses some, even with the lock that it has.)
 *
 * Who reads, thinks and sets needs the lock, and then all who change the value do, additions too.
 */
MPROC_API int mproc_value_add_int(mproc_value *value, int64_t x, int64_t *ret_before);
MPROC_API int mproc_value_add_double(mproc_value *value, double x, double *ret_before);

/* Set it and tell what it was, in one step.  Errors as mproc_value_set_int.  MT-Safe. */
MPROC_API int mproc_value_exchange(mproc_value *value, int64_t x, int64_t *ret_before);

/*
 * Set it to x if it is *expected.  1: done.  0: it is not; *expected is what it is.
 * Errors as mproc_value_set_int.  MT-Safe.
 */
MPROC_API int mproc_value_compare_exchange(mproc_value *value, int64_t *expected, int64_t x);

MPROC_API mproc_type mproc_value_type(mproc_value *value);
MPROC_API void *mproc_value_data(mproc_value *value); /* where it lies, aligned: for atomics of one's own */

/* The value's lock, as that of an array.  Origin: Value.get_lock, acquire, release. */
MPROC_API int mproc_value_acquire(mproc_value *value, int64_t timeout_ms);
MPROC_API int mproc_value_release(mproc_value *value);
MPROC_API mproc_rlock *mproc_value_lock(mproc_value *value); /* the lock itself, the value's; NULL: it has none */

/* End the handle; the value itself lives as long as any process has one.  NULL is fine. */
MPROC_API void mproc_value_free(mproc_value *value);

#ifdef __cplusplus
}
#endif

/* clang-format off */
#ifndef __cplusplus

#define MPROC__SIZED(is_signed, size)                                                   \
        ((size) == 1 ? (is_signed ? MPROC_TYPE_INT8 : MPROC_TYPE_UINT8)                 \
       : (size) == 2 ? (is_signed ? MPROC_TYPE_INT16 : MPROC_TYPE_UINT16)               \
       : (size) == 4 ? (is_signed ? MPROC_TYPE_INT32 : MPROC_TYPE_UINT32)               \
                     : (is_signed ? MPROC_TYPE_INT64 : MPROC_TYPE_UINT64))

/* The mproc_type of a type: MPROC_TYPE(size_t).  A constant expression. */
#define MPROC_TYPE(type)                                                                \
        _Generic((type *)0,                                                             \
                _Bool *: MPROC_TYPE_BOOL,                                               \
                char *: MPROC_TYPE_CHAR,                                                \
                signed char *: MPROC_TYPE_INT8,                                         \
                unsigned char *: MPROC_TYPE_UINT8,                                      \
                short *: MPROC__SIZED(1, sizeof(short)),                                \
                unsigned short *: MPROC__SIZED(0, sizeof(short)),                       \
                int *: MPROC__SIZED(1, sizeof(int)),                                    \
                unsigned int *: MPROC__SIZED(0, sizeof(int)),                           \
                long *: MPROC__SIZED(1, sizeof(long)),                                  \
                unsigned long *: MPROC__SIZED(0, sizeof(long)),                         \
                long long *: MPROC__SIZED(1, sizeof(long long)),                        \
                unsigned long long *: MPROC__SIZED(0, sizeof(long long)),               \
                float *: MPROC_TYPE_FLOAT,                                              \
                double *: MPROC_TYPE_DOUBLE,                                            \
                long double *: MPROC_TYPE_LONG_DOUBLE,                                  \
                default: MPROC_TYPE_OTHER)

#define mproc_value_set(value, x)                                                       \
        (_Generic((x),                                                                  \
                float: mproc_value_set_double,                                          \
                double: mproc_value_set_double,                                         \
                unsigned long: mproc_value_set_uint,                                    \
                unsigned long long: mproc_value_set_uint,                               \
                default: mproc_value_set_int)((value), (x)))

#define mproc_value_add(value, x)                                                       \
        (_Generic((x),                                                                  \
                float: mproc_value_add_double,                                          \
                double: mproc_value_add_double,                                         \
                default: mproc_value_add_int)((value), (x), NULL))

#else

#include <type_traits>

namespace mproc_detail {
template <class T> constexpr mproc_type type_of()
{
        if constexpr (std::is_same_v<T, bool>) return MPROC_TYPE_BOOL;
        else if constexpr (std::is_same_v<T, char>) return MPROC_TYPE_CHAR;
        else if constexpr (std::is_same_v<T, float>) return MPROC_TYPE_FLOAT;
        else if constexpr (std::is_same_v<T, double>) return MPROC_TYPE_DOUBLE;
        else if constexpr (std::is_same_v<T, long double>) return MPROC_TYPE_LONG_DOUBLE;
        else if constexpr (std::is_integral_v<T>) {
                constexpr bool s = std::is_signed_v<T>;
                return sizeof(T) == 1 ? (s ? MPROC_TYPE_INT8 : MPROC_TYPE_UINT8)
                     : sizeof(T) == 2 ? (s ? MPROC_TYPE_INT16 : MPROC_TYPE_UINT16)
                     : sizeof(T) == 4 ? (s ? MPROC_TYPE_INT32 : MPROC_TYPE_UINT32)
                                      : (s ? MPROC_TYPE_INT64 : MPROC_TYPE_UINT64);
        }
        else return MPROC_TYPE_OTHER;
}
}
#define MPROC_TYPE(type) (::mproc_detail::type_of<type>())

template <class T> inline int mproc_value_set(mproc_value *value, T x)
{
        if constexpr (std::is_floating_point_v<T>) return mproc_value_set_double(value, static_cast<double>(x));
        else if constexpr (std::is_unsigned_v<T>) return mproc_value_set_uint(value, x);
        else return mproc_value_set_int(value, x);
}
template <class T> inline int mproc_value_add(mproc_value *value, T x)
{
        if constexpr (std::is_floating_point_v<T>) return mproc_value_add_double(value, static_cast<double>(x), nullptr);
        else return mproc_value_add_int(value, static_cast<int64_t>(x), nullptr);
}

#endif
/* clang-format on */
#endif
