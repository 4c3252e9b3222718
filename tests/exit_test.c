/* SPDX-License-Identifier: MIT */
/*
 * Ends: what a program's orderly end does to its children, what its sudden end does,
 * and what a child's end leaves of its parent.
 *
 * The helpers are the programs that end.  They and their children write letters to
 * standard output, a pipe to the test; its end of file tells that all of them are gone.
 */
#include "process_help.h"

#include <poll.h>
#include <pthread.h>

static mproc_context *
context_of(const char *method)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(method, &ctx));
        return ctx;
}

static void
say(const char *letter)
{
        write_all(1, letter, 1);
}

static void
say_z(void)
{
        say("z");
}

/* What a helper and all its children wrote, to the end of the last of them; and how the helper ended. */
static void
expect_output(const char *helper, const char *method, const char *scene, const char *wanted, int wanted_exitcode)
{
        char *args[] = { (char *)method, (char *)scene, NULL }, *text;
        int in, out;
        pid_t pid = run_helper(helper, args, &in, &out);

        text = read_to_end(out, NULL);
        CHECK_STR(text, wanted);
        CHECK_INT(wait_program(pid, LONG_MS), wanted_exitcode);
        free(text);
        close(in);
        close(out);
}

/* A handler that is not told the exit code cannot end the process in exit()'s stead. */
static void
skip_fork_without_on_exit(const char *method)
{
#ifdef __GLIBC__
        (void)method;
#else
        if (strcmp(method, "fork") == 0)
                SKIP("without on_exit(), a child by fork that calls exit() runs what its parent has registered");
#endif
}

/* --- children ---------------------------------------------------------------------------------------------- */

/* Until the test closes its end of standard input; bytes there are for the helpers. */
static void
wait_for_hangup(void)
{
        struct pollfd p = { .fd = 0, .events = 0 };

        while (poll(&p, 1, -1) < 0)
                ;
}

static int
says_x_waits_says_y(mproc_args *args)
{
        (void)args;
        say("x");
        wait_for_hangup();
        say("y");
        return 0;
}

static void
on_term(int number)
{
        (void)number;
        say("t");
        _exit(0);
}

/* Says x, and t when it is terminated. */
static int
says_how_it_is_terminated(mproc_args *args)
{
        signal(SIGTERM, on_term);
        return says_x_waits_says_y(args);
}

static int
ignores_termination(mproc_args *args)
{
        (void)args;
        signal(SIGTERM, SIG_IGN);
        say("x");
        for (;;)
                pause();
        return 0;
}

static int
says_x_and_runs_on(mproc_args *args)
{
        (void)args;
        say("x");
        for (;;)
                pause();
        return 0;
}

/* --- the orderly end ----------------------------------------------------------------------------------------- */

static int
is_scene(char **argv, const char *name)
{
        return strcmp(argv[2], name) == 0;
}

/* argv: method, scene.  The handler registered before the first start runs after the library's. */
HELPER(ends)
{
        mproc_context *ctx = context_of(argv[1]);
        mproc_process_opts daemon = { .daemon = 1, .die_with_parent = -1 };
        mproc_process *p;

        CHECK_INT(atexit(say_z), 0);
        if (is_scene(argv, "joins") || is_scene(argv, "leaves"))
                p = keep(start(ctx, says_x_waits_says_y, MPROC_NO_ARGS));
        else
                p = keep(start_opts(ctx, says_how_it_is_terminated, MPROC_NO_ARGS, &daemon));
        if (is_scene(argv, "leaves") || is_scene(argv, "leaves daemon"))
                CHECK_OK(mproc_set_exit_policy(MPROC_EXIT_LEAVE));
        if (is_scene(argv, "frees and terminates"))
                mproc_process_free(p);
        await_byte(0);
        return 6;
}

struct helper {
        pid_t pid;
        int in, out;
};

static struct helper
start_helper(const char *name, const char *method, const char *scene)
{
        char *args[] = { (char *)method, (char *)scene, NULL };
        struct helper h;

        h.pid = run_helper(name, args, &h.in, &h.out);
        return h;
}

