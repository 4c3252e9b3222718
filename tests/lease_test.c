/* SPDX-License-Identifier: MIT */
/*
 * lease_test.c - leases: what a dead consumer had not finished comes back, at its old place.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static mproc_queue *
make_queue(mproc_context *ctx, size_t maxsize, size_t leases)
{
        mproc_queue_opts opts = { .maxsize = maxsize, .leases = leases };
        mproc_queue *queue;

        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        return queue;
}

static void
put(mproc_queue *queue, uint32_t number)
{
        CHECK_OK(mproc_queue_put(queue, &number, sizeof number, scaled_ms(LONG_MS)));
}

/* The next one, without a lease. */
static uint32_t
get(mproc_queue *queue, int64_t timeout_ms)
{
        uint32_t number = 0;
        size_t len;

        CHECK_OK(mproc_queue_get(queue, &number, sizeof number, &len, timeout_ms));
        CHECK_INT(len, sizeof number);
        return number;
}

static uint32_t
get_leased(mproc_queue *queue, mproc_lease *lease, int64_t timeout_ms)
{
        uint32_t number = 0;
        size_t len;

        CHECK_OK(mproc_queue_get_leased(queue, &number, sizeof number, &len, lease, timeout_ms));
        CHECK_INT(len, sizeof number);
        return number;
}

static size_t
leased(mproc_queue *queue)
{
        size_t count;

        CHECK_OK(mproc_queue_leased(queue, &count));
        return count;
}

static size_t
queued(mproc_queue *queue)
{
        size_t count;

        CHECK_OK(mproc_queue_qsize(queue, &count));
        return count;
}

static void
kill_and_join(mproc_process *process)
{
        CHECK_OK(mproc_process_kill(process));
        finish(process, -SIGKILL);
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(a_lease_is_acked_once)
{
        mproc_queue *q = make_queue(NULL, 0, 4);
        mproc_lease lease, copy;

        for (unsigned round = 0; round < 50; round++) {
                put(q, round);
                CHECK_INT(get_leased(q, &lease, 0), round);
                CHECK_INT(mproc_lease_deliveries(&lease), 1);
                CHECK_INT(leased(q), 1);
                CHECK_INT(queued(q), 0);
                CHECK_INT(mproc_queue_empty(q), 1);
                CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 0), MPROC_EEMPTY);
                copy = lease;
                CHECK_OK(mproc_lease_ack(&lease));
                CHECK_CODE(mproc_lease_ack(&lease), MPROC_ERELEASED);
                CHECK_CODE(mproc_lease_return(&copy), MPROC_ERELEASED);
                CHECK_INT(leased(q), 0);
                CHECK_CODE(mproc_queue_get(q, NULL, 0, NULL, 0), MPROC_EEMPTY);
        }
        mproc_queue_free(q);
}

TEST(what_is_given_back_comes_first_and_counts_its_deliveries)
{
        mproc_queue *q = make_queue(NULL, 0, 8);
        mproc_lease lease[4];

        for (uint32_t i = 0; i < 6; i++)
                put(q, i);
        for (uint32_t i = 0; i < 4; i++)
                CHECK_INT(get_leased(q, &lease[i], 0), i);
        CHECK_INT(queued(q), 2);
        CHECK_OK(mproc_lease_return(&lease[2]));
        CHECK_OK(mproc_lease_return(&lease[1]));
        CHECK_INT(queued(q), 4);
        CHECK_INT(get_leased(q, &lease[1], 0), 1);
        CHECK_INT(mproc_lease_deliveries(&lease[1]), 2);
        CHECK_OK(mproc_lease_return(&lease[1]));
        CHECK_OK(mproc_lease_return(&lease[0]));
        CHECK_INT(get_leased(q, &lease[0], 0), 0);
        CHECK_INT(mproc_lease_deliveries(&lease[0]), 2);
        CHECK_INT(get_leased(q, &lease[1], 0), 1);
        CHECK_INT(mproc_lease_deliveries(&lease[1]), 3);
        CHECK_INT(get(q, 0), 2); /* without a lease, too */
        CHECK_INT(get(q, 0), 4);
        CHECK_OK(mproc_lease_return(&lease[3]));
        CHECK_INT(mproc_queue_empty(q), 0);
        CHECK_INT(get(q, 0), 3);
        CHECK_INT(get(q, 0), 5);
        CHECK_OK(mproc_lease_ack(&lease[0]));
        CHECK_OK(mproc_lease_ack(&lease[1]));
        CHECK_INT(mproc_queue_empty(q), 1);
        CHECK_INT(leased(q), 0);
        mproc_queue_free(q);
}

