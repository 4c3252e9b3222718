/* SPDX-License-Identifier: MIT */
/* Contexts: names, the default one and what fixes it, and that one is as good as the other. */
#include "process_help.h"

#include <pthread.h>
#include <sched.h>

TEST(start_methods_are_three_and_fork_is_first)
{
        const char *const *names = mproc_get_all_start_methods();

        CHECK_STR(names[0], "fork");
        CHECK_STR(names[1], "spawn");
        CHECK_STR(names[2], "forkserver");
        CHECK(names[3] == NULL);
        CHECK(mproc_get_start_method(1) == NULL);
}

TEST(default_method_is_none_until_asked_for)
{
        CHECK(mproc_get_start_method(1) == NULL);
        CHECK_STR(mproc_get_start_method(0), "fork");
        CHECK_STR(mproc_get_start_method(1), "fork");
        CHECK_CODE(mproc_set_start_method("spawn"), MPROC_EMETHODSET);
        CHECK_CONTAINS(mproc_last_error(), "'fork'");
        CHECK_CONTAINS(mproc_last_error(), "mproc_get_context(\"spawn\")");
}

TEST(method_is_set_once)
{
        CHECK_OK(mproc_set_start_method("forkserver"));
        CHECK_STR(mproc_get_start_method(1), "forkserver");
        CHECK_CODE(mproc_set_start_method("spawn"), MPROC_EMETHODSET);
        CHECK_CODE(mproc_set_start_method("forkserver"), MPROC_EMETHODSET);
        CHECK_STR(mproc_get_start_method(0), "forkserver");
}

TEST(method_is_set_again_by_force)
{
        CHECK_OK(mproc_set_start_method("spawn"));
        CHECK_OK(mproc_force_start_method("fork"));
        CHECK_STR(mproc_get_start_method(0), "fork");
        CHECK_OK(mproc_force_start_method(NULL));
        CHECK(mproc_get_start_method(1) == NULL);
        CHECK_OK(mproc_set_start_method("spawn"));
        CHECK_STR(mproc_get_start_method(0), "spawn");
}

TEST(unknown_method_is_an_error_everywhere)
{
        mproc_context *ctx = NULL;

        CHECK_CODE(mproc_set_start_method("bogus"), MPROC_EMETHOD);
        CHECK_CONTAINS(mproc_last_error(), "'bogus'");
        CHECK_CONTAINS(mproc_last_error(), "forkserver");
        CHECK_CODE(mproc_set_start_method(""), MPROC_EMETHOD);
        CHECK_CODE(mproc_set_start_method(NULL), MPROC_EMETHOD);
        CHECK_CODE(mproc_set_start_method("Spawn"), MPROC_EMETHOD);
        CHECK_CODE(mproc_force_start_method("bogus"), MPROC_EMETHOD);
        CHECK_CODE(mproc_get_context("bogus", &ctx), MPROC_EMETHOD);
        CHECK(ctx == NULL);
        CHECK(mproc_get_start_method(1) == NULL);
        CHECK_OK(mproc_set_start_method("spawn"));
        CHECK_CODE(mproc_force_start_method("bogus"), MPROC_EMETHOD);
        CHECK_STR(mproc_get_start_method(1), "spawn");
}

START_METHOD_TEST(context_is_one_object)
{
        mproc_context *again = NULL, *byname = NULL;

        CHECK_OK(mproc_get_context(method, &again));
        CHECK(again == ctx);
        CHECK_STR(mproc_context_name(ctx), method);
        CHECK(mproc_get_start_method(1) == NULL); /* a named context chooses nothing */
        CHECK_OK(mproc_set_start_method(method));
        CHECK_OK(mproc_get_context(NULL, &byname));
        CHECK(byname == ctx);
        CHECK_STR(mproc_context_name(NULL), method);
}

TEST(contexts_differ)
{
        mproc_context *ctx[3];
        const char *const *names = mproc_get_all_start_methods();

        for (int i = 0; i < 3; i++)
                CHECK_OK(mproc_get_context(names[i], &ctx[i]));
        CHECK(ctx[0] != ctx[1] && ctx[1] != ctx[2] && ctx[0] != ctx[2]);
}

/* --- what fixes the default ---------------------------------------------------------------------------- */

TEST(asking_for_the_default_context_fixes_it)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(NULL, &ctx));
        CHECK_STR(mproc_get_start_method(1), "fork");
        CHECK_CODE(mproc_set_start_method("fork"), MPROC_EMETHODSET);
}

TEST(the_name_of_the_default_context_fixes_it)
{
        CHECK_STR(mproc_context_name(NULL), "fork");
        CHECK_STR(mproc_get_start_method(1), "fork");
}

TEST(a_process_in_the_default_context_fixes_it)
{
        mproc_process *p = create(NULL, return_argument, MPROC_NO_ARGS);

        CHECK_STR(mproc_get_start_method(1), "fork");
        mproc_process_free(p);
}

TEST(a_process_in_a_named_context_fixes_nothing)
{
        mproc_context *ctx;
        mproc_process *p;

        CHECK_OK(mproc_get_context("spawn", &ctx));
        p = create(ctx, return_argument, MPROC_NO_ARGS);
        CHECK(mproc_get_start_method(1) == NULL);
        mproc_process_free(p);
}

TEST(listing_the_methods_fixes_nothing)
{
        mproc_process **list;
        size_t count;

        CHECK(mproc_get_all_start_methods() != NULL);
        CHECK_OK(mproc_active_children(&list, &count));
        CHECK_INT(count, 0);
        mproc_process_list_free(list, count);
        CHECK(mproc_current_process() != NULL);
        CHECK(mproc_get_start_method(1) == NULL);
}

