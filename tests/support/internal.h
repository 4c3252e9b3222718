/* SPDX-License-Identifier: MIT */
/* support/internal.h - what the files of support/ share among themselves. */
#ifndef SUPPORT_INTERNAL_H
#define SUPPORT_INTERNAL_H

#include "support/runner.h"

#include <stdio.h>

/* --- procfs.c: what the system tells of processes --------------------------------------------------- */

struct procfs_stat {
        pid_t pid, parent, group, session;
        char state; /* 'R', 'S', 'D', 'Z', ... */
        char name[32];
};

bool procfs_stat(pid_t pid, struct procfs_stat *ret_stat);

/* All descendants of a process, children before grandchildren; returns their number.  free() *ret_list. */
size_t procfs_descendants(pid_t ancestor, struct procfs_stat **ret_list);

/* One of /proc/PID's small files, or /proc/PID/task/TID's with tid > 0; newlines trimmed; "" if there is none. */
void procfs_text(pid_t pid, pid_t tid, const char *file, char *ret_text, size_t size);

/* Does this process do mproc's own work: fork server or tracker? */
bool procfs_is_library_process(const struct procfs_stat *process);

/* Where a process stands: its command line, and for each thread state, system call, kernel function and stack. */
void procfs_describe(FILE *out, const struct procfs_stat *process);

/* --- leaks.c: what a test process looks at before it ends well ------------------------------------ */

void leaks_begin(void);
void leaks_check(const struct runner_test *test); /* ends the process if something was left */

/* --- supervise.c: one test, from its start to the end of the last process it left ------------------- */

enum test_outcome { TEST_PASSED, TEST_FAILED, TEST_SKIPPED };

void supervise_init(void);
enum test_outcome supervise_test(const struct runner_test *test, bool verbose);

/* --- shmnames.c: names of dead programs in /dev/shm ------------------------------------------------- */

struct shm_names {
        char (*names)[256];
        size_t count;
};

void shm_names_take(struct shm_names *ret_names);
void shm_names_free(struct shm_names *names);

/* Wait until no name is there that was not before and whose program is dead; else their list (free() it). */
char *shm_names_left(const struct shm_names *before, int64_t grace_ms);

/* Remove such names, which a test that was killed could not, before another test's runner finds them. */
void shm_names_remove_left(const struct shm_names *before);

/* --- files.c ---------------------------------------------------------------------------------------- */

void temp_dirs_remove(pid_t session); /* those that processes of this session made */

#endif
