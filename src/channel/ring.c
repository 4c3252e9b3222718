/* SPDX-License-Identifier: MIT */
/*
 * channel/ring.c - building, opening and copying in and out of rings.
 *
 * Runs in: every process that uses a queue, under the lock of the end whose
 * window it is.  Owns: nothing; windows belong to queue handles.
 */
#include "channel/ring.h"
#include "platform/memory.h"

#include <errno.h>
#include <mproc/error.h>
#include <string.h>

#define BYTES_FIRST  (UINT64_C(64) << 10)  /* the first ring's room */
#define BYTES_LAST   (UINT64_C(512) << 10) /* each ring is twice the one before, up to here */
#define BYTES_LARGE  (UINT64_C(8) << 20)   /* or up to here, if large messages want it */
#define INLINE_MAX   (BYTES_LARGE / 4)     /* a larger message has a ring for itself */
#define BYTES_A_SLOT 64                    /* slots are made for messages of this size */
#define SLOTS_MAX    (UINT32_C(1) << 20)
#define BYTES_MAX    (UINT64_C(1) << 30)

static uint64_t
page_up(uint64_t n)
{
        uint64_t page = mproc__memory_page();

        return (n + page - 1) / page * page;
}

static bool
is_power_of_two(uint64_t n)
{
        return n != 0 && (n & (n - 1)) == 0;
}

static uint64_t
slots_bytes(uint32_t slots)
{
        return page_up(sizeof(struct mproc__ring_shm) + slots * sizeof(struct mproc__slot));
}

uint64_t
mproc__window_end(const struct mproc__window *window)
{
        return window->at + window->bytes_at + page_up(window->bytes);
}

void
mproc__window_close(struct mproc__window *window)
{
        struct mproc__ring_shm *ring = atomic_load_explicit(&window->ring, memory_order_relaxed);

        atomic_store_explicit(&window->ring, NULL, memory_order_release);
        if (ring)
                mproc__memory_unmap(ring, window->mapped);
}

/* The measures stand in `window`, `ring` is NULL: map, then say so. */
static int
map_window(struct mproc__window *window, int fd)
{
        void *base;
        int r = mproc__memory_map(fd, window->at, window->mapped, &base);

        if (r < 0)
                return r;
        atomic_store_explicit(&window->ring, base, memory_order_release);
        return 0;
}

void
mproc__window_take(struct mproc__window *window, struct mproc__window *other)
{
        mproc__window_close(window);
        window->at = other->at;
        window->mapped = other->mapped;
        window->first_n = other->first_n;
        window->slots = other->slots;
        window->single = other->single;
        window->bytes = other->bytes;
        window->bytes_at = other->bytes_at;
        atomic_store_explicit(&window->ring, atomic_load(&other->ring), memory_order_release);
        atomic_store(&other->ring, NULL);
}

static void
measure(struct mproc__window *window, uint64_t at, uint32_t first_n, uint32_t slots, bool single, uint64_t bytes)
{
        window->at = at;
        window->first_n = first_n;
        window->slots = slots;
        window->single = single;
        window->bytes = bytes;
        window->bytes_at = slots_bytes(slots);
        window->mapped = (size_t)(window->bytes_at + (single ? 0 : bytes));
}

/* The head is copied once, and only the copy is looked at.  What is mapped lies within the file, which cannot shrink.
 */
