/* SPDX-License-Identifier: MIT */
/*
 * mproc-grep - what `grep -rn` prints, sorted by file name, by a pool of workers.
 *
 * Runs in: parent.  This is a pool at a real job: the parent walks through the
 * directories and gives batches of files as tasks; their futures stand in a
 * ring, so the results are printed in the order of the files, and there are
 * never more of them than the ring has room for.  A worker that is killed costs
 * nothing: another one searches its batch again.
 */
#include "grep.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH_FILES   32
#define AHEAD         16 /* batches a worker, so that a large file holds up nobody */
#define BATCH_RETRIES 3  /* a batch that has ended so many workers and one more is given up */

struct grep {
        const struct options *options;
        mproc_future **ring;
        size_t ring_size, first, count;
        struct text batch; /* paths */
        size_t batch_files;
        struct found all;
        bool drawn; /* the line of progress stands on the screen */
};

static mproc_pool *pool;
static volatile sig_atomic_t caught;

/* --- the terminal ----------------------------------------------------------------------------------- */

static void
on_signal(int number)
{
        caught = number;
        mproc_pool_stop(pool); /* who waits for something of the pool waits no longer */
}

static void
catch_signals(void)
{
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction action = { .sa_handler = on_signal }, now;

        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
                        sigaction(numbers[i], &action, NULL);
}

/* How many batches there will be, nobody knows before the walk has ended; so this is no bar. */
static void
show_progress(mproc_pool *p, const mproc_progress *progress, void *arg)
{
        struct grep *grep = arg;

        (void)p;
        fprintf(stderr, "\r%llu files, %.1f MB, %llu lines found", (unsigned long long)grep->all.files,
                (double)grep->all.bytes / 1e6, (unsigned long long)grep->all.lines);
        if (progress->replacements > 0)
                fprintf(stderr, ", %u worker%s killed and replaced", progress->replacements,
                        progress->replacements == 1 ? "" : "s");
        fputs("\033[K", stderr);
        grep->drawn = true;
}

static void
clear_progress(struct grep *grep)
{
        if (grep->drawn)
                fputs("\r\033[K", stderr);
        grep->drawn = false;
}

/* --- taking results --------------------------------------------------------------------------------- */

static void
print(struct grep *grep, const struct found *found)
{
        const char *out = (const char *)(found + 1);

        fwrite(out, 1, found->out_bytes, stdout);
        if (found->err_bytes > 0)
                clear_progress(grep);
        fwrite(out + found->out_bytes, 1, found->err_bytes, stderr);
        grep->all.files += found->files;
        grep->all.bytes += found->bytes;
        grep->all.lines += found->lines;
        grep->all.failed += found->failed;
}

/* Wait for the oldest batch and print what it found. */
static int
collect(struct grep *grep)
{
        mproc_future *future = grep->ring[grep->first];
        const void *found;
        int r;

        if ((r = mproc_future_view(future, &found, NULL, MPROC_FOREVER)) == 0) {
                print(grep, found);
        } else if (!caught) {
                clear_progress(grep);
                fprintf(stderr, "mproc-grep: some files were not searched: %s\n", mproc_last_error());
                grep->all.failed++;
        }
        mproc_future_free(future);
        grep->first = (grep->first + 1) % grep->ring_size;
        grep->count--;
        return caught || ferror(stdout) ? -EINTR : 0;
}

/* --- giving tasks ----------------------------------------------------------------------------------- */

static int
give(struct grep *grep)
{
        size_t last;
        int r;

        if (grep->batch_files == 0)
                return 0;
        if (grep->count == grep->ring_size && (r = collect(grep)) < 0)
                return r;
        last = (grep->first + grep->count) % grep->ring_size;
        if ((r = mproc_pool_apply_async(pool, search_files,
                                        MPROC_ARGS(mproc_bytes(grep->batch.data, grep->batch.len)),
                                        &grep->ring[last])) < 0)
                return r;
        grep->count++;
        grep->batch.len = grep->batch_files = 0;
        return 0;
}

static int
add_file(const char *path, void *arg)
{
        struct grep *grep = arg;
        int r;

        if ((r = text_add(&grep->batch, path, strlen(path) + 1)) < 0)
                return r;
        grep->batch_files++;
        return grep->batch_files == BATCH_FILES ? give(grep) : 0;
}

static void
cannot_read(const char *path, int error, void *arg)
{
        struct grep *grep = arg;

        clear_progress(grep);
        fprintf(stderr, "mproc-grep: %s: %s\n", path, strerror(error));
        grep->all.failed++;
}

static int
search_all(struct grep *grep)
{
        int r;

        if ((r = walk(grep->options->dirs, add_file, cannot_read, grep)) == 0)
                r = give(grep);
        while (r == 0 && grep->count > 0)
                r = collect(grep);
        return r;
}

/* --- all of it -------------------------------------------------------------------------------------- */

/* As grep: a single file's lines stand there without its name. */
static int
names(char **dirs)
{
        struct stat st;

        return dirs[1] || stat(dirs[0], &st) < 0 || S_ISDIR(st.st_mode) ? SEARCH_NAMES : 0;
}

static int
run(struct grep *grep)
{
        const struct options *o = grep->options;
        bool shown = !o->quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
        mproc_pool_opts opts = {
                .initializer = prepare,
                .initializer_args = MPROC_ARGS(o->pattern, o->flags, names(o->dirs)),
                .retries = BATCH_RETRIES,
                .progress = shown ? show_progress : NULL,
                .progress_arg = grep,
                .name = "grep",
        };
        int r;

        grep->ring_size = (size_t)o->workers * AHEAD;
        if (!(grep->ring = calloc(grep->ring_size, sizeof(mproc_future *))))
                return -ENOMEM;
        if ((r = mproc_pool_create(o->ctx, o->workers, &opts, &pool)) < 0)
                return r;
        catch_signals();
        return search_all(grep);
}

static void
end(struct grep *grep)
{
        clear_progress(grep);
        while (grep->count-- > 0)
                mproc_future_free(grep->ring[(grep->first + grep->count) % grep->ring_size]);
        mproc_pool_free(pool);
        free(grep->ring);
        free(grep->batch.data);
        if (caught) {
                signal(caught, SIG_DFL);
                raise(caught); /* whoever waits for us sees what ended us */
        }
}

int
main(int argc, char **argv)
{
        struct options options;
        struct grep grep = { .options = &options };
        struct pattern *pattern;
        char words[256];
        int r;

        mproc_init(argc, argv);
        options_parse(&options, argc, argv);
        if (!(pattern = pattern_create(options.pattern, options.flags, words, sizeof words))) {
                fprintf(stderr, "mproc-grep: %s\n", words);
                return 2;
        }
        pattern_free(pattern);
        if ((r = run(&grep)) < 0 && !caught && !ferror(stdout))
                fprintf(stderr, "mproc-grep: %s\n", *mproc_last_error() ? mproc_last_error() : strerror(-r));
        end(&grep);
        if (fflush(stdout) != 0 || ferror(stdout)) {
                fprintf(stderr, "mproc-grep: standard output: %s\n", strerror(errno));
                return 2;
        }
        return r < 0 || grep.all.failed > 0 ? 2 : grep.all.lines > 0 ? 0 : 1;
}
