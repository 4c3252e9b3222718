/* SPDX-License-Identifier: MIT */
/*
 * checksum_test.c - mproc-checksum, held against find and sha256sum.
 *
 * Many of these tests want to meet a worker in the middle of a file.  They make
 * one that takes a while (it is sparse: no room on disk, but as much to hash as
 * any other), and look in /proc for the process that has it open.  That is no
 * matter of timing but for one case, a machine so slow that the whole run goes
 * by between two looks; then the test tries again.
 */
#include "support/internal.h"
#include "support/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_MS            120000
#define ATTEMPTS          10

#define ARGV(...)         PROGRAM_ARGV(program(), __VA_ARGS__)
#define PROGRAM_ARGV(...) ((char *const *)(const char *const[]){ __VA_ARGS__, NULL })

static char *
program(void)
{
        static char path[4096];

        snprintf(path, sizeof path, "%s/examples/mproc-checksum", build_dir());
        if (access(path, X_OK) != 0)
                SKIP("mproc-checksum was not built: no libcrypto here");
        return path;
}

/* --- what it is given ------------------------------------------------------------------------------ */

static void
enter_temp_dir(void)
{
        program();
        CHECK(chdir(temp_dir()) == 0);
}

static void
make_dir(const char *path)
{
        CHECK_MSG(mkdir(path, 0777) == 0, "mkdir %s: %s", path, strerror(errno));
}

static void
make_file(const char *path, size_t len, unsigned seed)
{
        FILE *file = fopen(path, "wbe");

        CHECK_MSG(file, "%s: %s", path, strerror(errno));
        for (size_t i = 0; i < len; i++)
                putc((int)((i * 31 + i / 251 + seed) & 0xff), file);
        CHECK(fclose(file) == 0);
}

/* "zbig", and the line that it is to give, which stands behind all others. */
static void
make_big_file(void)
{
        make_file("zbig", 0, 0);
        CHECK(truncate("zbig", (off_t)256 << 20) == 0);
}

#define BIG_LINE "a6d72ac7690f53be6ae46ba88506bd97302a093f7108472bd9efc3cefda06484  zbig\n"

/* "tree": names and kinds of files that a program could stumble over. */
static void
make_tree(void)
{
        static const char *const names[] = {
                "plain",  "with space", " ",        "line\nfeed",  "carriage\rreturn", "back\\slash", "\\",    "-n",
                "--help", "tab\tin it", "quote'\"", "caf\303\251", "\377 is no text",  "*",           "$HOME", "~",
                "zz",     "Zz",         "a.b",      "a-b",
        };
        char path[64];

        make_dir("tree");
        make_dir("tree/a");
        make_dir("tree/a/-d");
        make_dir("tree/a b");
        make_dir("tree/empty");
        make_dir("tree/d\n\\");
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
                snprintf(path, sizeof path, "tree/%s", names[i]);
                make_file(path, i * 1237, i);
        }
        make_file("tree/a/-d/x", 0, 0); /* empty */
        make_file("tree/a/-d/y", 300000, 1);
        make_file("tree/a b/x", 65536, 2);
        make_file("tree/d\n\\/x", 1, 3);
        for (unsigned i = 0; i < 300; i++) {
                snprintf(path, sizeof path, "tree/a/%u", i);
                make_file(path, i * 7, i);
        }
        CHECK(symlink("plain", "tree/link") == 0);
        CHECK(symlink("a", "tree/link to a directory") == 0);
        CHECK(symlink("nowhere", "tree/dangling") == 0);
        CHECK(mkfifo("tree/fifo", 0666) == 0);
}

/* --- what it ought to print ------------------------------------------------------------------------ */

static char *
reference(const char *dir)
{
        char *const *argv = PROGRAM_ARGV(
                "sh", "-c", "find \"$0\" -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum", dir);
        int status;
        char *text = capture_program(argv, &status);

        CHECK_INT(status, 0);
        return text;
}

