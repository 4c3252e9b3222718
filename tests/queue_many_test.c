/* SPDX-License-Identifier: MIT */
/*
 * queue_many_test.c - several messages at once, limits on bytes, and what puts and gets cost the system.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 50 };

static mproc_queue *
make_queue(size_t maxsize, size_t max_bytes)
{
        mproc_queue_opts opts = MPROC_QUEUE_OPTS_INIT;
        mproc_queue *queue;

        opts.maxsize = maxsize;
        opts.max_bytes = max_bytes;
        CHECK_OK(mproc_queue_create_opts(NULL, &opts, &queue));
        return queue;
}

/* --- many --------------------------------------------------------------------------------------------- */

TEST(many_messages_go_in_and_out_in_order)
{
        mproc_queue *q = make_queue(0, 0);
        static uint8_t in[MANY][3000], out[MANY * 3008];
        mproc_message messages[MANY], got[MANY];
        uint32_t put = 0, taken = 0;

        /* Over the ends of many rings, in steps of all sizes. */
        for (unsigned round = 0; round < 400; round++) {
                size_t count = round * 7 % (MANY + 1), done = 99, n = 0, at = 0;

                for (size_t i = 0; i < count; i++) {
                        messages[i] = (mproc_message){ in[i], some_length(put, 3000) };
                        stamp_message(in[i], messages[i].len_bytes, 1, put++);
                }
                CHECK_OK(mproc_queue_put_many(q, messages, count, &done, MPROC_NOWAIT));
                CHECK_INT(done, count);
                if (put == taken)
                        continue;
                CHECK_OK(mproc_queue_get_many(q, got, 1 + round % MANY, out, sizeof out, &n, MPROC_NOWAIT));
                CHECK(n >= 1 && n <= 1 + round % MANY);
                CHECK(n == 1 + round % MANY || n == put - taken);
                for (size_t i = 0; i < n; i++, taken++) {
                        struct stamp stamp;

                        CHECK((const uint8_t *)got[i].data == out + at);
                        at += (got[i].len_bytes + 15) / 16 * 16;
                        check_stamp(got[i].data, got[i].len_bytes, &stamp);
                        CHECK_INT(stamp.number, taken);
                }
        }
        mproc_queue_free(q);
}

TEST(many_messages_stop_at_the_limit_and_tell_how_many_are_in)
{
        mproc_queue *q = make_queue(10, 0);
        mproc_message messages[16];
        char out[16 * 16];
        size_t done = 0, n;

        for (int i = 0; i < 16; i++)
                messages[i] = (mproc_message){ &"0123456789abcdef"[i], 1 };
        CHECK_CODE(mproc_queue_put_many(q, messages, 16, &done, MPROC_NOWAIT), MPROC_EFULL);
        CHECK_INT(done, 10);
        CHECK_CODE(mproc_queue_put_many(q, messages + 10, 6, &done, 20), MPROC_EFULL);
        CHECK_INT(done, 0);
        CHECK_OK(mproc_queue_get_many(q, messages, 4, out, sizeof out, &n, MPROC_NOWAIT));
        CHECK_INT(n, 4);
        CHECK(*(const char *)messages[3].data == '3');
        CHECK_OK(mproc_queue_get_many(q, messages, 16, out, 3 * 16, &n, MPROC_NOWAIT));
        CHECK_INT(n, 3); /* as many as there is room for */
        CHECK_OK(mproc_queue_get_many(q, messages, 16, out, sizeof out, &n, MPROC_NOWAIT));
        CHECK_INT(n, 3);
        CHECK(*(const char *)messages[2].data == '9');
        CHECK_CODE(mproc_queue_get_many(q, messages, 16, out, sizeof out, &n, 20), MPROC_EEMPTY);
        CHECK_OK(mproc_queue_put(q, out, 100, 0));
        CHECK_CODE(mproc_queue_get_many(q, messages, 16, out, 99, &n, 0), MPROC_ETOOSMALL);
        CHECK_INT(messages[0].len_bytes, 100);
        CHECK_CODE(mproc_queue_put_many(q, NULL, 1, NULL, 0), -EINVAL);
        CHECK_CODE(mproc_queue_get_many(q, messages, 0, out, 99, &n, 0), -EINVAL);
        CHECK_OK(mproc_queue_put_many(q, NULL, 0, NULL, 0));
        mproc_queue_free(q);
}

static int
put_numbers(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        uint32_t count = (uint32_t)mproc_args_uint(args, 1), numbers[37];
        mproc_message messages[37];

        for (uint32_t next = 0; next < count;) {
                uint32_t n = 0;

                for (; n < 37 && next < count; n++, next++) {
                        numbers[n] = next;
                        messages[n] = (mproc_message){ &numbers[n], sizeof next };
                }
                CHECK_OK(mproc_queue_put_many(q, messages, n, NULL, scaled_ms(LONG_MS)));
        }
        return 0;
}

/* The putter waits for room in the middle of its many, the getter for messages. */
START_METHOD_TEST(many_at_a_time_between_processes)
{
        static const size_t maxsizes[] = { 0, 5, 64 };

        for (int i = 0; i < 3; i++) {
                uint32_t count = 4000, next = 0;
                mproc_message got[16];
                uint8_t buffer[16 * 16];
                mproc_process *p;
                mproc_queue *q;
                size_t n;

                CHECK_OK(mproc_queue_create(ctx, maxsizes[i], &q));
                p = start(ctx, put_numbers, MPROC_ARGS(q, count));
                while (next < count) {
                        CHECK_OK(mproc_queue_get_many(q, got, 16, buffer, sizeof buffer, &n, scaled_ms(LONG_MS)));
                        for (size_t k = 0; k < n; k++, next++) {
                                CHECK_INT(got[k].len_bytes, sizeof next);
                                CHECK_MEM(got[k].data, &next, sizeof next);
                        }
                }
                finish(p, 0);
                mproc_queue_free(q);
        }
}

