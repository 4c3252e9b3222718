/* SPDX-License-Identifier: MIT */
/*
 * shm_test.c - shared memory: the same bytes for all who have it, and nothing left when they are gone.
 *
 * Runs in: test processes.
 */
#include "sync_help.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/queue_args.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PAGE                    4096
#define GIB                     ((size_t)1 << 30)
#define COUNT                   10000

#define SKIP_IF(condition, ...) ((condition) ? SKIP(__VA_ARGS__) : (void)0)

static mproc_shm *
make(mproc_context *ctx, size_t size)
{
        mproc_shm *shm;

        CHECK_OK(mproc_shm_create(ctx, NULL, size, &shm));
        return shm;
}

static uint8_t *
bytes(mproc_shm *shm)
{
        return mproc_shm_data(shm);
}

/* A name that no other test process uses; static storage, four at a time. */
static const char *
name_of(const char *part)
{
        static char names[4][64];
        static unsigned next;
        char *text = names[next++ % 4];

        (void)snprintf(text, sizeof *names, "/shm-test-%d-%s", (int)getpid(), part);
        return text;
}

static int
fill(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);

        memset(bytes(shm), (int)mproc_args_int(args, 1), mproc_shm_size(shm));
        return 0;
}

static bool
has_seals(void)
{
        mproc_shm *shm = make(NULL, 1);
        bool has = mproc_shm_seals(shm) > 0;

        mproc_shm_free(shm);
        return has;
}

/* It dies of it, in a child. */
static void
check_dies(void (*use)(mproc_shm *shm), mproc_shm *shm, int signal)
{
        int status;
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                struct rlimit no_core = { 0, 0 };

                (void)setrlimit(RLIMIT_CORE, &no_core);
                (void)!freopen("/dev/null", "w", stderr);
                use(shm);
                _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (WIFSIGNALED(status))
                CHECK_INT(WTERMSIG(status), signal);
        else
                CHECK(WEXITSTATUS(status) != 0); /* a sanitizer's word */
}

