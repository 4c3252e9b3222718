/* SPDX-License-Identifier: MIT */
/*
 * crash/stage.h - a queue, a lock and a semaphore to die in: what many scenes have in common.
 *
 * Runs in: test processes and their forked children.
 */
#ifndef STAGE_H
#define STAGE_H

#include "crash/crash.h"

struct stage {
        mproc_queue *queue;
        mproc_lock *lock;
        mproc_semaphore *semaphore;
};
extern struct stage stage;

void stage_open(size_t maxsize, unsigned permits); /* scene_open with these three, all new */

/* Messages of TEXT bytes that carry a number, and whether they are whole. */
enum { TEXT = 64 };
int put_number(uint32_t number, int64_t timeout_ms);
int get_number(uint32_t *ret_number, int64_t timeout_ms); /* ends the test at a torn one */
size_t queued(void);

/* What helpers and victims do.  A helper's consumer notes what it got. */
void do_get(void);
void do_get_quietly(void);
void do_put_5(void);
void do_put_6(void);
void do_acquire(void);
void do_release(void);
void do_acquire_and_release(void);
void do_wait_permit(void);
void do_release_permit(void);

/* The helper that gets a message has what is there, or this number, which is put if nothing is. */
void serve_consumer(int i, uint32_t number);

/* What every case ends with: these messages are there, in this order, no more; then all works. */
void expect_messages(const uint32_t *numbers, size_t count);
void expect_lock_works(void);

#endif
