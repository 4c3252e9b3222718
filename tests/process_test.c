/* SPDX-License-Identifier: MIT */
/* The process object: every function of it, and every error that its comments promise. */
#include "process_help.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

#define THREADS 6

/* --- create -------------------------------------------------------------------------------------------- */

TEST(create_wants_a_target)
{
        mproc_process *p = NULL;

        CHECK_CODE(mproc_process_create(NULL, NULL, MPROC_NO_ARGS, &p), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "target");
        CHECK(p == NULL);
}

TEST(create_looks_at_its_options)
{
        mproc_process *p = NULL;
        mproc_process_opts wrong[4] = {
                { .daemon = 2 }, { .die_with_parent = -2 }, { .keep_signals = 7 }, { .inherit_connections = 2 }
        };

        for (int i = 0; i < 4; i++) {
                CHECK_CODE(mproc_process_create_opts(NULL, return_argument, MPROC_NO_ARGS, &wrong[i], &p), -EINVAL);
                CHECK(p == NULL);
        }
        CHECK_CONTAINS(mproc_last_error(), "inherit_connections");
        CHECK_OK(mproc_process_create_opts(NULL, return_argument, MPROC_NO_ARGS, NULL, &p));
        mproc_process_free(p);
}

TEST(create_looks_at_descriptors)
{
        mproc_process *p = NULL;

        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(1, mproc_fd(-1)), &p), -EBADF);
        CHECK_CONTAINS(mproc_last_error(), "argument 1");
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(mproc_fd(999)), &p), -EBADF);
        CHECK_CONTAINS(mproc_last_error(), "999");
        CHECK(p == NULL);
}

TEST(create_tells_of_the_descriptor_limit)
{
        struct rlimit limit = { (rlim_t)count_fds() + 1, (rlim_t)count_fds() + 1 };
        mproc_process *p = NULL;

        if (under_valgrind())
                SKIP("valgrind has descriptors, and a limit, of its own");
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(mproc_fd(0), mproc_fd(1)), &p), -EMFILE);
        CHECK_CONTAINS(mproc_last_error(), "argument 1");
        CHECK(p == NULL);
}

static int strange;

TEST(create_looks_at_handles)
{
        mproc_process *p = NULL;
        mproc_connection *a, *b;

        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS((mproc_connection *)&strange), &p),
                   MPROC_EHANDLE);
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS((mproc_connection *)NULL), &p),
                   MPROC_EHANDLE);
        CHECK_OK(mproc_pipe_create(NULL, &a, &b));
        CHECK_OK(mproc_connection_close(a));
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(a), &p), MPROC_ECLOSED);
        mproc_connection_free(a);
        mproc_connection_free(b);
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(b), &p), MPROC_EHANDLE);
        CHECK(p == NULL);
}

TEST(create_looks_at_the_list_of_arguments)
{
        mproc_process *p = NULL;
        mproc_arg none = { .type = MPROC_ARG_NONE }, wild = { .type = (mproc_arg_type)77 };
        mproc_arglist nowhere = { NULL, 3 };

        CHECK_CODE(mproc_process_create(NULL, return_argument, nowhere, &p), -EINVAL);
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(none), &p), -EINVAL);
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(1, wild), &p), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "argument 1");
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS((char *)NULL), &p), -EINVAL);
        CHECK_CODE(mproc_process_create(NULL, return_argument, MPROC_ARGS(mproc_bytes(NULL, 1)), &p), -EINVAL);
        CHECK(p == NULL);
}

/* --- before the start ------------------------------------------------------------------------------------ */

START_METHOD_TEST(unstarted_process)
{
        mproc_process *p = create(ctx, return_argument, MPROC_NO_ARGS);
        mproc_report report;
        int exitcode = 77;

        CHECK_INT(mproc_process_is_alive(p), 0);
        CHECK_INT(mproc_process_pid(p), 0);
        CHECK_CODE(mproc_process_join(p, MPROC_FOREVER), MPROC_ENOTSTARTED);
        CHECK_CONTAINS(mproc_last_error(), "Process-1");
        CHECK_CODE(mproc_process_exitcode(p, &exitcode), MPROC_ENOTSTARTED);
        CHECK_CODE(mproc_process_report(p, &report), MPROC_ENOTSTARTED);
        CHECK_CODE(mproc_process_sentinel(p), MPROC_ENOTSTARTED);
        CHECK_CODE(mproc_process_terminate(p), MPROC_ENOTSTARTED);
        CHECK_CODE(mproc_process_kill(p), MPROC_ENOTSTARTED);
        CHECK_CODE(mproc_process_interrupt(p), MPROC_ENOTSTARTED);
        CHECK_STR(mproc_process_error(p), "");
        CHECK_INT(exitcode, 77);
        CHECK_OK(mproc_process_close(p));
        CHECK_CODE(mproc_process_start(p), MPROC_ECLOSED);
        mproc_process_free(p);
}

