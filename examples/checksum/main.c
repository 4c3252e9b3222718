/* SPDX-License-Identifier: MIT */
/*
 * mproc-checksum - what sha256sum prints, for whole directories, by many processes.
 *
 * This is mproc at a real job: workers fed by queues, results through a queue,
 * and nothing lost when a worker is killed.  Begin reading with checksum.h.
 */
#include "checksum.h"

#include <errno.h>
#include <string.h>

/* Whatever was found or not: the exit status. */
static int
run(const struct options *options, struct files *files, struct bar *bar)
{
        int interrupt_fd = interrupt_init(), r;

        if ((r = interrupt_fd) < 0 || (r = walk(options->dirs, files, bar)) < 0) {
                if (r != -EINTR)
                        bar_say(bar, "%s", strerror(-r));
        } else {
                r = crew_run(options, files, bar, interrupt_fd);
        }
        bar_clear(bar);
        interrupt_fini();
        if (r == -EINTR)
                bar_say(bar, "interrupted");
        if (r < 0)
                return 1;
        if ((r = sums_print(files)) < 0) {
                bar_say(bar, "standard output: %s", strerror(-r));
                return 1;
        }
        bar_summary(bar, options);
        return files->failed > 0 ? 1 : 0;
}

int
main(int argc, char **argv)
{
        struct options options;
        struct files files = { 0 };
        struct bar bar;
        int status;

        mproc_init(argc, argv);
        options_parse(&options, argc, argv);
        bar_init(&bar, options.quiet);
        status = run(&options, &files, &bar);
        files_free(&files);
        interrupt_follow();
        return status;
}
