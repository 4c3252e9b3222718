/* SPDX-License-Identifier: MIT */
/*
 * grep_test.c - mproc-grep, held against find, sort and grep.
 *
 * To meet a worker in the middle of a file, the tests give it a pipe that they
 * hold open: it is searched until they close it, and no earlier.
 */
#include "support/internal.h"
#include "support/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_MS    120000
#define ARGV(...) ((char *const *)(const char *const[]){ program(), __VA_ARGS__, NULL })

static char *
program(void)
{
        static char path[4096];

        snprintf(path, sizeof path, "%s/examples/mproc-grep", build_dir());
        if (access(path, X_OK) != 0)
                SKIP("mproc-grep was not built: no PCRE2 here");
        return path;
}

/* --- what it is given ------------------------------------------------------------------------------- */

static void
make_file(const char *path, const void *data, size_t len)
{
        FILE *file = fopen(path, "wbe");

        CHECK_MSG(file, "%s: %s", path, strerror(errno));
        CHECK(fwrite(data, 1, len, file) == len);
        CHECK(fclose(file) == 0);
}

#define MAKE_TEXT(path, text) make_file(path, text, sizeof text - 1)

/* So many numbered lines; and a NUL in place of the byte at `nul`, if that is within. */
static void
make_long_file(const char *path, int lines, size_t nul)
{
        size_t room = (size_t)lines * 64, len = 0;
        char *data = malloc(room);

        CHECK(data);
        for (int i = 1; i <= lines; i++)
                len += (size_t)snprintf(data + len, room - len, "line %d of a file with foo and bar %d\n", i,
                                        i % 100);
        if (nul < len)
                data[nul] = '\0';
        make_file(path, data, len);
        free(data);
}

/* Names that sort otherwise than one would think, and contents that a program could stumble over. */
static void
make_tree(void)
{
        program();
        CHECK(chdir(temp_dir()) == 0);
        CHECK(mkdir("tree", 0777) == 0 && mkdir("tree/a", 0777) == 0 && mkdir("tree/a.d", 0777) == 0 &&
              mkdir("tree/a/sub dir", 0777) == 0 && mkdir("tree/empty", 0777) == 0);
        MAKE_TEXT("tree/a/x", "foo\nbar\n\nfoobar foo\n  int main(void)\n");
        MAKE_TEXT("tree/a-b", "Foo FOO fOo\nfoofoofoo\n#define BAZ_H\nxx{2}\n");
        MAKE_TEXT("tree/a.b", "no newline at its end: foo");
        MAKE_TEXT("tree/a0", "caf\303\251 foo\n\377\376 foo\r\n\tfoo\v\n");
        MAKE_TEXT("tree/a.d/x", "a*b (c|d) [e] {f} ^g$ \\h . foo? +\nabab\n--\n");
        MAKE_TEXT("tree/a/sub dir/-n", "\n\n\nfoo\n\n");
        MAKE_TEXT("tree/nothing", "");
        MAKE_TEXT("tree/binary", "foo\nbar\0foo\nbaz\n");
        MAKE_TEXT("tree/binary2", "\0only here: zfooz\0");
        CHECK(symlink("a.b", "tree/link") == 0 && symlink("a", "tree/link to a directory") == 0 &&
              mkfifo("tree/fifo", 0666) == 0 && mkfifo("pipe", 0666) == 0);
}

/* More and larger ones. */
static void
make_large_tree(void)
{
        make_tree();
        make_long_file("tree/long", 20000, SIZE_MAX);
        make_long_file("tree/turns binary", 20000, 300000);
        make_long_file("tree/turns binary at the edge", 20000, 2 * 98304);
        make_long_file("tree/has a hole", 10000, SIZE_MAX);
        CHECK(truncate("tree/has a hole", 10 << 20) == 0);
        for (int i = 0; i < 200; i++) {
                char *path = text_format("tree/a/%d", i);

                make_long_file(path, i % 20, SIZE_MAX);
                free(path);
        }
}

/* --- what it ought to print, and running it --------------------------------------------------------- */

struct run {
        pid_t pid;
        int status;
        char *out, *err;
};

static void
forget(struct run *run)
{
        free(run->out);
        free(run->err);
}

/* What grep prints of the files in "tree". */
static struct run
reference(const char *options, const char *pattern)
{
        static const char script[] =
                "grep --version | grep -q 'GNU grep' || exit 77; find tree -type f -print0 | sort -z |"
                "xargs -0 -r grep -nH $0 -e \"$1\" 2>wanted-err; sed -i 's/^grep:/mproc-grep:/' wanted-err";
        struct run run;

        setenv("LC_ALL", "C", 1);
        run.out = capture_program((char *const *)(const char *const[]){ "sh", "-c", script, options, pattern, NULL },
                                  &run.status);
        if (run.status == 77)
                SKIP("grep is another one here");
        run.err = read_file("wanted-err", NULL);
        run.status = *run.out || *run.err ? 0 : 1;
        return run;
}

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

static struct run
complete(char *const argv[])
{
        struct run run = begin(argv);

        end(&run);
        return run;
}

