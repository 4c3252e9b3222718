/* SPDX-License-Identifier: MIT */
/*
 * crash/steps.c - a process is killed after the first instruction of an operation, after
 * the second, the third, ... and each time the others must find everything in order.
 *
 * Runs in: test processes.  The victim is a forked child that its parent steps
 * through the operation by ptrace.
 *
 * By default each operation gets a third of a second of deaths at random places (seeded; the seed and
 * the step are told on failure); MPROC_CRASH=full in the environment tries them all,
 * MPROC_CRASH=SEED repeats a run.
 */
#include "crash/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What is being tried: told by the process that watches, when a check has ended the one that tries. */
static char *noted;

__attribute__((format(printf, 1, 2))) static void
note(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(noted, 200, format, args);
        va_end(args);
}

/* --- the victim ----------------------------------------------------------------------------------------- */

enum fate {
        KILLED, /* inside the operation */
        ASLEEP, /* in a system call that waits, where no further instruction comes */
        ENDED   /* it was through before */
};

static long steps_done; /* in the last case */

static enum fate
bury(pid_t pid, enum fate fate)
{
        kill_and_reap(pid);
        return fate;
}

static void
await_stop(pid_t pid)
{
        int status;

        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_MSG(WIFSTOPPED(status), "the victim ended by itself");
}

/* A child that stands before the operation.  It has used other objects before, as any process would. */
static pid_t
make_victim(operation *op)
{
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                mproc_queue *queue;
                mproc_semaphore *semaphore;
                mproc_lock *lock;
                char byte = 0;

                current_helper = HELPERS - 1;
                CHECK_OK(mproc_queue_create(scene.ctx, 0, &queue));
                CHECK_OK(mproc_queue_put(queue, &byte, 1, 0));
                CHECK_OK(mproc_queue_get(queue, &byte, 1, NULL, 0));
                CHECK_OK(mproc_lock_create(scene.ctx, &lock));
                CHECK_OK(mproc_lock_acquire(lock, 0));
                CHECK_OK(mproc_semaphore_create(scene.ctx, NULL, 1, &semaphore));
                CHECK_OK(mproc_semaphore_acquire(semaphore, 0));
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
                        _exit(77);
                (void)raise(SIGSTOP);
                op();
                board->finished = 1;
                _exit(0);
        }
        board->finished = 0;
        await_stop(pid);
        return pid;
}

/* One instruction.  False: it ended, or sleeps in the kernel (*ret_asleep). */
static bool
step_once(pid_t pid, bool *ret_asleep)
{
        int status;

        *ret_asleep = false;
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0)
                return false;
        for (unsigned spins = 0;; spins++) {
                pid_t r = waitpid(pid, &status, WNOHANG);

                if (r == 0 && spins > 300 && sleeps(pid)) { /* asleep, unless it has stopped since we asked */
                        r = waitpid(pid, &status, WNOHANG);
                        *ret_asleep = r == 0;
                        if (*ret_asleep)
                                return false;
                }
                if (r == pid)
                        return WIFSTOPPED(status);
                CHECK(r == 0);
        }
}

static enum fate
step_and_kill(pid_t pid, long steps)
{
        bool asleep;

        for (steps_done = 0; steps_done < steps; steps_done++) {
                if (!step_once(pid, &asleep))
                        return bury(pid, asleep ? ASLEEP : ENDED);
                if (board->finished)
                        return bury(pid, ENDED);
        }
        return bury(pid, KILLED);
}

static bool
has_stopped(pid_t pid)
{
        siginfo_t info = { .si_pid = 0 };

        CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0);
        return info.si_pid == pid;
}

/* Run until it waits for a word of shared memory; it sleeps there then, and stops when it wakes. */
static void
run_to_sleep(pid_t pid)
{
        CHECK(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(uintptr_t)PTRACE_O_TRACESYSGOOD) == 0);
        for (;;) {
                struct __ptrace_syscall_info info;

                CHECK(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
                await_stop(pid);
                CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) > 0);
                if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_futex &&
                    (info.entry.args[1] & 0x7f) == 9 /* FUTEX_WAIT_BITSET */) {
                        CHECK(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
                        /* Or its slice is over already, and it has stopped. */
                        while (!sleeps(pid) && !has_stopped(pid))
                                ;
                        return;
                }
        }
}

