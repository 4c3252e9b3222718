/* SPDX-License-Identifier: MIT */
/*
 * channel/queue.c - mproc_queue: making and ending handles, looking, closing, and a queue as an argument.
 *
 * Runs in: every process.  Owns: a segment with its bell and the rings behind it.
 * How a queue works is told in queue_core.h.
 */
#include "channel/lease.h"
#include "channel/queue_core.h"
#include "context/context.h"
#include "core/error.h"
#include "platform/platform.h"
#include "program/program.h"
#include "wire/codec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define CLOSE_PAUSE INT64_C(100000)

/* --- making handles -------------------------------------------------------------------------------- */

static int
make(struct mproc__segment *segment, bool fork_only, struct mproc_queue **ret)
{
        struct mproc_queue *queue = calloc(1, sizeof *queue);

        if (!queue) {
                mproc__segment_unref(segment);
                return mproc__fail(-ENOMEM, "no memory for a queue");
        }
        queue->segment = segment;
        queue->courier[0] = queue->courier[1] = -1;
        queue->shm = (struct mproc__queue_shm *)segment->base;
        queue->limit = queue->shm->maxsize;
        queue->max_bytes = queue->shm->max_bytes;
        if (queue->limit == 0 || queue->limit > MPROC__QUEUE_COUNT_MAX)
                queue->limit = MPROC__QUEUE_COUNT_MAX;
        mproc__object_init(&queue->object, &mproc__queue_type, fork_only);
        *ret = queue;
        return 0;
}

static int
init_shm(struct mproc_queue *queue, const mproc_queue_opts *opts)
{
        struct mproc__queue_shm *shm = queue->shm;
        uint64_t first = mproc__memory_page();
        int r = mproc__ring_build(&queue->tail, queue->segment->fd, first, MPROC__COUNTER_START, 0, NULL, 0);

        if (r < 0)
                return mproc__fail_errno(-r, "no shared memory for a queue");
        shm->has_slots = mproc__program_need_beacon() == 0;
        shm->maxsize = (uint32_t)opts->maxsize;
        shm->max_bytes = queue->max_bytes = opts->max_bytes;
        queue->limit = opts->maxsize ? (uint32_t)opts->maxsize : MPROC__QUEUE_COUNT_MAX;
        for (int i = 0; i < 2; i++) {
                struct mproc__queue_end *end = i ? &shm->head : &shm->tail;

                atomic_init(&end->n, MPROC__COUNTER_START);
                atomic_init(&end->hint_n, MPROC__COUNTER_START);
                atomic_init(&end->tally[0].n, MPROC__COUNTER_START);
                atomic_init(&end->tally[1].n, MPROC__COUNTER_START - 1);
                atomic_init(&end->armed, MPROC__COUNTER_START - 1); /* a ticket for what lies behind is void */
                atomic_init(&end->rung, MPROC__COUNTER_START - 1);
                atomic_init(&end->ring, first);
                atomic_init(&end->released, first);
        }
        return 0;
}

static int
add_ledger(struct mproc_queue *queue, const mproc_queue_opts *opts)
{
        size_t capacity = opts->leases ? opts->leases : MPROC__LEDGER_MAX;
        int r;

        if (opts->leases == 0 && !opts->joinable)
                return 0;
        if ((r = mproc__program_need_beacon()) < 0) /* owners of leases and tasks are told by slots */
                return r;
        return mproc__ledger_create((uint32_t)capacity, opts->joinable != 0, &queue->ledger);
}

static int
check_opts(const mproc_queue_opts *opts)
{
        if (opts->maxsize > MPROC__QUEUE_COUNT_MAX)
                return mproc__fail(-EINVAL, "a queue's maxsize is at most %u; %zu was asked for",
                                   MPROC__QUEUE_COUNT_MAX, opts->maxsize);
        if (opts->max_bytes > MPROC__QUEUE_MESSAGE_MAX)
                return mproc__fail(-EINVAL, "a queue's limit on bytes is at most %zu; %zu was asked for",
                                   MPROC__QUEUE_MESSAGE_MAX, opts->max_bytes);
        if (opts->objects && (opts->leases || opts->joinable))
                return mproc__fail(-EINVAL, "a queue cannot carry objects and have leases or tasks, too");
        if (opts->leases > MPROC__LEDGER_MAX)
                return mproc__fail(-EINVAL, "a queue has at most %u leases; %zu were asked for", MPROC__LEDGER_MAX,
                                   opts->leases);
        return 0;
}

