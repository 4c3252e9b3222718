/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_queue.c - a queue whose memory somebody else writes into while it is used.  The first byte says how it is
 * made, then each byte what is done: one word is spoiled, or an operation is tried.  (Each with a timeout: somebody
 * who spoils the locks can make others wait.)
 */
#include "fuzz/memory.h"

#include <mproc/mproc.h>

enum { BYTES = 1 << 16 };

void
fuzz_seeds(give_seed *give)
{
        uint8_t all[] = { 0x0a, 4, 6, 7, 8, 5, 4, 5, 9, 5, 6, 5, 4, 4, 5, 5, 5 };
        uint8_t limited[] = { 0x0b, 4, 4, 4, 4, 5, 4, 8 };

        give("in_order", all, sizeof all);
        give("limited", limited, sizeof limited);
        for (unsigned word = 0; word < 128; word += 8) { /* the page with the ends */
                uint8_t seed[] = {
                        (uint8_t)(word & 8 ? 0x0a : 2), 0, (uint8_t)(16 + word), 0, 0x41, 4, 5, 6, 5, 4, 7
                };
                char name[30];

                (void)snprintf(name, sizeof name, "word_%u", word);
                give(name, seed, sizeof seed);
        }
        for (unsigned word = 512; word < 560; word += 4) { /* the first ring */
                uint8_t seed[] = {
                        0x0a, 0, (uint8_t)word, (uint8_t)(word >> 8), 0xa0, 9, 8, 7, 6, 0, 0, 0, 0, 5, 4, 5, 9, 5
                };
                char name[30];

                (void)snprintf(name, sizeof name, "word_%u", word);
                give(name, seed, sizeof seed);
        }
}

static void
use(mproc_queue *q, unsigned op, unsigned how)
{
        static char buffer[300000];
        size_t len;
        void *data;

        switch (op) {
        case 4:
                (void)mproc_queue_put(q, buffer, how * 7, 1);
                break;
        case 5:
                if (mproc_queue_get(q, buffer, sizeof buffer, &len, 1) == 0)
                        MUST(len <= sizeof buffer);
                break;
        case 6:
                (void)mproc_queue_qsize(q, &len);
                (void)mproc_queue_full(q);
                (void)mproc_queue_empty(q);
                break;
        case 7:
                (void)mproc_queue_put(q, buffer, 200000 + how, 1);
                break;
        case 8:
                if (mproc_queue_get_alloc(q, &data, &len, 1) == 0) {
                        memset(data, 1, len);
                        free(data);
                }
                break;
        default:
                (void)mproc_queue_get(q, buffer, how, &len, 1);
        }
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        unsigned how = (unsigned)eat(&in, 1);
        uint64_t *memory;
        mproc_queue *q;

        MUST(mproc_queue_create(NULL, how & 1 ? 3 : 0, &q) == 0);
        memory = map_memory(memory_of("mproc-queue"), BYTES);
        for (unsigned i = 0; i < (how >> 1 & 3); i++)
                use(q, 4, how);
        for (int i = 0; i < 40 && in.left > 0; i++) {
                unsigned op = (unsigned)eat(&in, 1);

                if (op % 10 < 4)
                        spoil(&in, memory, BYTES / 8);
                else
                        use(q, op % 10, op / 10);
        }
        MUST(munmap(memory, BYTES) == 0);
        mproc_queue_free(q);
}
