/* SPDX-License-Identifier: MIT */
/*
 * crash/scribble_test.c - somebody writes nonsense into the shared memory of queues, locks and
 * semaphores while others use them.  They may get errors and wrong messages, and time out; they may
 * not crash, nor touch memory that is not theirs.
 *
 * Runs in: test processes.  MPROC_SCRIBBLE=SEED repeats a run.
 */
#include "queue_help.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The descriptor of the first memory of this kind that this process has. */
static int
memory_of(const char *kind)
{
        DIR *dir = opendir("/proc/self/fd");
        int fd = -1;

        for (struct dirent *e; fd < 0 && (e = readdir(dir));) {
                char link[256];
                ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);

                link[n > 0 ? n : 0] = 0;
                if (strstr(link, kind))
                        fd = atoi(e->d_name);
        }
        closedir(dir);
        CHECK(fd >= 0);
        return fd;
}

/* Numbers that hurt: small ones, large ones, near to each other, and what stands somewhere else. */
static uint64_t
nonsense(const uint64_t *memory, size_t words)
{
        switch (rand() % 6) {
        case 0:
                return (uint64_t)(rand() % 5);
        case 1:
                return UINT64_MAX - (uint64_t)(rand() % 5);
        case 2:
                return UINT64_C(1) << rand() % 64;
        case 3:
                return (uint64_t)rand() * 4096;
        case 4:
                return memory[(size_t)rand() % words] + (uint64_t)(rand() % 3) - 1;
        default:
                return (uint64_t)rand() << 32 | (uint64_t)rand();
        }
}

static void
use_a_queue(mproc_queue *q, char *buffer, size_t size)
{
        size_t len;
        void *data;

        switch (rand() % 6) {
        case 0:
        case 1:
                (void)mproc_queue_put(q, buffer, (size_t)rand() % (rand() % 20 ? 300 : size), 1);
                break;
        case 2:
        case 3:
                (void)mproc_queue_get(q, buffer, size, &len, 1);
                break;
        case 4:
                if (mproc_queue_get_alloc(q, &data, &len, 1) == 0) {
                        memset(data, 1, len);
                        free(data);
                }
                break;
        default:
                (void)mproc_queue_qsize(q, &len);
                (void)mproc_queue_full(q);
        }
}

static void
seed_rand(void)
{
        const char *plan = getenv("MPROC_SCRIBBLE");
        unsigned seed = plan ? (unsigned)strtoul(plan, NULL, 10) : (unsigned)time(NULL);

        (void)fprintf(stderr, "MPROC_SCRIBBLE=%u\n", seed);
        srand(seed);
}

/* (Not MPROC_NOWAIT: that may wait for a second for an owner who is none.)  One queue after the other is used by a
 * child and spoiled by us. */
TEST(a_spoiled_queue_crashes_nobody, .limit_s = 300)
{
        seed_rand();
        for (int round = 0; round < 40; round++) {
                mproc_queue *q;
                uint64_t *memory;
                struct stat st;
                size_t words;
                pid_t pid;

                CHECK_OK(mproc_queue_create(NULL, (size_t)(rand() % 3 ? 0 : 7), &q));
                for (int i = 0; i < rand() % 3; i++)
                        CHECK_OK(mproc_queue_put(q, "something", 10, 0));
                CHECK(fstat(memory_of("mproc-queue"), &st) == 0);
                memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_of("mproc-queue"),
                              0);
                CHECK(memory != MAP_FAILED);
                words = (rand() % 4 ? 8192 : (size_t)st.st_size) / 8; /* mostly where the control words are */
                if ((pid = fork()) == 0) {
                        char *buffer = calloc(1, 300000);

                        srand((unsigned)round);
                        for (int64_t end = monotonic_ms() + 30; monotonic_ms() < end;)
                                use_a_queue(q, buffer, 300000);
                        _exit(0);
                }
                for (int64_t end = monotonic_ms() + 25; monotonic_ms() < end;) {
                        memory[(size_t)rand() % words] = nonsense(memory, words);
                        for (volatile int i = rand() % 3000; i > 0; i--)
                                ;
                }
                CHECK_INT(wait_program(pid, LONG_MS), 0);
                munmap(memory, (size_t)st.st_size);
                mproc_queue_free(q);
        }
}

TEST(spoiled_locks_and_semaphores_crash_nobody, .limit_s = 300)
{
        seed_rand();
        for (int round = 0; round < 8; round++) {
                mproc_semaphore *s;
                mproc_lock *lock;
                uint64_t *memory;
                pid_t pid;

                CHECK_OK(mproc_lock_create(NULL, &lock));
                CHECK_OK(mproc_semaphore_create(NULL, NULL, 5, &s));
                memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory_of("mproc-small"), 0);
                CHECK(memory != MAP_FAILED);
                if ((pid = fork()) == 0) {
                        unsigned value;

                        for (int64_t end = monotonic_ms() + 100; monotonic_ms() < end;) {
                                (void)mproc_lock_acquire(lock, 1);
                                (void)mproc_lock_owner(lock);
                                (void)mproc_lock_release(lock);
                                (void)mproc_semaphore_acquire(s, 1);
                                (void)mproc_semaphore_value(s, &value);
                        }
                        _exit(0);
                }
                for (int64_t end = monotonic_ms() + 80; monotonic_ms() < end;) {
                        memory[16 + (size_t)rand() % (512 - 16)] = nonsense(memory, 512);
                        for (volatile int i = rand() % 3000; i > 0; i--)
                                ;
                }
                CHECK_INT(wait_program(pid, LONG_MS), 0);
                munmap(memory, 4096);
                mproc_lock_free(lock);
                mproc_semaphore_free(s);
        }
}
