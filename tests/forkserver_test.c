/* SPDX-License-Identifier: MIT */
/* The fork server: shared, prepared, killed at every moment, and gone when nobody needs it. */
#include "support/internal.h"

#include "process_help.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

static mproc_context *
forkserver(void)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context("forkserver", &ctx));
        return ctx;
}

/* --- finding it ------------------------------------------------------------------------------------------------ */

/* A newborn child bears the server's name for a moment, but has executed nothing; it may be gone already. */
static bool
is_newborn(pid_t pid)
{
        unsigned long flags = ~0ul;
        char text[512], *end;

        procfs_text(pid, 0, "stat", text, sizeof text);
        if ((end = strrchr(text, ')')))
                (void)sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags);
        return flags & 0x40; /* PF_FORKNOEXEC */
}

/* The fork servers of a session: a test and all its family have one of their own.  Returns their number. */
static int
servers_of(pid_t session, pid_t *ret_pid, bool zombies)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(process_parent(getsid(0)), &list); /* of the runner, who takes orphans */
        int found = 0;

        for (size_t i = 0; i < count; i++) {
                if (list[i].session != session || strcmp(list[i].name, "mproc-forksrv") != 0 ||
                    (list[i].state == 'Z') != zombies || is_newborn(list[i].pid))
                        continue;
                *ret_pid = list[i].pid;
                found++;
        }
        free(list);
        return found;
}

static pid_t
server_pid(void)
{
        pid_t pid = 0;

        CHECK_INT(servers_of(getsid(0), &pid, false), 1);
        return pid;
}

static void
kill_server(void)
{
        pid_t pid = server_pid();

        CHECK(kill(pid, SIGKILL) == 0);
        WAIT_UNTIL(!process_exists(pid), LONG_MS);
}

/* --- one for all ----------------------------------------------------------------------------------------------- */

/* Argument 0: how many generations more.  They all ask the same server. */
static int
bears_by_forkserver(mproc_args *args)
{
        int64_t more = mproc_args_int(args, 0);

        if (more > 0)
                return run(NULL, bears_by_forkserver, MPROC_ARGS(more - 1));
        return 33;
}

TEST(all_generations_share_one)
{
        pid_t pid = 0, again = 0;

        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        pid = server_pid();
        CHECK_INT(run(forkserver(), bears_by_forkserver, MPROC_ARGS(4)), 33);
        CHECK_INT(servers_of(getsid(0), &again, false), 1);
        CHECK_INT(again, pid);
}

static int
asks_the_server(mproc_args *args)
{
        int wanted = (int)mproc_args_int(args, 0);

        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(wanted)), wanted);
        return 0;
}

/* Children by the other methods know it, too. */
TEST(children_of_any_method_share_one)
{
        mproc_context *ctx;
        pid_t pid = 0, again = 0;

        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        pid = server_pid();
        for (const char *const *method = mproc_get_all_start_methods(); *method; method++) {
                if (under_tsan() && strcmp(*method, "fork") == 0)
                        continue;
                CHECK_OK(mproc_get_context(*method, &ctx));
                CHECK_INT(run(ctx, asks_the_server, MPROC_ARGS(5)), 0);
        }
        CHECK_INT(servers_of(getsid(0), &again, false), 1);
        CHECK_INT(again, pid);
}

static void *
start_many(void *arg)
{
        for (int i = 0; i < 10; i++)
                CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(i)), i);
        return arg;
}

TEST(threads_share_one)
{
        pthread_t threads[8];

        for (int i = 0; i < 8; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, start_many, NULL), 0);
        for (int i = 0; i < 8; i++)
                CHECK_INT(pthread_join(threads[i], NULL), 0);
        (void)server_pid();
}

/* It belongs to the process, not to the thread that happened to need it first. */
TEST(server_outlives_the_thread_that_started_it)
{
        pthread_t thread;
        pid_t pid;

        CHECK_INT(pthread_create(&thread, NULL, start_many, NULL), 0);
        CHECK_INT(pthread_join(thread, NULL), 0);
        pid = server_pid();
        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(2)), 2);
        CHECK_INT(server_pid(), pid);
}

/* --- who asked learns the truth ----------------------------------------------------------------------------------
 */

static int
ends_in_many_ways(mproc_args *args)
{
        int way = (int)mproc_args_int(args, 0);

        if (way == 0)
                exit(17);
        if (way == 1)
                _exit(18);
        if (way == 2)
                kill(getpid(), SIGKILL);
        if (way == 3) {
                signal(SIGSEGV, SIG_DFL);
                raise(SIGSEGV);
        }
        return 19;
}