static void
check_same(const char *method, const char *options, const char *pattern)
{
        struct run wanted = reference(options, pattern), run = complete(ARGV("-m", method, options, pattern, "tree"));

        CHECK_MSG(run.status == wanted.status, "'%s': exit status %d, not %d; stderr:\n%s", pattern, run.status,
                  wanted.status, run.err);
        CHECK_MSG(strcmp(run.out, wanted.out) == 0, "'%s' (%s): other lines than those of grep", pattern, options);
        CHECK_STR(run.err, wanted.err);
        forget(&run);
        forget(&wanted);
}

/* --- what it prints --------------------------------------------------------------------------------- */

START_METHOD_TEST(prints_what_grep_prints, .limit_s = 120)
{
        make_large_tree();
        check_same(method, "-F", "foo");
        check_same(method, "-E", "^(foo|line 1?7 )");
        check_same(method, "-Fi", "FOO");
        check_same(method, "-n", "nowhere at all");
}

TEST(basic_regular_expressions, .limit_s = 120)
{
        static const char *const patterns[] = {
                "",
                "^",
                "$",
                "^$",
                "foo$",
                "^foo",
                "fo*b",
                "*b",
                "\\(*b\\)",
                "a\\|^b",
                "\\(foo\\)\\1",
                "f\\{1,2\\}o\\{2\\}",
                "x\\{2\\}{2}",
                "a^b\\|g$",
                "[]e]",
                "[^]a-z ]",
                "[[:space:]]int",
                "[^f]oo",
                "\\<foo\\>",
                "o\\b",
                "\\w\\W\\w",
                "\\s\\S*$",
                "foo\\?",
                "+",
                "(c|d)",
                "\\.",
                "\\[e\\]",
                "foo\nint",
                "[\\h]",
                "\303\251",
                "\\(a\\)*b",
                "line 199[0-9]\\{2\\} ",
                "[[:upper:]_]*H$",
        };

        make_tree();
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
                check_same("fork", "-n", patterns[i]);
}

TEST(extended_regular_expressions, .limit_s = 120)
{
        static const char *const patterns[] = {
                "",
                "fo+b",
                "(foo){2,}",
                "(ab)+?",
                "o{2}{1}b",
                "o**b",
                "a|b|^$",
                "(^|x)foo($| )",
                "x{2}\\{",
                "{f}",
                "\\(c\\|d\\)",
                "[+?*]",
                "(.)\\1\\1",
                "f.{,1}o b",
                "\\?",
                "()foo",
                "o{1,2}+b",
                "foo\\b.*\\<a",
                "[^[:alnum:] ]{2}",
        };

        make_tree();
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
                check_same("fork", "-E", patterns[i]);
}

TEST(strings_and_cases, .limit_s = 120)
{
        static const char *const patterns[] = {
                "", "foo\n*b", "a*b", "\\", ".", "(c|d)", "only here: zfoo", "oo\tf"
        };

        make_tree();
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
                check_same("fork", "-F", patterns[i]);
                check_same("fork", "-Fi", patterns[i]);
        }
        check_same("fork", "-i", "[F]oo");
        check_same("fork", "-i", "[^F]OO");
        check_same("fork", "-i", "[^a-f]OO");
}

TEST(a_single_file_has_no_name)
{
        struct run run;

        make_tree();
        run = complete(ARGV("foo", "tree/a/x"));
        CHECK_STR(run.out, "1:foo\n4:foobar foo\n");
        CHECK_INT(run.status, 0);
        forget(&run);
        run = complete(ARGV("-rn", "--", "foo", "tree/link", "tree/a/sub dir//"));
        CHECK_STR(run.out, "tree/a/sub dir/-n:4:foo\ntree/link:1:no newline at its end: foo\n");
        forget(&run);
}

TEST(what_cannot_be_read_is_told_and_the_rest_is_searched)
{
        struct run run;

        make_tree();
        CHECK(chmod("tree/a.b", 0) == 0);
        run = complete(ARGV("no newline\\|int main", "not here", "tree"));
        CHECK_INT(run.status, 2);
        CHECK_CONTAINS(run.out, "tree/a/x:5:  int main(void)\n");
        CHECK_CONTAINS(run.err, "mproc-grep: not here: No such file or directory\n");
        if (geteuid() != 0) /* to root, everything is readable */
                CHECK_CONTAINS(run.err, "mproc-grep: tree/a.b: Permission denied\n");
        forget(&run);
}

TEST(its_own_output_is_not_searched)
{
        struct run run;

        make_tree();
        run = complete(ARGV("zfooz\\|sub\\|int main", ".")); /* which writes ./out */
        CHECK_INT(run.status, 0);
        CHECK_STR(run.out, "./tree/a/x:5:  int main(void)\n");
        CHECK_CONTAINS(run.err, "mproc-grep: ./out: input file is also the output\n");
        forget(&run);
}

/* --- workers that die ------------------------------------------------------------------------------- */

