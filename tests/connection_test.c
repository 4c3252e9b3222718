/* SPDX-License-Identifier: MIT */
/*
 * connection_test.c - messages through connections within one process: lengths,
 * ends, timeouts, signals, threads.  Descriptors beside them and connections
 * through connections are in connection_fds_test.c, what takes another process
 * in connection_process_test.c, what a hostile peer may send in
 * connection_wire_test.c.
 *
 * Runs in: test processes.
 */
#include "connection_help.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

/* --- messages ------------------------------------------------------------------------------------- */

TEST(messages_of_many_lengths_go_both_ways)
{
        static const size_t lens[] = { 0, 1, 15, 16, 17, 4095, 4096, 65536, 262144, (1 << 20) + 3, (5 << 20) + 1 };
        mproc_connection *a, *b;

        make_pipe(&a, &b);
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++)
                for (int way = 0; way < 2; way++) {
                        struct transfer t = { way ? a : b, lens[i], 1, (unsigned)i, LONG_MS, 0 };
                        pthread_t thread = start_sender(&t);
                        uint8_t *buffer = malloc(lens[i] + 10);
                        size_t len = 12345;

                        CHECK_OK(mproc_connection_recv(way ? b : a, buffer, lens[i] + 10, &len, LONG_MS));
                        CHECK_INT(len, lens[i]);
                        check_message(buffer, len, (unsigned)i);
                        free(buffer);
                        pthread_join(thread, NULL);
                        CHECK_OK(t.result);
                }
        free_pipe(a, b);
}

TEST(a_received_message_can_have_memory_of_its_own)
{
        static const size_t lens[] = { 0, 1, 100, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (9 << 20) + 5 };
        mproc_connection *a, *b;

        make_pipe(&a, &b);
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                struct transfer t = { a, lens[i], 1, (unsigned)i, LONG_MS, 0 };
                pthread_t thread = start_sender(&t);
                void *data = NULL;
                size_t len = 77;

                CHECK_OK(mproc_connection_recv_alloc(b, &data, &len, LONG_MS));
                CHECK(data != NULL);
                CHECK_INT(len, lens[i]);
                check_message(data, len, (unsigned)i);
                free(data);
                pthread_join(thread, NULL);
        }
        free_pipe(a, b);
}

TEST(messages_keep_their_borders_and_their_order)
{
        mproc_connection *a, *b;
        uint32_t value;
        size_t len;

        make_pipe(&a, &b);
        for (uint32_t i = 0; i < 50; i++)
                CHECK_OK(mproc_connection_send(a, &i, i % 5, LONG_MS));
        for (uint32_t i = 0; i < 50; i++) {
                value = 0;
                CHECK_OK(mproc_connection_recv(b, &value, sizeof value, &len, MPROC_NOWAIT));
                CHECK_INT(len, i % 5);
                CHECK(i % 5 == 0 || (value & 0xff) == i);
        }
        free_pipe(a, b);
}

TEST(a_hundred_thousand_small_messages_arrive)
{
        mproc_connection *a, *b;
        char data[64];
        size_t len;

        make_pipe(&a, &b);
        struct transfer t = { a, 40, under_valgrind() ? 1000 : 100000, 3, LONG_MS, 0 };
        pthread_t thread = start_sender(&t);
        for (size_t i = 0; i < t.count; i++) {
                CHECK_OK(mproc_connection_recv(b, data, sizeof data, &len, LONG_MS));
                CHECK_INT(len, 40);
                check_message((uint8_t *)data, len, 3);
        }
        pthread_join(thread, NULL);
        CHECK_OK(t.result);
        free_pipe(a, b);
}

