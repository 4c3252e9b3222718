/* SPDX-License-Identifier: MIT */
/*
 * mproc/heap.h - a heap in shared memory: many small blocks that any process allocates and frees.
 *
 *      mproc_heap_create(ctx, 64 << 20, &heap);
 *      mproc_heap_alloc(heap, sizeof(struct node), &offset);
 *      node = mproc_heap_pointer(heap, offset);
 *
 * A heap lies elsewhere in each process, so a block is named by its offset, which means the same everywhere; 0 is no
 * block.  Any thread of any process that has the heap may allocate, and free what another allocated.
 *
 * Any of them may be killed at any instruction.  Nobody waits for the dead, the heap stays whole, and a block that
 * its allocator did not come to return is found again.  A block has an owner, a process, or is nobody's.  Blocks
 * of a process that died are freed when the heap runs short, or by mproc_heap_reclaim.  What is nobody's stays
 * until somebody frees it: others may have its offset.  So a block becomes nobody's when it can be found by others:
 * mproc_heap_give, or, without any moment in which it could be lost, mproc_heap_publish.
 */
#ifndef MPROC_HEAP_H
#define MPROC_HEAP_H

#include <mproc/args.h>
#include <mproc/context.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Options of a heap; zero is the default. */
typedef struct mproc_heap_opts {
        int owned; /* 1: a block belongs to the process that allocates it; 0: it is nobody's once alloc returned */
} mproc_heap_opts;

#define MPROC_HEAP_OPTS_INIT                                                                                         \
        {                                                                                                            \
                0                                                                                                    \
        }

/*
 * A new heap with room for blocks of size_bytes in all, and what it needs to manage them beside: an eighth more.
 * It has no name; it is passed to other processes as an argument, or as a message through a queue, and lives as long
 * as any process has it.  Memory is taken from the system when it is needed.  The caller owns *ret_heap.
 *
 * -EINVAL: the size is 0.  -EFBIG: larger than a heap, or a file of this process, may be.  -ENOMEM, -EMFILE, -ENFILE,
 * MPROC_EPROGRAM.  MT-Safe.  Origin: multiprocessing.heap.Heap, which is not public there; boost::interprocess'
 * managed shared memory.
 */
MPROC_API int mproc_heap_create(mproc_context *ctx, size_t size_bytes, mproc_heap **ret_heap);
MPROC_API int mproc_heap_create_opts(mproc_context *ctx, size_t size_bytes, const mproc_heap_opts *opts,
                                     mproc_heap **ret_heap);

/* End the handle.  The heap itself lives as long as any process has it.  Pointers into it are void.  NULL is fine. */
MPROC_API void mproc_heap_free(mproc_heap *heap);

/* Options of a block; zero is the default. */
typedef struct mproc_block_opts {
        size_t align; /* a power of two up to 4096; 0: 16 */
        int zero;     /* 1: filled with zeros, as many as were asked for */
        int owned;    /* 1: it belongs to this process; -1: it is nobody's; 0: as the heap was made */
} mproc_block_opts;

#define MPROC_BLOCK_OPTS_INIT                                                                                        \
        {                                                                                                            \
                0, 0, 0                                                                                              \
        }

/*
 * A block of at least size_bytes, aligned to 16.  What is in it is what was there before.  Does not wait for
 * anybody who is dead; a process that is stopped inside, in the short moments in which pages are handed out, keeps
 * others from that.
 *
 * -ENOMEM: so much is not free in one piece, also after blocks of dead processes were freed; or the system has no
 * more memory.  -EINVAL: the size is 0, or the options are none.  MPROC_EDEADLK: in a signal handler that has
 * interrupted this thread here.  MPROC_EHANDLE: heap is NULL.  MPROC_EPROGRAM, -EAGAIN.  MT-Safe. Origin: malloc(3),
 * posix_memalign(3), calloc(3).
 */
MPROC_API int mproc_heap_alloc(mproc_heap *heap, size_t size_bytes, uint64_t *ret_offset);
MPROC_API int mproc_heap_alloc_opts(mproc_heap *heap, size_t size_bytes, const mproc_block_opts *opts,
                                    uint64_t *ret_offset);

/*
 * Give a block back, whoever allocated it and whoever owns it.  MPROC_ERELEASED: it is free already.  -EINVAL: no
 * block begins there.  MPROC_ECORRUPT: the heap's memory was written to.  MPROC_EHANDLE, MPROC_EDEADLK.  MT-Safe.
 * Origin: free(3).
 */
