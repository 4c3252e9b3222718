/* SPDX-License-Identifier: MIT */
/*
 * start/start.h - what a start method is.
 *
 * A method fills in one table; the rest of the library asks the table and never
 * the name.  A new method is one file and one line in start/methods.c.
 */
#ifndef MPROC_START_H
#define MPROC_START_H

#include "core/tls.h"
#include "start/board.h"
#include "start/status.h"
#include "wire/args.h"
#include <stdbool.h>
#include <sys/types.h>

/* What is to be started; made by process/process.c, borrowed for the call. */
struct mproc__launch {
        mproc_main_fn *target;
        mproc_args *args;
        const char *name;
        const char *identity; /* "2:1": first child of the program's second */
        bool daemon;
        bool die_with_parent;
        bool keep_signals;
        bool inherit_connections;
};

/* What was started; the descriptors belong to the caller. */
struct mproc__started {
        pid_t pid;
        int pidfd;   /* -1 where the system has none */
        int channel; /* our end: the child's status messages; the child's life hangs on it if it wants to; or -1 */
        struct mproc__board_slot *board; /* a forked child's messages; NULL: on the channel */
        bool ours;   /* a child in the system's sense: we can wait for it */
        bool announces; /* it sends MPROC__STATUS_RUNNING when its target begins */
        uint64_t token; /* by which the fork server's messages are told from the child's */
        unsigned early_count; /* messages of the child that were read while the server's was awaited */
        struct mproc__word {
                struct mproc__status status;
                char text[MPROC__STATUS_TEXT_MAX];
        } early[2]; /* RUNNING and ENDED, or FAILED */
};

struct mproc__start_method {
        const char *name;
        bool carries; /* arguments travel as bytes and descriptors; fork-only objects cannot */
        int (*start)(const struct mproc__launch *launch, struct mproc__started *ret);
};

/* Default first, ended by NULL. */
extern const struct mproc__start_method *const mproc__start_methods[];
extern const char *const mproc__start_method_names[];

extern const struct mproc__start_method mproc__start_fork;
extern const struct mproc__start_method mproc__start_spawn;
extern const struct mproc__start_method mproc__start_forkserver;

/* --- this process, as mproc started it (start/self.c) -------------------------------------------- */

struct mproc__self {
        const char *name;     /* "MainProcess" in the first process */
        const char *identity; /* "" there */
        const char *method;   /* the method that started it, NULL there; decides the default context */
        bool daemon;
        pid_t parent_pid;     /* 0 there */
        const char *parent_name;
        int channel;          /* to the parent; -1 there, and in forked children that need none */
        struct mproc__board_slot *board; /* a forked child's place for what it has to tell */
        unsigned generation;  /* set by mproc__self_become; tells what was inherited by fork from what is one's own */
};

extern struct mproc__self mproc__self;

/* This process writes down what its threads wait for (sync/waits.h), and so will those that it starts. */
extern _Atomic bool mproc__waits_are_noted;

/* A newborn child becomes somebody.  The texts live as long as the process. */
void mproc__self_become(const struct mproc__self *self);

/* The identity of the next child: "3", or "2:3" in the program's second process; the caller frees it. */
char *mproc__self_next_identity(void);

/* --- what upper layers want done ----------------------------------------------------------------- */

/* process/: in a forked child (forget the parent's children), and before a forked child ends. */
struct mproc__start_hooks {
        void (*forked)(void);
        void (*finish)(void);
};
extern struct mproc__start_hooks mproc__start_hooks;

/* True in the thread that is forking for a start, so that raw forks of the program are told apart. */
extern __thread bool mproc__forking_for_start MPROC__TLS;
extern __thread bool mproc__forking_keeps_connections MPROC__TLS;
extern __thread int mproc__forking_channel MPROC__TLS; /* the child's own end, or -1 */

#endif