/* What the arguments "tree" and "zbig" are to give. */
static char *
reference_and_big(void)
{
        char *tree = reference("tree"), *all = text_format("%s" BIG_LINE, tree);

        free(tree);
        return all;
}

/* The same without the lines that hold this text. */
static char *
without(const char *lines, const char *text)
{
        char *all = text_format("%s", lines), *rest = all, *left = text_format("%s", ""), *line;

        while ((line = strsep(&rest, "\n")) && *line) {
                if (!strstr(line, text)) {
                        char *more = text_format("%s%s\n", left, line);

                        free(left);
                        left = more;
                }
        }
        free(all);
        return left;
}

/* --- running it ------------------------------------------------------------------------------------ */

struct run {
        pid_t pid;
        int status;
        char *out, *err;
};

/* Begin a run, in a process group of its own; it writes into the files out and err. */
static struct run
begin(char *const argv[])
{
        struct run run = { 0 };

        fflush(NULL);
        run.pid = fork();
        CHECK(run.pid >= 0);
        if (run.pid == 0) {
                setpgid(0, 0);
                dup2(open("out", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), 1);
                dup2(open("err", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), 2);
                execv(argv[0], argv);
                _exit(127);
        }
        setpgid(run.pid, run.pid); /* whoever is first */
        return run;
}

static void
end(struct run *run)
{
        run->status = wait_program(run->pid, RUN_MS);
        run->out = read_file("out", NULL);
        run->err = read_file("err", NULL);
}

static void
forget(struct run *run)
{
        free(run->out);
        free(run->err);
        *run = (struct run){ 0 };
}

static struct run
complete(char *const argv[])
{
        struct run run = begin(argv);

        end(&run);
        return run;
}

static void
check_run(const struct run *run, int status, const char *out)
{
        CHECK_MSG(run->status == status, "exit status %d, not %d; stderr:\n%s", run->status, status, run->err);
        CHECK_STR(run->out, out);
}

/* Has it ended?  Nobody else waits for it, so its number is still its own. */
static bool
has_ended(pid_t pid)
{
        siginfo_t info = { 0 };

        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Workers name themselves; the others are the library's own processes, or on their way to their name. */
static bool
is_worker(const struct procfs_stat *process)
{
        return strncmp(process->name, "worker-", strlen("worker-")) == 0;
}

/* The worker that has a file of this name open now, or 0. */
static pid_t
worker_with(pid_t pid, const char *name)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(pid, &list);
        char *tail = text_format("/%s\n", name);
        pid_t found = 0;

        for (size_t i = 0; i < count && !found; i++) {
                char *fds = is_worker(&list[i]) ? list_fds_of(list[i].pid) : NULL;

                if (fds && strstr(fds, tail))
                        found = list[i].pid;
                free(fds);
        }
        free(tail);
        free(list);
        return found;
}

/* The same, waiting until one has (and is not the one given); 0: the run ended before. */
static pid_t
meet_worker_with(pid_t pid, const char *name, pid_t not_this)
{
        int64_t limit = monotonic_ms() + scaled_ms(RUN_MS);
        pid_t found;

        while ((found = worker_with(pid, name)) == 0 || found == not_this) {
                if (has_ended(pid))
                        return 0;
                CHECK_MSG(monotonic_ms() < limit, "no worker opens %s", name);
                sleep_ms(1);
        }
        return found;
}

/* --- what it prints -------------------------------------------------------------------------------- */

