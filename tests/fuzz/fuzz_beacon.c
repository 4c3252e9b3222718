/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_beacon.c - the file in which a program's named objects are written down, as somebody of the same user may
 * have left it: what a tracker does with it when the program is gone.  The first byte is the number of spoiled words
 * of a genuine one's header, the rest lies where the records are.
 */
#include "fuzz/memory.h"
#include "program/beacon.h"
#include "program/names.h"
#include "program/program.h"

#include <fcntl.h>
#include <mproc/mproc.h>

static uint8_t header[sizeof(struct mproc__beacon_header)];

static void
prepare(void)
{
        int fd;

        if (header[0])
                return;
        MUST(mproc__program_beacon(&fd) == 0);
        MUST(pread(fd, header, sizeof header, 0) == sizeof header);
}

void
fuzz_seeds(give_seed *give)
{
        uint8_t seed[1 + 256] = { 0 };
        uint32_t used[2] = { 1, 1 };

        memcpy(seed + 1, used, sizeof used);
        memcpy(seed + 1 + 24, "/mproc-fuzz-nobody", 18);
        give("record", seed, sizeof seed);
        seed[1 + 24] = 'x';
        give("no_slash", seed, sizeof seed);
        memset(seed + 1 + 24, '/', 232);
        give("slashes", seed, sizeof seed);
        memset(seed + 1 + 25, 'x', 231);
        give("no_end", seed, sizeof seed);
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        unsigned spoiled = (unsigned)eat(&in, 1) % 4;
        uint64_t copy[sizeof header / 8];
        char names[200];
        int fd;

        prepare();
        memcpy(copy, header, sizeof copy);
        while (spoiled-- > 0)
                spoil(&in, copy, sizeof copy / 8);
        MUST((fd = memfd_create("beacon", MFD_CLOEXEC)) >= 0);
        MUST(pwrite(fd, copy, sizeof copy, 0) == sizeof copy);
        if (in.left > 0)
                MUST(pwrite(fd, in.data, in.left, MPROC__BEACON_NAMES_AT) == (ssize_t)in.left);
        MUST(mproc__names_sweep(fd, names, sizeof names) >= 0);
        MUST(strlen(names) < sizeof names);
        (void)close(fd);
}
