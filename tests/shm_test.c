/* SPDX-License-Identifier: MIT */
/*
 * shm_test.c - shared memory: the same bytes for all who have it, and nothing left when they are gone.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <errno.h>

static int
fill(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);

        memset(mproc_shm_data(shm), (int)mproc_args_int(args, 1), mproc_shm_size(shm));
        return 0;
}

START_METHOD_TEST(shared_memory_reaches_a_child)
{
        mproc_shm *shm;

        CHECK_OK(mproc_shm_create(ctx, NULL, 10000, &shm));
        CHECK_INT(mproc_shm_size(shm), 10000);
        finish(start(ctx, fill, MPROC_ARGS(shm, 7)), 0);
        for (size_t i = 0; i < 10000; i++)
                CHECK_INT(((char *)mproc_shm_data(shm))[i], 7);
        mproc_shm_free(shm);
}

TEST(shared_memory_begins_with_zeros)
{
        mproc_shm *shm;

        CHECK_OK(mproc_shm_create(NULL, NULL, 1, &shm));
        CHECK_INT(*(char *)mproc_shm_data(shm), 0);
        mproc_shm_free(shm);
        mproc_shm_free(NULL);
}
