/* SPDX-License-Identifier: MIT */
/*
 * queue_objects_test.c - argument lists as messages: objects and descriptors arrive, and none is lost or left.
 *
 * Runs in: test processes.
 */
#include "queue_help.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static mproc_queue *
make_queue(mproc_context *ctx, size_t maxsize)
{
        mproc_queue_opts opts = { .maxsize = maxsize, .objects = 1 };
        mproc_queue *queue;

        CHECK_OK(mproc_queue_create_opts(ctx, &opts, &queue));
        return queue;
}

/* A pipe whose writing end can be put; whoever writes there says who he is. */
static void
put_pipe(mproc_queue *queue, int number, int *ret_read_end)
{
        int fds[2];

        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        CHECK_OK(mproc_queue_put_args(queue, MPROC_ARGS(number, mproc_fd(fds[1])), scaled_ms(LONG_MS)));
        (void)close(fds[1]);
        *ret_read_end = fds[0];
}

/* Take the next list, which is such a pipe, and write to it.  Returns its number. */
static int
use_pipe(mproc_queue *queue)
{
        mproc_args *args;
        int number;

        CHECK_OK(mproc_queue_get_args(queue, &args, scaled_ms(LONG_MS)));
        CHECK_INT(mproc_args_count(args), 2);
        number = (int)mproc_args_int(args, 0);
        CHECK(fcntl(mproc_args_fd(args, 1), F_GETFD) == FD_CLOEXEC);
        write_all(mproc_args_fd(args, 1), &number, sizeof number);
        mproc_args_free(args);
        return number;
}

/* It was written there, and nobody holds the other end any more. */
static void
check_pipe(int read_end, int wanted)
{
        int number;
        char byte;

        CHECK(read(read_end, &number, sizeof number) == sizeof number);
        CHECK_INT(number, wanted);
        CHECK_INT(read(read_end, &byte, 1), 0);
        (void)close(read_end);
}

/* --- one process ------------------------------------------------------------------------------------- */

TEST(values_travel_through_any_queue)
{
        mproc_queue *q;
        mproc_args *args;
        size_t len;

        CHECK_OK(mproc_queue_create(NULL, 0, &q));
        CHECK_OK(mproc_queue_put_args(q, MPROC_ARGS(1, "two", 3.5, mproc_bytes("four", 4), -5, 6u), 0));
        CHECK_OK(mproc_queue_put_args(q, MPROC_NO_ARGS, 0));
        CHECK_OK(mproc_queue_get_args(q, &args, 0));
        CHECK_INT(mproc_args_count(args), 6);
        CHECK_INT(mproc_args_int(args, 0), 1);
        CHECK_STR(mproc_args_string(args, 1), "two");
        CHECK(mproc_args_double(args, 2) == 3.5);
        CHECK_MEM(mproc_args_bytes(args, 3, &len), "four", 4);
        CHECK_INT(len, 4);
        CHECK_INT(mproc_args_int(args, 4), -5);
        CHECK_INT(mproc_args_uint(args, 5), 6);
        mproc_args_free(args);
        CHECK_OK(mproc_queue_get_args(q, &args, 0));
        CHECK_INT(mproc_args_count(args), 0);
        mproc_args_free(args);
        CHECK_CODE(mproc_queue_get_args(q, &args, 0), MPROC_EEMPTY);
        CHECK_CODE(mproc_queue_get_args(q, &args, 30), MPROC_EEMPTY);
        mproc_queue_free(q);
}

