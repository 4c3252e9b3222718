/* SPDX-License-Identifier: MIT */
/*
 * bench/methods.c - mproc's start methods as contenders, and the memory of an
 * idle child.  Only the public API is used.
 *
 * Runs in: the workers of the core group; bench_memory in a process of its own.
 */
#define _GNU_SOURCE
#include "methods.h"
#include "worker.h"

#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <string.h>

static int
empty(mproc_args *args)
{
        (void)args;
        return 0;
}

/*
 * What a user pays: making and freeing the object is in the figure, although
 * the raw baselines have nothing of the kind.
 */
static int
start_and_join(const char *method)
{
        mproc_context *ctx;
        mproc_process *process = NULL;
        int code = -1, r;

        if ((r = mproc_get_context(method, &ctx)) == 0 &&
            (r = mproc_process_create(ctx, empty, MPROC_NO_ARGS, &process)) == 0 &&
            (r = mproc_process_start(process)) == 0 && (r = mproc_process_join(process, MPROC_FOREVER)) == 0)
                r = mproc_process_exitcode(process, &code);
        if (r != 0)
                bench_say("mproc %s: %s: %s", method, mproc_strerror(r), mproc_last_error());
        else if (code != 0)
                bench_say("mproc %s: exit code %d: %s", method, code, mproc_process_error(process));
        mproc_process_free(process);
        return r == 0 && code == 0 ? 0 : -1;
}

int
bench_mproc_fork(void)
{
        return start_and_join("fork");
}

int
bench_mproc_spawn(void)
{
        return start_and_join("spawn");
}

int
bench_mproc_forkserver(void)
{
        return start_and_join("forkserver");
}

#define IDLE_START_MS 10000 /* a child that has not begun by then has failed */

/* Tells that it is there, then waits for the other end to be closed. */
static int
idle(mproc_args *args)
{
        mproc_connection *connection = mproc_args_connection(args, 0);
        char byte;
        int r;

        if ((r = mproc_connection_send(connection, "r", 1, MPROC_FOREVER)) < 0)
                return r;
        r = mproc_connection_recv(connection, &byte, 1, NULL, MPROC_FOREVER);
        return r == MPROC_EEOF ? 0 : r;
}

/* Private_Clean and Private_Dirty of the whole process; -1 where the system does not tell. */
static long long
unique_bytes(pid_t pid)
{
        char path[64], line[256];
        long long kib, sum = 0;
        int found = 0;
        FILE *file;

        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        file = fopen(path, "re");
        if (file == NULL) {
                bench_say("%s: %s", path, strerror(errno));
                return -1;
        }
        while (fgets(line, sizeof line, file) != NULL)
                if (sscanf(line, "Private_Clean: %lld kB", &kib) == 1 ||
                    sscanf(line, "Private_Dirty: %lld kB", &kib) == 1) {
                        sum += kib * 1024;
                        found++;
                }
        fclose(file);
        return found == 2 ? sum : -1;
}

static int
measure_idle(const char *method)
{
        mproc_connection *here = NULL, *there = NULL;
        mproc_process *process = NULL;
        mproc_context *ctx;
        long long bytes = -1;
        char byte;
        int r;

        if ((r = mproc_get_context(method, &ctx)) == 0 && (r = mproc_pipe_create(ctx, &here, &there)) == 0 &&
            (r = mproc_process_create(ctx, idle, MPROC_ARGS(there), &process)) == 0 &&
            (r = mproc_process_start(process)) == 0 &&
            (r = mproc_connection_recv(here, &byte, 1, NULL, IDLE_START_MS)) == 0)
                bytes = unique_bytes(mproc_process_pid(process));
        if (r != 0)
                bench_say("idle %s child: %s: %s", method, mproc_strerror(r), mproc_last_error());
        else if (bytes >= 0)
                printf("%s %lld\n", method, bytes);
        fflush(stdout);
        mproc_connection_free(here);
        mproc_connection_free(there);
        if (r == 0)
                mproc_process_join(process, MPROC_FOREVER);
        mproc_process_free(process);
        return bytes >= 0 ? 0 : -1;
}

int
bench_memory(void)
{
        const char *const *method;
        int failed = 0;

        for (method = mproc_get_all_start_methods(); *method != NULL; method++)
                failed |= measure_idle(*method) < 0;
        return failed;
}
