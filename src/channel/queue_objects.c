/* SPDX-License-Identifier: MIT */
/*
 * channel/queue_objects.c - argument lists as messages, with the objects and descriptors among them.
 *
 * Runs in: every process.  Owns: what is being packed or unpacked; a queue's handle owns its courier.
 *
 * A message that is a list, a letter:
 *
 *      u64     LETTER
 *      u64     the number of its packet, 0: it has no descriptors
 *      u32     how many descriptors
 *      bytes   one for each argument: 1 if only fork can pass it on
 *      the list, as wire/args.c writes it
 *
 * Descriptors cannot lie in shared memory.  A queue made for objects has a courier: a pair of sockets
 * whose both ends travel with it.  Before a letter is counted its descriptors are sent through the courier, in
 * one packet, with a number that no other packet has.
 *
 * put, under tail.lock: have room and a place; count `packets`, send the packet; write the letter; count tail.n.
 * So packets lie in the courier in the order of their letters.  Between them lie packets of putters who died, or
 * failed, before they counted: their numbers are in no letter.
 *
 * get, under head.lock: copy the letter; look at the first packet, which duplicates its descriptors and leaves it
 * where it is; throw it away while its number is less than the letter's; unpack; count head.n; take the packet
 * away.  Who dies before the count leaves letter and packet to the next; who dies after it leaves a
 * packet that the next throws away.  Nothing is lost, for a packet is only thrown away when its letter has been
 * counted, or never will be: a later letter has been.
 */
#include "channel/queue_core.h"
#include "core/error.h"
#include "platform/platform.h"
#include "wire/args.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <mproc/queue_args.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LETTER        UINT64_C(0x7265747465cd706d)
#define NUMBER_AT     8
#define FDS_AT        16
#define SLICE         INT64_C(100000000)
#define COURIER_BYTES (4 << 20) /* what is asked for; the system's limit is usually far less */

/* --- the courier ------------------------------------------------------------------------------------------- */