START_METHOD_TEST(prints_what_sha256sum_prints, .limit_s = 120)
{
        static const char *const dirs[] = {
                "tree",      "tree/", "./tree//", ".", "tree/link to a directory", "tree/link to a directory/",
                "tree/plain"
        };

        enter_temp_dir();
        make_tree();
        for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
                char *wanted;
                struct run run;

                CHECK(unlink("out") == 0 || errno == ENOENT);
                CHECK(unlink("err") == 0 || errno == ENOENT);
                wanted = reference(dirs[i]);
                run = complete(ARGV("--method", method, "--workers", "3", dirs[i]));
                if (strcmp(dirs[i], ".") == 0) { /* out and err are below it, and grow while it runs */
                        char *seen = run.out;

                        run.out = without(seen, "  ./out");
                        free(seen), seen = run.out;
                        run.out = without(seen, "  ./err");
                        free(seen);
                }
                check_run(&run, 0, wanted);
                CHECK_STR(run.err, "");
                forget(&run);
                free(wanted);
        }
}

TEST(sha256sum_accepts_it)
{
        char *const *check = PROGRAM_ARGV("sha256sum", "-c", "--quiet", "--strict", "out");
        struct run run;
        int status;

        enter_temp_dir();
        make_tree();
        run = complete(ARGV("tree"));
        free(capture_program(check, &status));
        CHECK_INT(status, 0);
        forget(&run);
}

TEST(several_directories_are_sorted_together_and_may_begin_with_a_dash)
{
        char *const *argv = PROGRAM_ARGV("sh", "-c", "sha256sum -- -d/x B/x a/x");
        struct run run;
        char *wanted;

        enter_temp_dir();
        make_dir("-d");
        make_dir("a");
        make_dir("B");
        make_file("-d/x", 10, 1);
        make_file("a/x", 20, 2);
        make_file("B/x", 30, 3);
        wanted = capture_program(argv, NULL);
        run = complete(ARGV("--", "a", "-d", "B"));
        check_run(&run, 0, wanted);
        forget(&run);
        free(wanted);
}

START_METHOD_TEST(no_files_no_lines)
{
        struct run run;

        enter_temp_dir();
        make_dir("empty");
        run = complete(ARGV("-m", method, "empty"));
        check_run(&run, 0, "");
        CHECK_STR(run.err, "");
        forget(&run);
}

TEST(many_more_workers_than_files)
{
        struct run run;
        char *wanted;

        enter_temp_dir();
        make_dir("d");
        make_file("d/a", 1, 1);
        make_file("d/b", 2, 2);
        wanted = reference("d");
        run = complete(ARGV("-w", "500", "d"));
        check_run(&run, 0, wanted);
        forget(&run);
        free(wanted);
}

/* --- what cannot be read --------------------------------------------------------------------------- */

TEST(a_missing_directory_is_told_and_the_others_are_done)
{
        struct run run;
        char *wanted;

        enter_temp_dir();
        make_dir("d");
        make_file("d/a", 1000, 1);
        wanted = reference("d");
        run = complete(ARGV("not here", "d", ""));
        check_run(&run, 1, wanted);
        CHECK_STR(run.err, "mproc-checksum: not here: No such file or directory\n"
                           "mproc-checksum: : No such file or directory\n");
        forget(&run);
        free(wanted);
}

TEST(an_unreadable_file_is_told_and_the_others_are_done)
{
        char *memory = text_format("/proc/%d/mem", (int)getpid()); /* opens, but nothing is at its beginning */
        struct run run;
        char *wanted;

        enter_temp_dir();
        make_dir("d");
        make_file("d/a", 1000, 1);
        wanted = reference("d");
        if (geteuid() != 0) { /* to root, everything is readable */
                make_file("d/secret", 10, 1);
                CHECK(chmod("d/secret", 0) == 0);
                make_dir("d/closed");
                CHECK(chmod("d/closed", 0) == 0);
        }
        run = complete(ARGV(memory, "d"));
        check_run(&run, 1, wanted);
        CHECK_CONTAINS(run.err, "/mem: Input/output error\n");
        if (geteuid() != 0) {
                CHECK_CONTAINS(run.err, "d/secret: Permission denied\n");
                CHECK_CONTAINS(run.err, "d/closed: Permission denied\n");
        }
        forget(&run);
        free(wanted);
        free(memory);
}

