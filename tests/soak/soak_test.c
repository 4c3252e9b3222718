/* SPDX-License-Identifier: MIT */
/*
 * Many starts leave nothing: no descriptor, no child, no name, no growth of memory,
 * neither in the process that starts them nor in mproc's own processes.
 *
 * MPROC_SOAK_CYCLES says how many; make soak asks for 100,000 by each method.
 */
#include "support/internal.h"

#include <mproc/mproc.h>
#include <stdlib.h>
#include <unistd.h>

#define WARM_UP_CYCLES   50
#define GROWTH_PAGES_MAX 128 /* malloc's arenas settle late; a leak of 16 bytes a start is 390 pages in 100,000 */

static int
seven(mproc_args *args)
{
        return (int)mproc_args_int(args, 0);
}

static void
cycle(mproc_context *ctx)
{
        mproc_process *p;
        int exitcode;

        CHECK_OK(mproc_process_create(ctx, seven, MPROC_ARGS(7), &p));
        CHECK_OK(mproc_process_start(p));
        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        CHECK_MSG(exitcode == 7, "exit code %d: %s", exitcode, mproc_process_error(p));
        mproc_process_free(p);
}

static long
resident_pages(pid_t pid)
{
        char text[128];
        long resident = 0;

        procfs_text(pid, 0, "statm", text, sizeof text);
        (void)sscanf(text, "%*d %ld", &resident);
        return resident;
}

static int
lines(const char *text)
{
        int count = 0;

        for (; *text; text++)
                count += *text == '\n';
        return count;
}

/* What one process holds.  Of mproc's own processes there are few: fork server and tracker. */
struct holding {
        pid_t pid;
        int fds;
        long pages;
};

static size_t
look(struct holding *ret, size_t room)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(getpid(), &list), found = 0;

        ret[found++] = (struct holding){ getpid(), count_fds(), resident_pages(getpid()) };
        for (size_t i = 0; i < count && found < room; i++) {
                char *fds = list_fds_of(list[i].pid);

                ret[found++] = (struct holding){ list[i].pid, lines(fds), resident_pages(list[i].pid) };
                free(fds);
        }
        free(list);
        return found;
}

START_METHOD_TEST(starts_leave_nothing, .limit_s = 600)
{
        const char *wanted = getenv("MPROC_SOAK_CYCLES");
        long cycles = wanted ? atol(wanted) : under_valgrind() ? 20 : 300;
        struct holding before[8], after[8];
        size_t count;

        for (int i = 0; i < WARM_UP_CYCLES; i++)
                cycle(ctx);
        support_fd_baseline();
        count = look(before, 8);
        for (long i = 0; i < cycles; i++)
                cycle(ctx);
        CHECK_INT(look(after, 8), count);
        for (size_t i = 0; i < count; i++) {
                CHECK_INT(after[i].pid, before[i].pid);
                /* The server may be about to close what the last request brought: two at most, and not two a start. */
                CHECK_MSG(after[i].fds <= before[i].fds + 2, "process %d has %d descriptors open, %d before it all",
                          (int)after[i].pid, after[i].fds, before[i].fds);
                if (!under_asan() && !under_tsan() && !under_valgrind()) /* they keep freed memory for a while */
                        CHECK_MSG(after[i].pages - before[i].pages <= GROWTH_PAGES_MAX,
                                  "process %d grew from %ld to %ld pages in %ld starts", (int)after[i].pid,
                                  before[i].pages, after[i].pages, cycles);
        }
}