int
mproc__queue_open_courier(struct mproc_queue *queue)
{
        int bytes = COURIER_BYTES, r = mproc__plat_socketpair(SOCK_SEQPACKET, queue->courier);

        if (r < 0)
                return mproc__fail_errno(-r, "cannot make the sockets for a queue's objects");
        (void)setsockopt(queue->courier[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        return 0;
}

/* tail.lock is held.  As long as the socket is full the queue is full. */
static int
send_packet(struct mproc_queue *queue, uint64_t number, const struct mproc__encoder *e,
            struct mproc__queue_wait *wait)
{
        for (;;) {
                struct iovec iov = { &number, sizeof number };
                int64_t until = 0;
                int r;

                if (!wait->nowait) {
                        until = mproc__plat_now_ns() + SLICE;
                        until = until < mproc__queue_deadline(wait) ? until : mproc__queue_deadline(wait);
                }
                r = mproc__send_fds(queue->courier[0], &iov, 1, e->fds, e->nfds, until, NULL);
                if (r != MPROC_ETIMEDOUT)
                        return r;
                if (atomic_load(&queue->closed) || atomic_load(&queue->shm->ended))
                        return MPROC_ECLOSED;
                if (wait->nowait || mproc__deadline_passed(mproc__queue_deadline(wait)))
                        return -EAGAIN;
        }
}

/* head.lock is held: the first packet goes, and its descriptors with it. */
static void
throw_away(struct mproc_queue *queue)
{
        uint64_t number;

        (void)mproc__recv_fds(queue->courier[1], &number, sizeof number, NULL, NULL, 0);
}

static void
close_all(int *fds, size_t nfds)
{
        for (size_t i = 0; i < nfds; i++)
                mproc__plat_close(&fds[i]);
}

/* head.lock is held: duplicates of this packet's descriptors; the packet stays. */
static int
look_into_packet(struct mproc_queue *queue, uint64_t number, int *fds, size_t wanted)
{
        for (;;) {
                uint64_t seen = 0;
                size_t nfds = 0;
                ssize_t n = mproc__peek_fds(queue->courier[1], &seen, sizeof seen, fds, &nfds, 0);

                if (n > 0 && seen == number && nfds == wanted)
                        return 0;
                close_all(fds, nfds);
                if (n == MPROC_ETIMEDOUT || n == 0)
                        return MPROC_EBROKEN;
                if (n < 0 && (n != -EMFILE || seen == 0 || seen >= number)) /* a table that is full loses nothing */
                        return (int)n;
                if (seen >= number)
                        return MPROC_EBROKEN;
                throw_away(queue);
        }
}

/* --- putting ------------------------------------------------------------------------------------------------- */

static int
check(const struct mproc_queue *queue)
{
        int r = mproc__queue_check(queue);

        if (r == 0 && queue->ledger)
                r = mproc__fail(MPROC_EUNSUPPORTED, "a queue with leases or tasks does not take argument lists");
        return r;
}

static int
pack(struct mproc_queue *queue, const mproc_args *args, struct mproc__encoder *e)
{
        const char *bound;
        uint32_t nfds;
        size_t index;
        int r;

        if (!queue->object.fork_only && (bound = mproc__args_fork_only(args, &index)) != NULL)
                return mproc__fail(
                        MPROC_ECONTEXT,
                        "argument %zu is a %s made in the fork context, which only a child by fork can have; "
                        "this queue reaches others: make the %s in the queue's context",
                        index, bound, bound);
        mproc__enc_u64(e, LETTER);
        mproc__enc_u64(e, 0);
        mproc__enc_u32(e, 0);
        mproc__args_encode_fork_only(args, e);
        if ((r = mproc__args_encode(args, e)) < 0)
                return r;
        if (e->nfds > MPROC__FDPASS_MAX)
                return mproc__fail(-EMSGSIZE, "the arguments need %zu descriptors, and %d can go with a message",
                                   e->nfds, MPROC__FDPASS_MAX);
        if (e->nfds > 0 && queue->courier[0] < 0)
                return mproc__fail(MPROC_EUNSUPPORTED, "the queue was made without the means to carry objects and "
                                                       "descriptors: set mproc_queue_opts.objects");
        nfds = (uint32_t)e->nfds;
        memcpy(e->data + FDS_AT, &nfds, sizeof nfds);
        return 0;
}

static int
put_locked(struct mproc_queue *queue, struct mproc__encoder *e, struct mproc__queue_wait *wait, uint32_t n,
           bool *ret_woken)
{
        uint64_t start;
        int r;

        if ((r = mproc__queue_await_room(queue, n, e->len, wait)) < 0 ||
            (r = mproc__queue_find_place(queue, n, e->len, &start)) < 0)
                return r;
        if (e->nfds > 0) {
                uint64_t number = ++queue->shm->packets;

                MPROC_POINT("objects.put.numbered");
                memcpy(e->data + NUMBER_AT, &number, sizeof number);
                if ((r = send_packet(queue, number, e, wait)) < 0)
                        return r;
                MPROC_POINT("objects.put.sent");
        }
        if ((r = mproc__queue_write(queue, n, start, e->data, e->len)) < 0)
                return r;
        *ret_woken = mproc__queue_count_tail(queue, n, 1, e->len);
        return 0;
}

static int
fail_put(struct mproc_queue *queue, int r)
{
        if (r == -EAGAIN)
                return mproc__fail(MPROC_EFULL,
                                   "as many packets of descriptors are under way through the queue as the "
                                   "system lets through one socket, and none was taken in time");
        if (r == -ETOOMANYREFS)
                return mproc__fail(r, "this user has as many descriptors under way as a process may have open "
                                      "(RLIMIT_NOFILE); some must be received first");
        return mproc__queue_fail_put(queue, r);
}

static int
put(struct mproc_queue *queue, struct mproc__encoder *e, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        struct mproc__queue_end *tail = &queue->shm->tail;
        bool woken = false;
        uint32_t n;
        int r;

        if (e->len > MPROC__QUEUE_MESSAGE_MAX || (queue->max_bytes && e->len > queue->max_bytes))
                return mproc__fail(-EMSGSIZE, "the arguments make a message of %zu bytes, which is too large",
                                   e->len);
        if ((r = mproc__queue_enter_tail(queue, &wait)) < 0)
                return fail_put(queue, r);
        n = atomic_load_explicit(&tail->n, memory_order_relaxed);
        r = put_locked(queue, e, &wait, n, &woken);
        mproc__robust_unlock(&tail->lock);
        if (r < 0)
                return fail_put(queue, r);
        mproc__counter_look_again(&tail->n, &tail->armed, n, woken);
        mproc__queue_ring_bell(queue, n);
        return 0;
}

int
mproc_queue_put_args(mproc_queue *queue, mproc_arglist list, int64_t timeout_ms)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        mproc_args *args;
        int r;

        if ((r = check(queue)) < 0 || (r = mproc__args_gather(list, &args)) < 0)
                return r;
        if ((r = pack(queue, args, &e)) == 0 && (r = put(queue, &e, timeout_ms)) == 0)
                mproc__args_given(args);
        mproc__encoder_fini(&e);
        mproc__args_free(args);
        return r;
}

/* --- getting ------------------------------------------------------------------------------------------------- */

/* What is being unpacked. */
struct letter {
        struct mproc__sink sink;
        int *fds;
        size_t nfds;
        mproc_args *args;
};

/* The copy and the descriptors belong to the arguments from here on. */
static int
make_args(struct letter *letter, struct mproc__decoder *d, const void *marks, size_t marks_len)
{
        struct mproc__block block = { .data = letter->sink.buffer, .len = letter->sink.len, .heap = true };
        int r = mproc__args_decode_message(&block, d->pos, letter->fds, letter->nfds, marks, marks_len,
                                           &letter->args);

        if (r < 0)
                return r == MPROC_EPROTO ? MPROC_EARGTYPE : r;
        letter->sink.buffer = NULL;
        letter->fds = NULL;
        return 0;
}

/* head.lock is held, and nothing is counted yet: whatever fails leaves the message in place. */
static int
open_letter(struct mproc_queue *queue, struct letter *letter)
{
        struct mproc__decoder d = { .data = letter->sink.buffer, .len = letter->sink.len };
        uint64_t magic = mproc__dec_u64(&d), number = mproc__dec_u64(&d);
        uint32_t nfds = mproc__dec_u32(&d);
        size_t marks_len = 0;
        const void *marks = mproc__dec_bytes(&d, &marks_len);
        int r;

        if (d.error || magic != LETTER || nfds > MPROC__FDPASS_MAX || (nfds > 0 && queue->courier[1] < 0))
                return MPROC_EARGTYPE;
        if (nfds > 0) {
                if (!(letter->fds = malloc(MPROC__FDPASS_MAX * sizeof(int))))
                        return -ENOMEM;
                if ((r = look_into_packet(queue, number, letter->fds, nfds)) < 0)
                        return r;
                letter->nfds = nfds;
        }
        return make_args(letter, &d, marks, marks_len);
}

static int
get_locked(struct mproc_queue *queue, struct letter *letter, struct mproc__queue_wait *wait, uint32_t n,
           bool *ret_woken)
{
        uint32_t count;
        int r;

        if ((r = mproc__queue_await_message(queue, n, wait, &count)) < 0 ||
            (r = mproc__queue_settle_head(queue, n)) < 0 ||
            (r = mproc__queue_take_out(queue, n, &letter->sink)) < 0 || (r = open_letter(queue, letter)) < 0)
                return r;
        MPROC_POINT("objects.get.opened");
        *ret_woken = mproc__queue_count_head(queue, n, 1, letter->sink.len);
        MPROC_POINT("objects.get.counted");
        if (letter->nfds > 0)
                throw_away(queue);
        return 0;
}

static int
fail_get(struct mproc_queue *queue, int r)
{
        switch (r) {
        case MPROC_EARGTYPE:
                return mproc__fail(r,
                                   "the next message is no argument list: it was not put by mproc_queue_put_args; it "
                                   "stays in place");
        case MPROC_EBROKEN:
                return mproc__fail(r,
                                   "the descriptors of the next message are gone: some process took them out of the "
                                   "queue's socket; mproc_queue_get takes the rest of it");
        case -EMFILE:
                return mproc__fail(
                        r, "the next message brings descriptors, for which this process has no room; it stays "
                           "in place");
        default:
                return mproc__queue_fail_get(queue, r);
        }
}

int
mproc_queue_get_args(mproc_queue *queue, mproc_args **ret_args, int64_t timeout_ms)
{
        struct mproc__queue_wait wait = MPROC__QUEUE_WAIT(timeout_ms);
        struct letter letter = { .sink = { .allocate = true } };
        bool woken = false;
        uint32_t n;
        int r;

        if ((r = check(queue)) < 0)
                return r;
        if ((r = mproc__queue_enter_head(queue, &wait)) < 0)
                return fail_get(queue, r);
        n = atomic_load_explicit(&queue->shm->head.n, memory_order_relaxed);
        r = get_locked(queue, &letter, &wait, n, &woken);
        mproc__robust_unlock(&queue->shm->head.lock);
        if (r == 0)
                mproc__counter_look_again(&queue->shm->head.n, &queue->shm->head.armed, n, woken);
        else if (letter.fds)
                close_all(letter.fds, letter.nfds);
        free(letter.fds);
        mproc__sink_drop(&letter.sink);
        if (r < 0)
                return fail_get(queue, r);
        *ret_args = letter.args;
        return 0;
}
