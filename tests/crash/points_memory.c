/* SPDX-License-Identifier: MIT */
/*
 * crash/points_memory.c - deaths at the points of shared memory: the others have in view what they had.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <string.h>

#define PAGE 4096

static void
role_grow(mproc_args *args)
{
        CHECK_OK(mproc_shm_resize(mproc_args_shm(args, 0), 10 * PAGE));
}

/* It has grown, and its view not yet. */
START_METHOD_TEST(death_in_shm_resize)
{
        mproc_process *victim;
        mproc_shm *shm;
        char *bytes;

        CHECK_OK(mproc_shm_create(ctx, NULL, 2 * PAGE, &shm));
        victim = cast_victim(ctx, "shm.resize.grown", role_grow, MPROC_ARGS(shm));
        await_death(victim, "shm.resize.grown");
        bytes = mproc_shm_data(shm);
        memset(bytes, 7, 2 * PAGE);
        CHECK_OK(mproc_shm_resize(shm, 0));
        CHECK_INT(mproc_shm_size(shm), 10 * PAGE);
        bytes = mproc_shm_data(shm);
        CHECK_INT(bytes[2 * PAGE - 1], 7);
        CHECK_INT(bytes[10 * PAGE - 1], 0);
        mproc_shm_free(shm);
}
