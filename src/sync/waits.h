/* SPDX-License-Identifier: MIT */
/*
 * sync/waits.h - who waits for what, written down where all processes of the program can read it.
 *
 * Off as a rule; then a thread that goes to sleep looks at one flag, and that is all.  If it is on, it
 * writes a record into the beacon (program/program.h): each slot has a page there, of 16 records, which only its
 * process writes.  The record tells what the thread waits for, since when, who holds that, and when it
 * looked; the thread writes it again when it wakes up, ten times a second, and clears it in the end.
 * sync/deadlock.h makes sense of all of them together.
 *
 * Why no death harms.  A record says whose it is, by slot and generation, and has a checksum.  One that
 * was cut, that somebody is just writing, or that belongs to a dead process is no record.  Nothing is
 * counted, linked or locked, and nobody waits for what stands here: it is read by copies, to be told to people.
 */
#ifndef MPROC_SYNC_WAITS_H
#define MPROC_SYNC_WAITS_H

#include "program/slot.h"
#include "start/start.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool
mproc__waits_on(void)
{
        return __builtin_expect(atomic_load_explicit(&mproc__waits_are_noted, memory_order_relaxed), 0);
}

/* For this process and those that it will start.  With words. */
int mproc__waits_set(bool on, int64_t report_after_ns);

/* --- what is waited for -------------------------------------------------------------------------- */

enum mproc__wait_kind {
        MPROC__WAIT_LOCK = 1, /* one thread holds it */
        MPROC__WAIT_PERMIT,   /* processes hold permits of it; any one of them may end the wait */
        MPROC__WAIT_END,      /* of a process, the holder */
        MPROC__WAIT_EVENT     /* of something that nobody in particular will do */
};

#define MPROC__WAIT_WHAT_MAX    56
#define MPROC__WAIT_HOLDERS_MAX 10

struct mproc__wait_holder {
        mproc__slot_id slot; /* 0: only the pid is known */
        uint32_t pid;
        uint32_t thread; /* 0: any of the process */
};

struct mproc__wait_subject {
        uint32_t kind;
        uint32_t holder_count; /* 0: nobody holds it, or nobody knows who */
        uint32_t unknown;      /* 1: there may be others who can end the wait */
        struct mproc__wait_holder holder[MPROC__WAIT_HOLDERS_MAX];
        char what[MPROC__WAIT_WHAT_MAX]; /* "lock 'accounts'"; the name of a process */
};

/* Fill in what is known now; it is all zeros before. */
typedef void mproc__wait_describe_fn(void *arg, struct mproc__wait_subject *ret);

/* What an object without a name is called, by its place in shared memory: "lock 4711.3", the same in all processes.
 */
void mproc__wait_number(const void *at, const char *kind, char ret_what[MPROC__WAIT_WHAT_MAX]);

/* --- the record of a wait ------------------------------------------------------------------------- */

#define MPROC__WAITS_EACH 16 /* records of a slot */

struct mproc__wait_record {
        uint32_t number;     /* of the wait, among those of its process; 0: no record */
        mproc__slot_id slot; /* whose it is */
        uint32_t pid;
        uint32_t thread;      /* mproc__word_thread_id */
        uint32_t main_thread; /* 1: it is the one whose end is the process's end */
        uint32_t threads;     /* how many threads the process had when it looked; 0: unknown */
        int64_t since_ns;     /* from then on the thread was in this wait */
        int64_t looked_ns;    /* the holders held it at some moment after this */
        struct mproc__wait_subject subject;
        uint32_t check; /* of all before */
        uint32_t reserved;
};
_Static_assert(sizeof(struct mproc__wait_record) <= 256, "16 records to a page");

/* A slot's records that are whole, and are that slot's.  Returns how many; no words. */
unsigned mproc__waits_read(mproc__slot_id slot, struct mproc__wait_record ret[MPROC__WAITS_EACH]);

/* --- the one who waits ----------------------------------------------------------------------------- */

/* All zeros before the first look. */
struct mproc__wait {
        int64_t since_ns; /* 0: not begun */
        int64_t looked_ns;
        int64_t report_ns; /* when to tell the log next */
        uint32_t number;   /* 0: nothing is written */
        mproc__slot_id slot;
        uint32_t place;
        uint32_t hash; /* of the subject as written */
        bool told_long, told_circle;
};

void mproc__wait_look_slow(struct mproc__wait *wait, mproc__wait_describe_fn *describe, void *arg, bool at_end);
void mproc__wait_note_slow(struct mproc__wait *wait, mproc__wait_describe_fn *describe, void *arg);
void mproc__wait_end_slow(struct mproc__wait *wait, bool timed_out, mproc__wait_describe_fn *describe, void *arg);

/*
 * The thread is going to sleep, for a slice of at most some 100 ms, and none of the library's locks is held.  May
 * call the log hook, and so code of the user.
 */
static inline void
mproc__wait_look(struct mproc__wait *wait, mproc__wait_describe_fn *describe, void *arg)
{
        if (mproc__waits_on())
                mproc__wait_look_slow(wait, describe, arg, false);
}

/*
 * For waits that nobody in particular can end: written once, for people, before the thread sleeps.  Calls no code of
 * the user, and may be called inside a queue.
 */
static inline void
mproc__wait_note(struct mproc__wait *wait, mproc__wait_describe_fn *describe, void *arg)
{
        if (mproc__waits_on())
                mproc__wait_note_slow(wait, describe, arg);
}

/* It will not sleep any more. */
static inline void
mproc__wait_end(struct mproc__wait *wait, bool timed_out, mproc__wait_describe_fn *describe, void *arg)
{
        if (__builtin_expect(wait->since_ns != 0, 0))
                mproc__wait_end_slow(wait, timed_out, describe, arg);
}

/*
 * For what can be waited for in slices: wait_until(arg, deadline_ns) again and again until it returns something else
 * than MPROC_ETIMEDOUT or the deadline has passed.  To be called if mproc__waits_on().
 */
int mproc__wait_watched(int (*wait_until)(void *arg, int64_t deadline_ns), mproc__wait_describe_fn *describe,
                        void *arg, int64_t deadline_ns);

/* The circle that this thread's last wait timed out in, if any, put behind the words that stand, and forgotten. */
void mproc__wait_add_words(void);

#endif
