/* SPDX-License-Identifier: MIT */
/*
 * crash/points_heap.c - deaths of processes that allocate, free and hand over blocks: the heap is whole, what was
 * published is there, all else can be had again.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <stdlib.h>

#define SIZE  (256 << 10)
#define SMALL 100
#define LARGE 20000

static uint64_t
alloc(mproc_heap *heap, size_t size)
{
        uint64_t block;

        CHECK_OK(mproc_heap_alloc(heap, size, &block));
        return block;
}

static uint64_t *
root_of(mproc_heap *heap)
{
        return mproc_heap_pointer(heap, mproc_heap_root(heap));
}

/* Comes by all points but those of who comes after a death. */
static void
role_everything(mproc_args *args)
{
        mproc_heap *heap = mproc_args_heap(args, 0);
        uint64_t *root = root_of(heap), old;

        CHECK_OK(mproc_heap_dealloc(heap, alloc(heap, SMALL)));
        if (root[0] == 0)
                CHECK_OK(mproc_heap_dealloc(heap, alloc(heap, SIZE))); /* for which the slab has to go */
        CHECK_OK(mproc_heap_publish(heap, &root[0], alloc(heap, LARGE)));
        CHECK_OK(mproc_heap_exchange(heap, &root[0], alloc(heap, SMALL), &old));
        CHECK_OK(mproc_heap_dealloc(heap, old));
        old = alloc(heap, SMALL);
        CHECK_OK(mproc_heap_give(heap, old));
        CHECK_OK(mproc_heap_dealloc(heap, old));
}

static mproc_heap *
make_heap(mproc_context *ctx)
{
        mproc_heap_opts opts = { .owned = 1 };
        mproc_heap *heap;

        CHECK_OK(mproc_heap_create_opts(ctx, SIZE, &opts, &heap));
        return heap;
}

/* `given`: it died having given a block that nobody knows of. */
static void
expect_the_rest(mproc_heap *heap, size_t given)
{
        uint64_t *root = root_of(heap);
        mproc_heap_stats stats;
        pid_t pid;

        CHECK_OK(mproc_heap_reclaim(heap, NULL));
        CHECK_OK(mproc_heap_check(heap));
        CHECK_OK(mproc_heap_look(heap, &stats));
        CHECK_INT(stats.blocks, (root[0] != 0) + given);
        CHECK_INT(stats.owned_blocks, 0);
        if (root[0]) {
                CHECK_OK(mproc_heap_owner(heap, root[0], &pid));
                CHECK_INT(pid, 0);
                CHECK_OK(mproc_heap_dealloc(heap, root[0]));
        }
        if (given == 0)
                CHECK_OK(mproc_heap_dealloc(heap, alloc(heap, SIZE)));
        mproc_heap_free(heap);
}

START_METHOD_TEST(death_in_a_heap)
{
        static const char *const points[] = {
                "heap.extend.reserved",   "heap.slab.filled",      "heap.commit.interior", "heap.commit.head",
                "heap.claim.claimed",     "heap.alloc.block",      "heap.dealloc.freed",   "heap.alloc.run",
                "heap.retire.block",      "heap.retire.gone",      "heap.give_back.head",  "heap.exchange.prepared",
                "heap.exchange.intended", "heap.exchange.pointed", "heap.exchange.given",  "heap.exchange.taken",
                "heap.owner.changed",
        };

        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
                mproc_heap *heap = make_heap(ctx);

                await_death(cast_victim(ctx, points[i], role_everything, MPROC_ARGS(heap)), points[i]);
                expect_the_rest(heap, strcmp(points[i], "heap.owner.changed") == 0);
        }
}

/* The second makes up for what the first left, and dies of that. */
START_METHOD_TEST(death_of_who_makes_up_for_a_death_in_a_heap)
{
        static const char *const pairs[][2] = {
                { "heap.retire.block", "heap.recover" },
                { "heap.commit.interior", "heap.recover.swept" },
                { "heap.retire.block", "heap.rolled_back" },
                { "heap.exchange.intended", "heap.exchange.pointed" },
                { "heap.exchange.pointed", "heap.exchange.given" },
                { "heap.exchange.intended", "heap.exchange.taken" },
        };

        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                mproc_heap *heap = make_heap(ctx);

                for (int k = 0; k < 2; k++)
                        await_death(cast_victim(ctx, pairs[i][k], role_everything, MPROC_ARGS(heap)), pairs[i][k]);
                expect_the_rest(heap, 0);
        }
}
