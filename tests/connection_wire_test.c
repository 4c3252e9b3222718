/* SPDX-License-Identifier: MIT */
/*
 * connection_wire_test.c - what arrives from a peer that is no friend, or that
 * breaks off: pieces, nonsense, promises of lengths and descriptors, random
 * damage.  The other end is a bare socket.
 *
 * Runs in: test processes.
 */
#include "connection_help.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define FRAME_MAX 4096

/* A whole message as bytes; returns their number. */
static size_t
make_frame(uint8_t *frame, unsigned kind, size_t nfds, const void *data, size_t len)
{
        make_header(frame, kind, nfds, len);
        memcpy(frame + HEADER_BYTES, data, len);
        return HEADER_BYTES + len;
}

/* --- pieces --------------------------------------------------------------------------------------- */

/* Each byte comes by itself, and after each a receive runs out of time; every cut is there, within the header too. */
TEST(a_message_may_come_in_single_bytes)
{
        uint8_t frame[FRAME_MAX];
        char text[32];
        size_t len;
        int raw;
        mproc_connection *c = half_raw_pipe(&raw);

        for (unsigned round = 0; round < 3; round++) {
                size_t size = make_frame(frame, KIND_MESSAGE, 0, "one by one", round == 0 ? 0 : 11);

                for (size_t i = 0; i < size; i++) {
                        CHECK_CODE(mproc_connection_recv(c, text, sizeof text, &len, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                        CHECK_CODE(mproc_connection_poll(c, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                        raw_send(raw, frame + i, 1, NULL, 0);
                        if (round == 2)
                                CHECK_OK(mproc_connection_poll(c, MPROC_NOWAIT));
                }
                CHECK_OK(mproc_connection_recv(c, text, sizeof text, &len, MPROC_NOWAIT));
                CHECK_INT(len, size - HEADER_BYTES);
        }
        CHECK_STR(text, "one by one");
        close(raw);
        CHECK_CODE(mproc_connection_recv(c, text, sizeof text, &len, MPROC_FOREVER), MPROC_EEOF);
        mproc_connection_free(c);
}

TEST(descriptors_may_come_with_the_first_byte_of_a_header_in_pieces)
{
        int fds[2] = { 1, 2 }, got[2], raw;
        uint8_t frame[FRAME_MAX];
        size_t len, n = 2, size = make_frame(frame, KIND_MESSAGE, 2, "xy", 2);
        mproc_connection *c = half_raw_pipe(&raw);
        char text[4];

        raw_announce(raw, 2);
        raw_send(raw, frame, 1, fds, 2);
        CHECK_CODE(mproc_connection_recv_fds(c, text, sizeof text, &len, got, &n, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        raw_send(raw, frame + 1, size - 1, NULL, 0);
        n = 2;
        CHECK_OK(mproc_connection_recv_fds(c, text, sizeof text, &len, got, &n, MPROC_NOWAIT));
        CHECK_INT(n, 2);
        close(got[0]);
        close(got[1]);
        close(raw);
        mproc_connection_free(c);
}

/* An empty message whose header came in pieces waits in memory, and the socket does not tell of it. */
TEST(a_message_that_is_complete_in_memory_is_ready)
{
        uint8_t frame[FRAME_MAX];
        size_t len, n = 0;
        int raw;
        mproc_connection *c = half_raw_pipe(&raw), *gift;
        mproc_waitable item = mproc_wait_connection(c);
        char text[16];

        make_frame(frame, KIND_MESSAGE, 0, "", 0);
        raw_send(raw, frame, 3, NULL, 0);
        CHECK_CODE(mproc_connection_recv(c, text, sizeof text, &len, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        raw_send(raw, frame + 3, HEADER_BYTES - 3, NULL, 0);
        CHECK_OK(mproc_connection_poll(c, MPROC_NOWAIT));
        CHECK_INT(mproc_wait(&item, 1, MPROC_NOWAIT), 1);
        CHECK_CODE(mproc_connection_recv_connection(c, &gift, MPROC_NOWAIT), MPROC_EPROTO);
        CHECK_OK(mproc_connection_poll(c, MPROC_NOWAIT));
        CHECK_INT(mproc_wait(&item, 1, MPROC_NOWAIT), 1);
        CHECK_OK(mproc_connection_recv_fds(c, text, sizeof text, &len, NULL, &n, MPROC_NOWAIT));
        CHECK_INT(len, 0);
        CHECK_CODE(mproc_connection_poll(c, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        close(raw);
        mproc_connection_free(c);
}

TEST(an_end_inside_a_message_is_no_end_of_file)
{
        uint8_t frame[FRAME_MAX];
        size_t size = make_frame(frame, KIND_MESSAGE, 0, "cut at each place", 18);

        for (size_t cut = 0; cut <= size; cut++)
                for (int kept = 0; kept < 2; kept++) {
                        int raw, wanted = cut == 0 ? MPROC_EEOF : cut == size ? 0 : MPROC_EBROKEN;
                        mproc_connection *c = half_raw_pipe(&raw);
                        char text[32];
                        void *data = NULL;

                        raw_send(raw, frame, cut, NULL, 0);
                        if (kept && cut < size)
                                CHECK_CODE(mproc_connection_recv(c, text, sizeof text, NULL, 0), MPROC_ETIMEDOUT);
                        close(raw);
                        CHECK_OK(mproc_connection_poll(c, MPROC_FOREVER));
                        if (cut % 2)
                                CHECK_CODE(mproc_connection_recv(c, text, sizeof text, NULL, MPROC_FOREVER), wanted);
                        else
                                CHECK_CODE(mproc_connection_recv_alloc(c, &data, NULL, MPROC_FOREVER), wanted);
                        if (wanted == MPROC_EBROKEN) {
                                CHECK_OK(mproc_connection_poll(c, MPROC_FOREVER));
                                CHECK_CODE(mproc_connection_recv(c, text, sizeof text, NULL, MPROC_FOREVER), wanted);
                        }
                        free(data);
                        mproc_connection_free(c);
                }
}

/* --- nonsense ------------------------------------------------------------------------------------- */

static void
expect_not_understood(const uint8_t *bytes, size_t size, const int *fds, size_t nfds)
{
        int raw, before = count_fds();
        mproc_connection *c = half_raw_pipe(&raw), *gift;
        char text[32];
        size_t n = 0;
        int fd = -1;

        if (nfds > 0)
                raw_announce(raw, nfds);
        raw_send(raw, bytes, size, fds, nfds);
        n = 1;
        CHECK_CODE(mproc_connection_recv_fds(c, text, sizeof text, NULL, &fd, &n, MPROC_FOREVER), MPROC_EPROTO);
        CHECK(strlen(mproc_last_error()) > 20);
        CHECK_CODE(mproc_connection_recv(c, text, sizeof text, NULL, MPROC_FOREVER), MPROC_EPROTO);
        CHECK_CODE(mproc_connection_recv_connection(c, &gift, MPROC_FOREVER), MPROC_EPROTO);
        CHECK_OK(mproc_connection_poll(c, MPROC_FOREVER));
        close(raw);
        mproc_connection_free(c);
        CHECK_INT(count_fds(), before);
}

TEST(nonsense_is_not_understood)
{
        uint8_t header[HEADER_BYTES];
        int fds[3] = { 0, 1, 2 };

        expect_not_understood((const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18, NULL, 0);
        make_header(header, 4, 0, 0); /* no such kind */
        expect_not_understood(header, sizeof header, NULL, 0);
        make_header(header, KIND_MESSAGE, 254, 0); /* more descriptors than can travel */
        expect_not_understood(header, sizeof header, NULL, 0);
        make_header(header, KIND_MESSAGE, 0, UINT64_MAX); /* more bytes than there are addresses */
        expect_not_understood(header, sizeof header, NULL, 0);
        make_header(header, KIND_MESSAGE, 0, (UINT64_MAX >> 1) - 8);
        expect_not_understood(header, sizeof header, NULL, 0);
        make_header(header, KIND_MESSAGE, 1, 0); /* a descriptor announced and none there */
        expect_not_understood(header, sizeof header, NULL, 0);
        expect_not_understood(header, sizeof header, fds, 3); /* and others than announced */
        make_header(header, KIND_ANNOUNCEMENT, 0, 0);         /* of nothing */
        expect_not_understood(header, sizeof header, NULL, 0);
        make_header(header, KIND_ANNOUNCEMENT, 1, 1); /* has no content */
        expect_not_understood(header, sizeof header, NULL, 0);
}

TEST(descriptors_nobody_announced_are_not_installed)
{
        uint8_t frame[FRAME_MAX];
        int fds[3] = { 0, 1, 2 }, raw, before = count_fds();
        size_t len, n = 0, size = make_frame(frame, KIND_MESSAGE, 0, "plain", 6);
        mproc_connection *c = half_raw_pipe(&raw);
        char text[8];

        raw_send(raw, frame, size - 2, fds, 3);
        raw_send(raw, frame + size - 2, 2, fds, 3);
        CHECK_OK(mproc_connection_recv_fds(c, text, sizeof text, &len, NULL, &n, LONG_MS));
        CHECK_INT(n, 0);
        CHECK_STR(text, "plain");
        CHECK_INT(count_fds(), before + 2);
        close(raw);
        mproc_connection_free(c);
}

/* The frame that was spoken of may have failed to be sent, and another come, or none. */
TEST(an_announcement_binds_nobody)
{
        uint8_t frame[FRAME_MAX];
        int fds[2] = { 1, 2 }, got[2], raw, before = count_fds();
        size_t len, n, size;
        mproc_connection *c = half_raw_pipe(&raw);
        char text[8];

        raw_announce(raw, 3);
        size = make_frame(frame, KIND_MESSAGE, 0, "plain", 6);
        raw_send(raw, frame, size, NULL, 0);
        raw_announce(raw, 1);
        size = make_frame(frame, KIND_MESSAGE, 1, "one", 4);
        raw_send(raw, frame, size, fds, 1);
        n = 2;
        CHECK_OK(mproc_connection_recv_fds(c, text, sizeof text, &len, got, &n, MPROC_NOWAIT));
        CHECK_STR(text, "plain");
        CHECK_INT(n, 0);
        n = 2;
        CHECK_OK(mproc_connection_recv_fds(c, text, sizeof text, &len, got, &n, MPROC_NOWAIT));
        CHECK_STR(text, "one");
        CHECK_INT(n, 1);
        close(got[0]);
        raw_announce(raw, 1);
        CHECK_CODE(mproc_connection_recv(c, text, sizeof text, &len, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_connection_poll(c, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        raw_announce(raw, 2);
        size = make_frame(frame, KIND_MESSAGE, 2, "beside", 7);
        raw_send(raw, frame, size, fds, 2);
        n = 2;
        CHECK_OK(mproc_connection_recv_fds(c, text, sizeof text, &len, got, &n, MPROC_NOWAIT));
        CHECK_INT(n, 2);
        close(got[0]);
        close(got[1]);
        raw_announce(raw, 1);
        close(raw);
        CHECK_CODE(mproc_connection_recv(c, text, sizeof text, &len, MPROC_FOREVER), MPROC_EEOF);
        CHECK_CODE(mproc_connection_recv_fds(c, text, sizeof text, &len, got, &n, MPROC_FOREVER), MPROC_EEOF);
        mproc_connection_free(c);
        CHECK_INT(count_fds(), before);
}

/* The peer says that a message is enormous.  It costs what was really sent. */
TEST(a_length_is_not_believed)
{
        uint64_t lens[] = { UINT64_C(1) << 31, UINT64_C(1) << 40, UINT64_C(1) << 62 };
        uint8_t header[HEADER_BYTES];
        struct rlimit limit = { 0, 0 };

        if (!under_asan() && !under_tsan() && !under_valgrind()) {
                limit.rlim_cur = limit.rlim_max = (rlim_t)1 << 30;
                CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        }
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                int raw;
                mproc_connection *c = half_raw_pipe(&raw);
                uint8_t *data = make_message(100000, 1);
                size_t len = 0;
                void *got;

                make_header(header, KIND_MESSAGE, 0, lens[i]);
                raw_send(raw, header, sizeof header, NULL, 0);
                raw_send(raw, data, 100000, NULL, 0);
                CHECK_CODE(mproc_connection_recv(c, data, 100000, &len, LONG_MS), MPROC_ETOOSMALL);
                CHECK(len == lens[i]);
                CHECK_CODE(mproc_connection_recv_alloc(c, &got, &len, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                close(raw);
                CHECK_CODE(mproc_connection_recv_alloc(c, &got, &len, LONG_MS), MPROC_EBROKEN);
                free(data);
                mproc_connection_free(c);
        }
}

/* --- gifts that are none -------------------------------------------------------------------------- */

/* The content of a gift: docs/wire.md. */
struct gift {
        uint8_t bytes[256];
        size_t len;
};

static void
add(struct gift *g, const void *data, size_t len)
{
        memcpy(g->bytes + g->len, data, len);
        g->len += len;
}

static void
add_u32(struct gift *g, uint32_t value)
{
        add(g, &value, 4);
}

static void
add_bytes(struct gift *g, const void *data, uint64_t len)
{
        add(g, &len, 8);
        add(g, data, len);
        add(g, "", 1);
}

static struct gift
make_gift(uint32_t directions, uint32_t broken, uint32_t failed, const void *header, size_t header_len,
          const char *data, uint32_t nfds, const uint32_t *indexes)
{
        struct gift g = { .len = 0 };

        add_u32(&g, directions);
        add_u32(&g, broken);
        add_u32(&g, failed);
        add_bytes(&g, header, header_len);
        add_bytes(&g, data, strlen(data));
        add_u32(&g, nfds);
        for (uint32_t i = 0; i < nfds; i++)
                add_u32(&g, indexes[i]);
        add_u32(&g, 0);
        add_u32(&g, 0);
        add_u32(&g, indexes[nfds]);
        return g;
}

/* Receive a gift made of this and these descriptors; nothing may remain of it, and the connection goes on. */
static void
expect_gift(const struct gift *g, const int *fds, size_t nfds, int wanted)
{
        int raw, before = count_fds();
        mproc_connection *c = half_raw_pipe(&raw), *gift = NULL;
        uint8_t frame[FRAME_MAX];
        size_t size = make_frame(frame, KIND_GIFT, nfds, g->bytes, g->len);
        char text[8];

        raw_announce(raw, nfds);
        raw_send(raw, frame, size, fds, nfds);
        CHECK_CODE(mproc_connection_recv_connection(c, &gift, LONG_MS), wanted);
        if (wanted == 0)
                CHECK_INT(mproc_connection_closed(gift), 0);
        else
                CHECK(gift == NULL);
        mproc_connection_free(gift);
        size = make_frame(frame, KIND_MESSAGE, 0, "next", 5);
        raw_send(raw, frame, size, NULL, 0);
        CHECK_OK(mproc_connection_recv(c, text, sizeof text, NULL, LONG_MS));
        close(raw);
        mproc_connection_free(c);
        CHECK_INT(count_fds(), before);
}

TEST(a_gift_is_looked_at_closely)
{
        uint8_t header[HEADER_BYTES];
        uint32_t first[3] = { 0, 1, 2 }, twice[3] = { 0, 0, 0 }, beyond[1] = { 5 };
        int pair[2], fds[2];
        struct gift g;

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        fds[0] = pair[0];
        fds[1] = STDIN_FILENO;
        g = make_gift(3, 0, 0, "", 0, "", 0, first);
        expect_gift(&g, fds, 1, 0);
        expect_gift(&g, fds, 2, 0); /* one descriptor too many: closed */
        expect_gift(&g, fds + 1, 1, -ENOTSOCK);
        g.len--;
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(0, 0, 0, "", 0, "", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(4, 0, 0, "", 0, "", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(3, 2, 0, "", 0, "", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(3, 0, 3, "", 0, "", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(3, 0, 0, "", 0, "", 0, beyond);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(3, 0, 0, "", 0, "bytes", 0, first); /* bytes of no message */
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(3, 0, 0, "", 0, "", 1, first); /* descriptors of no message */
        expect_gift(&g, fds, 2, MPROC_EPROTO);
        g = make_gift(3, 0, 0, "nonsense nonsense", 17, "", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(3, 0, 0, "nonsense nonsens", 16, "", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        make_header(header, KIND_MESSAGE, 1, 3);
        g = make_gift(3, 0, 0, header, 16, "more than three", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        g = make_gift(3, 0, 0, header, 16, "abc", 1, twice); /* one descriptor with two owners */
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        make_header(header, KIND_ANNOUNCEMENT, 1, 0);
        g = make_gift(3, 0, 0, header, 16, "", 0, first);
        expect_gift(&g, fds, 1, MPROC_EPROTO);
        make_header(header, KIND_MESSAGE, 0, 3);
        g = make_gift(3, 0, 0, header, 16, "abc", 0, first);
        expect_gift(&g, fds, 1, 0);
        close(pair[0]);
        close(pair[1]);
}

/* --- damage at random ----------------------------------------------------------------------------- */

static uint64_t
next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* Flip bits, cut, or put bytes in; returns the new size. */
static size_t
damage(uint8_t *bytes, size_t size, uint64_t *state)
{
        for (uint64_t n = 1 + next_random(state) % 4; n > 0; n--)
                switch (next_random(state) % 4) {
                case 0:
                        size = next_random(state) % (size + 1);
                        break;
                case 1:
                        memmove(bytes + 1, bytes, size);
                        bytes[0] = (uint8_t)next_random(state);
                        size++;
                        break;
                default:
                        if (size > 0)
                                bytes[next_random(state) % size] ^= (uint8_t)(1u << next_random(state) % 8);
                }
        return size;
}

/* Receive in some way until the connection has nothing more to tell; what it tells must be one of its codes. */
static void
receive_all(mproc_connection *c, uint64_t *state)
{
        for (int i = 0; i < 20; i++) {
                mproc_connection *gift = NULL;
                char buffer[64];
                void *data = NULL;
                int fds[8], r;
                size_t n = 8;

                switch (next_random(state) % 4) {
                case 0:
                        r = mproc_connection_recv(c, buffer, sizeof buffer, NULL, MPROC_NOWAIT);
                        break;
                case 1:
                        r = mproc_connection_recv_alloc(c, &data, NULL, MPROC_NOWAIT);
                        break;
                case 2:
                        r = mproc_connection_recv_fds(c, buffer, sizeof buffer, NULL, fds, &n, MPROC_NOWAIT);
                        for (size_t k = 0; r == 0 && k < n; k++)
                                CHECK(close(fds[k]) == 0);
                        break;
                default:
                        r = mproc_connection_recv_connection(c, &gift, MPROC_NOWAIT);
                        mproc_connection_free(gift);
                        break;
                }
                free(data);
                CHECK_MSG(r == 0 || r == MPROC_ETIMEDOUT || r == MPROC_EEOF || r == MPROC_EBROKEN ||
                                  r == MPROC_EPROTO || r == MPROC_ETOOSMALL || r == -ENOTSOCK,
                          "a receive gave %d %s", r, mproc_error_name(r));
        }
}

TEST(random_damage_does_no_harm, .limit_s = 120)
{
        uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
        int rounds = under_valgrind() ? 200 : 5000, before = count_fds(), pair[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        for (int round = 0; round < rounds; round++) {
                uint8_t header[HEADER_BYTES], bytes[FRAME_MAX];
                int raw, fds[3] = { pair[0], pair[1], STDIN_FILENO };
                mproc_connection *c = half_raw_pipe(&raw);
                size_t size = 0, nfds = 0, rider = 0;
                struct gift g;

                for (int frames = 0; frames < 2; frames++) {
                        uint32_t indexes[3] = { 0, 1, 2 };

                        nfds = next_random(&state) % 4;
                        if (nfds > 0 && next_random(&state) % 2) {
                                make_header(bytes + size, KIND_ANNOUNCEMENT, nfds, 0);
                                size += HEADER_BYTES;
                        }
                        make_header(header, KIND_MESSAGE, nfds, 10);
                        g = make_gift(3, 0, 0, header, next_random(&state) % 2 * 16, "",
                                      nfds > 0 ? (uint32_t)nfds - 1 : 0, indexes);
                        rider = size;
                        if (next_random(&state) % 2)
                                size += make_frame(bytes + size, KIND_GIFT, nfds, g.bytes, g.len);
                        else
                                size += make_frame(bytes + size, KIND_MESSAGE, nfds, "some bytes", 10);
                }
                /* The last frame's descriptors go with its first byte, mostly, and the damage before or after it. */
                if (next_random(&state) % 4 == 0)
                        rider = next_random(&state) % (size + 1);
                if (next_random(&state) % 2)
                        size = rider + damage(bytes + rider, size - rider, &state);
                else
                        rider = damage(bytes, rider, &state), size = rider;
                raw_send(raw, bytes, rider, NULL, 0);
                if (next_random(&state) % 2)
                        receive_all(c, &state);
                if (size > rider)
                        raw_send(raw, bytes + rider, size - rider, fds, nfds);
                close(raw);
                receive_all(c, &state);
                mproc_connection_free(c);
                CHECK_INT(count_fds(), before + 2);
        }
        close(pair[0]);
        close(pair[1]);
}
