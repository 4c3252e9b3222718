/* SPDX-License-Identifier: MIT */
/*
 * Starts from a program that is busy: eight threads that allocate, log and lock
 * all the time, so that at every instant some lock of the C library's or the program's
 * is held.  MPROC_TEST_SLOW asks for ten times as many starts.
 */
#include "process_help.h"

#include <pthread.h>
#include <stdatomic.h>

#define BUSY 8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool busy;
static FILE *log_file;

static void *
be_busy(void *arg)
{
        unsigned seed = (unsigned)(uintptr_t)arg;
        void *blocks[32] = { NULL };

        while (atomic_load(&busy)) {
                unsigned i = (unsigned)rand_r(&seed) % 32;

                free(blocks[i]);
                blocks[i] = malloc(1 + (unsigned)rand_r(&seed) % 200000);
                CHECK(pthread_mutex_lock(&mutex) == 0);
                fprintf(log_file, "thread %u has block %u at %p\n", (unsigned)(uintptr_t)arg, i, blocks[i]);
                if (i == 0)
                        fflush(log_file);
                CHECK(pthread_mutex_unlock(&mutex) == 0);
                printf("%s", ""); /* locks standard output, too, which every child flushes */
                if (i == 1)
                        (void)getenv("MPROC_TEST_WORD");
        }
        for (int i = 0; i < 32; i++)
                free(blocks[i]);
        return NULL;
}

static void
with_busy_threads(void (*body)(mproc_context *ctx), mproc_context *ctx)
{
        pthread_t threads[BUSY];

        log_file = fopen("/dev/null", "we");
        CHECK(log_file != NULL);
        atomic_store(&busy, true);
        for (int i = 0; i < BUSY; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, be_busy, (void *)(uintptr_t)(i + 1)), 0);
        body(ctx);
        atomic_store(&busy, false);
        for (int i = 0; i < BUSY; i++)
                CHECK_INT(pthread_join(threads[i], NULL), 0);
        fclose(log_file);
}

static int
starts(int normally)
{
        if (under_valgrind() || under_tsan())
                return normally / 20;
        if (under_asan())
                return normally / 4;
        return getenv("MPROC_TEST_SLOW") ? normally * 10 : normally;
}

/* Uses what the parent's threads have locked. */
static int
allocates_and_prints(mproc_args *args)
{
        char *text = malloc((size_t)mproc_args_int(args, 0) + 1000);

        CHECK(text != NULL);
        snprintf(text, 1000, "%d", (int)mproc_args_int(args, 0));
        printf("%s", "");
        CHECK_STR(mproc_args_string(args, 1), "text");
        free(text);
        return (int)mproc_args_int(args, 0) % 200;
}

static void
start_often(mproc_context *ctx)
{
        for (int i = 0; i < starts(200); i++)
                CHECK_INT(run(ctx, allocates_and_prints, MPROC_ARGS(i, "text")), i % 200);
}

TEST(spawn_from_a_busy_program, .limit_s = 300)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context("spawn", &ctx));
        with_busy_threads(start_often, ctx);
}

TEST(forkserver_from_a_busy_program, .limit_s = 300)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context("forkserver", &ctx));
        with_busy_threads(start_often, ctx);
}

static void
count_warning(enum mproc_log_level level, const char *text, void *arg)
{
        if (level == MPROC_LOG_WARNING && strstr(text, "threads"))
                ++*(atomic_int *)arg;
}

/* What is risky is said once; the library adds no risk of its own. */
static void
fork_often(mproc_context *ctx)
{
        atomic_int warnings = 0;

        mproc_set_log(count_warning, &warnings);
        for (int i = 0; i < starts(60); i++)
                CHECK_INT(run(ctx, return_argument, MPROC_ARGS(i % 200)), i % 200);
        mproc_set_log(NULL, NULL);
        CHECK_INT(atomic_load(&warnings), !portable_build()); /* POSIX does not tell how many threads there are */
}

TEST(fork_from_a_busy_program_warns_once, .limit_s = 300)
{
        mproc_context *ctx;

        if (under_tsan())
                SKIP("ThreadSanitizer cannot follow a fork with threads");
        CHECK_OK(mproc_get_context("fork", &ctx));
        with_busy_threads(fork_often, ctx);
}

/* --- many at once
 * ----------------------------------------------------------------------------------------------------- */

/* Several threads start, several signal, several only look; everybody gets his own. */
static void *
start_by_turns(void *arg)
{
        const char *const *methods = mproc_get_all_start_methods();
        unsigned seed = (unsigned)(uintptr_t)arg;

        for (int i = 0; i < starts(40); i++) {
                unsigned which = (unsigned)rand_r(&seed) % 3;
                struct pipe_ends ends = make_pipe();
                mproc_process *p, **list;
                mproc_context *ctx;
                size_t count;

                CHECK_OK(mproc_get_context(methods[under_tsan() && which == 0 ? 1 : which], &ctx));
                if (i % 3 == 0) {
                        p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
                        CHECK_OK(mproc_process_kill(p));
                        CHECK_INT(finish(p), -SIGKILL);
                } else {
                        CHECK_INT(run(ctx, return_argument, MPROC_ARGS(i % 200)), i % 200);
                }
                CHECK_OK(mproc_active_children(&list, &count));
                CHECK(count <= BUSY);
                mproc_process_list_free(list, count);
                close_pipe(&ends);
        }
        return NULL;
}

TEST(all_methods_from_many_threads, .limit_s = 300)
{
        pthread_t threads[4];

        for (int i = 0; i < 4; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, start_by_turns, (void *)(uintptr_t)(i + 1)), 0);
        for (int i = 0; i < 4; i++)
                CHECK_INT(pthread_join(threads[i], NULL), 0);
        CHECK_INT(count_children(), 0);
}

/* A plain fork() by another thread at any moment finds a library that works. */
static void *
fork_plainly(void *arg)
{
        mproc_context *spawn;

        CHECK_OK(mproc_get_context("spawn", &spawn));
        while (atomic_load(&busy)) {
                pid_t pid = fork();

                if (pid == 0) {
                        mproc_process **list;
                        size_t count;

                        CHECK_OK(mproc_active_children(&list, &count));
                        mproc_process_list_free(list, count);
                        CHECK_INT(run(spawn, return_argument, MPROC_ARGS(3)), 3);
                        _exit(0);
                }
                CHECK_INT(wait_program(pid, LONG_MS), 0);
                ++*(int *)arg;
        }
        return NULL;
}

START_METHOD_TEST(plain_forks_beside_starts, .limit_s = 300)
{
        pthread_t thread;
        int forks = 0;

        if (under_tsan())
                SKIP("ThreadSanitizer cannot follow a fork with threads");
        atomic_store(&busy, true);
        CHECK_INT(pthread_create(&thread, NULL, fork_plainly, &forks), 0);
        for (int i = 0; i < starts(100); i++)
                CHECK_INT(run(ctx, return_argument, MPROC_ARGS(i % 200)), i % 200);
        atomic_store(&busy, false);
        CHECK_INT(pthread_join(thread, NULL), 0);
        CHECK(forks > 0);
}
