/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_heap.c - a heap in which somebody is killed after each instruction of everything that can be done
 * with blocks: afterwards it is whole, what was published is there, and everything else can be had again.
 *
 * Runs in: test processes.
 */
#include "crash/crash.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE                                                                                                         \
        (64 << 10) /* small, so that slabs are, and nobody has to be stepped through the filling of large ones       \
                    */
#define SMALL 500
#define LARGE 9000

static mproc_heap *heap;
static uint64_t *root; /* 0: what is published; the others: what the scene needs */

static void
heap_open(int owned)
{
        mproc_heap_opts opts = { .owned = owned };

        scene_open();
        CHECK_OK(mproc_heap_create_opts(scene_context, SIZE, &opts, &heap));
        scene_keep(heap, mproc_heap_free);
        root = mproc_heap_pointer(heap, mproc_heap_root(heap));
}

static uint64_t
alloc(size_t size)
{
        uint64_t block = 0;

        CHECK_OK(mproc_heap_alloc(heap, size, &block));
        return block;
}

static mproc_heap_stats
look(void)
{
        mproc_heap_stats stats;

        CHECK_OK(mproc_heap_check(heap));
        CHECK_OK(mproc_heap_look(heap, &stats));
        return stats;
}

/* The dead own nothing any more, and besides so many blocks nothing is in use. */
static void
expect_blocks(size_t count)
{
        CHECK_OK(mproc_heap_reclaim(heap, NULL));
        CHECK_INT(look().blocks, count);
        CHECK_INT(look().owned_blocks, 0);
}

/* What every case ends with: nothing is in use, and all can be had as one. */
static void
expect_all_free(void)
{
        uint64_t whole;

        expect_blocks(0);
        whole = alloc(SIZE);
        CHECK_INT(look().blocks, 1);
        CHECK_OK(mproc_heap_dealloc(heap, whole));
}

/* --- one who dies ------------------------------------------------------------------------------------- */

static void
do_alloc_small(void)
{
        root[1] = alloc(SMALL);
}

static void
do_alloc_large(void)
{
        root[1] = alloc(LARGE);
}

static void
do_dealloc(void)
{
        CHECK_OK(mproc_heap_dealloc(heap, root[1]));
}

/* Everything that a process makes when it first comes, and slabs, are there. */
static void
do_small_before(void)
{
        CHECK_OK(mproc_heap_dealloc(heap, alloc(SMALL)));
}

static void
free_if_there(uint64_t block)
{
        int r = mproc_heap_dealloc(heap, block);

        CHECK(r == 0 || r == MPROC_ERELEASED);
}

SCENE(alloc_the_first_block)
{
        enum fate fate;

        heap_open(1);
        fate = step_and_kill(make_victim(do_alloc_small), steps);
        expect_all_free();
        return fate;
}

SCENE(alloc_a_small_block)
{
        enum fate fate;

        heap_open(1);
        fate = step_and_kill(make_prepared_victim(do_small_before, do_alloc_small), steps);
        expect_all_free();
        return fate;
}

/* It becomes nobody's in the last step: then it is in use, and root[1] may not tell yet where. */
SCENE(alloc_a_small_block_for_all)
{
        enum fate fate;
        size_t blocks;

        heap_open(0);
        fate = step_and_kill(make_prepared_victim(do_small_before, do_alloc_small), steps);
        CHECK_OK(mproc_heap_reclaim(heap, NULL));
        blocks = look().blocks;
        CHECK(blocks <= 1 && (blocks == 1 || root[1] == 0));
        if (root[1])
                CHECK_OK(mproc_heap_dealloc(heap, root[1]));
        return fate;
}

SCENE(alloc_a_large_block)
{
        enum fate fate;

        heap_open(1);
        fate = step_and_kill(make_prepared_victim(do_small_before, do_alloc_large), steps);
        expect_all_free();
        return fate;
}

SCENE(dealloc_a_small_block)
{
        enum fate fate;

        heap_open(0);
        root[1] = alloc(SMALL);
        fate = step_and_kill(make_prepared_victim(do_small_before, do_dealloc), steps);
        free_if_there(root[1]);
        expect_all_free();
        return fate;
}

