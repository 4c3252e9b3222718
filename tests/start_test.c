/* SPDX-License-Identifier: MIT */
/* Starts: by every pair of methods, with signals set, from strange places, and against limits. */
#include "support/internal.h"

#include "process_help.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static mproc_context *
context_of(const char *method)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(method, &ctx));
        return ctx;
}

/* --- children of children ------------------------------------------------------------------------------------------
 */

/* Arguments: the methods still to be used, and how the last process is to end. */
static int
bears(mproc_args *args)
{
        mproc_arg rest[8];
        size_t count = mproc_args_count(args);

        if (count == 1)
                return (int)mproc_args_int(args, 0);
        for (size_t i = 1; i + 1 < count; i++)
                rest[i - 1] = mproc_arg_string(mproc_args_string(args, i));
        rest[count - 2] = mproc_arg_int(mproc_args_int(args, count - 1));
        return run(context_of(mproc_args_string(args, 0)), bears, ((mproc_arglist){ rest, count - 1 }));
}

START_METHOD_TEST(children_of_children_by_every_pair)
{
        for (const char *const *a = mproc_get_all_start_methods(); *a; a++)
                for (const char *const *b = mproc_get_all_start_methods(); *b; b++) {
                        if (under_tsan() && (strcmp(*a, "fork") == 0 || strcmp(*b, "fork") == 0))
                                continue;
                        CHECK_INT(run(ctx, bears, MPROC_ARGS(*a, 61)), 61);
                        CHECK_INT(run(ctx, bears, MPROC_ARGS(*a, *b, 62)), 62);
                }
}

static int
forks_many(mproc_args *args)
{
        int64_t depth = mproc_args_int(args, 0);

        if (depth > 0)
                CHECK_INT(run(NULL, forks_many, MPROC_ARGS(depth - 1)), 0);
        return 0;
}

START_METHOD_TEST(ten_generations)
{
        CHECK_INT(run(ctx, forks_many, MPROC_ARGS(10)), 0);
}

START_METHOD_TEST(fifty_at_once)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p[50], **list;
        size_t count;

        for (int i = 0; i < 50; i++)
                p[i] = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        CHECK_OK(mproc_active_children(&list, &count));
        CHECK_INT(count, 50);
        mproc_process_list_free(list, count);
        let_go(&ends, 50);
        for (int i = 49; i >= 0; i--)
                CHECK_INT(finish(p[i]), 0);
        CHECK_INT(count_children(), 0);
}

static void *
start_twenty(void *ctx)
{
        for (int i = 0; i < 20; i++)
                CHECK_INT(run(ctx, return_argument, MPROC_ARGS(i)), i);
        return NULL;
}

START_METHOD_TEST(threads_start_at_once)
{
        pthread_t threads[6];

        for (int i = 0; i < 6; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, start_twenty, ctx), 0);
        for (int i = 0; i < 6; i++)
                CHECK_INT(pthread_join(threads[i], NULL), 0);
        CHECK_INT(count_children(), 0);
}

/* --- signals
 * --------------------------------------------------------------------------------------------------------- */

static void
handle(int number)
{
        (void)number;
}

/* Nothing is caught, nothing blocked; what was ignored still is. */
static int
has_clean_signals(mproc_args *args)
{
        int ignored = (int)mproc_args_int(args, 0);
        struct sigaction action;
        sigset_t mask;

        CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
        for (int s = 1; s < 65; s++) {
                if (sigaction(s, NULL, &action) != 0)
                        continue;
                CHECK_MSG(!sigismember(&mask, s), "signal %d is blocked", s);
                if (s == ignored)
                        CHECK(action.sa_handler == SIG_IGN);
                else if (!under_asan() && !under_tsan() && !under_valgrind()) /* these catch some themselves */
                        CHECK_MSG(action.sa_handler == SIG_DFL, "signal %d is not at its default", s);
        }
        return 0;
}

static void
set_signals(int ignored)
{
        struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
        sigset_t mask;

        for (int s = 1; s < 65; s++)
                (void)sigaction(s, &action, NULL);
        CHECK(signal(ignored, SIG_IGN) != SIG_ERR);
        sigfillset(&mask);
        sigdelset(&mask, SIGSEGV);
        CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
}