static int
learns_all_ends(mproc_args *args)
{
        static const int wanted[] = { 17, 18, -SIGKILL, -SIGSEGV, 19 };

        (void)args;
        for (int way = 0; way < 5; way++) {
                mproc_report report = run_report(forkserver(), ends_in_many_ways, MPROC_ARGS(way));

                CHECK_INT(report.exitcode, wanted[way]);
                CHECK_INT(report.signal, wanted[way] < 0 ? -wanted[way] : 0);
                CHECK(report.has_usage);
                CHECK(report.maxrss_bytes > 0);
        }
        return 0;
}

TEST(nested_requester_learns_the_true_end)
{
        mproc_context *spawn;

        CHECK_INT(learns_all_ends(NULL), 0);
        CHECK_INT(run(forkserver(), learns_all_ends, MPROC_NO_ARGS), 0);
        CHECK_OK(mproc_get_context("spawn", &spawn));
        CHECK_INT(run(spawn, learns_all_ends, MPROC_NO_ARGS), 0);
}

/* --- killed ------------------------------------------------------------------------------------------------------
 */

TEST(killed_while_idle)
{
        pid_t pid = 0;

        for (int i = 0; i < 20; i++) {
                CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(i)), i);
                if (i % 2)
                        kill_server();
                else
                        CHECK(kill(server_pid(), SIGKILL) == 0); /* it may be dying while it is asked */
        }
        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        CHECK_MSG(servers_of(getsid(0), &pid, true) == 0, "dead fork servers are left, one is %d", (int)pid);
}

static void
live_through_the_servers_death(mproc_context *ctx)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p[4];
        int exitcode;

        for (int i = 0; i < 4; i++)
                p[i] = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        kill_server();
        for (int i = 0; i < 4; i++) {
                CHECK_INT(mproc_process_is_alive(p[i]), 1);
                CHECK_CODE(mproc_process_exitcode(p[i], &exitcode), MPROC_ERUNNING);
                CHECK_CODE(mproc_process_join(p[i], 10), MPROC_ETIMEDOUT);
        }
        CHECK_OK(mproc_process_kill(p[3]));
        exitcode = finish(p[3]);
        CHECK_MSG(exitcode == -SIGKILL || exitcode == MPROC_EXITCODE_UNKNOWN, "%d", exitcode);
        let_go(&ends, 3);
        for (int i = 0; i < 3; i++)
                CHECK_INT(finish(p[i]), 0);
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(3)), 3);
}

TEST(killed_with_children_running)
{
        for (int i = 0; i < 3; i++)
                live_through_the_servers_death(forkserver());
}

static int
lives_through_the_servers_death(mproc_args *args)
{
        (void)args;
        live_through_the_servers_death(forkserver());
        return 0;
}

/* Those who asked are not the server's parent: the server alone could wait for their children. */
TEST(killed_with_grandchildren_running)
{
        CHECK_INT(run(forkserver(), lives_through_the_servers_death, MPROC_NO_ARGS), 0);
}

/* A child that says its end itself is believed even where nobody else knows it. */
static int
loses_the_server(mproc_args *args)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(forkserver(), return_argument, MPROC_ARGS(44));

        (void)args;
        kill_server();
        CHECK_INT(finish(p), 44);
        close_pipe(&ends);
        return 0;
}

TEST(killed_before_it_reports)
{
        for (int i = 0; i < 5; i++)
                CHECK_INT(run(forkserver(), loses_the_server, MPROC_NO_ARGS), 0);
}

static atomic_bool killing;

static void *
kill_every_server(void *arg)
{
        unsigned seed = 1;
        atomic_uint *kills = arg;

        while (atomic_load(&killing)) {
                pid_t pid = 0;

                usleep(500 + (useconds_t)rand_r(&seed) % 4000);
                if (servers_of(getsid(0), &pid, false) > 0 && kill(pid, SIGKILL) == 0)
                        atomic_fetch_add(kills, 1);
        }
        return NULL;
}

static int
counts_itself(mproc_args *args)
{
        write_all(mproc_args_fd(args, 0), "x", 1);
        return 21;
}

