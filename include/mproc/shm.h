/* SPDX-License-Identifier: MIT */
/*
 * mproc/shm.h - shared memory: bytes that several processes have in view at once.
 *
 *      mproc_shm_create(ctx, NULL, size, &shm);
 *      memcpy(mproc_shm_data(shm), ...);
 *      mproc_process_create(ctx, target, MPROC_ARGS(shm), &process);
 *
 * Memory without a name is passed to other processes as an argument, or as a message through a queue, and
 * goes away with its last handle, however its processes end.  Memory with a name is for strangers to meet at.
 * A handle has the memory in view: a pointer and a size in this process; the same bytes lie elsewhere in another.
 *
 * Nobody's view can break.  Shared memory never becomes shorter, whoever resizes, closes, unlinks or dies: what a
 * handle has in view can be read and written until that handle is closed.
 */
#ifndef MPROC_SHM_H
#define MPROC_SHM_H

#include <mproc/args.h>
#include <mproc/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * New shared memory of size_bytes, all zeros.  The caller owns *ret_shm.
 * name NULL: without a name.  Otherwise a name as those of semaphores: it begins with '/', has no other '/', and 1
 * to 200 more bytes.  It is tracked: when all processes of the program that created it have ended and it was
 * not unlinked, the tracker unlinks it.  No other program's end does.
 *
 * Nothing is touched: hundreds of GiB may be asked for, and each page takes memory when some process first
 * uses it, on that process's NUMA node.  Memory with a name comes out of /dev/shm: -ENOSPC if that has not the room
 * at this moment; see `reserve` below for a promise that holds.
 *
 * -EINVAL: the size is 0, or the name is not one.  -EEXIST: the name is taken.  -EFBIG: larger than a file of this
 * process may be (RLIMIT_FSIZE).  -ENOMEM: no room among the addresses of this process.  -ENOSPC.
 * -EMFILE, -ENFILE: no descriptor.  With a name also -EACCES, MPROC_EPROGRAM (no tracker could be started),
 * MPROC_EBOOTSTRAP (a tracker needs mproc_init).  MT-Safe.
 * Origin: multiprocessing.shared_memory.SharedMemory(create=True).
 */
MPROC_API int mproc_shm_create(mproc_context *ctx, const char *name, size_t size_bytes, mproc_shm **ret_shm);

/* How `huge` may be. */
enum mproc_shm_huge {
        MPROC_SHM_HUGE_NO = 0,
        MPROC_SHM_HUGE_IF_POSSIBLE = 1, /* the system is asked for them (madvise), and does as it likes */
        MPROC_SHM_HUGE_ALWAYS = 2       /* from the system's pool (hugetlb), or an error; without a name only */
};

/* Options; zeros are the defaults. */
typedef struct mproc_shm_opts {
        int reserve; /* 1: all its pages are there when create returns; -1: do not even look for room; 0: look */
        int huge;    /* large pages: enum mproc_shm_huge */
        int reserved[6];
} mproc_shm_opts;

/* clang-format off */
#define MPROC_SHM_OPTS_INIT { 0, 0, { 0 } }
/* clang-format on */

/*
 * The same with options; NULL: the defaults.
 *
 * reserve 1: the memory is claimed now, by this process, and no later use of it can fail; -ENOSPC if there is not
 * that much.  reserve -1: the size may be larger than what there is.  Who then uses more than there is gets SIGBUS
 * from the system.  reserve 0: memory without a name is not claimed; of memory with a name, and of all memory in the
 * portable build, it is looked whether there is that much now.
 *
 * MPROC_SHM_HUGE_ALWAYS: -ENOMEM if the system's pool of huge pages has not enough; the words tell.
 * MPROC_EUNSUPPORTED: no such pages on this system, or not with a name.  Other errors as above.  MT-Safe.
 */
MPROC_API int mproc_shm_create_opts(mproc_context *ctx, const char *name, size_t size_bytes,
                                    const mproc_shm_opts *opts, mproc_shm **ret_shm);

/*
 * A handle on existing memory with that name, with all of it in view.  Tracks nothing, and nothing is ever unlinked
 * because of it.  readonly: who writes through it gets SIGSEGV.
 * -ENOENT, -EACCES, -EINVAL, MPROC_ECORRUPT (what has the name is none).  -EMFILE, -ENFILE, -ENOMEM.  MT-Safe.
 * Origin: SharedMemory(name).
 */
MPROC_API int mproc_shm_attach(mproc_context *ctx, const char *name, mproc_shm **ret_shm);
MPROC_API int mproc_shm_attach_readonly(mproc_context *ctx, const char *name, mproc_shm **ret_shm);

