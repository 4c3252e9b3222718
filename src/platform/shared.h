/* SPDX-License-Identifier: MIT */
/*
 * platform/shared.h - memory that users share: of any size, growing, read-only, sealed.
 *
 * Beside memory.h, which has what the library's own segments need.  The functions return 0 or a negated
 * errno and set no words.
 */
#ifndef MPROC_PLATFORM_SHARED_H
#define MPROC_PLATFORM_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Memory without a name of at least len bytes, all zero, that can be made larger but not smaller.  huge: of huge
 * pages that the system keeps for those who ask, whole ones; -EOPNOTSUPP: it knows none.
 */
int mproc__shared_create(const char *name, uint64_t len, bool huge, int *ret_fd);

/* Mappings of memory of huge pages are multiples of this, and so is its length. */
size_t mproc__shared_huge_page(int fd);

/* Make it longer, to len bytes; never shorter, whoever else does the same now.  alone: nobody else has it yet. */
int mproc__shared_grow(int fd, uint64_t len, bool alone);

/* How many bytes more there is room for where it lies; UINT64_MAX: as many as the machine has memory. */
int mproc__shared_room(int fd, uint64_t *ret_bytes);

/* How much memory this process can still get; UINT64_MAX: unknown. */
uint64_t mproc__shared_memory_left(void);

/* Another open file description, which can only read.  -ENOSYS: there is no way to get one. */
int mproc__shared_readonly(int fd, int *ret_fd);

/* len bytes of it, from offset on.  at NULL: anywhere; otherwise there, in place of what is there. */
int mproc__shared_map(int fd, uint64_t offset, size_t len, bool readonly, void *at, void **ret_base);

/* A mapping of old_len bytes becomes one of new_len, maybe elsewhere.  On failure all is as it was. */
int mproc__shared_remap(int fd, uint64_t offset, void *base, size_t old_len, size_t new_len, bool readonly,
                        void **ret_base);

/* Large pages would be welcome there. */
void mproc__shared_want_huge(void *base, size_t len);

/* Give memory back; it reads as zeros after. */
int mproc__shared_discard(int fd, uint64_t offset, uint64_t len);

/* Seals, by the names of mproc/shm.h.  -ENOSYS: there are none; -EINVAL: not for this memory. */
int mproc__shared_seal(int fd, int seals);
int mproc__shared_seals(int fd);

#endif
