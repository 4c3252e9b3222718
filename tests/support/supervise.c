/* SPDX-License-Identifier: MIT */
/*
 * support/supervise.c - one test, from its start to the end of the last process
 * it left behind.
 *
 * Runs in: the runner, which has one thread.
 *
 * The test process is this program executed again ("--run NAME") in a session of
 * its own, its output going to a memory file that is shown if it fails.  The
 * runner is a subreaper: whatever the test's processes leave behind becomes the
 * runner's child, so nothing escapes, and "no children left" means that the test is
 * over altogether.  Processes that end by themselves soon, such as the
 * tracker, are waited for; others are described, killed, and make the test fail.
 *
 * SIGCHLD and the signals that end the runner are blocked all the time and
 * taken by sigtimedwait, so there is no handler and no window.
 */
#include "support/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_LIMIT_S 60
#define GRACE_MS        10000      /* for processes that end by themselves */
#define SHOWN_BYTES     (64 << 10) /* of the output of a test that failed: its end */

static sigset_t watched;

struct run {
        const struct runner_test *test;
        pid_t pid;
        int output;             /* memory file: stdout and stderr of all its processes */
        struct shm_names names; /* in /dev/shm, before */
        bool ended;
        int status; /* of the test process, once it ended */
        bool failed;
        char reason[256]; /* why, in a few words: the first reason counts */
        char *details;    /* what else there is to say, or NULL */
};

void
supervise_init(void)
{
        sigemptyset(&watched);
        sigaddset(&watched, SIGCHLD);
        sigaddset(&watched, SIGINT);
        sigaddset(&watched, SIGTERM);
        sigaddset(&watched, SIGHUP);
        signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would throw every status away */
        sigprocmask(SIG_BLOCK, &watched, NULL);
        CHECK_MSG(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "prctl: %s", strerror(errno));
}

static int64_t
grace_ms(const struct run *run)
{
        return scaled_ms(run->test->grace_ms ? run->test->grace_ms : GRACE_MS);
}

static void
fail_run(struct run *run, const char *reason)
{
        if (!run->failed)
                snprintf(run->reason, sizeof run->reason, "%s", reason);
        run->failed = true;
}

/* --- starting ------------------------------------------------------------------------------------- */

/* Whoever started the runner may have left descriptors open; a test begins with three. */
static void
close_others_in_child(void)
{
        long limit;

#ifdef SYS_close_range
        if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
                return;
#endif
        limit = sysconf(_SC_OPEN_MAX);
        for (int fd = 3; fd < limit && fd < 65536; fd++)
                close(fd);
}

/* The test dies with the runner, however the runner dies; its own children do not inherit that. */
static void
test_in_child(const char *path, const char *name, int output, pid_t runner)
{
        char *argv[] = { (char *)path, (char *)"--run", (char *)name, NULL };
        sigset_t none;
        int null;

        setsid();
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() != runner)
                _exit(126);
        if ((null = open("/dev/null", O_RDONLY)) > 0)
                dup2(null, 0), close(null);
        dup2(output, 1);
        dup2(output, 2);
        close_others_in_child();
        for (int number = 1; number < 32; number++) /* a shell's background job ignores SIGINT, and would pass that on */
                signal(number, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(path, argv);
        _exit(126);
}

static void
start_run(struct run *run, const struct runner_test *test)
{
        const char *path = self_path();
        pid_t runner = getpid();

        *run = (struct run){ .test = test, .output = memfd_create("test output", MFD_CLOEXEC) };
        CHECK_MSG(run->output >= 0, "memfd_create: %s", strerror(errno));
        shm_names_take(&run->names);
        fcntl(run->output, F_SETFL, O_APPEND); /* several processes write it */
        fflush(NULL);
        run->pid = fork();
        CHECK_MSG(run->pid >= 0, "fork: %s", strerror(errno));
        if (run->pid == 0)
                test_in_child(path, test->name, run->output, runner);
}

/* --- waiting -------------------------------------------------------------------------------------- */

/* Reap whoever has ended; false when there is no child left at all. */
static bool
reap(struct run *run)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == run->pid)
                        run->ended = true, run->status = status;
        return pid == 0;
}

static void
kill_family(struct run *run)
{
        while (reap(run)) {
                struct procfs_stat *list;
                size_t count = procfs_descendants(getpid(), &list);

                for (size_t i = 0; i < count; i++)
                        kill(list[i].pid, SIGKILL);
                free(list);
                sleep_ms(2);
        }
}

/* Until a child ends or the time comes; Ctrl-C and the like end the test and then the runner. */
static void
wait_for_news(struct run *run, int64_t end_ms)
{
        int64_t rest = end_ms - monotonic_ms();
        struct timespec limit = { (time_t)(rest / 1000), (long)(rest % 1000) * 1000000 };
        siginfo_t info;
        int number;

        if (rest <= 0)
                return;
        number = sigtimedwait(&watched, &info, &limit);
        if (number <= 0 || number == SIGCHLD)
                return;
        kill_family(run);
        shm_names_remove_left(&run->names);
        temp_dirs_remove(run->pid);
        signal(number, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &watched, NULL);
        raise(number);
}

