/* SPDX-License-Identifier: MIT */
/*
 * crash/storm_test.c - many processes at work, and all the time one of them is killed and
 * another one started in its place.  At the end the books must balance.
 *
 * Runs in: test processes.  MPROC_STORM=SECONDS[,SEED] makes the storms longer than their half
 * second, or repeats one.
 */
#include "queue_help.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { LIVES = 4000, NUMBERS = 3000, WORKERS = 6 };

/* What all share beside the objects.  A producer's life has a number of its own and puts at most NUMBERS messages. */
struct books {
        atomic_uint puts[LIVES];          /* how many puts returned */
        atomic_uchar got[LIVES][NUMBERS]; /* how often each message was received */
        atomic_ulong received;
        atomic_long a, b; /* equal, but for whom holds the lock */
        atomic_ulong repaired, entered;
        atomic_ulong released, acquired;
        atomic_int stop;
};

static struct books *books;
static int books_fd;
static unsigned seed;
static int64_t storm_ms;

static struct books *
open_books(int fd)
{
        void *p = mmap(NULL, sizeof *books, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        CHECK(p != MAP_FAILED);
        return p;
}

static void
new_books(void)
{
        const char *plan = getenv("MPROC_STORM"), *comma = plan ? strchr(plan, ',') : NULL;

        storm_ms = plan ? (int64_t)(strtod(plan, NULL) * 1000) : 500;
        seed = comma ? (unsigned)strtoul(comma + 1, NULL, 10) : (unsigned)time(NULL);
        srand(seed);
        (void)fprintf(stderr, "MPROC_STORM=%g,%u repeats this\n", (double)storm_ms / 1000, seed);
        books_fd = memfd_create("books", MFD_CLOEXEC);
        CHECK(ftruncate(books_fd, sizeof *books) == 0);
        books = open_books(books_fd);
}

/* --- who works ------------------------------------------------------------------------------------------- */

static int
producer(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        struct books *b = open_books(mproc_args_fd(args, 1));
        uint32_t life = (uint32_t)mproc_args_uint(args, 2);
        uint8_t *data = malloc(200000);

        for (uint32_t i = 0; i < NUMBERS && !b->stop; i++) {
                size_t len = some_length(i + life, i % 97 == 96 ? 200000 : 200);

                stamp_message(data, len, life, i);
                if (mproc_queue_put(q, data, len, 200) == 0)
                        b->puts[life] = i + 1;
                else
                        i--; /* full: the consumers are being killed */
        }
        free(data);
        return 0;
}

static int
consumer(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        struct books *b = open_books(mproc_args_fd(args, 1));

        while (!b->stop) {
                struct stamp stamp;
                size_t len;
                void *data;

                if (mproc_queue_get_alloc(q, &data, &len, 200) != 0)
                        continue;
                check_stamp(data, len, &stamp);
                free(data);
                CHECK(stamp.producer < LIVES && stamp.number < NUMBERS);
                CHECK_INT(atomic_fetch_add(&b->got[stamp.producer][stamp.number], 1), 0);
                atomic_fetch_add(&b->received, 1);
        }
        return 0;
}

static int
locker(mproc_args *args)
{
        mproc_lock *lock = mproc_args_lock(args, 0);
        struct books *b = open_books(mproc_args_fd(args, 1));

        while (!b->stop) {
                int r = mproc_lock_acquire(lock, 5000);

                CHECK(r >= 0);
                if (r == MPROC_OWNER_DIED) {
                        b->b = b->a;
                        atomic_fetch_add(&b->repaired, 1);
                }
                CHECK_INT(b->a, b->b);
                b->a = b->a + 1;
                if (b->a % 16 == 0) /* now and then inside for longer */
                        for (volatile int i = 0; i < 3000; i++)
                                ;
                b->b = b->b + 1;
                CHECK_OK(mproc_lock_release(lock));
                atomic_fetch_add(&b->entered, 1);
        }
        return 0;
}

static int
permit_giver(mproc_args *args)
{
        mproc_semaphore *s = mproc_args_semaphore(args, 0);
        struct books *b = open_books(mproc_args_fd(args, 1));
        unsigned value;

        while (!b->stop) {
                CHECK_OK(mproc_semaphore_value(s, &value));
                if (value > 50) {
                        sleep_ms(1);
                        continue;
                }
                CHECK_OK(mproc_semaphore_release(s));
                atomic_fetch_add(&b->released, 1);
        }
        return 0;
}

static int
permit_taker(mproc_args *args)
{
        mproc_semaphore *s = mproc_args_semaphore(args, 0);
        struct books *b = open_books(mproc_args_fd(args, 1));

        while (!b->stop)
                if (mproc_semaphore_acquire(s, 200) == 0)
                        atomic_fetch_add(&b->acquired, 1);
        return 0;
}

/* --- the storm -------------------------------------------------------------------------------------------- */

/* Start the i-th worker; each storm has its own. */
typedef mproc_process *start_fn(mproc_context *ctx, void *object, int i);

/* Kill and replace until the time is over.  Returns how many were killed in the middle of their work. */
static unsigned
storm(mproc_context *ctx, start_fn *start_one, void *object, unsigned most)
{
        mproc_process *workers[WORKERS];
        int64_t end = monotonic_ms() + storm_ms;
        unsigned killed = 0;

        for (int i = 0; i < WORKERS; i++)
                workers[i] = start_one(ctx, object, i);
        while (monotonic_ms() < end && killed < most) {
                int i = rand() % WORKERS, exitcode;

                for (volatile int k = rand() % 300000; k > 0; k--)
                        ;
                CHECK_OK(mproc_process_kill(workers[i]));
                CHECK_OK(mproc_process_join(workers[i], scaled_ms(LONG_MS)));
                CHECK_OK(mproc_process_exitcode(workers[i], &exitcode));
                CHECK_MSG(exitcode == -SIGKILL || exitcode == 0, "a worker ended with %d: %s", exitcode,
                          mproc_process_error(workers[i]));
                killed += exitcode != 0;
                mproc_process_free(workers[i]);
                workers[i] = start_one(ctx, object, i);
        }
        books->stop = 1;
        for (int i = 0; i < WORKERS; i++)
                finish(workers[i], 0);
        return killed;
}

static uint32_t lives;

static mproc_process *
start_queue_worker(mproc_context *ctx, void *object, int i)
{
        if (i % 2)
                return start(ctx, consumer, MPROC_ARGS((mproc_queue *)object, mproc_fd(books_fd)));
        CHECK(lives < LIVES);
        return start(ctx, producer, MPROC_ARGS((mproc_queue *)object, mproc_fd(books_fd), lives++));
}

/* Take what is left, then look at each message that was ever put. */
static void
balance(mproc_queue *q, unsigned killed)
{
        unsigned long missing = 0, put = 0, more = 0;

        while (mproc_queue_empty(q) == 0) {
                struct stamp stamp;
                size_t len;
                void *data;

                CHECK_OK(mproc_queue_get_alloc(q, &data, &len, scaled_ms(5000)));
                check_stamp(data, len, &stamp);
                free(data);
                CHECK_INT(atomic_fetch_add(&books->got[stamp.producer][stamp.number], 1), 0);
        }
        for (uint32_t life = 0; life < lives; life++)
                for (uint32_t n = 0; n < NUMBERS; n++) {
                        bool told = n < books->puts[life];

                        put += told;
                        missing += told && !books->got[life][n];
                        more += !told && books->got[life][n];
                        /* The put in the middle of which it died; none behind that. */
                        CHECK(told || !books->got[life][n] || n == books->puts[life]);
                }
        (void)fprintf(stderr, "%u killed, %lu put, %lu taken by consumers that died, %lu by producers that died\n",
                      killed, put, missing, more);
        CHECK(missing <= killed);
        CHECK(more <= killed);
        CHECK(put > 0 && books->received > 0);
}

static void
queue_storm(mproc_context *ctx, size_t maxsize)
{
        mproc_queue *q;
        unsigned killed;

        new_books();
        CHECK_OK(mproc_queue_create(ctx, maxsize, &q));
        killed = storm(ctx, start_queue_worker, q, LIVES - WORKERS);
        balance(q, killed);
        CHECK(killed > 0);
        mproc_queue_free(q);
        close(books_fd);
}

START_METHOD_TEST(a_storm_over_an_unlimited_queue, .limit_s = 3600)
{
        queue_storm(ctx, 0);
}

START_METHOD_TEST(a_storm_over_a_queue_for_one, .limit_s = 3600)
{
        queue_storm(ctx, 1);
}

static mproc_process *
start_locker(mproc_context *ctx, void *object, int i)
{
        (void)i;
        return start(ctx, locker, MPROC_ARGS((mproc_lock *)object, mproc_fd(books_fd)));
}

START_METHOD_TEST(a_storm_over_a_lock, .limit_s = 3600)
{
        mproc_lock *lock;
        unsigned killed;

        new_books();
        CHECK_OK(mproc_lock_create(ctx, &lock));
        killed = storm(ctx, start_locker, lock, UINT32_MAX);
        (void)fprintf(stderr, "%u killed, %lu entered, %lu repaired\n", killed, books->entered, books->repaired);
        CHECK(books->entered > 0 && books->repaired <= killed);
        CHECK(mproc_lock_acquire(lock, scaled_ms(5000)) >= 0);
        mproc_lock_free(lock);
        close(books_fd);
}

static mproc_process *
start_permit_worker(mproc_context *ctx, void *object, int i)
{
        return start(ctx, i % 2 ? permit_giver : permit_taker,
                     MPROC_ARGS((mproc_semaphore *)object, mproc_fd(books_fd)));
}

START_METHOD_TEST(a_storm_over_a_semaphore, .limit_s = 3600)
{
        mproc_semaphore *s;
        unsigned killed, value;
        long unaccounted;

        new_books();
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &s));
        killed = storm(ctx, start_permit_worker, s, UINT32_MAX);
        CHECK_OK(mproc_semaphore_value(s, &value));
        /* Each death hides at most one: a release that was not noted, or a permit that was taken. */
        unaccounted = (long)books->released - (long)books->acquired - (long)value;
        (void)fprintf(stderr, "%u killed, %lu released, %lu acquired, value %u\n", killed, books->released,
                      books->acquired, value);
        CHECK(unaccounted <= (long)killed && -unaccounted <= (long)killed);
        CHECK(books->acquired > 0);
        mproc_semaphore_free(s);
        close(books_fd);
}