START_METHOD_TEST(caught_signals_and_mask_are_reset)
{
        set_signals(SIGUSR2);
        CHECK_INT(run(ctx, has_clean_signals, MPROC_ARGS(SIGUSR2)), 0);
        CHECK_INT(run(ctx, has_clean_signals, MPROC_ARGS(SIGUSR2)), 0);
}

/* With keep_signals the mask is the starting thread's; handlers stay where there is the memory they lie in. */
static int
has_kept_signals(mproc_args *args)
{
        bool forked = strcmp(mproc_args_string(args, 0), "fork") == 0;
        struct sigaction action;
        sigset_t mask;

        CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
        for (int s = 1; s < 32; s++)
                CHECK_MSG(sigismember(&mask, s) == (s == SIGUSR1 || s == SIGTERM), "signal %d is%s blocked", s,
                          sigismember(&mask, s) ? "" : " not");
        CHECK(sigaction(SIGHUP, NULL, &action) == 0);
        CHECK(action.sa_handler == (forked ? handle : SIG_DFL));
        CHECK(sigaction(SIGUSR2, NULL, &action) == 0);
        CHECK(action.sa_handler == SIG_IGN);
        return 0;
}

START_METHOD_TEST(kept_signals_are_kept)
{
        mproc_process_opts keep = { .keep_signals = 1 };
        sigset_t mask;

        CHECK(signal(SIGHUP, handle) != SIG_ERR && signal(SIGUSR2, SIG_IGN) != SIG_ERR);
        sigemptyset(&mask);
        sigaddset(&mask, SIGUSR1);
        sigaddset(&mask, SIGTERM);
        CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
        for (int i = 0; i < 2; i++)
                CHECK_INT(finish(start_opts(ctx, has_kept_signals, MPROC_ARGS(method), &keep)), 0);
}

/* A handler of the parent's never runs in a child, however early a signal comes. */
static volatile pid_t handled_in;

static void
note_process(int number)
{
        (void)number;
        handled_in = getpid();
}

START_METHOD_TEST(early_signal_ends_the_child)
{
        CHECK(signal(SIGTERM, note_process) != SIG_ERR);
        for (int i = 0; i < 40; i++) {
                struct pipe_ends ends = make_pipe();
                mproc_process *p = start(ctx, tell_and_run_on, MPROC_ARGS(mproc_fd(ends.in)));

                usleep((useconds_t)(i * 30));
                CHECK_OK(mproc_process_terminate(p));
                CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
                CHECK_INT(finish(p), -SIGTERM);
                close_pipe(&ends);
        }
        CHECK_INT(handled_in, 0);
}

START_METHOD_TEST(stopped_child_is_alive)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));

        CHECK(kill(mproc_process_pid(p), SIGSTOP) == 0);
        CHECK_CODE(mproc_process_join(p, 30), MPROC_ETIMEDOUT);
        CHECK_INT(mproc_process_is_alive(p), 1);
        CHECK(kill(mproc_process_pid(p), SIGCONT) == 0);
        let_go(&ends, 1);
        CHECK_INT(finish(p), 0);
}

/* --- where and as what a child runs
 * ---------------------------------------------------------------------------------- */

static int
environment_is(mproc_args *args)
{
        int count = 0;

        for (char **e = environ; *e; e++)
                count++;
        CHECK_STR(getenv("MPROC_TEST_WORD"), mproc_args_string(args, 0));
        CHECK_INT(count, mproc_args_int(args, 1));
        return 0;
}

/* What is set at the start; for the fork server's children, at the server's. */
START_METHOD_TEST(environment_arrives_and_nothing_beside_it)
{
        int count = 0;

        CHECK(setenv("MPROC_TEST_WORD", "a word", 1) == 0);
        for (char **e = environ; *e; e++)
                count++;
        CHECK_INT(run(ctx, environment_is, MPROC_ARGS("a word", count)), 0);
}

