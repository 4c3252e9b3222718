/* SPDX-License-Identifier: MIT */
/*
 * crash/steps.c - the harness of crash-steps: victims that are stepped through an operation
 * instruction by instruction, and the sweeps over scenes and pairs; see crash.h.
 *
 * Runs in: test processes.  A victim is a forked child that its parent steps by ptrace.
 *
 * MPROC_CRASH=full in the environment tries every instruction, and more at random until there are 600,
 * MPROC_CRASH=SEED repeats a run (the seed and the step are told on failure), MPROC_CRASH_KILLS=N and
 * MPROC_CRASH_PAIRS=N make that many at least of each scene and pair, MPROC_CRASH_REPORT=FILE has a line added for
 * each scene: see report.sh.
 */
#include "crash/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined MPROC_PORTABLE && defined __x86_64__
#include <sys/user.h>
#endif

enum { SAMPLE_MS = 12, KILLS = 600, PAIRS = 1000, FURTHER_THAN_ANY = 1000000 };

/* How many steps each victim of this case did, in the order in which they went. */
static long steps_done[4];
static int steppings;

/* --- the victim ----------------------------------------------------------------------------------------- */

static void
await_stop(pid_t pid)
{
        int status;

        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_MSG(WIFSTOPPED(status), "the victim ended by itself");
}

/* What lazily comes to a process with its first objects is there, as it would be in any process. */
static void
use_objects(void)
{
        mproc_queue *queue;
        mproc_semaphore *semaphore;
        mproc_lock *lock;
        char byte = 0;

        CHECK_OK(mproc_queue_create(scene_context, 0, &queue));
        CHECK_OK(mproc_queue_put(queue, &byte, 1, 0));
        CHECK_OK(mproc_queue_get(queue, &byte, 1, NULL, 0));
        CHECK_OK(mproc_lock_create(scene_context, &lock));
        CHECK_OK(mproc_lock_acquire(lock, 0));
        CHECK_OK(mproc_semaphore_create(scene_context, NULL, 1, &semaphore));
        CHECK_OK(mproc_semaphore_acquire(semaphore, 0));
}

pid_t
make_prepared_victim(operation *prepare, operation *op)
{
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                current_helper = HELPERS - 1;
                use_objects();
                prepare();
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

static void
do_nothing(void)
{
}

pid_t
make_victim(operation *op)
{
        return make_prepared_victim(do_nothing, op);
}

/* In the portable build a sleep is many short ones, which may be over before anybody looks: it begins with the first. */
static bool
is_about_to_sleep(pid_t pid)
{
#if defined MPROC_PORTABLE && defined __x86_64__
        struct user_regs_struct regs;

        return ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 &&
               (regs.rax == SYS_nanosleep || regs.rax == SYS_clock_nanosleep) &&
               (ptrace(PTRACE_PEEKTEXT, pid, (void *)regs.rip, NULL) & 0xffff) == 0x050f; /* syscall */
#else
        (void)pid;
        return false;
#endif
}

/* One instruction.  False: it ended, or sleeps in the kernel (*ret_asleep). */
static bool
step_once(pid_t pid, bool *ret_asleep)
{
        int status;

        *ret_asleep = is_about_to_sleep(pid);
        if (*ret_asleep || ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0)
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

enum fate
step_to(pid_t pid, long steps)
{
        enum fate fate = KILLED;
        long n = 0;
        bool asleep;

        for (; n < steps && fate == KILLED; n++) {
                if (!step_once(pid, &asleep))
                        fate = asleep ? ASLEEP : ENDED;
                else if (board->finished)
                        fate = ENDED;
        }
        board->finished = 0; /* by this one; there may be another */
        if (steppings < 4)
                steps_done[steppings++] = n;
        return fate;
}

enum fate
step_and_kill(pid_t pid, long steps)
{
        enum fate fate = step_to(pid, steps);

        kill_and_reap(pid);
        return fate;
}

bool
has_woken(pid_t pid)
{
        siginfo_t info = { .si_pid = 0 };

        CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0);
        return info.si_pid == pid;
}

void
run_to_sleep(pid_t pid)
{
#ifdef MPROC_PORTABLE /* where a sleep is many short ones */
        kill_and_reap(pid);
        scene_close();
        SKIP("in the portable build nobody sleeps on a word");
#endif
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
                        while (!sleeps(pid) && !has_woken(pid))
                                ;
                        return;
                }
        }
}