TEST(there_are_as_many_leases_as_were_asked_for)
{
        mproc_queue *q = make_queue(NULL, 0, 200);
        mproc_lease lease[200], another;

        for (unsigned round = 0; round < 3; round++) {
                for (uint32_t i = 0; i <= 200; i++)
                        put(q, i);
                for (uint32_t i = 0; i < 200; i++)
                        CHECK_INT(get_leased(q, &lease[i], 0), i);
                CHECK_CODE(mproc_queue_get_leased(q, &(uint32_t){ 0 }, 4, NULL, &another, MPROC_FOREVER), -ENOBUFS);
                CHECK_CONTAINS(mproc_last_error(), "200 messages");
                CHECK_INT(queued(q), 1);
                CHECK_OK(mproc_lease_ack(&lease[77]));
                CHECK_INT(get_leased(q, &lease[77], 0), 200);
                for (uint32_t i = 0; i < 200; i++)
                        CHECK_OK(mproc_lease_ack(&lease[i]));
        }
        mproc_queue_free(q);
}

TEST(a_buffer_that_is_too_small_leaves_the_message_in_place)
{
        mproc_queue *q = make_queue(NULL, 0, 1);
        mproc_lease lease;
        char text[8];
        size_t len;
        void *data;

        CHECK_OK(mproc_queue_put(q, "message", 8, 0));
        for (int again = 0; again < 2; again++) {
                CHECK_CODE(mproc_queue_get_leased(q, text, 7, &len, &lease, 0), MPROC_ETOOSMALL);
                CHECK_INT(len, 8);
                CHECK_CODE(mproc_queue_get(q, text, 7, &len, 0), MPROC_ETOOSMALL);
                CHECK_INT(queued(q), 1);
                CHECK_OK(mproc_queue_get_leased_alloc(q, &data, &len, &lease, 0));
                CHECK_STR((char *)data, "message");
                free(data);
                CHECK_OK(mproc_lease_return(&lease));
        }
        CHECK_OK(mproc_queue_get_alloc(q, &data, NULL, 0));
        CHECK_STR((char *)data, "message");
        free(data);
        mproc_queue_free(q);
}

TEST(wrong_use_of_a_lease_is_told)
{
        mproc_queue *q = make_queue(NULL, 0, 1), *plain, *none;
        mproc_queue_opts opts = { .leases = 65537 };
        mproc_lease lease = MPROC_LEASE_INIT, copy;

        CHECK_OK(mproc_queue_create(NULL, 0, &plain));
        CHECK_CODE(mproc_queue_create_opts(NULL, &opts, &none), -EINVAL);
        CHECK_CODE(mproc_lease_ack(NULL), MPROC_EHANDLE);
        CHECK_CODE(mproc_lease_ack(&lease), MPROC_EHANDLE);
        CHECK_CODE(mproc_lease_return(&lease), MPROC_EHANDLE);
        CHECK_INT(mproc_lease_deliveries(NULL), 0);
        CHECK_CODE(mproc_queue_get_leased(plain, NULL, 0, NULL, &lease, 0), MPROC_EUNSUPPORTED);
        CHECK_CONTAINS(mproc_last_error(), "leases");
        CHECK_CODE(mproc_queue_leased(plain, &(size_t){ 0 }), MPROC_EUNSUPPORTED);
        CHECK_CODE(mproc_queue_get_leased(NULL, NULL, 0, NULL, &lease, 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_queue_get_leased(q, NULL, 0, NULL, NULL, 0), -EINVAL);
        CHECK_CODE(mproc_queue_get_leased(q, NULL, 4, NULL, &lease, 0), -EINVAL);
        CHECK_CODE(mproc_queue_get_leased(q, NULL, 0, NULL, &lease, 20), MPROC_EEMPTY);
        CHECK_OK(mproc_queue_put(q, NULL, 0, 0));
        CHECK_OK(mproc_queue_get_leased(q, NULL, 0, NULL, &lease, 0));
        copy = lease;
        copy.index = 99;
        CHECK_CODE(mproc_lease_ack(&copy), MPROC_EHANDLE);
        CHECK_OK(mproc_queue_close(q));
        CHECK_OK(mproc_lease_ack(&lease)); /* also after it was closed here */
        mproc_queue_free(plain);
        mproc_queue_free(q);
        CHECK_CODE(mproc_lease_ack(&lease), MPROC_EHANDLE);
}

/* Memory that a segment of this name has, in blocks of 512 bytes. */
static long
blocks_of(const char *name)
{
        for (int fd = 3; fd < 100; fd++) {
                char path[40], target[100] = "";
                struct stat st;

                (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
                if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, name) && fstat(fd, &st) == 0)
                        return (long)st.st_blocks;
        }
        return -1;
}

