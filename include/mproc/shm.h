/* SPDX-License-Identifier: MIT */
/*
 * mproc/shm.h - shared memory: bytes that several processes have in view at once.
 *
 *      mproc_shm_create(ctx, NULL, size, &shm);
 *      memcpy(mproc_shm_data(shm), ...);
 *      mproc_process_create(ctx, target, MPROC_ARGS(shm), &process);
 *
 * Memory without a name is passed to other processes as an argument, or as a message through a queue, and
 * goes away with its last handle, however its processes end.  A handle has the memory in view: a pointer and
 * a size in this process; the same bytes lie elsewhere in another.
 */
#ifndef MPROC_SHM_H
#define MPROC_SHM_H

#include <mproc/args.h>
#include <mproc/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * New shared memory of size_bytes, all zeros.  name NULL: without a name.  The caller owns *ret_shm.
 *
 * Nothing is touched: hundreds of GiB may be asked for, and each page takes memory when some process first
 * uses it, on that process's NUMA node.
 *
 * -EINVAL: the size is 0, or the name is not one.  -EFBIG: larger than a file of this process may be (RLIMIT_FSIZE).
 * -ENOMEM: no room among the addresses of this process.  -EMFILE, -ENFILE: no descriptor.  MT-Safe.
 * Origin: multiprocessing.shared_memory.SharedMemory(create=True).
 */
MPROC_API int mproc_shm_create(mproc_context *ctx, const char *name, size_t size_bytes, mproc_shm **ret_shm);

/* Where the bytes are in this process, and how many; NULL and 0 for a closed handle or none.  MT-Safe.
 * Origin: SharedMemory.buf, SharedMemory.size. */
MPROC_API void *mproc_shm_data(mproc_shm *shm);
MPROC_API size_t mproc_shm_size(mproc_shm *shm);

/*
 * Take the memory out of this process's view and give back the descriptor; the handle stays until it is freed.
 * May be called twice.  Pointers into the memory are void.  Other handles go on working.  MPROC_EHANDLE.
 * Origin: SharedMemory.close.
 */
MPROC_API int mproc_shm_close(mproc_shm *shm);

/* End the handle, closing it if need be.  NULL is fine. */
MPROC_API void mproc_shm_free(mproc_shm *shm);

#ifdef __cplusplus
}
#endif
#endif
