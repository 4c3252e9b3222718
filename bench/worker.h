/* SPDX-License-Identifier: MIT */
/*
 * bench/worker.h - a process of a given size that starts children when told to.
 *
 * The conductor has one worker for each group of contenders and each size of the
 * parent.  They take turns, so that all figures of a run are from the same
 * minutes of the same machine.  A worker reads a line of contenders' names from
 * descriptor 0, runs each once, and answers on descriptor 1 with a line of as
 * many figures: nanoseconds, or 0 for one that failed (the words go to standard
 * error).  Its first line is "ready" and the names that it knows.
 */
#ifndef MPROC_BENCH_WORKER_H
#define MPROC_BENCH_WORKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* argv[1] of the program that every contender starts: it returns from main at once. */
#define BENCH_ARG_RETURN "--return"

struct bench_contender {
        const char *name;
        int (*run)(void); /* one start, exit and join of an empty child; 0, or -1 after bench_say */
};

/* The program that contenders execute, and its arguments; set before bench_worker. */
extern char bench_program[4096];
extern char *bench_child_argv[3];

/*
 * Touch so many MiB of private memory in 4 KiB pages, then serve until end of
 * file.  The list ends with a NULL name.  Returns main's result.
 */
int bench_worker(size_t size_mib, const struct bench_contender *contenders);

/* Tell what failed: "posix_spawn: No such file".  Only the first few are printed. */
void bench_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* waitpid, without EINTR; 0 if the child left with exit code 0, else -1 after bench_say(who). */
int bench_wait(pid_t pid, const char *who);

uint64_t bench_now_ns(void);

#endif
