/* SPDX-License-Identifier: MIT */
/*
 * The runner's own tests: what must be a failure is one.
 *
 * The hidden tests below misbehave, each in one way.  The others run this very
 * program again with the name of a hidden one, and read what the runner says.
 */
#include "support/runner.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- those that misbehave --------------------------------------------------------------------------- */

TEST(bad_descriptor, .hidden = true)
{
        CHECK(open("/dev/zero", O_RDONLY | O_CLOEXEC) >= 0);
}

TEST(bad_socket_after_baseline, .hidden = true)
{
        int fd[2];

        support_fd_baseline();
        CHECK(pipe2(fd, O_CLOEXEC) == 0);
        close(fd[0]);
}

static void
wait_for_ever(void)
{
        for (;;)
                pause();
}

TEST(bad_orphan, .hidden = true, .grace_ms = 300)
{
        if (fork() == 0)
                wait_for_ever();
}

/* It leaves session and group, and its father dies: only a subreaper finds it. */
TEST(bad_orphan_in_another_session, .hidden = true, .grace_ms = 300)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (fork() == 0) {
                        setsid();
                        wait_for_ever();
                }
                _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
}

TEST(bad_zombie, .hidden = true)
{
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        WAIT_UNTIL(process_is_zombie(pid), 10000);
}

TEST(bad_hang, .hidden = true, .limit_s = 1)
{
        if (fork() == 0)
                wait_for_ever();
        wait_for_ever();
}

TEST(bad_hang_alone, .hidden = true)
{
        wait_for_ever();
}

TEST(bad_crash, .hidden = true)
{
        signal(SIGSEGV, SIG_DFL); /* the sanitizers' own handlers would change what is told */
        raise(SIGSEGV);
}

TEST(bad_check, .hidden = true)
{
        printf("said before\n");
        CHECK_INT(1 + 1, 3);
}

TEST(bad_code, .hidden = true)
{
        CHECK_OK(mproc_set_start_method("no such method"));
}

TEST(bad_wait, .hidden = true)
{
        WAIT_UNTIL(getpid() == 0, 10);
}

TEST(bad_exit, .hidden = true)
{
        exit(3);
}

TEST(bad_shared_name, .hidden = true, .grace_ms = 700)
{
        char *path = text_format("/dev/shm/%s-file", getenv("MPROC_TEST_SHM_PREFIX"));

        write_file(path, "nobody's");
        free(path);
}

TEST(good_skip, .hidden = true)
{
        SKIP("not on a %s", "Tuesday");
}

TEST(good_test, .hidden = true)
{
        CHECK(true);
}

/* Ends a little after the test does, as the tracker may. */
TEST(good_straggler, .hidden = true)
{
        int fd[2];

        CHECK(pipe2(fd, O_CLOEXEC) == 0);
        if (fork() == 0) {
                char byte;

                close(fd[1]);
                (void)!read(fd[0], &byte, 1); /* until the test process has gone */
                sleep_ms(200);
                _exit(0);
        }
        support_fd_baseline(); /* the pipe has to stay open */
}

static pid_t
first_child_of(pid_t parent)
{
        char *path = text_format("/proc/%d/task/%d/children", (int)parent, (int)parent);
        char *text = read_file(path, NULL);
        pid_t child = text ? (pid_t)atoi(text) : 0;

        free(text);
        free(path);
        return child;
}

/* --- what the runner makes of them -------------------------------------------------------------------- */

static char *
run_hidden(const char *name, int *ret_exitcode)
{
        char *argv[] = { (char *)self_path(), (char *)name, NULL };

        return capture_program(argv, ret_exitcode);
}

static void
expect_failure(const char *name, const char *reason, const char *more)
{
        int exitcode;
        char *text = run_hidden(name, &exitcode);

        CHECK_INT(exitcode, 1);
        CHECK_CONTAINS(text, "FAIL  ");
        CHECK_CONTAINS(text, reason);
        CHECK_CONTAINS(text, more);
        CHECK_CONTAINS(text, "0 passed, 1 failed, 0 skipped\n");
        free(text);
}

TEST(open_descriptor_is_a_failure)
{
        expect_failure("bad_descriptor", "exit status 1", "/dev/zero is still open");
}

TEST(after_the_baseline_every_descriptor_counts)
{
        expect_failure("bad_socket_after_baseline", "exit status 1", "pipe:[");
}