int
mproc_queue_create_opts(mproc_context *ctx, const mproc_queue_opts *opts, mproc_queue **ret_queue)
{
        static const mproc_queue_opts none = MPROC_QUEUE_OPTS_INIT;
        struct mproc__segment *segment;
        struct mproc_queue *queue;
        size_t page = mproc__memory_page();
        int r;

        opts = opts ? opts : &none;
        if ((r = check_opts(opts)) < 0)
                return r;
        ctx = mproc__context_resolve(ctx);
        if ((r = mproc__segment_create(MPROC__SEGMENT_QUEUE, "queue", page, page, true, &segment)) < 0 ||
            (r = make(segment, mproc__context_is_fork(ctx), &queue)) < 0)
                return r;
        if ((r = init_shm(queue, opts)) < 0 || (r = add_ledger(queue, opts)) < 0 ||
            (opts->objects && (r = mproc__queue_open_courier(queue)) < 0) ||
            (r = mproc__object_publish(&queue->object)) < 0) {
                mproc__object_unref(&queue->object);
                return r;
        }
        *ret_queue = queue;
        return 0;
}

int
mproc_queue_create(mproc_context *ctx, size_t maxsize, mproc_queue **ret_queue)
{
        return mproc_queue_create_opts(ctx, &(mproc_queue_opts){ .maxsize = maxsize }, ret_queue);
}

/* --- looking -------------------------------------------------------------------------------------------- */

static int
count_messages(mproc_queue *queue, uint32_t *ret_count)
{
        int r = mproc__queue_check(queue);

        if (r < 0)
                return r;
        *ret_count = mproc__counter_distance(&queue->shm->head.n, &queue->shm->tail.n);
        if (queue->ledger)
                *ret_count += mproc__ledger_returned(queue->ledger);
        return *ret_count <= MPROC__QUEUE_COUNT_MAX ? 0 : mproc__queue_fail_get(queue, MPROC_ECORRUPT);
}

int
mproc_queue_qsize(mproc_queue *queue, size_t *ret_count)
{
        uint32_t count;
        int r = count_messages(queue, &count);

        if (r == 0)
                *ret_count = count;
        return r;
}

int
mproc_queue_empty(mproc_queue *queue)
{
        uint32_t count;
        int r = count_messages(queue, &count);

        return r < 0 ? r : count == 0;
}

/* Of a queue with a limit on bytes: at one moment, as mproc__counter_distance. */
static uint64_t
count_bytes(const struct mproc_queue *queue)
{
        struct mproc__queue_end *tail = &queue->shm->tail, *head = &queue->shm->head;
        uint32_t h, t;
        uint64_t bytes;

        do {
                h = atomic_load_explicit(&head->n, memory_order_acquire);
                t = atomic_load_explicit(&tail->n, memory_order_acquire);
                bytes = mproc__queue_tally(tail, t) - mproc__queue_tally(head, h);
        } while (atomic_load_explicit(&tail->n, memory_order_acquire) != t ||
                 atomic_load_explicit(&head->n, memory_order_acquire) != h);
        return bytes;
}

static bool
bytes_are_full(const struct mproc_queue *queue)
{
        return queue->max_bytes != 0 && count_bytes(queue) >= queue->max_bytes;
}

/* Would a put find room?  What a lease gave back has its place beside the limit and takes none. */
int
mproc_queue_full(mproc_queue *queue)
{
        uint32_t count;
        int r = count_messages(queue, &count);

        return r < 0 ? r : mproc__queue_is_full(queue) || bytes_are_full(queue);
}

/* --- closing -------------------------------------------------------------------------------------------- */

/*
 * Threads of this process that wait inside are sent away.  A thread counts itself in before
 * it looks at `closed` for the last time, so none is missed; one that is on its
 * way to sleep is met in the next round.  Other processes' sleepers are woken for nothing.
 */
