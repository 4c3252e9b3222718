/* SPDX-License-Identifier: MIT */
/* Arguments: every type, many of them, large ones, wrong ones, and children that never read them. */
#include "process_help.h"

#include <float.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MANY_FDS  200
#define LARGE_LEN ((size_t)64 << 20)

/* --- types ------------------------------------------------------------------------------------------------ */

static int
gets_all_types(mproc_args *args)
{
        size_t len = 99;

        CHECK_INT(mproc_args_count(args), 8);
        CHECK_INT(mproc_args_type(args, 0), MPROC_ARG_INT);
        CHECK_INT(mproc_args_type(args, 1), MPROC_ARG_UINT);
        CHECK_INT(mproc_args_type(args, 2), MPROC_ARG_DOUBLE);
        CHECK_INT(mproc_args_type(args, 3), MPROC_ARG_STRING);
        CHECK_INT(mproc_args_type(args, 4), MPROC_ARG_BYTES);
        CHECK_INT(mproc_args_type(args, 5), MPROC_ARG_FD);
        CHECK_INT(mproc_args_type(args, 6), MPROC_ARG_CONNECTION);
        CHECK_INT(mproc_args_type(args, 7), MPROC_ARG_STRING);
        CHECK_INT(mproc_args_type(args, 8), MPROC_ARG_NONE);
        CHECK_INT(mproc_args_type(args, SIZE_MAX), MPROC_ARG_NONE);
        CHECK_INT(mproc_args_int(args, 0), INT64_MIN);
        CHECK(mproc_args_uint(args, 1) == UINT64_MAX);
        CHECK(mproc_args_double(args, 2) == DBL_MIN);
        CHECK_STR(mproc_args_string(args, 3), "text \xe2\x82\xac");
        CHECK_MEM(mproc_args_bytes(args, 4, &len), "a\0b\0", 4);
        CHECK_INT(len, 4);
        CHECK(mproc_args_bytes(args, 4, NULL) == mproc_args_bytes(args, 4, &len));
        write_all(mproc_args_fd(args, 5), "fd", 2);
        CHECK_OK(mproc_connection_send(mproc_args_connection(args, 6), "connection", 10, MPROC_FOREVER));
        CHECK(mproc_args_connection(args, 6) == mproc_args_connection(args, 6));
        CHECK_STR(mproc_args_string(args, 7), "");
        return 0;
}

START_METHOD_TEST(every_type_arrives)
{
        struct pipe_ends ends = make_pipe();
        mproc_connection *here, *there;
        char text[16], bytes[] = { 'a', 0, 'b', 0 };
        size_t len;
        mproc_process *p;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_OK(mproc_process_create(ctx, gets_all_types,
                                      MPROC_ARGS(INT64_MIN, UINT64_MAX, DBL_MIN, "text \xe2\x82\xac",
                                                 mproc_bytes(bytes, sizeof bytes), mproc_fd(ends.in), there, ""),
                                      &p));
        memset(bytes, 'x', sizeof bytes); /* copied when the process was created */
        close(ends.in);                   /* and this was duplicated */
        CHECK_OK(mproc_process_start(p));
        CHECK(read(ends.out, text, sizeof text) == 2);
        CHECK_OK(mproc_connection_recv(here, text, sizeof text, &len, scaled_ms(LONG_MS)));
        CHECK_INT(len, 10);
        CHECK_INT(finish(p), 0);
        mproc_connection_free(here);
        mproc_connection_free(there);
        close(ends.out);
}

