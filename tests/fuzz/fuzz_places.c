/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_places.c - locks, semaphores and events whose places somebody else writes into.  Each byte says what is
 * done: one word is spoiled, or an operation is tried.  (Those that wait without a timeout for somebody inside are
 * left out: who spoils a lock can make others wait.)
 */
#include "fuzz/memory.h"

#include <mproc/mproc.h>

enum { BYTES = 4096 };

static mproc_lock *lock;
static mproc_rlock *rlock;
static mproc_semaphore *semaphore;
static mproc_event *event;
static uint64_t *memory, whole[BYTES / 8];

void
fuzz_seeds(give_seed *give)
{
        uint8_t all[] = { 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

        give("in_order", all, sizeof all);
        for (unsigned word = 16; word < 112; word += 3) {
                uint8_t seed[] = { 0, (uint8_t)word, 0, 0x41, 4, 6, 5, 7, 8, 10, 9, 11, 12, 13, 14, 15 };
                char name[30];

                (void)snprintf(name, sizeof name, "word_%u", word);
                give(name, seed, sizeof seed);
        }
}

static void
make(void)
{
        MUST(mproc_lock_create(NULL, &lock) == 0);
        MUST(mproc_rlock_create(NULL, &rlock) == 0);
        MUST(mproc_semaphore_create(NULL, NULL, 2, &semaphore) == 0);
        MUST(mproc_event_create(NULL, &event) == 0);
        memory = map_memory(memory_of("mproc-small"), BYTES);
        memcpy(whole, memory, BYTES);
}

static void
use(unsigned op)
{
        mproc_holder holder;
        unsigned value;

        switch (op) {
        case 4:
                (void)mproc_lock_acquire(lock, 1);
                break;
        case 5:
                (void)mproc_lock_release(lock);
                break;
        case 6:
                (void)mproc_lock_look(lock, &holder);
                (void)mproc_lock_owner(lock);
                break;
        case 7:
                (void)mproc_lock_locked(lock);
                break;
        case 8:
                (void)mproc_rlock_acquire(rlock, 1);
                break;
        case 9:
                (void)mproc_rlock_release(rlock);
                break;
        case 10:
                (void)mproc_rlock_look(rlock, &holder);
                break;
        case 11:
        case 12:
                (void)mproc_semaphore_acquire(semaphore, 1);
                break;
        case 13:
                (void)mproc_semaphore_value(semaphore, &value);
                break;
        case 14:
                (void)mproc_event_wait(event, 1);
                break;
        default:
                (void)mproc_event_set(event);
                (void)mproc_event_is_set(event);
                (void)mproc_event_clear(event);
        }
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        struct input in = { data, size };

        if (!memory)
                make();
        for (int i = 0; i < 40 && in.left > 0; i++) {
                unsigned op = (unsigned)eat(&in, 1) % 16;

                if (op < 4)
                        spoil(&in, memory, BYTES / 8);
                else
                        use(op);
        }
        memcpy(memory, whole, BYTES);
}
