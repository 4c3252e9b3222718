/* SPDX-License-Identifier: MIT */
/*
 * heap_test.c - blocks in shared memory: from anybody, for anybody, and whose they are when somebody dies.
 *
 * Runs in: test processes.
 */
#include "heap_help.h"

#include <errno.h>
#include <pthread.h>

static mproc_heap *
make_heap(size_t size)
{
        mproc_heap *heap;

        CHECK_OK(mproc_heap_create(NULL, size, &heap));
        return heap;
}

/* --- one process ----------------------------------------------------------------------------------------- */

TEST(blocks_of_all_sizes_are_apart_and_keep_what_is_in_them)
{
        mproc_heap *heap = make_heap(8 << 20);
        static uint64_t blocks[2000];
        size_t count = 0, usable;

        for (size_t size = 16; size <= 100000; size += size < 9000 ? 13 : 5000)
                if (count < 2000) {
                        blocks[count] = heap_alloc(heap, size);
                        CHECK_OK(mproc_heap_usable_size(heap, blocks[count], &usable));
                        CHECK(usable >= size && (size > 8192 || usable <= 32 + size + size / 4 || usable == 8192));
                        block_fill(heap, blocks[count++], size);
                }
        (void)heap_expect(heap, count);
        for (size_t i = 0; i < count; i++)
                block_check(heap, blocks[i]);
        for (size_t i = 0; i < count; i += 2)
                CHECK_OK(mproc_heap_dealloc(heap, blocks[i]));
        for (size_t i = 0; i < count; i += 2)
                block_fill(heap, blocks[i] = heap_alloc(heap, 16 + i), 16 + i);
        for (size_t i = 0; i < count; i++) {
                block_check(heap, blocks[i]);
                CHECK_OK(mproc_heap_dealloc(heap, blocks[i]));
        }
        heap_expect_empty(heap);
        mproc_heap_free(heap);
}

/* To the last byte that a size allows; then it says so, and all comes back. */
TEST(a_heap_can_be_filled)
{
        static const size_t sizes[] = { 1, 16, 33, 100, 500, 1000, 3000, 5000, 7168, 7169, 20000, 300000 };
        mproc_heap *heap = make_heap(1 << 20);
        static uint64_t blocks[40000];

        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                size_t count = 0, usable;
                int r;

                while ((r = mproc_heap_alloc(heap, sizes[s], &blocks[count])) == 0)
                        count++;
                CHECK_CODE(r, -ENOMEM);
                CHECK_CONTAINS(mproc_last_error(), "in one piece");
                CHECK_OK(mproc_heap_usable_size(heap, blocks[0], &usable));
                CHECK_MSG(count * usable > (1 << 20) * (sizes[s] < 20000 ? 85 : 80) / 100,
                          "only %zu blocks of %zu bytes", count, sizes[s]);
                CHECK_INT(heap_expect(heap, count).used_bytes / 4096, count * usable / 4096);
                while (count > 0)
                        CHECK_OK(mproc_heap_dealloc(heap, blocks[--count]));
                heap_expect_empty(heap);
        }
        mproc_heap_free(heap);
}

TEST(the_smallest_heaps_work)
{
        for (size_t size = 1; size < 200000; size = size * 3 + 1) {
                mproc_heap *heap = make_heap(size);
                mproc_heap_stats stats;
                uint64_t block;

                CHECK_OK(mproc_heap_look(heap, &stats));
                CHECK(stats.size_bytes >= size && stats.size_bytes < size + 4096);
                CHECK_INT(stats.largest_bytes, stats.size_bytes);
                block = heap_alloc(heap, size);
                CHECK_OK(mproc_heap_dealloc(heap, block));
                CHECK_CODE(mproc_heap_alloc(heap, stats.size_bytes + 1, &block), -ENOMEM);
                heap_expect_empty(heap);
                mproc_heap_free(heap);
        }
}