static int
gets_c_types(mproc_args *args)
{
        static const mproc_arg_type types[] = {
                MPROC_ARG_INT,    MPROC_ARG_INT,    MPROC_ARG_INT,    MPROC_ARG_UINT,   MPROC_ARG_INT, MPROC_ARG_UINT,
                MPROC_ARG_INT,    MPROC_ARG_UINT,   MPROC_ARG_INT,    MPROC_ARG_UINT,   MPROC_ARG_INT, MPROC_ARG_UINT,
                MPROC_ARG_DOUBLE, MPROC_ARG_DOUBLE, MPROC_ARG_STRING, MPROC_ARG_STRING,
        };

        CHECK_INT(mproc_args_count(args), 16);
        for (size_t i = 0; i < 16; i++)
                CHECK_INT(mproc_args_type(args, i), types[i]);
        CHECK_INT(mproc_args_int(args, 0), 1);
        CHECK_INT(mproc_args_int(args, 1), 'c');
        CHECK_INT(mproc_args_int(args, 2), -128);
        CHECK_INT(mproc_args_uint(args, 3), 255);
        CHECK_INT(mproc_args_int(args, 4), -32768);
        CHECK_INT(mproc_args_uint(args, 5), 65535);
        CHECK_INT(mproc_args_int(args, 6), INT32_MIN);
        CHECK_INT(mproc_args_uint(args, 7), UINT32_MAX);
        CHECK_INT(mproc_args_int(args, 8), -1);
        CHECK(mproc_args_uint(args, 9) == (unsigned long)-1);
        CHECK_INT(mproc_args_int(args, 10), INT64_MAX);
        CHECK(mproc_args_uint(args, 11) == UINT64_MAX - 1);
        CHECK(mproc_args_double(args, 12) == 0.5);
        CHECK(isnan(mproc_args_double(args, 13)));
        CHECK_STR(mproc_args_string(args, 14), "mutable");
        CHECK_STR(mproc_args_string(args, 15), "constant");
        return 0;
}

START_METHOD_TEST(every_type_of_c_finds_its_own)
{
        char mutable[] = "mutable";
        const char *constant = "constant";

        CHECK_INT(run(ctx, gets_c_types,
                      MPROC_ARGS((_Bool)7, (char)'c', (signed char)-128, (unsigned char)255, (short)-32768,
                                 (unsigned short)65535, INT32_MIN, UINT32_MAX, -1L, (unsigned long)-1,
                                 (long long)INT64_MAX, (unsigned long long)UINT64_MAX - 1, 0.5f, (double)NAN, mutable,
                                 constant)),
                  0);
}

static int
count_and_sum(mproc_args *args)
{
        int64_t sum = 0;

        for (size_t i = 0; i < mproc_args_count(args); i++)
                sum += mproc_args_int(args, i);
        return (int)sum * 10 + (int)mproc_args_count(args) % 10;
}

START_METHOD_TEST(any_number_of_arguments)
{
        mproc_arg many[1000];
        int fds_before;

        CHECK_INT(run(ctx, count_and_sum, MPROC_NO_ARGS), 0);
        fds_before = count_fds();
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1)), 11);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1)), 22);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1)), 33);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1)), 44);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1)), 55);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1)), 66);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1)), 77);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1)), 88);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1)), 99);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 100);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 111);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 122);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 133);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 144);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 155);
        CHECK_INT(run(ctx, count_and_sum, MPROC_ARGS(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), 166);
        for (int i = 0; i < 1000; i++)
                many[i] = mproc_arg_int(i == 500 ? 20 : 0);
        CHECK_INT(run(ctx, count_and_sum, ((mproc_arglist){ many, 1000 })), 200);
        CHECK_INT(count_fds(), fds_before);
}

/* --- the getters' conversions ------------------------------------------------------------------------------ */

static int
converts(mproc_args *args)
{
        CHECK_INT(mproc_args_uint(args, 0), 5); /* a signed one that fits */
        CHECK_INT(mproc_args_int(args, 1), 6);  /* an unsigned one that fits */
        CHECK_INT(mproc_args_int(args, 2), INT64_MAX);
        CHECK(mproc_args_double(args, 0) == 5.0); /* integers as doubles */
        CHECK(mproc_args_double(args, 1) == 6.0);
        CHECK(mproc_args_double(args, 3) == -7.0);
        return 0;
}

START_METHOD_TEST(integers_convert_where_they_fit)
{
        CHECK_INT(run(ctx, converts, MPROC_ARGS(5, 6u, (uint64_t)INT64_MAX, -7)), 0);
}

/* Argument 0 says which getter to use on argument 1. */
static int
mistakes(mproc_args *args)
{
        switch (mproc_args_int(args, 0)) {
        case 0:
                (void)mproc_args_int(args, 1);
                break;
        case 1:
                (void)mproc_args_uint(args, 1);
                break;
        case 2:
                (void)mproc_args_double(args, 1);
                break;
        case 3:
                (void)mproc_args_string(args, 1);
                break;
        case 4:
                (void)mproc_args_bytes(args, 1, NULL);
                break;
        case 5:
                (void)mproc_args_fd(args, 1);
                break;
        case 6:
                (void)mproc_args_queue(args, 1);
                break;
        case 7:
                (void)mproc_args_connection(args, 1);
                break;
        case 8:
                (void)mproc_args_lock(args, 1);
                break;
        case 9:
                (void)mproc_args_semaphore(args, 1);
                break;
        case 10:
                (void)mproc_args_int(args, 2);
                break;
        case 11:
                (void)mproc_args_int(args, SIZE_MAX);
                break;
        default:
                break;
        }
        return 50;
}

