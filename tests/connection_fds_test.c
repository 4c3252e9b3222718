/* SPDX-License-Identifier: MIT */
/*
 * connection_fds_test.c - descriptors beside messages, connections through
 * connections, connections made of descriptors.
 *
 * Runs in: test processes.
 */
#include "connection_help.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* --- descriptors ---------------------------------------------------------------------------------- */

static void
check_same_file(int fd, int other)
{
        struct stat a, b;

        CHECK(fstat(fd, &a) == 0 && fstat(other, &b) == 0);
        CHECK(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

static void
close_fds(int *fds, size_t n)
{
        for (size_t i = 0; i < n; i++)
                CHECK(close(fds[i]) == 0);
}

TEST(descriptors_travel_beside_messages)
{
        static const size_t counts[] = { 0, 1, 2, 200, MPROC_CONNECTION_MAX_FDS };
        int fds[MPROC_CONNECTION_MAX_FDS], got[MPROC_CONNECTION_MAX_FDS], pipe_fds[2];
        mproc_connection *a, *b;
        char text[16];
        size_t len, n;
        int before;

        make_pipe(&a, &b);
        CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
        for (size_t i = 0; i < MPROC_CONNECTION_MAX_FDS; i++)
                fds[i] = pipe_fds[i % 2];
        before = count_fds();
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                CHECK_OK(mproc_connection_send_fds(a, "with", i % 2 ? 5 : 0, fds, counts[i], LONG_MS));
                CHECK_OK(mproc_connection_send(a, "then", 5, LONG_MS));
                n = MPROC_CONNECTION_MAX_FDS;
                CHECK_OK(mproc_connection_recv_fds(b, text, sizeof text, &len, got, &n, LONG_MS));
                CHECK_INT(len, i % 2 ? 5 : 0);
                CHECK_INT(n, counts[i]);
                CHECK_INT(count_fds(), before + (int)n);
                for (size_t k = 0; k < n; k++) {
                        check_same_file(got[k], pipe_fds[k % 2]);
                        CHECK(fcntl(got[k], F_GETFD) & FD_CLOEXEC);
                }
                close_fds(got, n);
                expect_text(b, "then");
        }
        CHECK_INT(count_fds(), before);
        close_fds(pipe_fds, 2);
        free_pipe(a, b);
}

TEST(a_large_message_brings_its_descriptors)
{
        size_t len = 4 << 20, got_len, n = 4;
        uint8_t *buffer = malloc(len);
        mproc_connection *a, *b;
        int got[4], r;

        make_pipe(&a, &b);
        struct transfer t = { a, len, 1, 5, LONG_MS, 0 };
        int fds[2] = { STDIN_FILENO, STDERR_FILENO };
        CHECK_OK(mproc_connection_send_fds(a, "first", 6, fds, 2, LONG_MS));
        pthread_t thread = start_sender(&t);
        CHECK_OK(mproc_connection_recv_fds(b, buffer, len, &got_len, got, &n, LONG_MS));
        CHECK_INT(n, 2);
        close_fds(got, 2);
        while ((r = mproc_connection_recv_fds(b, buffer, len, &got_len, got, &n, MPROC_NOWAIT)) == MPROC_ETIMEDOUT)
                n = 4;
        CHECK_OK(r);
        CHECK_INT(n, 0);
        check_message(buffer, len, 5);
        pthread_join(thread, NULL);
        free(buffer);
        free_pipe(a, b);
}

/* The first half of a message with three descriptors beside it; the receiver gets no further. */
static mproc_connection *
half_received(int *ret_raw, size_t len)
{
        uint8_t *data = make_message(len, 6), header[HEADER_BYTES], *buffer = malloc(len);
        int fds[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
        mproc_connection *c = half_raw_pipe(ret_raw);
        size_t got_len = 0;

        make_header(header, KIND_MESSAGE, 3, len);
        raw_announce(*ret_raw, 3);
        raw_send(*ret_raw, header, sizeof header, fds, 3);
        raw_send(*ret_raw, data, len / 2, NULL, 0);
        CHECK_CODE(mproc_connection_recv(c, buffer, len, &got_len, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_INT(got_len, 0);
        CHECK_CODE(mproc_connection_poll(c, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        free(buffer);
        free(data);
        return c;
}

static void
receive_other_half(mproc_connection *c, int raw, size_t len)
{
        uint8_t *data = make_message(len, 6), *buffer = malloc(len);
        size_t got_len, n = 3;
        int got[3];

        raw_send(raw, data + len / 2, len - len / 2, NULL, 0);
        CHECK_OK(mproc_connection_poll(c, MPROC_NOWAIT));
        CHECK_OK(mproc_connection_recv_fds(c, buffer, len, &got_len, got, &n, MPROC_NOWAIT));
        CHECK_INT(got_len, len);
        CHECK_INT(n, 3);
        check_message(buffer, len, 6);
        check_same_file(got[1], STDOUT_FILENO);
        close_fds(got, 3);
        free(buffer);
        free(data);
}

/* The first receive, which runs out of time, does not even ask for them. */
TEST(descriptors_survive_a_receive_that_ran_out_of_time)
{
        mproc_connection *c;
        int raw;

        c = half_received(&raw, 50001);
        receive_other_half(c, raw, 50001);
        close(raw);
        mproc_connection_free(c);
}

TEST(a_half_message_is_given_up_with_its_connection)
{
        int before = count_fds(), raw;

        mproc_connection_free(half_received(&raw, 1000));
        close(raw);
        CHECK_INT(count_fds(), before);
}

TEST(descriptors_nobody_asks_for_are_closed)
{
        int fds[5] = { 0, 1, 2, 0, 1 };
        mproc_connection *a, *b;
        void *data;
        int before;

        make_pipe(&a, &b);
        before = count_fds();
        for (int i = 0; i < 3; i++)
                CHECK_OK(mproc_connection_send_fds(a, "beside", 7, fds, 5, LONG_MS));
        expect_text(b, "beside");
        CHECK_OK(mproc_connection_recv_alloc(b, &data, NULL, LONG_MS));
        free(data);
        CHECK_INT(count_fds(), before);
        free_pipe(a, b); /* and those of a message that nobody received */
        CHECK_INT(count_fds(), before - 2);
}

TEST(too_little_room_for_descriptors_keeps_the_message)
{
        int fds[3] = { 0, 1, 2 }, got[3] = { -1, -1, -1 };
        mproc_connection *a, *b;
        size_t n = 2, len = 0;
        char text[8];
        int before;

        make_pipe(&a, &b);
        before = count_fds();
        CHECK_OK(mproc_connection_send_fds(a, "three", 6, fds, 3, LONG_MS));
        CHECK_CODE(mproc_connection_recv_fds(b, text, sizeof text, &len, got, &n, LONG_MS), MPROC_ETOOSMALL);
        CHECK_INT(n, 3);
        CHECK_INT(len, 6);
        n = 0;
        CHECK_CODE(mproc_connection_recv_fds(b, text, sizeof text, &len, NULL, &n, LONG_MS), MPROC_ETOOSMALL);
        CHECK_INT(n, 3);
        CHECK_CODE(mproc_connection_recv_fds(b, text, 2, &len, got, &n, LONG_MS), MPROC_ETOOSMALL);
        CHECK_OK(mproc_connection_recv_fds(b, text, sizeof text, &len, got, &n, LONG_MS));
        CHECK_INT(n, 3);
        close_fds(got, 3);
        CHECK_INT(count_fds(), before);
        free_pipe(a, b);
}

TEST(bad_descriptors_are_told_before_anything_is_sent)
{
        int fds[MPROC_CONNECTION_MAX_FDS + 1] = { 0 };
        mproc_connection *a, *b;

        make_pipe(&a, &b);
        CHECK_CODE(mproc_connection_send_fds(a, "x", 1, fds, MPROC_CONNECTION_MAX_FDS + 1, LONG_MS), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "253");
        fds[7] = 999;
        CHECK_CODE(mproc_connection_send_fds(a, "x", 1, fds, 10, LONG_MS), -EBADF);
        fds[7] = -1;
        CHECK_CODE(mproc_connection_send_fds(a, "x", 1, fds, 10, LONG_MS), -EBADF);
        CHECK_CODE(mproc_connection_send_fds(a, "x", 1, NULL, 1, LONG_MS), -EINVAL);
        CHECK_CODE(mproc_connection_send(a, NULL, 1, LONG_MS), -EINVAL);
        CHECK_CODE(mproc_connection_recv(a, NULL, 1, NULL, MPROC_NOWAIT), -EINVAL);
        CHECK_CODE(mproc_connection_recv_alloc(a, NULL, NULL, MPROC_NOWAIT), -EINVAL);
        CHECK_CODE(mproc_connection_poll(b, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        send_text(a, "fine");
        expect_text(b, "fine");
        free_pipe(a, b);
}

TEST(a_full_descriptor_table_loses_nothing)
{
        int fds[50] = { 0 }, got[50];
        struct rlimit old, low;
        mproc_connection *a, *b;
        size_t len, n = 50;
        char text[8];
        int before;

        if (under_valgrind())
                SKIP("valgrind has descriptors of its own, beyond the limit");
        make_pipe(&a, &b);
        before = count_fds();
        CHECK_OK(mproc_connection_send_fds(a, "fifty", 6, fds, 50, LONG_MS));
        CHECK_OK(mproc_connection_send_fds(a, "again", 6, fds, 50, LONG_MS));
        CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
        low = old;
        low.rlim_cur = (rlim_t)before + 20;
        CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
        for (int i = 0; i < 2; i++) {
                n = 50;
                CHECK_CODE(mproc_connection_recv_fds(b, text, sizeof text, &len, got, &n, LONG_MS), -EMFILE);
                CHECK_CONTAINS(mproc_last_error(), "RLIMIT_NOFILE");
        }
        CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
        CHECK_INT(count_fds(), before);
        n = 50;
        CHECK_OK(mproc_connection_recv_fds(b, text, sizeof text, &len, got, &n, LONG_MS));
        CHECK_INT(n, 50);
        close_fds(got, n);
        CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
        expect_text(b, "again"); /* who does not want them needs no room for them */
        CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
        CHECK_INT(count_fds(), before);
        free_pipe(a, b);
}

/* --- connections through connections -------------------------------------------------------------- */

TEST(a_connection_travels_through_another)
{
        mproc_connection *a, *b, *gift, *other, *got = NULL;
        int before;

        make_pipe(&a, &b);
        CHECK_OK(mproc_pipe_create_oneway(NULL, &other, &gift));
        before = count_fds();
        send_text(gift, "sent by the first owner");
        CHECK_OK(mproc_connection_send_connection(a, gift, LONG_MS));
        CHECK_INT(count_fds(), before - 1);
        CHECK_OK(mproc_connection_recv_connection(b, &got, LONG_MS));
        CHECK_INT(count_fds(), before);
        CHECK_INT(mproc_connection_writable(got), 1);
        CHECK_INT(mproc_connection_readable(got), 0);
        CHECK(fcntl(mproc_connection_fileno(got), F_GETFD) & FD_CLOEXEC);
        send_text(got, "sent by the second");
        expect_text(other, "sent by the first owner");
        expect_text(other, "sent by the second");
        CHECK_CODE(mproc_connection_send(gift, "x", 1, LONG_MS), MPROC_EMOVED);
        CHECK_CODE(mproc_connection_poll(gift, 0), MPROC_EMOVED);
        CHECK_CODE(mproc_connection_fileno(gift), MPROC_EMOVED);
        CHECK_CODE(mproc_connection_send_connection(a, gift, LONG_MS), MPROC_EMOVED);
        CHECK_CONTAINS(mproc_last_error(), "given");
        CHECK_INT(mproc_connection_closed(gift), 1);
        CHECK_OK(mproc_connection_close(gift));
        CHECK_CODE(mproc_connection_send(gift, "x", 1, LONG_MS), MPROC_EMOVED);
        free_pipe(got, other);
        free_pipe(gift, NULL);
        free_pipe(a, b);
}

TEST(a_gift_takes_its_half_message_along)
{
        mproc_connection *a, *b, *gift, *got;
        int before, raw;

        make_pipe(&a, &b);
        before = count_fds();
        gift = half_received(&raw, 70001);
        CHECK_OK(mproc_connection_send_connection(a, gift, LONG_MS));
        CHECK_INT(count_fds(), before + 1);
        CHECK_OK(mproc_connection_recv_connection(b, &got, LONG_MS));
        receive_other_half(got, raw, 70001);
        CHECK_INT(count_fds(), before + 2);
        close(raw);
        free_pipe(got, gift);
        free_pipe(a, b);
}

TEST(a_broken_connection_stays_broken_when_given)
{
        size_t len = 2 << 20;
        uint8_t *data = make_message(len, 1), *buffer = malloc(len);
        mproc_connection *a, *b, *gift, *other, *got;

        make_pipe(&a, &b);
        make_pipe(&gift, &other);
        CHECK_CODE(mproc_connection_send(gift, data, len, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_connection_send(other, data, len, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_connection_recv(gift, buffer, len, NULL, LONG_MS), MPROC_EBROKEN);
        CHECK_OK(mproc_connection_send_connection(a, gift, LONG_MS));
        CHECK_OK(mproc_connection_recv_connection(b, &got, LONG_MS));
        CHECK_CODE(mproc_connection_send(got, "x", 1, LONG_MS), MPROC_EBROKEN);
        CHECK_CODE(mproc_connection_recv(got, buffer, len, NULL, LONG_MS), MPROC_EBROKEN);
        free(data);
        free(buffer);
        free_pipe(got, other);
        free_pipe(gift, NULL);
        free_pipe(a, b);
}

TEST(a_message_is_not_taken_for_a_gift_nor_a_gift_for_a_message)
{
        mproc_connection *a, *b, *gift, *other, *got = NULL;
        size_t n = 1;
        char text[64];
        void *data;
        int fd;

        make_pipe(&a, &b);
        make_pipe(&gift, &other);
        send_text(a, "a message");
        CHECK_OK(mproc_connection_send_connection(a, gift, LONG_MS));
        CHECK_CODE(mproc_connection_recv_connection(b, &got, LONG_MS), MPROC_EPROTO);
        CHECK_CONTAINS(mproc_last_error(), "mproc_connection_recv");
        expect_text(b, "a message");
        CHECK_CODE(mproc_connection_recv(b, text, sizeof text, NULL, LONG_MS), MPROC_EPROTO);
        CHECK_CONTAINS(mproc_last_error(), "recv_connection");
        CHECK_CODE(mproc_connection_recv_alloc(b, &data, NULL, LONG_MS), MPROC_EPROTO);
        CHECK_CODE(mproc_connection_recv_fds(b, text, sizeof text, NULL, &fd, &n, LONG_MS), MPROC_EPROTO);
        CHECK_OK(mproc_connection_recv_connection(b, &got, LONG_MS));
        send_text(got, "works");
        expect_text(other, "works");
        free_pipe(got, other);
        free_pipe(gift, NULL);
        free_pipe(a, b);
}

TEST(a_gift_that_cannot_be_sent_stays)
{
        mproc_connection *a, *b, *gift, *other, *got;
        char block[1000] = "";
        pthread_t thread;

        make_pipe(&a, &b);
        make_pipe(&gift, &other);
        CHECK_CODE(mproc_connection_send_connection(a, a, LONG_MS), -EINVAL);
        CHECK_CODE(mproc_connection_send_connection(a, NULL, LONG_MS), MPROC_EHANDLE);
        CHECK_CODE(mproc_connection_send_connection(NULL, gift, LONG_MS), MPROC_EHANDLE);
        CHECK_CODE(mproc_connection_recv_connection(b, &got, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        struct transfer t = { .connection = gift };
        CHECK_INT(pthread_create(&thread, NULL, receive_for_ever, &t), 0);
        WAIT_UNTIL(is_being_received_from(gift), 10000);
        CHECK_CODE(mproc_connection_send_connection(a, gift, LONG_MS), -EBUSY);
        CHECK_OK(mproc_connection_send(other, "x", 1, LONG_MS));
        pthread_join(thread, NULL);
        while (mproc_connection_send(a, block, sizeof block, MPROC_NOWAIT) == 0)
                ;
        CHECK_CODE(mproc_connection_send_connection(a, gift, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        mproc_connection_close(b);
        CHECK_CODE(mproc_connection_send_connection(a, gift, LONG_MS), -EPIPE);
        send_text(gift, "still here");
        expect_text(other, "still here");
        free_pipe(gift, other);
        free_pipe(a, b);
}

TEST(gifts_nobody_receives_are_closed)
{
        mproc_connection *a, *b, *gift, *other;
        char byte;
        int before;

        make_pipe(&a, &b);
        before = count_fds();
        make_pipe(&gift, &other);
        CHECK_OK(mproc_connection_send_connection(a, gift, LONG_MS));
        mproc_connection_free(gift);
        free_pipe(a, b);
        CHECK_CODE(mproc_connection_recv(other, &byte, 1, NULL, LONG_MS), MPROC_EEOF);
        mproc_connection_free(other);
        CHECK_INT(count_fds(), before - 2);
}

/* --- descriptors from elsewhere ------------------------------------------------------------------- */

TEST(a_connection_can_be_made_of_a_socket)
{
        mproc_connection *a, *b;
        int fds[2], flags;

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
        flags = fcntl(fds[0], F_GETFL);
        CHECK_OK(mproc_connection_from_fd(NULL, fds[0], MPROC_CONNECTION_READ | MPROC_CONNECTION_WRITE, &a));
        CHECK_OK(mproc_connection_from_fd(NULL, fds[1], MPROC_CONNECTION_READ, &b));
        CHECK_INT(mproc_connection_fileno(a), fds[0]);
        CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
        send_text(a, "over");
        CHECK_CODE(mproc_connection_send(b, "x", 1, LONG_MS), MPROC_EREADONLY);
        expect_text(b, "over");
        CHECK_CODE(mproc_connection_recv(a, NULL, 0, NULL, 20), MPROC_ETIMEDOUT);
        CHECK_INT(fcntl(fds[0], F_GETFL), flags);
        free_pipe(a, b);
        CHECK(!fd_is_open(fds[0]) && !fd_is_open(fds[1]));
}

TEST(not_every_descriptor_can_be_a_connection)
{
        int fds[2], datagram[2], both = MPROC_CONNECTION_READ | MPROC_CONNECTION_WRITE;
        mproc_connection *c = NULL;

        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram) == 0);
        CHECK_CODE(mproc_connection_from_fd(NULL, -1, both, &c), -EBADF);
        CHECK_CODE(mproc_connection_from_fd(NULL, 999, both, &c), -EBADF);
        CHECK_CODE(mproc_connection_from_fd(NULL, fds[0], both, &c), -ENOTSOCK);
        CHECK_CODE(mproc_connection_from_fd(NULL, datagram[0], both, &c), -ENOTSOCK);
        CHECK_CODE(mproc_connection_from_fd(NULL, datagram[0], 0, &c), -EINVAL);
        CHECK_CODE(mproc_connection_from_fd(NULL, datagram[0], 8, &c), -EINVAL);
        CHECK(c == NULL);
        CHECK(fd_is_open(fds[0]) && fd_is_open(datagram[0]));
        close_fds(fds, 2);
        close_fds(datagram, 2);
}

/* Credentials that a socket is set to deliver need room, too. */
TEST(a_socket_that_delivers_credentials_loses_no_descriptors)
{
        int fds[2], many[MPROC_CONNECTION_MAX_FDS] = { 0 }, got[MPROC_CONNECTION_MAX_FDS], on = 1;
        size_t len, n = MPROC_CONNECTION_MAX_FDS;
        mproc_connection *a, *b;
        char text[8];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        CHECK(setsockopt(fds[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
        (void)setsockopt(fds[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
        CHECK_OK(mproc_connection_from_fd(NULL, fds[0], MPROC_CONNECTION_WRITE, &a));
        CHECK_OK(mproc_connection_from_fd(NULL, fds[1], MPROC_CONNECTION_READ, &b));
        CHECK_OK(mproc_connection_send_fds(a, "many", 5, many, n, LONG_MS));
        CHECK_OK(mproc_connection_recv_fds(b, text, sizeof text, &len, got, &n, LONG_MS));
        CHECK_INT(n, MPROC_CONNECTION_MAX_FDS);
        close_fds(got, n);
        free_pipe(a, b);
}

TEST(the_descriptor_tells_an_event_loop)
{
        mproc_connection *a, *b;
        struct pollfd item = { .events = POLLIN };

        CHECK_OK(mproc_pipe_create_oneway(NULL, &a, &b));
        item.fd = mproc_connection_fileno(a);
        CHECK_INT(poll(&item, 1, 0), 0);
        send_text(b, "x");
        send_text(b, "y");
        CHECK_INT(poll(&item, 1, 0), 1);
        expect_text(a, "x");
        CHECK_INT(poll(&item, 1, 0), 1); /* nothing is read ahead */
        expect_text(a, "y");
        CHECK_INT(poll(&item, 1, 0), 0);
        item.fd = mproc_connection_fileno(b);
        CHECK_INT(poll(&item, 1, 0), 0);
        mproc_connection_close(a);
        CHECK_INT(poll(&item, 1, 0), 1); /* the writer's says that the reader has gone */
        free_pipe(a, b);
}
