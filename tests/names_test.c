/* SPDX-License-Identifier: MIT */
/*
 * names_test.c - named semaphores as strangers meet by them.
 *
 * What is left when programs end in whatever way is in tracker_test.c.
 */
#include "tracker_help.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/mproc.h>
#include <pthread.h>
#include <sys/wait.h>

/* --- misuse ------------------------------------------------------------------------------------------ */

TEST(bad_names_are_told_and_nothing_is_made)
{
        char *longest = calloc(1, 300);
        mproc_semaphore *s = NULL;
        static const char *const bad[] = { "", "/", "jobs", "/a/b", "//", "/a/" };

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                CHECK_CODE(mproc_semaphore_create(NULL, bad[i], 1, &s), -EINVAL);
                CHECK_CONTAINS(mproc_last_error(), "'/'");
                CHECK_CODE(mproc_semaphore_attach(NULL, bad[i], &s), -EINVAL);
                CHECK_CODE(mproc_semaphore_unlink(bad[i]), -EINVAL);
        }
        memset(longest, 'x', 202);
        longest[0] = '/';
        CHECK_CODE(mproc_semaphore_create(NULL, longest, 1, &s), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "200");
        longest[201] = 0;
        CHECK_CODE(mproc_semaphore_attach(NULL, longest, &s), -ENOENT);
        CHECK_CODE(mproc_semaphore_attach(NULL, NULL, &s), -EINVAL);
        CHECK_CODE(mproc_semaphore_unlink(NULL), -EINVAL);
        CHECK(s == NULL);
        free(longest);
}

TEST(a_missing_name_is_named)
{
        mproc_semaphore *s = NULL;
        char *name = own_name("nobody");

        CHECK_CODE(mproc_semaphore_attach(NULL, name, &s), -ENOENT);
        CHECK_CONTAINS(mproc_last_error(), name);
        CHECK_CODE(mproc_semaphore_unlink(name), -ENOENT);
        CHECK_CONTAINS(mproc_last_error(), name);
        CHECK(s == NULL);
        free(name);
}

TEST(a_name_is_taken_once)
{
        mproc_semaphore *first, *second = NULL;
        char *name = own_name("once");

        CHECK_OK(mproc_semaphore_create(NULL, name, 3, &first));
        CHECK_CODE(mproc_semaphore_create(NULL, name, 5, &second), -EEXIST);
        CHECK_CONTAINS(mproc_last_error(), name);
        CHECK(second == NULL);
        CHECK_OK(mproc_semaphore_unlink(name));
        CHECK_CODE(mproc_semaphore_unlink(name), -ENOENT);
        CHECK_OK(mproc_semaphore_create(NULL, name, 5, &second));
        CHECK_OK(mproc_semaphore_unlink(name));
        mproc_semaphore_free(first);
        mproc_semaphore_free(second);
        free(name);
}

/* --- what a name is ---------------------------------------------------------------------------------- */

