/* SPDX-License-Identifier: MIT */
/*
 * checksum.h - the parts of mproc-checksum and what they share.
 *
 *      options.c    what the command line says
 *      walk.c       finds the files
 *      crew.c       the workers as the parent sees them: gives out, takes in, replaces the dead
 *      worker.c     what runs in a worker: hashes files
 *      sums.c       prints the result
 *      bar.c        the progress bar, and all else that goes to stderr
 *      interrupt.c  Ctrl-C as something to wait for
 *
 * Functions that can fail return 0 or a negative code, as mproc's own do.
 */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <mproc/mproc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DIGEST_BYTES 32

/* --- options.c ------------------------------------------------------------------------------------ */

struct options {
        mproc_context *ctx;
        int workers;
        int tries; /* a file that has ended so many workers is given up */
        bool quiet;
        char **dirs; /* ended by NULL */
};

/* Ends the program for --help (0) and for what it does not understand (2). */
void options_parse(struct options *ret_options, int argc, char **argv);

/* --- files ---------------------------------------------------------------------------------------- */

#define NO_FILE SIZE_MAX

enum file_state { FILE_WAITING, FILE_HELD, FILE_DONE, FILE_FAILED };

struct file {
        char *path;
        int64_t size;    /* when it was found */
        int64_t hashed;  /* bytes so far */
        size_t next;     /* in the list it stands in: a worker's, or those to be done again */
        uint32_t holder; /* FILE_HELD: the serial number of the worker that was given it */
        int tries;       /* how many workers ended over it */
        enum file_state state;
        uint8_t digest[DIGEST_BYTES]; /* FILE_DONE */
};

struct files {
        struct file *list; /* sorted by path, byte by byte */
        size_t count, room;
        int64_t bytes;
        size_t failed; /* files and directories that could not be read: each was told of */
};

void files_free(struct files *files);

/* --- bar.c ---------------------------------------------------------------------------------------- */

struct bar {
        bool shown; /* stderr is a terminal, and we are not to be quiet */
        bool quiet;
        bool drawn; /* it stands on the screen now */
        double begun_s, drawn_s;
        size_t files, files_all;
        int64_t bytes, bytes_all;
        size_t replaced; /* workers */
};

#define BAR_TICK_MS 100

void bar_init(struct bar *bar, bool quiet);
void bar_draw(struct bar *bar);  /* if it is time to */
void bar_clear(struct bar *bar); /* the line is as it was before */
void bar_summary(struct bar *bar, const struct options *options);

/* A line on stderr, above the bar. */
void bar_say(struct bar *bar, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A name as it may stand in such a line: nothing in it moves the cursor.  Valid until the next call. */
const char *printable(const char *name);

/* --- interrupt.c ---------------------------------------------------------------------------------- */

/* From here on SIGINT, SIGTERM and SIGHUP wait in a descriptor instead of ending us.  The descriptor, or -errno. */
int interrupt_init(void);
int interrupt_seen(void);    /* the number of the signal that came, or 0 */
void interrupt_fini(void);   /* they end us again */
void interrupt_follow(void); /* end now as that signal would have ended us */

/* --- walk.c --------------------------------------------------------------------------------------- */

/* Find every regular file under the directories; symbolic links are not followed.  -ENOMEM; -EINTR: interrupted. */
int walk(char **dirs, struct files *files, struct bar *bar);

/* --- worker.c ------------------------------------------------------------------------------------- */

/* A message to a worker is a row of these, each followed by its path with its NUL; an empty one means: end. */
struct task {
        uint64_t index;
        uint64_t path_bytes;
};

/* A worker's message: how far it is with a file, or, with `last`, what came of it. */
struct result {
        uint64_t index;
        int64_t hashed;  /* bytes so far */
        uint32_t serial; /* of the worker */
        int32_t error;   /* errno */
        int32_t last;
        uint8_t digest[DIGEST_BYTES];
};

/* The target.  Arguments: the worker's queue of tasks, the queue of results for all, the worker's serial number. */
int worker(mproc_args *args);

/* --- crew.c --------------------------------------------------------------------------------------- */

/* Hash them all.  -EINTR: interrupted.  Other failures were told of on stderr. */
int crew_run(const struct options *options, struct files *files, struct bar *bar, int interrupt_fd);

/* --- sums.c --------------------------------------------------------------------------------------- */

/* Print what sha256sum would, for all files that are done.  -errno: stdout could not be written. */
int sums_print(const struct files *files);

#endif