/* --- the whole life ---------------------------------------------------------------------------------------- */

START_METHOD_TEST(running_process)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        mproc_report report = { .exitcode = 77 };
        int exitcode = 77;

        CHECK(mproc_process_pid(p) > 0);
        CHECK(process_exists(mproc_process_pid(p)));
        CHECK_INT(mproc_process_is_alive(p), 1);
        CHECK_CODE(mproc_process_start(p), MPROC_ESTARTED);
        CHECK_CONTAINS(mproc_last_error(), "Process-1");
        CHECK_CODE(mproc_process_exitcode(p, &exitcode), MPROC_ERUNNING);
        CHECK_CODE(mproc_process_report(p, &report), MPROC_ERUNNING);
        CHECK_STR(mproc_process_error(p), "");
        CHECK_CODE(mproc_process_close(p), MPROC_ERUNNING);
        CHECK_CONTAINS(mproc_last_error(), "join or terminate");
        CHECK_CODE(mproc_process_set_daemon(p, 1), MPROC_ESTARTED);
        CHECK_CODE(mproc_process_join(p, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_process_join(p, 20), MPROC_ETIMEDOUT);
        CHECK_INT(exitcode, 77);
        CHECK_INT(report.exitcode, 77);
        let_go(&ends, 1);
        CHECK_INT(finish(p), 0);
}

START_METHOD_TEST(ended_process)
{
        mproc_process *p = start(ctx, return_argument, MPROC_ARGS(3));
        pid_t pid = mproc_process_pid(p);
        int exitcode = 77;

        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        CHECK_OK(mproc_process_join(p, MPROC_NOWAIT));
        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        CHECK_INT(mproc_process_is_alive(p), 0);
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        CHECK_INT(exitcode, 3);
        CHECK_INT(mproc_process_pid(p), pid);
        CHECK_STR(mproc_process_error(p), "");
        CHECK_CODE(mproc_process_start(p), MPROC_ESTARTED);
        CHECK_OK(mproc_process_terminate(p));
        CHECK_OK(mproc_process_kill(p));
        CHECK_OK(mproc_process_interrupt(p));
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        CHECK_INT(exitcode, 3);
        mproc_process_free(p);
}

START_METHOD_TEST(closed_process)
{
        mproc_process *p = start(ctx, return_argument, MPROC_ARGS(3));
        mproc_report report;
        int exitcode = 77;

        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        CHECK_OK(mproc_process_close(p));
        CHECK_OK(mproc_process_close(p));
        CHECK_CODE(mproc_process_join(p, MPROC_FOREVER), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_is_alive(p), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_exitcode(p, &exitcode), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_report(p, &report), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_sentinel(p), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_terminate(p), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_kill(p), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_interrupt(p), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_start(p), MPROC_ECLOSED);
        CHECK_INT(exitcode, 77);
        CHECK_STR(mproc_process_name(p), "Process-1");
        CHECK_INT(mproc_process_daemon(p), 0);
        mproc_process_free(p);
}

TEST(free_takes_null_and_keeps_errno)
{
        mproc_process *p = create(NULL, return_argument, MPROC_NO_ARGS);

        errno = ELOOP;
        mproc_process_free(NULL);
        mproc_process_free(p);
        CHECK_INT(errno, ELOOP);
        mproc_process_list_free(NULL, 0);
}

/* It goes on, and is reaped without its handle. */
START_METHOD_TEST(freed_process_runs_on)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out))), **list;
        pid_t pid = mproc_process_pid(p);
        size_t count;

        mproc_process_free(p);
        CHECK(process_exists(pid));
        CHECK_OK(mproc_active_children(&list, &count));
        CHECK_INT(count, 1);
        CHECK_INT(mproc_process_pid(list[0]), pid);
        let_go(&ends, 1);
        CHECK_OK(mproc_process_join(list[0], MPROC_FOREVER));
        mproc_process_list_free(list, count);
        CHECK_INT(count_children(), 0);
}