static void
expect_letters(int fd, const char *wanted)
{
        char text[16] = "";

        for (size_t i = 0; wanted[i]; i++) {
                ssize_t n;

                do
                        n = read(fd, &text[i], 1);
                while (n < 0 && errno == EINTR);
                CHECK_MSG(n == 1, "end of file after \"%s\", wanted \"%s\"", text, wanted);
        }
        CHECK_STR(text, wanted);
}

static void
hang_up(struct helper *h)
{
        close(h->in);
        h->in = -1;
}

/* End of file: nobody of the family is left. */
static void
expect_nobody(struct helper *h)
{
        char byte;

        CHECK_INT(read(h->out, &byte, 1), 0);
        if (h->in >= 0)
                close(h->in);
        close(h->out);
}

static void
expect_end(struct helper *h, int exitcode)
{
        expect_nobody(h);
        CHECK_INT(wait_program(h->pid, LONG_MS), exitcode);
}

START_METHOD_TEST(exit_joins_children)
{
        struct helper h = start_helper("ends", method, "joins");

        expect_letters(h.out, "x");
        write_all(h.in, "1", 1);
        hang_up(&h);
        expect_letters(h.out, "yz");
        expect_end(&h, 6);
}

START_METHOD_TEST(exit_terminates_daemons)
{
        struct helper h = start_helper("ends", method, "terminates");

        expect_letters(h.out, "x");
        write_all(h.in, "1", 1);
        expect_letters(h.out, "tz");
        expect_end(&h, 6);
}

START_METHOD_TEST(exit_terminates_daemons_without_a_handle)
{
        struct helper h = start_helper("ends", method, "frees and terminates");

        expect_letters(h.out, "x");
        write_all(h.in, "1", 1);
        expect_letters(h.out, "tz");
        expect_end(&h, 6);
}

/* Nothing is signalled and nothing waited for. */
START_METHOD_TEST(exit_leaves_children_when_told)
{
        struct helper h = start_helper("ends", method, "leaves");

        expect_letters(h.out, "x");
        write_all(h.in, "1", 1);
        expect_letters(h.out, "z");
        CHECK_INT(wait_program(h.pid, LONG_MS), 6);
        hang_up(&h);
        expect_letters(h.out, "y");
        expect_nobody(&h);
}

START_METHOD_TEST(exit_leaves_daemons_when_told)
{
        struct helper h = start_helper("ends", method, "leaves daemon");

        expect_letters(h.out, "x");
        write_all(h.in, "1", 1);
        expect_letters(h.out, "z");
        CHECK_INT(wait_program(h.pid, LONG_MS), 6);
        hang_up(&h);
        expect_letters(h.out, "y");
        expect_nobody(&h);
}

TEST(exit_policy_is_one_of_two)
{
        CHECK_CODE(mproc_set_exit_policy((enum mproc_exit_policy)7), -EINVAL);
        CHECK_OK(mproc_set_exit_policy(MPROC_EXIT_LEAVE));
        CHECK_OK(mproc_set_exit_policy(MPROC_EXIT_JOIN));
}

static void
log_letter(enum mproc_log_level level, const char *text, void *arg)
{
        (void)arg;
        if (level == MPROC_LOG_WARNING && strstr(text, "killed"))
                say("k");
}

/* One by each method, all of them deaf. */
HELPER(ends_with_deaf_daemons)
{
        mproc_process_opts daemon = { .daemon = 1, .die_with_parent = -1 };

        mproc_set_log(log_letter, NULL);
        for (const char *const *method = mproc_get_all_start_methods(); *method; method++)
                if (!under_tsan() || strcmp(*method, "fork") != 0)
                        (void)keep(start_opts(context_of(*method), ignores_termination, MPROC_NO_ARGS, &daemon));
        await_byte(0);
        return 0;
}

TEST(exit_kills_daemons_that_do_not_follow)
{
        struct helper h = start_helper("ends_with_deaf_daemons", "", "");

        expect_letters(h.out, under_tsan() ? "xx" : "xxx");
        write_all(h.in, "1", 1);
        expect_letters(h.out, under_tsan() ? "kk" : "kkk");
        expect_end(&h, 0);
}

