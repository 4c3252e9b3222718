/* SPDX-License-Identifier: MIT */
/*
 * connection_process_test.c - connections between processes, under each start
 * method: as arguments, through each other, and when somebody dies.
 *
 * Runs in: test processes and their children.
 */
#include "connection_help.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

static mproc_process *
start(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args)
{
        mproc_process *p;

        CHECK_OK(mproc_process_create(ctx, target, args, &p));
        CHECK_OK(mproc_process_start(p));
        return p;
}

static void
expect_exit(mproc_process *p, int wanted)
{
        int exitcode;

        CHECK_OK(mproc_process_join(p, LONG_MS));
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        CHECK_MSG(exitcode == wanted, "exit code %d, not %d: %s", exitcode, wanted, mproc_process_error(p));
        mproc_process_free(p);
}

/* --- talking -------------------------------------------------------------------------------------- */

static int
echo(mproc_args *args)
{
        mproc_connection *c = mproc_args_connection(args, 0);
        void *data;
        size_t len;
        int r;

        while ((r = mproc_connection_recv_alloc(c, &data, &len, MPROC_FOREVER)) == 0) {
                CHECK_OK(mproc_connection_send(c, data, len, MPROC_FOREVER));
                free(data);
        }
        return r == MPROC_EEOF ? 7 : r;
}

START_METHOD_TEST(a_child_answers)
{
        static const size_t lens[] = { 0, 1, 1000, 300000, 5000000 };
        mproc_connection *here, *there;
        mproc_process *p;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        p = start(ctx, echo, MPROC_ARGS(there));
        CHECK_INT(mproc_connection_closed(there), 1);
        CHECK_CODE(mproc_connection_send(there, "x", 1, MPROC_NOWAIT), MPROC_EMOVED);
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                struct transfer t = { here, lens[i], 1, (unsigned)i, LONG_MS, 0 };
                pthread_t thread = start_sender(&t);
                void *data;
                size_t len;

                CHECK_OK(mproc_connection_recv_alloc(here, &data, &len, LONG_MS));
                CHECK_INT(len, lens[i]);
                check_message(data, len, (unsigned)i);
                free(data);
                pthread_join(thread, NULL);
                CHECK_OK(t.result);
        }
        CHECK_OK(mproc_connection_close(here));
        expect_exit(p, 7);
        free_pipe(here, there);
}

START_METHOD_TEST(starts_with_connections_leave_no_descriptors)
{
        int before = 0;

        for (int i = 0; i < 6; i++) {
                mproc_connection *here, *there;
                mproc_process *p;

                CHECK_OK(mproc_pipe_create(ctx, &here, &there));
                p = start(ctx, echo, MPROC_ARGS(there));
                send_text(here, "hello");
                expect_text(here, "hello");
                free_pipe(here, there);
                expect_exit(p, 7);
                if (i == 0)
                        before = count_fds();
        }
        CHECK_INT(count_fds(), before);
}

static int
report(mproc_args *args)
{
        mproc_connection *writer = mproc_args_connection(args, 0);

        CHECK_INT(mproc_connection_readable(writer), 0);
        CHECK_INT(mproc_connection_writable(writer), 1);
        CHECK(fcntl(mproc_connection_fileno(writer), F_GETFD) & FD_CLOEXEC);
        CHECK_OK(mproc_connection_send(writer, "ready", 6, MPROC_FOREVER));
        if (mproc_args_count(args) > 1) { /* stay until told to go */
                char byte;

                CHECK_CODE(mproc_connection_recv(mproc_args_connection(args, 1), &byte, 1, NULL, MPROC_FOREVER),
                           MPROC_EEOF);
        }
        return 0;
}

