/* SPDX-License-Identifier: MIT */
/*
 * chaos/chaos.h - crews of workers, and a conductor who kills, stops and replaces them at random.
 *
 * The conductor (chaos.c) runs storms: all crews work for a second or so, while their workers, the tracker,
 * the fork server and creators of objects are killed or stopped; then the workers wind down and end; then,
 * when nobody is left, each crew's books must balance.  A crew is one file crew_NAME.c, which registers itself:
 *
 *      static void open_(struct crew *crew, mproc_context *ctx) { ... objects and books for one storm ... }
 *      static mproc_process *hire(struct crew *crew, mproc_context *ctx, unsigned i) { ... create worker i ... }
 *      static void audit(struct crew *crew, unsigned killed) { ... all have ended: CHECK ... }
 *      static void close_(struct crew *crew) { ... }
 *      CREW(lock, .workers = 4, .open = open_, .hire = hire, .audit = audit, .close = close_)
 *
 * A worker is a target whose first argument is mproc_fd(office_fd) and whose second is the crew's number.
 * It counts what it has achieved (progress), looks at the phase often, and never waits for longer than
 * PATIENCE_MS at a time, or not for ever where the promise is that it is served.
 *
 * Runs in: test processes.
 */
#ifndef CHAOS_H
#define CHAOS_H

#include "queue_help.h"

#include <signal.h>
#include <stdatomic.h>

enum {
        CREWS = 16,
        WORKERS = 8,      /* of a crew, at most */
        PATIENCE_MS = 50, /* a worker's timeout, for the phase's sake */
        STALL_MS = 20000  /* a crew of which nobody is stopped gets on in that time (scaled) */
};

enum phase {
        WORK,
        FIRST_LEAVE, /* workers with odd numbers end, producers for example */
        ALL_LEAVE    /* the others finish what is left, and end */
};

/* Shared with all workers. */
struct office {
        atomic_int phase;
        atomic_ulong progress[CREWS];
        atomic_ulong orphans_begun, orphans_ended, orphans_progress;
        atomic_int orphans_stop;
};

struct crew {
        const char *name;
        unsigned workers;
        void (*open)(struct crew *crew, mproc_context *ctx);
        mproc_process *(*hire)(struct crew *crew, mproc_context *ctx, unsigned i); /* created, not started */
        void (*audit)(struct crew *crew, unsigned killed); /* how many workers were killed in this storm */
        void (*close)(struct crew *crew);
        size_t size;       /* for the crew's own use */
        unsigned long sum; /* the crew's own count for the last line, */
        const char *what;  /* of these */
        bool finished;     /* the books are full: the storm has to end */
        unsigned number;
        struct crew *next;
};

void add_crew(struct crew *crew);

#define CREW(name_, ...)                                                                                             \
        static struct crew crew_##name_ = { .name = #name_, __VA_ARGS__ };                                           \
        __attribute__((constructor)) static void register_##name_(void)                                              \
        {                                                                                                            \
                add_crew(&crew_##name_);                                                                             \
        }

/* In the conductor. */
extern int office_fd;
unsigned dice(unsigned sides);
void *open_books(size_t size, int *ret_fd); /* zeros, shared by descriptor */
void close_books(void *books, size_t size, int fd);

/* In a worker. */
struct office *enter_office(mproc_args *args); /* also seeds its dice */
void *read_books(int fd, size_t size);

static inline bool
must_leave(struct office *office, unsigned i)
{
        int phase = atomic_load_explicit(&office->phase, memory_order_relaxed);

        return phase >= (i % 2 ? FIRST_LEAVE : ALL_LEAVE);
}

#endif