TEST(all_handles_of_a_name_are_one_semaphore)
{
        mproc_semaphore *a, *b;
        char *name = own_name("one");
        unsigned value = 99;

        CHECK_OK(mproc_semaphore_create(NULL, name, 2, &a));
        CHECK_OK(mproc_semaphore_attach(NULL, name, &b));
        CHECK_OK(mproc_semaphore_acquire(a, MPROC_NOWAIT));
        CHECK_OK(mproc_semaphore_value(b, &value));
        CHECK_INT(value, 1);
        CHECK_OK(mproc_semaphore_acquire(b, MPROC_NOWAIT));
        CHECK_CODE(mproc_semaphore_acquire(a, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_semaphore_unlink(name));

        /* Without its name it works as before, and a new one of that name is another. */
        CHECK_OK(mproc_semaphore_release(a));
        CHECK_OK(mproc_semaphore_acquire(b, MPROC_NOWAIT));
        mproc_semaphore_free(a);
        CHECK_OK(mproc_semaphore_create(NULL, name, 7, &a));
        CHECK_OK(mproc_semaphore_value(b, &value));
        CHECK_INT(value, 0);
        CHECK_OK(mproc_semaphore_unlink(name));
        mproc_semaphore_free(a);
        mproc_semaphore_free(b);
        free(name);
}

TEST(different_names_do_not_meet)
{
        char *names[] = { own_name("x"),   own_name("X"),   own_name("x."),
                          own_name("x x"), own_name("x\n"), own_name("\303\244") };
        mproc_semaphore *s[6], *other;
        unsigned value;

        for (unsigned i = 0; i < 6; i++)
                CHECK_OK(mproc_semaphore_create(NULL, names[i], i, &s[i]));
        for (unsigned i = 0; i < 6; i++) {
                CHECK_OK(mproc_semaphore_attach(NULL, names[i], &other));
                CHECK_OK(mproc_semaphore_value(other, &value));
                CHECK_INT(value, i);
                CHECK_OK(mproc_semaphore_unlink(names[i]));
                mproc_semaphore_free(other);
                mproc_semaphore_free(s[i]);
                free(names[i]);
        }
}

/* --- other programs ---------------------------------------------------------------------------------- */

/* attach-hand-over NAME GIVE TAKE: attach, take a permit of the one, give one to the other. */
HELPER(echo_permits)
{
        mproc_semaphore *take, *give;

        CHECK_OK(mproc_semaphore_attach(NULL, argv[1], &take));
        CHECK_OK(mproc_semaphore_attach(NULL, argv[2], &give));
        for (int i = 0; i < 100; i++) {
                CHECK_OK(mproc_semaphore_acquire(take, 30000));
                CHECK_OK(mproc_semaphore_release(give));
        }
        mproc_semaphore_free(take);
        mproc_semaphore_free(give);
        return 0;
}

TEST(unrelated_programs_meet_by_name)
{
        char *ping_name = own_name("ping"), *pong_name = own_name("pong");
        char *args[] = { ping_name, pong_name, NULL };
        mproc_semaphore *ping, *pong;
        pid_t pid;

        CHECK_OK(mproc_semaphore_create(NULL, ping_name, 0, &ping));
        CHECK_OK(mproc_semaphore_create(NULL, pong_name, 0, &pong));
        pid = run_helper("echo_permits", args, NULL, NULL);
        for (int i = 0; i < 100; i++) {
                CHECK_OK(mproc_semaphore_release(ping));
                CHECK_OK(mproc_semaphore_acquire(pong, 30000));
        }
        CHECK_INT(wait_program(pid, 30000), 0);

        /* It attached and has ended: what it did not create is not its tracker's to remove. */
        CHECK(name_exists(ping_name) && name_exists(pong_name));
        CHECK_OK(mproc_semaphore_unlink(ping_name));
        CHECK_OK(mproc_semaphore_unlink(pong_name));
        mproc_semaphore_free(ping);
        mproc_semaphore_free(pong);
        free(ping_name);
        free(pong_name);
}

HELPER(unlink_it)
{
        return mproc_semaphore_unlink(argv[1]) == 0 ? 0 : 1;
}

TEST(any_program_of_the_user_may_unlink)
{
        char *name = own_name("a");
        char *args[] = { name, NULL };
        mproc_semaphore *s;

        CHECK_OK(mproc_semaphore_create(NULL, name, 1, &s));
        CHECK_INT(wait_program(run_helper("unlink_it", args, NULL, NULL), 30000), 0);
        CHECK(!name_exists(name));
        CHECK_OK(mproc_semaphore_acquire(s, MPROC_NOWAIT));
        mproc_semaphore_free(s);
        free(name);
}

/* A child unlinks what its parent created, and the other way round: one program, one table. */
static int
swap_names(mproc_args *args)
{
        mproc_semaphore *s;
        int r;

        if ((r = mproc_semaphore_unlink(mproc_args_string(args, 0))) < 0 ||
            (r = mproc_semaphore_create(NULL, mproc_args_string(args, 1), 4, &s)) < 0)
                return r;
        mproc_semaphore_free(s);
        return 0;
}

START_METHOD_TEST(parent_and_child_share_their_names)
{
        char *a = own_name("parents"), *b = own_name("childs");
        mproc_semaphore *s;
        mproc_process *p;
        unsigned value;
        int exitcode;

        CHECK_OK(mproc_semaphore_create(ctx, a, 1, &s));
        mproc_semaphore_free(s);
        CHECK_OK(mproc_process_create(ctx, swap_names, MPROC_ARGS(a, b), &p));
        CHECK_OK(mproc_process_start(p));
        CHECK_OK(mproc_process_join(p, 30000));
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        CHECK_MSG(exitcode == 0, "%s", mproc_process_error(p));
        mproc_process_free(p);
        CHECK(!name_exists(a));
        CHECK_OK(mproc_semaphore_attach(ctx, b, &s)); /* its creator has ended, its program has not */
        CHECK_OK(mproc_semaphore_value(s, &value));
        CHECK_INT(value, 4);
        CHECK_OK(mproc_semaphore_unlink(b));
        mproc_semaphore_free(s);
        free(a);
        free(b);
}

/* --- many at once ------------------------------------------------------------------------------------ */

#define THREADS 4
#define ROUNDS  50

static void *
take_turns(void *arg)
{
        const char *name = arg;

        for (int done = 0; done < ROUNDS;) {
                mproc_semaphore *s;
                int r = mproc_semaphore_create(NULL, name, 1, &s);

                if (r == -EEXIST)
                        continue;
                CHECK_OK(r);
                CHECK_OK(mproc_semaphore_unlink(name)); /* nobody else does */
                mproc_semaphore_free(s);
                done++;
        }
        return NULL;
}

TEST(threads_that_want_one_name_get_it_in_turns)
{
        char *name = own_name("turns"), *first = own_name("first");
        pthread_t threads[THREADS];
        mproc_semaphore *s;

        CHECK_OK(mproc_semaphore_create(NULL, first, 1, &s));
        for (int i = 0; i < THREADS; i++)
                CHECK(pthread_create(&threads[i], NULL, take_turns, name) == 0);
        for (int i = 0; i < THREADS; i++)
                CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(!name_exists(name));
        CHECK_OK(mproc_semaphore_unlink(first));
        mproc_semaphore_free(s);
        free(name);
        free(first);
}

TEST(a_thousand_names_leave_no_descriptor)
{
        char *name = own_name("n");
        mproc_semaphore *s;

        CHECK_OK(mproc_semaphore_create(NULL, name, 1, &s));
        CHECK_OK(mproc_semaphore_unlink(name));
        mproc_semaphore_free(s);
        support_fd_baseline();
        for (int i = 0; i < 1000; i++) {
                mproc_semaphore *attached;

                CHECK_OK(mproc_semaphore_create(NULL, name, 1, &s));
                CHECK_OK(mproc_semaphore_attach(NULL, name, &attached));
                CHECK_OK(mproc_semaphore_unlink(name));
                mproc_semaphore_free(attached);
                mproc_semaphore_free(s);
        }
        free(name);
}