TEST(messages_of_all_lengths_can_be_leased_and_leave_no_memory_behind)
{
        static const size_t lens[] = { 0, 1, 24, 1023, 1024, 1025, 4096, 5000, 131072, 131073, 3000000 };
        enum { COUNT = sizeof lens / sizeof *lens };
        mproc_queue *q = make_queue(NULL, 0, COUNT);
        uint8_t *in = malloc(3000000), *out = malloc(3000000);
        mproc_lease lease[COUNT];
        long blocks = -1;
        size_t len;

        for (unsigned round = 0; round < 20; round++) {
                for (size_t i = 0; i < COUNT; i++) {
                        memset(in, (int)(i * 7 + round), lens[i]);
                        CHECK_OK(mproc_queue_put(q, in, lens[i], 0));
                        CHECK_OK(mproc_queue_get_leased(q, out, 3000000, &len, &lease[i], 0));
                }
                for (size_t i = 0; i < COUNT; i++)
                        CHECK_OK(mproc_lease_return(&lease[COUNT - 1 - i]));
                for (size_t i = 0; i < COUNT; i++) {
                        memset(in, (int)(i * 7 + round), lens[i]);
                        CHECK_OK(mproc_queue_get_leased(q, out, 3000000, &len, &lease[i], 0));
                        CHECK_INT(len, lens[i]);
                        CHECK_MEM(out, in, len);
                }
                for (size_t i = 0; i < COUNT; i++)
                        CHECK_OK(mproc_lease_ack(&lease[i]));
                if (round == 1)
                        blocks = blocks_of("mproc-ledger");
        }
        CHECK(blocks > 0);
        CHECK_INT(blocks_of("mproc-ledger"), blocks);
        CHECK(blocks <= 2 * (8 + COUNT * 4)); /* pages of the head and the table, cells; no copy */
        free(in);
        free(out);
        mproc_queue_free(q);
}

/* --- threads ------------------------------------------------------------------------------------------- */

struct waiting {
        mproc_queue *queue;
        mproc_lease lease;
        uint32_t number;
        atomic_int code;
};

static void *
wait_for_one(void *arg)
{
        struct waiting *w = arg;

        w->code = mproc_queue_get_leased(w->queue, &w->number, sizeof w->number, NULL, &w->lease, scaled_ms(LONG_MS));
        return NULL;
}

TEST(what_is_given_back_wakes_who_waits)
{
        mproc_queue *q = make_queue(NULL, 0, 4);
        int64_t longest = 0;

        for (unsigned round = 0; round < 50; round++) {
                struct waiting w = { .queue = q };
                mproc_lease lease;
                pthread_t thread;
                int64_t begun;

                put(q, round);
                CHECK_INT(get_leased(q, &lease, 0), round);
                CHECK_INT(pthread_create(&thread, NULL, wait_for_one, &w), 0);
                if (round % 2)
                        sleep_ms(2); /* both when it sleeps and when it is on its way */
                begun = monotonic_ms();
                CHECK_OK(mproc_lease_return(&lease));
                CHECK_INT(pthread_join(thread, NULL), 0);
                begun = monotonic_ms() - begun;
                longest = begun > longest ? begun : longest;
                CHECK_INT(w.code, 0);
                CHECK_INT(w.number, round);
                CHECK_INT(mproc_lease_deliveries(&w.lease), 2);
                CHECK_OK(mproc_lease_ack(&w.lease));
        }
        CHECK(longest < scaled_ms(5000));
        mproc_queue_free(q);
}

