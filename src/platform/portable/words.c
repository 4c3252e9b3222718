/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/words.c - words to sleep on, where the system has none.
 *
 * Runs in: every process, every thread.  Owns: what each thread knows of itself; the
 * numbers of this process's threads.
 *
 * Who sleeps looks again and again, with pauses that grow from 50 us to 2 ms.
 * So nobody has to be woken, and no wake-up can be lost, whoever dies: waking does nothing,
 * and "change and wake in one step" is the change alone.  All functions that return how
 * many were woken return 0: nobody knows.
 *
 * The system does not tell of the dead either.  Waiters find out by themselves after each
 * slice of their sleep (mproc__word_owner_is_gone): the owner in a word is a pid, and a
 * number for the thread.
 *
 *      owner = number(7) pid(22)        29 bits
 *
 * Number 0 is the first thread, 127 is any that came when all others were taken.
 */
#include "platform/futex.h"
#include "platform/platform.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PID_BITS    22
#define PID_MASK    ((1u << PID_BITS) - 1)

#define PAUSE_FIRST INT64_C(50000)
#define PAUSE_LAST  INT64_C(2000000)

_Thread_local struct mproc__word_thread mproc__word_self;
static _Thread_local void *nowhere; /* what `pending` points to: the system does not look */

static const struct mproc__word_oracle *oracle; /* set before main(), or never */

static _Atomic uint64_t taken[2]; /* a bit for each number that a thread has */
static _Atomic uint32_t serials;
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool have_key; /* written in `once` */

void
mproc__word_set_oracle(const struct mproc__word_oracle *wanted)
{
        oracle = wanted;
}

/* --- sleeping and waking ---------------------------------------------------------------------- */

/* True: it holds something else.  A signal that was handled ends the pause. */
static int
pause_until_changed(mproc__word *word, uint32_t expected, int64_t pause_ns)
{
        struct timespec t = { .tv_sec = 0, .tv_nsec = (long)pause_ns };
        int r = nanosleep(&t, NULL) != 0 ? -EINTR : 0;

        return atomic_load_explicit(word, memory_order_seq_cst) != expected ? 1 : r;
}

int
mproc__word_wait(mproc__word *word, uint32_t expected, int64_t deadline_ns)
{
        int64_t pause = PAUSE_FIRST, now;
        int saved = errno, r = 0;

        if (atomic_load_explicit(word, memory_order_seq_cst) != expected)
                return -EAGAIN;
        while (r == 0) {
                now = mproc__plat_now_ns();
                if (deadline_ns != MPROC__NEVER && now >= deadline_ns) {
                        r = -ETIMEDOUT;
                        break;
                }
                if (deadline_ns != MPROC__NEVER && pause > deadline_ns - now)
                        pause = deadline_ns - now;
                r = pause_until_changed(word, expected, pause);
                pause = pause * 2 < PAUSE_LAST ? pause * 2 : PAUSE_LAST;
        }
        errno = saved;
        return r > 0 ? 0 : r;
}

int
mproc__word_wake(mproc__word *word, int count)
{
        (void)word;
        (void)count;
        return 0;
}

int
mproc__word_free_and_wake_one(mproc__word *word)
{
        MPROC__TSAN_RELEASE(word);
        atomic_store_explicit(word, MPROC__WORD_WAITERS, memory_order_seq_cst);
        return 0;
}

int
mproc__word_clear_waiters_and_wake_all(mproc__word *word)
{
        MPROC__TSAN_RELEASE(word);
        (void)atomic_fetch_and_explicit(word, ~MPROC__WORD_WAITERS, memory_order_seq_cst);
        return 0;
}

int
mproc__word_add_and_wake_one(mproc__word *word, unsigned k)
{
        MPROC__TSAN_RELEASE(word);
        (void)atomic_fetch_add_explicit(word, k, memory_order_seq_cst);
        return 0;
}