START_METHOD_TEST(ps_shows_which_child_it_is)
{
        struct pipe_ends told = make_pipe();
        mproc_process_opts opts = { .name = "resizer-7" };
        mproc_process *p = start_opts(ctx, tell_and_run_on, MPROC_ARGS(mproc_fd(told.in)), &opts);
        struct procfs_stat stat;
        char *line;

        await_byte(told.out);
        line = process_cmdline(mproc_process_pid(p));
        CHECK(procfs_stat(mproc_process_pid(p), &stat));
        if (strcmp(method, "fork") != 0)
                CHECK_STR(stat.name, "resizer-7");
        if (strcmp(method, "spawn") == 0 && !under_valgrind())
                CHECK_CONTAINS(line, "resizer-7");
        CHECK_OK(mproc_process_kill(p));
        CHECK_INT(finish(p), -SIGKILL);
        close_pipe(&told);
        free(line);
}

static int
is_in(mproc_args *args)
{
        char *here = getcwd(NULL, 0);

        CHECK_STR(here ? here : "nowhere", mproc_args_string(args, 0));
        free(here);
        return 0;
}

START_METHOD_TEST(child_starts_in_its_parents_directory)
{
        char *there = path_in(temp_dir(), "there");
        char *here = getcwd(NULL, 0);

        CHECK(mkdir(there, 0700) == 0 && chdir(there) == 0);
        CHECK_INT(run(ctx, is_in, MPROC_ARGS(there)), 0);
        CHECK(rmdir(there) == 0);
        if (strcmp(method, "forkserver") != 0)
                CHECK_INT(run(ctx, is_in, MPROC_ARGS("nowhere")),
                          0); /* it has been removed, and can still be inherited */
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(3)), 3);
        CHECK(chdir(here) == 0);
        free(here);
        free(there);
}

/* Whoever has come into a directory need not be able to come there again. */
HELPER(stands_where_it_could_not_go)
{
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        CHECK_INT(run(context_of(argv[1]), return_argument, MPROC_ARGS(4)), 4);
        return 0;
}

START_METHOD_TEST(directory_out_of_reach_can_be_inherited)
{
        char *args[] = { (char *)method, NULL }, *closed, *inner;
        pid_t pid;

        if (geteuid() != 0)
                SKIP("only root can give up its rights");
        if (strcmp(method, "forkserver") == 0)
                SKIP("a fork server is asked by the directory's name");
        if (!anybody_can_reach(self_path()) || access("/dev/shm", W_OK) != 0)
                SKIP("others cannot run this program");
        closed = path_in(temp_dir(), "closed");
        inner = path_in(closed, "inner");
        CHECK(mkdir(closed, 0700) == 0 && mkdir(inner, 0755) == 0 && chdir(inner) == 0);
        pid = run_helper("stands_where_it_could_not_go", args, NULL, NULL);
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK(chdir("/") == 0);
        free(inner);
        free(closed);
}

static int
closes_everything(mproc_args *args)
{
        for (int fd = 3; fd < 256; fd++)
                close(fd);
        return (int)mproc_args_int(args, 0);
}

/* As daemons do.  Its channel to us goes, too; its status does not. */
START_METHOD_TEST(child_may_close_everything)
{
        mproc_report report = run_report(ctx, closes_everything, MPROC_ARGS(46));

        CHECK_INT(report.exitcode, 46);
        CHECK_INT(report.error, 0);
}

/* Into every socket that is open here, one of which is the channel to the parent. */
static int
talks_nonsense(mproc_args *args)
{
        unsigned seed = (unsigned)mproc_args_int(args, 0);
        unsigned char data[2048];

        for (int i = 0; i < 60; i++) {
                size_t len = (size_t)rand_r(&seed) % sizeof data;

                for (size_t at = 0; at < len; at++)
                        data[at] = (unsigned char)rand_r(&seed);
                if (i % 3 == 0) { /* as if it were a message: kind, then whatever */
                        uint32_t kind = 0x6d700001 + (uint32_t)rand_r(&seed) % 6;

                        memcpy(data, &kind, sizeof kind);
                }
                if (i % 10 == 0)
                        len = 0;
                for (int fd = 3; fd < 16; fd++)
                        (void)send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        return 48;
}

/* A child that has gone mad can spoil what is said of it, and nothing else. */
START_METHOD_TEST(child_may_talk_nonsense)
{
        mproc_process_opts tied = { .die_with_parent = 1 }; /* has a channel in any case */

        for (int i = 0; i < 10; i++) {
                mproc_process *p = start_opts(ctx, talks_nonsense, MPROC_ARGS(i), &tied);
                mproc_report report;

                CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_process_report(p, &report));
                CHECK(memchr(report.text, 0, sizeof report.text) && memchr(report.step, 0, sizeof report.step));
                CHECK_INT(report.exitcode, 48);
                mproc_process_free(p);
        }
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(5)), 5);
}