TEST(closing_sends_away_who_waits_for_a_lease)
{
        mproc_queue *q = make_queue(NULL, 0, 4);
        struct waiting w[3] = { { .queue = q }, { .queue = q }, { .queue = q } };
        pthread_t thread[3];
        mproc_lease lease;

        put(q, 1);
        CHECK_INT(get_leased(q, &lease, 0), 1);
        for (int i = 0; i < 3; i++)
                CHECK_INT(pthread_create(&thread[i], NULL, wait_for_one, &w[i]), 0);
        sleep_ms(5);
        CHECK_OK(mproc_queue_close(q));
        for (int i = 0; i < 3; i++) {
                CHECK_INT(pthread_join(thread[i], NULL), 0);
                CHECK_INT(w[i].code, MPROC_ECLOSED);
        }
        CHECK_OK(mproc_lease_return(&lease));
        mproc_queue_free(q);
}

struct crowd {
        mproc_queue *queue;
        atomic_uint *acked;
        uint32_t count;
        unsigned seed;
};

static void *
work_in_a_crowd(void *arg)
{
        struct crowd *c = arg;
        mproc_lease lease;
        uint32_t number;

        for (unsigned turn = c->seed;; turn++) {
                CHECK_OK(mproc_queue_get_leased(c->queue, &number, sizeof number, NULL, &lease, scaled_ms(LONG_MS)));
                if (number >= c->count) {
                        CHECK_OK(mproc_lease_ack(&lease));
                        return NULL;
                }
                if (turn % 3 == 0) {
                        CHECK_OK(mproc_lease_return(&lease));
                        continue;
                }
                atomic_fetch_add(&c->acked[number], 1);
                CHECK_OK(mproc_lease_ack(&lease));
        }
}

TEST(threads_lease_each_message_until_it_is_acked_once)
{
        enum { COUNT = 4000, THREADS = 4 };
        static atomic_uint acked[COUNT];
        mproc_queue *q = make_queue(NULL, 0, 64);
        struct crowd crowd[THREADS];
        pthread_t thread[THREADS];

        for (unsigned i = 0; i < THREADS; i++) {
                crowd[i] = (struct crowd){ q, acked, COUNT, i };
                CHECK_INT(pthread_create(&thread[i], NULL, work_in_a_crowd, &crowd[i]), 0);
        }
        for (uint32_t i = 0; i < COUNT; i++)
                put(q, i);
        for (uint32_t i = 0; i < THREADS; i++)
                put(q, COUNT);
        for (int i = 0; i < THREADS; i++)
                CHECK_INT(pthread_join(thread[i], NULL), 0);
        for (uint32_t i = 0; i < COUNT; i++)
                CHECK_INT(acked[i], 1);
        CHECK_INT(queued(q), 0);
        CHECK_INT(leased(q), 0);
        mproc_queue_free(q);
}

/* --- processes ---------------------------------------------------------------------------------------- */

/* Leases so many messages, says so, and waits to be killed. */
static int
hold_some(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        mproc_semaphore *ready = mproc_args_semaphore(args, 1);
        void *data;
        mproc_lease lease;

        for (int64_t i = mproc_args_int(args, 2); i > 0; i--) {
                CHECK_OK(mproc_queue_get_leased_alloc(q, &data, NULL, &lease, scaled_ms(LONG_MS)));
                free(data);
        }
        CHECK_OK(mproc_semaphore_release(ready));
        for (;;)
                (void)pause();
}

