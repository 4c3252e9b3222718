/* SPDX-License-Identifier: MIT */
/*
 * chaos/pool_storm.c - pools in a storm: their workers, the fork server and the tracker are killed and stopped at
 * random, and the books of all items must balance.
 *
 * Runs in: test processes; one thread gives work, another one strikes.  MPROC_CHAOS=SECONDS[,SEED] as for
 * chaos.c; a long one goes on until it has seen 100,000 tasks.
 *
 * Every item counts, in memory that all share, how often it was begun and how often it came to its end.  Without
 * retries nothing is begun twice; with r of them nothing more than r + 1 times; and what was begun again has cost
 * a worker its life.
 */
#include "process_help.h"
#include "support/internal.h"

#include <fcntl.h>
#include <mproc/mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
        ITEMS = 4096,   /* of a map, at most */
        TASKS = 48,     /* given at once */
        WORKERS = 4,    /* of a pool, at most */
        STOPPED = 8,    /* at a time */
        EPOCH_MS = 700, /* of one pool */
        LONG_TASKS = 100000,
        NEWBORN_REST_MS = 100,
        LIMIT_MS = 150,
        HANGING = -1
};

struct books {
        atomic_int pids[WORKERS]; /* of those who have begun something */
        atomic_uint begun[ITEMS], ended[ITEMS];
};

static struct books *books;
static int books_fd = -1;

/* --- dice: one for each thread, so that a seed means the same choices in each --------------------------------- */

static _Thread_local uint64_t dice_state;

static unsigned
dice(unsigned sides)
{
        dice_state ^= dice_state << 13;
        dice_state ^= dice_state >> 7;
        dice_state ^= dice_state << 17;
        return (unsigned)(dice_state >> 32) % sides;
}

/* --- in workers ---------------------------------------------------------------------------------------------------
 */

static int
open_books(mproc_args *args)
{
        books = mmap(NULL, sizeof *books, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 0), 0);
        return books == MAP_FAILED ? -ENOMEM : 0;
}

static void
begin(size_t item)
{
        atomic_store(&books->pids[mproc_worker_number()], (int)getpid());
        atomic_fetch_add(&books->begun[item], 1);
}

static void
end(size_t item)
{
        atomic_fetch_add(&books->ended[item], 1);
}

struct item {
        uint32_t number, turns;
        int64_t value; /* HANGING: it would never end */
};

static int64_t
right_result(int64_t value)
{
        return 3 * value + 1;
}

static int
right_code(int64_t value)
{
        return value % 97 == 13 ? 5 : 0;
}

static int
work(const void *data, void *result, const void *shared)
{
        const struct item *item = data;

        CHECK(memcmp(shared, "shared", 7) == 0);
        begin(item->number);
        while (item->value == HANGING)
                (void)pause();
        for (volatile uint32_t n = item->turns; n > 0; n--)
                ;
        *(int64_t *)result = right_result(item->value);
        end(item->number);
        return right_code(item->value);
}

static uint8_t
right_byte(uint64_t number, size_t at)
{
        return (uint8_t)(number * 31 + at * 7 + at / 4096);
}

static int
answer(mproc_args *args, mproc_result *result)
{
        uint64_t number = mproc_args_uint(args, 0), len = mproc_args_uint(args, 1);
        void *data;
        int r;

        begin(number);
        if ((r = mproc_result_reserve(result, len, &data)) < 0)
                return r;
        for (size_t i = 0; i < len; i++)
                ((uint8_t *)data)[i] = right_byte(number, i);
        end(number);
        return 0;
}

static int
put_number(mproc_args *args, mproc_result *result)
{
        uint64_t number = mproc_args_uint(args, 0);
        int r;

        begin(number);
        if ((r = mproc_queue_put(mproc_args_queue(args, 1), &number, sizeof number, MPROC_FOREVER)) < 0)
                return r;
        end(number);
        return mproc_result_uint(result, number);
}

/* --- who strikes --------------------------------------------------------------------------------------------------
 */

struct stay {
        pid_t pid;
        int64_t until_ms;
};

