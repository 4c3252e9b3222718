/* SPDX-License-Identifier: MIT */
/*
 * fuzz/memory.h - the shared memory of an object, found from outside.
 *
 * Runs in: fuzz programs.
 */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H

#include "fuzz/fuzz.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static inline bool
is_memory_of(int fd, const char *kind)
{
        char path[64], link[256];
        ssize_t n;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        n = readlink(path, link, sizeof link - 1);
        link[n > 0 ? n : 0] = 0;
        return strstr(link, kind) != NULL;
}

/* The first descriptor of this kind that the process has. */
static inline int
memory_of(const char *kind)
{
        for (int fd = 0; fd < 1024; fd++)
                if (is_memory_of(fd, kind))
                        return fd;
        MUST(!"a descriptor of this kind");
        return -1;
}

static inline uint64_t *
map_memory(int fd, size_t bytes)
{
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        MUST(p != MAP_FAILED);
        return p;
}

/* One word is spoiled: two bytes say which, the rest what stands there then. */
static inline void
spoil(struct input *in, uint64_t *memory, size_t words)
{
        size_t at = (size_t)eat(in, 2) % words;

        memory[at] = eat_number(in, memory, words);
}

#endif
