/* SPDX-License-Identifier: MIT */
/* mandelbrot_test.c - the picture is the same, however many processes draw it and whoever of them is killed. */
#include "support/internal.h"
#include "support/runner.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_MS    120000
#define ARGV(...) ((char *const *)(const char *const[]){ program(), __VA_ARGS__, NULL })

static char *
program(void)
{
        static char path[4096];

        snprintf(path, sizeof path, "%s/examples/mproc-mandelbrot", build_dir());
        if (access(path, X_OK) != 0)
                SKIP("mproc-mandelbrot was not built: no libpng here");
        return path;
}

static void
complete(char *const argv[])
{
        int status;
        char *out = capture_program(argv, &status);

        CHECK_INT(status, 0);
        CHECK_STR(out, "");
        free(out);
}

static void
check_same_files(const char *path, const char *other)
{
        size_t len, other_len;
        char *text = read_file(path, &len), *other_text = read_file(other, &other_len);

        CHECK(len == other_len);
        CHECK(memcmp(text, other_text, len) == 0);
        free(text);
        free(other_text);
}

/* In a process group of its own. */
static pid_t
begin(char *const argv[])
{
        pid_t pid;

        fflush(NULL);
        CHECK((pid = fork()) >= 0);
        if (pid == 0) {
                setpgid(0, 0);
                execv(argv[0], argv);
                _exit(127);
        }
        setpgid(pid, pid); /* whoever is first */
        return pid;
}

/* By fork all of its processes are workers; else workers have a name of their own. */
static bool
is_worker(const char *method, const char *name)
{
        return strcmp(method, "fork") == 0 || strncmp(name, "mandelbrot-", 11) == 0;
}

/* Wait for a worker, another one than this.  0: the program ended before. */
static pid_t
meet_worker(const char *method, pid_t pid, pid_t not_this)
{
        for (;;) {
                siginfo_t info = { 0 };
                struct procfs_stat *list;
                size_t count = procfs_descendants(pid, &list);
                pid_t found = 0;

                for (size_t i = 0; i < count && !found; i++)
                        if (is_worker(method, list[i].name) && list[i].pid != not_this)
                                found = list[i].pid;
                free(list);
                if (found ||
                    (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid))
                        return found;
                sleep_ms(1);
        }
}

START_METHOD_TEST(draws_what_one_process_draws)
{
        static const unsigned char begins[] = "\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\0\145\0\0\0\103\10\3";
        char *text;

        program();
        CHECK(chdir(temp_dir()) == 0);
        complete(ARGV("-w", "0", "-s", "101x67", "alone.png"));
        complete(ARGV("-m", method, "-w", "3", "-s", "101x67", "pool.png"));
        check_same_files("pool.png", "alone.png");
        text = read_file("pool.png", NULL);
        CHECK(memcmp(text, begins, sizeof begins - 1) == 0);
        free(text);
}

START_METHOD_TEST(killed_workers_leave_no_gap, .limit_s = 120)
{
        pid_t pid, worker = 0;

        program();
        CHECK(chdir(temp_dir()) == 0);
        complete(ARGV("-w", "0", "-s", "40x100", "-i", "20000", "alone.png"));
        pid = begin(ARGV("-m", method, "-w", "2", "-s", "40x100", "-i", "20000", "pool.png"));
        for (int i = 0; i < 2 && (worker = meet_worker(method, pid, worker)) != 0; i++)
                (void)kill(worker, SIGKILL);
        CHECK_INT(wait_program(pid, RUN_MS), 0);
        check_same_files("pool.png", "alone.png");
}

START_METHOD_TEST(ctrl_c_ends_all_of_them)
{
        pid_t pid;

        program();
        CHECK(chdir(temp_dir()) == 0);
        pid = begin(ARGV("-m", method, "-i", "100000000", "never.png"));
        CHECK(meet_worker(method, pid, 0) != 0);
        kill(-pid, SIGINT); /* the terminal sends it to the whole group */
        CHECK_INT(wait_program(pid, RUN_MS), -SIGINT);
        CHECK(access("never.png", F_OK) != 0);
        /* That no process is left, the runner sees. */
}

TEST(wrong_command_lines_exit_2_and_a_wrong_file_1)
{
        static const struct {
                const char *argument, *file;
                int status;
        } wrong[] = {
                { "-w-1", "x.png", 2 },  { "-s0x7", "x.png", 2 },     { "-s7x7x", "x.png", 2 },
                { "-v0,0", "x.png", 2 }, { "-v0,0,nan", "x.png", 2 }, { "-i0", "x.png", 2 },
                { "-m", "sporn", 2 },    { "--nothing", "x.png", 2 }, { "-s9x9", "nowhere/x.png", 1 },
        };

        program();
        CHECK(chdir(temp_dir()) == 0);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                int status;

                free(capture_program(ARGV(wrong[i].argument, wrong[i].file), &status));
                CHECK_MSG(status == wrong[i].status, "%s: exit status %d", wrong[i].argument, status);
        }
}