/* Address space of any length that costs no more memory than one part, which shows again and again. */
static uint8_t *
map_repeated(size_t len, size_t part)
{
        int fd = memfd_create("repeated", MFD_CLOEXEC);
        uint8_t *base;

        CHECK(fd >= 0 && ftruncate(fd, (off_t)part) == 0);
        base = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(base != MAP_FAILED);
        for (size_t at = 0; at < len; at += part)
                CHECK(mmap(base + at, len - at < part ? len - at : part, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
        close(fd);
        return base;
}

#define HUGE_PART ((size_t)16 << 20)
#define HUGE_LEN  (((size_t)1 << 31) + HUGE_PART * 2 + 4096)

static void *
send_huge(void *arg)
{
        struct transfer *t = arg;
        uint8_t *data = map_repeated(HUGE_LEN, HUGE_PART);

        for (size_t i = 0; i < HUGE_PART; i++)
                data[i] = pattern(i, 9);
        t->result = mproc_connection_send(t->connection, data, HUGE_LEN, MPROC_FOREVER);
        munmap(data, HUGE_LEN);
        return NULL;
}

TEST(a_message_of_more_than_two_gibibytes_arrives, .limit_s = 240)
{
        struct transfer t = { .len = HUGE_LEN };
        mproc_connection *a, *b;
        pthread_t thread;
        uint8_t *buffer;
        size_t len;

        if (sizeof(size_t) < 8)
                SKIP("the address space is too small");
        if (under_valgrind() || under_tsan())
                SKIP("takes minutes under ThreadSanitizer or valgrind");
        make_pipe(&a, &b);
        t.connection = a;
        CHECK_INT(pthread_create(&thread, NULL, send_huge, &t), 0);
        buffer = map_repeated(HUGE_LEN, HUGE_PART);
        CHECK_CODE(mproc_connection_recv(b, buffer, 1 << 20, &len, MPROC_FOREVER), MPROC_ETOOSMALL);
        CHECK_INT(len, HUGE_LEN);
        CHECK_OK(mproc_connection_recv(b, buffer, HUGE_LEN, &len, MPROC_FOREVER));
        CHECK_INT(len, HUGE_LEN);
        check_message(buffer, HUGE_PART, 9);
        pthread_join(thread, NULL);
        CHECK_OK(t.result);
        munmap(buffer, HUGE_LEN);
        send_text(a, "after");
        expect_text(b, "after");
        free_pipe(a, b);
}

/* --- directions and ends -------------------------------------------------------------------------- */

TEST(a_one_way_pipe_has_one_direction)
{
        mproc_connection *reader, *writer, *gift_a, *gift_b, *got;
        char byte;

        CHECK_OK(mproc_pipe_create_oneway(NULL, &reader, &writer));
        CHECK_INT(mproc_connection_readable(reader), 1);
        CHECK_INT(mproc_connection_writable(reader), 0);
        CHECK_INT(mproc_connection_readable(writer), 0);
        CHECK_INT(mproc_connection_writable(writer), 1);
        send_text(writer, "down");
        expect_text(reader, "down");
        CHECK_CODE(mproc_connection_send(reader, "x", 1, MPROC_NOWAIT), MPROC_EREADONLY);
        CHECK(strlen(mproc_last_error()) > 10);
        CHECK_CODE(mproc_connection_recv(writer, &byte, 1, NULL, MPROC_NOWAIT), MPROC_EWRITEONLY);
        CHECK_CODE(mproc_connection_poll(writer, MPROC_NOWAIT), MPROC_EWRITEONLY);
        make_pipe(&gift_a, &gift_b);
        CHECK_CODE(mproc_connection_send_connection(reader, gift_a, MPROC_NOWAIT), MPROC_EREADONLY);
        CHECK_CODE(mproc_connection_recv_connection(writer, &got, MPROC_NOWAIT), MPROC_EWRITEONLY);
        CHECK_INT(mproc_connection_closed(gift_a), 0);
        free_pipe(gift_a, gift_b);
        free_pipe(reader, writer);
}

TEST(everything_sent_arrives_before_the_end_of_file)
{
        mproc_connection *a, *b;
        char byte;

        make_pipe(&a, &b);
        send_text(a, "one");
        send_text(a, "two");
        mproc_connection_free(a);
        expect_text(b, "one");
        expect_text(b, "two");
        for (int i = 0; i < 3; i++) {
                CHECK_OK(mproc_connection_poll(b, MPROC_NOWAIT));
                CHECK_CODE(mproc_connection_recv(b, &byte, 1, NULL, MPROC_FOREVER), MPROC_EEOF);
        }
        mproc_connection_free(b);
}

TEST(a_reader_that_leaves_is_a_broken_pipe_and_no_signal)
{
        mproc_connection *reader, *writer;

        signal(SIGPIPE, SIG_DFL);
        CHECK_OK(mproc_pipe_create_oneway(NULL, &reader, &writer));
        mproc_connection_close(reader);
        for (int i = 0; i < 3; i++)
                CHECK_CODE(mproc_connection_send(writer, "x", 1, MPROC_FOREVER), -EPIPE);
        CHECK_CONTAINS(mproc_last_error(), "closed");
        free_pipe(reader, writer);
}

/* The system tells this case by ECONNRESET, once, to whoever comes first. */
TEST(a_peer_that_leaves_with_messages_unread_is_the_same)
{
        mproc_connection *a, *b;
        char byte;

        make_pipe(&a, &b);
        send_text(a, "never read");
        mproc_connection_free(b);
        CHECK_CODE(mproc_connection_send(a, "x", 1, MPROC_FOREVER), -EPIPE);
        CHECK_CODE(mproc_connection_recv(a, &byte, 1, NULL, MPROC_FOREVER), MPROC_EEOF);
        mproc_connection_free(a);
        make_pipe(&a, &b);
        send_text(a, "never read");
        send_text(b, "goodbye");
        mproc_connection_free(b);
        expect_text(a, "goodbye");
        CHECK_CODE(mproc_connection_recv(a, &byte, 1, NULL, MPROC_FOREVER), MPROC_EEOF);
        CHECK_CODE(mproc_connection_send(a, "x", 1, MPROC_FOREVER), -EPIPE);
        mproc_connection_free(a);
}

TEST(closed_is_closed)
{
        mproc_connection *a, *b, *c, *d;
        void *data;
        int fd = 1;

        make_pipe(&a, &b);
        make_pipe(&c, &d);
        CHECK_INT(mproc_connection_closed(a), 0);
        CHECK_OK(mproc_connection_close(a));
        CHECK_OK(mproc_connection_close(a));
        CHECK_INT(mproc_connection_closed(a), 1);
        CHECK_INT(mproc_connection_readable(a), 1);
        CHECK_CODE(mproc_connection_send(a, "", 0, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_CODE(mproc_connection_send_fds(a, "", 0, &fd, 1, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_CODE(mproc_connection_recv(a, &fd, 1, NULL, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_CODE(mproc_connection_recv_alloc(a, &data, NULL, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_CODE(mproc_connection_poll(a, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_CODE(mproc_connection_fileno(a), MPROC_ECLOSED);
        CHECK_CODE(mproc_connection_send_connection(a, c, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_INT(mproc_connection_closed(c), 0);
        CHECK_CODE(mproc_connection_send_connection(c, a, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_CODE(mproc_connection_recv_connection(a, &b, MPROC_NOWAIT), MPROC_ECLOSED);
        free_pipe(a, b);
        free_pipe(c, d);
}

TEST(null_is_no_connection_and_no_crash)
{
        char byte;

        CHECK_CODE(mproc_connection_send(NULL, "", 0, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_connection_recv(NULL, &byte, 1, NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_connection_poll(NULL, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_connection_fileno(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_connection_close(NULL), MPROC_EHANDLE);
        errno = 77;
        mproc_connection_free(NULL);
        CHECK_INT(errno, 77);
}

TEST(free_keeps_errno)
{
        mproc_connection *a, *b;

        make_pipe(&a, &b);
        errno = 77;
        free_pipe(a, b);
        CHECK_INT(errno, 77);
}

TEST(no_end_leaves_a_descriptor_behind)
{
        mproc_connection *a, *b;
        int before;

        make_pipe(&a, &b);
        free_pipe(a, b);
        before = count_fds();
        for (int i = 0; i < 100; i++) {
                make_pipe(&a, &b);
                if (i % 3 == 0)
                        mproc_connection_close(b);
                free_pipe(a, b);
        }
        CHECK_INT(count_fds(), before);
}

TEST(a_full_descriptor_table_is_told_by_pipe_create)
{
        struct rlimit old, low;
        mproc_connection *a = NULL, *b = NULL;

        if (under_valgrind())
                SKIP("valgrind has descriptors of its own, beyond the limit");
        make_pipe(&a, &b);
        free_pipe(a, b);
        a = b = NULL;
        CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
        low = old;
        low.rlim_cur = 3;
        CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
        CHECK_CODE(mproc_pipe_create(NULL, &a, &b), -EMFILE);
        CHECK(a == NULL && b == NULL);
        CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
        make_pipe(&a, &b);
        free_pipe(a, b);
}

/* --- room and time -------------------------------------------------------------------------------- */

TEST(a_message_too_long_for_the_buffer_stays)
{
        mproc_connection *a, *b;
        char buffer[8];
        size_t len = 0;

        make_pipe(&a, &b);
        send_text(a, "longer than eight");
        send_text(a, "second");
        CHECK_CODE(mproc_connection_recv(b, NULL, 0, &len, MPROC_FOREVER), MPROC_ETOOSMALL);
        CHECK_INT(len, 18);
        CHECK_CODE(mproc_connection_recv(b, buffer, sizeof buffer, &len, MPROC_FOREVER), MPROC_ETOOSMALL);
        CHECK_CODE(mproc_connection_recv(b, buffer, sizeof buffer, NULL, MPROC_FOREVER), MPROC_ETOOSMALL);
        CHECK_CONTAINS(mproc_last_error(), "18");
        CHECK_OK(mproc_connection_poll(b, MPROC_NOWAIT));
        expect_text(b, "longer than eight");
        expect_text(b, "second");
        free_pipe(a, b);
}

TEST(waiting_ends_when_the_time_is_over)
{
        mproc_connection *a, *b;
        int64_t start;
        void *data;
        char byte;

        make_pipe(&a, &b);
        CHECK_CODE(mproc_connection_recv(a, &byte, 1, NULL, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_connection_poll(a, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        start = monotonic_ms();
        CHECK_CODE(mproc_connection_recv(a, &byte, 1, NULL, 30), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - start >= 30);
        CHECK_CODE(mproc_connection_recv_alloc(a, &data, NULL, 30), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_connection_poll(a, 30), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - start >= 90);
        send_text(b, "still fine");
        CHECK_OK(mproc_connection_poll(a, MPROC_FOREVER));
        expect_text(a, "still fine");
        free_pipe(a, b);
}

TEST(a_send_that_found_no_room_at_all_breaks_nothing)
{
        mproc_connection *a, *b;
        char block[1000] = "block";
        size_t count = 0, len;
        int r;

        make_pipe(&a, &b);
        while ((r = mproc_connection_send(a, block, sizeof block, MPROC_NOWAIT)) == 0)
                count++;
        CHECK_CODE(r, MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "nothing was sent");
        CHECK_CODE(mproc_connection_send(a, block, sizeof block, 20), MPROC_ETIMEDOUT);
        for (; count > 0; count--)
                CHECK_OK(mproc_connection_recv(b, block, sizeof block, &len, MPROC_NOWAIT));
        CHECK_CODE(mproc_connection_poll(b, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        send_text(a, "there is room");
        expect_text(b, "there is room");
        free_pipe(a, b);
}

TEST(a_send_cut_short_breaks_the_connection_and_the_receiver_is_told)
{
        size_t len = 8 << 20;
        uint8_t *data = make_message(len, 1), *buffer = malloc(len);
        mproc_connection *a, *b;
        void *more;

        make_pipe(&a, &b);
        send_text(a, "whole");
        CHECK_CODE(mproc_connection_send(a, data, len, 20), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "broken");
        for (int i = 0; i < 2; i++) {
                CHECK_CODE(mproc_connection_send(a, "x", 1, MPROC_FOREVER), MPROC_EBROKEN);
                CHECK_CONTAINS(mproc_last_error(), "earlier message");
        }
        expect_text(b, "whole");
        CHECK_CODE(mproc_connection_recv(b, buffer, len, NULL, MPROC_FOREVER), MPROC_EBROKEN);
        CHECK_CODE(mproc_connection_recv_alloc(b, &more, NULL, MPROC_FOREVER), MPROC_EBROKEN);
        CHECK_OK(mproc_connection_poll(b, MPROC_NOWAIT));
        send_text(b, "the other way still works");
        expect_text(a, "the other way still works");
        free(data);
        free(buffer);
        free_pipe(a, b);
}

/* The receiver gives up after each piece, into buffers of both kinds, and gets the message all the same. */
TEST(a_receive_that_ran_out_of_time_goes_on_where_it_was)
{
        size_t len = 3 << 20, piece = 70001, got_len = 0;
        uint8_t *message = make_message(len, 5), *buffer = malloc(len), header[HEADER_BYTES];
        void *data = NULL;
        char dummy;
        int raw;
        mproc_connection *c = half_raw_pipe(&raw);

        make_header(header, KIND_MESSAGE, 0, len);
        for (unsigned round = 0; round < 4; round++) {
                size_t sent = 0, calls = 0;

                raw_send(raw, header, sizeof header, NULL, 0);
                for (; sent < len; sent += piece, calls++) {
                        if ((calls + round) % 2 || round == 2)
                                CHECK_CODE(mproc_connection_recv_alloc(c, &data, &got_len, 0), MPROC_ETIMEDOUT);
                        else
                                CHECK_CODE(mproc_connection_recv(c, buffer, len, &got_len, 0), MPROC_ETIMEDOUT);
                        CHECK_CODE(mproc_connection_recv(c, &dummy, 1, &got_len, 0), MPROC_ETOOSMALL);
                        CHECK_INT(got_len, len);
                        raw_send(raw, message + sent, len - sent < piece ? len - sent : piece, NULL, 0);
                }
                if (round % 2) {
                        CHECK_OK(mproc_connection_recv_alloc(c, &data, &got_len, 0));
                        check_message(data, len, 5);
                        free(data);
                } else {
                        memset(buffer, 0, len);
                        CHECK_OK(mproc_connection_recv(c, buffer, len, &got_len, 0));
                        check_message(buffer, len, 5);
                }
                CHECK_INT(got_len, len);
        }
        raw_send(raw, header, sizeof header, NULL, 0);
        CHECK_CODE(mproc_connection_recv(c, buffer, len, &got_len, 10), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "kept");
        close(raw);
        free(buffer);
        free(message);
        mproc_connection_free(c);
}

/* --- memory --------------------------------------------------------------------------------------- */

static void
limit_memory_to(rlim_t more_bytes)
{
        char *statm = read_file("/proc/self/statm", NULL);
        struct rlimit limit;

        CHECK(statm != NULL && getrlimit(RLIMIT_AS, &limit) == 0);
        limit.rlim_cur = more_bytes == RLIM_INFINITY
                                 ? limit.rlim_max
                                 : (rlim_t)strtoul(statm, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + more_bytes;
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        free(statm);
}

static void
skip_where_memory_cannot_be_limited(void)
{
        if (under_asan() || under_tsan() || under_valgrind())
                SKIP("the checker needs its memory");
}

TEST(a_message_for_which_there_is_no_memory_stays)
{
        struct transfer t = { .len = 64 << 20, .count = 1, .seed = 8, .timeout_ms = LONG_MS };
        mproc_connection *a, *b;
        pthread_t thread;
        void *data = NULL;
        size_t len;

        skip_where_memory_cannot_be_limited();
        make_pipe(&a, &b);
        t.connection = a;
        thread = start_sender(&t);
        CHECK_OK(mproc_connection_poll(b, LONG_MS)); /* by now the sender has its memory */
        limit_memory_to(40 << 20);
        for (int i = 0; i < 2; i++) {
                CHECK_CODE(mproc_connection_recv_alloc(b, &data, &len, LONG_MS), -ENOMEM);
                CHECK_CONTAINS(mproc_last_error(), "stays");
        }
        limit_memory_to(RLIM_INFINITY);
        CHECK_OK(mproc_connection_recv_alloc(b, &data, &len, LONG_MS));
        CHECK_INT(len, t.len);
        check_message(data, len, 8);
        free(data);
        pthread_join(thread, NULL);
        CHECK_OK(t.result);
        free_pipe(a, b);
}

/* Then what has come cannot be kept for the next receive, and the connection is of no more use. */
TEST(no_memory_to_keep_half_a_message_is_told)
{
        static uint8_t half[170000], buffer[2 * sizeof half];
        uint8_t header[HEADER_BYTES];
        int raw;
        mproc_connection *c = half_raw_pipe(&raw);

        skip_where_memory_cannot_be_limited();
        make_header(header, KIND_MESSAGE, 0, sizeof buffer);
        raw_send(raw, header, sizeof header, NULL, 0);
        raw_send(raw, half, sizeof half, NULL, 0);
        limit_memory_to(0);
        CHECK_CODE(mproc_connection_recv(c, buffer, sizeof buffer, NULL, MPROC_NOWAIT), -ENOMEM);
        CHECK_CONTAINS(mproc_last_error(), "keep");
        CHECK_CODE(mproc_connection_recv(c, buffer, sizeof buffer, NULL, MPROC_NOWAIT), MPROC_EBROKEN);
        limit_memory_to(RLIM_INFINITY);
        close(raw);
        mproc_connection_free(c);
}

/* --- signals -------------------------------------------------------------------------------------- */

static atomic_int ticks;

static void
on_tick(int signal_number)
{
        (void)signal_number;
        atomic_fetch_add(&ticks, 1);
}

TEST(interruptions_are_invisible)
{
        struct sigaction action = { .sa_handler = on_tick };
        long us = under_valgrind() ? 20000 : 1000;
        struct itimerval every = { { 0, us }, { 0, us } }, never = { { 0, 0 }, { 0, 0 } };
        size_t len = under_valgrind() ? 1 << 20 : 16 << 20, got_len;
        uint8_t *buffer = malloc(len);
        mproc_connection *a, *b;
        int64_t start;

        make_pipe(&a, &b);
        struct transfer t = { a, len, 1, 2, LONG_MS, 0 };
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
        start = monotonic_ms();
        CHECK_CODE(mproc_connection_recv(b, buffer, len, &got_len, 50), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - start >= 50);
        CHECK_CODE(mproc_connection_poll(b, 20), MPROC_ETIMEDOUT);
        pthread_t thread = start_sender(&t);
        CHECK_OK(mproc_connection_poll(b, LONG_MS));
        CHECK_OK(mproc_connection_recv(b, buffer, len, &got_len, LONG_MS));
        check_message(buffer, len, 2);
        pthread_join(thread, NULL);
        CHECK_OK(t.result);
        CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
        CHECK(atomic_load(&ticks) > 2);
        free(buffer);
        free_pipe(a, b);
}

/* --- threads -------------------------------------------------------------------------------------- */

#define MIX_SENDERS  3
#define MIX_MESSAGES 200

struct mix {
        mproc_connection *connection;
        atomic_int *received;
        int result;
};

/* A message says its seed in its first byte and is of a length of its own. */
static size_t
mix_len(unsigned seed)
{
        return 1 + (seed * 7919u) % 90000u;
}

static void *
mix_send(void *arg)
{
        struct mix *m = arg;

        m->result = 0;
        for (unsigned i = 0; i < MIX_MESSAGES && m->result == 0; i++) {
                unsigned seed = i % 256;
                uint8_t *data = make_message(mix_len(seed), seed);

                m->result = mproc_connection_send(m->connection, data, mix_len(seed), MPROC_FOREVER);
                free(data);
        }
        return NULL;
}

static void *
mix_receive(void *arg)
{
        struct mix *m = arg;
        uint8_t *buffer = malloc(90001);
        size_t len;

        while ((m->result = mproc_connection_recv(m->connection, buffer, 90001, &len, MPROC_FOREVER)) == 0) {
                unsigned seed = buffer[0];

                CHECK_INT(len, mix_len(seed));
                check_message(buffer, len, seed);
                atomic_fetch_add(m->received, 1);
        }
        free(buffer);
        return NULL;
}

TEST(threads_that_share_a_connection_never_mix_messages)
{
        struct mix senders[MIX_SENDERS], receivers[2];
        pthread_t threads[MIX_SENDERS + 2];
        mproc_connection *a, *b;
        atomic_int received = 0;

        make_pipe(&a, &b);
        for (int i = 0; i < MIX_SENDERS; i++) {
                senders[i] = (struct mix){ a, &received, 0 };
                CHECK_INT(pthread_create(&threads[i], NULL, mix_send, &senders[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
                receivers[i] = (struct mix){ b, &received, 0 };
                CHECK_INT(pthread_create(&threads[MIX_SENDERS + i], NULL, mix_receive, &receivers[i]), 0);
        }
        for (int i = 0; i < MIX_SENDERS; i++) {
                pthread_join(threads[i], NULL);
                CHECK_OK(senders[i].result);
        }
        mproc_connection_close(a);
        for (int i = 0; i < 2; i++) {
                pthread_join(threads[MIX_SENDERS + i], NULL);
                CHECK_CODE(receivers[i].result, MPROC_EEOF);
        }
        CHECK_INT(atomic_load(&received), MIX_SENDERS * MIX_MESSAGES);
        free_pipe(a, b);
}

static void *
poll_for_ever(void *arg)
{
        struct transfer *t = arg;

        t->result = mproc_connection_poll(t->connection, MPROC_FOREVER);
        return NULL;
}

TEST(closing_wakes_the_threads_that_wait)
{
        struct transfer receiving[2], polling, sending;
        mproc_connection *a, *b;
        pthread_t threads[4];
        int before;

        make_pipe(&a, &b);
        before = count_fds();
        for (int i = 0; i < 2; i++) {
                receiving[i] = (struct transfer){ .connection = a };
                CHECK_INT(pthread_create(&threads[i], NULL, receive_for_ever, &receiving[i]), 0);
        }
        polling = (struct transfer){ .connection = a };
        CHECK_INT(pthread_create(&threads[2], NULL, poll_for_ever, &polling), 0);
        sending = (struct transfer){ a, 8 << 20, 1, 0, MPROC_FOREVER, 0 };
        threads[3] = start_sender(&sending);
        WAIT_UNTIL(count_sleeping_threads() == 4, 10000);
        CHECK_OK(mproc_connection_close(a));
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        CHECK_CODE(receiving[0].result, MPROC_ECLOSED);
        CHECK_CODE(receiving[1].result, MPROC_ECLOSED);
        CHECK_CODE(polling.result, MPROC_ECLOSED);
        CHECK_CODE(sending.result, MPROC_ECLOSED);
        CHECK_INT(count_fds(), before - 1);
        free_pipe(a, b);
}

TEST(a_second_receiver_waits_no_longer_than_it_was_told)
{
        mproc_connection *a, *b;
        pthread_t thread;
        char byte;

        make_pipe(&a, &b);
        struct transfer t = { .connection = a };
        CHECK_INT(pthread_create(&thread, NULL, receive_for_ever, &t), 0);
        WAIT_UNTIL(is_being_received_from(a), 10000);
        CHECK_CODE(mproc_connection_recv(a, &byte, 1, NULL, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_connection_recv(a, &byte, 1, NULL, 30), MPROC_ETIMEDOUT);
        CHECK_CONTAINS(mproc_last_error(), "another thread");
        CHECK_CODE(mproc_connection_poll(a, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_OK(mproc_connection_send(b, "x", 1, MPROC_FOREVER));
        pthread_join(thread, NULL);
        CHECK_OK(t.result);
        free_pipe(a, b);
}
