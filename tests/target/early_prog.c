/* SPDX-License-Identifier: MIT */
/*
 * early_prog METHOD LOG [HOW] - a program that starts processes before mproc_init.
 *
 * Each run of main() adds a letter to LOG, so that a test sees how many there
 * were; a program that had become a bomb stops itself.  HOW "self" names this very program
 * as the executable first, which a library in a foreign program might do.
 * Then mproc_init is called, or with HOW "never" not at all.
 */
#include <fcntl.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
answer(mproc_args *args)
{
        (void)args;
        return 42;
}

static void
count_this_run(const char *log)
{
        int fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        struct stat st;

        if (fd < 0 || write(fd, "m", 1) != 1 || fstat(fd, &st) != 0 || st.st_size > 20)
                _exit(99);
        close(fd);
}

/* What the process was told, on standard output: "start: NAME of the code". */
static int
start_early(const char *method)
{
        mproc_context *ctx;
        mproc_process *p;
        int r, exitcode = 0;

        if (mproc_get_context(method, &ctx) < 0 || mproc_process_create(ctx, answer, MPROC_NO_ARGS, &p) < 0)
                return 1;
        r = mproc_process_start(p);
        dprintf(1, "start: %s: %s\n", mproc_error_name(r), r < 0 ? mproc_last_error() : "");
        if (r == 0 && mproc_process_join(p, MPROC_FOREVER) == 0 && mproc_process_exitcode(p, &exitcode) == 0)
                dprintf(1, "end: %d: %s\n", exitcode, mproc_process_error(p));
        mproc_process_free(p);
        return 0;
}

/* Children have no arguments of ours: what they need is in the environment. */
int
main(int argc, char **argv)
{
        const char *how;

        if (getenv("EARLY_METHOD") == NULL) {
                if (argc < 4)
                        return 2;
                setenv("EARLY_METHOD", argv[1], 1);
                setenv("EARLY_LOG", argv[2], 1);
                setenv("EARLY_HOW", argv[3], 1);
        }
        how = getenv("EARLY_HOW");
        count_this_run(getenv("EARLY_LOG"));
        if (strcmp(how, "self") == 0)
                (void)mproc_set_executable("/proc/self/exe");
        if (start_early(getenv("EARLY_METHOD")) != 0)
                return 2;
        if (strcmp(how, "never") != 0)
                mproc_init(argc, argv);
        return 0;
}
