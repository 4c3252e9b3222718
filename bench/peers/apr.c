/* SPDX-License-Identifier: MIT */
/* bench/peers/apr.c - the Apache Portable Runtime as a contender.  Runs in: the workers of the peers. */
#include "peers.h"
#include "worker.h"

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_thread_proc.h>

static apr_pool_t *root;

static int
spawn_and_wait(apr_pool_t *pool)
{
        apr_procattr_t *attributes;
        apr_exit_why_e why;
        apr_proc_t process;
        int code;

        if (apr_procattr_create(&attributes, pool) != APR_SUCCESS ||
            apr_procattr_cmdtype_set(attributes, APR_PROGRAM_ENV) != APR_SUCCESS ||
            apr_proc_create(&process, bench_program, (const char *const *)bench_child_argv, NULL, attributes, pool) !=
                    APR_SUCCESS) {
                bench_say("APR: the process could not be created");
                return -1;
        }
        if (apr_proc_wait(&process, &code, &why, APR_WAIT) != APR_CHILD_DONE || why != APR_PROC_EXIT || code != 0) {
                bench_say("APR: the child failed");
                return -1;
        }
        return 0;
}

int
bench_apr(void)
{
        apr_pool_t *pool;
        int r;

        if (root == NULL && (apr_initialize() != APR_SUCCESS || apr_pool_create(&root, NULL) != APR_SUCCESS)) {
                bench_say("APR: could not be initialised");
                return -1;
        }
        if (apr_pool_create(&pool, root) != APR_SUCCESS)
                return -1;
        r = spawn_and_wait(pool);
        apr_pool_destroy(pool);
        return r;
}
