/* SPDX-License-Identifier: MIT */
/*
 * grep.h - the parts of mproc-grep and what they share.
 *
 *      main.c       a pool of workers is given batches of files; what they find is printed in order
 *      search.c     what runs in a worker: finds the lines of a batch of files
 *      walk.c       finds the files, sorted by name
 *      options.c    what the command line says
 *      pattern.c    a pattern that can be looked for
 *      translate.c  the regular expressions of grep as PCRE2 writes them
 */
#ifndef GREP_H
#define GREP_H

#include <mproc/mproc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* --- options.c ------------------------------------------------------------------------------------ */

enum { GREP_EXTENDED = 1, GREP_FIXED = 2, GREP_ICASE = 4 };

struct options {
        mproc_context *ctx;
        unsigned workers;
        unsigned flags; /* GREP_... */
        bool quiet;     /* no progress on a terminal */
        char *pattern;
        char **dirs; /* ended by NULL */
};

/* Ends the program for --help (0) and for what it does not understand (2). */
void options_parse(struct options *ret_options, int argc, char **argv);

/* --- text that grows ------------------------------------------------------------------------------- */

struct text {
        char *data;
        size_t len, room;
};

int text_room(struct text *text, size_t more); /* after it, so many bytes can be written at the end.  -ENOMEM */
int text_add(struct text *text, const void *data, size_t len);

/* --- pattern.c, translate.c ------------------------------------------------------------------------ */

struct pattern;

/* A pattern, or NULL with words in error. */
struct pattern *pattern_create(const char *text, unsigned flags, char *error, size_t room);

/* The first match in whole lines, from `from` on: 1, and *ret_at is where it begins; 0: there is none; or negative.
 */
int pattern_find(struct pattern *pattern, const char *lines, size_t len, size_t from, size_t *ret_at);
void pattern_free(struct pattern *pattern);

/* One POSIX regular expression, with what GNU adds, in the language of PCRE2.  NULL, or what is wrong with it. */
const char *translate(const char *from, size_t len, unsigned flags, struct text *to);

/* --- walk.c ---------------------------------------------------------------------------------------- */

/* Called for each file; what cannot be read is told to the other.  Anything but 0 ends the walk. */
typedef int found_fn(const char *path, void *arg);
typedef void unreadable_fn(const char *path, int error, void *arg);

int walk(char **dirs, found_fn *found, unreadable_fn *unreadable, void *arg);

/* --- search.c -------------------------------------------------------------------------------------- */

/* The result of a batch: this, then what goes to standard output, then what goes to standard error. */
struct found {
        uint64_t files, bytes; /* searched */
        uint64_t lines;        /* that match; binary files count as one */
        uint64_t failed;       /* files that could not be read */
        uint64_t out_bytes, err_bytes;
};

enum { SEARCH_NAMES = 1 }; /* write the file's name before each line */

int prepare(mproc_args *args);                            /* the pool's initializer: pattern, its flags, SEARCH_... */
int search_files(mproc_args *args, mproc_result *result); /* the task: paths, each with its NUL */

#endif