static int
executes(mproc_args *args)
{
        execl("/bin/sh", "sh", "-c", mproc_args_string(args, 0), NULL);
        return 99;
}

START_METHOD_TEST(child_may_execute_another_program)
{
        mproc_report report = run_report(ctx, executes, MPROC_ARGS("exit 5"));

        CHECK_INT(report.exitcode, 5);
        CHECK_STR(report.text, "");
        report = run_report(ctx, executes, MPROC_ARGS("kill -15 $$"));
        CHECK_INT(report.exitcode, -SIGTERM);
}

static int
becomes_a_leader(mproc_args *args)
{
        (void)args;
        CHECK(setsid() > 0);
        if (fork() == 0)
                _exit(0);
        return 47;
}

START_METHOD_TEST(child_may_leave_the_session)
{
        CHECK_INT(run(ctx, becomes_a_leader, MPROC_NO_ARGS), 47);
}

/* --- the log
 * ---------------------------------------------------------------------------------------------------------- */

struct heard {
        mproc_process *p;
        int warnings, lines;
};

/* It may call whatever it likes, even of the very process that is being started. */
static void
hear(enum mproc_log_level level, const char *text, void *arg)
{
        struct heard *h = arg;
        mproc_process **list;
        size_t count;

        h->lines++;
        h->warnings += level == MPROC_LOG_WARNING;
        CHECK(*text && !strchr(text, '\n'));
        CHECK(mproc_process_name(h->p) != NULL);
        (void)mproc_process_is_alive(h->p);
        (void)mproc_get_start_method(1);
        CHECK_OK(mproc_active_children(&list, &count));
        mproc_process_list_free(list, count);
}

static void *
sleep_until_told(void *fd)
{
        char byte;

        (void)!read(*(int *)fd, &byte, 1);
        return NULL;
}

TEST(fork_with_threads_is_warned_of_once)
{
        struct pipe_ends ends = make_pipe();
        mproc_context *ctx = context_of("fork");
        struct heard heard = { NULL, 0, 0 };
        pthread_t thread;

        if (under_tsan())
                SKIP("ThreadSanitizer has a thread of its own");
        if (portable_build())
                SKIP("POSIX does not tell how many threads a process has");
        mproc_set_log(hear, &heard);
        heard.p = create(ctx, return_argument, MPROC_ARGS(1));
        CHECK_OK(mproc_process_start(heard.p));
        CHECK_OK(mproc_process_join(heard.p, MPROC_FOREVER));
        mproc_process_free(heard.p);
        CHECK_INT(heard.warnings, 0);
        CHECK_INT(pthread_create(&thread, NULL, sleep_until_told, &ends.out), 0);
        for (int i = 0; i < 5; i++) {
                heard.p = create(ctx, return_argument, MPROC_ARGS(1));
                CHECK_OK(mproc_process_start(heard.p));
                CHECK_OK(mproc_process_join(heard.p, MPROC_FOREVER));
                mproc_process_free(heard.p);
                CHECK_INT(heard.warnings, 1);
        }
        mproc_set_log(NULL, NULL);
        write_all(ends.in, "x", 1);
        CHECK_INT(pthread_join(thread, NULL), 0);
        close_pipe(&ends);
}

START_METHOD_TEST(log_tells_of_starts)
{
        struct heard heard = { NULL, 0, 0 };

        mproc_set_log(hear, &heard);
        heard.p = create(ctx, return_argument, MPROC_ARGS(1));
        CHECK_OK(mproc_process_start(heard.p));
        CHECK_OK(mproc_process_join(heard.p, MPROC_FOREVER));
        mproc_process_free(heard.p);
        mproc_set_log(NULL, NULL);
        CHECK(heard.lines > 0);
        CHECK_INT(heard.warnings, 0);
}

