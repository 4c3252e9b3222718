/* SPDX-License-Identifier: MIT */
/*
 * heap_storm_test.c - many at once in one heap, threads and processes, and processes are killed all the while.
 *
 * Each block says where it lies and is full of a pattern.  At the end everybody is dead and the books must balance:
 * all that is not where it was published comes back, and the heap is whole.  MPROC_STORM=SECONDS makes it longer.
 *
 * Runs in: test processes.
 */
#include "heap_help.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

enum { SLOTS = 48, CELLS = 32, WORKERS = 3 };

static size_t
some_size(unsigned *seed)
{
        unsigned kind = (unsigned)rand_r(seed) % 64;

        if (kind == 0)
                return 8000 + (size_t)rand_r(seed) % 60000;
        return 16 + (size_t)rand_r(seed) % (kind < 8 ? 7000 : 300);
}

static int64_t
storm_ms(int64_t normally)
{
        const char *seconds = getenv("MPROC_STORM");

        return seconds ? strtoll(seconds, NULL, 10) * 1000 : normally;
}

static void
check_and_free(mproc_heap *heap, uint64_t offset)
{
        block_check(heap, offset);
        CHECK_OK(mproc_heap_dealloc(heap, offset));
}

/* --- threads --------------------------------------------------------------------------------------------- */

/* cells: blocks that any of them may take and free. */
struct crowd {
        mproc_heap *heap;
        _Atomic uint64_t cells[CELLS];
        atomic_uint seed;
        long rounds;
};

static void *
be_one_of_many(void *arg)
{
        struct crowd *crowd = arg;
        unsigned seed = atomic_fetch_add(&crowd->seed, 1) * 7919u + 1;

        for (long i = 0; i < crowd->rounds; i++) {
                size_t size = some_size(&seed);
                uint64_t block = 0, old;
                int r = mproc_heap_alloc(crowd->heap, size, &block);

                if (r == 0)
                        block_fill(crowd->heap, block, size);
                else
                        CHECK_CODE(r, -ENOMEM);
                old = atomic_exchange(&crowd->cells[(unsigned)rand_r(&seed) % CELLS], block);
                if (old)
                        check_and_free(crowd->heap, old);
        }
        return NULL;
}

/* A heap with room to spare, and one that is always nearly full, in which slabs come and go. */
static void
run_crowd(size_t size, long rounds)
{
        struct crowd crowd = { .rounds = under_valgrind() || under_tsan() ? rounds / 20 : rounds };
        pthread_t threads[4];

        CHECK_OK(mproc_heap_create(NULL, size, &crowd.heap));
        for (int i = 0; i < 4; i++)
                CHECK_INT(pthread_create(&threads[i], NULL, be_one_of_many, &crowd), 0);
        for (int i = 0; i < 4; i++)
                CHECK_INT(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < CELLS; i++)
                if (crowd.cells[i])
                        check_and_free(crowd.heap, crowd.cells[i]);
        heap_expect_empty(crowd.heap);
        mproc_heap_free(crowd.heap);
}

TEST(threads_share_a_heap)
{
        run_crowd(8 << 20, 40000);
}

TEST(threads_share_a_heap_that_is_nearly_full)
{
        run_crowd(100 << 10, 10000);
}

/* --- processes that are killed --------------------------------------------------------------------------- */

/* The root's second word: the table of cells.  A block in a cell is nobody's, all others are their allocator's. */
static uint64_t *
cells_of(mproc_heap *heap)
{
        uint64_t *root = mproc_heap_pointer(heap, mproc_heap_root(heap));

        return mproc_heap_pointer(heap, root[1]);
}

/* A block of ours, or nothing, into a cell; what was there is ours now. */
static void
exchange_one(mproc_heap *heap, uint64_t *slot, unsigned *seed)
{
        uint64_t old;

        CHECK_OK(mproc_heap_exchange(heap, &cells_of(heap)[(unsigned)rand_r(seed) % CELLS], *slot, &old));
        *slot = old;
        if (old)
                block_check(heap, old);
}