/* The process that has the pipe open, another one than this. */
static pid_t
meet_reader(pid_t pid, pid_t not_this)
{
        int64_t limit = monotonic_ms() + scaled_ms(RUN_MS);
        pid_t found = 0;

        while (!found) {
                struct procfs_stat *list;
                size_t count = procfs_descendants(pid, &list);

                for (size_t i = 0; i < count && !found; i++) {
                        char *fds = list_fds_of(list[i].pid);

                        if (fds && strstr(fds, "/pipe\n") && list[i].pid != not_this)
                                found = list[i].pid;
                        free(fds);
                }
                free(list);
                CHECK_MSG(monotonic_ms() < limit, "no worker opens the pipe");
                sleep_ms(1);
        }
        return found;
}

START_METHOD_TEST(a_killed_worker_costs_nothing, .limit_s = 120)
{
        struct run wanted, run;
        char *all;
        pid_t reader;
        int fd;

        make_large_tree();
        wanted = reference("-F", "foo");
        CHECK((fd = open("pipe", O_RDWR | O_CLOEXEC)) >= 0);
        run = begin(ARGV("-m", method, "-w", "2", "-F", "foo", "pipe", "tree"));
        reader = meet_reader(run.pid, 0);
        CHECK(kill(reader, SIGKILL) == 0);
        meet_reader(run.pid, reader);
        CHECK_INT(write(fd, "one\nfoo two\n", 12), 12);
        close(fd);
        end(&run);
        all = text_format("pipe:2:foo two\n%s", wanted.out);
        CHECK_INT(run.status, 0);
        CHECK_MSG(strcmp(run.out, all) == 0, "lines were lost, or are there twice");
        CHECK_STR(run.err, wanted.err);
        free(all);
        forget(&run);
        forget(&wanted);
}

TEST(files_that_end_all_workers_are_given_up, .limit_s = 120)
{
        pid_t reader = 0;
        struct run run;
        int fd;

        make_large_tree();
        CHECK((fd = open("pipe", O_RDWR | O_CLOEXEC)) >= 0);
        run = begin(ARGV("zfooz\\|0 of a file\\|^int", "pipe", "tree"));
        for (int i = 0; i < 4; i++)
                CHECK(kill(reader = meet_reader(run.pid, reader), SIGKILL) == 0);
        close(fd);
        end(&run);
        CHECK_INT(run.status, 2);
        CHECK_CONTAINS(run.err, "mproc-grep: some files were not searched: ");
        CHECK_CONTAINS(run.out, "tree/long:20000:line 20000 of a file");
        forget(&run);
}

START_METHOD_TEST(ctrl_c_ends_all_of_them, .limit_s = 120)
{
        struct run run;
        int fd;

        make_tree();
        CHECK((fd = open("pipe", O_RDWR | O_CLOEXEC)) >= 0);
        run = begin(ARGV("-m", method, "foo", "pipe"));
        meet_reader(run.pid, 0);
        kill(-run.pid, SIGINT); /* the terminal sends it to the whole group */
        end(&run);
        close(fd);
        CHECK_INT(run.status, -SIGINT);
        CHECK_STR(run.out, "");
        CHECK_STR(run.err, "");
        forget(&run);
        /* That no process is left, the runner sees. */
}

/* --- the command line ------------------------------------------------------------------------------- */

TEST(wrong_command_lines_exit_2)
{
        static const struct {
                const char *argument, *words;
        } wrong[] = {
                { "-w0", "--workers is a number from 1 to 1024, not '0'" },
                { "--method=sporn", "sporn" },
                { "--nothing", "--help" },
                { "--", "which pattern, in which directory?" },
        };
        struct run run;

        make_tree();
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                run = complete(ARGV(wrong[i].argument, "foo"));
                CHECK_INT(run.status, 2);
                CHECK_STR(run.out, "");
                CHECK_CONTAINS(run.err, wrong[i].words);
                forget(&run);
        }
}

TEST(wrong_patterns_exit_2)
{
        static const char *const wrong[] = { "(", "a)", "[a", "[[:what:]]", "a{2,1}", "[z-a]", "\\", "a\\2" };
        struct run run;

        make_tree();
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                run = complete(ARGV("-E", wrong[i], "tree"));
                CHECK_MSG(run.status == 2, "'%s': exit status %d", wrong[i], run.status);
                CHECK_STR(run.out, "");
                CHECK_CONTAINS(run.err, "mproc-grep: ");
                forget(&run);
        }
}

TEST(help)
{
        struct run run;

        make_tree();
        run = complete(ARGV("--help"));
        CHECK_INT(run.status, 0);
        CHECK_STR(run.err, "");
        CHECK_CONTAINS(run.out, "Usage: mproc-grep [--method METHOD] [--workers N] [-EFi] PATTERN DIR...");
        forget(&run);
}

TEST(a_full_disk_is_told)
{
        char *const *argv = (char *const *)(const char *const[]){ "sh", "-c", "\"$0\" foo tree 2>err >/dev/full",
                                                                  program(), NULL };
        int status;
        char *text;

        make_tree();
        free(capture_program(argv, &status));
        CHECK_INT(status, 2);
        text = read_file("err", NULL);
        CHECK_CONTAINS(text, "mproc-grep: standard output: No space left on device\n");
        free(text);
}
