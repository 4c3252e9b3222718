/* SPDX-License-Identifier: MIT */
/*
 * bench/queue/limits.c - what shared memory can do at most: rings that only spin, one
 * buffer handed to and fro, one word that the other end sleeps on.
 *
 * Runs in: the conductor and its members.  None of these survives a death, and all
 * but the last burn a CPU while they wait; they are here as limits, not as peers.
 */
#define _GNU_SOURCE
#include "transport.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE         128
#define SPINS        1000 /* before the CPU is left to others for once */
#define MASK_OF(len) (((len) + 63) & ~(size_t)63)

struct ring {
        size_t mapped;
        size_t cell_bytes; /* from cell to cell */
        uint64_t mask;     /* number of cells - 1 */
        _Alignas(LINE) _Atomic uint64_t tail;
        uint64_t head_seen; /* the producer's, in its line */
        _Alignas(LINE) _Atomic uint64_t head;
        uint64_t tail_seen; /* the consumer's */
        _Alignas(LINE) _Atomic uint32_t word;
        _Alignas(LINE) char cells[];
};

struct cell {
        _Atomic uint64_t turn;
        char bytes[];
};

static inline void
relax(unsigned *spins)
{
        if (++*spins % SPINS == 0)
                sched_yield();
#if defined __x86_64__ || defined __i386__
        __builtin_ia32_pause();
#endif
}

static struct ring *
make_ring(size_t cell_bytes, size_t count)
{
        size_t cells = 1, mapped;
        struct ring *ring;

        while (cells < count)
                cells *= 2;
        mapped = sizeof *ring + cells * cell_bytes;
        ring = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (ring == MAP_FAILED) {
                bench_fail("mmap: %s", strerror(errno));
                return NULL;
        }
        ring->mapped = mapped;
        ring->cell_bytes = cell_bytes;
        ring->mask = cells - 1;
        return ring;
}

static void
destroy(void *channel)
{
        munmap(channel, ((struct ring *)channel)->mapped);
}

/* --- one producer, one consumer ------------------------------------------------------------------- */

static void *
create_spsc(const struct bench_shape *shape)
{
        return make_ring(MASK_OF(shape->len), shape->capacity);
}

static int
put_spsc(void *channel, const void *data, size_t len)
{
        struct ring *ring = channel;
        uint64_t n = atomic_load_explicit(&ring->tail, memory_order_relaxed);
        unsigned spins = 0;

        while (n - ring->head_seen > ring->mask) {
                ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
                if (n - ring->head_seen > ring->mask)
                        relax(&spins);
        }
        memcpy(ring->cells + (n & ring->mask) * ring->cell_bytes, data, len);
        atomic_store_explicit(&ring->tail, n + 1, memory_order_release);
        return 1;
}

static int
get_spsc(void *channel, void *buffer, size_t len)
{
        struct ring *ring = channel;
        uint64_t n = atomic_load_explicit(&ring->head, memory_order_relaxed);
        unsigned spins = 0;

        while (ring->tail_seen == n) {
                ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
                if (ring->tail_seen == n)
                        relax(&spins);
        }
        memcpy(buffer, ring->cells + (n & ring->mask) * ring->cell_bytes, len);
        atomic_store_explicit(&ring->head, n + 1, memory_order_release);
        return 1;
}

const struct bench_transport bench_spsc = {
        .name = "spin_spsc",
        .label = "spinning SPSC ring",
        .kinds = BENCH_FLOW | BENCH_TRIP,
        .one_to_one = 1,
        .create = create_spsc,
        .put = put_spsc,
        .get = get_spsc,
        .destroy = destroy,
};

/* --- many to many, after Dmitry Vyukov ------------------------------------------------------------- */

static struct cell *
cell_of(struct ring *ring, uint64_t n)
{
        return (struct cell *)(void *)(ring->cells + (n & ring->mask) * ring->cell_bytes);
}