static void
expect_mistake(mproc_context *ctx, int getter, mproc_arg value, const char *wanted, const char *found)
{
        mproc_report report = run_report(ctx, mistakes, MPROC_ARGS(getter, value));

        CHECK_INT(report.exitcode, 1);
        CHECK_INT(report.error, MPROC_EARGTYPE);
        CHECK_STR(report.step, "argument");
        CHECK_CONTAINS(report.text, "target ");
        CHECK_CONTAINS(report.text, wanted);
        CHECK_CONTAINS(report.text, found);
}

START_METHOD_TEST(mistaken_getters_end_the_child_with_words)
{
        mproc_arg text = mproc_arg_string("text"), number = mproc_arg_int(1);

        expect_mistake(ctx, 0, text, "argument 1 is wanted as integer", "of type string");
        expect_mistake(ctx, 0, mproc_arg_uint(UINT64_MAX), "argument 1 is wanted as integer", "unsigned integer");
        expect_mistake(ctx, 0, mproc_arg_double(1), "wanted as integer", "double");
        expect_mistake(ctx, 1, mproc_arg_int(-1), "wanted as unsigned integer", "of type integer");
        expect_mistake(ctx, 2, text, "wanted as double", "string");
        expect_mistake(ctx, 3, number, "wanted as string", "integer");
        expect_mistake(ctx, 3, mproc_bytes("a", 2), "wanted as string", "block of bytes");
        expect_mistake(ctx, 4, text, "wanted as block of bytes", "string");
        expect_mistake(ctx, 5, number, "wanted as file descriptor", "integer");
        expect_mistake(ctx, 6, number, "wanted as queue", "integer");
        expect_mistake(ctx, 7, number, "wanted as connection", "integer");
        expect_mistake(ctx, 8, number, "wanted as lock", "integer");
        expect_mistake(ctx, 9, number, "wanted as semaphore", "integer");
        expect_mistake(ctx, 10, number, "argument 2", "only 2 arguments");
        expect_mistake(ctx, 11, number, "argument 18446744073709551615", "only 2 arguments");
}

int named_target(mproc_args *args);

/* Not static, and exported: so it has a name. */
__attribute__((visibility("default"))) int
named_target(mproc_args *args)
{
        return (int)mproc_args_int(args, 0);
}

START_METHOD_TEST(a_failing_target_is_named)
{
        mproc_report report = run_report(ctx, named_target, MPROC_ARGS("text"));

        CHECK_INT(report.exitcode, 1);
        CHECK_CONTAINS(report.text, "target ");
        CHECK_CONTAINS(report.text, "args_test+0x"); /* or, with -rdynamic, named_target */
}

/* --- sizes --------------------------------------------------------------------------------------------------- */

static unsigned char
pattern(size_t at)
{
        return (unsigned char)(at * 31 + (at >> 12));
}

static int
checks_bytes(mproc_args *args)
{
        size_t wanted = (size_t)mproc_args_uint(args, 0), len = 1;
        const unsigned char *data = mproc_args_bytes(args, 1, &len);

        CHECK_INT(len, wanted);
        for (size_t i = 0; i<len; i += len> 1 << 20 ? 509 : 1)
                CHECK_MSG(data[i] == pattern(i), "byte %zu of %zu is wrong", i, len);
        if (len > 0)
                CHECK(data[len - 1] == pattern(len - 1));
        ((unsigned char *)(uintptr_t)data)[0] = 0; /* ours to write, and nobody else's */
        return 0;
}

static void
pass_bytes(mproc_context *ctx, size_t len)
{
        unsigned char *data = malloc(len + 1);

        CHECK(data != NULL);
        for (size_t i = 0; i < len; i++)
                data[i] = pattern(i);
        CHECK_INT(run(ctx, checks_bytes, MPROC_ARGS(len, mproc_bytes(data, len))), 0);
        CHECK(data[0] == pattern(0) || len == 0);
        free(data);
}

