/* SPDX-License-Identifier: MIT */
/*
 * wait_test.c - mproc_wait: any mix of processes, connections, queues and
 * descriptors.
 *
 * Runs in: test processes and their children.
 */
#include "connection_help.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/time.h>

/* --- one kind at a time --------------------------------------------------------------------------- */

TEST(a_connection_is_ready_when_it_has_a_message_or_its_end)
{
        mproc_connection *a, *b;

        make_pipe(&a, &b);
        mproc_waitable item = MPROC_WAIT(b);
        CHECK_CODE(mproc_wait(&item, 1, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_INT(item.ready, 0);
        send_text(a, "x");
        CHECK_INT(mproc_wait(&item, 1, MPROC_FOREVER), 1);
        CHECK_INT(item.ready, 1);
        expect_text(b, "x");
        CHECK_CODE(mproc_wait(&item, 1, 20), MPROC_ETIMEDOUT);
        CHECK_INT(item.ready, 0);
        mproc_connection_close(a);
        CHECK_INT(mproc_wait(&item, 1, MPROC_FOREVER), 1);
        free_pipe(a, b);
}

TEST(a_descriptor_tells_the_events_it_was_asked_for)
{
        int fds[2];

        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        mproc_waitable items[2] = { MPROC_WAIT(fds[0]), MPROC_WAIT(fds[1]) };
        CHECK_CODE(mproc_wait(items, 1, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        items[1].events = POLLOUT;
        CHECK_INT(mproc_wait(items, 2, MPROC_FOREVER), 1);
        CHECK_INT(items[0].ready, 0);
        CHECK_INT(items[1].ready, POLLOUT);
        write_all(fds[1], "x", 1);
        CHECK_INT(mproc_wait(items, 2, MPROC_FOREVER), 2);
        CHECK_INT(items[0].ready, POLLIN);
        close(fds[0]);
        CHECK_INT(mproc_wait(&items[1], 1, MPROC_FOREVER), 1);
        CHECK(items[1].ready & POLLERR);
        close(fds[1]);
}

TEST(a_queue_is_ready_when_it_has_a_message)
{
        mproc_context *ctx;
        mproc_queue *q;
        char buffer[8];

        CHECK_OK(mproc_get_context("spawn", &ctx));
        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        mproc_waitable item = MPROC_WAIT(q);
        CHECK_CODE(mproc_wait(&item, 1, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_wait(&item, 1, 20), MPROC_ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
                CHECK_OK(mproc_queue_put(q, "m", 2, MPROC_FOREVER));
                CHECK_INT(mproc_wait(&item, 1, MPROC_FOREVER), 1);
                CHECK_INT(item.ready, 1);
                CHECK_OK(mproc_queue_get(q, buffer, sizeof buffer, NULL, MPROC_NOWAIT));
                CHECK_CODE(mproc_wait(&item, 1, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                CHECK_INT(item.ready, 0);
        }
        CHECK_OK(mproc_queue_close(q));
        CHECK_CODE(mproc_wait(&item, 1, MPROC_NOWAIT), MPROC_ECLOSED);
        CHECK_CONTAINS(mproc_last_error(), "item 0");
        mproc_queue_free(q);
}

static int
wait_for_end(mproc_args *args)
{
        char byte;

        return mproc_connection_recv(mproc_args_connection(args, 0), &byte, 1, NULL, MPROC_FOREVER) == MPROC_EEOF ? 3
                                                                                                                  : 4;
}

START_METHOD_TEST(a_process_is_ready_when_it_has_ended)
{
        mproc_connection *here, *there;
        mproc_process *p;
        int exitcode;

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_OK(mproc_process_create(ctx, wait_for_end, MPROC_ARGS(there), &p));
        mproc_waitable item = MPROC_WAIT(p);
        CHECK_CODE(mproc_wait(&item, 1, MPROC_NOWAIT), MPROC_ENOTSTARTED);
        CHECK_CONTAINS(mproc_last_error(), "item 0");
        CHECK_OK(mproc_process_start(p));
        CHECK_CODE(mproc_wait(&item, 1, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_wait(&item, 1, 20), MPROC_ETIMEDOUT);
        mproc_connection_close(here);
        CHECK_INT(mproc_wait(&item, 1, LONG_MS), 1);
        CHECK_INT(item.ready, 1);
        CHECK_OK(mproc_process_join(p, LONG_MS));
        CHECK_OK(mproc_process_exitcode(p, &exitcode));
        CHECK_INT(exitcode, 3);
        CHECK_INT(mproc_wait(&item, 1, MPROC_FOREVER), 1); /* after the join, too */
        CHECK_OK(mproc_process_close(p));
        CHECK_CODE(mproc_wait(&item, 1, MPROC_FOREVER), MPROC_ECLOSED);
        mproc_process_free(p);
        free_pipe(here, there);
}

/* --- together ------------------------------------------------------------------------------------- */

static int
work(mproc_args *args)
{
        mproc_connection *c = mproc_args_connection(args, 0);
        mproc_queue *q = mproc_args_queue(args, 1);
        int fd = mproc_args_fd(args, 2);
        char what;

        while (mproc_connection_recv(c, &what, 1, NULL, MPROC_FOREVER) == 0) {
                if (what == 'c')
                        CHECK_OK(mproc_connection_send(c, "c", 1, MPROC_FOREVER));
                else if (what == 'q')
                        CHECK_OK(mproc_queue_put(q, "q", 1, MPROC_FOREVER));
                else if (what == 'f')
                        write_all(fd, "f", 1);
                else
                        return 0;
        }
        return 1;
}

enum { CONNECTION, QUEUE, FD, PROCESS, ITEMS };

static void
expect_only(mproc_waitable *items, int which)
{
        CHECK_INT(mproc_wait(items, ITEMS, LONG_MS), 1);
        for (int i = 0; i < ITEMS; i++)
                CHECK_MSG((items[i].ready != 0) == (i == which), "item %d: ready %d, waited for %d", i,
                          items[i].ready, which);
}

START_METHOD_TEST(a_mix_of_all_kinds)
{
        mproc_connection *here, *there;
        mproc_waitable items[ITEMS];
        mproc_process *p;
        mproc_queue *q;
        char buffer[8];
        int fds[2];

        CHECK_OK(mproc_pipe_create(ctx, &here, &there));
        CHECK_OK(mproc_queue_create(ctx, 0, &q));
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        CHECK_OK(mproc_process_create(ctx, work, MPROC_ARGS(there, q, mproc_fd(fds[1])), &p));
        CHECK_OK(mproc_process_start(p));
        items[CONNECTION] = MPROC_WAIT(here);
        items[QUEUE] = MPROC_WAIT(q);
        items[FD] = MPROC_WAIT(fds[0]);
        items[PROCESS] = MPROC_WAIT(p);
        for (int round = 0; round < 20; round++) {
                CHECK_CODE(mproc_wait(items, ITEMS, MPROC_NOWAIT), MPROC_ETIMEDOUT);
                CHECK_OK(mproc_connection_send(here, "q", 1, LONG_MS));
                expect_only(items, QUEUE);
                CHECK_OK(mproc_queue_get(q, buffer, sizeof buffer, NULL, MPROC_NOWAIT));
                CHECK_OK(mproc_connection_send(here, "f", 1, LONG_MS));
                expect_only(items, FD);
                CHECK_INT(read(fds[0], buffer, 1), 1);
                CHECK_OK(mproc_connection_send(here, "c", 1, LONG_MS));
                expect_only(items, CONNECTION);
                CHECK_OK(mproc_connection_recv(here, buffer, sizeof buffer, NULL, MPROC_NOWAIT));
        }
        CHECK_OK(mproc_connection_send(here, "end", 1, LONG_MS));
        items[CONNECTION] = MPROC_WAIT(fds[0]); /* which has nothing, while the connection has its end */
        expect_only(items, PROCESS);
        CHECK_OK(mproc_process_join(p, LONG_MS));
        mproc_process_free(p);
        mproc_queue_free(q);
        free_pipe(here, there);
        close(fds[0]);
        close(fds[1]);
}

TEST(all_that_are_ready_are_told_and_the_same_item_may_stand_there_twice)
{
        mproc_connection *a, *b, *c, *d;

        make_pipe(&a, &b);
        make_pipe(&c, &d);
        mproc_waitable items[5] = { MPROC_WAIT(a), MPROC_WAIT(b), MPROC_WAIT(c), MPROC_WAIT(a), MPROC_WAIT(d) };
        send_text(b, "to a");
        send_text(c, "to d");
        CHECK_INT(mproc_wait(items, 5, MPROC_FOREVER), 3);
        CHECK(items[0].ready && items[3].ready && items[4].ready && !items[1].ready && !items[2].ready);
        free_pipe(a, b);
        free_pipe(c, d);
}

TEST(many_items_can_be_waited_for)
{
        enum { MANY = 100 };
        mproc_connection *a[MANY], *b[MANY];
        mproc_waitable items[MANY];

        for (int i = 0; i < MANY; i++) {
                make_pipe(&a[i], &b[i]);
                items[i] = MPROC_WAIT(b[i]);
        }
        CHECK_CODE(mproc_wait(items, MANY, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        send_text(a[77], "x");
        send_text(a[99], "x");
        CHECK_INT(mproc_wait(items, MANY, MPROC_FOREVER), 2);
        CHECK(items[77].ready && items[99].ready);
        for (int i = 0; i < MANY; i++)
                free_pipe(a[i], b[i]);
}

/* --- time ----------------------------------------------------------------------------------------- */

TEST(nothing_to_wait_for)
{
        int64_t begin = monotonic_ms();

        CHECK_CODE(mproc_wait(NULL, 0, 30), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - begin >= 30);
        CHECK_CODE(mproc_wait(NULL, 0, MPROC_NOWAIT), MPROC_ETIMEDOUT);
        CHECK_CODE(mproc_wait(NULL, 0, MPROC_FOREVER), -EINVAL);
        CHECK_CODE(mproc_wait(NULL, 1, MPROC_NOWAIT), -EINVAL);
}

static atomic_int ticks;

static void
on_tick(int signal_number)
{
        (void)signal_number;
        atomic_fetch_add(&ticks, 1);
}

TEST(interruptions_do_not_end_a_wait)
{
        struct sigaction action = { .sa_handler = on_tick };
        struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
        mproc_connection *a, *b;
        int64_t begin;

        make_pipe(&a, &b);
        mproc_waitable item = MPROC_WAIT(a);
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
        begin = monotonic_ms();
        CHECK_CODE(mproc_wait(&item, 1, 60), MPROC_ETIMEDOUT);
        CHECK(monotonic_ms() - begin >= 60);
        CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
        CHECK(atomic_load(&ticks) > 5);
        free_pipe(a, b);
}

/* --- misuse --------------------------------------------------------------------------------------- */

TEST(what_cannot_be_waited_for_is_named)
{
        mproc_connection *a, *b, *reader, *writer;
        int fds[2];

        make_pipe(&a, &b);
        CHECK_OK(mproc_pipe_create_oneway(NULL, &reader, &writer));
        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        mproc_waitable items[3] = { MPROC_WAIT(a), MPROC_WAIT(b), MPROC_WAIT(fds[0]) };
        close(fds[0]);
        close(fds[1]);
        send_text(b, "a is ready, and it is an error all the same");
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), -EBADF);
        CHECK_CONTAINS(mproc_last_error(), "item 2");
        items[2] = mproc_wait_fd(-1);
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), -EBADF);
        items[2] = MPROC_WAIT(writer);
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), MPROC_EWRITEONLY);
        items[2] = mproc_wait_connection(NULL);
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), MPROC_EHANDLE);
        items[2] = mproc_wait_process(NULL);
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), MPROC_EHANDLE);
        items[2] = mproc_wait_queue((mproc_queue *)(void *)a);
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), MPROC_EHANDLE);
        items[2] = MPROC_WAIT(a);
        items[2].type = MPROC_ARG_LOCK;
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), MPROC_EHANDLE);
        CHECK_CONTAINS(mproc_last_error(), "lock");
        items[2] = MPROC_WAIT(reader);
        CHECK_OK(mproc_connection_close(reader));
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), MPROC_ECLOSED);
        mproc_connection_free(reader);
        CHECK_CODE(mproc_wait(items, 3, MPROC_FOREVER), MPROC_EHANDLE);
        CHECK_CONTAINS(mproc_last_error(), "item 2");
        mproc_connection_free(writer);
        free_pipe(a, b);
}

struct waiting {
        mproc_waitable item;
        int result;
        char words[200];
};

static void *
wait_for_ever(void *arg)
{
        struct waiting *w = arg;

        w->result = mproc_wait(&w->item, 1, MPROC_FOREVER);
        snprintf(w->words, sizeof w->words, "%s", mproc_last_error());
        return NULL;
}

TEST(closing_a_connection_wakes_who_waits_for_it)
{
        mproc_connection *a, *b;
        pthread_t thread;

        make_pipe(&a, &b);
        struct waiting w = { .item = MPROC_WAIT(a) };
        CHECK_INT(pthread_create(&thread, NULL, wait_for_ever, &w), 0);
        WAIT_UNTIL(count_sleeping_threads() == 1, 10000);
        CHECK_OK(mproc_connection_close(a));
        pthread_join(thread, NULL);
        CHECK_CODE(w.result, MPROC_ECLOSED);
        CHECK_CONTAINS(w.words, "item 0");
        free_pipe(a, b);
}
