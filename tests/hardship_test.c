/* SPDX-License-Identifier: MIT */
/*
 * tests/hardship_test.c - hosts that make it hard: children reaped by others the
 * moment they end, files that may not grow, blocks that cannot be.
 *
 * Runs in: test processes.  Owns: nothing that outlives a test.
 */
#include "support/runner.h"

#include <errno.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>

static int
die_at_once(mproc_args *args)
{
        (void)args;
        (void)raise(SIGKILL);
        return 0;
}

/* The system reaps them itself; what it still tells, or does not, it has to tell of each of them. */
START_METHOD_TEST(an_early_end_is_told_like_any_other)
{
        int first = 0;

        CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        for (int i = 0; i < 40; i++) {
                mproc_process *p;
                int code = 1;

                CHECK_OK(mproc_process_create(ctx, die_at_once, MPROC_NO_ARGS, &p));
                CHECK_OK(mproc_process_start(p));
                CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
                CHECK_OK(mproc_process_exitcode(p, &code));
                CHECK(code == -SIGKILL || code == MPROC_EXITCODE_UNKNOWN);
                if (i == 0)
                        first = code;
                CHECK_INT(code, first);
                mproc_process_free(p);
        }
        CHECK(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}

TEST(a_limit_on_files_is_an_error_and_no_signal)
{
        struct rlimit old, none;
        mproc_lock *lock;
        mproc_queue *queue;
        int lock_result, queue_result;

        CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
        none = old;
        none.rlim_cur = 0;
        CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0); /* from here on not even a failed check can be printed */
        lock_result = mproc_lock_create(NULL, &lock);
        queue_result = mproc_queue_create(NULL, 0, &queue);
        CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
        CHECK_INT(lock_result, -EFBIG);
        CHECK_INT(queue_result, -EFBIG);
}

TEST(a_block_larger_than_memory_is_an_error)
{
        mproc_process *p;

        CHECK_INT(mproc_process_create(NULL, die_at_once, MPROC_ARGS(mproc_bytes("x", SIZE_MAX)), &p), -ENOMEM);
}

TEST(no_process_is_an_error)
{
        int code;

        CHECK_INT(mproc_process_start(NULL), MPROC_EHANDLE);
        CHECK_INT(mproc_process_join(NULL, MPROC_NOWAIT), MPROC_EHANDLE);
        CHECK_INT(mproc_process_is_alive(NULL), MPROC_EHANDLE);
        CHECK_INT(mproc_process_exitcode(NULL, &code), MPROC_EHANDLE);
        CHECK_INT(mproc_process_sentinel(NULL), MPROC_EHANDLE);
        CHECK_INT(mproc_process_kill(NULL), MPROC_EHANDLE);
        CHECK_INT(mproc_process_close(NULL), MPROC_EHANDLE);
        CHECK_STR(mproc_process_error(NULL), "");
        CHECK_INT(mproc_process_pid(NULL), 0);
        mproc_process_free(NULL);
}