/* A process keeps the context that it was created in. */
TEST(force_leaves_existing_processes_alone)
{
        mproc_process *p;

        CHECK_OK(mproc_set_start_method("spawn"));
        p = create(NULL, return_argument, MPROC_ARGS(1));
        CHECK_OK(mproc_force_start_method("fork"));
        CHECK_OK(mproc_process_start(p));
        CHECK_INT(finish(p), 1);
}

/* --- children ------------------------------------------------------------------------------------------ */

/* Argument 0 is the method by which this process was started. */
static int
inherits_method(mproc_args *args)
{
        const char *wanted = mproc_args_string(args, 0);
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(NULL, &ctx));
        CHECK_STR(mproc_context_name(ctx), wanted);
        CHECK_STR(mproc_get_start_method(0), wanted);
        if (mproc_args_count(args) == 2)
                return run(NULL, inherits_method, MPROC_ARGS(wanted));
        return 42;
}

START_METHOD_TEST(child_inherits_its_method_as_default)
{
        CHECK_INT(run(ctx, inherits_method, MPROC_ARGS(method, "and its child")), 42);
}

/* The parent's default is another one. */
START_METHOD_TEST(child_takes_its_own_method_rather_than_the_parents_default)
{
        CHECK_OK(mproc_set_start_method(strcmp(method, "spawn") == 0 ? "forkserver" : "spawn"));
        CHECK_INT(run(ctx, inherits_method, MPROC_ARGS(method, "and its child")), 42);
}

static int
chooses_another(mproc_args *args)
{
        const char *other = mproc_args_string(args, 0);

        if (mproc_force_start_method(other) < 0 || strcmp(mproc_get_start_method(1), other) != 0)
                return 1;
        return run(NULL, inherits_method, MPROC_ARGS(other));
}

START_METHOD_TEST(child_may_choose_another_method)
{
        for (const char *const *other = mproc_get_all_start_methods(); *other; other++)
                CHECK_INT(run(ctx, chooses_another, MPROC_ARGS(*other)), 42);
}

static int
inherits_no_choice(mproc_args *args)
{
        (void)args;
        return mproc_get_start_method(1) ? 1 : 0;
}

/* Not chosen yet, but what it will be is known. */
START_METHOD_TEST(childs_default_is_open_until_its_first_use)
{
        CHECK_INT(run(ctx, inherits_no_choice, MPROC_NO_ARGS), 0);
}

/* --- the library with and without a context ------------------------------------------------------------- */

START_METHOD_TEST(null_stands_for_the_default_context)
{
        CHECK_OK(mproc_set_start_method(method));
        CHECK_INT(run(NULL, return_argument, MPROC_ARGS(7)), 7);
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(8)), 8);
}

static void *
fix_default(void *arg)
{
        pthread_barrier_wait(arg);
        return (void *)(uintptr_t)mproc_get_start_method(0);
}

TEST(threads_agree_on_the_default)
{
        pthread_barrier_t barrier;
        pthread_t threads[8];

        CHECK_INT(pthread_barrier_init(&barrier, NULL, 8), 0);
        for (int i = 0; i < 8; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, fix_default, &barrier), 0);
        for (int i = 0; i < 8; i++) {
                void *name;

                CHECK_INT(pthread_join(threads[i], &name), 0);
                CHECK_STR(name, "fork");
        }
        pthread_barrier_destroy(&barrier);
}

static void *
set_method(void *arg)
{
        pthread_barrier_wait(arg);
        return (void *)(intptr_t)(mproc_set_start_method("spawn") == 0);
}

TEST(one_thread_alone_sets_the_method)
{
        pthread_barrier_t barrier;
        pthread_t threads[8];
        intptr_t winners = 0;

        CHECK_INT(pthread_barrier_init(&barrier, NULL, 8), 0);
        for (int i = 0; i < 8; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, set_method, &barrier), 0);
        for (int i = 0; i < 8; i++) {
                void *won;

                CHECK_INT(pthread_join(threads[i], &won), 0);
                winners += (intptr_t)won;
        }
        CHECK_INT(winners, 1);
        pthread_barrier_destroy(&barrier);
}

/* --- the executable and the CPUs ------------------------------------------------------------------------- */

TEST(executable_is_remembered)
{
        CHECK(mproc_get_executable() == NULL);
        CHECK_OK(mproc_set_executable("/usr/bin/env"));
        CHECK_STR(mproc_get_executable(), "/usr/bin/env");
        CHECK_CODE(mproc_set_executable(""), -EINVAL);
        CHECK_STR(mproc_get_executable(), "/usr/bin/env");
        CHECK_OK(mproc_set_executable(NULL));
        CHECK(mproc_get_executable() == NULL);
}

TEST(cpu_count_respects_the_affinity_mask)
{
        cpu_set_t all, one;
        int first = 0;

        if (portable_build())
                SKIP("POSIX knows no affinity");
        CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
        CHECK(mproc_cpu_count() >= 1 && mproc_cpu_count() <= CPU_COUNT(&all));
        while (!CPU_ISSET(first, &all))
                first++;
        CPU_ZERO(&one);
        CPU_SET(first, &one);
        CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
        CHECK_INT(mproc_cpu_count(), 1);
}

/* The first call stays valid, the second does nothing. */
TEST(init_may_be_called_again)
{
        char name[] = "another";
        char *argv[] = { name, NULL };
        mproc_context *ctx;

        mproc_init(1, argv);
        mproc_init(0, NULL);
        CHECK_OK(mproc_get_context("spawn", &ctx));
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(3)), 3);
}

HELPER_WITHOUT_INIT(init_of_nothing)
{
        mproc_init(0, NULL);
        return 5;
}

TEST(init_takes_an_empty_command_line)
{
        CHECK_INT(wait_program(run_helper("init_of_nothing", NULL, NULL, NULL), LONG_MS), 5);
}