/* A sibling that lives, started before or after, does not hold the other's end of file back. */
START_METHOD_TEST(the_end_of_file_comes_though_siblings_live)
{
        mproc_connection *reader[3], *writer[3], *wait_here[3], *go[3];
        mproc_process *p[3];
        char byte;

        for (int i = 0; i < 3; i++) {
                CHECK_OK(mproc_pipe_create_oneway(ctx, &reader[i], &writer[i]));
                CHECK_OK(mproc_pipe_create_oneway(ctx, &wait_here[i], &go[i]));
        }
        for (int i = 0; i < 3; i++)
                p[i] = start(ctx, report, MPROC_ARGS(writer[i], wait_here[i]));
        for (int i = 0; i < 3; i++)
                expect_text(reader[i], "ready");
        for (int k = 0; k < 3; k++) {
                int i = (k + 1) % 3; /* the one in the middle first */

                CHECK_CODE(mproc_connection_poll(reader[i], MPROC_NOWAIT), MPROC_ETIMEDOUT);
                CHECK_OK(mproc_connection_close(go[i]));
                CHECK_CODE(mproc_connection_recv(reader[i], &byte, 1, NULL, LONG_MS), MPROC_EEOF);
                expect_exit(p[i], 0);
        }
        for (int i = 0; i < 3; i++) {
                free_pipe(reader[i], writer[i]);
                free_pipe(wait_here[i], go[i]);
        }
}

/* fork alone can leave connections open in a child that does not know of them; only when asked to. */
TEST(a_forked_child_inherits_connections_only_when_asked_to)
{
        mproc_connection *reader, *writer, *other_reader, *other_writer, *wait_here, *go;
        mproc_process_opts opts = MPROC_PROCESS_OPTS_INIT;
        mproc_context *ctx;
        mproc_process *p;
        char byte;

        if (under_tsan())
                SKIP("ThreadSanitizer and fork");
        CHECK_OK(mproc_get_context("fork", &ctx));
        for (int inherit = 0; inherit < 2; inherit++) {
                CHECK_OK(mproc_pipe_create_oneway(ctx, &reader, &writer));
                CHECK_OK(mproc_pipe_create_oneway(ctx, &other_reader, &other_writer));
                CHECK_OK(mproc_pipe_create_oneway(ctx, &wait_here, &go));
                opts.inherit_connections = inherit;
                CHECK_OK(mproc_process_create_opts(ctx, report, MPROC_ARGS(writer, wait_here), &opts, &p));
                CHECK_OK(mproc_process_start(p));
                expect_text(reader, "ready");
                CHECK_OK(mproc_connection_close(other_writer));
                CHECK_CODE(mproc_connection_poll(other_reader, MPROC_NOWAIT), inherit ? MPROC_ETIMEDOUT : 0);
                /* With go inherited, closing ours would not end the child. */
                if (inherit)
                        CHECK_OK(mproc_process_kill(p));
                else
                        CHECK_OK(mproc_connection_close(go));
                CHECK_CODE(mproc_connection_recv(other_reader, &byte, 1, NULL, LONG_MS), MPROC_EEOF);
                expect_exit(p, inherit ? -SIGKILL : 0);
                free_pipe(reader, writer);
                free_pipe(other_reader, other_writer);
                free_pipe(wait_here, go);
        }
}

/* The program forks by itself, while another thread receives and holds what it holds. */
TEST(a_fork_that_is_not_ours_can_use_connections)
{
        mproc_connection *a, *b, *c, *d;
        struct transfer t;
        pthread_t thread;
        char byte;
        pid_t pid;

        if (under_tsan())
                SKIP("ThreadSanitizer and fork");
        make_pipe(&a, &b);
        make_pipe(&c, &d);
        t = (struct transfer){ .connection = c };
        CHECK_INT(pthread_create(&thread, NULL, receive_for_ever, &t), 0);
        WAIT_UNTIL(is_being_received_from(c), 10000);
        if ((pid = fork()) == 0) {
                send_text(b, "from the fork");
                CHECK_CODE(mproc_connection_recv(c, &byte, 1, NULL, MPROC_NOWAIT), MPROC_EBROKEN);
                CHECK_OK(mproc_connection_send(c, "x", 1, MPROC_NOWAIT));
                CHECK_OK(mproc_connection_send(d, "y", 1, MPROC_NOWAIT));
                free_pipe(a, b);
                free_pipe(c, d);
                _exit(0);
        }
        expect_text(a, "from the fork");
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        pthread_join(thread, NULL);
        CHECK_OK(t.result);
        CHECK_OK(mproc_connection_recv(d, &byte, 1, NULL, LONG_MS));
        CHECK_INT(byte, 'x');
        free_pipe(a, b);
        free_pipe(c, d);
}

/* --- death ---------------------------------------------------------------------------------------- */