TEST(library_says_nothing_by_itself)
{
        struct pipe_ends ends = make_pipe();
        int saved = dup(2);
        char *text;

        CHECK(dup2(ends.in, 2) == 2);
        for (const char *const *method = mproc_get_all_start_methods(); *method; method++) {
                mproc_process *p = create(context_of(*method), return_argument, MPROC_ARGS("not a number"));
                int r = mproc_process_start(p);

                if (r == 0)
                        (void)mproc_process_join(p, MPROC_FOREVER);
                mproc_process_free(p);
        }
        CHECK(dup2(saved, 2) == 2);
        close(saved);
        close(ends.in);
        CHECK(fcntl(ends.out, F_SETFL, O_NONBLOCK) == 0); /* the fork server keeps it open */
        text = calloc(1, 4096);
        (void)!read(ends.out, text, 4095);
        CHECK_STR(text, "");
        free(text);
        close(ends.out);
}

/* --- failures
 * --------------------------------------------------------------------------------------------------------- */

/* A start that fails leaves nothing, and the object may try again. */
static void
expect_failure(mproc_context *ctx, const char *executable, int code, const char *words, const char *more)
{
        mproc_process *p = create(ctx, return_argument, MPROC_ARGS(8, mproc_fd(0)));
        int before = count_fds(), children = count_children();

        CHECK_OK(mproc_set_executable(executable));
        for (int i = 0; i < 2; i++) {
                CHECK_CODE(mproc_process_start(p), code);
                CHECK_CONTAINS(mproc_last_error(), words);
                CHECK_CONTAINS(mproc_last_error(), more);
                CHECK_INT(count_fds(), before);
                CHECK_INT(count_children(), children);
                CHECK_INT(mproc_process_is_alive(p), 0);
                CHECK_CODE(mproc_process_join(p, MPROC_NOWAIT), MPROC_ENOTSTARTED);
        }
        CHECK_OK(mproc_set_executable(NULL));
        CHECK_OK(mproc_process_start(p));
        CHECK_INT(finish(p), 8);
}

static void
fail_executables(mproc_context *ctx)
{
        char *garbage = path_in(temp_dir(), "garbage"), *text = path_in(temp_dir(), "text");

        write_file(garbage, "this is no program");
        CHECK(chmod(garbage, 0700) == 0);
        write_file(text, "#!/nonexistent/shell\n");
        CHECK(chmod(text, 0700) == 0);
        expect_failure(ctx, "/nonexistent/program", -ENOENT, "exec", "/nonexistent/program");
        expect_failure(ctx, "/etc", -EACCES, "exec", "/etc");
        expect_failure(ctx, garbage, -ENOEXEC, "exec", garbage);
        expect_failure(ctx, text, -ENOENT, "exec", text);
        free(garbage);
        free(text);
}

TEST(wrong_executable_is_told_by_spawn)
{
        CHECK_INT(run(context_of("spawn"), return_argument, MPROC_NO_ARGS), 0); /* the tracker is there */
        fail_executables(context_of("spawn"));
}

/* Each case with a fork server yet to be started. */
HELPER(starts_wrong_executable)
{
        mproc_context *ctx = context_of("forkserver");

        CHECK_INT(run(context_of("spawn"), return_argument, MPROC_NO_ARGS), 0);
        expect_failure(ctx, argv[1], -atoi(argv[2]), "fork server", argv[1]);
        return 0;
}

static void
expect_helper(const char *helper, const char *a, const char *b)
{
        char *args[] = { (char *)a, (char *)b, NULL };

        CHECK_INT(wait_program(run_helper(helper, args, NULL, NULL), 2 * LONG_MS), 0);
}

TEST(wrong_executable_is_told_by_forkserver)
{
        char *garbage = path_in(temp_dir(), "garbage"), *number = text_format("%d", ENOEXEC);
        char *missing = text_format("%d", ENOENT), *denied = text_format("%d", EACCES);

        write_file(garbage, "this is no program");
        CHECK(chmod(garbage, 0700) == 0);
        expect_helper("starts_wrong_executable", "/nonexistent/program", missing);
        expect_helper("starts_wrong_executable", "/etc", denied);
        expect_helper("starts_wrong_executable", garbage, number);
        free(garbage);
        free(number);
        free(missing);
        free(denied);
}