/* Each start that succeeds runs its target once; each that fails, never. */
TEST(killed_while_it_starts_children, .limit_s = 120)
{
        struct pipe_ends ends = make_pipe();
        unsigned started = 0, ran = 0, refused = 0;
        atomic_uint kills = 0;
        int64_t end = monotonic_ms() + 1500;
        pthread_t thread;
        char *text;
        size_t len;

        atomic_store(&killing, true);
        CHECK_INT(pthread_create(&thread, NULL, kill_every_server, &kills), 0);
        while (monotonic_ms() < end || atomic_load(&kills) < 20) {
                mproc_process *p = create(forkserver(), counts_itself, MPROC_ARGS(mproc_fd(ends.in)));
                int r;

                while ((r = mproc_process_start(p)) == MPROC_ECHILDDIED) {
                        CHECK_CONTAINS(mproc_last_error(), "fork server");
                        refused++;
                }
                CHECK_OK(r);
                started++;
                CHECK_INT(finish(p), 21);
        }
        atomic_store(&killing, false);
        CHECK_INT(pthread_join(thread, NULL), 0);
        close(ends.in);
        text = read_to_end(ends.out, &len);
        ran = (unsigned)len;
        CHECK_MSG(ran == started, "%u starts succeeded, %u were refused, %u targets ran, %u servers were killed",
                  started, refused, ran, atomic_load(&kills));
        free(text);
        close(ends.out);
}

static void *
kill_the_stopped(void *arg)
{
        pid_t pid = *(pid_t *)arg;
        struct procfs_stat stat;
        char text[64];

        do { /* until the main thread waits: for an answer, or for somebody to take its request */
                procfs_text(getpid(), getpid(), "wchan", text, sizeof text);
                CHECK(procfs_stat(getpid(), &stat));
                sleep_ms(1);
        } while (stat.state != 'S');
        sleep_ms(20);
        CHECK(kill(pid, SIGKILL) == 0);
        return NULL;
}

TEST(killed_before_it_answers)
{
        pthread_t thread;
        pid_t pid;

        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        for (int i = 0; i < 3; i++) {
                mproc_process *p = create(forkserver(), return_argument, MPROC_ARGS(i));

                pid = server_pid();
                CHECK(kill(pid, SIGSTOP) == 0);
                CHECK_INT(pthread_create(&thread, NULL, kill_the_stopped, &pid), 0);
                CHECK_OK(mproc_process_start(p));
                CHECK_INT(finish(p), i);
                CHECK_INT(pthread_join(thread, NULL), 0);
        }
}

static void
hear(enum mproc_log_level level, const char *text, void *arg)
{
        mproc_process **list = NULL;
        size_t count = 0;

        (void)level;
        if (strstr(text, "fork server"))
                ++*(int *)arg;
        (void)mproc_get_start_method(1); /* no lock of the library is held: it may be called */
        (void)mproc_set_forkserver_preload(NULL, 0);
        (void)mproc_active_children(&list, &count);
        mproc_process_list_free(list, count);
}

TEST(its_death_is_told_to_the_log)
{
        int heard = 0;

        mproc_set_log(hear, &heard);
        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        kill_server();
        heard = 0;
        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        CHECK(heard >= 1);
        mproc_set_log(NULL, NULL);
}

/* --- signals -------------------------------------------------------------------------------------------------------
 */

static void
do_nothing(int number)
{
        (void)number;
}

/* Ctrl-C: the whole foreground group gets it. */
TEST(interrupt_of_the_group_leaves_it_alone)
{
        struct sigaction action = { .sa_handler = do_nothing };
        int numbers[] = { SIGINT, SIGQUIT };
        pid_t pid;

        CHECK(sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGQUIT, &action, NULL) == 0);
        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        pid = server_pid();
        for (int i = 0; i < 2; i++) {
                struct pipe_ends ends = make_pipe();
                mproc_process *p = start(forkserver(), tell_and_run_on, MPROC_ARGS(mproc_fd(ends.in)));

                await_byte(ends.out);
                CHECK(kill(0, numbers[i]) == 0);
                CHECK_INT(finish(p), -numbers[i]); /* its children are not deaf */
                CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(2)), 2);
                CHECK_INT(server_pid(), pid);
                close_pipe(&ends);
        }
}

TEST(terminated_server_is_replaced)
{
        pid_t pid;

        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        pid = server_pid();
        CHECK(kill(pid, SIGTERM) == 0);
        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        WAIT_UNTIL(!process_exists(pid), LONG_MS);
        CHECK(server_pid() != pid);
}

/* --- its end
 * -------------------------------------------------------------------------------------------------------- */

/* Tells its server's pid on standard output. */
HELPER(has_a_fork_server)
{
        int in = 0;
        mproc_process *p = NULL;
        bool leave = strcmp(argv[1], "leave") == 0;

        if (leave) {
                CHECK_OK(mproc_set_exit_policy(MPROC_EXIT_LEAVE));
                p = keep(start(forkserver(), wait_for_byte, MPROC_ARGS(mproc_fd(in))));
        } else {
                CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(1)), 1);
        }
        dprintf(1, "%d\n", p ? (int)mproc_process_pid(p) : 0);
        if (strcmp(argv[1], "hang") == 0)
                for (;;)
                        pause();
        return 0;
}