START_METHOD_TEST(freed_process_is_reaped_by_the_next_start)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        pid_t pid = mproc_process_pid(p);

        mproc_process_free(p);
        let_go(&ends, 1);
        WAIT_UNTIL(!process_exists(pid), LONG_MS);
        CHECK_INT(run(ctx, return_argument, MPROC_NO_ARGS), 0);
        WAIT_UNTIL(!process_is_zombie(pid), LONG_MS);
        CHECK_INT(count_children(), 0);
}

/* --- time ------------------------------------------------------------------------------------------------ */

START_METHOD_TEST(join_waits_as_long_as_it_was_told)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        int64_t begin = monotonic_ms(), took;

        CHECK_CODE(mproc_process_join(p, 150), MPROC_ETIMEDOUT);
        took = monotonic_ms() - begin;
        CHECK_MSG(took >= 149 && took < scaled_ms(10000), "took %lld ms", (long long)took);
        CHECK_CONTAINS(mproc_last_error(), "150 ms");
        let_go(&ends, 1);
        CHECK_OK(mproc_process_join(p, INT64_MAX));
        mproc_process_free(p);
}

static void
on_alarm(int number)
{
        (void)number;
}

START_METHOD_TEST(signals_do_not_end_a_join)
{
        struct sigaction action = { .sa_handler = on_alarm };
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        timer_t timer;
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
        struct itimerspec every = { { 0, 2000000 }, { 0, 2000000 } };
        int64_t begin;

        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &every, NULL) == 0);
        begin = monotonic_ms();
        CHECK_CODE(mproc_process_join(p, 100), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - begin >= 99);
        let_go(&ends, 1);
        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        timer_delete(timer);
        mproc_process_free(p);
}

struct joining {
        mproc_process *p;
        int64_t timeout_ms;
        int result, exitcode;
};

static void *
join_it(void *arg)
{
        struct joining *j = arg;

        j->result = mproc_process_join(j->p, j->timeout_ms);
        if (j->result == 0)
                j->result = mproc_process_exitcode(j->p, &j->exitcode);
        return NULL;
}

START_METHOD_TEST(threads_join_one_process)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        struct joining joining[THREADS];
        pthread_t threads[THREADS];

        for (int i = 0; i < THREADS; i++) {
                joining[i] = (struct joining){ p, i % 2 ? MPROC_FOREVER : scaled_ms(LONG_MS), -1, -1 };
                CHECK_INT(pthread_create(&threads[i], NULL, join_it, &joining[i]), 0);
        }
        CHECK_OK(mproc_process_kill(p));
        for (int i = 0; i < THREADS; i++) {
                CHECK_INT(pthread_join(threads[i], NULL), 0);
                CHECK_OK(joining[i].result);
                CHECK_INT(joining[i].exitcode, -SIGKILL);
        }
        mproc_process_free(p);
        close_pipe(&ends);
}

/* One thread closes the handle at the moment the process ends: the others are let go, joined or told. */
START_METHOD_TEST(close_lets_joining_threads_go)
{
        for (int round = 0; round < 20; round++) {
                struct pipe_ends ends = make_pipe();
                mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
                struct joining joining[3];
                pthread_t threads[3];
                int r;

                for (int i = 0; i < 3; i++) {
                        joining[i] = (struct joining){ p, i == 0 ? scaled_ms(LONG_MS) : MPROC_FOREVER, -1, 0 };
                        CHECK_INT(pthread_create(&threads[i], NULL, join_it, &joining[i]), 0);
                }
                let_go(&ends, 1);
                while ((r = mproc_process_close(p)) == MPROC_ERUNNING)
                        ;
                CHECK_OK(r);
                for (int i = 0; i < 3; i++) {
                        CHECK_INT(pthread_join(threads[i], NULL), 0);
                        CHECK(joining[i].result == 0 || joining[i].result == MPROC_ECLOSED);
                }
                mproc_process_free(p);
        }
}

static void *
start_it(void *arg)
{
        struct joining *j = arg;

        j->result = mproc_process_start(j->p);
        return NULL;
}