#define DEATH_LEN 20

static int
die_at(mproc_args *args)
{
        int fd = mproc_connection_fileno(mproc_args_connection(args, 0));
        size_t at = mproc_args_uint(args, 1);
        uint8_t frame[HEADER_BYTES + DEATH_LEN] = { 0 };

        make_header(frame, KIND_MESSAGE, 0, DEATH_LEN);
        raw_send(fd, frame, at, NULL, 0);
        (void)raise(SIGKILL);
        return 0;
}

START_METHOD_TEST(a_child_killed_within_a_message_is_told, .limit_s = 120)
{
        static const size_t places[] = { 0, 1, 15, 16, 17, HEADER_BYTES + DEATH_LEN - 1, HEADER_BYTES + DEATH_LEN };

        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                size_t at = places[i];
                mproc_connection *here, *there;
                mproc_process *p;
                char buffer[64];

                CHECK_OK(mproc_pipe_create(ctx, &here, &there));
                p = start(ctx, die_at, MPROC_ARGS(there, at));
                if (at == HEADER_BYTES + DEATH_LEN)
                        CHECK_OK(mproc_connection_recv(here, buffer, sizeof buffer, NULL, LONG_MS));
                CHECK_CODE(mproc_connection_recv(here, buffer, sizeof buffer, NULL, LONG_MS),
                           at > 0 && at < HEADER_BYTES + DEATH_LEN ? MPROC_EBROKEN : MPROC_EEOF);
                CHECK_CODE(mproc_connection_send(here, "x", 1, LONG_MS), -EPIPE);
                expect_exit(p, -SIGKILL);
                free_pipe(here, there);
        }
}

static int
send_much(mproc_args *args)
{
        size_t len = 16 << 20;
        uint8_t *data = make_message(len, 1);

        CHECK_OK(mproc_connection_send(mproc_args_connection(args, 0), data, len, MPROC_FOREVER));
        return 0;
}

START_METHOD_TEST(a_sender_killed_while_it_waits_for_room_is_told)
{
        size_t len = 16 << 20;
        uint8_t *buffer = malloc(len);
        mproc_connection *here, *there;
        mproc_process *p;

        for (int alloc = 0; alloc < 2; alloc++) {
                void *data;

                CHECK_OK(mproc_pipe_create(ctx, &here, &there));
                p = start(ctx, send_much, MPROC_ARGS(there));
                CHECK_OK(mproc_connection_poll(here, LONG_MS)); /* it has begun, and cannot end */
                CHECK_OK(mproc_process_kill(p));
                if (alloc)
                        CHECK_CODE(mproc_connection_recv_alloc(here, &data, NULL, LONG_MS), MPROC_EBROKEN);
                else
                        CHECK_CODE(mproc_connection_recv(here, buffer, len, NULL, LONG_MS), MPROC_EBROKEN);
                expect_exit(p, -SIGKILL);
                free_pipe(here, there);
        }
        free(buffer);
}

static int
sleep_with(mproc_args *args)
{
        CHECK_OK(mproc_connection_send(mproc_args_connection(args, 0), "ready", 6, MPROC_FOREVER));
        for (;;)
                pause();
        return 0;
}

START_METHOD_TEST(a_receiver_killed_while_we_send_is_a_broken_pipe)
{
        mproc_connection *here, *there;
        mproc_process *p;
        pthread_t thread;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        p = start(ctx, sleep_with, MPROC_ARGS(there));
        expect_text(here, "ready");
        struct transfer t = { here, 16 << 20, 1, 1, LONG_MS, 0 };
        thread = start_sender(&t);
        WAIT_UNTIL(count_sleeping_threads() >= 1, 10000);
        CHECK_OK(mproc_process_kill(p));
        pthread_join(thread, NULL);
        CHECK_CODE(t.result, -EPIPE);
        expect_exit(p, -SIGKILL);
        free_pipe(here, there);
}

/* --- descriptors and connections between processes ------------------------------------------------ */