static void
one_server_less(pid_t session)
{
        pid_t pid = 0;

        WAIT_UNTIL(servers_of(session, &pid, false) == 0, LONG_MS);
}

TEST(ends_with_its_program)
{
        char *exits[] = { (char *)"exit", NULL }, *hangs[] = { (char *)"hang", NULL }, *line;
        int out;
        pid_t pid = run_helper("has_a_fork_server", exits, NULL, &out), server;

        line = read_line(out);
        free(line);
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        one_server_less(getsid(0));
        close(out);

        pid = run_helper("has_a_fork_server", hangs, NULL, &out);
        line = read_line(out);
        free(line);
        CHECK_INT(servers_of(getsid(0), &server, false), 1);
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK_INT(wait_program(pid, LONG_MS), -SIGKILL);
        one_server_less(getsid(0));
        close(out);
}

/* A child that is left could still ask it. */
TEST(lives_as_long_as_somebody_could_ask)
{
        char *args[] = { (char *)"leave", NULL }, *line;
        int in, out;
        pid_t pid = run_helper("has_a_fork_server", args, &in, &out), child, server = 0;

        line = read_line(out);
        child = atoi(line);
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK(process_exists(child));
        CHECK_INT(servers_of(getsid(0), &server, false), 1);
        write_all(in, "x", 1);
        WAIT_UNTIL(!process_exists(child), LONG_MS);
        one_server_less(getsid(0));
        free(line);
        close(in);
        close(out);
}

/* --- preparation
 * -------------------------------------------------------------------------------------------------------- */

static int prepared;
static pid_t prepared_in;

static int
prepare(void)
{
        prepared = prepared * 10 + 1;
        prepared_in = getpid();
        return 0;
}

static int
prepare_more(void)
{
        prepared = prepared * 10 + 2;
        return 0;
}

static int
is_prepared(mproc_args *args)
{
        CHECK_INT(prepared, mproc_args_int(args, 0));
        CHECK(prepared_in != getpid());
        return 0;
}

TEST(preload_functions_run_once_and_in_order)
{
        mproc_preload items[] = { { .function = prepare }, { .function = prepare_more }, { .function = prepare } };

        CHECK_OK(mproc_set_forkserver_preload(items, 3));
        memset(items, 0, sizeof items); /* copied */
        for (int i = 0; i < 3; i++)
                CHECK_INT(run(forkserver(), is_prepared, MPROC_ARGS(121)), 0);
        CHECK_INT(prepared, 0);
        CHECK_CODE(mproc_set_forkserver_preload(NULL, 0), -EBUSY);
        CHECK_CONTAINS(mproc_last_error(), "running");
        kill_server(); /* the next one is prepared as well */
        CHECK_INT(run(forkserver(), is_prepared, MPROC_ARGS(121)), 0);
        kill_server();
        CHECK_OK(mproc_set_forkserver_preload(NULL, 0));
        CHECK_INT(run(forkserver(), is_prepared, MPROC_ARGS(0)), 0);
}

static int
uses_the_list_of_its_parent(mproc_args *args)
{
        (void)args;
        CHECK_INT(run(forkserver(), is_prepared, MPROC_ARGS(1)), 0);
        return 0;
}

START_METHOD_TEST(preload_list_is_inherited)
{
        mproc_preload item = { .function = prepare };

        CHECK_OK(mproc_set_forkserver_preload(&item, 1));
        CHECK_INT(run(ctx, uses_the_list_of_its_parent, MPROC_NO_ARGS), 0);
}

TEST(preload_items_are_looked_at)
{
        mproc_preload neither = { NULL, NULL }, both = { "/lib/a.so", prepare }, good = { NULL, prepare };

        CHECK_CODE(mproc_set_forkserver_preload(&neither, 1), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "item 0");
        CHECK_CODE(mproc_set_forkserver_preload(&both, 1), -EINVAL);
        CHECK_CODE(mproc_set_forkserver_preload(NULL, 1), -EINVAL);
        CHECK_OK(mproc_set_forkserver_preload(&good, 1));
        CHECK_CODE(mproc_set_forkserver_preload(&both, 1), -EINVAL); /* the good list stays */
        CHECK_INT(run(forkserver(), is_prepared, MPROC_ARGS(1)), 0);
}