/* A child is a parent, too: it ends after its own children. */
static int
leaves_a_child(mproc_args *args)
{
        (void)args;
        (void)keep(start(NULL, says_x_waits_says_y, MPROC_NO_ARGS));
        return 0;
}

static int
exits_with_a_child(mproc_args *args)
{
        (void)args;
        (void)keep(start(NULL, says_x_waits_says_y, MPROC_NO_ARGS));
        exit(0);
}

HELPER(has_a_child_that_is_a_parent)
{
        mproc_process *p = start(context_of(argv[1]), is_scene(argv, "exits") ? exits_with_a_child : leaves_a_child,
                                 MPROC_NO_ARGS);

        CHECK_INT(finish(p), 0);
        say("z");
        return 0;
}

START_METHOD_TEST(child_joins_its_own_children)
{
        const char *scenes[] = { "returns", "exits" };

        for (int i = 0; i < 2; i++) {
                struct helper h = start_helper("has_a_child_that_is_a_parent", method, scenes[i]);

                expect_letters(h.out, "x");
                hang_up(&h);
                expect_letters(h.out, "yz");
                expect_end(&h, 0);
        }
}

/* --- the end of a child is not its parent's ------------------------------------------------------------------- */

static void
say_a(void)
{
        say("a");
}

static void
say_b(void)
{
        say("b");
}

static int
registers_and_returns(mproc_args *args)
{
        if (mproc_args_int(args, 0) & 1)
                CHECK_INT(atexit(say_b), 0);
        if (mproc_args_int(args, 0) & 2)
                exit(3);
        return 3;
}

/* Handlers are registered before the library's first start and after it. */
HELPER(has_exit_handlers)
{
        mproc_context *ctx = context_of(argv[1]);

        CHECK_INT(atexit(say_a), 0);
        for (int way = 0; way < 4; way++) {
                CHECK_INT(run(ctx, registers_and_returns, MPROC_ARGS(way)), 3);
                say("-");
                if (way == 1)
                        CHECK_INT(atexit(say_a), 0);
        }
        return 0;
}

/* A child that returns or exits runs the handlers that it registered itself, and no other. */
START_METHOD_TEST(exit_handlers_run_where_they_were_registered)
{
        skip_fork_without_on_exit(method);
        expect_output("has_exit_handlers", method, "", "-b--b-aa", 0);
}

static int
prints(mproc_args *args)
{
        printf("[child %s]", mproc_args_string(args, 0));
        if (strcmp(mproc_args_string(args, 0), "exits") == 0)
                exit(0);
        return 0;
}

/* Standard output is a pipe, so nothing is written before it has to be: before a fork, which would copy it. */
HELPER(has_unwritten_output)
{
        mproc_context *ctx = context_of(argv[1]);
        const char *path = argv[2];
        FILE *file = fopen(path, "we");

        CHECK(file != NULL);
        fputs("once", file);
        printf("[before]");
        CHECK_INT(run(ctx, prints, MPROC_ARGS("returns")), 0);
        printf("[between]");
        CHECK_INT(run(ctx, prints, MPROC_ARGS("exits")), 0);
        printf("[after]");
        fputs(" only", file);
        return 0;
}

START_METHOD_TEST(output_is_written_once)
{
        char *path = path_in(temp_dir(), "file"), *text;

        skip_fork_without_on_exit(method);
        expect_output("has_unwritten_output", method, path,
                      strcmp(method, "fork") == 0 ? "[before][child returns][between][child exits][after]"
                                                  : "[child returns][child exits][before][between][after]",
                      0);
        text = read_file(path, NULL);
        CHECK_STR(text, "once only");
        free(text);
        free(path);
}

/* --- the sudden end of a parent -------------------------------------------------------------------------------- */

static void *
start_in_a_thread(void *arg)
{
        mproc_process_opts opts = { .die_with_parent = 1 };

        (void)keep(start_opts(arg, says_x_and_runs_on, MPROC_NO_ARGS, &opts));
        return NULL;
}