/* --- bytes ---------------------------------------------------------------------------------------------- */

TEST(a_limit_on_bytes_is_exact)
{
        mproc_queue *q = make_queue(0, 1000);
        static uint8_t data[1001];
        mproc_message messages[] = { { data, 400 }, { data, 400 }, { data, 400 } };
        size_t done;

        CHECK_CODE(mproc_queue_put(q, data, 1001, MPROC_NOWAIT), -EMSGSIZE);
        for (int round = 0; round < 300; round++) {
                CHECK_OK(mproc_queue_put(q, data, 999, MPROC_NOWAIT));
                CHECK_INT(mproc_queue_full(q), 0);
                CHECK_CODE(mproc_queue_put(q, data, 2, MPROC_NOWAIT), MPROC_EFULL);
                CHECK_OK(mproc_queue_put(q, data, 1, MPROC_NOWAIT));
                CHECK_INT(mproc_queue_full(q), 1);
                CHECK_OK(mproc_queue_put(q, data, 0, MPROC_NOWAIT));
                CHECK_CODE(mproc_queue_put(q, data, 1, round % 100 ? 0 : 5), MPROC_EFULL);
                for (int i = 0; i < 3; i++)
                        CHECK_OK(mproc_queue_get(q, data, sizeof data, NULL, MPROC_NOWAIT));
                CHECK_CODE(mproc_queue_put_many(q, messages, 3, &done, 0), MPROC_EFULL);
                CHECK_INT(done, 2);
                for (int i = 0; i < 2; i++)
                        CHECK_OK(mproc_queue_get(q, data, sizeof data, NULL, MPROC_NOWAIT));
        }
        mproc_queue_free(q);
        q = make_queue(2, 1000);
        CHECK_OK(mproc_queue_put(q, data, 1, 0));
        CHECK_OK(mproc_queue_put(q, data, 1, 0));
        CHECK_CODE(mproc_queue_put(q, data, 1, 0), MPROC_EFULL);
        mproc_queue_free(q);
}

static int
put_of_many_lengths(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        static uint8_t data[1000];

        for (uint32_t i = 0; i < 1000; i++) {
                size_t len = some_length(i, sizeof data);

                stamp_message(data, len, 0, i);
                CHECK_OK(mproc_queue_put(q, data, len, scaled_ms(LONG_MS)));
        }
        return 0;
}

START_METHOD_TEST(putters_wait_for_room_in_bytes)
{
        mproc_queue_opts opts = MPROC_QUEUE_OPTS_INIT;
        mproc_process *p[2];
        uint8_t data[1000];
        struct stamp stamp;
        mproc_queue *q;
        size_t len;

        opts.max_bytes = 2500;
        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &q));
        for (int i = 0; i < 2; i++)
                p[i] = start(ctx, put_of_many_lengths, MPROC_ARGS(q));
        for (int i = 0; i < 2000; i++) {
                CHECK_OK(mproc_queue_get(q, data, sizeof data, &len, scaled_ms(LONG_MS)));
                check_stamp(data, len, &stamp);
        }
        for (int i = 0; i < 2; i++)
                finish(p[i], 0);
        CHECK_INT(mproc_queue_empty(q), 1);
        mproc_queue_free(q);
}

/* --- system calls ------------------------------------------------------------------------------------------ */

static void
traced_work(void)
{
        mproc_queue *q = make_queue(100, 0);
        mproc_message many[8], got[8];
        char text[64] = "", buffer[8 * 64];
        size_t n;

        for (int i = 0; i < 8; i++)
                many[i] = (mproc_message){ text, sizeof text };
        CHECK_OK(mproc_queue_put(q, text, sizeof text, MPROC_FOREVER));
        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, MPROC_FOREVER));
        (void)syscall(SYS_getppid);
        for (int i = 0; i < 500; i++) {
                CHECK_OK(mproc_queue_put(q, text, sizeof text, MPROC_FOREVER));
                CHECK_OK(mproc_queue_put_many(q, many, 8, NULL, 1000));
                CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 1000));
                CHECK_OK(mproc_queue_get_many(q, got, 8, buffer, sizeof buffer, &n, MPROC_FOREVER));
        }
        (void)syscall(SYS_getppid);
}

/* What the child asks of the system between its two getppid. */
TEST(nobody_sleeps_and_nothing_is_asked_of_the_system)
{
        int status, calls = 0, markers = 0;
        pid_t pid;

        if (under_valgrind())
                SKIP("valgrind's own system calls would be counted");
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
                        _exit(77);
                (void)raise(SIGSTOP);
                traced_work();
                _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status))
                SKIP("no tracing here");
        CHECK(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(uintptr_t)PTRACE_O_TRACESYSGOOD) == 0);
        while (markers < 2) {
                struct __ptrace_syscall_info info;

                CHECK(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
                CHECK(waitpid(pid, &status, 0) == pid);
                CHECK_MSG(WIFSTOPPED(status), "the child ended before it was through");
                CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) > 0);
                if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
                        continue;
                if (info.entry.nr == SYS_getppid)
                        markers++;
                else
                        calls += markers == 1;
        }
        (void)ptrace(PTRACE_CONT, pid, NULL, NULL);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_INT(calls, 0);
}
