/* SPDX-License-Identifier: MIT */
/*
 * mproc/args.h - the typed arguments of a process's target.
 *
 * The parent gathers values with MPROC_ARGS(1, "text", 2.5, mproc_fd(fd), queue);
 * the child reads them back by index.  Integers travel as 64 bits; strings and
 * bytes are copied when the process object is created; descriptors are
 * duplicated then; of mproc's objects the process keeps a reference.
 */
#ifndef MPROC_ARGS_H
#define MPROC_ARGS_H

#include <mproc/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_queue mproc_queue;
typedef struct mproc_simple_queue mproc_simple_queue;
typedef struct mproc_connection mproc_connection;
typedef struct mproc_lock mproc_lock;
typedef struct mproc_rlock mproc_rlock;
typedef struct mproc_semaphore mproc_semaphore;
typedef struct mproc_event mproc_event;
typedef struct mproc_condition mproc_condition;
typedef struct mproc_barrier mproc_barrier;
typedef struct mproc_shm mproc_shm;
typedef struct mproc_heap mproc_heap;
typedef struct mproc_array mproc_array;
typedef struct mproc_value mproc_value;

typedef enum mproc_arg_type {
        MPROC_ARG_NONE = 0,
        MPROC_ARG_INT,
        MPROC_ARG_UINT,
        MPROC_ARG_DOUBLE,
        MPROC_ARG_STRING,
        MPROC_ARG_BYTES,
        MPROC_ARG_FD,
        MPROC_ARG_QUEUE,
        MPROC_ARG_CONNECTION,
        MPROC_ARG_LOCK,
        MPROC_ARG_SEMAPHORE,
        MPROC_ARG_RLOCK,
        MPROC_ARG_EVENT,
        MPROC_ARG_CONDITION,
        MPROC_ARG_BARRIER,
        MPROC_ARG_SHM,
        MPROC_ARG_ARRAY,
        MPROC_ARG_VALUE,
        MPROC_ARG_HEAP
} mproc_arg_type;

/* One argument.  Made by the mproc_arg_... functions below or by MPROC_ARGS. */
typedef struct mproc_arg {
        mproc_arg_type type;
        int fd;           /* MPROC_ARG_FD */
        size_t len_bytes; /* MPROC_ARG_BYTES */
        union {
                int64_t i;
                uint64_t u;
                double d;
                const void *p; /* string, bytes, or an object's handle */
        } value;
} mproc_arg;

/* An argument list.  values is borrowed for the call it is passed to. */
typedef struct mproc_arglist {
        const mproc_arg *values;
        size_t count;
} mproc_arglist;

/* The values by themselves, for bindings and for lists built at run time. */
MPROC_API mproc_arg mproc_arg_int(int64_t value);
MPROC_API mproc_arg mproc_arg_uint(uint64_t value);
MPROC_API mproc_arg mproc_arg_double(double value);
MPROC_API mproc_arg mproc_arg_string(const char *text);
MPROC_API mproc_arg mproc_arg_queue(mproc_queue *queue);
MPROC_API mproc_arg mproc_arg_simple_queue(mproc_simple_queue *queue);
MPROC_API mproc_arg mproc_arg_connection(mproc_connection *connection);
MPROC_API mproc_arg mproc_arg_lock(mproc_lock *lock);
MPROC_API mproc_arg mproc_arg_semaphore(mproc_semaphore *semaphore);
MPROC_API mproc_arg mproc_arg_rlock(mproc_rlock *rlock);
MPROC_API mproc_arg mproc_arg_event(mproc_event *event);
MPROC_API mproc_arg mproc_arg_condition(mproc_condition *condition);
MPROC_API mproc_arg mproc_arg_barrier(mproc_barrier *barrier);
MPROC_API mproc_arg mproc_arg_shm(mproc_shm *shm);
MPROC_API mproc_arg mproc_arg_heap(mproc_heap *heap);
MPROC_API mproc_arg mproc_arg_array(mproc_array *array);
MPROC_API mproc_arg mproc_arg_value(mproc_value *value);
MPROC_API mproc_arg mproc_arg_self(mproc_arg value); /* the value itself: what MPROC_ARGS needs */

/* A block of bytes as an argument: MPROC_ARGS(mproc_bytes(buffer, n)). */
MPROC_API mproc_arg mproc_bytes(const void *data, size_t len_bytes);

/* A file descriptor as an argument: the child gets a duplicate, close-on-exec. */
MPROC_API mproc_arg mproc_fd(int fd);

typedef struct mproc_args mproc_args; /* the arguments as the child sees them */

/*
 * A target: the function that a process runs.  Any function will do, static or
 * not, of the program or of a shared object it loaded.  Its result becomes the
 * exit code: 0..255 as main's would; a negative mproc code means failure: exit
 * code 1, and the words of mproc_last_error reach the parent.
 */
typedef int mproc_main_fn(mproc_args *args);