/* Nothing of it exists until it is used. */
TEST(a_large_heap_costs_what_is_used)
{
        mproc_heap *heap;
        mproc_heap_stats stats;

        if (sizeof(size_t) < 8 || under_asan() || under_tsan() || under_valgrind())
                SKIP("no room among the addresses");
        heap = make_heap((size_t)200 << 30);
        for (int i = 0; i < 1000; i++)
                block_fill(heap, heap_alloc(heap, 64), 64);
        stats = heap_expect(heap, 1000);
        CHECK(stats.reserved_bytes < 1 << 20);
        CHECK(stats.largest_bytes > (size_t)199 << 30);
        mproc_heap_free(heap);
}

TEST(pointers_and_offsets)
{
        mproc_heap *heap = make_heap(100000);
        uint64_t block = heap_alloc(heap, 100), root = mproc_heap_root(heap);
        uint64_t *words = mproc_heap_pointer(heap, root);

        CHECK_INT(mproc_heap_offset(heap, mproc_heap_pointer(heap, block)), block);
        CHECK_INT(mproc_heap_offset(heap, (char *)mproc_heap_pointer(heap, block) + 7), block + 7);
        CHECK(mproc_heap_pointer(heap, 0) == NULL);
        CHECK(mproc_heap_pointer(heap, UINT64_C(1) << 40) == NULL);
        CHECK(mproc_heap_pointer(heap, UINT64_MAX) == NULL);
        CHECK_INT(mproc_heap_offset(heap, NULL), 0);
        CHECK_INT(mproc_heap_offset(heap, &heap), 0);
        CHECK(root != 0 && root % 8 == 0);
        for (int i = 0; i < MPROC_HEAP_ROOT_BYTES / 8; i++)
                CHECK_INT(words[i]++, 0);
        CHECK_OK(mproc_heap_check(heap));
        mproc_heap_free(heap);
}

TEST(alignment_and_zeros)
{
        mproc_heap *heap = make_heap(4 << 20);
        mproc_block_opts opts = MPROC_BLOCK_OPTS_INIT;
        uint64_t block;

        for (size_t align = 1; align <= 4096; align *= 2)
                for (size_t size = 1; size < 10000; size = size * 2 + 1) {
                        opts.align = align;
                        opts.zero = 1;
                        CHECK_OK(mproc_heap_alloc_opts(heap, size, &opts, &block));
                        CHECK_INT((uintptr_t)mproc_heap_pointer(heap, block) % (align > 16 ? align : 16), 0);
                        for (size_t i = 0; i < size; i++)
                                CHECK_INT(((uint8_t *)mproc_heap_pointer(heap, block))[i], 0);
                        memset(mproc_heap_pointer(heap, block), 0xff, size);
                        CHECK_OK(mproc_heap_dealloc(heap, block));
                }
        opts.align = 3;
        CHECK_CODE(mproc_heap_alloc_opts(heap, 1, &opts, &block), -EINVAL);
        opts.align = 8192;
        CHECK_CODE(mproc_heap_alloc_opts(heap, 1, &opts, &block), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "power of two");
        heap_expect_empty(heap);
        mproc_heap_free(heap);
}