static int
fails_with_code(void)
{
        return -ENOSPC;
}

static int
fails_with_number(void)
{
        return 3;
}

static int
fails_in_the_library(void)
{
        return mproc_set_start_method("no such method");
}

static int
crashes(void)
{
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        return 0;
}

static int
exits(void)
{
        exit(0);
}

static void
expect_no_start(const mproc_preload *item, int code, const char *words, const char *more_words)
{
        mproc_process *p;

        CHECK_OK(mproc_set_forkserver_preload(item, 1));
        p = create(forkserver(), return_argument, MPROC_ARGS(5));
        for (int i = 0; i < 2; i++) { /* as often as one tries */
                CHECK_CODE(mproc_process_start(p), code);
                CHECK_CONTAINS(mproc_last_error(), words);
                CHECK_CONTAINS(mproc_last_error(), more_words);
        }
        CHECK_INT(mproc_process_is_alive(p), 0);
        CHECK_INT(mproc_process_pid(p), 0);
        CHECK_OK(mproc_set_forkserver_preload(NULL, 0));
        CHECK_OK(mproc_process_start(p)); /* and with a better list it works */
        CHECK_INT(finish(p), 5);
        kill_server();
}

TEST(failing_preload_fails_the_start_with_words)
{
        mproc_preload item = { .function = fails_with_code };

        expect_no_start(&item, MPROC_EPRELOAD, "preload function", "No space left");
        item.function = fails_with_number;
        expect_no_start(&item, MPROC_EPRELOAD, "preload function", "returned 3");
        item.function = fails_in_the_library;
        expect_no_start(&item, MPROC_EPRELOAD, "preload function", "'no such method'");
        item = (mproc_preload){ .path = "/nonexistent/object.so" };
        expect_no_start(&item, MPROC_EPRELOAD, "/nonexistent/object.so", "No such file");
        item.path = "/etc/passwd";
        expect_no_start(&item, MPROC_EPRELOAD, "/etc/passwd", "");
}

TEST(preload_that_ends_the_server_fails_the_start)
{
        mproc_preload item = { .function = crashes };

        expect_no_start(&item, MPROC_ECHILDDIED, "fork server", "");
        item.function = exits;
        expect_no_start(&item, MPROC_ECHILDDIED, "fork server", "");
}

/* The tracker lives already, so it is the fork server that is waited for. */
TEST(executable_that_does_not_answer_is_given_up, .limit_s = 120)
{
        char *path = path_in(temp_dir(), "script");
        mproc_context *spawn;
        mproc_process *p;

        if (!getenv("MPROC_TEST_SLOW"))
                SKIP("it takes half a minute: set MPROC_TEST_SLOW");
        write_file(path, "#!/bin/sh\nexec sleep 1000\n");
        CHECK(chmod(path, 0700) == 0);
        CHECK_OK(mproc_get_context("spawn", &spawn));
        CHECK_INT(run(spawn, return_argument, MPROC_NO_ARGS), 0);
        CHECK_OK(mproc_set_executable(path));
        p = create(forkserver(), return_argument, MPROC_ARGS(1));
        CHECK_CODE(mproc_process_start(p), MPROC_ECHILDDIED);
        CHECK_CONTAINS(mproc_last_error(), "did not answer");
        CHECK_INT(count_children(), 0);
        CHECK_OK(mproc_set_executable(NULL));
        CHECK_OK(mproc_process_start(p));
        CHECK_INT(finish(p), 1);
        free(path);
}

/* --- where its children are
 * -------------------------------------------------------------------------------------------- */

static int
is_in(mproc_args *args)
{
        char *here = getcwd(NULL, 0);

        CHECK_STR(here, mproc_args_string(args, 0));
        free(here);
        return 0;
}

TEST(working_directory_is_the_askers)
{
        const char *dir = temp_dir();
        char *here = getcwd(NULL, 0), *there = path_in(dir, "there");

        CHECK_INT(run(forkserver(), is_in, MPROC_ARGS(here)), 0);
        CHECK(mkdir(there, 0700) == 0 && chdir(there) == 0);
        CHECK_INT(run(forkserver(), is_in, MPROC_ARGS(there)), 0);
        CHECK(chdir("/") == 0);
        CHECK_INT(run(forkserver(), is_in, MPROC_ARGS("/")), 0);
        CHECK(chdir(there) == 0 && rmdir(there) == 0);
        CHECK_INT(run(forkserver(), return_argument, MPROC_ARGS(6)), 6); /* it has none: any will do */
        CHECK(chdir(here) == 0);
        free(here);
        free(there);
}