START_METHOD_TEST(one_thread_alone_starts_a_process)
{
        mproc_process *p = create(ctx, return_argument, MPROC_ARGS(9));
        struct joining joining[THREADS];
        pthread_t threads[THREADS];
        int won = 0;

        for (int i = 0; i < THREADS; i++) {
                joining[i] = (struct joining){ .p = p };
                CHECK_INT(pthread_create(&threads[i], NULL, start_it, &joining[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
                CHECK_INT(pthread_join(threads[i], NULL), 0);
                CHECK(joining[i].result == 0 || joining[i].result == MPROC_ESTARTED);
                won += joining[i].result == 0;
        }
        CHECK_INT(won, 1);
        CHECK_INT(finish(p), 9);
}

/* --- sentinel -------------------------------------------------------------------------------------------- */

static bool
sentinel_fires(mproc_process *p, int64_t timeout_ms)
{
        struct pollfd pfd = { .fd = mproc_process_sentinel(p), .events = POLLIN };

        CHECK(pfd.fd >= 0);
        return poll(&pfd, 1, (int)timeout_ms) > 0 && (pfd.revents & (POLLIN | POLLHUP));
}

START_METHOD_TEST(sentinel_fires_at_the_end)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));

        if (!without_pidfds()) /* other sentinels fire for the child's messages, too */
                CHECK(!sentinel_fires(p, 20));
        let_go(&ends, 1);
        CHECK(sentinel_fires(p, scaled_ms(LONG_MS)));
        CHECK(sentinel_fires(p, 0));
        CHECK_OK(mproc_process_join(p,
                                    without_pidfds() ? MPROC_FOREVER : MPROC_NOWAIT)); /* it never fires too early */
        CHECK(sentinel_fires(p, without_pidfds() ? scaled_ms(LONG_MS) : 0)); /* the word of the end came before it */
        mproc_process_free(p);
}

/* A grandchild, or a child forked meanwhile, that lives longer does not hold it back. */
static int
leave_a_grandchild(mproc_args *args)
{
        if (fork() == 0) {
                (void)wait_for_byte(args);
                _exit(0);
        }
        return 4;
}

START_METHOD_TEST(sentinel_does_not_wait_for_grandchildren)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, leave_a_grandchild, MPROC_ARGS(mproc_fd(ends.out)));
        mproc_process *other = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));

        CHECK(sentinel_fires(p, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
        CHECK_INT(finish(p), 4);
        CHECK_OK(mproc_process_kill(other));
        CHECK_INT(finish(other), -SIGKILL);
        let_go(&ends, 1);
}

/* --- signals --------------------------------------------------------------------------------------------- */

START_METHOD_TEST(signals_end_a_process)
{
        int (*send[3])(mproc_process *) = { mproc_process_terminate, mproc_process_kill, mproc_process_interrupt };
        int number[3] = { SIGTERM, SIGKILL, SIGINT };

        for (int i = 0; i < 3; i++) {
                struct pipe_ends ends = make_pipe();
                mproc_process *p = start(ctx, tell_and_run_on, MPROC_ARGS(mproc_fd(ends.in)));
                mproc_report report;

                await_byte(ends.out);
                CHECK_OK(send[i](p));
                CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
                CHECK_OK(mproc_process_report(p, &report));
                CHECK_INT(report.exitcode, -number[i]);
                CHECK_INT(report.signal, number[i]);
                CHECK_INT(report.core_dumped, 0);
                CHECK_OK(send[i](p));
                mproc_process_free(p);
                close_pipe(&ends);
        }
}

/* --- what it was ----------------------------------------------------------------------------------------- */

static int
crash(mproc_args *args)
{
        struct rlimit none = { 0, 0 };

        (void)setrlimit(RLIMIT_CORE, &none);
        signal((int)mproc_args_int(args, 0), SIG_DFL); /* the sanitizers have handlers of their own */
        raise((int)mproc_args_int(args, 0));
        return 0;
}

static int
touch_nothing(mproc_args *args)
{
        (void)args;
        signal(SIGSEGV, SIG_DFL);
        *(volatile int *)(uintptr_t)mproc_args_int(args, 0) = 1;
        return 0;
}

START_METHOD_TEST(crashes_are_told_apart)
{
        int number[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGUSR1, SIGPIPE };

        for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
                mproc_report report = run_report(ctx, crash, MPROC_ARGS(number[i]));

                CHECK_INT(report.exitcode, -number[i]);
                CHECK_INT(report.signal, number[i]);
        }
        if (!under_asan() && !under_tsan() && !under_valgrind())
                CHECK_INT(run(ctx, touch_nothing, MPROC_ARGS(8)), -SIGSEGV);
}