static void
write_first(mproc_shm *shm)
{
        *(volatile uint8_t *)mproc_shm_data(shm) = 1;
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(shared_memory_begins_with_zeros)
{
        mproc_shm *shm = make(NULL, COUNT);

        CHECK_INT(mproc_shm_size(shm), COUNT);
        CHECK((uintptr_t)bytes(shm) % PAGE == 0);
        for (int i = 0; i < COUNT; i++)
                CHECK_INT(bytes(shm)[i], 0);
        CHECK(!mproc_shm_name(shm));
        CHECK_INT(mproc_shm_is_readonly(shm), 0);
        CHECK(mproc_shm_fileno(shm) >= 0);
        mproc_shm_free(shm);
        mproc_shm_free(NULL);
}

TEST(wrong_use_of_shared_memory_is_told)
{
        mproc_shm_opts opts = MPROC_SHM_OPTS_INIT;
        mproc_shm *shm = NULL;

        CHECK_CODE(mproc_shm_create(NULL, NULL, 0, &shm), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "1 byte at least");
        CHECK_CODE(mproc_shm_create(NULL, NULL, SIZE_MAX, &shm), -EFBIG);
        CHECK_CODE(mproc_shm_create(NULL, "no-slash", 1, &shm), -EINVAL);
        CHECK_CODE(mproc_shm_attach(NULL, NULL, &shm), -EINVAL);
        opts.reserve = 2;
        CHECK_CODE(mproc_shm_create_opts(NULL, NULL, 1, &opts, &shm), -EINVAL);
        opts.reserve = 0;
        opts.huge = 3;
        CHECK_CODE(mproc_shm_create_opts(NULL, NULL, 1, &opts, &shm), -EINVAL);
        CHECK(!shm);
        CHECK(!mproc_shm_data(NULL) && !mproc_shm_size(NULL) && !mproc_shm_name(NULL));
        CHECK_CODE(mproc_shm_close(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_shm_fileno(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_shm_is_readonly(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_shm_readonly(NULL, &shm), MPROC_EHANDLE);
        CHECK_CODE(mproc_shm_resize(NULL, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_shm_discard(NULL, 0, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_shm_seal(NULL, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_shm_seals(NULL), MPROC_EHANDLE);
        CHECK_CONTAINS(mproc_last_error(), "a block of shared memory is wanted");
        shm = make(NULL, 10);
        CHECK_CODE(mproc_shm_seal(shm, 0x40), -EINVAL);
        CHECK_CODE(mproc_shm_discard(shm, 5, 6), -EINVAL);
        CHECK_CODE(mproc_shm_discard(shm, 11, 0), -EINVAL);
        CHECK_OK(mproc_shm_discard(shm, 10, 0));
        mproc_shm_free(shm);
}

TEST(closed_shared_memory_is_out_of_view)
{
        mproc_shm *shm = make(NULL, 10), *other;
        mproc_process *process;

        CHECK_OK(mproc_shm_close(shm));
        CHECK_OK(mproc_shm_close(shm));
        CHECK(!mproc_shm_data(shm));
        CHECK_INT(mproc_shm_size(shm), 0);
        CHECK_CODE(mproc_shm_fileno(shm), MPROC_ECLOSED);
        CHECK_CODE(mproc_shm_resize(shm, 20), MPROC_ECLOSED);
        CHECK_CODE(mproc_shm_readonly(shm, &other), MPROC_ECLOSED);
        CHECK_CODE(mproc_shm_seals(shm), MPROC_ECLOSED);
        CHECK_CODE(mproc_process_create(NULL, fill, MPROC_ARGS(shm, 1), &process), MPROC_ECLOSED);
        mproc_shm_free(shm);
}

/* Hundreds of GiB are a matter of addresses alone. */
TEST(shared_memory_may_be_larger_than_memory)
{
        mproc_shm_opts sparse = { .reserve = -1 };
        size_t size = 300 * GIB;
        mproc_shm *shm;
        struct stat st;
        int r = mproc_shm_create_opts(NULL, NULL, size, &sparse, &shm);

        SKIP_IF(r == -ENOMEM, "no room for that many addresses here");
        CHECK_OK(r);
        CHECK_INT(mproc_shm_size(shm), size);
        CHECK(fstat(mproc_shm_fileno(shm), &st) == 0);
        CHECK_INT(st.st_blocks, 0); /* nothing was touched */
        bytes(shm)[0] = 1;
        bytes(shm)[size / 2] = 2;
        bytes(shm)[size - 1] = 3;
        CHECK(fstat(mproc_shm_fileno(shm), &st) == 0);
        CHECK(st.st_blocks <= 3 * 8 * 512); /* three pages, of whatever size */
        mproc_shm_free(shm);
}

TEST(reserved_shared_memory_is_there)
{
        mproc_shm_opts opts = { .reserve = 1 };
        mproc_shm *shm;
        struct stat st;

        CHECK_OK(mproc_shm_create_opts(NULL, NULL, 1 << 20, &opts, &shm));
        CHECK(fstat(mproc_shm_fileno(shm), &st) == 0);
        CHECK(st.st_blocks >= (1 << 20) / 512);
        mproc_shm_free(shm);
        CHECK_CODE(mproc_shm_create_opts(NULL, NULL, (size_t)1 << 46, &opts, &shm), -ENOSPC);
        CHECK_CONTAINS(mproc_last_error(), "no room for 70368744177664 bytes");
}

/* A small /dev/shm is an error of create, and no signal later. */
TEST(no_room_for_a_name_is_told_at_once)
{
        mproc_shm_opts sparse = { .reserve = -1 };
        struct statvfs fs;
        mproc_shm *shm;

        CHECK(statvfs("/dev/shm", &fs) == 0);
        SKIP_IF(fs.f_blocks == 0, "/dev/shm has no size");
        CHECK_CODE(mproc_shm_create(NULL, name_of("big"), (size_t)fs.f_blocks * fs.f_frsize + 1, &shm), -ENOSPC);
        CHECK_CONTAINS(mproc_last_error(), "free in /dev/shm");
        CHECK_CODE(mproc_shm_attach(NULL, name_of("big"), &shm), -ENOENT);
        CHECK_OK(mproc_shm_create_opts(NULL, name_of("big"), (size_t)fs.f_blocks * fs.f_frsize + 1, &sparse, &shm));
        bytes(shm)[mproc_shm_size(shm) - 1] = 1;
        mproc_shm_free(shm);
        CHECK_OK(mproc_shm_unlink(name_of("big")));
}

TEST(a_limit_on_files_is_an_error_and_no_signal)
{
        struct rlimit limit = { 1 << 20, 1 << 20 };
        mproc_shm *shm = make(NULL, PAGE), *other;

        CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        CHECK_CODE(mproc_shm_create(NULL, NULL, (1 << 20) + 1, &other), -EFBIG);
        CHECK_CODE(mproc_shm_resize(shm, (1 << 20) + 1), -EFBIG);
        CHECK_INT(mproc_shm_size(shm), PAGE);
        mproc_shm_free(shm);
}

TEST(huge_pages_are_there_or_told)
{
        mproc_shm_opts opts = { .huge = MPROC_SHM_HUGE_IF_POSSIBLE };
        mproc_shm *shm;
        int r;

        CHECK_OK(mproc_shm_create_opts(NULL, NULL, 8 << 20, &opts, &shm));
        memset(bytes(shm), 1, 8 << 20);
        CHECK_OK(mproc_shm_resize(shm, 12 << 20));
        CHECK_INT(bytes(shm)[(8 << 20) - 1], 1);
        mproc_shm_free(shm);

        opts.huge = MPROC_SHM_HUGE_ALWAYS;
        CHECK_CODE(mproc_shm_create_opts(NULL, name_of("huge"), 1, &opts, &shm), MPROC_EUNSUPPORTED);
        r = mproc_shm_create_opts(NULL, NULL, 3000000, &opts, &shm);
        if (r == -ENOMEM) {
                CHECK_CONTAINS(mproc_last_error(), "nr_hugepages");
        } else if (r != MPROC_EUNSUPPORTED) {
                CHECK_OK(r);
                CHECK_INT(mproc_shm_size(shm), 3000000);
                memset(bytes(shm), 1, 3000000);
                mproc_shm_free(shm);
        }
}

/* --- size ------------------------------------------------------------------------------------------------- */

TEST(shared_memory_grows)
{
        mproc_shm *shm = make(NULL, 100);

        memset(bytes(shm), 5, 100);
        CHECK_OK(mproc_shm_resize(shm, 100));
        CHECK_OK(mproc_shm_resize(shm, 1 << 20));
        CHECK_INT(mproc_shm_size(shm), 1 << 20);
        CHECK_INT(bytes(shm)[99], 5);
        CHECK_INT(bytes(shm)[100], 0);
        bytes(shm)[(1 << 20) - 1] = 6;
        CHECK_OK(mproc_shm_resize(shm, PAGE)); /* the view alone */
        CHECK_INT(mproc_shm_size(shm), PAGE);
        CHECK_OK(mproc_shm_resize(shm, 0));
        CHECK_INT(mproc_shm_size(shm), 1 << 20);
        CHECK_INT(bytes(shm)[(1 << 20) - 1], 6);
        mproc_shm_free(shm);
}

TEST(given_back_pages_read_as_zeros)
{
        mproc_shm *shm = make(NULL, 4 * PAGE);
        struct stat before, after;

        memset(bytes(shm), 7, 4 * PAGE);
        CHECK(fstat(mproc_shm_fileno(shm), &before) == 0);
        CHECK_OK(mproc_shm_discard(shm, PAGE - 1, 2 * PAGE + 1));
        CHECK(fstat(mproc_shm_fileno(shm), &after) == 0);
        CHECK(after.st_blocks <= before.st_blocks);
        for (int i = 0; i < 4 * PAGE; i++)
                CHECK_INT(bytes(shm)[i], i >= PAGE - 1 && i < 3 * PAGE ? 0 : 7);
        mproc_shm_free(shm);
}

/* A child that looks at all it has in view, while and after others resize. */
static int
look_and_grow(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);
        mproc_connection *line = mproc_args_connection(args, 1);
        char word;

        CHECK_INT(mproc_shm_size(shm), 3 * PAGE);
        CHECK_OK(mproc_connection_send(line, "r", 1, LONG_MS));
        CHECK_INT(mproc_connection_recv(line, &word, 1, NULL, LONG_MS), 0);
        memset(bytes(shm), 9, 3 * PAGE); /* none of it is gone */
        CHECK_OK(mproc_shm_resize(shm, 8 * PAGE));
        bytes(shm)[8 * PAGE - 1] = 10;
        return 0;
}

START_METHOD_TEST(resizing_hurts_no_other_view)
{
        mproc_shm *shm = make(ctx, 3 * PAGE);
        mproc_connection *here, *there;
        mproc_process *child;
        char word;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        child = start(ctx, look_and_grow, MPROC_ARGS(shm, there));
        CHECK_OK(mproc_connection_recv(here, &word, 1, NULL, LONG_MS));
        CHECK_OK(mproc_shm_resize(shm, PAGE));
        CHECK_OK(mproc_connection_send(here, "g", 1, LONG_MS));
        finish(child, 0);
        CHECK_OK(mproc_shm_resize(shm, 0));
        CHECK_INT(mproc_shm_size(shm), 8 * PAGE);
        CHECK_INT(bytes(shm)[0], 9);
        CHECK_INT(bytes(shm)[3 * PAGE - 1], 9);
        CHECK_INT(bytes(shm)[8 * PAGE - 1], 10);
        mproc_connection_free(here);
        mproc_connection_free(there);
        mproc_shm_free(shm);
}

static int
grow_often(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);
        size_t step = (size_t)mproc_args_int(args, 1);

        for (size_t size = PAGE; size <= 200 * PAGE; size += step * PAGE) {
                CHECK_OK(mproc_shm_resize(shm, size));
                bytes(shm)[size - 1] |= (uint8_t)(1 << step);
        }
        return 0;
}

START_METHOD_TEST(growing_at_the_same_time_loses_nothing)
{
        mproc_shm *shm = make(ctx, PAGE);
        mproc_process *children[3];

        for (int i = 0; i < 3; i++)
                children[i] = start(ctx, grow_often, MPROC_ARGS(shm, i + 1));
        for (int i = 0; i < 3; i++)
                finish(children[i], 0);
        CHECK_OK(mproc_shm_resize(shm, 0));
        CHECK(mproc_shm_size(shm) >= 199 * PAGE);
        for (size_t pages = 1; pages < 199; pages++)
                CHECK((bytes(shm)[pages * PAGE - 1] & 2) != 0);
        mproc_shm_free(shm);
}

/* A child that is forked while another thread resizes has the old view or the new one. */
static atomic_bool resized_enough;

static void *
resize_all_the_time(void *arg)
{
        mproc_shm *shm = arg;

        for (size_t i = 0; !atomic_load(&resized_enough); i++)
                CHECK_OK(mproc_shm_resize(shm, (1 + i % 64) * 16 * PAGE));
        return NULL;
}

TEST(forking_while_a_thread_resizes)
{
        mproc_shm *shm = make(NULL, 64 * 16 * PAGE);
        pthread_t thread;

        atomic_store(&resized_enough, false);
        CHECK(pthread_create(&thread, NULL, resize_all_the_time, shm) == 0);
        for (int i = 0; i < 100; i++) {
                pid_t pid = fork();

                CHECK(pid >= 0);
                if (pid == 0) {
                        CHECK(mproc_shm_data(shm) && mproc_shm_size(shm) >= 16 * PAGE);
                        bytes(shm)[0] = 1;
                        bytes(shm)[mproc_shm_size(shm) - 1] = 1;
                        CHECK_OK(mproc_shm_resize(shm, 0));
                        bytes(shm)[64 * 16 * PAGE - 1] = 1;
                        mproc_shm_free(shm);
                        _exit(0);
                }
                reap(pid);
        }
        atomic_store(&resized_enough, true);
        CHECK(pthread_join(thread, NULL) == 0);
        mproc_shm_free(shm);
}

static void *
make_and_end(void *arg)
{
        for (int i = 0; i < 200; i++) {
                mproc_shm *reader, *shm = make(NULL, PAGE * (1 + (size_t)i % 5));

                (void)arg;
                bytes(shm)[0] = (uint8_t)i;
                CHECK_OK(mproc_shm_readonly(shm, &reader));
                CHECK_OK(mproc_shm_close(shm));
                CHECK_INT(bytes(reader)[0], (uint8_t)i);
                mproc_shm_free(reader);
                mproc_shm_free(shm);
        }
        return NULL;
}

TEST(many_threads_make_shared_memory)
{
        pthread_t threads[4];

        for (int i = 0; i < 4; i++)
                CHECK(pthread_create(&threads[i], NULL, make_and_end, NULL) == 0);
        for (int i = 0; i < 4; i++)
                CHECK(pthread_join(threads[i], NULL) == 0);
}

TEST(want_of_descriptors_is_told)
{
        const char *name = name_of("fds");
        struct rlimit limit, none;
        mproc_shm *shm, *other = NULL;
        mproc_array *array = NULL;

        CHECK_OK(mproc_shm_create(NULL, name, PAGE, &shm));
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        none = limit;
        none.rlim_cur = 3; /* those that are open stay */
        CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
        CHECK_CODE(mproc_shm_create(NULL, NULL, PAGE, &other), -EMFILE);
        CHECK_CODE(mproc_shm_create(NULL, name_of("more"), PAGE, &other), -EMFILE);
        CHECK_CODE(mproc_shm_attach(NULL, name, &other), -EMFILE);
        CHECK_CODE(mproc_shm_attach_readonly(NULL, name, &other), -EMFILE);
        CHECK_CODE(mproc_shm_readonly(shm, &other), -EMFILE);
        CHECK_CODE(mproc_array_create(NULL, MPROC_TYPE(int), 1, &array), -EMFILE);
        CHECK(!other && !array);
        CHECK_OK(mproc_shm_resize(shm, 3 * PAGE));
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        CHECK_OK(mproc_shm_unlink(name));
        mproc_shm_free(shm);
}

/* --- passing on --------------------------------------------------------------------------------------- */

START_METHOD_TEST(shared_memory_reaches_a_child)
{
        mproc_shm *shm = make(ctx, COUNT);

        finish(start(ctx, fill, MPROC_ARGS(shm, 7)), 0);
        for (int i = 0; i < COUNT; i++)
                CHECK_INT(bytes(shm)[i], 7);
        mproc_shm_free(shm);
}

static int
pass_on(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(mproc_args_string(args, 1), &ctx));
        finish(start(ctx, fill, MPROC_ARGS(shm, 11)), 0);
        return 0;
}

START_METHOD_TEST(shared_memory_reaches_a_grandchild)
{
        mproc_shm *shm = make(ctx, COUNT);

        finish(start(ctx, pass_on, MPROC_ARGS(shm, method)), 0);
        CHECK_INT(bytes(shm)[COUNT - 1], 11);
        mproc_shm_free(shm);
}

static int
fill_messages(mproc_args *args)
{
        mproc_queue *queue = mproc_args_queue(args, 0);

        for (int i = 0; i < 3; i++) {
                mproc_args *message;

                CHECK_OK(mproc_queue_get_args(queue, &message, LONG_MS));
                memset(bytes(mproc_args_shm(message, 0)), i + 1, COUNT);
                mproc_args_free(message);
        }
        return 0;
}

START_METHOD_TEST(shared_memory_is_a_message)
{
        mproc_queue_opts opts = MPROC_QUEUE_OPTS_INIT;
        mproc_shm *blocks[3];
        mproc_process *child;
        mproc_queue *queue;

        opts.objects = 1;
        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        child = start(ctx, fill_messages, MPROC_ARGS(queue));
        for (int i = 0; i < 3; i++) {
                blocks[i] = make(ctx, COUNT);
                CHECK_OK(mproc_queue_put_args(queue, MPROC_ARGS(blocks[i]), LONG_MS));
        }
        finish(child, 0);
        for (int i = 0; i < 3; i++) {
                CHECK_INT(bytes(blocks[i])[COUNT - 1], i + 1);
                mproc_shm_free(blocks[i]);
        }
        mproc_queue_free(queue);
}

TEST(shared_memory_of_the_fork_context_stays_there)
{
        mproc_context *fork_ctx, *spawn_ctx;
        mproc_process *process;
        mproc_shm *shm;

        CHECK_OK(mproc_get_context("fork", &fork_ctx));
        CHECK_OK(mproc_get_context("spawn", &spawn_ctx));
        shm = make(fork_ctx, 10);
        CHECK_OK(mproc_process_create(spawn_ctx, fill, MPROC_ARGS(shm, 1), &process));
        CHECK_CODE(mproc_process_start(process), MPROC_ECONTEXT);
        CHECK_CONTAINS(mproc_last_error(), "argument 0 is a block of shared memory made in the fork context");
        mproc_process_free(process);
        mproc_shm_free(shm);
}

/* --- reading alone ------------------------------------------------------------------------------------ */

static int
read_only(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);

        CHECK_INT(mproc_shm_is_readonly(shm), 1);
        CHECK_INT(bytes(shm)[0], 42);
        CHECK_CODE(mproc_shm_resize(shm, 10 * COUNT), MPROC_EREADONLY);
        CHECK_CODE(mproc_shm_discard(shm, 0, 1), MPROC_EREADONLY);
        if (mproc_shm_seals(shm) > 0) {
                CHECK(mmap(NULL, COUNT, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_shm_fileno(shm), 0) == MAP_FAILED);
                CHECK_CODE(mproc_shm_seal(shm, MPROC_SHM_SEAL_GROW), MPROC_EREADONLY);
        }
        check_dies(write_first, shm, SIGSEGV);
        return 0;
}

START_METHOD_TEST(a_read_only_handle_cannot_write)
{
        mproc_shm *shm = make(ctx, COUNT), *reader;

        CHECK_OK(mproc_shm_readonly(shm, &reader));
        bytes(shm)[0] = 42; /* after: it is the same memory */
        CHECK_INT(bytes(reader)[0], 42);
        finish(start(ctx, read_only, MPROC_ARGS(reader)), 0);
        CHECK_INT(bytes(shm)[0], 42);
        bytes(shm)[1] = 1;
        mproc_shm_free(shm);
        CHECK_INT(bytes(reader)[1], 1);
        mproc_shm_free(reader);
}

/* --- seals ------------------------------------------------------------------------------------------------ */

TEST(seals_hold)
{
        mproc_shm *shm = make(NULL, COUNT), *late;

        if (!has_seals()) {
                CHECK_CODE(mproc_shm_seal(shm, MPROC_SHM_SEAL_GROW), MPROC_EUNSUPPORTED);
                CHECK_INT(mproc_shm_seals(shm), 0);
                mproc_shm_free(shm);
                return;
        }
        CHECK_INT(mproc_shm_seals(shm), MPROC_SHM_SEAL_SHRINK);
        CHECK(ftruncate(mproc_shm_fileno(shm), 1) != 0);
        CHECK_OK(mproc_shm_seal(shm, MPROC_SHM_SEAL_GROW));
        CHECK_CODE(mproc_shm_resize(shm, COUNT + 1), -EPERM);
        CHECK_CONTAINS(mproc_last_error(), "sealed");
        CHECK_OK(mproc_shm_resize(shm, 10));
        CHECK_OK(mproc_shm_resize(shm, 0));
        bytes(shm)[0] = 1;

        int r = mproc_shm_seal(shm, MPROC_SHM_SEAL_FUTURE_WRITE);

        if (r != MPROC_EUNSUPPORTED) { /* Linux 5.1 */
                CHECK_OK(r);
                bytes(shm)[0] = 2; /* who had it goes on */
                CHECK(mmap(NULL, COUNT, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_shm_fileno(shm), 0) == MAP_FAILED);
        }
        CHECK_OK(mproc_shm_readonly(shm, &late));
        CHECK_INT(bytes(late)[0], r == 0 ? 2 : 1);
        mproc_shm_free(late);

        uint8_t *at = bytes(shm);

        CHECK_OK(mproc_shm_seal(shm, MPROC_SHM_SEAL_WRITE));
        CHECK(bytes(shm) == at);
        CHECK_INT(mproc_shm_is_readonly(shm), 1);
        CHECK(mproc_shm_seals(shm) & MPROC_SHM_SEAL_WRITE);
        CHECK_OK(mproc_shm_seal(shm, MPROC_SHM_SEAL_WRITE)); /* it is so already */
        CHECK_CODE(mproc_shm_discard(shm, 0, 1), MPROC_EREADONLY);
        check_dies(write_first, shm, SIGSEGV);
        mproc_shm_free(shm);
}

static int
check_sealed(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);

        CHECK(mproc_shm_seals(shm) & MPROC_SHM_SEAL_WRITE);
        CHECK_INT(mproc_shm_is_readonly(shm), 1);
        CHECK_INT(bytes(shm)[0], 3);
        return 0;
}

START_METHOD_TEST(what_is_sealed_against_writing_can_be_read_by_all)
{
        mproc_shm *shm = make(ctx, COUNT);

        SKIP_IF(!has_seals(), "no seals on this system");
        bytes(shm)[0] = 3;
        CHECK_OK(mproc_shm_seal(shm, MPROC_SHM_SEAL_WRITE));
        finish(start(ctx, check_sealed, MPROC_ARGS(shm)), 0);
        mproc_shm_free(shm);
}

static int
check_future_sealed(mproc_args *args)
{
        mproc_shm *shm = mproc_args_shm(args, 0);

        CHECK_INT(bytes(shm)[0], 4);
        if (mproc_args_int(args, 1)) /* a handle of its own */
                CHECK_INT(mproc_shm_is_readonly(shm), 1);
        return 0;
}

START_METHOD_TEST(a_seal_against_new_writers_makes_new_handles_read_only)
{
        mproc_shm *shm = make(ctx, COUNT);

        if (mproc_shm_seal(shm, MPROC_SHM_SEAL_FUTURE_WRITE) == 0) {
                bytes(shm)[0] = 4;
                finish(start(ctx, check_future_sealed, MPROC_ARGS(shm, strcmp(method, "fork") != 0)), 0);
                bytes(shm)[0] = 5;
        }
        mproc_shm_free(shm);
}

/* Somebody else has it in view for writing: nothing changes, and we go on writing. */
TEST(a_seal_against_writing_waits_for_nobody)
{
        mproc_shm *shm = make(NULL, COUNT);
        void *other;

        SKIP_IF(!has_seals(), "no seals on this system");
        other = mmap(NULL, COUNT, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_shm_fileno(shm), 0);
        CHECK(other != MAP_FAILED);
        bytes(shm)[0] = 1;
        CHECK_CODE(mproc_shm_seal(shm, MPROC_SHM_SEAL_WRITE), -EBUSY);
        CHECK_CONTAINS(mproc_last_error(), "for writing");
        CHECK_INT(mproc_shm_is_readonly(shm), 0);
        bytes(shm)[0]++;
        CHECK_INT(*(uint8_t *)other, 2);
        CHECK(munmap(other, COUNT) == 0);
        CHECK_OK(mproc_shm_seal(shm, MPROC_SHM_SEAL_WRITE));
        mproc_shm_free(shm);
}

/* --- names -------------------------------------------------------------------------------------------- */

TEST(names_meet)
{
        const char *name = name_of("meet");
        mproc_shm *maker, *guest, *reader;

        CHECK_CODE(mproc_shm_attach(NULL, name, &guest), -ENOENT);
        CHECK_CONTAINS(mproc_last_error(), "no shared memory named");
        CHECK_OK(mproc_shm_create(NULL, name, COUNT, &maker));
        CHECK_STR(mproc_shm_name(maker), name);
        CHECK_CODE(mproc_shm_create(NULL, name, COUNT, &guest), -EEXIST);
        CHECK_OK(mproc_shm_attach(NULL, name, &guest));
        CHECK_INT(mproc_shm_size(guest), COUNT);
        CHECK((uintptr_t)bytes(guest) % PAGE == 0);
        bytes(guest)[COUNT - 1] = 3;
        CHECK_INT(bytes(maker)[COUNT - 1], 3);
        CHECK_OK(mproc_shm_attach_readonly(NULL, name, &reader));
        CHECK_INT(mproc_shm_is_readonly(reader), 1);
        CHECK_INT(bytes(reader)[COUNT - 1], 3);
        check_dies(write_first, reader, SIGSEGV);
        CHECK_OK(mproc_shm_resize(maker, 3 * COUNT));
        CHECK_OK(mproc_shm_resize(reader, 0));
        CHECK_INT(mproc_shm_size(reader), 3 * COUNT);
        CHECK_CODE(mproc_shm_seal(maker, MPROC_SHM_SEAL_GROW), MPROC_EUNSUPPORTED);
        CHECK_INT(mproc_shm_seals(maker), 0);
        mproc_shm_free(reader);
        mproc_shm_free(maker);
        CHECK_OK(mproc_shm_unlink(name));
        CHECK_CODE(mproc_shm_unlink(name), -ENOENT);
        bytes(guest)[0] = 1; /* goes on */
        mproc_shm_free(guest);
}

TEST(a_semaphore_is_no_shared_memory)
{
        mproc_semaphore *semaphore;
        mproc_shm *shm;

        CHECK_OK(mproc_semaphore_create(NULL, name_of("both"), 1, &semaphore));
        CHECK_CODE(mproc_shm_attach(NULL, name_of("both"), &shm), -ENOENT);
        CHECK_OK(mproc_shm_create(NULL, name_of("both"), 1, &shm)); /* names of a kind are among themselves */
        CHECK_OK(mproc_shm_unlink(name_of("both")));
        CHECK_OK(mproc_semaphore_unlink(name_of("both")));
        mproc_shm_free(shm);
        mproc_semaphore_free(semaphore);
}

START_METHOD_TEST(named_shared_memory_is_passed_on)
{
        const char *name = name_of("pass");
        mproc_shm *shm;

        CHECK_OK(mproc_shm_create(ctx, name, COUNT, &shm));
        finish(start(ctx, pass_on, MPROC_ARGS(shm, method)), 0);
        CHECK_OK(mproc_shm_unlink(name));
        CHECK_INT(bytes(shm)[COUNT - 1], 11);
        mproc_shm_free(shm);
}

static int
attach_and_leave(mproc_args *args)
{
        mproc_shm *shm;

        CHECK_OK(mproc_shm_attach(NULL, mproc_args_string(args, 0), &shm));
        bytes(shm)[0]++;
        if (mproc_args_int(args, 1))
                (void)raise(SIGKILL);
        mproc_shm_free(shm);
        return 0;
}

/* Whoever attaches, ends or is killed: the name stays until its owner unlinks it. */
START_METHOD_TEST(attaching_and_ending_removes_no_name)
{
        const char *name = name_of("stays");
        mproc_shm *shm;

        CHECK_OK(mproc_shm_create(ctx, name, COUNT, &shm));
        finish(start(ctx, attach_and_leave, MPROC_ARGS(name, 0)), 0);
        finish(start(ctx, attach_and_leave, MPROC_ARGS(name, 1)), -SIGKILL);
        mproc_shm_free(shm);
        CHECK_OK(mproc_shm_attach(ctx, name, &shm));
        CHECK_INT(bytes(shm)[0], 2);
        mproc_shm_free(shm);
        CHECK_OK(mproc_shm_unlink(name));
}

/* --- programs that end -------------------------------------------------------------------------------- */

/* Makes or attaches to shared memory of that name, and then ends as it is told. */
HELPER(program)
{
        mproc_shm *shm;
        char byte;
        int r;

        CHECK(dup2(STDOUT_FILENO, STDERR_FILENO) >= 0); /* what its tracker says is read there, too */
        r = strcmp(argv[1], "create") == 0 ? mproc_shm_create(NULL, argv[2], COUNT, &shm)
                                           : mproc_shm_attach(NULL, argv[2], &shm);
        CHECK_OK(r);
        CHECK_OK(mproc_shm_resize(shm, 2 * COUNT)); /* what has grown is known by its head, too */
        dprintf(STDOUT_FILENO, "done\n");
        CHECK(read(STDIN_FILENO, &byte, 1) == 1);
        return 0;
}

struct program {
        pid_t pid;
        int in, out;
};

static struct program
begin(const char *verb, const char *name)
{
        char *args[] = { (char *)verb, (char *)name, NULL };
        struct program program;
        char *line;

        program.pid = run_helper("program", args, &program.in, &program.out);
        line = read_line(program.out);
        CHECK_STR(line, "done");
        free(line);
        return program;
}

/* All that it and its tracker say until both have ended; free() it. */
static char *
last_words(struct program *program)
{
        char *text = read_to_end(program->out, NULL);

        close(program->in);
        close(program->out);
        return text;
}

TEST(a_killed_programs_name_is_removed)
{
        const char *name = name_of("leak");
        struct program program = begin("create", name);
        mproc_shm *shm;
        char *text;

        CHECK_OK(mproc_shm_attach(NULL, name, &shm));
        CHECK(kill(program.pid, SIGKILL) == 0);
        CHECK_INT(wait_program(program.pid, LONG_MS), -SIGKILL);
        text = last_words(&program);
        CHECK_CONTAINS(text, "removed 1 leaked block of shared memory of program ");
        CHECK_CONTAINS(text, name);
        free(text);
        bytes(shm)[2 * PAGE - 1] = 1; /* what we have in view stays */
        mproc_shm_free(shm);
        CHECK_CODE(mproc_shm_attach(NULL, name, &shm), -ENOENT);
}

TEST(a_name_is_no_other_programs_to_remove)
{
        const char *name = name_of("mine");
        struct program program;
        mproc_shm *shm;
        char *text;

        CHECK_OK(mproc_shm_create(NULL, name, COUNT, &shm));
        for (int killed = 0; killed < 2; killed++) {
                program = begin("attach", name);
                if (killed)
                        CHECK(kill(program.pid, SIGKILL) == 0);
                else
                        write_all(program.in, "x", 1);
                CHECK_INT(wait_program(program.pid, LONG_MS), killed ? -SIGKILL : 0);
                text = last_words(&program);
                CHECK_STR(text, "");
                free(text);
        }
        mproc_shm_free(shm);
        CHECK_OK(mproc_shm_attach(NULL, name, &shm));
        CHECK_INT(mproc_shm_size(shm), 2 * COUNT);
        mproc_shm_free(shm);
        CHECK_OK(mproc_shm_unlink(name));
}
