/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_named.c - somebody has put a file of his own where a named semaphore is looked for.  A byte says how many
 * words of a genuine one's first page are spoiled; the next cuts it short.
 */
#include "fuzz/memory.h"
#include "support/support.h"

#include <fcntl.h>
#include <mproc/mproc.h>

enum { BYTES = 4096 };

static char name[64], path[128], genuine[BYTES];

void
fuzz_seeds(give_seed *give)
{
        uint8_t seed[12] = { 0 };

        give("whole", seed, sizeof seed);
        give("short", (uint8_t[]){ 0, 0x80 }, 2);
        for (unsigned word = 0; word < 32; word++) {
                char text[30];

                seed[0] = 1;
                seed[2] = (uint8_t)word;
                seed[4] = 0x21;
                (void)snprintf(text, sizeof text, "word_%u", word);
                give(text, seed, sizeof seed);
        }
}

static void
remove_genuine(void)
{
        (void)mproc_semaphore_unlink(name);
}

static void
prepare(void)
{
        mproc_semaphore *semaphore;
        FILE *file;

        (void)snprintf(name, sizeof name, "/mproc-fuzz-%d", (int)getpid());
        (void)snprintf(path, sizeof path, "/dev/shm/%s.sem.%s", shm_prefix(), name + 1);
        if (mproc_semaphore_create(NULL, name, 2, &semaphore) != 0)
                fuzz_failed(__FILE__, __LINE__, mproc_last_error());
        MUST((file = fopen(path, "rbe")) && fread(genuine, 1, BYTES, file) == BYTES);
        (void)fclose(file);
        mproc_semaphore_free(semaphore);
        (void)atexit(remove_genuine);
}

/* It is the genuine file that is spoiled, and mended afterwards, so that it goes as it came. */
void
fuzz_one(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        unsigned spoiled = (unsigned)eat(&in, 1) % 16, cut = (unsigned)eat(&in, 1), value;
        mproc_semaphore *semaphore;
        uint64_t page[BYTES / 8];
        int fd;

        if (!path[0])
                prepare();
        memcpy(page, genuine, BYTES);
        while (spoiled-- > 0)
                spoil(&in, page, 64);
        MUST((fd = open(path, O_RDWR | O_CLOEXEC)) >= 0);
        MUST(pwrite(fd, page, BYTES, 0) == BYTES);
        if (cut)
                MUST(ftruncate(fd, cut * 16) == 0);
        if (mproc_semaphore_attach(NULL, name, &semaphore) == 0) {
                (void)mproc_semaphore_acquire(semaphore, 1);
                (void)mproc_semaphore_value(semaphore, &value);
                mproc_semaphore_free(semaphore);
        }
        MUST(pwrite(fd, genuine, BYTES, 0) == BYTES);
        (void)close(fd);
}