static int
burn(mproc_args *args)
{
        size_t len = (size_t)mproc_args_int(args, 0);
        char *memory = malloc(len);
        struct rusage usage;

        CHECK(memory != NULL);
        do {
                for (size_t i = 0; i < len; i += 1024)
                        ((volatile char *)memory)[i]++;
                getrusage(RUSAGE_SELF, &usage);
        } while (usage.ru_utime.tv_sec == 0 && usage.ru_utime.tv_usec < 20000);
        free(memory);
        return 0;
}

START_METHOD_TEST(report_tells_the_use_of_the_machine)
{
        mproc_report report = run_report(ctx, burn, MPROC_ARGS(32 << 20));

        CHECK_INT(report.exitcode, 0);
        CHECK_INT(report.signal, 0);
        CHECK_INT(report.error, 0);
        CHECK_STR(report.step, "");
        CHECK_STR(report.text, "");
        CHECK_INT(report.has_usage, 1);
        CHECK(report.user_us >= 20000);
        CHECK(report.system_us >= 0);
        CHECK_MSG(report.maxrss_bytes >= 32 << 20, "%lld", (long long)report.maxrss_bytes);
}

static int
return_code(mproc_args *args)
{
        return (int)mproc_args_int(args, 0);
}

START_METHOD_TEST(results_are_exit_codes)
{
        int good[] = { 0, 1, 42, 127, 128, 254, 255 };

        for (size_t i = 0; i < sizeof good / sizeof *good; i++)
                CHECK_INT(run(ctx, return_code, MPROC_ARGS(good[i])), good[i]);
}

/* 256 is not 0: the original lets it through as success. */
START_METHOD_TEST(result_above_255_is_a_failure)
{
        int wrong[] = { 256, 257, 65536, INT32_MAX };

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                mproc_report report = run_report(ctx, return_code, MPROC_ARGS(wrong[i]));
                char *number = text_format("%d", wrong[i]);

                CHECK_INT(report.exitcode, 1);
                CHECK_INT(report.error, -ERANGE);
                CHECK_STR(report.step, "run");
                CHECK_CONTAINS(report.text, number);
                CHECK_CONTAINS(report.text, "0 to 255");
                free(number);
        }
}

static int
fail_with_words(mproc_args *args)
{
        mproc_context *ctx;

        (void)args;
        return mproc_get_context("no such method", &ctx);
}

START_METHOD_TEST(negative_result_takes_its_words_along)
{
        mproc_process *p = start(ctx, fail_with_words, MPROC_NO_ARGS);
        mproc_report report;

        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        CHECK_OK(mproc_process_report(p, &report));
        CHECK_INT(report.exitcode, 1);
        CHECK_INT(report.error, MPROC_EMETHOD);
        CHECK_STR(report.step, "run");
        CHECK_CONTAINS(report.text, "MPROC_EMETHOD");
        CHECK_CONTAINS(report.text, "no such method");
        CHECK_STR(mproc_process_error(p), report.text);
        mproc_process_free(p);
}

START_METHOD_TEST(negative_result_without_words_gets_some)
{
        mproc_report report = run_report(ctx, return_code, MPROC_ARGS(-ENOSPC));

        CHECK_INT(report.exitcode, 1);
        CHECK_INT(report.error, -ENOSPC);
        CHECK_CONTAINS(report.text, "ENOSPC");
        report = run_report(ctx, return_code, MPROC_ARGS(INT32_MIN));
        CHECK_INT(report.exitcode, 1);
        CHECK_INT(report.error, INT32_MIN);
}

/* --- ways to leave ----------------------------------------------------------------------------------------- */

static int
leave_by(mproc_args *args)
{
        const char *way = mproc_args_string(args, 0);
        int code = (int)mproc_args_int(args, 1);

        signal(SIGABRT, SIG_DFL);
        if (strcmp(way, "exit") == 0)
                exit(code);
        if (strcmp(way, "_exit") == 0)
                _exit(code);
        if (strcmp(way, "quick_exit") == 0)
                quick_exit(code);
        if (strcmp(way, "abort") == 0)
                abort();
        if (strcmp(way, "exec") == 0)
                execl("/bin/sh", "sh", "-c", "exit 23", NULL);
        if (strcmp(way, "kill") == 0)
                kill(getpid(), SIGKILL);
        return 99;
}

START_METHOD_TEST(ways_to_leave)
{
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("exit", 7)), 7);
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("exit", 0)), 0);
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("exit", 256 + 3)), 3);
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("_exit", 8)), 8);
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("quick_exit", 9)), 9);
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("abort", 0)), -SIGABRT);
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("exec", 0)), 23);
        CHECK_INT(run(ctx, leave_by, MPROC_ARGS("kill", 0)), -SIGKILL);
}

