/* SPDX-License-Identifier: MIT */
/*
 * platform/linux/futex.c - words to sleep on, by futex(2) and the robust list.
 *
 * Runs in: every process, every thread.  Owns: what each thread knows of itself.
 *
 * The constants are the kernel's ABI, written out because not every libc comes with
 * the kernel's headers.
 */
#include "platform/futex.h"
#include "platform/platform.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define OP_WAKE             1
#define OP_WAKE_OP          5
#define OP_WAIT_BITSET      9
#define MATCH_ANY           0xffffffffu

/* FUTEX_WAKE_OP: what to do with the word (bits 28..), and a comparison that is never true (the old value is -1). */
#define CHANGE(op, arg)     (((uint32_t)(op) << 28) | (((uint32_t)(arg)&0xfffu) << 12) | 0xfffu)
#define CHANGE_BIT(op, bit) CHANGE((op) | 8u, bit) /* 8: the argument is 1 << bit */
#define CHANGE_SET          0u
#define CHANGE_ADD          1u
#define CHANGE_OR           2u
#define CHANGE_AND_NOT      3u
#define WAITERS_BIT         31

/* Where the kernel keeps a thread's robust list: in the thread's own memory. */
struct robust_list {
        struct robust_list *next;
};
struct robust_head {
        struct robust_list list;
        long futex_offset;
        struct robust_list *pending;
};

_Thread_local struct mproc__word_thread mproc__word_self;
static _Thread_local struct robust_head own_head; /* where libc has none */

/* The time's size follows the call, not time_t: this is what SYS_futex takes everywhere. */
#if defined SYS_futex
#define FUTEX_CALL SYS_futex
struct futex_time {
        long s, ns;
};
#else
#define FUTEX_CALL SYS_futex_time64
struct futex_time {
        int64_t s, ns;
};
#endif

int
mproc__word_wait(mproc__word *word, uint32_t expected, int64_t deadline_ns)
{
        struct futex_time t, *until = NULL;
        int saved = errno;
        long r;

        if (deadline_ns != MPROC__NEVER) {
                int64_t ns = deadline_ns > 0 ? deadline_ns : 0;

                t.s = (long)(ns / 1000000000);
                t.ns = (long)(ns % 1000000000);
                until = &t;
        }
        r = syscall(FUTEX_CALL, word, OP_WAIT_BITSET, expected, until, NULL, MATCH_ANY);
        if (r < 0) {
                r = -errno;
                errno = saved;
        }
        return (int)r;
}

int
mproc__word_wake(mproc__word *word, int count)
{
        int saved = errno;
        long r = syscall(FUTEX_CALL, word, OP_WAKE, count, NULL, NULL, 0);

        errno = saved;
        return r > 0 ? (int)r : 0;
}

/* Change one word, and wake those who sleep on it, or on another. */
static int
change_and_wake_on(mproc__word *word, uint32_t change, mproc__word *sleepers, int count)
{
        int saved = errno;
        long r;

        MPROC__TSAN_RELEASE(word);
#ifndef MPROC__TSAN /* which knows no fences */
        atomic_thread_fence(memory_order_seq_cst);
#endif
        r = syscall(FUTEX_CALL, sleepers, OP_WAKE_OP, count, (void *)0, word, change);
        errno = saved;
        return r > 0 ? (int)r : 0;
}

static int
change_and_wake(mproc__word *word, uint32_t change, int count)
{
        return change_and_wake_on(word, change, word, count);
}

int
mproc__word_free_and_wake_one(mproc__word *word)
{
        return change_and_wake(word, CHANGE_BIT(CHANGE_SET, WAITERS_BIT), 1);
}

int
mproc__word_clear_waiters_and_wake_all(mproc__word *word)
{
        return change_and_wake(word, CHANGE_BIT(CHANGE_AND_NOT, WAITERS_BIT), INT_MAX);
}

int
mproc__word_add_and_wake_one(mproc__word *word, unsigned k)
{
        return change_and_wake(word, CHANGE(CHANGE_ADD, k), 1);
}