/* How many arguments there are, and of which type (MPROC_ARG_NONE beyond the end).  MT-Safe. */
MPROC_API size_t mproc_args_count(const mproc_args *args);
MPROC_API mproc_arg_type mproc_args_type(const mproc_args *args, size_t index);

/*
 * One argument by its index.  A wrong index or type ends this child with exit
 * code 1 and a message that names the target, the index, the wanted and the
 * found type; the parent reads it with mproc_process_error.  _int takes an
 * unsigned argument that fits and the other way round; _double takes integers.
 * What is returned belongs to the arguments, and lives until the target
 * returns: strings, bytes, descriptors and handles are not freed or closed by
 * the caller.  An object that cannot be rebuilt here ends the child in the
 * same way.  MT-Safe.
 */
MPROC_API int64_t mproc_args_int(mproc_args *args, size_t index);
MPROC_API uint64_t mproc_args_uint(mproc_args *args, size_t index);
MPROC_API double mproc_args_double(mproc_args *args, size_t index);
MPROC_API const char *mproc_args_string(mproc_args *args, size_t index);
MPROC_API const void *mproc_args_bytes(mproc_args *args, size_t index, size_t *ret_len_bytes);
MPROC_API int mproc_args_fd(mproc_args *args, size_t index);
MPROC_API mproc_queue *mproc_args_queue(mproc_args *args, size_t index);
MPROC_API mproc_simple_queue *mproc_args_simple_queue(mproc_args *args, size_t index);
MPROC_API mproc_connection *mproc_args_connection(mproc_args *args, size_t index);
MPROC_API mproc_lock *mproc_args_lock(mproc_args *args, size_t index);
MPROC_API mproc_semaphore *mproc_args_semaphore(mproc_args *args, size_t index);
MPROC_API mproc_rlock *mproc_args_rlock(mproc_args *args, size_t index);
MPROC_API mproc_event *mproc_args_event(mproc_args *args, size_t index);
MPROC_API mproc_condition *mproc_args_condition(mproc_args *args, size_t index);
MPROC_API mproc_barrier *mproc_args_barrier(mproc_args *args, size_t index);
MPROC_API mproc_shm *mproc_args_shm(mproc_args *args, size_t index);
MPROC_API mproc_heap *mproc_args_heap(mproc_args *args, size_t index);
MPROC_API mproc_array *mproc_args_array(mproc_args *args, size_t index);
MPROC_API mproc_value *mproc_args_value(mproc_args *args, size_t index);

/*
 * End a list that mproc_queue_get_args gave: its handles are freed, its descriptors closed.  NULL is fine, and so
 * are the arguments of a target, which are left alone.
 */
MPROC_API void mproc_args_free(mproc_args *args);

#ifdef __cplusplus
}
#endif

/* clang-format off */
#ifndef __cplusplus

#define MPROC_NO_ARGS ((mproc_arglist){ NULL, 0 })

#define MPROC_ARG(x)                                    \
        (_Generic((x),                                  \
                _Bool: mproc_arg_int,                   \
                char: mproc_arg_int,                    \
                signed char: mproc_arg_int,             \
                unsigned char: mproc_arg_uint,          \
                short: mproc_arg_int,                   \
                unsigned short: mproc_arg_uint,         \
                int: mproc_arg_int,                     \
                unsigned int: mproc_arg_uint,           \
                long: mproc_arg_int,                    \
                unsigned long: mproc_arg_uint,          \
                long long: mproc_arg_int,               \
                unsigned long long: mproc_arg_uint,     \
                float: mproc_arg_double,                \
                double: mproc_arg_double,               \
                char *: mproc_arg_string,               \
                const char *: mproc_arg_string,         \
                mproc_queue *: mproc_arg_queue,         \
                mproc_simple_queue *: mproc_arg_simple_queue, \
                mproc_connection *: mproc_arg_connection, \
                mproc_lock *: mproc_arg_lock,           \
                mproc_semaphore *: mproc_arg_semaphore, \
                mproc_rlock *: mproc_arg_rlock,         \
                mproc_event *: mproc_arg_event,         \
                mproc_condition *: mproc_arg_condition, \
                mproc_barrier *: mproc_arg_barrier,     \
                mproc_shm *: mproc_arg_shm,             \
                mproc_heap *: mproc_arg_heap,           \
                mproc_array *: mproc_arg_array,         \
                mproc_value *: mproc_arg_value,         \
                mproc_arg: mproc_arg_self)(x))

/* Up to 16 arguments; for more, fill an array of mproc_arg and an mproc_arglist. */
#define MPROC_ARGS(...)                                                                                 \
        ((mproc_arglist){ (const mproc_arg[]){ MPROC__MAP(__VA_ARGS__) }, MPROC__COUNT(__VA_ARGS__) })

