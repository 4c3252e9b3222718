/* SPDX-License-Identifier: MIT */
/*
 * mproc/task.h - the functions that the workers of a pool run, and what they may ask and tell.
 *
 * Two shapes.  A task has typed arguments and one result of any type and size; a map function has an item
 * and a result of sizes that are the same for all.  Both run in a worker, on the worker's only thread unless
 * they make more.
 */
#ifndef MPROC_TASK_H
#define MPROC_TASK_H

#include <mproc/args.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_result mproc_result;

/*
 * A task: any function, static or not, of the program or of a shared object it loaded.  Returns 0, or fails: a
 * negative code (its words, mproc_last_error, travel along) or a number of the program's own above 0.  A wrong index
 * or type in asking args fails the task.  args live until it returns.
 */
typedef int mproc_task_fn(mproc_args *args, mproc_result *result);

/*
 * The function of a map: reads one item, writes one result (all zeros before).  shared: what mproc_map_opts
 * gave, or NULL.  Returns as a task does.
 */
typedef int mproc_map_fn(const void *item, void *result, const void *shared);

/*
 * The result of a task.  Set at most one; the last one counts; none is a result too, of no bytes.  Data is copied.
 * -ENOMEM, -ENOSPC, -EFBIG: no memory for it: return it, and the task fails so.  -EINVAL: result or data NULL.
 */
MPROC_API int mproc_result_int(mproc_result *result, int64_t value);
MPROC_API int mproc_result_uint(mproc_result *result, uint64_t value);
MPROC_API int mproc_result_double(mproc_result *result, double value);
MPROC_API int mproc_result_string(mproc_result *result, const char *text);
MPROC_API int mproc_result_bytes(mproc_result *result, const void *data, size_t len_bytes);

/*
 * Room for a result of so many bytes, to be filled in place: what is large is never copied again.
 * *ret_data is 16-byte aligned, of unspecified content, valid until the task returns.  Errors as above.
 */
MPROC_API int mproc_result_reserve(mproc_result *result, size_t len_bytes, void **ret_data);

/* In a task or map function: its number among the tasks of its pool, or the item's index in the map.  0 elsewhere. */
MPROC_API uint64_t mproc_task_number(void);

/* In a worker of a pool: its number, 0 .. workers - 1; -1 elsewhere.  A replacement has its predecessor's number. */
MPROC_API int mproc_worker_number(void);

#ifdef __cplusplus
}
#endif
#endif
