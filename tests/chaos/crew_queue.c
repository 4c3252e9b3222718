/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_queue.c - producers and consumers of a queue, unlimited or short.
 *
 * Every message carries whose it is, its number and a checksum.  A producer's life has a number of its
 * own.  The books tell of each message whether its put has returned, and whether it was received; in the end
 *   - each message is received at most once, and only if it was put whole;
 *   - what was put and not received was taken by a consumer that was killed, one by each at most;
 *   - what was received without its put having returned is the one in the midst of which its producer died;
 *   - each consumer sees each producer's messages in order;
 *   - the queue is empty, and its memory given back.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIVES = 256, NUMBERS = 1 << 18, LARGE = 300000 };

struct books {
        atomic_uint puts[LIVES];
        atomic_uchar got[LIVES][NUMBERS / 8];
};

static struct {
        mproc_queue *queue;
        struct books *books;
        int books_fd;
        unsigned lives;
} desks[CREWS];

static void
open_desk(struct crew *crew, mproc_context *ctx)
{
        CHECK_OK(mproc_queue_create(ctx, crew->size, &desks[crew->number].queue));
        desks[crew->number].books = open_books(sizeof(struct books), &desks[crew->number].books_fd);
        desks[crew->number].lives = 0;
}

/* Mostly small, at times long, seldom so large that it has a ring for itself. */
static size_t
next_length(void)
{
        unsigned n = dice(400);

        return some_length(dice(1u << 30), n == 0 ? LARGE : n < 10 ? 20000 : 150);
}

static int
produce(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_queue *q = mproc_args_queue(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);
        uint32_t life = (uint32_t)mproc_args_uint(args, 5);
        uint8_t *data = malloc(LARGE);

        (void)crew;
        for (uint32_t n = 0; n < NUMBERS && !must_leave(office, i); n++) {
                size_t len = next_length(), size;
                int r;

                stamp_message(data, len, life, n);
                while ((r = mproc_queue_put(q, data, len, PATIENCE_MS)) == MPROC_EFULL && !must_leave(office, i))
                        ;
                if (r == MPROC_EFULL)
                        break;
                CHECK_OK(r);
                b->puts[life] = n + 1;
                while (mproc_queue_qsize(q, &size) == 0 && size > 50000 && !must_leave(office, i))
                        sleep_ms(1); /* the machine's memory has its limits */
        }
        free(data);
        return 0;
}

static void
book(struct books *b, const struct stamp *stamp, uint32_t *next)
{
        unsigned char bit = (unsigned char)(1u << stamp->number % 8);

        CHECK(stamp->producer < LIVES && stamp->number < NUMBERS);
        CHECK_MSG(!(atomic_fetch_or(&b->got[stamp->producer][stamp->number / 8], bit) & bit),
                  "message %u of %u was delivered twice", stamp->number, stamp->producer);
        CHECK_MSG(stamp->number >= next[stamp->producer], "message %u of %u came after %u", stamp->number,
                  stamp->producer, next[stamp->producer] - 1);
        next[stamp->producer] = stamp->number + 1;
}

static int
consume(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_queue *q = mproc_args_queue(args, 3);
        struct books *b = read_books(mproc_args_fd(args, 4), sizeof *b);
        static uint32_t next[LIVES];
        static uint8_t buffer[1000];

        for (;;) {
                bool leaving = must_leave(office, i);
                void *data = buffer;
                struct stamp stamp;
                size_t len;
                int r;

                r = dice(2) ? mproc_queue_get(q, buffer, sizeof buffer, &len, PATIENCE_MS) : MPROC_ETOOSMALL;
                if (r == MPROC_ETOOSMALL)
                        r = mproc_queue_get_alloc(q, &data, &len, PATIENCE_MS);
                if (r == MPROC_EEMPTY && leaving)
                        return 0;
                if (r == MPROC_EEMPTY)
                        continue;
                CHECK_OK(r);
                check_stamp(data, len, &stamp);
                book(b, &stamp, next);
                atomic_fetch_add(&office->progress[crew], 1);
                if (data != buffer)
                        free(data);
        }
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        if (i % 2) {
                CHECK(desks[crew->number].lives < LIVES);
                CHECK_OK(mproc_process_create(
                        ctx, produce,
                        MPROC_ARGS(mproc_fd(office_fd), crew->number, i, desks[crew->number].queue,
                                   mproc_fd(desks[crew->number].books_fd), desks[crew->number].lives++),
                        &process));
                crew->finished = desks[crew->number].lives >= LIVES - WORKERS;
        } else {
                CHECK_OK(mproc_process_create(ctx, consume,
                                              MPROC_ARGS(mproc_fd(office_fd), crew->number, i,
                                                         desks[crew->number].queue,
                                                         mproc_fd(desks[crew->number].books_fd)),
                                              &process));
        }
        return process;
}

static bool
was_got(const struct books *b, unsigned life, uint32_t n)
{
        return b->got[life][n / 8] >> n % 8 & 1;
}

/* The queues of this process: drained, they need no more than their first pages and a ring. */
static void
check_memory(const char *name)
{
        DIR *dir = opendir("/proc/self/fd");

        for (struct dirent *e; (e = readdir(dir));) {
                struct stat st;
                char link[256];
                ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);

                link[n > 0 ? n : 0] = 0;
                if (!strstr(link, "mproc-queue"))
                        continue;
                CHECK(fstat(atoi(e->d_name), &st) == 0);
                CHECK_MSG(st.st_blocks * 512 < 4 << 20, "%s: %lld KiB in use, though nothing is in it", name,
                          (long long)st.st_blocks / 2);
        }
        (void)closedir(dir);
}

/* If the last consumers were killed, something is left. */
static void
drain(mproc_queue *q, struct books *b)
{
        static uint32_t next[LIVES];
        struct stamp stamp;
        size_t len;
        void *data;

        memset(next, 0, sizeof next);
        while (mproc_queue_empty(q) == 0) {
                CHECK_OK(mproc_queue_get_alloc(q, &data, &len, scaled_ms(LONG_MS)));
                check_stamp(data, len, &stamp);
                book(b, &stamp, next);
                free(data);
        }
}

static void
audit(struct crew *crew, unsigned killed)
{
        struct books *b = desks[crew->number].books;
        unsigned missing = 0, more = 0;

        drain(desks[crew->number].queue, b);
        for (unsigned life = 0; life < desks[crew->number].lives; life++) {
                for (uint32_t n = 0; n < b->puts[life]; n++)
                        missing += !was_got(b, life, n);
                more += was_got(b, life, b->puts[life] % NUMBERS) && b->puts[life] < NUMBERS;
                for (uint32_t n = b->puts[life] + 1; n < NUMBERS && n < b->puts[life] + 1000; n++)
                        CHECK_MSG(!was_got(b, life, n), "message %u of %u was not put, but delivered", n, life);
                crew->sum += b->puts[life];
        }
        CHECK_MSG(missing <= killed, "%u messages are missing, %u workers were killed", missing, killed);
        CHECK_MSG(more <= killed, "%u messages are delivered that nobody has put", more);
        check_memory(crew->name);
}

static void
close_desk(struct crew *crew)
{
        mproc_queue_free(desks[crew->number].queue);
        close_books(desks[crew->number].books, sizeof(struct books), desks[crew->number].books_fd);
}

#define DESK .open = open_desk, .hire = hire, .audit = audit, .close = close_desk, .what = "messages"

CREW(queue, .workers = 6, DESK)
CREW(short_queue, .workers = 4, .size = 1, DESK)