static int
name_files(mproc_args *args)
{
        mproc_connection *c = mproc_args_connection(args, 0);
        int fds[MPROC_CONNECTION_MAX_FDS];
        size_t n = MPROC_CONNECTION_MAX_FDS;
        ino_t inodes[MPROC_CONNECTION_MAX_FDS];
        struct stat st;
        char text[8];

        CHECK_OK(mproc_connection_recv_fds(c, text, sizeof text, NULL, fds, &n, MPROC_FOREVER));
        for (size_t i = 0; i < n; i++) {
                CHECK(fstat(fds[i], &st) == 0);
                inodes[i] = st.st_ino;
                CHECK(close(fds[i]) == 0);
        }
        CHECK_OK(mproc_connection_send(c, inodes, n * sizeof *inodes, MPROC_FOREVER));
        return 0;
}

START_METHOD_TEST(two_hundred_descriptors_reach_a_child)
{
        int fds[200], pipe_fds[2];
        ino_t inodes[200];
        mproc_connection *here, *there;
        mproc_process *p;
        struct stat st;
        size_t len;

        CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
        for (int i = 0; i < 200; i++)
                fds[i] = pipe_fds[i % 2];
        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        p = start(ctx, name_files, MPROC_ARGS(there));
        CHECK_OK(mproc_connection_send_fds(here, "files", 6, fds, 200, LONG_MS));
        CHECK_OK(mproc_connection_recv(here, inodes, sizeof inodes, &len, LONG_MS));
        CHECK_INT(len, sizeof inodes);
        for (int i = 0; i < 200; i++) {
                CHECK(fstat(fds[i], &st) == 0);
                CHECK(inodes[i] == st.st_ino);
        }
        expect_exit(p, 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        free_pipe(here, there);
}

/* Takes a connection that comes through its own, answers through it, and gives one of its own making back. */
static int
exchange(mproc_args *args)
{
        mproc_connection *c = mproc_args_connection(args, 0), *got, *mine, *yours;

        CHECK_OK(mproc_connection_recv_connection(c, &got, MPROC_FOREVER));
        CHECK_OK(mproc_pipe_create(NULL, &mine, &yours));
        CHECK_OK(mproc_connection_send_connection(c, yours, MPROC_FOREVER));
        mproc_connection_free(yours);
        CHECK_OK(mproc_connection_send(got, "through the gift", 17, MPROC_FOREVER));
        expect_text(mine, "through the other");
        mproc_connection_free(got);
        mproc_connection_free(mine);
        return 0;
}

START_METHOD_TEST(connections_travel_between_processes)
{
        mproc_connection *here, *there, *gift, *kept, *got;
        mproc_process *p;
        char byte;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_OK(mproc_pipe_create(ctx, &gift, &kept));
        p = start(ctx, exchange, MPROC_ARGS(there));
        CHECK_OK(mproc_connection_send_connection(here, gift, LONG_MS));
        CHECK_OK(mproc_connection_recv_connection(here, &got, LONG_MS));
        expect_text(kept, "through the gift");
        send_text(got, "through the other");
        CHECK_CODE(mproc_connection_recv(kept, &byte, 1, NULL, LONG_MS), MPROC_EEOF);
        CHECK_CODE(mproc_connection_recv(got, &byte, 1, NULL, LONG_MS), MPROC_EEOF);
        expect_exit(p, 0);
        free_pipe(here, there);
        free_pipe(gift, kept);
        mproc_connection_free(got);
}

static int
pass_on(mproc_args *args)
{
        mproc_connection *c = mproc_args_connection(args, 0);
        mproc_process *p;
        int exitcode;

        CHECK_OK(mproc_process_create(NULL, echo, MPROC_ARGS(c), &p));
        CHECK_OK(mproc_process_start(p));
        CHECK_CODE(mproc_connection_send(c, "x", 1, MPROC_NOWAIT), MPROC_EMOVED);
        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        mproc_process_free(p);
        return exitcode;
}

START_METHOD_TEST(an_argument_can_be_passed_on_to_a_grandchild)
{
        mproc_connection *here, *there;
        mproc_process *p;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        p = start(ctx, pass_on, MPROC_ARGS(there));
        send_text(here, "to the second generation");
        expect_text(here, "to the second generation");
        CHECK_OK(mproc_connection_close(here));
        expect_exit(p, 7);
        free_pipe(here, there);
}

START_METHOD_TEST(a_half_received_message_goes_along)
{
        size_t len = 60000, got_len;
        uint8_t *data = make_message(len, 4), *buffer = malloc(len), header[HEADER_BYTES];
        mproc_connection *c, *other;
        mproc_process *p;
        int raw;

        c = half_raw_pipe(&raw);
        make_header(header, KIND_MESSAGE, 0, len);
        raw_send(raw, header, sizeof header, NULL, 0);
        raw_send(raw, data, len / 3, NULL, 0);
        CHECK_CODE(mproc_connection_recv(c, buffer, len, NULL, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_connection_from_fd(ctx, raw, MPROC_CONNECTION_READ,
                                          &other)); /* a forked child closes it, too */
        p = start(ctx, echo, MPROC_ARGS(c));
        raw_send(raw, data + len / 3, len - len / 3, NULL, 0);
        CHECK_OK(mproc_connection_recv(other, buffer, len, &got_len, LONG_MS));
        CHECK_INT(got_len, len);
        check_message(buffer, len, 4);
        CHECK_OK(mproc_connection_close(other));
        expect_exit(p, 7);
        free(data);
        free(buffer);
        free_pipe(c, other);
}

/* --- misuse --------------------------------------------------------------------------------------- */

START_METHOD_TEST(what_is_not_ours_cannot_be_passed)
{
        mproc_connection *here, *there, *closed, *freed, *gift, *a, *b;
        mproc_process *p, *q, *none = NULL;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_OK(mproc_pipe_create(ctx, &closed, &freed));
        CHECK_OK(mproc_pipe_create(ctx, &gift, &a));
        CHECK_OK(mproc_process_create(ctx, echo, MPROC_ARGS(there), &q)); /* before it is given to another */
        p = start(ctx, echo, MPROC_ARGS(there));
        CHECK_CODE(mproc_process_create(ctx, echo, MPROC_ARGS(there), &none), MPROC_EMOVED);
        CHECK_CONTAINS(mproc_last_error(), "connection");
        CHECK_CODE(mproc_process_start(q), MPROC_EMOVED);
        mproc_process_free(q);
        CHECK_OK(mproc_connection_send_connection(here, gift, LONG_MS));
        CHECK_CODE(mproc_process_create(ctx, echo, MPROC_ARGS(gift), &none), MPROC_EMOVED);
        CHECK_OK(mproc_connection_close(closed));
        CHECK_CODE(mproc_process_create(ctx, echo, MPROC_ARGS(closed), &none), MPROC_ECLOSED);
        mproc_connection_free(freed);
        CHECK_CODE(mproc_process_create(ctx, echo, MPROC_ARGS(freed), &none), MPROC_EHANDLE);
        CHECK(none == NULL);
        mproc_connection_free(closed);
        CHECK_OK(mproc_pipe_create(ctx, &closed, &b));
        CHECK_OK(mproc_process_create(ctx, echo, MPROC_ARGS(b), &q));
        CHECK_OK(mproc_connection_close(b)); /* closed between create and start */
        CHECK_CODE(mproc_process_start(q), MPROC_ECLOSED);
        mproc_process_free(q);
        mproc_connection_free(here);
        CHECK_OK(mproc_process_join(p, LONG_MS)); /* echo does not understand the gift */
        mproc_process_free(p);
        free_pipe(there, closed);
        free_pipe(gift, a);
        mproc_connection_free(b);
}

/* The process object keeps what it was given, whatever becomes of the handle. */
START_METHOD_TEST(a_handle_freed_before_the_start_is_passed_all_the_same)
{
        mproc_connection *here, *there;
        mproc_process *p;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_OK(mproc_process_create(ctx, echo, MPROC_ARGS(there), &p));
        mproc_connection_free(there);
        CHECK_OK(mproc_process_start(p));
        send_text(here, "still there");
        expect_text(here, "still there");
        mproc_connection_free(here);
        expect_exit(p, 7);
}

START_METHOD_TEST(one_connection_cannot_be_two_arguments)
{
        mproc_connection *here, *there;
        mproc_process *p = NULL;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_CODE(mproc_process_create(ctx, echo, MPROC_ARGS(there, there), &p), MPROC_EMOVED);
        CHECK_CONTAINS(mproc_last_error(), "argument 1");
        CHECK_INT(mproc_connection_closed(there), 0);
        free_pipe(here, there);
}
