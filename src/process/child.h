/* SPDX-License-Identifier: MIT */
/*
 * process/child.h - a started child as the system knows it: alive or ended, and how.
 *
 * A record outlives the user's handle as long as the child runs, since it has to
 * be reaped and, at exit, joined or terminated.
 */
#ifndef MPROC_PROCESS_CHILD_H
#define MPROC_PROCESS_CHILD_H

#include "platform/platform.h"
#include "start/start.h"

#include <pthread.h>
#include <stdatomic.h>

struct mproc__child {
        _Atomic unsigned refs;
        struct mproc__child *prev, *next; /* the list of children, under MPROC__LOCK_CHILDREN */
        bool listed;

        /* fixed after the start */
        pid_t pid;
        bool daemon;
        bool announces;
        bool served; /* the fork server is its parent, and reports */
        uint64_t token; /* by which it is known */
        char *name;

        pthread_mutex_t mutex; /* what stands below */
        _Atomic bool ours;     /* until the system says it is not */
        int pidfd, channel;    /* -1 once closed */
        int spent;             /* without a pidfd: the channel after its end */
        unsigned waiters;      /* threads in mproc__child_wait: they read pidfd without the mutex */
        bool closing;          /* when the last of them has gone */
        struct mproc__board_slot *board; /* a forked child's messages, until it has ended */
        bool ended;
        _Atomic int64_t dead_since_ns; /* dead, and its status not known yet */
        bool running_seen; /* the child said that its target began */
        bool failed_seen;  /* the child said what went wrong */
        bool end_seen;     /* the child said its exit code */
        bool exit_seen;    /* the fork server told the status */
        struct mproc__exit said;     /* from end_seen */
        struct mproc__exit reported; /* from exit_seen */
        struct mproc__exit exit;     /* valid when ended */
        int error;
        char step[32];
        char text[MPROC__STATUS_TEXT_MAX];
};

/* A record for a child to be: made before the start, so that nothing can fail after it.  NULL: no memory. */
struct mproc__child *mproc__child_new(const char *name, bool daemon);

/* It has been started: takes the descriptors, enters it into the list. */
void mproc__child_add(struct mproc__child *child, const struct mproc__started *started);

void mproc__child_ref(struct mproc__child *child);
void mproc__child_unref(struct mproc__child *child); /* NULL is fine */

/* Has it ended?  Reaps it if so.  Never blocks longer than a dying fork server needs to be noticed. */
bool mproc__child_poll(struct mproc__child *child);

/* Wait for its end.  True: it has. */
bool mproc__child_wait(struct mproc__child *child, int64_t deadline_ns);

/* 0 also when it has ended already. */
int mproc__child_signal(struct mproc__child *child, int signal);

/* What becomes readable at its end, or -1 once closed. */
int mproc__child_sentinel(struct mproc__child *child);

/* It has ended: close what it still holds, when nobody waits for it any more. */
void mproc__child_close(struct mproc__child *child);

/* Look after all children once; those that have ended leave the list. */
void mproc__children_reap(void);

/* Are there any in the list? */
bool mproc__children_any(void);

/* References to those that run, in an array to be freed with each unref'd.  -ENOMEM with words. */
int mproc__children_alive(struct mproc__child ***ret_list, size_t *ret_count);

/* In a forked child: they are its parent's. */
void mproc__children_forked(void);

#endif
