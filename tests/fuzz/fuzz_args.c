/* SPDX-License-Identifier: MIT */
/*
 * fuzz/fuzz_args.c - arguments that arrive damaged, and the memory of objects among them that was never what it
 * seems.
 *
 * The first byte is the number of damages to the encoded list, each an offset and a byte; then come spoiled words of
 * the objects' memory, of which a byte tells how many; the rest is operations on what could be rebuilt.
 */
#include "fuzz/memory.h"
#include "wire/args.h"

#include <fcntl.h>
#include <mproc/mproc.h>
#include <setjmp.h>

enum { COPIED = 1 << 14, FDS = 12 };

static struct mproc__encoder encoded;
static jmp_buf ended;

void
fuzz_seeds(give_seed *give)
{
        uint8_t seed[40] = { 0 };

        give("whole", seed, sizeof seed);
        for (uint8_t at = 0; at < 250; at = (uint8_t)(at + 30)) {
                char name[30];

                seed[0] = 1;
                seed[1] = at;
                seed[3] = at;
                (void)snprintf(name, sizeof name, "damaged_%u", at);
                give(name, seed, sizeof seed);
        }
        memset(seed, 0, sizeof seed);
        for (uint8_t at = 0; at < 64; at = (uint8_t)(at + 7)) {
                char name[30];

                seed[1] = 1;
                seed[2] = at;
                seed[4] = at % 2 ? 0x21 : 0xbf;
                (void)snprintf(name, sizeof name, "spoiled_%u", at);
                give(name, seed, sizeof seed);
        }
}

static void
leave(int code)
{
        (void)code;
        longjmp(ended, 1);
}

static void
prepare(void)
{
        mproc_semaphore *semaphore;
        mproc_queue *queue;
        mproc_rlock *rlock;
        mproc_array *array;
        mproc_value *value;
        mproc_lock *lock;
        mproc_args *args;
        mproc_shm *shm;

        MUST(mproc_queue_create(NULL, 5, &queue) == 0 && mproc_queue_put(queue, "message", 8, 0) == 0);
        MUST(mproc_lock_create(NULL, &lock) == 0 && mproc_rlock_create(NULL, &rlock) == 0);
        MUST(mproc_semaphore_create(NULL, NULL, 3, &semaphore) == 0);
        MUST(mproc_shm_create(NULL, NULL, 5000, &shm) == 0);
        MUST(mproc_array_create(NULL, MPROC_TYPE(int), 1000, &array) == 0);
        MUST(mproc_value_create(NULL, MPROC_TYPE(short), &value) == 0);
        MUST(mproc__args_gather(MPROC_ARGS(1, -1, 2.5, "text", mproc_bytes("bytes", 5), mproc_fd(0), queue, lock,
                                           semaphore, rlock, shm, array, value),
                                &args) == 0);
        MUST(mproc__args_encode(args, &encoded) == 0 && !encoded.error && encoded.nfds <= FDS);
        mproc__args_set_failure(leave);
}