static void *
end_the_process(void *arg)
{
        (void)arg;
        exit(31);
}

static int
leave_the_main_thread(mproc_args *args)
{
        pthread_t thread;

        if (mproc_args_int(args, 0))
                CHECK_INT(pthread_create(&thread, NULL, end_the_process, NULL), 0);
        pthread_exit(NULL);
}

/* The last thread that leaves ends the process, with 0; if another calls exit, with that. */
START_METHOD_TEST(main_thread_leaves_first)
{
        if (under_tsan() || under_asan())
                SKIP("the sanitizers wait for the main thread, or miss what it held");
        CHECK_INT(run(ctx, leave_the_main_thread, MPROC_ARGS(0)), 0);
        CHECK_INT(run(ctx, leave_the_main_thread, MPROC_ARGS(1)), 31);
}

static int
exit_in_a_thread(mproc_args *args)
{
        pthread_t thread;

        (void)args;
        CHECK_INT(pthread_create(&thread, NULL, end_the_process, NULL), 0);
        pthread_join(thread, NULL);
        return 1;
}

START_METHOD_TEST(a_thread_ends_the_child)
{
        CHECK_INT(run(ctx, exit_in_a_thread, MPROC_NO_ARGS), 31);
}

/* --- names ------------------------------------------------------------------------------------------------- */

static int
is_called(mproc_args *args)
{
        mproc_process *self = mproc_current_process();

        CHECK_STR(mproc_process_name(self), mproc_args_string(args, 0));
        CHECK_INT(mproc_process_pid(self), getpid());
        CHECK_INT(mproc_process_is_alive(self), 1);
        CHECK_CODE(mproc_process_join(self, MPROC_NOWAIT), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_terminate(self), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_sentinel(self), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_close(self), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_start(self), MPROC_ENOTCHILD);
        mproc_process_free(self);
        CHECK_INT(mproc_process_daemon(self), 0);
        return 0;
}

START_METHOD_TEST(names_count_up)
{
        mproc_process *p;

        CHECK_STR(mproc_process_name(mproc_current_process()), "MainProcess");
        CHECK_INT(mproc_process_pid(mproc_current_process()), getpid());
        CHECK(mproc_parent_process() == NULL);
        CHECK_INT(run(ctx, is_called, MPROC_ARGS("Process-1")), 0);
        CHECK_INT(run(ctx, is_called, MPROC_ARGS("Process-2")), 0);
        p = create(ctx, is_called, MPROC_ARGS("renamed"));
        CHECK_STR(mproc_process_name(p), "Process-3");
        CHECK_CODE(mproc_process_set_name(p, NULL), -EINVAL);
        CHECK_OK(mproc_process_set_name(p, "renamed"));
        CHECK_STR(mproc_process_name(p), "renamed");
        CHECK_OK(mproc_process_start(p));
        CHECK_OK(mproc_process_set_name(p, "again")); /* the child keeps what it was born with */
        CHECK_STR(mproc_process_name(p), "again");
        CHECK_INT(finish(p), 0);
        CHECK_INT(run(ctx, is_called, MPROC_ARGS("Process-4")), 0);
}

START_METHOD_TEST(name_is_an_option_and_copied)
{
        char name[] = "ein Name, \xc3\xa4 und sehr, sehr lang, viel laenger als das System ihn selbst behielte";
        mproc_process_opts opts = { .name = name };
        mproc_process *p;

        CHECK_OK(mproc_process_create_opts(ctx, is_called, MPROC_ARGS(name), &opts, &p));
        name[0] = 'X';
        CHECK_INT(mproc_process_name(p)[0], 'e');
        CHECK_OK(mproc_process_start(p));
        CHECK_INT(finish(p), 0);
}

/* Argument 1 is how many more generations there are to be. */
static int
is_called_and_bears(mproc_args *args)
{
        const char *name = mproc_args_string(args, 0);
        int64_t more = mproc_args_int(args, 1);
        char *childs;
        int exitcode;

        CHECK_STR(mproc_process_name(mproc_current_process()), name);
        if (more == 0)
                return 0;
        for (int i = 1; i <= 2; i++) {
                childs = text_format("%s:%d", name, i);
                exitcode = run(NULL, is_called_and_bears, MPROC_ARGS(childs, more - 1));
                free(childs);
                if (exitcode != 0)
                        return exitcode;
        }
        return 0;
}

