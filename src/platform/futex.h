/* SPDX-License-Identifier: MIT */
/*
 * platform/futex.h - words in shared memory that processes sleep on.
 *
 * A word is 32 bits, aligned, in memory that is mapped shared; it may lie at
 * different addresses in different processes.  The system compares and sleeps in one
 * step, and changes and wakes in one step that not even SIGKILL can cut in two.
 * And it tells of the dead: each thread has one place, `pending`, that names the
 * word which the thread is busy with.  When the thread ends, however it ends, the
 * system looks there, and
 *   - if the word's low 30 bits are the thread's own id, sets MPROC__WORD_OWNER_DIED
 *     in their stead, keeps MPROC__WORD_WAITERS and wakes one sleeper if that is set;
 *   - if they are 0, wakes one sleeper;
 *   - if they are anything else, does nothing.
 * All locks of mproc rest on these three sentences; docs/locking.md has the argument.  Where a
 * system does not do this (platform/portable/words.c), sleepers look for themselves.
 * libc uses the same place, only inside calls on robust mutexes, and never
 * while we do: our critical sections call nothing of the kind.
 */
#ifndef MPROC_PLATFORM_FUTEX_H
#define MPROC_PLATFORM_FUTEX_H

#include "core/tls.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef _Atomic uint32_t mproc__word;

#define MPROC__WORD_WAITERS    0x80000000u /* somebody may sleep on this word */
#define MPROC__WORD_OWNER_DIED 0x40000000u /* set by the system, in place of a dead owner's id */
#define MPROC__WORD_OWNER      0x3fffffffu /* the owner; 0: free */

/* --- sleeping and waking ---------------------------------------------------------------------- */

/*
 * Sleep while the word holds `expected`, until woken or the deadline.  0: woken (or for no
 * reason); -EAGAIN: it holds something else; -EINTR; -ETIMEDOUT.  Whoever was
 * woken gets 0 even if his deadline passed at the same moment.
 */
int mproc__word_wait(mproc__word *word, uint32_t expected, int64_t deadline_ns);

int mproc__word_wake(mproc__word *word, int count); /* returns how many were woken */

/*
 * One step each: nobody, not a sleeper, not a dying caller, comes between the
 * change and the wake.  They return how many were woken.
 */
int mproc__word_free_and_wake_one(mproc__word *word);            /* word = WAITERS; wake 1 */
int mproc__word_clear_waiters_and_wake_all(mproc__word *word);   /* word &= ~WAITERS; wake all */
int mproc__word_add_and_wake_one(mproc__word *word, unsigned k); /* word += k, 1 <= k <= 2047; wake 1 */
int mproc__word_set_top_and_wake_one(mproc__word *word);         /* word |= 1 << 31; wake 1 */
int mproc__word_set_low_and_wake_all(mproc__word *word, unsigned bits);   /* word |= bits, at most 2047; wake all */
int mproc__word_clear_low_and_wake_all(mproc__word *word, unsigned bits); /* word &= ~bits, at most 2047; wake all */
int mproc__word_set_and_wake_all(mproc__word *flag, mproc__word *word);   /* flag |= 1; wake all who sleep on word */

/* --- this thread, as the system sees it --------------------------------------------------------- */

struct mproc__word_thread {
        uint32_t tid;      /* 0: not filled in yet */
#ifdef MPROC_PORTABLE
        uint32_t serial;   /* no two threads of a process have the same; tid may be shared by many */
#endif
        bool told_of_dead; /* the three sentences above hold: a dead thread's word wakes somebody */
        void *volatile *pending;
        uintptr_t offset; /* what to subtract from a word's address for `pending` */
};

#define MPROC__WORD_TLS MPROC__TLS /* looked at in each operation on a queue or lock */
extern _Thread_local struct mproc__word_thread mproc__word_self MPROC__WORD_TLS;

void mproc__word_thread_init(void);

static inline struct mproc__word_thread *
mproc__word_thread(void)
{
        if (__builtin_expect(mproc__word_self.tid == 0, 0))
                mproc__word_thread_init();
        return &mproc__word_self;
}

/* What no other thread of this process has; where the system has ids of threads, it is that. */
static inline uint32_t
mproc__word_thread_id(void)
{
#ifdef MPROC_PORTABLE
        return mproc__word_thread()->serial;
#else
        return mproc__word_thread()->tid;
#endif
}

/* From here on the word is what this thread is busy with.  Nothing moves across. */
static inline void
mproc__word_set_pending(struct mproc__word_thread *self, mproc__word *word)
{
        atomic_signal_fence(memory_order_seq_cst);
        *self->pending = (void *)((uintptr_t)word - self->offset);
        atomic_signal_fence(memory_order_seq_cst);
}

static inline void
mproc__word_clear_pending(struct mproc__word_thread *self)
{
        atomic_signal_fence(memory_order_seq_cst);
        *self->pending = NULL;
        atomic_signal_fence(memory_order_seq_cst);
}

#define MPROC__WORD_MANY_THREADS 127 /* portable build: the number of a thread that cannot be told from some others */

/* Is it this thread that a word says?  False when in doubt. */
static inline bool
mproc__word_is_mine(const struct mproc__word_thread *self, uint32_t word)
{
#ifdef MPROC_PORTABLE
        if (self->tid >> 22 == MPROC__WORD_MANY_THREADS)
                return false;
#endif
        return (word & MPROC__WORD_OWNER) == self->tid;
}

/* No thread of this id exists, alive or unreaped.  False when in doubt. */
bool mproc__word_owner_is_gone(uint32_t tid);

/*
 * In the portable build the owner in a word is a process, and the system does not tell which have
 * died and are not reaped.  Who can tell says so here, before main().
 */
#ifdef MPROC_PORTABLE
struct mproc__word_oracle {
        void (*enrol)(void);               /* this process, before it owns anything; again in a forked child */
        bool (*process_is_dead)(pid_t pid); /* false when in doubt */
};
void mproc__word_set_oracle(const struct mproc__word_oracle *oracle);
#endif

/* In a child after fork(): its only thread has another id and another list. */
void mproc__word_forked(void);

/* An identity of the space that thread ids belong to: words of two spaces must not be mixed.  0: unknown. */
uint64_t mproc__word_namespace(void);

/* --- spinning ------------------------------------------------------------------------------------ */

/* How many pauses are worth while before sleeping: 0 where there is one processor only. */
unsigned mproc__word_spin_limit(void);

/* Let somebody else have the processor, if anybody wants it. */
void mproc__word_yield(void);

static inline void
mproc__word_pause(void)
{
#if defined __x86_64__ || defined __i386__
        __builtin_ia32_pause();
#elif defined __aarch64__ || defined __arm__
        __asm__ volatile("yield" ::: "memory");
#else
        atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* --- for ThreadSanitizer, which does not see what the system changes -------------------------------- */

#if defined __SANITIZE_THREAD__
#define MPROC__TSAN 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define MPROC__TSAN 1
#endif
#endif
#ifdef MPROC__TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define MPROC__TSAN_ACQUIRE(word) __tsan_acquire((void *)(word))
#define MPROC__TSAN_RELEASE(word) __tsan_release((void *)(word))
#else
#define MPROC__TSAN_ACQUIRE(word) ((void)0)
#define MPROC__TSAN_RELEASE(word) ((void)0)
#endif

#endif