SCENE(dealloc_a_large_block)
{
        enum fate fate;

        heap_open(0);
        root[1] = alloc(LARGE);
        fate = step_and_kill(make_prepared_victim(do_small_before, do_dealloc), steps);
        free_if_there(root[1]);
        expect_all_free();
        return fate;
}

/* Slabs of several sizes, all idle, are in the way of a block as large as the heap. */
static void
leave_idle_slabs(void)
{
        uint64_t one = alloc(1000), two = alloc(3000), three = alloc(5000);

        CHECK_OK(mproc_heap_dealloc(heap, one));
        CHECK_OK(mproc_heap_dealloc(heap, two));
        CHECK_OK(mproc_heap_dealloc(heap, three));
}

static void
do_alloc_all(void)
{
        root[1] = alloc(SIZE);
}

SCENE(alloc_what_idle_slabs_have)
{
        enum fate fate;

        heap_open(1);
        leave_idle_slabs();
        fate = step_and_kill(make_prepared_victim(do_small_before, do_alloc_all), steps);
        expect_all_free();
        return fate;
}

/* --- owners --------------------------------------------------------------------------------------------- */

static void
do_alloc_to_publish(void)
{
        root[1] = alloc(SMALL);
}

static void
do_exchange(void)
{
        uint64_t old;

        CHECK_OK(mproc_heap_exchange(heap, &root[0], root[1], &old));
        if (old)
                CHECK_OK(mproc_heap_dealloc(heap, old));
}

static void
do_publish(void)
{
        CHECK_OK(mproc_heap_publish(heap, &root[0], root[1]));
}

static void
do_give(void)
{
        CHECK_OK(mproc_heap_give(heap, root[1]));
}

/* Whatever happened: what the root names is in use and nobody's, and nothing else is. */
static void
expect_the_published(void)
{
        pid_t pid;

        expect_blocks(1);
        CHECK_OK(mproc_heap_owner(heap, root[0], &pid));
        CHECK_INT(pid, 0);
        CHECK_OK(mproc_heap_dealloc(heap, root[0]));
        expect_all_free();
}

SCENE(exchange_a_block)
{
        enum fate fate;

        heap_open(1);
        CHECK_OK(mproc_heap_publish(heap, &root[0], alloc(LARGE)));
        fate = step_and_kill(make_prepared_victim(do_alloc_to_publish, do_exchange), steps);
        expect_the_published();
        return fate;
}

SCENE(publish_a_block)
{
        enum fate fate;

        heap_open(1);
        fate = step_and_kill(make_prepared_victim(do_alloc_to_publish, do_publish), steps);
        if (root[0] == 0) { /* or it is pointed to by who comes next */
                CHECK_OK(mproc_heap_reclaim(heap, NULL));
                if (root[0] == 0) {
                        expect_all_free();
                        return fate;
                }
        }
        expect_the_published();
        return fate;
}

SCENE(give_a_block)
{
        enum fate fate;
        size_t blocks;

        heap_open(1);
        fate = step_and_kill(make_prepared_victim(do_alloc_to_publish, do_give), steps);
        CHECK_OK(mproc_heap_reclaim(heap, NULL));
        blocks = look().blocks;
        if (blocks == 1)
                CHECK_OK(mproc_heap_dealloc(heap, root[1]));
        CHECK(blocks == 0 || blocks == 1);
        expect_all_free();
        return fate;
}

/* A helper that is dead now had some of each kind; the victim frees them. */
static void
do_own_some(void)
{
        for (int i = 0; i < 3; i++)
                (void)alloc(SMALL);
        root[2] = alloc(LARGE);
        root[3] = alloc(LARGE);
}

static void
do_reclaim(void)
{
        CHECK_OK(mproc_heap_reclaim(heap, NULL));
}

static void
do_take(void)
{
        CHECK_OK(mproc_heap_take(heap, root[2]));
}

static void
leave_blocks_of_the_dead(void)
{
        help(0, do_own_some);
        CHECK(helped(0));
        kill_helper(0);
}