TEST(a_wrong_index_or_type_ends_nobody)
{
        mproc_queue *q = make_queue(NULL, 0);
        mproc_args *args;
        size_t len = 9;

        CHECK_OK(mproc_queue_put_args(q, MPROC_ARGS("text", q), 0));
        CHECK_OK(mproc_queue_get_args(q, &args, 0));
        CHECK_INT(mproc_args_int(args, 0), 0);
        CHECK_CONTAINS(mproc_last_error(), "argument 0");
        CHECK(mproc_args_string(args, 1) == NULL);
        CHECK(mproc_args_string(args, 2) == NULL);
        CHECK(mproc_args_bytes(args, 0, &len) == NULL);
        CHECK_INT(mproc_args_fd(args, 7), -1);
        CHECK(mproc_args_lock(args, 1) == NULL);
        CHECK_CONTAINS(mproc_last_error(), "queue");
        CHECK(mproc_args_double(args, 1) == 0);
        CHECK_STR(mproc_args_string(args, 0), "text");
        CHECK(mproc_args_queue(args, 1) != NULL);
        mproc_args_free(args);
        mproc_args_free(NULL);
        mproc_queue_free(q);
}

TEST(what_is_no_list_stays_in_place)
{
        mproc_queue *q = make_queue(NULL, 0);
        mproc_args *args;
        char text[100];

        CHECK_OK(mproc_queue_put(q, "message", 8, 0));
        for (int i = 0; i < 2; i++) {
                CHECK_CODE(mproc_queue_get_args(q, &args, 0), MPROC_EARGTYPE);
                CHECK_CONTAINS(mproc_last_error(), "stays in place");
        }
        CHECK_OK(mproc_queue_get(q, text, sizeof text, NULL, 0));
        CHECK_STR(text, "message");
        mproc_queue_free(q);
}

TEST(wrong_use_is_told)
{
        mproc_queue_opts opts = { .objects = 1, .leases = 1 }, tasks = { .objects = 1, .joinable = 1 };
        mproc_queue *q, *plain, *leasing;
        mproc_args *args;
        mproc_arg many[300];

        CHECK_CODE(mproc_queue_create_opts(NULL, &opts, &q), -EINVAL);
        CHECK_CODE(mproc_queue_create_opts(NULL, &tasks, &q), -EINVAL);
        opts.objects = 0;
        CHECK_OK(mproc_queue_create_opts(NULL, &opts, &leasing));
        CHECK_CODE(mproc_queue_put_args(leasing, MPROC_ARGS(1), 0), MPROC_EUNSUPPORTED);
        CHECK_CODE(mproc_queue_get_args(leasing, &args, 0), MPROC_EUNSUPPORTED);
        CHECK_OK(mproc_queue_create(NULL, 0, &plain));
        CHECK_CODE(mproc_queue_put_args(plain, MPROC_ARGS(1, mproc_fd(1)), 0), MPROC_EUNSUPPORTED);
        CHECK_CONTAINS(mproc_last_error(), "objects");
        CHECK_CODE(mproc_queue_put_args(NULL, MPROC_ARGS(1), 0), MPROC_EHANDLE);
        CHECK_CODE(mproc_queue_get_args(NULL, &args, 0), MPROC_EHANDLE);
        q = make_queue(NULL, 1);
        CHECK_CODE(mproc_queue_put_args(q, MPROC_ARGS(1, mproc_fd(-1)), 0), -EBADF);
        for (int i = 0; i < 254; i++)
                CHECK((many[i] = mproc_fd(dup(1))).fd >= 0);
        CHECK_CODE(mproc_queue_put_args(q, (mproc_arglist){ many, 254 }, 0), -EMSGSIZE);
        CHECK_OK(mproc_queue_put_args(q, (mproc_arglist){ many, 253 }, 0));
        CHECK_CODE(mproc_queue_put_args(q, MPROC_ARGS(mproc_fd(1)), 0), MPROC_EFULL);
        CHECK_OK(mproc_queue_get_args(q, &args, 0));
        CHECK(fd_is_open(mproc_args_fd(args, 252)));
        mproc_args_free(args);
        for (int i = 0; i < 254; i++)
                (void)close(many[i].fd);
        mproc_queue_free(q);
        mproc_queue_free(plain);
        mproc_queue_free(leasing);
}