static void *
create_mpmc(const struct bench_shape *shape)
{
        struct ring *ring = make_ring(MASK_OF(sizeof(struct cell) + shape->len), shape->capacity);
        uint64_t i;

        for (i = 0; ring && i <= ring->mask; i++)
                atomic_init(&cell_of(ring, i)->turn, i);
        return ring;
}

/* Claim the next number whose cell has come to `number + ahead`. */
static struct cell *
claim(struct ring *ring, _Atomic uint64_t *next, uint64_t ahead, uint64_t *ret_number)
{
        uint64_t n = atomic_load_explicit(next, memory_order_relaxed);
        unsigned spins = 0;

        for (;;) {
                struct cell *cell = cell_of(ring, n);
                int64_t late = (int64_t)(atomic_load_explicit(&cell->turn, memory_order_acquire) - (n + ahead));

                if (late == 0) {
                        if (!atomic_compare_exchange_weak_explicit(next, &n, n + 1, memory_order_relaxed,
                                                                   memory_order_relaxed))
                                continue;
                        *ret_number = n;
                        return cell;
                }
                if (late < 0)
                        relax(&spins);
                n = atomic_load_explicit(next, memory_order_relaxed);
        }
}

static int
put_mpmc(void *channel, const void *data, size_t len)
{
        struct ring *ring = channel;
        uint64_t n;
        struct cell *cell = claim(ring, &ring->tail, 0, &n);

        memcpy(cell->bytes, data, len);
        atomic_store_explicit(&cell->turn, n + 1, memory_order_release);
        return 1;
}

static int
get_mpmc(void *channel, void *buffer, size_t len)
{
        struct ring *ring = channel;
        uint64_t n;
        struct cell *cell = claim(ring, &ring->head, 1, &n);

        memcpy(buffer, cell->bytes, len);
        atomic_store_explicit(&cell->turn, n + ring->mask + 1, memory_order_release);
        return 1;
}

const struct bench_transport bench_mpmc = {
        .name = "spin_mpmc",
        .label = "spinning MPMC ring (Vyukov)",
        .kinds = BENCH_FLOW | BENCH_TRIP,
        .create = create_mpmc,
        .put = put_mpmc,
        .get = get_mpmc,
        .destroy = destroy,
};

/* --- one buffer, copied in, then copied out, and so on: never both at once --------------------------- */

static void *
create_handoff(const struct bench_shape *shape)
{
        return make_ring(MASK_OF(shape->len), 1);
}

const struct bench_transport bench_handoff = {
        .name = "memcpy_handoff",
        .label = "memcpy in and out, one buffer",
        .kinds = BENCH_FLOW,
        .one_to_one = 1,
        .create = create_handoff,
        .put = put_spsc,
        .get = get_spsc,
        .destroy = destroy,
};

/* --- one word to sleep on --------------------------------------------------------------------------- */

static long
futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
        return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* For round trips alone: there is never more than one message on its way. */
static int
put_futex(void *channel, const void *data, size_t len)
{
        struct ring *ring = channel;

        memcpy(ring->cells, data, len);
        atomic_fetch_add(&ring->word, 1);
        futex(&ring->word, FUTEX_WAKE, 1);
        return 1;
}

static int
get_futex(void *channel, void *buffer, size_t len)
{
        struct ring *ring = channel;
        uint32_t seen = (uint32_t)ring->tail_seen;

        while (atomic_load(&ring->word) == seen)
                futex(&ring->word, FUTEX_WAIT, seen);
        memcpy(buffer, ring->cells, len);
        ring->tail_seen = (uint32_t)(seen + 1);
        return 1;
}

const struct bench_transport bench_futex = {
        .name = "bare_futex",
        .label = "bare futex",
        .kinds = BENCH_TRIP | BENCH_SLEEP,
        .one_to_one = 1,
        .create = create_handoff,
        .put = put_futex,
        .get = get_futex,
        .destroy = destroy,
};