#define MPROC__COUNT(...) MPROC__NTH(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define MPROC__NTH(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count, ...) count
#define MPROC__MAP(...) MPROC__GLUE(MPROC__MAP_, MPROC__COUNT(__VA_ARGS__))(__VA_ARGS__)
#define MPROC__GLUE(a, b) MPROC__GLUE_(a, b)
#define MPROC__GLUE_(a, b) a##b
#define MPROC__MAP_1(x) MPROC_ARG(x)
#define MPROC__MAP_2(x, ...) MPROC_ARG(x), MPROC__MAP_1(__VA_ARGS__)
#define MPROC__MAP_3(x, ...) MPROC_ARG(x), MPROC__MAP_2(__VA_ARGS__)
#define MPROC__MAP_4(x, ...) MPROC_ARG(x), MPROC__MAP_3(__VA_ARGS__)
#define MPROC__MAP_5(x, ...) MPROC_ARG(x), MPROC__MAP_4(__VA_ARGS__)
#define MPROC__MAP_6(x, ...) MPROC_ARG(x), MPROC__MAP_5(__VA_ARGS__)
#define MPROC__MAP_7(x, ...) MPROC_ARG(x), MPROC__MAP_6(__VA_ARGS__)
#define MPROC__MAP_8(x, ...) MPROC_ARG(x), MPROC__MAP_7(__VA_ARGS__)
#define MPROC__MAP_9(x, ...) MPROC_ARG(x), MPROC__MAP_8(__VA_ARGS__)
#define MPROC__MAP_10(x, ...) MPROC_ARG(x), MPROC__MAP_9(__VA_ARGS__)
#define MPROC__MAP_11(x, ...) MPROC_ARG(x), MPROC__MAP_10(__VA_ARGS__)
#define MPROC__MAP_12(x, ...) MPROC_ARG(x), MPROC__MAP_11(__VA_ARGS__)
#define MPROC__MAP_13(x, ...) MPROC_ARG(x), MPROC__MAP_12(__VA_ARGS__)
#define MPROC__MAP_14(x, ...) MPROC_ARG(x), MPROC__MAP_13(__VA_ARGS__)
#define MPROC__MAP_15(x, ...) MPROC_ARG(x), MPROC__MAP_14(__VA_ARGS__)
#define MPROC__MAP_16(x, ...) MPROC_ARG(x), MPROC__MAP_15(__VA_ARGS__)

#else /* C++17: the same spelling, by overloads; the list lives until the end of the full expression */

#if __cplusplus < 201703L && (!defined _MSVC_LANG || _MSVC_LANG < 201703L)
#error "MPROC_ARGS needs C++17"
#endif
#include <type_traits>

namespace mproc_detail {
template <class T> inline mproc_arg arg(T value)
{
        if constexpr (std::is_same_v<T, mproc_arg>) return value;
        else if constexpr (std::is_floating_point_v<T>) return mproc_arg_double(static_cast<double>(value));
        else if constexpr (std::is_enum_v<T>) return mproc_arg_int(static_cast<int64_t>(value));
        else if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>) return mproc_arg_uint(value);
        else if constexpr (std::is_integral_v<T>) return mproc_arg_int(value);
        else if constexpr (std::is_same_v<T, mproc_queue *>) return mproc_arg_queue(value);
        else if constexpr (std::is_same_v<T, mproc_simple_queue *>) return mproc_arg_simple_queue(value);
        else if constexpr (std::is_same_v<T, mproc_connection *>) return mproc_arg_connection(value);
        else if constexpr (std::is_same_v<T, mproc_lock *>) return mproc_arg_lock(value);
        else if constexpr (std::is_same_v<T, mproc_semaphore *>) return mproc_arg_semaphore(value);
        else if constexpr (std::is_same_v<T, mproc_rlock *>) return mproc_arg_rlock(value);
        else if constexpr (std::is_same_v<T, mproc_event *>) return mproc_arg_event(value);
        else if constexpr (std::is_same_v<T, mproc_condition *>) return mproc_arg_condition(value);
        else if constexpr (std::is_same_v<T, mproc_barrier *>) return mproc_arg_barrier(value);
        else if constexpr (std::is_same_v<T, mproc_shm *>) return mproc_arg_shm(value);
        else if constexpr (std::is_same_v<T, mproc_heap *>) return mproc_arg_heap(value);
        else if constexpr (std::is_same_v<T, mproc_array *>) return mproc_arg_array(value);
        else if constexpr (std::is_same_v<T, mproc_value *>) return mproc_arg_value(value);
        else {
                static_assert(std::is_convertible_v<T, const char *> && !std::is_null_pointer_v<T>,
                              "MPROC_ARGS takes numbers, const char * (std::string: its c_str()), mproc_bytes, mproc_fd "
                              "and mproc's handles");
                return mproc_arg_string(value);
        }
}
template <size_t N> struct list {
        mproc_arg values[N];
        operator mproc_arglist() const { return mproc_arglist{values, N}; }
};
template <class... T> inline list<sizeof...(T)> args(T... value) { return {{arg(value)...}}; }
}
#define MPROC_NO_ARGS (::mproc_arglist{nullptr, 0})
#define MPROC_ARGS(...) (::mproc_detail::args(__VA_ARGS__))

#endif
/* clang-format on */
#endif