/* The very first start fails: there is no tracker either. */
HELPER(starts_first_with_wrong_executable)
{
        mproc_process *p = create(context_of(argv[1]), return_argument, MPROC_ARGS(8));
        int r;

        CHECK_OK(mproc_set_executable(argv[2]));
        for (int i = 0; i < 2; i++) {
                r = mproc_process_start(p);
                CHECK_MSG(r < 0, "it started");
                CHECK(*mproc_last_error());
        }
        CHECK_OK(mproc_set_executable(NULL));
        CHECK_OK(mproc_process_start(p));
        CHECK_INT(finish(p), 8);
        return 0;
}

START_METHOD_TEST(first_start_with_a_wrong_executable)
{
        if (strcmp(method, "fork") == 0)
                SKIP("a fork needs no executable");
        expect_helper("starts_first_with_wrong_executable", method, "/nonexistent/program");
        expect_helper("starts_first_with_wrong_executable", method, "/bin/false");
        expect_helper("starts_first_with_wrong_executable", method, "/bin/true");
        expect_helper("starts_first_with_wrong_executable", method, "/bin/sleep");
}

/* With every number of free descriptors from none on, until it works: an error with words, and nothing left. */
HELPER(starts_at_the_descriptor_limit)
{
        mproc_context *ctx = context_of(argv[1]);
        struct rlimit limit;
        int failures = 0, before, r = -1;
        mproc_process *p;

        if (strcmp(argv[2], "warm") == 0)
                CHECK_INT(run(ctx, return_argument, MPROC_NO_ARGS), 0);
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        p = create(ctx, return_argument, MPROC_ARGS(8, mproc_fd(0)));
        before = count_fds();
        for (rlim_t n = (rlim_t)before; n < (rlim_t)before + 40; n++) {
                limit.rlim_cur = n;
                CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
                if ((r = mproc_process_start(p)) == 0)
                        break;
                failures++;
                CHECK_MSG(r == -EMFILE || r == MPROC_ECHILDDIED || r == MPROC_EPROGRAM || r == -ETOOMANYREFS,
                          "%d (%s): %s", r, mproc_error_name(r), mproc_last_error());
                CHECK(*mproc_last_error());
                limit.rlim_cur = limit.rlim_max;
                CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
                CHECK_INT(count_children(), 0);
                if (strcmp(argv[2], "warm") == 0)
                        CHECK_INT(count_fds(), before);
        }
        CHECK_OK(r);
        limit.rlim_cur = limit.rlim_max;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        CHECK_OK(mproc_process_exitcode(p, &r));
        mproc_process_free(p);
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(9)), 9);
        CHECK_MSG(failures > 0 || strcmp(argv[1], "fork") == 0, "no start failed");
        return 0;
}

START_METHOD_TEST(descriptor_limit_is_told)
{
        if (under_valgrind())
                SKIP("valgrind has descriptors of its own");
        expect_helper("starts_at_the_descriptor_limit", method, "warm");
        expect_helper("starts_at_the_descriptor_limit", method, "cold");
}

/* As a user of no rights, and nobody else's: the limit counts all processes of a user. */
HELPER(starts_at_the_process_limit)
{
        struct rlimit none = { 0, 0 }, old;
        mproc_context *ctx = context_of(argv[1]);
        mproc_process *p;
        int before;

        CHECK(setgid(64123) == 0 && setuid(64123) == 0);
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(1)), 1);
        p = create(ctx, return_argument, MPROC_ARGS(8, mproc_fd(0)));
        before = count_fds();
        CHECK(getrlimit(RLIMIT_NPROC, &old) == 0);
        none.rlim_max = old.rlim_max;
        if (strcmp(argv[1], "forkserver") == 0) { /* it is the server that forks */
                pid_t pid = 0;
                struct procfs_stat *list;
                size_t count = procfs_descendants(getpid(), &list);

                for (size_t i = 0; i < count; i++)
                        if (strcmp(list[i].name, "mproc-forksrv") == 0)
                                pid = list[i].pid;
                free(list);
                CHECK(pid > 0 && prlimit(pid, RLIMIT_NPROC, &none, NULL) == 0);
        }
        CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
        for (int i = 0; i < 2; i++) {
                CHECK_CODE(mproc_process_start(p), -EAGAIN);
                CHECK_CONTAINS(mproc_last_error(), strcmp(argv[1], "spawn") == 0 && !portable_build() ? "clone" : "fork");
                CHECK_INT(count_fds(), before);
                CHECK_INT(count_children(), 0);
        }
        CHECK(setrlimit(RLIMIT_NPROC, &old) == 0);
        if (strcmp(argv[1], "forkserver") != 0) {
                CHECK_OK(mproc_process_start(p));
                CHECK_INT(finish(p), 8);
        } else {
                mproc_process_free(p);
        }
        return 0;
}