/* The largest file is given out first; so while it is open, the others were found and not yet read. */
START_METHOD_TEST(files_that_vanish_or_change_after_they_were_found, .limit_s = 120)
{
        enter_temp_dir();
        make_big_file();
        make_dir("d");
        for (int attempt = 0, met = 0; !met; attempt++) {
                struct run run;

                CHECK_MSG(attempt < ATTEMPTS, "the worker was never met");
                make_file("d/gone", 1000, 1);
                make_file("d/fifo", 1000, 1);
                run = begin(ARGV("-m", method, "-w", "1", "d", "zbig"));
                meet_worker_with(run.pid, "zbig", 0);
                CHECK(unlink("d/gone") == 0 && unlink("d/fifo") == 0 && mkfifo("d/fifo", 0666) == 0);
                end(&run);
                if ((met = run.status == 1 && strcmp(run.out, BIG_LINE) == 0)) {
                        CHECK_CONTAINS(run.err, "d/gone: No such file or directory\n");
                        CHECK_CONTAINS(run.err, "d/fifo: Stale file handle\n");
                }
                CHECK(unlink("d/fifo") == 0);
                forget(&run);
        }
}

TEST(a_file_with_a_lease_is_waited_for)
{
        struct timespec limit = { .tv_sec = RUN_MS / 1000 };
        struct run run;
        char *wanted;
        sigset_t wish;
        int fd;

        enter_temp_dir();
        make_file("leased", 1000, 1);
        wanted = reference("leased");
        sigemptyset(&wish); /* that somebody wishes to open it */
        sigaddset(&wish, SIGIO);
        sigprocmask(SIG_BLOCK, &wish, NULL);
        fd = open("leased", O_RDWR | O_CLOEXEC);
        if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
                SKIP("no leases on this file system: %s", strerror(errno));
        run = begin(ARGV("leased"));
        CHECK_INT(sigtimedwait(&wish, NULL, &limit), SIGIO);
        CHECK_INT(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
        close(fd);
        end(&run);
        check_run(&run, 0, wanted);
        forget(&run);
        free(wanted);
}

/* --- workers that die ------------------------------------------------------------------------------ */

START_METHOD_TEST(a_killed_worker_loses_nothing, .limit_s = 120)
{
        char *wanted;

        enter_temp_dir();
        make_tree();
        make_big_file();
        wanted = reference_and_big();
        for (int attempt = 0, met = 0; !met; attempt++) {
                struct run run = begin(ARGV("-m", method, "-w", "2", "tree", "zbig"));
                pid_t worker = meet_worker_with(run.pid, "zbig", 0);

                CHECK_MSG(attempt < ATTEMPTS, "the worker was never met");
                if (worker != 0)
                        kill(worker, SIGKILL);
                end(&run);
                check_run(&run, 0, wanted);
                if ((met = *run.err != '\0')) {
                        CHECK_CONTAINS(run.err, "ended by signal 9 (Killed); another worker hashes again: zbig\n");
                        CHECK(strchr(run.err, '\n')[1] == '\0');
                }
                forget(&run);
        }
        free(wanted);
}

START_METHOD_TEST(a_file_that_ends_three_workers_is_given_up, .limit_s = 120)
{
        char *all, *wanted;

        enter_temp_dir();
        make_tree();
        make_big_file();
        all = reference_and_big();
        wanted = reference("tree");
        for (int attempt = 0, met = 0; !met; attempt++) {
                struct run run = begin(ARGV("-m", method, "-w", "2", "-q", "tree", "zbig"));
                pid_t worker = 0;

                CHECK_MSG(attempt < ATTEMPTS, "the worker was never met");
                for (int i = 0; i < 3; i++)
                        if ((worker = meet_worker_with(run.pid, "zbig", worker)) != 0)
                                kill(worker, SIGKILL);
                end(&run);
                met = run.status == 1;
                check_run(&run, met, met ? wanted : all);
                CHECK_STR(run.err, !met ? ""
                                        : "mproc-checksum: zbig: given up: 3 workers died over it "
                                          "(the last one: ended by signal 9 (Killed))\n");
                forget(&run);
        }
        free(wanted);
        free(all);
}

static uint64_t
next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* Kill one of its workers, whatever it is doing.  Returns 1 if there was one. */
static int
kill_any_worker(pid_t pid, uint64_t *seed)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(pid, &list), workers = 0;
        pid_t chosen = 0;

        for (size_t i = 0; i < count; i++)
                if (is_worker(&list[i]) && next_random(seed) % ++workers == 0)
                        chosen = list[i].pid;
        free(list);
        return chosen != 0 && kill(chosen, SIGKILL) == 0;
}