int
mproc__word_set_top_and_wake_one(mproc__word *word)
{
        MPROC__TSAN_RELEASE(word);
        (void)atomic_fetch_or_explicit(word, 1u << 31, memory_order_seq_cst);
        return 0;
}

int
mproc__word_set_low_and_wake_all(mproc__word *word, unsigned bits)
{
        MPROC__TSAN_RELEASE(word);
        (void)atomic_fetch_or_explicit(word, bits, memory_order_seq_cst);
        return 0;
}

int
mproc__word_clear_low_and_wake_all(mproc__word *word, unsigned bits)
{
        MPROC__TSAN_RELEASE(word);
        (void)atomic_fetch_and_explicit(word, ~(uint32_t)bits, memory_order_seq_cst);
        return 0;
}

/* Who sleeps on the other word looks at the flag at the end of his slice. */
int
mproc__word_set_and_wake_all(mproc__word *flag, mproc__word *word)
{
        (void)word;
        MPROC__TSAN_RELEASE(flag);
        (void)atomic_fetch_or_explicit(flag, 1, memory_order_seq_cst);
        return 0;
}

/* --- this thread -------------------------------------------------------------------------------- */

static unsigned
take_number(void)
{
        for (unsigned i = 0; i < MPROC__WORD_MANY_THREADS; i++) {
                uint64_t bit = UINT64_C(1) << i % 64;

                if (!(atomic_fetch_or(&taken[i / 64], bit) & bit))
                        return i;
        }
        return MPROC__WORD_MANY_THREADS;
}

/* Another thread's destructor may use the library after this one has run: then it takes a number anew. */
static void
give_number_back(void *arg)
{
        unsigned number = mproc__word_self.tid >> PID_BITS;

        (void)arg;
        if (mproc__word_self.tid != 0 && number < MPROC__WORD_MANY_THREADS)
                (void)atomic_fetch_and(&taken[number / 64], ~(UINT64_C(1) << number % 64));
        mproc__word_self.tid = 0;
}

static void
make_key(void)
{
        have_key = pthread_key_create(&at_thread_end, give_number_back) == 0;
}

/*
 * The process enrols first, so that others can tell when it has died: nobody sees it in a word
 * before.  Without a key, numbers are not given back, so none is taken.
 */
void
mproc__word_thread_init(void)
{
        struct mproc__word_thread *self = &mproc__word_self;
        unsigned number = MPROC__WORD_MANY_THREADS;
        int saved = errno;

        if (oracle)
                oracle->enrol();
        (void)pthread_once(&once, make_key);
        if (have_key && pthread_setspecific(at_thread_end, self) == 0)
                number = take_number();
        if (self->serial == 0)
                self->serial = atomic_fetch_add(&serials, 1) + 1;
        self->told_of_dead = false;
        self->pending = (void *volatile *)&nowhere;
        self->offset = 0;
        (void)mproc__word_spin_limit();
        assert((uint32_t)getpid() <= PID_MASK);
        self->tid = (uint32_t)number << PID_BITS | ((uint32_t)getpid() & PID_MASK);
        errno = saved;
}

void
mproc__word_forked(void)
{
        mproc__word_self.tid = 0;
        atomic_store(&taken[0], 0);
        atomic_store(&taken[1], 0);
}

/* A process that has ended and has not been waited for has its pid yet: only the oracle tells. */
bool
mproc__word_owner_is_gone(uint32_t owner)
{
        pid_t pid = (pid_t)(owner & PID_MASK);
        int saved = errno;
        bool gone = pid != 0 && pid != getpid() &&
                    ((kill(pid, 0) != 0 && errno == ESRCH) || (oracle && oracle->process_is_dead(pid)));

        errno = saved;
        return gone;
}

/*
 * Nobody can say; but who asks is about to share words, and from now on has to be
 * recognised when he is dead, and so have the children that he forks.
 */
uint64_t
mproc__word_namespace(void)
{
        (void)mproc__word_thread();
        return 0;
}