START_METHOD_TEST(names_tell_the_generations)
{
        CHECK_INT(run(ctx, is_called_and_bears, MPROC_ARGS("Process-1", 2)), 0);
}

/* --- active_children --------------------------------------------------------------------------------------- */

START_METHOD_TEST(active_children_are_those_alive)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p[3], **list;
        size_t count;
        pid_t pid;

        CHECK_OK(mproc_active_children(&list, &count));
        CHECK_INT(count, 0);
        mproc_process_list_free(list, count);
        for (int i = 0; i < 3; i++)
                p[i] = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        CHECK_OK(mproc_active_children(&list, &count));
        CHECK_INT(count, 3);
        for (int i = 0; i < 3; i++) {
                CHECK_INT(mproc_process_pid(list[i]), mproc_process_pid(p[i]));
                CHECK_STR(mproc_process_name(list[i]), mproc_process_name(p[i]));
                CHECK_INT(mproc_process_is_alive(list[i]), 1);
                CHECK_CODE(mproc_process_start(list[i]), MPROC_ESTARTED);
        }
        pid = mproc_process_pid(p[1]);
        CHECK_OK(mproc_process_kill(list[1])); /* as good a handle as the other */
        CHECK(sentinel_fires(p[1], scaled_ms(LONG_MS)) || without_pidfds());
        mproc_process_list_free(list, count);
        WAIT_UNTIL(!process_exists(pid), LONG_MS);
        CHECK_OK(mproc_active_children(&list, &count)); /* and reaps: under forkserver, somebody else may have */
        CHECK_INT(count, 2);
        WAIT_UNTIL(!process_is_zombie(pid), LONG_MS);
        mproc_process_list_free(list, count);
        let_go(&ends, 2);
        CHECK_INT(finish(p[0]), 0);
        CHECK_INT(finish(p[1]), -SIGKILL);
        CHECK_INT(finish(p[2]), 0);
        CHECK_OK(mproc_active_children(&list, &count));
        CHECK_INT(count, 0);
        mproc_process_list_free(list, count);
}

static int
has_no_children(mproc_args *args)
{
        mproc_process **list;
        size_t count;

        (void)args;
        CHECK_OK(mproc_active_children(&list, &count));
        mproc_process_list_free(list, count);
        return (int)count;
}

START_METHOD_TEST(siblings_are_not_children)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));

        CHECK_INT(run(ctx, has_no_children, MPROC_NO_ARGS), 0);
        let_go(&ends, 1);
        CHECK_INT(finish(p), 0);
}

/* --- the parent -------------------------------------------------------------------------------------------- */

static int
knows_its_parent(mproc_args *args)
{
        mproc_process *parent = mproc_parent_process();
        int exitcode;

        CHECK(parent != NULL);
        CHECK_INT(mproc_process_pid(parent), mproc_args_int(args, 0));
        CHECK_STR(mproc_process_name(parent), mproc_args_string(args, 1));
        CHECK_INT(mproc_process_is_alive(parent), 1);
        CHECK_CODE(mproc_process_join(parent, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_process_join(parent, 10), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_process_terminate(parent), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_exitcode(parent, &exitcode), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_start(parent), MPROC_ENOTCHILD);
        mproc_process_free(parent);
        if (!without_pidfds())
                CHECK(!sentinel_fires(parent, 0));
        return 0;
}

static int
has_a_parent_and_is_one(mproc_args *args)
{
        const char *name = mproc_process_name(mproc_current_process());

        (void)args;
        return run(NULL, knows_its_parent, MPROC_ARGS((int)getpid(), name));
}

START_METHOD_TEST(child_knows_its_parent)
{
        CHECK_INT(run(ctx, knows_its_parent, MPROC_ARGS((int)getpid(), "MainProcess")), 0);
        CHECK_INT(run(ctx, has_a_parent_and_is_one, MPROC_NO_ARGS), 0);
}

/* Tells on the pipe, argument 0, how it sees its parent die. */
static int
outlives_its_parent(mproc_args *args)
{
        int out = mproc_args_fd(args, 0), sentinel = -1;
        mproc_process *parent = mproc_parent_process();
        struct pollfd p = { .events = POLLIN };

        if (!without_pidfds()) {
                sentinel = mproc_process_sentinel(parent);
                CHECK(sentinel >= 0);
        }
        write_all(out, "x", 1);
        CHECK_OK(mproc_process_join(parent, MPROC_FOREVER));
        CHECK_INT(mproc_process_is_alive(parent), 0);
        CHECK_OK(mproc_process_join(parent, MPROC_NOWAIT));
        p.fd = sentinel;
        if (sentinel >= 0)
                CHECK(poll(&p, 1, (int)scaled_ms(LONG_MS)) == 1);
        write_all(out, "y", 1);
        return 0;
}

/* argv[1]: the method.  Its child writes on standard output. */
HELPER(dies_before_its_child)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(argv[1], &ctx));
        (void)keep(start(ctx, outlives_its_parent, MPROC_ARGS(mproc_fd(1))));
        for (;;)
                pause();
}