static struct {
        pthread_t thread, waker;
        pthread_mutex_t stays_mutex;
        pthread_mutex_t mutex; /* held while it strikes: so that the pool does not go away under it */
        mproc_pool *pool;      /* NULL: none */
        atomic_bool over;
        atomic_uint deaths; /* counted before each */
        unsigned stopped, servers, trackers;
        struct stay stays[STOPPED];
        size_t nstays;
        int64_t newborn_ms, server_ms;
} storm = { .mutex = PTHREAD_MUTEX_INITIALIZER, .stays_mutex = PTHREAD_MUTEX_INITIALIZER };

/* Stop it for a while; not if many are already. */
static bool
stop_for(pid_t pid, int64_t ms)
{
        bool room;

        CHECK(pthread_mutex_lock(&storm.stays_mutex) == 0);
        if ((room = storm.nstays < STOPPED)) {
                storm.stays[storm.nstays++] = (struct stay){ pid, monotonic_ms() + ms };
                (void)kill(pid, SIGSTOP);
        }
        CHECK(pthread_mutex_unlock(&storm.stays_mutex) == 0);
        return room;
}

/* Of the library's own processes that belong to this test.  (A tracker has a session of its own.) */
static bool
strike_named(const char *name, int number)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(process_parent(getsid(0)), &list);
        bool hit = false;

        for (size_t i = 0; i < count && !hit; i++)
                if (list[i].state != 'Z' && strcmp(list[i].name, name) == 0) {
                        if (number == SIGSTOP)
                                hit = stop_for(list[i].pid, 30);
                        else
                                hit = kill(list[i].pid, number) == 0;
                }
        free(list);
        return hit;
}

static void
wake_sleepers(bool all)
{
        CHECK(pthread_mutex_lock(&storm.stays_mutex) == 0);
        for (size_t i = 0; i < storm.nstays; i++)
                if (all || storm.stays[i].until_ms <= monotonic_ms()) {
                        (void)kill(storm.stays[i].pid, SIGCONT);
                        storm.stays[i--] = storm.stays[--storm.nstays];
                }
        CHECK(pthread_mutex_unlock(&storm.stays_mutex) == 0);
}

/* Three newborns in a row would be the end of a pool, as promised: they are killed one at a time, with a rest. */
static void
strike_worker(void)
{
        mproc_worker_stats workers[WORKERS];
        unsigned i = dice(mproc_pool_workers(storm.pool)), what = dice(10);
        pid_t pid;

        CHECK_OK(mproc_pool_stats(storm.pool, NULL, workers, WORKERS));
        pid = workers[i].pid;
        if (pid == 0)
                return;
        if (atomic_load(&books->pids[i]) != pid) {
                if (monotonic_ms() < storm.newborn_ms)
                        return;
                storm.newborn_ms = monotonic_ms() + scaled_ms(NEWBORN_REST_MS);
        }
        if (what < 4) {
                storm.stopped += stop_for(pid, 1 + dice(dice(10) ? 15 : 200));
        } else {
                atomic_fetch_add(&storm.deaths, 1);
                (void)kill(pid, dice(4) ? SIGKILL : SIGSEGV);
        }
}

static void
strike(void)
{
        unsigned what = dice(60);

        if (what < 2 && monotonic_ms() >= storm.server_ms) {
                const char *name = what ? "mproc-forksrv" : "mproc-tracker";
                int number = dice(3) ? SIGKILL : SIGSTOP;

                storm.server_ms = monotonic_ms() + scaled_ms(300);
                atomic_fetch_add(&storm.deaths, 1); /* a newborn bears the server's name for a moment */
                *(what ? &storm.servers : &storm.trackers) += strike_named(name, number);
        } else if (storm.pool) {
                strike_worker();
        }
}

static void *
strike_until_it_is_over(void *seed)
{
        dice_state = *(uint64_t *)seed;
        while (!atomic_load(&storm.over)) {
                CHECK(pthread_mutex_lock(&storm.mutex) == 0);
                strike();
                CHECK(pthread_mutex_unlock(&storm.mutex) == 0);
                sleep_ms(dice(6));
        }
        return NULL;
}