/* It was woken, or its time is over: stopped before its first instruction after the sleep. */
static void
await_waking(pid_t pid)
{
        await_stop(pid);
}

/* --- the cases: the victim dies after `steps` instructions, then all is looked at -------------------------- */

static void
do_get_quietly(void)
{
        uint32_t number;

        (void)get_number(&number, MPROC_FOREVER);
}

static void
do_acquire(void)
{
        (void)mproc_lock_acquire(scene.lock, MPROC_FOREVER);
}

static void
do_release(void)
{
        (void)mproc_lock_release(scene.lock);
}

static void
do_release_permit(void)
{
        (void)mproc_semaphore_release(scene.semaphore);
}

static enum fate
put_into_an_idle_queue(long steps)
{
        enum fate fate;

        scene_open(0, 0);
        fate = step_and_kill(make_victim(do_put_5), steps);
        expect_messages((uint32_t[]){ 5 }, queued() ? 1 : 0);
        return fate;
}

static enum fate
put_while_a_consumer_sleeps(long steps)
{
        enum fate fate;

        scene_open(0, 0);
        help(0, do_get);
        fate = step_and_kill(make_victim(do_put_5), steps);
        (void)usleep(300);
        if (!board->done[0] && queued() == 0) {
                (void)usleep(2000); /* a message that is just being taken is not queued either */
                if (!board->done[0])
                        CHECK_OK(put_number(6, scaled_ms(SERVED_MS)));
        }
        CHECK_MSG(helped(0), "a message is there, and the consumer sleeps");
        CHECK(board->value[0] == 5 || board->value[0] == 6);
        if (queued()) { /* it got 5 late, and we put 6 for nothing */
                CHECK_INT(board->value[0], 5);
                expect_messages((uint32_t[]){ 6 }, 1);
        } else {
                expect_messages(NULL, 0);
        }
        return fate;
}

static enum fate
put_while_two_consumers_sleep(long steps)
{
        enum fate fate;

        scene_open(0, 0);
        help(0, do_get);
        help(1, do_get);
        fate = step_and_kill(make_victim(do_put_5), steps);
        for (uint32_t i = 6; i < 8 && !(board->done[0] && board->done[1]); i++)
                CHECK_OK(put_number(i, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0) && helped(1), "two messages and more, and a consumer sleeps");
        expect_messages((uint32_t[]){ 7 }, queued());
        return fate;
}