START_METHOD_TEST(child_sees_its_parent_die)
{
        char *args[] = { (char *)method, NULL };
        int out;
        pid_t pid = run_helper("dies_before_its_child", args, NULL, &out);

        await_byte(out);
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK_INT(wait_program(pid, LONG_MS), -SIGKILL);
        await_byte(out);
        close(out);
}

/* --- somebody else's handle -------------------------------------------------------------------------------- */

static mproc_process *shared_handle, *own_handle;

static void
handle_is_foreign(mproc_process *p)
{
        mproc_report report;
        int exitcode;

        CHECK_CODE(mproc_process_join(p, MPROC_FOREVER), MPROC_ENOTCHILD);
        CHECK_CONTAINS(mproc_last_error(), "created by process");
        CHECK_CODE(mproc_process_start(p), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_is_alive(p), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_exitcode(p, &exitcode), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_report(p, &report), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_sentinel(p), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_terminate(p), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_kill(p), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_interrupt(p), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_close(p), MPROC_ENOTCHILD);
        CHECK_CODE(mproc_process_set_daemon(p, 1), MPROC_ENOTCHILD);
        CHECK_STR(mproc_process_error(p), "");
        (void)mproc_process_name(p);
        (void)mproc_process_pid(p);
}

static int
use_foreign_handles(mproc_args *args)
{
        const char *text = mproc_args_string(args, 0);

        handle_is_foreign(shared_handle);
        handle_is_foreign(own_handle); /* the one by which this very process was started, locked at that moment */
        mproc_process_free(own_handle);
        mproc_process_free(shared_handle);
        CHECK_STR(text, "still there");
        CHECK_STR(mproc_args_string(args, 0), "still there");
        CHECK_STR(mproc_process_name(mproc_current_process()), "Process-2");
        return 0;
}

TEST(handles_belong_to_their_creator)
{
        struct pipe_ends ends = make_pipe();
        mproc_context *ctx;
        pid_t pid;

        CHECK_OK(mproc_get_context("fork", &ctx));
        shared_handle = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        own_handle = create(ctx, use_foreign_handles, MPROC_ARGS("still there"));
        CHECK_OK(mproc_process_start(own_handle));
        CHECK_INT(finish(own_handle), 0);
        if ((pid = fork()) == 0) {
                handle_is_foreign(shared_handle);
                mproc_process_free(shared_handle);
                _exit(0);
        }
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK_INT(mproc_process_is_alive(shared_handle), 1);
        let_go(&ends, 1);
        CHECK_INT(finish(shared_handle), 0);
}

/* A plain fork() is a process of its own, whose children are its own. */
START_METHOD_TEST(plain_fork_starts_with_a_clean_slate)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        pid_t pid = fork();

        if (pid == 0) {
                mproc_process **list;
                size_t count;

                CHECK_OK(mproc_active_children(&list, &count));
                CHECK_INT(count, 0);
                mproc_process_list_free(list, count);
                CHECK_INT(run(ctx, return_argument, MPROC_ARGS(5)), 5);
                exit(0); /* by the library's own end: nobody else's children are waited for */
        }
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        CHECK_INT(mproc_process_is_alive(p), 1);
        let_go(&ends, 1);
        CHECK_INT(finish(p), 0);
}

static int
fork_without_us(mproc_args *args)
{
        pid_t pid = fork();

        (void)args;
        if (pid == 0)
                _exit(mproc_parent_process() == NULL ? 0 : 1);
        return wait_program(pid, LONG_MS);
}

/* It has a parent, but not one that mproc could watch. */
START_METHOD_TEST(plain_fork_of_a_child_has_no_parent_process)
{
        CHECK_INT(run(ctx, fork_without_us, MPROC_NO_ARGS), 0);
}
