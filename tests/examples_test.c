/* SPDX-License-Identifier: MIT */
/*
 * examples_test.c - each program in examples/ does what it says, by every start method.
 * mproc-checksum has tests of its own: checksum_test.c.
 */
#include "support/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* What it prints; it has to end well. */
static char *
run_example(const char *name, const char *first, const char *second)
{
        struct rlimit no_core = { 0, 0 };
        char *path = text_format("%s/examples/%s", build_dir(), name), *text;
        int status;

        if (access(path, X_OK) != 0)
                SKIP("the examples were not built");
        setrlimit(RLIMIT_CORE, &no_core);
        text = capture_program((char *const *)(const char *const[]){ path, first, second, NULL }, &status);
        CHECK_MSG(status == 0, "%s %s: exit status %d; it printed: %s", name, first, status, text);
        free(path);
        return text;
}

static void
check_prints(const char *name, const char *method, const char *wanted)
{
        char *text = run_example(name, method, NULL);

        CHECK_STR(text, wanted);
        free(text);
}

START_METHOD_TEST(first)
{
        check_prints("first", method, "hello\n");
}

START_METHOD_TEST(second)
{
        check_prints("second", method, "hello\n");
}

TEST(first_and_second_spawn_when_nothing_is_said)
{
        check_prints("first", NULL, "hello\n");
        check_prints("second", NULL, "hello\n");
}

START_METHOD_TEST(pipeline)
{
        check_prints("pipeline", method, "sum of the even squares: 167167000\nnever more than 8 waited: yes\n");
}

START_METHOD_TEST(pass_fd)
{
        check_prints("pass_fd", method,
                     "message \"write here\" with 1 descriptor beside it\n"
                     "the child read \"through your pipe\"\n"
                     "the file says: the child was here\n");
}

START_METHOD_TEST(lock)
{
        check_prints("lock", method, "4 children counted to 4000\nthe lock is ours: its last owner died with it\n");
}

START_METHOD_TEST(rwlock)
{
        check_prints("rwlock", method,
                     "4 readers looked 800 times, 2 writers wrote 100 times, and nobody saw half a change\n");
}

START_METHOD_TEST(leases)
{
        check_prints("leases", method, "59 jobs done, 1 given up, 6 workers killed by the parent\n");
}

/* That the daemon is gone afterwards, the runner sees. */
START_METHOD_TEST(daemon_worker)
{
        char *text = run_example("daemon", method, NULL);

        CHECK_CONTAINS(text, "one worker, -> ONE WORKER,\n");
        CHECK_CONTAINS(text, "no farewell -> NO FAREWELL\n");
        CHECK_CONTAINS(text, " is alive; it ends with this process\n");
        free(text);
}

START_METHOD_TEST(preload)
{
        char *text = run_example("preload", method, NULL);
        const char *maker = strcmp(method, "forkserver") == 0 ? "the fork server" : "itself", *at = text;

        CHECK_CONTAINS(text, "prime number 100000 is 1299709:");
        CHECK_CONTAINS(text, "prime number 400000 is 5800079:");
        for (int i = 0; i < 4; i++) {
                CHECK_MSG((at = strstr(at, ", made by ")) != NULL, "%d lines are missing: %s", 4 - i, text);
                at += strlen(", made by ");
                CHECK_MSG(strncmp(at, maker, strlen(maker)) == 0, "not made by %s: %s", maker, text);
        }
        free(text);
}

START_METHOD_TEST(crash)
{
        char *text = run_example("crash", method, NULL);

        CHECK_CONTAINS(text, "aborts: exit code -6, killed by Aborted");
        CHECK_CONTAINS(text, "exits_with_3: exit code 3");
        CHECK_CONTAINS(text, "misses_a_semaphore: exit code 1, ENOENT at \"run\"");
        CHECK_CONTAINS(text, "\"/nobody-made-this-one\"");
        CHECK_CONTAINS(text, "wants_a_queue: exit code 1, MPROC_EARGTYPE at \"argument\"");
        CHECK_CONTAINS(text, "argument 0 is wanted as queue, but it is of type string");
        free(text);
}

START_METHOD_TEST(start_cost)
{
        char *text = run_example("start_cost", method, "5"), *rest;

        CHECK_MSG(strtod(text, &rest) > 0 && strcmp(rest, "\n") == 0, "no number: %s", text);
        free(text);
}