TEST(a_queue_can_be_put_into_itself)
{
        mproc_queue *q = make_queue(NULL, 0), *again;
        mproc_args *args;

        CHECK_OK(mproc_queue_put_args(q, MPROC_ARGS(q, q, "text"), 0));
        CHECK_OK(mproc_queue_put_args(q, MPROC_ARGS(q), 0)); /* this one is never taken, and goes all the same */
        CHECK_OK(mproc_queue_get_args(q, &args, 0));
        CHECK((again = mproc_args_queue(args, 0)) != NULL);
        CHECK(again != q);
        CHECK_OK(mproc_queue_put(again, "x", 2, 0));
        CHECK_OK(mproc_queue_put(mproc_args_queue(args, 1), "y", 2, 0));
        CHECK_INT(mproc_queue_empty(q), 0);
        mproc_args_free(args);
        mproc_queue_free(q);
}

TEST(descriptors_on_their_way_have_a_limit_that_waits_for_room)
{
        mproc_queue *q = make_queue(NULL, 0);
        int read_end[4000], count = 0, null = open("/dev/null", O_WRONLY | O_CLOEXEC), r;
        mproc_args *args;

        for (;;) {
                if ((r = mproc_queue_put_args(q, MPROC_ARGS(count, mproc_fd(null)), 0)) != 0)
                        break;
                count++;
        }
        CHECK_MSG(r == MPROC_EFULL || r == -ETOOMANYREFS, "%d: %s", r, mproc_last_error());
        CHECK(count >= 100);
        CHECK_CODE(mproc_queue_put_args(q, MPROC_ARGS(count, mproc_fd(null)), 120), r);
        for (int i = 0; i < count; i++) {
                CHECK_OK(mproc_queue_get_args(q, &args, 0));
                CHECK_INT(mproc_args_int(args, 0), i);
                CHECK(fd_is_open(mproc_args_fd(args, 1)));
                mproc_args_free(args);
        }
        /* What failed left packets that belong to nothing; they do not stand in the way. */
        for (int i = 0; i < 3; i++) {
                put_pipe(q, i, &read_end[i]);
                CHECK_INT(use_pipe(q), i);
                check_pipe(read_end[i], i);
        }
        (void)close(null);
        mproc_queue_free(q);
}

TEST(a_full_table_of_descriptors_loses_nothing)
{
        mproc_queue *q = make_queue(NULL, 0);
        struct rlimit limit, few;
        mproc_args *args;
        int read_end;

        put_pipe(q, 5, &read_end);
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        few = limit;
        few.rlim_cur = 3; /* no number is free below that */
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        CHECK_CODE(mproc_queue_get_args(q, &args, 0), -EMFILE);
        CHECK_CODE(mproc_queue_get_args(q, &args, 0), -EMFILE);
        CHECK_CONTAINS(mproc_last_error(), "stays in place");
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        CHECK_INT(use_pipe(q), 5);
        check_pipe(read_end, 5);
        mproc_queue_free(q);
}

TEST(a_plain_get_leaves_the_rest_in_order)
{
        mproc_queue *q = make_queue(NULL, 0);
        char raw[500];
        int read_end[3];
        char byte;

        for (int i = 0; i < 3; i++)
                put_pipe(q, i, &read_end[i]);
        CHECK_OK(mproc_queue_get(q, raw, sizeof raw, NULL, 0)); /* without what it brought */
        CHECK_INT(use_pipe(q), 1);
        check_pipe(read_end[1], 1);
        CHECK_INT(read(read_end[0], &byte, 1), 0); /* thrown away by then */
        CHECK_INT(use_pipe(q), 2);
        check_pipe(read_end[2], 2);
        (void)close(read_end[0]);
        mproc_queue_free(q);
}

/* --- threads ------------------------------------------------------------------------------------------- */

struct crowd {
        mproc_queue *queue;
        int first, count;
        int read_end[100];
};

static void *
put_many_pipes(void *arg)
{
        struct crowd *c = arg;

        for (int i = 0; i < c->count; i++)
                put_pipe(c->queue, c->first + i, &c->read_end[i]);
        return NULL;
}