int
mproc__word_set_top_and_wake_one(mproc__word *word)
{
        return change_and_wake(word, CHANGE_BIT(CHANGE_OR, 31), 1);
}

int
mproc__word_set_low_and_wake_all(mproc__word *word, unsigned bits)
{
        return change_and_wake(word, CHANGE(CHANGE_OR, bits), INT_MAX);
}

int
mproc__word_clear_low_and_wake_all(mproc__word *word, unsigned bits)
{
        return change_and_wake(word, CHANGE(CHANGE_AND_NOT, bits), INT_MAX);
}

int
mproc__word_set_and_wake_all(mproc__word *flag, mproc__word *word)
{
        return change_and_wake_on(flag, CHANGE(CHANGE_OR, 1), word, INT_MAX);
}

/*
 * Waking somebody when the id in the word is 0 but other bits are set: kernels from
 * 6.2 on do it, older ones only if they carry the fix, which cannot be asked.
 * Without it all is right but the promptness, so sleeps are cut into slices there.
 */
static bool
kernel_tells_of_dead(void)
{
        static _Atomic int known; /* 1 no, 2 yes */
        struct utsname name;
        int major = 0, minor = 0;

        if (!atomic_load_explicit(&known, memory_order_relaxed)) {
                bool yes = uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
                           (major > 6 || (major == 6 && minor >= 2));

                atomic_store_explicit(&known, yes ? 2 : 1, memory_order_relaxed);
        }
        return atomic_load_explicit(&known, memory_order_relaxed) == 2;
}

static struct robust_head *
registered_head(void)
{
        struct robust_head *head = NULL;
        size_t len = 0;

        if (syscall(SYS_get_robust_list, 0, &head, &len) != 0 || len != sizeof *head)
                return NULL;
        return head;
}

/* Some libcs register a thread's list, and set its offset, at its first robust mutex. */
static void
prime_libc(void)
{
        pthread_mutexattr_t attr;
        pthread_mutex_t mutex;

        if (pthread_mutexattr_init(&attr) != 0)
                return;
        if (pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0 &&
            pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0 &&
            pthread_mutex_init(&mutex, &attr) == 0) {
                if (pthread_mutex_lock(&mutex) == 0)
                        (void)pthread_mutex_unlock(&mutex);
                (void)pthread_mutex_destroy(&mutex);
        }
        (void)pthread_mutexattr_destroy(&attr);
}

/*
 * glibc registers each thread's list at its birth and again in the child of fork();
 * after a bare clone() nobody has, and the list of the thread that cloned, which
 * we may have seen there, is at the same address here.
 */
void
mproc__word_thread_init(void)
{
        struct mproc__word_thread *self = &mproc__word_self;
        struct robust_head *head = registered_head();
        struct robust_head *parents =
                self->pending
                        ? (struct robust_head *)((uintptr_t)self->pending - offsetof(struct robust_head, pending))
                        : NULL;
        int saved = errno;

        if (!head) {
                prime_libc();
                head = registered_head();
        }
        if (!head) {
                head = parents ? parents : &own_head;
                if (head == &own_head)
                        head->list.next = &head->list;
                self->told_of_dead = syscall(SYS_set_robust_list, head, sizeof *head) == 0;
        } else {
                self->told_of_dead = true;
        }
        self->told_of_dead = self->told_of_dead && kernel_tells_of_dead();
        self->pending = (void *volatile *)&head->pending;
        self->offset = (uintptr_t)head->futex_offset;
        (void)mproc__word_spin_limit(); /* looks into files: not later, under a lock */
        self->tid = (uint32_t)syscall(SYS_gettid);
        errno = saved;
}

void
mproc__word_forked(void)
{
        mproc__word_self.tid = 0;
}

bool
mproc__word_owner_is_gone(uint32_t tid)
{
        int saved = errno;
        bool gone = tid != 0 && kill((pid_t)tid, 0) != 0 && errno == ESRCH;

        errno = saved;
        return gone;
}

uint64_t
mproc__word_namespace(void)
{
        struct stat st;
        int saved = errno;
        uint64_t id = stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;

        errno = saved;
        return id;
}