START_METHOD_TEST(process_limit_is_told)
{
        if (geteuid() != 0)
                SKIP("only root can become a user without processes");
        if (!anybody_can_reach(self_path()) || access("/dev/shm", W_OK) != 0)
                SKIP("others cannot run this program");
        if (under_valgrind() || under_tsan() || under_asan())
                SKIP("the watcher needs processes, or memory, of its own");
        expect_helper("starts_at_the_process_limit", method, NULL);
}

/* With ever more memory to be had, until it works. */
HELPER(starts_at_the_memory_limit)
{
        mproc_context *ctx = context_of(argv[1]);
        struct rlimit limit, old;
        unsigned long pages = 0;
        char text[128], *data = calloc(1, 8 << 20);
        int r = -1, before, failures = 0;
        mproc_process *p;

        CHECK_INT(run(ctx, return_argument, MPROC_NO_ARGS), 0);
        p = create(ctx, return_argument, MPROC_ARGS(8, mproc_bytes(data, 8 << 20), mproc_fd(0)));
        free(data);
        before = count_fds();
        CHECK(getrlimit(RLIMIT_AS, &old) == 0);
        limit = old;
        procfs_text(getpid(), 0, "statm", text, sizeof text);
        CHECK(sscanf(text, "%lu", &pages) == 1);
        for (int i = 0; i < 400 && r != 0; i++) {
                limit.rlim_cur = pages * 4096 + (rlim_t)i * (256 << 10);
                CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
                r = mproc_process_start(p);
                CHECK(setrlimit(RLIMIT_AS, &old) == 0);
                failures += r != 0;
                if (r != 0) {
                        CHECK_MSG(r == -ENOMEM || r == -EAGAIN, "%d (%s): %s", r, mproc_error_name(r),
                                  mproc_last_error());
                        CHECK(*mproc_last_error());
                        CHECK_INT(count_fds(), before);
                        CHECK_INT(count_children(), 0);
                }
        }
        CHECK_OK(r);
        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        mproc_process_free(p);
        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(9)), 9);
        return failures;
}

START_METHOD_TEST(memory_limit_is_told)
{
        char *args[] = { (char *)method, NULL };
        int exitcode;

        if (under_asan() || under_tsan() || under_valgrind())
                SKIP("the watcher takes all the memory there is");
        exitcode = wait_program(run_helper("starts_at_the_memory_limit", args, NULL, NULL), LONG_MS);
        CHECK_MSG(exitcode == 0 || exitcode > 1, "%d",
                  exitcode); /* how many starts failed; 1 is what a CHECK ends with */
}

/* Without /proc there is no executable to be executed again. */
HELPER(has_no_proc)
{
        mproc_context *ctx = context_of(argv[1]);
        mproc_process *p;
        int r;

        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(1)), 1);
        CHECK(chroot(argv[2]) == 0 && chdir("/") == 0);
        p = create(ctx, return_argument, MPROC_ARGS(5));
        r = mproc_process_start(p);
        if (strcmp(argv[1], "spawn") == 0) {
                CHECK_CODE(r, -ENOENT);
                CHECK_CONTAINS(mproc_last_error(), "exec");
                mproc_process_free(p);
                return 0;
        }
        CHECK_OK(r);
        (void)mproc_process_join(p, MPROC_FOREVER);
        CHECK_OK(mproc_process_exitcode(p, &r));
        mproc_process_free(p);
        return r == 5 || strcmp(argv[1], "forkserver") == 0 ? 0 : 1; /* its directory may not be there */
}

START_METHOD_TEST(changed_root_is_an_error_at_most)
{
        if (geteuid() != 0)
                SKIP("only root can change its root");
        if (under_asan() || under_tsan() || under_valgrind())
                SKIP("the watcher needs /proc");
        expect_helper("has_no_proc", method, temp_dir());
}