/* A thread of its own: who strikes may have to wait for the pool, which may be waiting for somebody who is stopped.
 */
static void *
wake_until_it_is_over(void *unused)
{
        while (!atomic_load(&storm.over)) {
                wake_sleepers(false);
                sleep_ms(1);
        }
        wake_sleepers(true);
        return unused;
}

static void
storm_over(mproc_pool *pool)
{
        CHECK(pthread_mutex_lock(&storm.mutex) == 0);
        storm.pool = pool;
        if (!pool)
                wake_sleepers(true);
        CHECK(pthread_mutex_unlock(&storm.mutex) == 0);
}

/* --- the books -----------------------------------------------------------------------------------------------------
 */

static struct {
        unsigned long tasks, right, failed, overtime, cancelled, pools, again;
        uint64_t sum, right_sum;
} told;

struct terms {
        unsigned retries;
        bool limited, cancelled;
        unsigned deaths; /* before it began */
};

static struct terms
new_terms(unsigned retries)
{
        for (size_t i = 0; i < ITEMS; i++)
                books->begun[i] = books->ended[i] = 0;
        return (struct terms){ .retries = retries, .deaths = atomic_load(&storm.deaths) };
}

/* Of one item that is over. */
static void
check_books(const struct terms *terms, size_t item, int code)
{
        unsigned begun = books->begun[item], ended = books->ended[item];

        CHECK_MSG(begun <= terms->retries + 1 && ended <= begun, "item %zu: begun %u times, ended %u times", item,
                  begun, ended);
        told.tasks++;
        told.again += begun > 1 ? begun - 1 : 0;
        if (code == MPROC_EWORKER) {
                CHECK_MSG(atomic_load(&storm.deaths) > terms->deaths, "item %zu failed, and nobody was killed", item);
                told.failed++;
        } else if (code == MPROC_EOVERTIME) {
                CHECK_MSG(terms->limited, "item %zu has run over a limit that it did not have", item);
                told.overtime++;
        } else if (code == MPROC_ECANCELLED) {
                CHECK_MSG(terms->cancelled, "item %zu was cancelled by nobody", item);
                told.cancelled++;
        } else {
                CHECK_MSG(ended >= 1, "item %zu is done (%d) and did not come to its end", item, code);
                told.right++;
        }
}

/* --- work
 * ------------------------------------------------------------------------------------------------------------ */

static void
await(mproc_future *future)
{
        int r = mproc_future_wait(future, scaled_ms(LONG_MS));

        CHECK_MSG(r == 0, "it hangs: %s", mproc_last_error());
}

static void
audit_map(const struct terms *terms, const struct item *items, const int64_t *results, const int *codes, size_t count)
{
        unsigned failed = 0;

        for (size_t i = 0; i < count; i++) {
                bool fine = codes[i] == 0;

                check_books(terms, i, codes[i]);
                failed += codes[i] == MPROC_EWORKER;
                if (codes[i] == 0 || codes[i] == 5) {
                        CHECK_INT(codes[i], right_code(items[i].value));
                        CHECK(items[i].value != HANGING);
                }
                CHECK_MSG(results[i] == (fine ? right_result(items[i].value) : 0), "item %zu of %zu (code %d): %lld",
                          i, count, codes[i], (long long)results[i]);
                told.sum += (uint64_t)results[i];
                told.right_sum += fine ? (uint64_t)right_result(items[i].value) : 0;
        }
        CHECK_MSG(failed <= atomic_load(&storm.deaths) - terms->deaths, "%u items died, of %u workers", failed,
                  atomic_load(&storm.deaths) - terms->deaths);
}