START_METHOD_TEST(what_a_killed_process_had_comes_back_at_its_old_place)
{
        mproc_queue *q = make_queue(ctx, 0, 16);
        mproc_process *holder[2];
        mproc_semaphore *ready;
        mproc_lease lease;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (uint32_t i = 0; i < 9; i++)
                put(q, i);
        for (int i = 0; i < 2; i++) {
                holder[i] = start(ctx, hold_some, MPROC_ARGS(q, ready, 3));
                CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
        }
        CHECK_INT(leased(q), 6);
        CHECK_INT(get(q, 0), 6);
        kill_and_join(holder[1]);
        put(q, 9);
        while (get_leased(q, &lease, 0) != 3) { /* noticed while there are others, too */
                CHECK_INT(mproc_lease_deliveries(&lease), 1);
                CHECK_OK(mproc_lease_ack(&lease));
                put(q, 10);
        }
        CHECK_INT(mproc_lease_deliveries(&lease), 2);
        CHECK_OK(mproc_lease_ack(&lease));
        CHECK_INT(get(q, 0), 4);
        kill_and_join(holder[0]);
        for (uint32_t wanted = 0, got; wanted < 3; wanted++) {
                while ((got = get(q, scaled_ms(LONG_MS))) != wanted)
                        CHECK(wanted == 0 && got >= 5);
        }
        mproc_semaphore_free(ready);
        mproc_queue_free(q);
}

/* The one who waits is in another process than the one who dies, or notices it by polling. */
static int
get_one(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        mproc_waitable item = mproc_wait_queue(q);
        uint32_t number = 0;
        mproc_lease lease;

        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(args, 1)));
        if (mproc_args_int(args, 2)) {
                CHECK_INT(mproc_wait(&item, 1, scaled_ms(LONG_MS)), 1);
                CHECK_OK(mproc_queue_get_leased(q, &number, sizeof number, NULL, &lease, 0));
        } else {
                CHECK_OK(mproc_queue_get_leased(q, &number, sizeof number, NULL, &lease, scaled_ms(LONG_MS)));
        }
        CHECK_INT(mproc_lease_deliveries(&lease), 2);
        CHECK_OK(mproc_lease_ack(&lease));
        return (int)number;
}

START_METHOD_TEST(who_waits_is_told_of_a_death)
{
        mproc_queue *q = make_queue(ctx, 1, 4);
        mproc_semaphore *ready;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        for (int polling = 0; polling < 2; polling++) {
                mproc_process *holder, *waiter;

                put(q, 42);
                holder = start(ctx, hold_some, MPROC_ARGS(q, ready, 1));
                CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
                waiter = start(ctx, get_one, MPROC_ARGS(q, ready, polling));
                CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
                kill_and_join(holder);
                finish(waiter, 42);
                CHECK_INT(leased(q), 0);
        }
        mproc_semaphore_free(ready);
        mproc_queue_free(q);
}

START_METHOD_TEST(a_stopped_process_keeps_its_leases)
{
        mproc_queue *q = make_queue(ctx, 0, 4);
        mproc_process *holder;
        mproc_semaphore *ready;

        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &ready));
        put(q, 7);
        holder = start(ctx, hold_some, MPROC_ARGS(q, ready, 1));
        CHECK_OK(mproc_semaphore_acquire(ready, scaled_ms(LONG_MS)));
        CHECK(kill(mproc_process_pid(holder), SIGSTOP) == 0);
        CHECK_CODE(mproc_queue_get(q, &(uint32_t){ 0 }, 4, NULL, 250), MPROC_EEMPTY);
        CHECK_INT(leased(q), 1);
        kill_and_join(holder);
        CHECK_INT(get(q, scaled_ms(LONG_MS)), 7);
        mproc_semaphore_free(ready);
        mproc_queue_free(q);
}

TEST(a_forked_child_may_ack_what_its_parent_leased)
{
        mproc_queue *q = make_queue(NULL, 0, 4);
        mproc_lease lease[2];
        pid_t pid;

        put(q, 1);
        put(q, 2);
        CHECK_INT(get_leased(q, &lease[0], 0), 1);
        CHECK_INT(get_leased(q, &lease[1], 0), 2);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                CHECK_OK(mproc_lease_ack(&lease[0]));
                CHECK_OK(mproc_lease_return(&lease[1]));
                _exit(0);
        }
        CHECK_INT(wait_program(pid, scaled_ms(LONG_MS)), 0);
        CHECK_CODE(mproc_lease_ack(&lease[0]), MPROC_ERELEASED);
        CHECK_CODE(mproc_lease_ack(&lease[1]), MPROC_ERELEASED);
        CHECK_INT(get(q, 0), 2);
        CHECK_INT(leased(q), 0);
        mproc_queue_free(q);
}

/* --- many deaths ---------------------------------------------------------------------------------------- */

