/* SPDX-License-Identifier: MIT */
/*
 * support/runner.c - main() of every test program.
 *
 *      NAME_test                  run all tests
 *      NAME_test PART...          run those in whose names one of the parts is found
 *      NAME_test -v ...           show the output of those that pass too
 *      NAME_test --list           name them
 *      NAME_test --run NAME       this one, in this very process: for a debugger
 *
 * Ends with 0; 1 if a test failed; 77 if all were skipped; 2 if none has that name.
 */
#include "support/internal.h"

#include <mproc/mproc.h>
#include <stdlib.h>
#include <unistd.h>

static struct runner_test *tests, **tests_end = &tests;
static struct runner_helper *helpers;

void
runner_add_test(struct runner_test *test)
{
        test->next = NULL;
        *tests_end = test;
        tests_end = &test->next;
}

void
runner_add_helper(struct runner_helper *helper)
{
        helper->next = helpers;
        helpers = helper;
}

/* --- the processes that are executed by the runner and by tests -------------------------------------- */

static struct runner_helper *
find_helper(int argc, char **argv)
{
        if (argc < 3 || strcmp(argv[1], "--helper") != 0)
                return NULL;
        for (struct runner_helper *helper = helpers; helper; helper = helper->next)
                if (strcmp(helper->name, argv[2]) == 0)
                        return helper;
        fprintf(stderr, "%s: no helper is called %s\n", argv[0], argv[2]);
        exit(2);
}

/* argv[0] stays the program's, and what follows the helper's name moves up. */
static int
helper_main(struct runner_helper *helper, int argc, char **argv)
{
        argv[2] = argv[0];
        return helper->body(argc - 2, argv + 2);
}

/* Never by fork where ThreadSanitizer watches: it cannot follow threads into a forked child. */
static void
run_body(const struct runner_test *test)
{
        mproc_context *ctx = NULL;

        if (!test->method) {
                test->body();
                return;
        }
        if (under_tsan() && strcmp(test->method, "fork") == 0)
                SKIP("ThreadSanitizer cannot follow a fork that starts threads");
        CHECK_OK(mproc_get_context(test->method, &ctx));
        test->method_body(test->method, ctx);
}

static int
test_main(const char *name)
{
        for (struct runner_test *test = tests; test; test = test->next) {
                if (strcmp(test->name, name) != 0)
                        continue;
                leaks_begin();
                run_body(test);
                leaks_check(test);
                return 0; /* by exit(): the library's own end, and the sanitizers', belong to the test */
        }
        fprintf(stderr, "no test is called %s\n", name);
        return 2;
}

/* --- the runner ------------------------------------------------------------------------------------- */

static bool
is_wanted(const struct runner_test *test, char **parts)
{
        if (!*parts)
                return !test->hidden;
        for (; *parts; parts++)
                if (test->hidden ? strcmp(test->name, *parts) == 0 : strstr(test->name, *parts) != NULL)
                        return true;
        return false;
}

static int
list_tests(void)
{
        for (struct runner_test *test = tests; test; test = test->next)
                if (!test->hidden)
                        puts(test->name);
        return 0;
}

static int
runner_main(char **parts, bool verbose)
{
        int count[3] = { 0, 0, 0 };

        supervise_init();
        for (struct runner_test *test = tests; test; test = test->next)
                if (is_wanted(test, parts))
                        count[supervise_test(test, verbose)]++;
        printf("%d passed, %d failed, %d skipped\n", count[TEST_PASSED], count[TEST_FAILED], count[TEST_SKIPPED]);
        if (count[TEST_FAILED])
                return 1;
        if (count[TEST_PASSED])
                return 0;
        return count[TEST_SKIPPED] ? 77 : 2;
}

int
main(int argc, char **argv)
{
        struct runner_helper *helper = find_helper(argc, argv);
        bool verbose;

        if (!(helper && helper->without_init))
                mproc_init(argc, argv);
        if (helper)
                return helper_main(helper, argc, argv);
        if (argc == 3 && strcmp(argv[1], "--run") == 0)
                return test_main(argv[2]);
        if (argc == 2 && strcmp(argv[1], "--list") == 0)
                return list_tests();
        verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
        return runner_main(argv + 1 + verbose, verbose);
}