static void *
use_many_pipes(void *arg)
{
        struct crowd *c = arg;

        for (int i = 0; i < c->count; i++)
                (void)use_pipe(c->queue);
        return NULL;
}

TEST(threads_give_and_take_at_the_same_time)
{
        enum { PAIRS = 3, EACH = 60 };
        mproc_queue *q = make_queue(NULL, 7);
        static struct crowd put[PAIRS], use[PAIRS];
        pthread_t putter[PAIRS], user[PAIRS];

        for (int i = 0; i < PAIRS; i++) {
                put[i] = (struct crowd){ .queue = q, .first = 1000 * i, .count = EACH };
                use[i] = put[i];
                CHECK_INT(pthread_create(&putter[i], NULL, put_many_pipes, &put[i]), 0);
                CHECK_INT(pthread_create(&user[i], NULL, use_many_pipes, &use[i]), 0);
        }
        for (int i = 0; i < PAIRS; i++) {
                CHECK_INT(pthread_join(putter[i], NULL), 0);
                CHECK_INT(pthread_join(user[i], NULL), 0);
        }
        for (int i = 0; i < PAIRS; i++)
                for (int k = 0; k < EACH; k++)
                        check_pipe(put[i].read_end[k], put[i].first + k);
        mproc_queue_free(q);
}

/* --- processes ---------------------------------------------------------------------------------------- */

static int
serve(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        mproc_args *order;
        mproc_connection *c;
        char text[50];
        size_t len;

        CHECK_OK(mproc_queue_get_args(q, &order, scaled_ms(LONG_MS)));
        CHECK((c = mproc_args_connection(order, 0)) != NULL);
        CHECK_OK(mproc_connection_recv(c, text, sizeof text, &len, scaled_ms(LONG_MS)));
        CHECK_STR(text, "over your connection");
        CHECK_OK(mproc_lock_acquire(mproc_args_lock(order, 1), MPROC_FOREVER));
        CHECK_OK(mproc_lock_release(mproc_args_lock(order, 1)));
        CHECK_OK(mproc_queue_put(mproc_args_queue(order, 3), "through your queue", 19, scaled_ms(LONG_MS)));
        write_all(mproc_args_fd(order, 4), "into your pipe", 15);
        CHECK_OK(mproc_semaphore_release(mproc_args_semaphore(order, 2)));
        mproc_args_free(order);
        return 0;
}