/* A daemon whose child is a daemon by itself. */
static int
is_a_daemon_with_a_child(mproc_args *args)
{
        mproc_process *p, *q;
        mproc_process_opts no_daemon = { .daemon = -1 };

        (void)args;
        CHECK_INT(mproc_process_daemon(mproc_current_process()), 1);
        CHECK_CODE(mproc_process_create_opts(NULL, says_x_and_runs_on, MPROC_NO_ARGS, &no_daemon, &p), MPROC_EDAEMON);
        p = create(NULL, says_x_and_runs_on, MPROC_NO_ARGS);
        CHECK_INT(mproc_process_daemon(p), 1);
        CHECK_CODE(mproc_process_set_daemon(p, 0), MPROC_EDAEMON);
        CHECK_OK(mproc_process_set_daemon(p, 1));
        CHECK_OK(mproc_process_start(p));
        q = create(NULL, return_argument, MPROC_ARGS(4));
        CHECK_OK(mproc_process_start(q));
        CHECK_INT(finish(q), 4);
        say("d");
        for (;;)
                pause();
        return 0;
}

HELPER(is_killed)
{
        mproc_context *ctx = context_of(argv[1]);
        mproc_process_opts daemon = { .daemon = 1 }, tied = { .die_with_parent = 1 };
        mproc_process_opts untied = { .daemon = 1, .die_with_parent = -1 };
        mproc_process *p;
        pthread_t thread;

        if (is_scene(argv, "daemon")) {
                (void)keep(start_opts(ctx, says_x_and_runs_on, MPROC_NO_ARGS, &daemon));
        } else if (is_scene(argv, "tied")) {
                (void)keep(start_opts(ctx, says_x_and_runs_on, MPROC_NO_ARGS, &tied));
        } else if (is_scene(argv, "untied")) {
                (void)keep(start_opts(ctx, says_x_waits_says_y, MPROC_NO_ARGS, &untied));
        } else if (is_scene(argv, "plain")) {
                (void)keep(start(ctx, says_x_waits_says_y, MPROC_NO_ARGS));
        } else if (is_scene(argv, "set daemon")) {
                p = create(ctx, says_x_and_runs_on, MPROC_NO_ARGS);
                CHECK_OK(mproc_process_set_daemon(p, 1));
                CHECK_OK(mproc_process_start(p));
        } else if (is_scene(argv, "set untied daemon")) {
                mproc_process_opts no_tie = { .die_with_parent = -1 };

                CHECK_OK(mproc_process_create_opts(ctx, says_x_waits_says_y, MPROC_NO_ARGS, &no_tie, &p));
                CHECK_OK(mproc_process_set_daemon(p, 1));
                CHECK_OK(mproc_process_start(p));
        } else if (is_scene(argv,
                            "siblings")) { /* the older dies although the younger, born of the same parent, lives */
                (void)keep(start_opts(ctx, says_x_and_runs_on, MPROC_NO_ARGS, &daemon));
                (void)keep(start(ctx, says_x_waits_says_y, MPROC_NO_ARGS));
                (void)keep(start_opts(ctx, says_x_and_runs_on, MPROC_NO_ARGS, &tied));
        } else if (is_scene(argv, "nested")) {
                (void)keep(start_opts(ctx, is_a_daemon_with_a_child, MPROC_NO_ARGS, &daemon));
        } else if (is_scene(argv, "thread")) {
                CHECK_INT(pthread_create(&thread, NULL, start_in_a_thread, ctx), 0);
                CHECK_INT(pthread_join(thread, NULL), 0);
        }
        await_byte(0);
        say("m");
        for (;;)
                pause();
}

static struct helper
start_scene(const char *method, const char *scene, const char *letters)
{
        struct helper h = start_helper("is_killed", method, scene);

        expect_letters(h.out, letters);
        return h;
}

static void
kill_helper(struct helper *h)
{
        CHECK(kill(h->pid, SIGKILL) == 0);
        CHECK_INT(wait_program(h->pid, LONG_MS), -SIGKILL);
}

START_METHOD_TEST(daemon_dies_with_its_killed_parent)
{
        struct helper h = start_scene(method, "daemon", "x");

        kill_helper(&h);
        expect_nobody(&h);
        h = start_scene(method, "set daemon", "x");
        kill_helper(&h);
        expect_nobody(&h);
}