static enum fate
put_into_a_full_queue(long steps)
{
        enum fate fate;
        uint32_t number;

        scene_open(2, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        fate = step_and_kill(make_victim(do_put_5), steps);
        help(1, do_put_6);
        CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
        CHECK_INT(number, 1);
        CHECK_MSG(helped(1), "there is room, and the producer sleeps");
        expect_messages((uint32_t[]){ 2, 6 }, 2);
        return fate;
}

static enum fate
put_that_links_a_ring(long steps)
{
        uint32_t count = 1023, number; /* one ring's full */
        enum fate fate;
        size_t n;

        scene_open(0, 0);
        for (uint32_t i = 0; i < count; i++)
                CHECK_OK(put_number(i, 0));
        fate = step_and_kill(make_victim(do_put_5), steps);
        n = queued();
        CHECK(n == count || n == count + 1);
        CHECK_OK(put_number(6, scaled_ms(SERVED_MS)));
        for (uint32_t i = 0; i < count; i++) {
                CHECK_OK(get_number(&number, 0));
                CHECK_INT(number, i);
        }
        expect_messages(n == count ? (uint32_t[]){ 6 } : (uint32_t[]){ 5, 6 }, n - count + 1);
        return fate;
}

static uint8_t large[300000];

static void
do_put_large(void)
{
        (void)mproc_queue_put(scene.queue, large, sizeof large, MPROC_FOREVER);
}

static void
do_get_large(void)
{
        (void)mproc_queue_get(scene.queue, large, sizeof large, NULL, MPROC_FOREVER);
}

static enum fate
put_of_a_large_message(long steps)
{
        static uint8_t got[sizeof large];
        enum fate fate;
        size_t len;

        scene_open(0, 0);
        memset(large, 42, sizeof large);
        CHECK_OK(put_number(1, 0));
        fate = step_and_kill(make_victim(do_put_large), steps);
        CHECK_OK(put_number(2, scaled_ms(SERVED_MS)));
        CHECK_OK(get_number(&(uint32_t){ 0 }, 0));
        if (queued() == 2) {
                CHECK_OK(mproc_queue_get(scene.queue, got, sizeof got, &len, 0));
                CHECK_INT(len, sizeof large);
                CHECK_MEM(got, large, sizeof large);
        }
        expect_messages((uint32_t[]){ 2 }, 1);
        return fate;
}

static enum fate
get_of_a_large_message(long steps)
{
        enum fate fate;
        size_t len;

        scene_open(0, 0);
        CHECK_OK(mproc_queue_put(scene.queue, large, sizeof large, 0));
        CHECK_OK(put_number(2, 0));
        fate = step_and_kill(make_victim(do_get_large), steps);
        if (queued() == 2) {
                CHECK_OK(mproc_queue_get(scene.queue, large, sizeof large, &len, scaled_ms(SERVED_MS)));
                CHECK_INT(len, sizeof large);
        }
        expect_messages((uint32_t[]){ 2 }, 1);
        return fate;
}

static enum fate
get_of_one_of_three(long steps)
{
        enum fate fate;

        scene_open(0, 0);
        for (uint32_t i = 1; i <= 3; i++)
                CHECK_OK(put_number(i, 0));
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        CHECK(queued() == 3 || queued() == 2);
        expect_messages((uint32_t[]){ 1, 2, 3 } + (3 - queued()), queued());
        return fate;
}

static enum fate
get_that_leaves_a_ring(long steps)
{
        uint32_t count = 1023;
        enum fate fate;
        size_t n;

        scene_open(0, 0);
        for (uint32_t i = 0; i < count + 2; i++)
                CHECK_OK(put_number(i, 0));
        for (uint32_t i = 0; i < count - 1; i++)
                CHECK_OK(get_number(&(uint32_t){ 0 }, 0));
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        n = queued();
        CHECK(n == 3 || n == 2);
        expect_messages((uint32_t[]){ count - 1, count, count + 1 } + (3 - n), n);
        return fate;
}

static enum fate
get_while_a_producer_waits(long steps)
{
        enum fate fate;
        uint32_t number;

        scene_open(2, 0);
        CHECK_OK(put_number(1, 0));
        CHECK_OK(put_number(2, 0));
        help(1, do_put_6);
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        (void)usleep(300);
        if (!board->done[1]) {
                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                CHECK_MSG(helped(1), "there is room, and the producer sleeps");
                if (number == 2) /* 1 had been taken */
                        expect_messages((uint32_t[]){ 6 }, 1);
                else
                        expect_messages((uint32_t[]){ 2, 6 }, 2);
        } else {
                expect_messages((uint32_t[]){ 2, 6 }, 2);
        }
        return fate;
}

static enum fate
get_from_an_empty_queue(long steps)
{
        enum fate fate;

        scene_open(0, 0);
        fate = step_and_kill(make_victim(do_get_quietly), steps);
        help(0, do_get);
        CHECK_OK(put_number(4, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0), "the next consumer sleeps beside a message");
        CHECK_INT(board->value[0], 4);
        expect_messages(NULL, 0);
        return fate;
}

/* The leader has been woken by a message, and dies on its way to it; a follower waits. */
static enum fate
get_just_woken(long steps)
{
        enum fate fate;
        pid_t victim;

        scene_open(0, 0);
        victim = make_victim(do_get_quietly);
        run_to_sleep(victim);
        help(0, do_get);
        CHECK_OK(put_number(7, scaled_ms(SERVED_MS)));
        await_waking(victim);
        fate = step_and_kill(victim, steps);
        (void)usleep(300);
        if (!board->done[0] && queued() == 0) {
                (void)usleep(2000);
                if (!board->done[0])
                        CHECK_OK(put_number(8, scaled_ms(SERVED_MS)));
        }
        CHECK_MSG(helped(0), "a message is there, and the follower sleeps");
        expect_messages((uint32_t[]){ 8 }, queued());
        return fate;
}

/* The leader dies in its sleep, and the follower that takes over dies on its way; another one waits. */
static enum fate
follow_just_woken(long steps)
{
        enum fate fate;
        pid_t victim;

        scene_open(0, 0);
        help(1, do_get);
        victim = make_victim(do_get_quietly);
        run_to_sleep(victim);
        help(0, do_get);
        kill_and_reap(scene.helper[1]);
        scene.helper[1] = 0;
        await_waking(victim);
        fate = step_and_kill(victim, steps);
        CHECK_OK(put_number(7, scaled_ms(SERVED_MS)));
        CHECK_MSG(helped(0), "a message is there, and the follower sleeps");
        expect_messages(NULL, 0);
        return fate;
}

static enum fate
acquire_a_free_lock(long steps)
{
        enum fate fate;

        scene_open(0, 0);
        fate = step_and_kill(make_victim(do_acquire), steps);
        expect_lock_works();
        return fate;
}

static enum fate
release_with_two_waiters(long steps)
{
        enum fate fate;
        pid_t victim;

        scene_open(0, 0);
        CHECK_OK(mproc_lock_acquire(scene.lock, 0));
        help(0, do_acquire_and_release);
        help(1, do_acquire_and_release);
        victim = make_victim(do_release);
        fate = step_and_kill(victim, steps);
        (void)usleep(300);
        if (mproc_lock_owner(scene.lock) == getpid())
                (void)mproc_lock_release(scene.lock);
        CHECK_MSG(helped(0) && helped(1), "the lock is free, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

/* A waiter that was woken dies; somebody else has barged in meanwhile; two more wait. */
static enum fate
acquire_just_woken(long steps)
{
        enum fate fate;
        pid_t victim;

        scene_open(0, 0);
        CHECK_OK(mproc_lock_acquire(scene.lock, 0));
        victim = make_victim(do_acquire_and_release);
        run_to_sleep(victim);
        CHECK_OK(mproc_lock_release(scene.lock));
        await_waking(victim);
        CHECK_OK(mproc_lock_acquire(scene.lock, 0));
        help(0, do_acquire_and_release);
        help(1, do_acquire_and_release);
        fate = step_and_kill(victim, steps);
        CHECK_OK(mproc_lock_release(scene.lock));
        CHECK_MSG(helped(0) && helped(1), "the lock is free, and a waiter sleeps");
        expect_lock_works();
        return fate;
}

static enum fate
release_a_permit_to_a_sleeper(long steps)
{
        enum fate fate;
        unsigned value;

        scene_open(0, 0);
        help(0, do_wait_permit);
        help(1, do_wait_permit);
        fate = step_and_kill(make_victim(do_release_permit), steps);
        CHECK_OK(mproc_semaphore_release(scene.semaphore));
        CHECK_OK(mproc_semaphore_release(scene.semaphore));
        CHECK_MSG(helped(0) && helped(1), "permits are there, and a waiter sleeps");
        CHECK_OK(mproc_semaphore_value(scene.semaphore, &value));
        CHECK(value <= 1);
        return fate;
}

static enum fate
take_one_of_three_permits(long steps)
{
        enum fate fate;
        unsigned value;

        scene_open(0, 3);
        fate = step_and_kill(make_victim(do_wait_permit), steps);
        CHECK_OK(mproc_semaphore_value(scene.semaphore, &value));
        CHECK(value == 2 || value == 3);
        while (value-- > 0)
                CHECK_OK(mproc_semaphore_acquire(scene.semaphore, scaled_ms(SERVED_MS)));
        CHECK_CODE(mproc_semaphore_acquire(scene.semaphore, 0), MPROC_ETIMEDOUT);
        return fate;
}

/* --- sweeping -------------------------------------------------------------------------------------------- */

static bool full;
static unsigned seed;

static void
choose_mode(void)
{
        const char *mode = getenv("MPROC_CRASH");

        if (under_asan() || under_tsan() || under_valgrind())
                SKIP("stepping through a sanitizer's code tells nothing");
        full = mode && strcmp(mode, "full") == 0;
        seed = mode && !full ? (unsigned)strtoul(mode, NULL, 10) : (unsigned)time(NULL);
        srand(seed);
}

/* Try in a child, so that somebody is left to tell what was tried. */
static void
watch(void)
{
        int status;
        pid_t pid;

        noted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(noted != MAP_FAILED);
        if ((pid = fork()) == 0)
                return;
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        if (status != 0)
                (void)fprintf(stderr, "that was %s\n", noted);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Half of them anywhere, half nearer to the beginning: where the end is a sleep, spinning comes before it. */
static long
random_step(long end)
{
        double u = rand() / (RAND_MAX + 1.0);

        return (long)((double)end * (rand() % 2 ? u : u * u * u));
}

static void
sweep(const char *name, enum fate (*one)(long steps))
{
        int64_t stop;
        long end, count = 0;

        choose_mode();
        watch();
        CHECK(one(1000000) != KILLED);
        scene_close();
        end = steps_done;
        stop = monotonic_ms() + 300;
        for (long i = 0; full ? i <= end : monotonic_ms() < stop; i++, count++) {
                long steps = full ? i : random_step(end);

                note("%s, instruction %ld of %ld, MPROC_CRASH=%u", name, steps, end, seed);
                (void)one(steps);
                scene_close();
        }
        (void)fprintf(stderr, "%s: %ld kills in %ld instructions\n", name, count, end);
        _exit(0);
}

#define SWEEP(name)                                                                                                  \
        TEST(name##_, .limit_s = 1800)                                                                               \
        {                                                                                                            \
                sweep(#name, name);                                                                                  \
        }

SWEEP(put_into_an_idle_queue)
SWEEP(put_while_a_consumer_sleeps)
SWEEP(put_while_two_consumers_sleep)
SWEEP(put_into_a_full_queue)
SWEEP(put_that_links_a_ring)
SWEEP(put_of_a_large_message)
SWEEP(get_of_a_large_message)
SWEEP(get_of_one_of_three)
SWEEP(get_that_leaves_a_ring)
SWEEP(get_while_a_producer_waits)
SWEEP(get_from_an_empty_queue)
SWEEP(get_just_woken)
SWEEP(follow_just_woken)
SWEEP(acquire_a_free_lock)
SWEEP(release_with_two_waiters)
SWEEP(acquire_just_woken)
SWEEP(release_a_permit_to_a_sleeper)
SWEEP(take_one_of_three_permits)

/* --- two victims ------------------------------------------------------------------------------------------ */

/* The producer dies inside put, and the leader whom it may have woken dies, too; a follower waits. */
static void
two_die(long put_steps, long get_steps)
{
        pid_t leader;

        scene_open(0, 0);
        leader = make_victim(do_get_quietly);
        run_to_sleep(leader);
        help(0, do_get);
        (void)step_and_kill(make_victim(do_put_5), put_steps);
        for (int i = 0; i < 20 && !has_stopped(leader); i++)
                (void)usleep(20);
        if (has_stopped(leader)) {
                await_waking(leader);
                (void)step_and_kill(leader, get_steps);
        } else {
                kill_and_reap(leader);
        }
        (void)usleep(300);
        if (!board->done[0] && queued() == 0) {
                (void)usleep(2000);
                if (!board->done[0])
                        CHECK_OK(put_number(6, scaled_ms(SERVED_MS)));
        }
        CHECK_MSG(helped(0), "a message is there, and the follower sleeps");
        expect_messages((uint32_t[]){ 6 }, queued());
        scene_close();
}

TEST(two_die_at_once, .limit_s = 1800)
{
        int64_t stop;
        long count = 0, end;

        choose_mode();
        watch();
        CHECK(put_while_two_consumers_sleep(1000000) != KILLED);
        scene_close();
        end = steps_done;
        stop = monotonic_ms() + 1000;
        for (long i = 0; full ? i < end * 20 : monotonic_ms() < stop; i++, count++) {
                long put_steps = full ? i / 20 : random_step(end), get_steps = full ? i % 20 * 20 : random_step(400);

                note("put dies at %ld, get at %ld, MPROC_CRASH=%u", put_steps, get_steps, seed);
                two_die(put_steps, get_steps);
        }
        (void)fprintf(stderr, "%ld pairs\n", count);
        _exit(0);
}
