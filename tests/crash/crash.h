/* SPDX-License-Identifier: MIT */
/*
 * crash/crash.h - a process that is to die, and the others that must not notice.
 *
 * The scene is one queue, lock and semaphore, made for each case anew.  Helpers are
 * forked children that do one operation and note on the board that they are done.
 *
 * Runs in: test processes.
 */
#ifndef CRASH_H
#define CRASH_H

#include "support/runner.h"

#include <mproc/mproc.h>
#include <stdatomic.h>
#include <sys/types.h>

/* How long a survivor may take.  The promise is milliseconds; the machine may be busy. */
#define SERVED_MS 3000

enum { HELPERS = 4, TEXT = 64 };

/* Shared with all children. */
struct board {
        atomic_int finished; /* the victim has returned from its operation */
        atomic_int result[HELPERS];
        atomic_int done[HELPERS];
        _Atomic uint32_t value[HELPERS]; /* what a consumer got */
};

struct scene {
        mproc_context *ctx;
        mproc_queue *queue;
        mproc_lock *lock;
        mproc_semaphore *semaphore;
        pid_t helper[HELPERS];
};

extern struct board *board;
extern struct scene scene;

void scene_open(size_t maxsize, unsigned permits); /* all new; helpers of the last scene must be gone */
void scene_close(void);                            /* ends helpers that are left */

/* Messages of TEXT bytes that carry a number, and whether they are whole. */
int put_number(uint32_t number, int64_t timeout_ms);
int get_number(uint32_t *ret_number, int64_t timeout_ms); /* ends the test at a torn one */
size_t queued(void);

typedef void operation(void);

/* Start a helper and wait until it sleeps. */
void help(int i, operation *op);
/* It has returned; true if within the time that survivors have. */
bool helped(int i);

/* What helpers and victims do.  A helper's consumer notes what it got. */
void do_get(void);
void do_put_5(void);
void do_put_6(void);
void do_acquire_and_release(void);
void do_wait_permit(void);

extern int current_helper; /* in a helper: which */

/* Is the process asleep in the kernel?  Looks several times. */
bool sleeps(pid_t pid);
void await_sleep_of(pid_t pid); /* or its end */

void kill_and_reap(pid_t pid);

/* What every case ends with: these messages are there, in this order, no more; then all works. */
void expect_messages(const uint32_t *numbers, size_t count);
void expect_lock_works(void);

#endif