START_METHOD_TEST(objects_and_descriptors_arrive)
{
        mproc_queue *q = make_queue(ctx, 0), *answers;
        mproc_connection *here, *there;
        mproc_semaphore *done;
        mproc_lock *lock;
        mproc_process *p;
        char text[50];
        int fds[2], fds_before = count_fds();

        CHECK_OK(mproc_queue_create(ctx, 0, &answers));
        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_OK(mproc_lock_create(ctx, &lock));
        CHECK_OK(mproc_semaphore_create(ctx, NULL, 0, &done));
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        p = start(ctx, serve, MPROC_ARGS(q));
        CHECK_OK(mproc_queue_put_args(q, MPROC_ARGS(there, lock, done, answers, mproc_fd(fds[1])),
                                      scaled_ms(LONG_MS)));
        CHECK_CODE(mproc_connection_send(there, "x", 1, 0), MPROC_EMOVED); /* it is theirs now */
        CHECK_OK(mproc_connection_send(here, "over your connection", 21, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_semaphore_acquire(done, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_queue_get(answers, text, sizeof text, NULL, scaled_ms(LONG_MS)));
        CHECK_STR(text, "through your queue");
        CHECK(read(fds[0], text, sizeof text) == 15);
        CHECK_STR(text, "into your pipe");
        finish(p, 0);
        CHECK_CODE(mproc_connection_recv(here, text, sizeof text, NULL, scaled_ms(LONG_MS)), MPROC_EEOF);
        (void)close(fds[0]);
        (void)close(fds[1]);
        mproc_connection_free(here);
        mproc_connection_free(there);
        mproc_lock_free(lock);
        mproc_semaphore_free(done);
        mproc_queue_free(answers);
        mproc_queue_free(q);
        CHECK(count_fds() <= fds_before);
}

TEST(objects_of_the_fork_context_stay_among_their_own)
{
        mproc_context *fork, *spawn;
        mproc_queue *of_fork, *of_spawn;
        mproc_process *p;
        mproc_lock *lock;
        mproc_args *args;

        CHECK_OK(mproc_get_context("fork", &fork));
        CHECK_OK(mproc_get_context("spawn", &spawn));
        CHECK_OK(mproc_lock_create(fork, &lock));
        of_fork = make_queue(fork, 0);
        of_spawn = make_queue(spawn, 0);
        CHECK_CODE(mproc_queue_put_args(of_spawn, MPROC_ARGS(1, lock), 0), MPROC_ECONTEXT);
        CHECK_CONTAINS(mproc_last_error(), "argument 1 is a lock");
        CHECK_INT(mproc_queue_empty(of_spawn), 1);
        CHECK_OK(mproc_queue_put_args(of_fork, MPROC_ARGS(lock, of_spawn), 0));
        CHECK_OK(mproc_queue_get_args(of_fork, &args, 0));
        /* They are what they were. */
        CHECK_OK(mproc_process_create(spawn, serve, MPROC_ARGS(mproc_args_lock(args, 0)), &p));
        CHECK_CODE(mproc_process_start(p), MPROC_ECONTEXT);
        mproc_process_free(p);
        CHECK_OK(mproc_queue_put_args(of_spawn, MPROC_ARGS(mproc_args_queue(args, 1)), 0));
        CHECK_CODE(mproc_queue_put_args(of_spawn, MPROC_ARGS(mproc_args_lock(args, 0)), 0), MPROC_ECONTEXT);
        mproc_args_free(args);
        mproc_lock_free(lock);
        mproc_queue_free(of_fork);
        mproc_queue_free(of_spawn);
}

/* Puts and takes lists with descriptors until it is killed. */
static int
juggle(mproc_args *args)
{
        mproc_queue *q = mproc_args_queue(args, 0);
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        mproc_args *got;

        for (int i = 0;; i++) {
                CHECK_OK(mproc_queue_put_args(q, MPROC_ARGS(i, mproc_fd(null), q), scaled_ms(LONG_MS)));
                if (mproc_queue_get_args(q, &got, scaled_ms(LONG_MS)) != 0)
                        continue;
                CHECK(fd_is_open(mproc_args_fd(got, 1)));
                mproc_args_free(got);
        }
        return 0;
}

START_METHOD_TEST(killed_processes_leave_a_queue_that_works)
{
        mproc_queue *q = make_queue(ctx, 0);
        mproc_process *p[2];
        mproc_args *args;
        int read_end, r;

        for (int round = 0; round < 10; round++) {
                for (int i = 0; i < 2; i++)
                        p[i] = start(ctx, juggle, MPROC_ARGS(q));
                sleep_ms(5 + round); /* at any moment */
                for (int i = 0; i < 2; i++) {
                        CHECK_OK(mproc_process_kill(p[i]));
                        finish(p[i], -SIGKILL);
                }
        }
        while ((r = mproc_queue_get_args(q, &args, 0)) == 0) { /* whatever is left is whole */
                CHECK_INT(mproc_args_count(args), 3);
                CHECK(fd_is_open(mproc_args_fd(args, 1)));
                CHECK(mproc_args_queue(args, 2) != NULL);
                mproc_args_free(args);
        }
        CHECK_CODE(r, MPROC_EEMPTY);
        put_pipe(q, 3, &read_end);
        CHECK_INT(use_pipe(q), 3);
        check_pipe(read_end, 3);
        mproc_queue_free(q);
}