START_METHOD_TEST(workers_killed_at_random_lose_nothing, .limit_s = 240)
{
        const char *given = getenv("MPROC_TEST_SEED");
        uint64_t seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15u;
        char *wanted;
        int killed = 0;

        enter_temp_dir();
        make_tree();
        make_big_file();
        wanted = reference_and_big();
        for (int attempt = 0; killed < 15; attempt++) {
                struct run run = begin(ARGV("-m", method, "-w", "3", "-t", "1000", "tree", "zbig"));

                CHECK_MSG(attempt < ATTEMPTS, "only %d workers were met", killed);
                for (int i = 0; i < 30 && !has_ended(run.pid); i++) {
                        killed += kill_any_worker(run.pid, &seed);
                        sleep_ms((int64_t)(next_random(&seed) % 20));
                }
                end(&run);
                check_run(&run, 0, wanted);
                forget(&run);
        }
        free(wanted);
}

/* --- the end of it --------------------------------------------------------------------------------- */

START_METHOD_TEST(ctrl_c_ends_all_of_them, .limit_s = 120)
{
        enter_temp_dir();
        make_big_file();
        for (int attempt = 0, met = 0; !met; attempt++) {
                struct run run = begin(ARGV("-m", method, "zbig"));

                CHECK_MSG(attempt < ATTEMPTS, "the worker was never met");
                if (meet_worker_with(run.pid, "zbig", 0) != 0)
                        kill(-run.pid, SIGINT); /* the terminal sends it to the whole group */
                end(&run);
                if ((met = run.status == -SIGINT)) {
                        CHECK_STR(run.out, "");
                        CHECK_STR(run.err, "mproc-checksum: interrupted\n");
                }
                forget(&run);
        }
        /* That no process is left, the runner sees. */
}

START_METHOD_TEST(workers_end_with_a_parent_that_was_killed, .limit_s = 120)
{
        enter_temp_dir();
        make_big_file();
        for (int attempt = 0, met = 0; !met; attempt++) {
                struct run run = begin(ARGV("-m", method, "zbig"));
                pid_t worker = meet_worker_with(run.pid, "zbig", 0);

                CHECK_MSG(attempt < ATTEMPTS, "the worker was never met");
                kill(run.pid, SIGKILL);
                end(&run);
                met = worker != 0 && run.status == -SIGKILL;
                if (met)
                        WAIT_UNTIL(!process_exists(worker), 10000);
                forget(&run);
        }
}

/* --- on a terminal --------------------------------------------------------------------------------- */

