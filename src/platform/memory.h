/* SPDX-License-Identifier: MIT */
/*
 * platform/memory.h - memory without a name that processes share by descriptor.
 *
 * The functions return 0 or a negated errno and set no words.  A limit on the
 * size of files (RLIMIT_FSIZE) is -EFBIG, never a signal.
 */
#ifndef MPROC_PLATFORM_MEMORY_H
#define MPROC_PLATFORM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t mproc__memory_page(void);

/* May a file of ours be made this large?  -EFBIG; the system itself would send a signal. */
int mproc__memory_check_limit(uint64_t end);

/* An empty piece of memory of len bytes, all zero, that can never be made smaller, only larger. */
int mproc__memory_create(const char *name, uint64_t len, int *ret_fd);

/* From now on it can only grow, where the system can see to that. */
int mproc__memory_keep_from_shrinking(int fd);

/* Nobody can take memory away below the size that it has: it is safe to map what is there. */
bool mproc__memory_cannot_shrink(int fd);

/* The size, and what tells this piece of memory from all others. */
int mproc__memory_look(int fd, uint64_t *ret_len, uint64_t ret_identity[2]);

/* Have pages there from now on, making it larger if need be: later stores cannot fail. */
int mproc__memory_reserve(int fd, uint64_t offset, uint64_t len);

/* Give pages back; they read as zeros after.  Cannot fail in a way that matters. */
void mproc__memory_release(int fd, uint64_t offset, uint64_t len);

int mproc__memory_map(int fd, uint64_t offset, size_t len, void **ret_base);
void mproc__memory_populate(void *base, size_t len); /* have all of it at hand for writing, if the system can */
void mproc__memory_unmap(void *base, size_t len);

/* Copy in and out without a mapping; short transfers and EINTR handled.  -EFAULT: the caller's buffer. */
int mproc__memory_write(int fd, uint64_t offset, const void *data, size_t len);
int mproc__memory_read(int fd, uint64_t offset, void *buffer, size_t len); /* -ENODATA: it ends before */

/*
 * A bell: a descriptor that polls readable once rung, until silenced.  Any number of
 * processes may hold it; ringing never blocks.
 */
int mproc__bell_create(int *ret_fd);
void mproc__bell_ring(int fd);
void mproc__bell_silence(int fd);

#endif