MPROC_API int mproc_heap_dealloc(mproc_heap *heap, uint64_t offset);

/*
 * Where an offset lies in this process; NULL for 0 and for what lies outside of the heap.  And back: 0 for NULL, and
 * for what does not point into the heap.  Whether a block is there is not looked at.  MT-Safe; may be called from a
 * signal handler.
 */
MPROC_API void *mproc_heap_pointer(mproc_heap *heap, uint64_t offset);
MPROC_API uint64_t mproc_heap_offset(mproc_heap *heap, const void *pointer);

/* How many bytes of the block may be used: what was asked for, or some more.  Errors as mproc_heap_dealloc. */
MPROC_API int mproc_heap_usable_size(mproc_heap *heap, uint64_t offset, size_t *ret_bytes);

/*
 * The beginning: the offset of 128 bytes, zero at first, that are there as long as the heap and are the user's, for
 * what has to be found without being told: heads of lists, a lock.  0: heap is NULL.
 */
#define MPROC_HEAP_ROOT_BYTES 128
MPROC_API uint64_t mproc_heap_root(mproc_heap *heap);

/*
 * Whose a block is.  give: this process's becomes nobody's.  take: nobody's, or a dead process's, becomes this
 * process's. Both have no effect if it is so already.  MPROC_ENOTOWNER: it belongs to another living process.  Others
 * as mproc_heap_dealloc.  MT-Safe.
 */
MPROC_API int mproc_heap_give(mproc_heap *heap, uint64_t offset);
MPROC_API int mproc_heap_take(mproc_heap *heap, uint64_t offset);

/* The process that owns it, or 0: it is nobody's.  Errors as mproc_heap_dealloc. */
MPROC_API int mproc_heap_owner(mproc_heap *heap, uint64_t offset, pid_t *ret_pid);

/*
 * Change a pointer in shared memory and owners of blocks in one step, of which a death leaves all or nothing.
 *
 * publish: *where becomes `block`, this process's or nobody's, which is nobody's from here on.  What *where said
 * before stays as it is: somebody's list goes on there.
 *
 * exchange: the same, and what *where said before becomes this process's, and is told in *ret_old (may be NULL).  So
 * who is killed before has the new block still, which is freed with all of his, and who is killed after has the old
 * one.
 *
 * where lies in a block of the heap or in its root; block may be 0, and so may *where.  Such a word is read by
 * anybody at any time, and written by these two alone.
 *
 * -EINVAL: where is not a multiple of 8 inside the heap, or one of the two is not a block.  MPROC_ERELEASED: one of
 * the two is free.  MPROC_ENOTOWNER: one of the two belongs to another process.  MPROC_ECORRUPT, MPROC_EDEADLK,
 * MPROC_EHANDLE.  MT-Safe.
 */
MPROC_API int mproc_heap_publish(mproc_heap *heap, uint64_t *where, uint64_t block);
MPROC_API int mproc_heap_exchange(mproc_heap *heap, uint64_t *where, uint64_t block, uint64_t *ret_old);

/*
 * Free all blocks that belong to processes that are dead, among them those that were on their way into or out of a
 * call when it ended.  *ret_blocks, if not NULL, tells how many these were.  Alloc does so by itself before it fails.
 * Errors as mproc_heap_alloc.  MT-Safe.
 */
MPROC_API int mproc_heap_reclaim(mproc_heap *heap, size_t *ret_blocks);

/* Counts; while others are at work, of no exact moment. */
typedef struct mproc_heap_stats {
        size_t size_bytes;     /* room for blocks */
        size_t used_bytes;     /* in blocks that are in use, with what they have more than was asked for */
        size_t free_bytes;     /* the rest */
        size_t largest_bytes;  /* the largest block that could be allocated now, if nothing else is freed */
        size_t reserved_bytes; /* memory that was taken from the system so far, for blocks and for managing them */
        size_t blocks;         /* in use */
        size_t owned_blocks;   /* of these: belong to a process */
        size_t own_blocks;     /* of these: to this one */
        uint64_t reclaimed;    /* how many blocks of dead processes were freed so far */
} mproc_heap_stats;

MPROC_API int mproc_heap_look(mproc_heap *heap, mproc_heap_stats *ret_stats);

/*
 * Is all that the heap knows about itself as it should be?  0, or MPROC_ECORRUPT with words: somebody wrote
 * where he should not.  Keeps others from allocating pages meanwhile.  MT-Safe.
 */
MPROC_API int mproc_heap_check(mproc_heap *heap);

#ifdef __cplusplus
}
#endif
#endif
