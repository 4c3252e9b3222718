/* SPDX-License-Identifier: MIT */
/*
 * tracker_help.h - programs that tests about named objects talk to.
 *
 * HELPER(program) is a program of its own: it reads a command a line from stdin
 * and answers each with a line.  Its stderr goes where its answers go, so what its
 * tracker says at the end is read there too; and since the tracker holds that
 * pipe until it ends, the end of file says that the tracker is done.
 */
#ifndef TRACKER_HELP_H
#define TRACKER_HELP_H

#include "support/runner.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name for this test alone; free() it. */
static inline char *
own_name(const char *part)
{
        return text_format("/mproc-test-%d-%s", (int)getpid(), part);
}

static inline bool
name_exists(const char *name)
{
        char *path = text_format("/dev/shm/%s.sem.%s", shm_prefix(), name + 1);
        bool found = access(path, F_OK) == 0;

        free(path);
        return found;
}

struct program {
        pid_t pid;
        int in;
        int out;
};

static inline struct program
begin_program(void)
{
        struct program program;

        program.pid = run_helper("program", NULL, &program.in, &program.out);
        return program;
}

/* A command's answer; free() it.  NULL: the program ended instead. */
static inline char *__attribute__((format(printf, 2, 3))) ask(struct program *program, const char *format, ...)
{
        char text[512];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(text, sizeof text - 1, format, ap);
        va_end(ap);
        text[n++] = '\n';
        write_all(program->in, text, (size_t)n);
        return read_line(program->out);
}

/* The same where the answer is a number. */
#define ASK_NUMBER(program, ...) answer_number(ask((program), __VA_ARGS__))
#define ASK_OK(program, ...)     CHECK_INT(ASK_NUMBER(program, __VA_ARGS__), 0)

static inline long
answer_number(char *text)
{
        long number;
        char *end;

        CHECK_MSG(text, "the program has ended");
        number = strtol(text, &end, 10);
        CHECK_MSG(end != text, "the program says: %s", text);
        free(text);
        return number;
}

/* What the program and its tracker have still said, when all of them have ended; free() it. */
static inline char *
last_words(struct program *program)
{
        char *text;

        close(program->in);
        text = read_to_end(program->out, NULL);
        close(program->out);
        return text;
}

static inline void
check_last_words(struct program *program, const char *wanted)
{
        char *text = last_words(program);

        CHECK_STR(text, wanted);
        free(text);
}

/* It returns from main(). */
static inline void
end_program(struct program *program)
{
        ASK_OK(program, "end");
        CHECK_INT(wait_program(program->pid, 30000), 0);
}

static inline void
kill_program(struct program *program)
{
        CHECK(kill(program->pid, SIGKILL) == 0);
        CHECK_INT(wait_program(program->pid, 30000), -SIGKILL);
}

/* "removed 2 leaked semaphores ...": how many of them, and that all these names are told. */
static inline void
check_told(struct program *program, int count, const char *name1, const char *name2)
{
        char *text = last_words(program);
        char *wanted = text_format("mproc: tracker: removed %d leaked semaphore%s of program ", count,
                                   count == 1 ? "" : "s");

        CHECK_CONTAINS(text, wanted);
        CHECK_CONTAINS(text, name1);
        if (name2)
                CHECK_CONTAINS(text, name2);
        CHECK_MSG(strchr(text, '\n') == text + strlen(text) - 1, "more than one line: %s", text);
        free(wanted);
        free(text);
}

#endif