/* Run with stderr on a terminal of its own; what was written there.  free() it. */
static char *
run_on_terminal(char *const argv[], bool kill_one, int *ret_status)
{
        struct winsize size = { .ws_row = 25, .ws_col = 120 };
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, null;
        char *text = text_format("%s", ""), piece[4096];
        ssize_t n;
        pid_t pid;

        CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
        slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        CHECK(slave >= 0 && null >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0);
        fflush(NULL);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                setenv("TERM", "xterm", 1);
                dup2(null, 1);
                dup2(slave, 2);
                execv(argv[0], argv);
                _exit(127);
        }
        close(slave);
        close(null);
        if (kill_one) {
                pid_t worker = meet_worker_with(pid, "zbig", 0);

                if (worker != 0)
                        kill(worker, SIGKILL);
        }
        while ((n = read(master, piece, sizeof piece - 1)) > 0) { /* EIO: nobody has it open any more */
                char *more;

                piece[n] = '\0';
                more = text_format("%s%s", text, piece);
                free(text);
                text = more;
        }
        close(master);
        *ret_status = wait_program(pid, RUN_MS);
        return text;
}

TEST(a_bar_on_a_terminal, .limit_s = 120)
{
        enter_temp_dir();
        make_tree();
        make_big_file();
        for (int attempt = 0, met = 0; !met; attempt++) {
                int status;
                char *text = run_on_terminal(ARGV("tree", "zbig"), true, &status), *summary, *last_clear = NULL;

                CHECK_MSG(attempt < ATTEMPTS, "the worker was never met");
                CHECK_INT(status, 0);
                CHECK_CONTAINS(text, " files  ");
                CHECK_CONTAINS(text, " MB/s  ");
                CHECK_CONTAINS(text, " left");
                summary = strstr(text, " files, 2");
                CHECK_MSG(summary, "no summary: %s", text);
                for (char *p = text; (p = strstr(p, "\r\033[K")); p++)
                        last_clear = p;
                CHECK_MSG(last_clear && !strchr(last_clear + 2, '\033'), "the bar was not cleared: %s", text);
                if ((met = strstr(text, "hashes again: zbig") != NULL)) {
                        CHECK_CONTAINS(text, "1 worker killed and replaced");
                        CHECK_CONTAINS(summary, "; 1 killed and replaced\r\n");
                }
                free(text);
        }
}

TEST(no_bar_when_it_is_to_be_quiet)
{
        int status;
        char *text;

        enter_temp_dir();
        make_tree();
        text = run_on_terminal(ARGV("--quiet", "tree"), false, &status);
        CHECK_INT(status, 0);
        CHECK_STR(text, "");
        free(text);
}

/* --- the command line ------------------------------------------------------------------------------ */

TEST(wrong_command_lines_exit_2)
{
        struct run run;

        enter_temp_dir();
        run = complete(ARGV("--workers", "0", "."));
        check_run(&run, 2, "");
        CHECK_CONTAINS(run.err, "--workers is a number from 1 to 1024, not '0'\n");
        forget(&run);
        run = complete(ARGV("--workers", "4x", "."));
        check_run(&run, 2, "");
        forget(&run);
        run = complete(ARGV("--method", "sporn", "."));
        check_run(&run, 2, "");
        CHECK_CONTAINS(run.err, "sporn");
        forget(&run);
        run = complete(ARGV("--no-such-option", "."));
        check_run(&run, 2, "");
        forget(&run);
        run = complete(ARGV("--quiet"));
        check_run(&run, 2, "");
        CHECK_CONTAINS(run.err, "--help");
        forget(&run);
}

TEST(help)
{
        struct run run;

        enter_temp_dir();
        run = complete(ARGV("--help"));
        CHECK_INT(run.status, 0);
        CHECK_STR(run.err, "");
        CHECK_CONTAINS(run.out, "Usage: mproc-checksum [--method METHOD] [--workers N]");
        forget(&run);
}

TEST(a_full_disk_is_told)
{
        char *const *argv = PROGRAM_ARGV("sh", "-c", "\"$0\" d 2>err >/dev/full", program());
        int status;
        char *text;

        enter_temp_dir();
        make_dir("d");
        make_file("d/a", 1, 1);
        free(capture_program(argv, &status));
        CHECK_INT(status, 1);
        text = read_file("err", NULL);
        CHECK_STR(text, "mproc-checksum: standard output: No space left on device\n");
        free(text);
}