TEST(wrong_use_of_a_heap_is_told)
{
        mproc_heap *heap = make_heap(1 << 20), *other;
        mproc_heap_opts opts = { .owned = 7 };
        mproc_block_opts block_opts = { .owned = 7 };
        uint64_t small = heap_alloc(heap, 100), large = heap_alloc(heap, 50000), neighbour = heap_alloc(heap, 100);
        uint64_t block;
        size_t usable;

        CHECK_OK(mproc_heap_dealloc(heap, small));
        CHECK_CODE(mproc_heap_dealloc(heap, small), MPROC_ERELEASED);
        CHECK_CONTAINS(mproc_last_error(), "is free");
        CHECK_CODE(mproc_heap_usable_size(heap, small, &usable), MPROC_ERELEASED);
        CHECK_CODE(mproc_heap_give(heap, small), MPROC_ERELEASED);
        CHECK_CODE(mproc_heap_dealloc(heap, large + 4096), -EINVAL);
        CHECK_CODE(mproc_heap_dealloc(heap, large + 16), -EINVAL);
        CHECK_OK(mproc_heap_dealloc(heap, large));
        CHECK_CODE(mproc_heap_dealloc(heap, large), MPROC_ERELEASED);
        CHECK_CODE(mproc_heap_dealloc(heap, neighbour + 16), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "no block of the heap begins");
        CHECK_CODE(mproc_heap_dealloc(heap, 0), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "which is none");
        CHECK_CODE(mproc_heap_dealloc(heap, 4096), -EINVAL);
        CHECK_CODE(mproc_heap_dealloc(heap, UINT64_MAX), -EINVAL);
        CHECK_CODE(mproc_heap_dealloc(heap, mproc_heap_root(heap)), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "blocks are from");
        CHECK_CODE(mproc_heap_alloc(heap, 0, &block), -EINVAL);
        CHECK_CODE(mproc_heap_alloc_opts(heap, 1, &block_opts, &block), -EINVAL);
        CHECK_CODE(mproc_heap_alloc(heap, SIZE_MAX, &block), -ENOMEM);
        CHECK_CODE(mproc_heap_alloc(NULL, 1, &block), MPROC_EHANDLE);
        CHECK_CODE(mproc_heap_dealloc(NULL, 1), MPROC_EHANDLE);
        CHECK_CODE(mproc_heap_check(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_heap_reclaim(NULL, NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_heap_look(NULL, NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_heap_create(NULL, 0, &other), -EINVAL);
        CHECK_CODE(mproc_heap_create(NULL, SIZE_MAX, &other), -EFBIG);
        CHECK_CODE(mproc_heap_create_opts(NULL, 1, &opts, &other), -EINVAL);
        CHECK(mproc_heap_pointer(NULL, 1) == NULL && mproc_heap_offset(NULL, heap) == 0);
        CHECK_INT(mproc_heap_root(NULL), 0);
        CHECK_OK(mproc_heap_dealloc(heap, neighbour));
        heap_expect_empty(heap);
        mproc_heap_free(heap);
        mproc_heap_free(NULL);
}

/* --- several processes ----------------------------------------------------------------------------------- */

/* Takes the numbers that the parent left, leaves others; a list whose first node the root names. */
struct node {
        uint64_t next;
        int64_t number;
};

static void
prepend(mproc_heap *heap, int64_t number)
{
        uint64_t *root = mproc_heap_pointer(heap, mproc_heap_root(heap)),
                 offset = heap_alloc(heap, sizeof(struct node));
        struct node *node = mproc_heap_pointer(heap, offset);

        node->next = *root;
        node->number = number;
        *root = offset;
}

static int64_t
take_first(mproc_heap *heap)
{
        uint64_t *root = mproc_heap_pointer(heap, mproc_heap_root(heap)), offset = *root;
        struct node *node = mproc_heap_pointer(heap, offset);
        int64_t number = node->number;

        *root = node->next;
        CHECK_OK(mproc_heap_dealloc(heap, offset));
        return number;
}

static int
square_all(mproc_args *args)
{
        mproc_heap *heap = mproc_args_heap(args, 0);
        int64_t numbers[100];

        for (int i = 0; i < 100; i++)
                numbers[i] = take_first(heap);
        for (int i = 0; i < 100; i++)
                prepend(heap, numbers[i] * numbers[i]);
        return 0;
}

START_METHOD_TEST(any_process_allocates_and_frees)
{
        mproc_heap *heap;

        CHECK_OK(mproc_heap_create(ctx, 1 << 20, &heap));
        for (int i = 0; i < 100; i++)
                prepend(heap, i);
        finish(start(ctx, square_all, MPROC_ARGS(heap)), 0);
        (void)heap_expect(heap, 100);
        for (int i = 0; i < 100; i++)
                CHECK_INT(take_first(heap), i * i);
        heap_expect_empty(heap);
        mproc_heap_free(heap);
}

/* The parent hands it on and frees its handle; the child has made and filled it in the other case. */
static int
use_without_creator(mproc_args *args)
{
        mproc_heap *heap = mproc_args_heap(args, 0);
        mproc_event *freed = mproc_args_event(args, 1);

        CHECK_OK(mproc_event_wait(freed, scaled_ms(LONG_MS)));
        for (int i = 99; i >= 0; i--)
                CHECK_INT(take_first(heap), i);
        heap_expect_empty(heap);
        return 0;
}

START_METHOD_TEST(a_heap_outlives_its_creator)
{
        mproc_heap *heap;
        mproc_event *freed;
        mproc_process *process;

        CHECK_OK(mproc_heap_create(ctx, 1 << 20, &heap));
        CHECK_OK(mproc_event_create(ctx, &freed));
        for (int i = 0; i < 100; i++)
                prepend(heap, i);
        process = start(ctx, use_without_creator, MPROC_ARGS(heap, freed));
        mproc_heap_free(heap);
        CHECK_OK(mproc_event_set(freed));
        finish(process, 0);
        mproc_event_free(freed);
}

/* Arguments in a message are freed handles when they are freed. */
static int
send_heap(mproc_args *args)
{
        mproc_heap *heap;

        CHECK_OK(mproc_heap_create(NULL, 1 << 20, &heap));
        for (int i = 0; i < 100; i++)
                prepend(heap, i);
        CHECK_OK(mproc_queue_put_args(mproc_args_queue(args, 0), MPROC_ARGS(heap), MPROC_FOREVER));
        mproc_heap_free(heap);
        return 0;
}

TEST(a_heap_is_sent_through_a_queue)
{
        mproc_queue_opts opts = { .objects = 1 };
        mproc_queue *queue;
        mproc_process *process;
        mproc_context *ctx;
        mproc_args *args;

        CHECK_OK(mproc_set_start_method("spawn"));
        CHECK_OK(mproc_get_context("spawn", &ctx));
        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        process = start(ctx, send_heap, MPROC_ARGS(queue));
        CHECK_OK(mproc_queue_get_args(queue, &args, scaled_ms(LONG_MS)));
        finish(process, 0);
        for (int i = 99; i >= 0; i--)
                CHECK_INT(take_first(mproc_args_heap(args, 0)), i);
        mproc_args_free(args);
        mproc_queue_free(queue);
}

TEST(a_heap_of_the_fork_context_is_bound_to_it)
{
        mproc_context *fork_ctx, *spawn_ctx;
        mproc_process *process;
        mproc_heap *heap;

        CHECK_OK(mproc_get_context("fork", &fork_ctx));
        CHECK_OK(mproc_get_context("spawn", &spawn_ctx));
        CHECK_OK(mproc_heap_create(fork_ctx, 1 << 20, &heap));
        CHECK_OK(mproc_process_create(spawn_ctx, square_all, MPROC_ARGS(heap), &process));
        CHECK_CODE(mproc_process_start(process), MPROC_ECONTEXT);
        mproc_process_free(process);
        mproc_heap_free(heap);
}

/* --- owners ---------------------------------------------------------------------------------------------- */

/* Three blocks of its own, one that it gives, one that never was its own; then it waits to be killed. */
static int
own_some(mproc_args *args)
{
        mproc_heap *heap = mproc_args_heap(args, 0);
        uint64_t *root = mproc_heap_pointer(heap, mproc_heap_root(heap));
        mproc_block_opts opts = { .owned = 1, .zero = 1 };
        pid_t pid;

        CHECK_OK(mproc_heap_alloc_opts(heap, 100, &opts, &root[0]));
        CHECK_OK(mproc_heap_alloc_opts(heap, 5000, &opts, &root[1]));
        CHECK_OK(mproc_heap_alloc_opts(heap, 50000, &opts, &root[2]));
        CHECK_OK(mproc_heap_alloc_opts(heap, 60000, &opts, &root[3]));
        CHECK_OK(mproc_heap_owner(heap, root[3], &pid));
        CHECK_INT(pid, getpid());
        CHECK_OK(mproc_heap_give(heap, root[3]));
        CHECK_OK(mproc_heap_give(heap, root[3]));
        root[4] = heap_alloc(heap, 200);
        CHECK_OK(mproc_heap_owner(heap, root[4], &pid));
        CHECK_INT(pid, 0);
        CHECK_OK(mproc_event_set(mproc_args_event(args, 1)));
        for (;;)
                pause();
        return 0;
}

START_METHOD_TEST(blocks_of_a_killed_process_are_freed_and_what_it_gave_is_not)
{
        mproc_heap *heap;
        mproc_event *ready;
        mproc_process *process;
        mproc_heap_stats stats;
        uint64_t *root;
        size_t count;
        pid_t pid;

        CHECK_OK(mproc_heap_create(ctx, 1 << 20, &heap));
        CHECK_OK(mproc_event_create(ctx, &ready));
        root = mproc_heap_pointer(heap, mproc_heap_root(heap));
        process = start(ctx, own_some, MPROC_ARGS(heap, ready));
        CHECK_OK(mproc_event_wait(ready, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_heap_owner(heap, root[0], &pid));
        CHECK_INT(pid, mproc_process_pid(process));
        CHECK_CODE(mproc_heap_take(heap, root[0]), MPROC_ENOTOWNER);
        CHECK_CONTAINS(mproc_last_error(), mproc_process_name(process));
        CHECK_CODE(mproc_heap_give(heap, root[2]), MPROC_ENOTOWNER);
        CHECK_OK(mproc_heap_reclaim(heap, &count)); /* it lives */
        CHECK_INT(count, 0);
        stats = heap_expect(heap, 5);
        CHECK_INT(stats.owned_blocks, 3);
        CHECK_INT(stats.own_blocks, 0);
        CHECK_OK(mproc_process_kill(process));
        finish(process, -SIGKILL);
        CHECK_OK(mproc_heap_take(heap, root[1])); /* inherited */
        CHECK_INT(heap_expect(heap, 5).own_blocks, 1);
        CHECK_OK(mproc_heap_reclaim(heap, &count));
        CHECK_INT(count, 2);
        CHECK_CODE(mproc_heap_dealloc(heap, root[0]), MPROC_ERELEASED);
        CHECK_CODE(mproc_heap_dealloc(heap, root[2]), MPROC_ERELEASED);
        CHECK_INT(heap_expect(heap, 3).reclaimed, 2);
        CHECK_OK(mproc_heap_dealloc(heap, root[1]));
        CHECK_OK(mproc_heap_dealloc(heap, root[3]));
        CHECK_OK(mproc_heap_dealloc(heap, root[4]));
        heap_expect_empty(heap);
        mproc_event_free(ready);
        mproc_heap_free(heap);
}

static void
fill(mproc_heap *heap, size_t size)
{
        uint64_t block;

        while (mproc_heap_alloc(heap, size, &block) == 0)
                block_fill(heap, block, size);
}

/* Nobody asks for it: alloc finds them before it fails. */
TEST(a_full_heap_takes_back_what_the_dead_had)
{
        mproc_heap_opts opts = { .owned = 1 };
        static const size_t sizes[] = { 40, 3000, 100000 };
        mproc_heap *heap;
        uint64_t block;
        pid_t pid;

        CHECK_OK(mproc_heap_create_opts(NULL, 1 << 20, &opts, &heap));
        for (int i = 0; i < 9; i++) {
                if ((pid = fork()) == 0) {
                        fill(heap, sizes[i / 3]);
                        fill(heap, 4096);
                        fill(heap, 16);
                        _exit(0);
                }
                reap(pid);
                block = heap_alloc(heap, sizes[i % 3]);
                CHECK(heap_expect(heap, 1).reclaimed > 0);
                CHECK_OK(mproc_heap_dealloc(heap, block));
                heap_expect_empty(heap);
        }
        mproc_heap_free(heap);
}

TEST(an_exchange_moves_a_pointer_and_two_owners)
{
        mproc_heap_opts opts = { .owned = 1 };
        mproc_heap *heap;
        uint64_t *root, one, two, old = 77, holder, local = 0;
        pid_t pid;

        CHECK_OK(mproc_heap_create_opts(NULL, 1 << 20, &opts, &heap));
        root = mproc_heap_pointer(heap, mproc_heap_root(heap));
        one = heap_alloc(heap, 100);
        two = heap_alloc(heap, 100000);
        CHECK_OK(mproc_heap_exchange(heap, root, one, &old));
        CHECK_INT(old, 0);
        CHECK_INT(*root, one);
        CHECK_OK(mproc_heap_owner(heap, one, &pid));
        CHECK_INT(pid, 0);
        CHECK_OK(mproc_heap_exchange(heap, root, one, &old)); /* as it is */
        CHECK_INT(old, one);
        CHECK_OK(mproc_heap_owner(heap, one, &pid));
        CHECK_INT(pid, 0);
        CHECK_OK(mproc_heap_exchange(heap, root, two, &old));
        CHECK_INT(old, one);
        CHECK_OK(mproc_heap_owner(heap, one, &pid));
        CHECK_INT(pid, getpid());
        CHECK_OK(mproc_heap_owner(heap, two, &pid));
        CHECK_INT(pid, 0);
        CHECK_OK(mproc_heap_dealloc(heap, one));
        CHECK_CODE(mproc_heap_exchange(heap, root, one, NULL), MPROC_ERELEASED);
        CHECK_CODE(mproc_heap_exchange(heap, root, two + 16, NULL), -EINVAL);
        CHECK_CODE(mproc_heap_exchange(heap, &local, two, NULL), -EINVAL);
        CHECK_CODE(mproc_heap_exchange(heap, (uint64_t *)(void *)((char *)root + 4), two, NULL), -EINVAL);
        CHECK_CODE(mproc_heap_exchange(heap, root + MPROC_HEAP_ROOT_BYTES / 8, two, NULL), -EINVAL);
        CHECK_INT(*root, two);
        one = heap_alloc(heap, 100);
        CHECK_OK(mproc_heap_publish(heap, root, one)); /* and two is nobody's as before */
        CHECK_INT(*root, one);
        CHECK_OK(mproc_heap_owner(heap, two, &pid));
        CHECK_INT(pid, 0);
        CHECK_OK(mproc_heap_exchange(heap, root, two, &old)); /* the first of a list is taken out */
        CHECK_INT(old, one);
        CHECK_OK(mproc_heap_dealloc(heap, one));
        holder = heap_alloc(heap, 8); /* a pointer in a block */
        *(uint64_t *)mproc_heap_pointer(heap, holder) = 0;
        CHECK_OK(mproc_heap_exchange(heap, root, 0, &old));
        CHECK_INT(old, two);
        CHECK_OK(mproc_heap_exchange(heap, mproc_heap_pointer(heap, holder), two, NULL));
        CHECK_OK(mproc_heap_exchange(heap, mproc_heap_pointer(heap, holder), 0, &old));
        CHECK_OK(mproc_heap_dealloc(heap, old));
        CHECK_OK(mproc_heap_dealloc(heap, holder));
        heap_expect_empty(heap);
        mproc_heap_free(heap);
}

/* --- damage ---------------------------------------------------------------------------------------------- */

/* Somebody writes over what lies before the blocks, and between operations: errors, nothing worse. */
TEST(a_damaged_heap_harms_nobody)
{
        unsigned seed = 4711, told = 0;

        for (int round = 0; round < 100; round++) {
                mproc_heap *heap = make_heap(1 << 20);
                uint8_t *base = (uint8_t *)mproc_heap_pointer(heap, 1) - 1;
                uint64_t blocks[200] = { 0 };
                mproc_heap_stats stats;

                for (int i = 0; i < 200; i++) {
                        size_t size = (size_t)rand_r(&seed) % (i % 10 ? 500 : 20000) + 1;

                        if (mproc_heap_alloc(heap, size, &blocks[i]) == 0)
                                memset(mproc_heap_pointer(heap, blocks[i]), 0x55, size);
                        if (rand_r(&seed) % 3 == 0)
                                told += mproc_heap_dealloc(heap, blocks[(unsigned)rand_r(&seed) % 200]) < 0;
                        if (i % 20 == 19 &&
                            round > 0) { /* behind the lock's word, and far into the words of blocks */
                                uint32_t at = 132 + (uint32_t)rand_r(&seed) % 14000;

                                base[at] = (uint8_t)rand_r(&seed);
                        }
                }
                CHECK_OK(mproc_heap_look(heap, &stats));
                if (round == 0)
                        CHECK_OK(mproc_heap_check(heap));
                else
                        told += mproc_heap_check(heap) == MPROC_ECORRUPT;
                (void)mproc_heap_reclaim(heap, NULL);
                for (int i = 0; i < 200; i++)
                        told += mproc_heap_dealloc(heap, blocks[i]) < 0;
                mproc_heap_free(heap);
        }
        CHECK(told > 100);
}