START_METHOD_TEST(bytes_of_any_length)
{
        size_t lengths[] = { 0, 1, 4095, 65000, 65536, 65537, 1 << 20 };

        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
                pass_bytes(ctx, lengths[i]);
}

/* Around the size where a message leaves the socket for a file of its own. */
START_METHOD_TEST(bytes_around_the_limit_of_a_message)
{
        if (strcmp(method, "fork") == 0)
                SKIP("a forked child inherits its arguments");
        for (size_t len = 65536 - 600; len < 65536 + 8; len += 13)
                pass_bytes(ctx, len);
}

START_METHOD_TEST(bytes_of_64_mib)
{
        pass_bytes(ctx, LARGE_LEN);
}

static int
checks_string(mproc_args *args)
{
        const char *text = mproc_args_string(args, 0);

        CHECK_INT(strlen(text), mproc_args_int(args, 1));
        CHECK(text[0] == 'x' && text[strlen(text) - 1] == 'x');
        return 0;
}

START_METHOD_TEST(strings_of_a_mebibyte)
{
        char *text = malloc((1 << 20) + 1);

        CHECK(text != NULL);
        memset(text, 'x', 1 << 20);
        text[1 << 20] = 0;
        CHECK_INT(run(ctx, checks_string, MPROC_ARGS(text, 1 << 20)), 0);
        free(text);
}

/* --- descriptors ------------------------------------------------------------------------------------------------ */

static ino_t
inode_of(int fd)
{
        struct stat st;

        CHECK(fstat(fd, &st) == 0);
        return st.st_ino;
}

/* The numbers differ; it is the same file, close-on-exec. */
static int
checks_fds(mproc_args *args)
{
        size_t count = mproc_args_count(args) / 2;

        for (size_t i = 0; i < count; i++) {
                int fd = mproc_args_fd(args, 2 * i);

                CHECK(fd > 2);
                CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
                CHECK_INT(inode_of(fd), mproc_args_uint(args, 2 * i + 1));
        }
        return 0;
}

static void
pass_fds(mproc_context *ctx, size_t count)
{
        mproc_arg *list = calloc(2 * count, sizeof *list);
        int *fds = calloc(count, sizeof *fds);

        CHECK(list != NULL && fds != NULL);
        for (size_t i = 0; i < count; i++) {
                fds[i] = memfd_create("argument", MFD_CLOEXEC);
                CHECK(fds[i] >= 0);
                list[2 * i] = mproc_fd(fds[i]);
                list[2 * i + 1] = mproc_arg_uint(inode_of(fds[i]));
        }
        CHECK_INT(run(ctx, checks_fds, ((mproc_arglist){ list, 2 * count })), 0);
        for (size_t i = 0; i < count; i++)
                close(fds[i]);
        free(fds);
        free(list);
}

static void
allow_fds(rlim_t count)
{
        struct rlimit limit;

        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        if (limit.rlim_max < count)
                SKIP("no more than %llu descriptors are allowed here", (unsigned long long)limit.rlim_max);
        if (limit.rlim_cur < count)
                limit.rlim_cur = count;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

START_METHOD_TEST(descriptors_of_any_number)
{
        size_t counts[] = { 1, 2, 239, 240, 241, 253, 254 };

        allow_fds(1024);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
                pass_fds(ctx, counts[i]);
        pass_fds(ctx, MANY_FDS);
}

START_METHOD_TEST(more_descriptors_than_one_call_carries)
{
        allow_fds(4096);
        pass_fds(ctx, 1000);
}

/* Both at once: a message too long for the socket, and descriptors in several portions. */
static int
checks_both(mproc_args *args)
{
        size_t len;

        (void)mproc_args_bytes(args, 0, &len);
        CHECK_INT(len, LARGE_LEN);
        for (size_t i = 1; i < mproc_args_count(args); i++)
                CHECK(mproc_args_fd(args, i) > 2);
        return 0;
}

START_METHOD_TEST(bytes_and_descriptors_together)
{
        mproc_arg list[1 + 480];
        char *data = calloc(1, LARGE_LEN);

        CHECK(data != NULL);
        allow_fds(2048);
        list[0] = mproc_bytes(data, LARGE_LEN);
        for (int i = 1; i <= 480; i++)
                list[i] = mproc_fd(0);
        CHECK_INT(run(ctx, checks_both, ((mproc_arglist){ list, 481 })), 0);
        free(data);
}

/* The process object alone keeps it open, and gives it back: after the start, or with the handle. */
START_METHOD_TEST(descriptors_are_given_back)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p;
        char byte;

        p = create(ctx, return_argument, MPROC_ARGS(0, mproc_fd(ends.in)));
        close(ends.in);
        mproc_process_free(p);
        CHECK_INT(read(ends.out, &byte, 1), 0);
        close(ends.out);

        ends = make_pipe();
        p = create(ctx, return_argument, MPROC_ARGS(0, mproc_fd(ends.in)));
        close(ends.in);
        CHECK_OK(mproc_process_start(p));
        CHECK_INT(read(ends.out, &byte, 1), 0); /* when the child has ended */
        CHECK_INT(finish(p), 0);
        close(ends.out);
}