TEST(orphan_is_a_failure_and_is_ended)
{
        expect_failure("bad_orphan", "leaves processes behind", "--run bad_orphan");
        expect_failure("bad_orphan_in_another_session", "leaves processes behind", "thread ");
        CHECK_INT(count_children(), 0);
}

TEST(zombie_is_a_failure)
{
        expect_failure("bad_zombie", "exit status 1", "nobody has waited for it");
}

TEST(hang_is_a_failure_and_shows_where)
{
        expect_failure("bad_hang", "hangs: no end within", "wchan ");
        CHECK_INT(count_children(), 0);
}

TEST(crash_is_a_failure)
{
        expect_failure("bad_crash", "killed by signal 11", "");
}

TEST(failed_check_is_a_failure_and_shows_output)
{
        expect_failure("bad_check", "exit status 1", "1 + 1 is 2, not 3");
        expect_failure("bad_check", "exit status 1", "| said before");
        expect_failure("bad_wait", "exit status 1", "WAIT_UNTIL(getpid() == 0)");
        expect_failure("bad_code", "exit status 1", "MPROC_EMETHOD");
}

TEST(early_exit_is_a_failure)
{
        expect_failure("bad_exit", "exit status 3", "");
}

TEST(shared_name_of_a_dead_program_is_a_failure)
{
        char *prefix = text_format("left-by-test-%d", (int)getpid()), *path = text_format("/dev/shm/%s-file", prefix);

        CHECK(setenv("MPROC_TEST_SHM_PREFIX", prefix, 1) == 0);
        expect_failure("bad_shared_name", "leaves names in /dev/shm behind", path);
        CHECK(access(path, F_OK) != 0); /* nor is it there for others to stumble on */
        free(path);
        free(prefix);
}

static void
expect(const char *name, int wanted_exitcode, const char *line, const char *summary)
{
        int exitcode;
        char *text = run_hidden(name, &exitcode);

        CHECK_CONTAINS(text, line);
        CHECK_CONTAINS(text, summary);
        CHECK_INT(exitcode, wanted_exitcode);
        free(text);
}

TEST(success_skip_and_wrong_name_are_told)
{
        expect("good_test", 0, "ok    good_test", "1 passed, 0 failed, 0 skipped\n");
        expect("good_skip", 77, "skip  good_skip: not on a Tuesday", "0 passed, 0 failed, 1 skipped\n");
        expect("no_such_test", 2, "", "0 passed, 0 failed, 0 skipped\n");
}

TEST(process_that_ends_soon_is_waited_for)
{
        expect("good_straggler", 0, "ok    good_straggler", "1 passed");
}

TEST(killed_runner_takes_its_test_along)
{
        char *argv[] = { (char *)self_path(), (char *)"bad_hang_alone", NULL };
        pid_t runner = run_program(argv, NULL, NULL), test = 0;

        WAIT_UNTIL((test = first_child_of(runner)) != 0, 10000);
        CHECK(kill(runner, SIGKILL) == 0);
        CHECK_INT(wait_program(runner, 10000), -SIGKILL);
        WAIT_UNTIL(!process_exists(test), 10000);
}

/* --- helpers ------------------------------------------------------------------------------------------ */

HELPER(echo)
{
        char *line;

        for (int i = 1; i < argc; i++)
                printf("%s\n", argv[i]);
        fflush(stdout);
        while ((line = read_line(0))) {
                printf("<%s>\n", line);
                free(line);
        }
        return argc;
}

TEST(helper_gets_arguments_and_pipes)
{
        char *args[] = { (char *)"one", (char *)"two words", NULL }, *text;
        int in, out;
        pid_t pid = run_helper("echo", args, &in, &out);

        write_all(in, "three\nfour", 10);
        close(in);
        text = read_to_end(out, NULL);
        close(out);
        CHECK_STR(text, "one\ntwo words\n<three>\n<four>\n");
        CHECK_INT(wait_program(pid, 10000), 3);
        free(text);
}

HELPER_WITHOUT_INIT(kill_self)
{
        raise(SIGKILL);
        return 0;
}

TEST(signal_that_killed_a_helper_is_told)
{
        CHECK_INT(wait_program(run_helper("kill_self", NULL, NULL, NULL), 10000), -SIGKILL);
}

TEST(test_process_starts_with_three_descriptors)
{
        char *list = list_fds();

        if (under_valgrind()) {
                free(list);
                SKIP("valgrind has descriptors of its own");
        }
        CHECK_MSG(count_fds() == 3, "open are:\n%s", list);
        CHECK_INT(count_threads(), 1);
        CHECK_INT(count_children(), 0);
        free(list);
}