static void
describe_family(struct run *run, const char *head)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(getpid(), &list), len;
        char *text = NULL;
        FILE *out = open_memstream(&text, &len);

        CHECK_MSG(out, "out of memory");
        fprintf(out, "%s    %s\n", run->details ? run->details : "", head);
        for (size_t i = 0; i < count; i++)
                procfs_describe(out, &list[i]);
        fclose(out);
        free(list);
        free(run->details);
        run->details = text;
}

static void
wait_for_test(struct run *run)
{
        int64_t limit_s = run->test->limit_s ? run->test->limit_s : DEFAULT_LIMIT_S;
        int64_t limit_ms = scaled_ms(limit_s * 1000), end_ms = monotonic_ms() + limit_ms;
        char reason[80];

        while (reap(run), !run->ended) {
                if (monotonic_ms() >= end_ms) {
                        snprintf(reason, sizeof reason, "hangs: no end within %lld s", (long long)(limit_ms / 1000));
                        fail_run(run, reason);
                        describe_family(run, "where its processes stand:");
                        kill_family(run);
                        return;
                }
                wait_for_news(run, end_ms);
        }
}

/* --- judging -------------------------------------------------------------------------------------- */

static void
judge_status(struct run *run)
{
        char reason[128];

        if (run->failed)
                return;
        if (WIFSIGNALED(run->status)) {
                int number = WTERMSIG(run->status);

                snprintf(reason, sizeof reason, "killed by signal %d (%s)", number, strsignal(number));
                fail_run(run, reason);
        } else if (WEXITSTATUS(run->status) != 0 && WEXITSTATUS(run->status) != 77) {
                snprintf(reason, sizeof reason, "exit status %d", WEXITSTATUS(run->status));
                fail_run(run, reason);
        }
}

/* A test that failed may leave anything; a test that passed has a while for what ends by itself. */
static void
judge_orphans(struct run *run)
{
        int64_t end_ms = monotonic_ms() + grace_ms(run);
        bool silent = run->failed || run->test->leaves_processes || WEXITSTATUS(run->status) == 77;

        while (!silent && reap(run)) {
                if (monotonic_ms() >= end_ms) {
                        fail_run(run, "leaves processes behind");
                        describe_family(run, "left behind:");
                        break;
                }
                wait_for_news(run, end_ms);
        }
        kill_family(run);
}

/* Where processes were killed, the tracker among them, nobody is left to remove names. */
static void
judge_names(struct run *run)
{
        bool silent = run->failed || run->test->leaves_names || run->test->leaves_processes;
        char *left = silent ? NULL : shm_names_left(&run->names, grace_ms(run));

        if (left) {
                fail_run(run, "leaves names in /dev/shm behind");
                free(run->details);
                run->details = text_format("    %s\n", left);
                free(left);
        }
        if (run->failed || silent)
                shm_names_remove_left(&run->names);
}

/* --- telling -------------------------------------------------------------------------------------- */

static char *
output_text(struct run *run, size_t *ret_len)
{
        off_t len = lseek(run->output, 0, SEEK_END);

        lseek(run->output, len > SHOWN_BYTES ? len - SHOWN_BYTES : 0, SEEK_SET);
        return read_to_end(run->output, ret_len);
}

/* Each line of the output, indented, so that it cannot be taken for the runner's. */
static void
print_indented(char *text)
{
        for (char *line; (line = strsep(&text, "\n")) && (*line || text);)
                printf("    | %s\n", line);
}

static enum test_outcome
tell(struct run *run, int64_t took_ms, bool verbose)
{
        bool skipped = !run->failed && WEXITSTATUS(run->status) == 77;
        size_t len;
        char *output = output_text(run, &len);

        if (run->failed) {
                printf("FAIL  %s: %s (%lld ms)\n", run->test->name, run->reason, (long long)took_ms);
        } else if (skipped) {
                char *why = strstr(output, "skipped: ");

                printf("skip  %s: %.*s\n", run->test->name, why ? (int)strcspn(why + 9, "\n") : 1,
                       why ? why + 9 : "?");
        } else {
                printf("ok    %s (%lld ms)\n", run->test->name, (long long)took_ms);
        }
        if (len && (run->failed || verbose))
                print_indented(output);
        if (run->failed && run->details)
                fputs(run->details, stdout);
        fflush(stdout);
        free(output);
        return run->failed ? TEST_FAILED : skipped ? TEST_SKIPPED : TEST_PASSED;
}

enum test_outcome
supervise_test(const struct runner_test *test, bool verbose)
{
        int64_t start_ms = monotonic_ms();
        enum test_outcome outcome;
        struct run run;

        start_run(&run, test);
        wait_for_test(&run);
        judge_status(&run);
        judge_orphans(&run);
        judge_names(&run);
        temp_dirs_remove(run.pid);
        outcome = tell(&run, monotonic_ms() - start_ms, verbose);
        shm_names_free(&run.names);
        free(run.details);
        close(run.output);
        return outcome;
}
