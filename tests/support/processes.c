/* SPDX-License-Identifier: MIT */
/* support/processes.c - programs that a test runs, and a look at its family. */
#include "support/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The child side of run_program: between fork and exec, in a process that may
 * have threads, so only system calls.
 */
static void
exec_in_child(char *const argv[], int in, int out)
{
        sigset_t none;

        if (in >= 0)
                dup2(in, 0);
        if (out >= 0)
                dup2(out, 1);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execvp(argv[0], argv);
        _exit(127);
}

static void
make_pipe(int ret_fd[2])
{
        CHECK_MSG(pipe2(ret_fd, O_CLOEXEC) == 0, "pipe: %s", strerror(errno));
}

pid_t
run_program(char *const argv[], int *ret_stdin, int *ret_stdout)
{
        int in[2] = { -1, -1 }, out[2] = { -1, -1 };
        pid_t pid;

        if (ret_stdin)
                make_pipe(in);
        if (ret_stdout)
                make_pipe(out);
        fflush(NULL);
        pid = fork();
        CHECK_MSG(pid >= 0, "fork: %s", strerror(errno));
        if (pid == 0)
                exec_in_child(argv, in[0], out[1]);
        if (ret_stdin)
                close(in[0]), *ret_stdin = in[1];
        if (ret_stdout)
                close(out[1]), *ret_stdout = out[0];
        return pid;
}

pid_t
run_helper(const char *name, char *const args[], int *ret_stdin, int *ret_stdout)
{
        size_t count = 0;
        char **argv;
        pid_t pid;

        while (args && args[count])
                count++;
        argv = calloc(count + 4, sizeof *argv);
        CHECK_MSG(argv, "out of memory");
        argv[0] = (char *)self_path();
        argv[1] = (char *)"--helper";
        argv[2] = (char *)name;
        for (size_t i = 0; i < count; i++)
                argv[3 + i] = args[i];
        pid = run_program(argv, ret_stdin, ret_stdout);
        free(argv);
        return pid;
}

int
wait_program(pid_t pid, int64_t timeout_ms)
{
        int64_t end = monotonic_ms() + scaled_ms(timeout_ms);
        int status;
        pid_t r;

        while ((r = waitpid(pid, &status, WNOHANG)) == 0) {
                struct procfs_stat stat;

                if (monotonic_ms() >= end && procfs_stat(pid, &stat)) {
                        procfs_describe(stderr, &stat);
                        check_failed(__FILE__, __LINE__, "process %d has not ended within %lld ms", (int)pid,
                                     (long long)scaled_ms(timeout_ms));
                }
                sleep_ms(1);
        }
        CHECK_MSG(r == pid, "waitpid(%d): %s", (int)pid, strerror(errno));
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

char *
capture_program(char *const argv[], int *ret_exitcode)
{
        int out, exitcode;
        pid_t pid = run_program(argv, NULL, &out);
        char *text = read_to_end(out, NULL);

        close(out);
        exitcode = wait_program(pid, 60000);
        if (ret_exitcode)
                *ret_exitcode = exitcode;
        return text;
}

bool
process_exists(pid_t pid)
{
        struct procfs_stat stat;

        return procfs_stat(pid, &stat) && stat.state != 'Z' && stat.state != 'X';
}

bool
process_is_zombie(pid_t pid)
{
        struct procfs_stat stat;

        return procfs_stat(pid, &stat) && stat.state == 'Z';
}

pid_t
process_parent(pid_t pid)
{
        struct procfs_stat stat;

        return procfs_stat(pid, &stat) ? stat.parent : 0;
}

char *
process_cmdline(pid_t pid)
{
        char text[4096];

        procfs_text(pid, 0, "cmdline", text, sizeof text);
        return text_format("%s", text);
}

static int
count_family(bool zombies_only)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(getpid(), &list);
        int found = 0;

        for (size_t i = 0; i < count; i++)
                if (list[i].parent == getpid() && (!zombies_only || list[i].state == 'Z') &&
                    !procfs_is_library_process(&list[i]))
                        found++;
        free(list);
        return found;
}

int
count_children(void)
{
        return count_family(false);
}

int
count_zombies(void)
{
        return count_family(true);
}

int
count_threads(void)
{
        int count = 0;
        struct dirent *entry;
        DIR *dir = opendir("/proc/self/task");

        CHECK_MSG(dir, "cannot read /proc/self/task: %s", strerror(errno));
        while ((entry = readdir(dir)))
                if (isdigit((unsigned char)entry->d_name[0]))
                        count++;
        closedir(dir);
        return count;
}