/* It was woken, or its time is over: stopped before its first instruction after the sleep. */
void
await_waking(pid_t pid)
{
        await_stop(pid);
}

/* --- what is tried ----------------------------------------------------------------------------------------- */

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

/* For whoever adds up: see report.sh. */
static void
report(const char *kind, const char *name)
{
        const char *path = getenv("MPROC_CRASH_REPORT");
        FILE *file = path ? fopen(path, "ae") : NULL;

        if (path)
                CHECK(file);
        (void)fprintf(stderr, "%s: %lu %s, the worst survivor waited %.3f ms\n", name, tally->cases, kind,
                      (double)tally->worst_ns / 1e6);
        if (!file)
                return;
        (void)fprintf(file, "%s %s %lu %.3f", kind, name, tally->cases, (double)tally->worst_ns / 1e6);
        for (int i = 0; i < 8; i++)
                (void)fprintf(file, " %lu", tally->served[i]);
        (void)fprintf(file, "\n");
        (void)fclose(file);
}

/* Try in a child, so that somebody is left to tell what was tried.  Only the child returns. */
static void
watch(const char *kind, const char *name)
{
        int status;
        pid_t pid;

        tally = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(tally != MAP_FAILED);
        if ((pid = fork()) == 0)
                return;
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                _exit(77);
        if (status != 0)
                (void)fprintf(stderr, "that was %s\n", tally->what);
        else
                report(kind, name);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Half of them anywhere, half nearer to the beginning: where the end is a sleep, spinning comes before it. */
static long
random_step(long end)
{
        double u = rand() / (RAND_MAX + 1.0);

        return (long)((double)end * (rand() % 2 ? u : u * u * u));
}

void
sweep(const char *name, enum fate (*scene)(long steps))
{
        const char *wanted = getenv("MPROC_CRASH_KILLS");
        long least = wanted ? strtol(wanted, NULL, 10) : KILLS, end;
        int64_t stop;

        choose_mode();
        watch("kills", name);
        (void)snprintf(tally->what, sizeof tally->what, "%s, to the end", name);
        steppings = 0;
        CHECK(scene(FURTHER_THAN_ANY) != KILLED);
        scene_close();
        end = steps_done[0];
        stop = monotonic_ms() + SAMPLE_MS;
        for (long i = 0; full ? i <= end || i < least : monotonic_ms() < stop; i++) {
                long steps = full && i <= end ? i : random_step(end);

                (void)snprintf(tally->what, sizeof tally->what, "%s, instruction %ld of %ld, MPROC_CRASH=%u", name,
                               steps, end, seed);
                (void)scene(steps);
                scene_close();
                tally->cases++;
        }
        _exit(0);
}

/* The first victim dies at each instruction again and again, the second anywhere. */
void
sweep_pairs(const char *name, void (*pair)(long first, long second))
{
        const char *wanted = getenv("MPROC_CRASH_PAIRS");
        long count = wanted ? strtol(wanted, NULL, 10) : PAIRS, ends[2];
        int64_t stop;

        choose_mode();
        watch("pairs", name);
        (void)snprintf(tally->what, sizeof tally->what, "%s, both to the end", name);
        steppings = 0;
        pair(FURTHER_THAN_ANY, FURTHER_THAN_ANY);
        scene_close();
        CHECK_MSG(steppings >= 2, "a pair steps through two operations");
        memcpy(ends, steps_done, sizeof ends);
        stop = monotonic_ms() + SAMPLE_MS * 2;
        for (long i = 0; full ? i < count : monotonic_ms() < stop; i++) {
                long first = full ? i % (ends[0] + 1) : random_step(ends[0]), second = random_step(ends[1]);

                (void)snprintf(tally->what, sizeof tally->what,
                               "%s, instructions %ld of %ld and %ld of %ld, MPROC_CRASH=%u", name, first, ends[0],
                               second, ends[1], seed);
                pair(first, second);
                scene_close();
                tally->cases++;
        }
        _exit(0);
}