static void
map_once(mproc_pool *pool, unsigned retries)
{
        static const size_t chunks[] = { 0, 0, 1, 7, 100, ITEMS };
        static struct item items[ITEMS];
        static int64_t results[ITEMS];
        static int codes[ITEMS];
        size_t count = 1 + dice(dice(3) ? 400 : ITEMS);
        bool hangs = dice(15) == 0;
        unsigned turns = dice(3) ? 500 : 20000;
        mproc_map_opts opts = { .chunk = chunks[dice(6)], .shared = "shared", .shared_bytes = 7, .codes = codes };
        struct terms terms = new_terms(retries);
        mproc_future *future;

        if (dice(2)) /* otherwise as the pool has it */
                terms.retries = opts.retries = 1 + dice(40);
        for (size_t i = 0; i < count; i++)
                items[i] = (struct item){ (uint32_t)i, dice(turns), dice(1u << 30) };
        if (hangs)
                items[dice((unsigned)count)].value = HANGING;
        terms.limited = hangs || dice(20) == 0;
        opts.time_limit_ms = terms.limited ? LIMIT_MS : 0;
        memset(codes, 77, sizeof codes);
        memset(results, 77, sizeof results);
        CHECK_OK(mproc_pool_map_async(pool, work, items, count, sizeof *items, results, sizeof *results, &opts,
                                      &future));
        if (dice(12) == 0) {
                if (dice(2))
                        sleep_ms(dice(5));
                terms.cancelled = true;
                if (mproc_future_cancel(future) == 0) {
                        told.cancelled += count;
                        told.tasks += count;
                        mproc_future_free(future);
                        return;
                }
        }
        await(future);
        audit_map(&terms, items, results, codes, count);
        mproc_future_free(future);
}

static int
outcome(mproc_future *future)
{
        mproc_task_report report;

        await(future);
        CHECK_OK(mproc_future_report(future, &report));
        return report.code;
}

/* Results of all sizes; some are cancelled. */
static void
apply_many(mproc_pool *pool, unsigned retries)
{
        static const unsigned sizes[] = { 1, 100, 129, 5000, 70000, 300000 };
        struct terms terms = new_terms(retries);
        mproc_future *futures[TASKS];
        size_t sizes_of[TASKS];

        for (size_t i = 0; i < TASKS; i++) {
                sizes_of[i] = dice(sizes[dice(6)]);
                CHECK_OK(mproc_pool_apply_async(pool, answer, MPROC_ARGS((uint64_t)i, (uint64_t)sizes_of[i]),
                                                &futures[i]));
        }
        for (size_t i = 0; i < TASKS; i++) {
                const void *data;
                size_t len;
                int code;

                terms.cancelled = dice(10) == 0 && mproc_future_cancel(futures[i]) == 0;
                code = outcome(futures[i]);
                CHECK(!terms.cancelled || code == MPROC_ECANCELLED);
                check_books(&terms, i, code);
                if (code == 0) {
                        CHECK_OK(mproc_future_view(futures[i], &data, &len, 0));
                        CHECK_INT(len, sizes_of[i]);
                        for (size_t k = 0; k < len; k++)
                                CHECK(((const uint8_t *)data)[k] == right_byte(i, k));
                }
                mproc_future_free(futures[i]);
        }
}

/* Each that has ended well has its message in the queue, once unless it was tried again. */
static void
put_many(mproc_pool *pool, mproc_context *ctx, unsigned retries)
{
        struct terms terms = new_terms(retries);
        unsigned got[TASKS] = { 0 };
        mproc_future *futures[TASKS];
        mproc_queue *queue;
        uint64_t number;
        size_t len;

        CHECK_OK(mproc_queue_create(ctx, 0, &queue));
        for (size_t i = 0; i < TASKS; i++)
                CHECK_OK(mproc_pool_apply_async(pool, put_number, MPROC_ARGS((uint64_t)i, queue), &futures[i]));
        for (size_t i = 0; i < TASKS; i++)
                await(futures[i]);
        while (mproc_queue_get(queue, &number, sizeof number, &len, MPROC_NOWAIT) == 0) {
                CHECK(len == sizeof number && number < TASKS);
                got[number]++;
        }
        for (size_t i = 0; i < TASKS; i++) {
                int code = outcome(futures[i]);

                check_books(&terms, i, code);
                CHECK_MSG(got[i] <= books->begun[i] && got[i] >= books->ended[i] && (code != 0 || got[i] >= 1),
                          "message %zu came %u times; begun %u times, ended %u times", i, got[i], books->begun[i],
                          books->ended[i]);
                mproc_future_free(futures[i]);
        }
        mproc_queue_free(queue);
}

