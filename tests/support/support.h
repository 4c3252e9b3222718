/* SPDX-License-Identifier: MIT */
/*
 * support/support.h - small things that tests need: descriptors, processes,
 * files, time.  All of them end the test with a message if they cannot do their
 * work, so a test does not look at their results.
 */
#ifndef SUPPORT_SUPPORT_H
#define SUPPORT_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* --- time ------------------------------------------------------------------------------------------ */

int64_t monotonic_ms(void);
void sleep_ms(int64_t ms); /* for pacing a loop; never to wait for somebody: that is WAIT_UNTIL */

/*
 * By how much slow surroundings stretch every limit: the environment variable
 * MPROC_TEST_TIMEOUT_SCALE (default 1) times 3 under AddressSanitizer, 5 under
 * ThreadSanitizer, 10 under valgrind.
 */
double timeout_scale(void);
int64_t scaled_ms(int64_t ms);

bool wait_until(bool (*condition)(void *arg), void *arg, int64_t timeout_ms); /* false: it never became true */

/* --- surroundings ---------------------------------------------------------------------------------- */

bool under_asan(void);
bool under_tsan(void); /* a thread cannot be started in a forked child: skip what needs it */
bool under_valgrind(void);

/* The library was built with MPROC_PORTABLE: what POSIX alone cannot keep (docs/portability.md) is not asked for. */
static inline bool
portable_build(void)
{
#ifdef MPROC_PORTABLE
        return true;
#else
        return false;
#endif
}

/* What the names of the library's files in /dev/shm begin with. */
static inline const char *
shm_prefix(void)
{
        return portable_build() ? "pmproc" : "mproc";
}

/* The sentinel of a process is what it says over, not what the system knows of it: it may fire too early. */
static inline bool
without_pidfds(void)
{
        return under_valgrind() || portable_build();
}

/* --- descriptors ----------------------------------------------------------------------------------- */

int count_fds(void);
char *list_fds(void);         /* "0 /dev/null\n1 pipe:[123]\n"; free() it */
char *list_fds_of(pid_t pid); /* of another process; "" if it is gone */
bool fd_is_open(int fd);
void write_all(int fd, const void *data, size_t len);
char *read_to_end(int fd, size_t *ret_len); /* until end of file; NUL added; ret_len may be NULL; free() it */
char *read_line(int fd);                    /* without the newline; NULL at end of file; byte by byte; free() it */

/* --- processes ------------------------------------------------------------------------------------- */

/*
 * Start HELPER(name) with args (NULL-terminated, or NULL).  Where ret_stdin or
 * ret_stdout is not NULL, it becomes the other end of a pipe.  Reap it with
 * wait_program.
 */
pid_t run_helper(const char *name, char *const args[], int *ret_stdin, int *ret_stdout);

/* The same for any program; argv[0] is its path, or a name to be looked for in PATH. */
pid_t run_program(char *const argv[], int *ret_stdin, int *ret_stdout);

/* Its exit code, or -N if signal N killed it.  The test ends if it takes longer. */
int wait_program(pid_t pid, int64_t timeout_ms);

/* Run it to its end, return what it wrote on stdout (free() it) and its exit code. */
char *capture_program(char *const argv[], int *ret_exitcode);

bool process_exists(pid_t pid); /* a zombie does not count */
bool process_is_zombie(pid_t pid);
pid_t process_parent(pid_t pid);  /* 0 if it is gone */
char *process_cmdline(pid_t pid); /* arguments separated by spaces; free() it */
int count_children(void);         /* of this process, zombies included, mproc's helper processes not */
int count_zombies(void);          /* the same, zombies only */
int count_threads(void);

/* --- files ----------------------------------------------------------------------------------------- */

/* A new empty directory, removed with all in it when this process ends well.  Belongs to support. */
const char *temp_dir(void);
char *path_in(const char *dir, const char *name);   /* free() it */
char *read_file(const char *path, size_t *ret_len); /* NUL added; NULL if there is none; free() it */
void write_file(const char *path, const char *text);
void copy_file(const char *from, const char *to); /* with its mode */

const char *self_path(void);                /* this executable */
const char *support_path(const char *name); /* a program or plug-in built beside the tests */
const char *source_dir(void);
bool anybody_can_reach(const char *path); /* by the rights of its folders: a program there runs for any user */
const char *build_dir(void);

/* How many names in /dev/shm begin so. */
int count_shm_names(const char *prefix);

char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2))); /* free() it */

/* How many of this process's threads, its first one aside, sleep in a call: only the system can tell. */
int count_sleeping_threads(void);

#endif