START_METHOD_TEST(child_dies_with_its_killed_parent_if_wanted)
{
        struct helper h = start_scene(method, "tied", "x");

        kill_helper(&h);
        expect_nobody(&h);
}

static void
expect_survivor(const char *method, const char *scene)
{
        struct helper h = start_scene(method, scene, "x");

        kill_helper(&h);
        hang_up(&h);
        expect_letters(h.out, "y");
        expect_nobody(&h);
}

START_METHOD_TEST(child_outlives_its_killed_parent)
{
        expect_survivor(method, "plain");
        expect_survivor(method, "untied");
        expect_survivor(method, "set untied daemon");
}

START_METHOD_TEST(siblings_do_not_keep_each_other_alive)
{
        struct helper h = start_scene(method, "siblings", "xxx");

        kill_helper(&h);
        hang_up(&h);
        expect_letters(h.out, "y");
        expect_nobody(&h);
}

/* The tie is to the process, not, as the system's own means have it, to the thread. */
START_METHOD_TEST(child_outlives_the_thread_that_started_it)
{
        struct helper h = start_scene(method, "thread", "x");
        char byte;

        write_all(h.in, "1", 1);
        expect_letters(h.out, "m");
        CHECK(fcntl(h.out, F_SETFL, O_NONBLOCK) == 0);
        CHECK(read(h.out, &byte, 1) < 0 && errno == EAGAIN);
        CHECK(fcntl(h.out, F_SETFL, 0) == 0);
        kill_helper(&h);
        expect_nobody(&h);
}

static void
expect_two_letters(struct helper *h)
{
        char letters[2];

        CHECK(read(h->out, &letters[0], 1) == 1 && read(h->out, &letters[1], 1) == 1);
        CHECK((letters[0] == 'x' && letters[1] == 'd') || (letters[0] == 'd' && letters[1] == 'x'));
}

START_METHOD_TEST(daemons_of_daemons_die_with_the_first_parent)
{
        struct helper h = start_scene(method, "nested", "");

        expect_two_letters(&h);
        kill_helper(&h);
        expect_nobody(&h);
}

HELPER(terminates_its_daemon)
{
        mproc_process_opts daemon = { .daemon = 1 };
        mproc_process *p = start_opts(context_of(argv[1]), is_a_daemon_with_a_child, MPROC_NO_ARGS, &daemon);

        await_byte(0);
        CHECK_OK(mproc_process_terminate(p));
        CHECK_INT(finish(p), -SIGTERM);
        return 0;
}

START_METHOD_TEST(terminated_daemon_takes_its_children_along)
{
        struct helper h = start_helper("terminates_its_daemon", method, "");

        expect_two_letters(&h);
        write_all(h.in, "1", 1);
        expect_end(&h, 0);
}

/* --- what exit() does for a child that is a process of its own ------------------------------------------------- */

static void
run_ending(const char *method, bool with_plugin, const char *const *wanted)
{
        char *path = path_in(temp_dir(), "written"), *text;
        char *program = strdup(support_path("ending_prog"));
        char *plugin = with_plugin ? strdup(support_path("ending_plugin")) : NULL;
        char *argv[] = { program, (char *)method, path, plugin, NULL };
        size_t len;

        CHECK_INT(wait_program(run_program(argv, NULL, NULL), LONG_MS), 0);
        text = read_file(path, &len);
        for (; *wanted; wanted++)
                CHECK_CONTAINS(text, *wanted);
        CHECK(unlink(path) == 0);
        free(text);
        free(plugin);
        free(program);
        free(path);
}

/* Also where a child is spared what exit() would do in vain. */
TEST(open_streams_are_written_at_the_end)
{
        static const char *const wanted[] = { "target\n", "handler\n", NULL };

        run_ending("spawn", false, wanted);
        run_ending("forkserver", false, wanted);
}

TEST(objects_that_a_child_loaded_are_destroyed)
{
        static const char *const wanted[] = { "target\n", "handler\n", "destructor\n", NULL };

        run_ending("spawn", true, wanted);
        run_ending("forkserver", true, wanted);
}