static int
work_until_killed(mproc_args *args)
{
        mproc_heap *heap = mproc_args_heap(args, 0);
        unsigned seed = (unsigned)mproc_args_uint(args, 1);
        uint64_t slots[SLOTS] = { 0 };

        for (;;) {
                uint64_t *slot = &slots[(unsigned)rand_r(&seed) % SLOTS];
                size_t size = some_size(&seed);
                int r;

                if (rand_r(&seed) % 4 == 0) {
                        exchange_one(heap, slot, &seed);
                        continue;
                }
                if (*slot) {
                        check_and_free(heap, *slot);
                        *slot = 0;
                        continue;
                }
                if ((r = mproc_heap_alloc(heap, size, slot)) == 0)
                        block_fill(heap, *slot, size);
                else
                        CHECK_CODE(r, -ENOMEM);
        }
        return 0;
}

static void
kill_one(mproc_process *process, unsigned *seed)
{
        if (rand_r(seed) % 8 == 0) {
                CHECK(kill(mproc_process_pid(process), SIGSTOP) == 0);
                sleep_ms(2);
        }
        CHECK_OK(mproc_process_kill(process));
        finish(process, -SIGKILL);
}

/* What the dead had is free, what was published is there, and nothing else. */
static void
expect_books_to_balance(mproc_heap *heap)
{
        uint64_t *root = mproc_heap_pointer(heap, mproc_heap_root(heap)), *cells = cells_of(heap);
        size_t published = 0;

        CHECK_OK(mproc_heap_reclaim(heap, NULL));
        for (int i = 0; i < CELLS; i++)
                published += cells[i] != 0;
        (void)heap_expect(heap, published + 1);
        for (int i = 0; i < CELLS; i++)
                if (cells[i])
                        check_and_free(heap, cells[i]);
        CHECK_OK(mproc_heap_dealloc(heap, root[1]));
        heap_expect_empty(heap);
}

static void
storm(mproc_context *ctx, size_t size, int64_t duration_ms)
{
        mproc_heap_opts opts = { .owned = 1 };
        mproc_block_opts table = { .owned = -1, .zero = 1 };
        unsigned seed = (unsigned)monotonic_ms();
        int64_t end = monotonic_ms() + storm_ms(duration_ms);
        mproc_process *workers[WORKERS] = { NULL };
        uint64_t *root;
        mproc_heap *heap;
        long kills = 0;

        (void)fprintf(stderr, "seed %u\n", seed);
        CHECK_OK(mproc_heap_create_opts(ctx, size, &opts, &heap));
        root = mproc_heap_pointer(heap, mproc_heap_root(heap));
        CHECK_OK(mproc_heap_alloc_opts(heap, CELLS * sizeof(uint64_t), &table, &root[1]));
        do {
                int i = rand_r(&seed) % WORKERS;

                if (workers[i]) {
                        kill_one(workers[i], &seed);
                        kills++;
                }
                workers[i] = start(ctx, work_until_killed, MPROC_ARGS(heap, (unsigned)rand_r(&seed)));
                sleep_ms((unsigned)rand_r(&seed) % 12);
                if (rand_r(&seed) % 8 == 0)
                        CHECK_OK(mproc_heap_reclaim(heap, NULL));
        } while (monotonic_ms() < end);
        for (int i = 0; i < WORKERS; i++)
                if (workers[i])
                        kill_one(workers[i], &seed);
        (void)fprintf(stderr, "%ld kills\n", kills);
        expect_books_to_balance(heap);
        mproc_heap_free(heap);
}

START_METHOD_TEST(killed_processes_leave_a_heap_whole, .limit_s = 3600)
{
        storm(ctx, 4 << 20, 250);
}

START_METHOD_TEST(killed_processes_leave_a_full_heap_whole, .limit_s = 3600)
{
        storm(ctx, 128 << 10, 250);
}