int
mproc_queue_close(mproc_queue *queue)
{
        if (!queue)
                return mproc__queue_check(queue);
        atomic_store(&queue->closed, true);
        mproc__queue_forget_producer(queue);
        for (;;) {
                struct mproc__queue_end *tail = &queue->shm->tail, *head = &queue->shm->head;
                mproc__word *words[] = { &tail->n, &tail->lock.word, &tail->hold,
                                         &head->n, &head->lock.word, &head->hold };

                if (atomic_load(&queue->sleepers) == 0)
                        break;
                for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                        (void)mproc__word_wake(words[i], INT_MAX);
                if (queue->ledger)
                        mproc__ledger_wake(queue->ledger);
                mproc__plat_sleep_ns(CLOSE_PAUSE);
        }
        mproc__bell_ring(queue->segment->bell); /* for threads that poll; others silence it again */
        return 0;
}

void
mproc_queue_free(mproc_queue *queue)
{
        mproc__object_free(queue ? &queue->object : NULL);
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
queue_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_queue *queue = (struct mproc_queue *)object;

        mproc__segment_encode(queue->segment, encoder);
        mproc__enc_u32(encoder, queue->ledger != NULL);
        if (queue->ledger)
                mproc__ledger_encode(queue->ledger, encoder);
        mproc__enc_u32(encoder, queue->courier[0] >= 0);
        for (int i = 0; i < 2 && queue->courier[0] >= 0; i++)
                mproc__enc_fd(encoder, queue->courier[i]);
        return 0;
}

/* Duplicates of its own for each handle, since the same descriptors may stand there for several. */
static int
decode_courier(struct mproc__decoder *decoder, struct mproc_queue *queue)
{
        for (int i = 0; i < 2; i++) {
                int fd = mproc__dec_fd(decoder), r;

                if (decoder->error)
                        return mproc__fail(MPROC_EPROTO, "the message that brought a queue is damaged");
                if ((r = mproc__plat_dup(fd, &queue->courier[i])) < 0)
                        return mproc__fail_errno(-r, "duplicating a queue's socket");
        }
        return 0;
}

static int
queue_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc__segment *segment;
        struct mproc_queue *queue;
        size_t page = mproc__memory_page();
        int r;

        if ((r = mproc__segment_decode(decoder, MPROC__SEGMENT_QUEUE, "queue", page, page, &segment)) < 0)
                return r;
        if (segment->bell < 0) {
                mproc__segment_unref(segment);
                return mproc__fail(MPROC_EPROTO, "a queue came without the descriptor to poll");
        }
        if ((r = make(segment, false, &queue)) < 0)
                return r;
        if (mproc__dec_u32(decoder))
                r = mproc__ledger_decode(decoder, &queue->ledger);
        if (r == 0 && mproc__dec_u32(decoder))
                r = decode_courier(decoder, queue);
        if (r < 0) {
                mproc__object_unref(&queue->object);
                return r;
        }
        *ret = &queue->object;
        return 0;
}

static int
queue_passable(struct mproc__object *object)
{
        return mproc__queue_check((struct mproc_queue *)object);
}

/* The parent's other threads did not come along. */
static void
queue_forked(struct mproc__object *object, bool passed)
{
        (void)passed;
        atomic_store(&((struct mproc_queue *)object)->sleepers, 0);
        mproc__queue_forget_inplace((struct mproc_queue *)object);
}

static void
queue_destroy(struct mproc__object *object)
{
        struct mproc_queue *queue = (struct mproc_queue *)object;

        mproc__queue_drop_inplace(queue);
        mproc__queue_forget_producer(queue);
        mproc__window_close(&queue->tail);
        mproc__window_close(&queue->head);
        mproc__ledger_free(queue->ledger);
        mproc__plat_close(&queue->courier[0]);
        mproc__plat_close(&queue->courier[1]);
        mproc__segment_unref(queue->segment);
        free(queue);
}

const struct mproc__object_type mproc__queue_type = {
        .name = "queue",
        .arg_type = MPROC_ARG_QUEUE,
        .encode = queue_encode,
        .decode = queue_decode,
        .passable = queue_passable,
        .forked = queue_forked,
        .destroy = queue_destroy,
};