static void
one_pool(mproc_context *ctx, int64_t until)
{
        mproc_arg args[] = { mproc_fd(books_fd) };
        unsigned workers = 1 + dice(WORKERS), retries = dice(2) ? 30 : 0;
        mproc_pool_opts opts = { .initializer = open_books, .initializer_args = { args, 1 }, .retries = retries };
        mproc_pool *pool;

        opts.tasks_per_worker = dice(4) ? 0 : 50 + dice(500);
        CHECK_OK(mproc_pool_create(ctx, workers, &opts, &pool));
        storm_over(pool);
        do {
                unsigned what = dice(10);

                if (what < 6)
                        map_once(pool, retries);
                else if (what < 8)
                        apply_many(pool, retries);
                else
                        put_many(pool, ctx, retries);
        } while (monotonic_ms() < until);
        if (dice(2)) {
                CHECK_OK(mproc_pool_close(pool));
                CHECK_OK(mproc_pool_join(pool, scaled_ms(LONG_MS)));
        }
        storm_over(NULL);
        mproc_pool_free(pool);
        told.pools++;
}

START_METHOD_TEST(pools_in_a_storm, .limit_s = 86400)
{
        const char *plan = getenv("MPROC_CHAOS"), *comma = plan ? strchr(plan, ',') : NULL;
        int64_t ms = plan ? (int64_t)(strtod(plan, NULL) * 1000) : 700, over = monotonic_ms() + ms;
        unsigned seed = comma ? (unsigned)strtoul(comma + 1, NULL, 10) : (unsigned)time(NULL);
        uint64_t other;
        int fds = 0;

        (void)method;
        (void)fprintf(stderr, "MPROC_CHAOS=%g,%u repeats this\n", (double)ms / 1000, seed);
        dice_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        other = dice_state + 2;
        books_fd = memfd_create("books", MFD_CLOEXEC);
        CHECK(books_fd >= 0 && ftruncate(books_fd, sizeof *books) == 0);
        books = mmap(NULL, sizeof *books, PROT_READ | PROT_WRITE, MAP_SHARED, books_fd, 0);
        CHECK(books != MAP_FAILED);
        CHECK(pthread_create(&storm.thread, NULL, strike_until_it_is_over, &other) == 0);
        CHECK(pthread_create(&storm.waker, NULL, wake_until_it_is_over, NULL) == 0);
        do {
                int64_t now = monotonic_ms();

                one_pool(ctx, now + EPOCH_MS < over || told.pools ? now + EPOCH_MS : over);
                CHECK_INT(count_zombies(), 0);
                if (told.pools == 2)
                        fds = count_fds();
                else if (told.pools > 2)
                        CHECK_MSG(count_fds() <= fds + 1, "%d descriptors, %d before:\n%s", count_fds(), fds,
                                  list_fds());
        } while (monotonic_ms() < over || (ms >= 30000 && told.tasks < LONG_TASKS));
        atomic_store(&storm.over, true);
        CHECK(pthread_join(storm.thread, NULL) == 0);
        CHECK(pthread_join(storm.waker, NULL) == 0);
        CHECK(told.sum == told.right_sum);
        (void)fprintf(stderr,
                      "seed %u: %lu pools, %lu tasks: %lu right, %lu died, %lu over their limit, %lu cancelled; "
                      "%lu begun again; struck: %u workers, %u stopped, %u servers, %u trackers\n",
                      seed, told.pools, told.tasks, told.right, told.failed, told.overtime, told.cancelled,
                      told.again, atomic_load(&storm.deaths), storm.stopped, storm.servers, storm.trackers);
        CHECK(munmap(books, sizeof *books) == 0);
        (void)close(books_fd);
}