/*
 * Remove the name; handles go on working.  Any program of the same user may.
 * -ENOENT, -EACCES, -EINVAL.  MT-Safe.  Origin: SharedMemory.unlink.
 */
MPROC_API int mproc_shm_unlink(const char *name);

/*
 * Another handle on the same memory, which can only read it: to be passed to those who shall not write.  On Linux
 * its descriptor cannot be mapped for writing; elsewhere it is a matter of good will.  It is closed by itself.
 * MPROC_ECLOSED, -EMFILE, -ENFILE, -ENOMEM, MPROC_EHANDLE.  MT-Safe.
 */
MPROC_API int mproc_shm_readonly(mproc_shm *shm, mproc_shm **ret_shm);

/*
 * Where the bytes are in this process, and how many this handle has in view; NULL and 0 for a closed handle or
 * none.  The address is that of a page.  MT-Safe.  Origin: SharedMemory.buf, SharedMemory.size.
 */
MPROC_API void *mproc_shm_data(mproc_shm *shm);
MPROC_API size_t mproc_shm_size(mproc_shm *shm);

MPROC_API const char *mproc_shm_name(mproc_shm *shm); /* with its '/'; NULL: none.  Lives as long as the handle. */
MPROC_API int mproc_shm_is_readonly(mproc_shm *shm);  /* 1 or 0; MPROC_EHANDLE */

/*
 * The descriptor behind the handle, which stays the handle's: for mmap(2), or for other programs that take memory
 * by descriptor.  The first byte of memory without a name is the file's first, of memory with a name the second
 * page's first.  MPROC_ECLOSED, MPROC_EHANDLE.  MT-Safe.
 */
MPROC_API int mproc_shm_fileno(mproc_shm *shm);

/*
 * Have size_bytes in view; 0: all there are.  If there are fewer the memory grows, for all; other handles see
 * it when they are resized themselves.  If fewer are wanted, this view becomes smaller and nothing else does: what
 * others have in view stays there.  The address may change: nobody in this process may be using the memory meanwhile.
 *
 * -EBUSY: arrays or the like of this process lie in it.  MPROC_EREADONLY: a read-only handle cannot make it grow.
 * -EPERM: sealed against growing.  -EFBIG, -ENOMEM, -ENOSPC, MPROC_ECLOSED, MPROC_EHANDLE.  Killed in here: the
 * memory has grown, or not.
 */
MPROC_API int mproc_shm_resize(mproc_shm *shm, size_t size_bytes);

/*
 * Give pages back to the system: so many bytes from offset on read as zeros, for all, and take no memory until
 * somebody writes there.  -EINVAL: not within the view.  MPROC_EREADONLY, MPROC_ECLOSED, MPROC_EHANDLE.
 */
MPROC_API int mproc_shm_discard(mproc_shm *shm, size_t offset_bytes, size_t len_bytes);

/* What can be sealed.  A seal holds for all handles, and for ever. */
#define MPROC_SHM_SEAL_SHRINK       1 /* it cannot become shorter: so from the beginning */
#define MPROC_SHM_SEAL_GROW         2 /* it cannot become longer */
#define MPROC_SHM_SEAL_WRITE        4 /* nobody can change it any more: who reads it twice reads the same */
#define MPROC_SHM_SEAL_FUTURE_WRITE 8 /* only who has it in view for writing by now can: all new handles read only   \
                                       */

/*
 * Seal it; several values may be added up.  With MPROC_SHM_SEAL_WRITE this handle becomes read-only.
 * -EBUSY: another handle has it in view for writing, in this or another process: WRITE wants them closed first.
 * MPROC_EUNSUPPORTED: memory with a name, or a system without seals.  MPROC_EREADONLY: a read-only handle
 * cannot seal.  -EINVAL, MPROC_ECLOSED, MPROC_EHANDLE.  MT-Safe, but nobody may be writing meanwhile.
 * Origin: memfd_create(2).
 */
MPROC_API int mproc_shm_seal(mproc_shm *shm, int seals);
MPROC_API int mproc_shm_seals(mproc_shm *shm); /* what is sealed; 0 or more, MPROC_ECLOSED, MPROC_EHANDLE */

/*
 * Take the memory out of this process's view and give back the descriptor; the handle stays until it is freed.
 * May be called twice.  Pointers into the memory are void.  Other handles go on working.  -EBUSY: arrays or the like
 * of this process lie in it; they are freed first.  MPROC_EHANDLE.  Origin: SharedMemory.close.
 */
MPROC_API int mproc_shm_close(mproc_shm *shm);

/* End the handle, closing it if need be; arrays that lie in it stay.  NULL is fine. */
MPROC_API void mproc_shm_free(mproc_shm *shm);

#ifdef __cplusplus
}
#endif
#endif