SCENE(reclaim_blocks_of_the_dead)
{
        enum fate fate;

        heap_open(1);
        leave_blocks_of_the_dead();
        fate = step_and_kill(make_prepared_victim(do_small_before, do_reclaim), steps);
        expect_all_free();
        return fate;
}

SCENE(take_a_block_of_the_dead)
{
        enum fate fate;

        heap_open(1);
        leave_blocks_of_the_dead();
        fate = step_and_kill(make_prepared_victim(do_small_before, do_take), steps);
        expect_all_free();
        return fate;
}

/* --- somebody comes while the victim stands inside -------------------------------------------------------- */

static void
do_alloc_and_free_large(void)
{
        CHECK_OK(mproc_heap_dealloc(heap, alloc(LARGE)));
}

SCENE(alloc_during_which_another_comes)
{
        enum fate fate;
        pid_t victim;

        heap_open(1);
        victim = make_prepared_victim(do_small_before, do_alloc_large);
        fate = step_to(victim, steps);
        help(0, do_alloc_and_free_large);
        mark();
        kill_and_reap(victim);
        CHECK_MSG(helped(0), "the owner of a heap's lock is dead, and another waits for it");
        expect_all_free();
        return fate;
}

/* The victim stands before a claim with an old hint, its slab goes and another comes there; then it goes on. */
static void
do_many_before(void)
{
        uint64_t blocks[8];

        for (int i = 0; i < 8; i++)
                blocks[i] = alloc(SMALL);
        for (int i = 0; i < 8; i++)
                CHECK_OK(mproc_heap_dealloc(heap, blocks[i]));
}

SCENE(claim_by_a_hint_that_has_grown_old)
{
        uint64_t whole, other;
        enum fate fate;
        size_t usable;
        pid_t victim;
        int r;

        heap_open(1);
        victim = make_prepared_victim(do_many_before, do_alloc_small);
        fate = step_to(victim, steps);
        if ((r = mproc_heap_alloc(heap, SIZE, &whole)) == 0) { /* unless the victim has its block already */
                CHECK_OK(mproc_heap_dealloc(heap, whole));
                other = alloc(16); /* a slab of more blocks: the word that the hint means is FREE again */
                (void)look();
                if (step_to(victim, 1000000) == ENDED) {
                        CHECK_OK(mproc_heap_usable_size(heap, root[1], &usable));
                        CHECK_MSG(usable >= SMALL, "a block of %zu bytes instead of %d", usable, SMALL);
                }
                kill_and_reap(victim);
                (void)look();
                CHECK_OK(mproc_heap_dealloc(heap, other));
        } else {
                CHECK_CODE(r, -ENOMEM);
                kill_and_reap(victim);
        }
        expect_all_free();
        return fate;
}

/* --- two die ------------------------------------------------------------------------------------------------ */

/* The second makes up for what the first left, and dies of it. */
PAIR(two_who_allocate_pages)
{
        heap_open(1);
        (void)step_and_kill(make_prepared_victim(do_small_before, do_alloc_large), first);
        (void)step_and_kill(make_prepared_victim(do_small_before, do_alloc_and_free_large), second);
        expect_all_free();
}

PAIR(two_who_exchange)
{
        heap_open(1);
        CHECK_OK(mproc_heap_publish(heap, &root[0], alloc(LARGE)));
        (void)step_and_kill(make_prepared_victim(do_alloc_to_publish, do_exchange), first);
        (void)step_and_kill(make_prepared_victim(do_alloc_to_publish, do_exchange), second);
        expect_the_published();
}

PAIR(one_exchanges_and_one_reclaims)
{
        heap_open(1);
        CHECK_OK(mproc_heap_publish(heap, &root[0], alloc(LARGE)));
        (void)step_and_kill(make_prepared_victim(do_alloc_to_publish, do_exchange), first);
        (void)step_and_kill(make_victim(do_reclaim), second);
        expect_the_published();
}

PAIR(one_takes_slabs_away_and_one_allocates)
{
        heap_open(1);
        leave_idle_slabs();
        (void)step_and_kill(make_prepared_victim(do_small_before, do_alloc_all), first);
        (void)step_and_kill(make_victim(do_alloc_large), second);
        expect_all_free();
}