enum { JOBS = 120 };

struct books {
        atomic_uint done[JOBS];
        atomic_uint deliveries[JOBS];
};

/* Some jobs kill whoever works on them the first times. */
static int
work(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        struct books *books;
        mproc_lease lease;
        uint8_t job[3000];
        struct stamp stamp;
        size_t len;
        int r;

        books = mmap(NULL, sizeof *books, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);
        CHECK(books != MAP_FAILED);
        while ((r = mproc_queue_get_leased(q, job, sizeof job, &len, &lease, 300)) == 0) {
                check_stamp(job, len, &stamp);
                books->deliveries[stamp.number] = mproc_lease_deliveries(&lease);
                if (stamp.number % 10 == 3 && mproc_lease_deliveries(&lease) <= stamp.number % 4)
                        (void)raise(SIGKILL);
                atomic_fetch_add(&books->done[stamp.number], 1);
                CHECK_OK(mproc_lease_ack(&lease));
        }
        CHECK_CODE(r, MPROC_EEMPTY);
        return 0;
}

START_METHOD_TEST(every_job_is_done_although_workers_die)
{
        enum { WORKERS = 3 };
        mproc_queue *q = make_queue(ctx, 0, 8);
        mproc_process *worker[WORKERS];
        char *path = path_in(temp_dir(), "books");
        struct books *books;
        uint8_t job[3000];
        unsigned killed = 0, poison = 0;
        FILE *file;

        CHECK((file = fopen(path, "w+")) && ftruncate(fileno(file), sizeof *books) == 0);
        books = mmap(NULL, sizeof *books, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
        CHECK(books != MAP_FAILED);
        for (uint32_t i = 0; i < JOBS; i++) {
                size_t len = some_length(i, sizeof job);

                stamp_message(job, len, 1, i);
                CHECK_OK(mproc_queue_put(q, job, len, 0));
                poison += i % 10 == 3 ? i % 4 : 0;
        }
        for (int i = 0; i < WORKERS; i++)
                worker[i] = start(ctx, work, MPROC_ARGS(q, mproc_fd(fileno(file))));
        for (int i = 0; i < WORKERS;) {
                int exitcode;

                CHECK_OK(mproc_process_join(worker[i], scaled_ms(LONG_MS)));
                CHECK_OK(mproc_process_exitcode(worker[i], &exitcode));
                mproc_process_free(worker[i]);
                CHECK(exitcode == 0 || exitcode == -SIGKILL);
                if (exitcode == 0) {
                        i++;
                        continue;
                }
                killed++;
                worker[i] = start(ctx, work, MPROC_ARGS(q, mproc_fd(fileno(file))));
        }
        CHECK_INT(killed, poison);
        for (uint32_t i = 0; i < JOBS; i++) {
                CHECK_INT(books->done[i], 1);
                CHECK_INT(books->deliveries[i], i % 10 == 3 ? i % 4 + 1 : 1);
        }
        CHECK_INT(queued(q), 0);
        CHECK_INT(leased(q), 0);
        (void)munmap(books, sizeof *books);
        (void)fclose(file);
        free(path);
        mproc_queue_free(q);
}

/* It had made room when it was leased, and does not wait for room when it comes back. */
TEST(what_comes_back_takes_no_room)
{
        mproc_queue *q = make_queue(NULL, 1, 1);
        mproc_lease lease;
        size_t count;
        char byte;

        CHECK_OK(mproc_queue_put(q, "a", 1, 0));
        CHECK_INT(mproc_queue_full(q), 1);
        CHECK_OK(mproc_queue_get_leased(q, &byte, 1, NULL, &lease, 0));
        CHECK_OK(mproc_lease_return(&lease));
        CHECK_INT(mproc_queue_full(q), 0);
        CHECK_OK(mproc_queue_put(q, "b", 1, 0));
        CHECK_INT(mproc_queue_full(q), 1);
        CHECK_OK(mproc_queue_qsize(q, &count));
        CHECK_INT(count, 2);
        CHECK_CODE(mproc_queue_put(q, "c", 1, 0), MPROC_EFULL);
        CHECK_OK(mproc_queue_get(q, &byte, 1, NULL, 0));
        CHECK_INT(byte, 'a');
        mproc_queue_free(q);
}