/* The same beginning, spoiled; no object of this process, so that it has to be looked at. */
static int
copy_memory(struct input *in, int fd)
{
        int copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        unsigned spoiled = (unsigned)eat(in, 1) % 8;
        uint64_t *from, *to;
        struct stat st;
        size_t bytes;

        MUST(copy >= 0 && fstat(fd, &st) == 0 && ftruncate(copy, st.st_size) == 0);
        bytes = st.st_size < COPIED ? (size_t)st.st_size : COPIED;
        from = map_memory(fd, bytes);
        to = map_memory(copy, bytes);
        memcpy(to, from, bytes);
        while (spoiled-- > 0)
                spoil(in, to, bytes / 8);
        MUST(munmap(from, bytes) == 0 && munmap(to, bytes) == 0);
        MUST(fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
        return copy;
}

/* All that is said to be there is there. */
static void
read_all(const volatile uint8_t *bytes, size_t len)
{
        for (size_t i = 0; bytes && i < len; i += i + 64 < len ? 64 : 1)
                (void)bytes[i];
}

static void
use_memory(mproc_args *args, size_t i)
{
        mproc_array *array;
        mproc_value *value;
        mproc_shm *shm;

        switch (mproc_args_type(args, i)) {
        case MPROC_ARG_SHM:
                shm = mproc_args_shm(args, i);
                read_all(mproc_shm_data(shm), mproc_shm_size(shm));
                (void)mproc_shm_resize(shm, 0);
                read_all(mproc_shm_data(shm), mproc_shm_size(shm));
                break;
        case MPROC_ARG_ARRAY:
                array = mproc_args_array(args, i);
                read_all(mproc_array_data(array), mproc_array_count(array) * mproc_array_item_size(array));
                if (mproc_array_acquire(array, 1) >= 0)
                        (void)mproc_array_release(array);
                break;
        default:
                value = mproc_args_value(args, i);
                (void)mproc_value_add(value, 1);
                (void)mproc_value_double(value);
                break;
        }
}

static void
use_one(mproc_args *args, size_t i)
{
        char buffer[64];
        unsigned value;
        size_t len;

        switch (mproc_args_type(args, i)) {
        case MPROC_ARG_INT:
                (void)mproc_args_int(args, i);
                break;
        case MPROC_ARG_UINT:
                (void)mproc_args_uint(args, i);
                break;
        case MPROC_ARG_DOUBLE:
                (void)mproc_args_double(args, i);
                break;
        case MPROC_ARG_STRING:
                MUST(!mproc_args_string(args, i) || strlen(mproc_args_string(args, i)) < encoded.len);
                break;
        case MPROC_ARG_BYTES:
                (void)mproc_args_bytes(args, i, &len);
                MUST(len <= encoded.len);
                break;
        case MPROC_ARG_FD:
                (void)mproc_args_fd(args, i);
                break;
        case MPROC_ARG_QUEUE:
                (void)mproc_queue_get(mproc_args_queue(args, i), buffer, sizeof buffer, &len, 1);
                (void)mproc_queue_put(mproc_args_queue(args, i), buffer, sizeof buffer, 1);
                (void)mproc_queue_qsize(mproc_args_queue(args, i), &len);
                break;
        case MPROC_ARG_LOCK:
                if (mproc_lock_acquire(mproc_args_lock(args, i), 1) >= 0)
                        (void)mproc_lock_release(mproc_args_lock(args, i));
                break;
        case MPROC_ARG_RLOCK:
                if (mproc_rlock_acquire(mproc_args_rlock(args, i), 1) >= 0)
                        (void)mproc_rlock_release(mproc_args_rlock(args, i));
                break;
        case MPROC_ARG_SEMAPHORE:
                (void)mproc_semaphore_acquire(mproc_args_semaphore(args, i), 1);
                (void)mproc_semaphore_value(mproc_args_semaphore(args, i), &value);
                break;
        case MPROC_ARG_CONNECTION:
                (void)mproc_connection_poll(mproc_args_connection(args, i), 0);
                break;
        case MPROC_ARG_SHM:
        case MPROC_ARG_ARRAY:
        case MPROC_ARG_VALUE:
                use_memory(args, i);
                break;
        default:
                break;
        }
}

void
fuzz_one(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        unsigned damages = (unsigned)eat(&in, 1) % 8;
        struct mproc__block block;
        mproc_args *args = NULL;
        volatile size_t i = 0;
        int *fds;

        if (!encoded.data)
                prepare();
        block = (struct mproc__block){ .data = malloc(encoded.len), .len = encoded.len };
        fds = malloc(encoded.nfds * sizeof *fds);
        MUST(block.data && fds);
        memcpy(block.data, encoded.data, encoded.len);
        while (damages-- > 0) {
                size_t at = (size_t)eat(&in, 2) % encoded.len;

                ((uint8_t *)block.data)[at] = (uint8_t)eat(&in, 1);
        }
        for (size_t k = 0; k < encoded.nfds; k++)
                fds[k] = is_memory_of(encoded.fds[k], "memfd:mproc") ? copy_memory(&in, encoded.fds[k])
                                                                     : fcntl(encoded.fds[k], F_DUPFD_CLOEXEC, 0);
        if (mproc__args_decode(&block, 0, fds, encoded.nfds, &args) == 0) {
                for (; i < mproc_args_count(args); i++)
                        if (setjmp(ended) == 0)
                                use_one(args, i);
                mproc__args_free(args);
        } else {
                for (size_t k = 0; k < encoded.nfds; k++)
                        (void)close(fds[k]);
                free(fds);
        }
        free(block.data);
}