int
mproc__window_open(struct mproc__window *window, int fd, uint64_t at)
{
        struct {
                uint32_t magic, first_n, slots, single;
                uint64_t bytes;
        } head;
        uint64_t size;
        int r;

        _Static_assert(offsetof(struct mproc__ring_shm, bytes) == 16, "the head of a ring, as it is read");
        mproc__window_close(window);
        if (at % mproc__memory_page() != 0 || at == 0)
                return MPROC_ECORRUPT;
        if ((r = mproc__memory_look(fd, &size, NULL)) < 0)
                return r;
        if (at >= size || mproc__memory_read(fd, at, &head, sizeof head) < 0)
                return MPROC_ECORRUPT;
        if (head.magic != MPROC__RING_MAGIC || head.single > 1 || !is_power_of_two(head.slots) || head.slots < 2 ||
            head.slots > SLOTS_MAX)
                return MPROC_ECORRUPT;
        if (head.single ? head.slots != 2 || head.bytes > size
                        : !is_power_of_two(head.bytes) || head.bytes < mproc__memory_page() || head.bytes > BYTES_MAX)
                return MPROC_ECORRUPT;
        measure(window, at, head.first_n, head.slots, head.single, head.bytes);
        if (window->mapped > size - at)
                return MPROC_ECORRUPT;
        return map_window(window, fd);
}

/*
 * How large rings become.  A queue that can only hold so much may keep room for all of it, as far as there are
 * slots: then it does not leave its ring for another one again and again, each of fresh pages.
 */
static uint64_t
bytes_last(uint64_t need, uint32_t most)
{
        uint64_t slots = BYTES_LAST / BYTES_A_SLOT, all = need * (most < slots ? most : slots);

        return all < BYTES_LAST ? BYTES_LAST : all < BYTES_LARGE ? all : BYTES_LARGE;
}

static void
choose_size(uint64_t need, const struct mproc__window *like, uint32_t most, uint32_t *ret_slots, bool *ret_single,
            uint64_t *ret_bytes)
{
        uint64_t bytes = like && !like->single ? like->bytes * 2 : BYTES_FIRST, last;

        if (need > INLINE_MAX) {
                *ret_slots = 2;
                *ret_single = true;
                *ret_bytes = need;
                return;
        }
        if (bytes < mproc__memory_page())
                bytes = mproc__memory_page();
        for (last = bytes_last(need, most); bytes / 2 >= last;)
                bytes /= 2;
        while (bytes < need * 4)
                bytes *= 2;
        *ret_slots = (uint32_t)((bytes < BYTES_LAST ? bytes : BYTES_LAST) / BYTES_A_SLOT);
        *ret_single = false;
        *ret_bytes = bytes;
}

/*
 * The place may hold what a process left that died while it built here: so every
 * field that is ever read is written.
 */
int
mproc__ring_build(struct mproc__window *window, int fd, uint64_t at, uint32_t first_n, uint64_t need,
                  const struct mproc__window *like, uint32_t most)
{
        struct mproc__ring_shm *ring;
        uint64_t bytes, all;
        uint32_t slots;
        bool single;
        int r;

        choose_size(need, like, most, &slots, &single, &bytes);
        mproc__window_close(window);
        measure(window, at, first_n, slots, single, bytes);
        all = window->bytes_at + page_up(bytes); /* so that want of memory is found here, not when it is written */
        if ((r = mproc__memory_reserve(fd, at, all)) < 0 || (r = map_window(window, fd)) < 0) {
                mproc__memory_release(fd, at, all);
                return r;
        }
        ring = atomic_load_explicit(&window->ring, memory_order_relaxed);
        ring->magic = MPROC__RING_MAGIC;
        ring->first_n = first_n;
        ring->slots = slots;
        ring->single = single;
        ring->bytes = bytes;
        atomic_init(&ring->last_n, 0);
        atomic_init(&ring->next, 0);
        atomic_init(&mproc__window_slot(window, first_n - 1)->end, 0);
        return 0;
}

int
mproc__window_write_single(const struct mproc__window *window, int fd, const void *data, size_t len)
{
        return mproc__memory_write(fd, window->at + window->bytes_at, data, len);
}

int
mproc__window_read_single(const struct mproc__window *window, int fd, void *buffer, size_t len)
{
        return mproc__memory_read(fd, window->at + window->bytes_at, buffer, len);
}

void
mproc__window_release_bytes(const struct mproc__window *window, int fd)
{
        if (window->single)
                mproc__memory_release(fd, window->at + window->bytes_at, page_up(window->bytes));
}