/* --- children that never read -------------------------------------------------------------------------------------
 */

static char *
make_script(const char *text)
{
        char *path = path_in(temp_dir(), "script");

        write_file(path, text);
        CHECK(chmod(path, 0700) == 0);
        return path;
}

/* The tracker lives already, so the executable is used for the child alone. */
static mproc_process *
start_executable(const char *path)
{
        mproc_context *spawn;
        mproc_process *p;
        char *data = calloc(1, LARGE_LEN);

        CHECK(data != NULL);
        CHECK_OK(mproc_get_context("spawn", &spawn));
        CHECK_INT(run(spawn, return_argument, MPROC_NO_ARGS), 0);
        CHECK_OK(mproc_set_executable(path));
        p = create(spawn, return_argument, MPROC_ARGS(0, mproc_bytes(data, LARGE_LEN), mproc_fd(0)));
        free(data);
        CHECK_OK(mproc_process_start(p));
        return p;
}

static void
expect_death_before_target(mproc_process *p, int exitcode)
{
        mproc_report report;

        CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_process_report(p, &report));
        CHECK_INT(report.exitcode, exitcode);
        CHECK_INT(report.error, MPROC_ECHILDDIED);
        CHECK_STR(report.step, "start");
        CHECK_CONTAINS(report.text, "before its target began");
        mproc_process_free(p);
}

TEST(executable_that_does_not_read)
{
        mproc_process *p = start_executable("/bin/false");

        CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
        CHECK_CONTAINS(mproc_process_error(p), "mproc_init");
        expect_death_before_target(p, 1);
}

TEST(executable_that_is_killed_before_it_reads)
{
        char *path = make_script("#!/bin/sh\nkill -9 $$\n");

        expect_death_before_target(start_executable(path), -SIGKILL);
        free(path);
}

/* It lives, so there is nothing to tell; but it can be waited for with a limit, and killed. */
TEST(executable_that_does_not_end)
{
        char *path = make_script("#!/bin/sh\nexec sleep 1000\n");
        mproc_process *p = start_executable(path);

        CHECK_CODE(mproc_process_join(p, 50), MPROC_ETIMEDOUT);
        CHECK_INT(mproc_process_is_alive(p), 1);
        CHECK_OK(mproc_process_kill(p));
        expect_death_before_target(p, -SIGKILL);
        free(path);
}

/* Killed at any moment of its start: it ends, and what is told is the truth. */
START_METHOD_TEST(child_killed_while_it_starts)
{
        char *data = calloc(1, 1 << 20);

        CHECK(data != NULL);
        for (int i = 0; i < 60; i++) {
                mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(0), mproc_bytes(data, 1 << 20)));
                int64_t pause_us = i * 40;
                mproc_report report;

                usleep((useconds_t)pause_us); /* to hit it at different places */
                CHECK_OK(mproc_process_kill(p));
                CHECK_OK(mproc_process_join(p, scaled_ms(LONG_MS)));
                CHECK_OK(mproc_process_report(p, &report));
                CHECK_MSG(report.exitcode == -SIGKILL || report.exitcode == 0, "%d: %s", report.exitcode,
                          report.text);
                CHECK(report.error == 0 || report.error == MPROC_ECHILDDIED);
                mproc_process_free(p);
        }
        free(data);
}
