/* SPDX-License-Identifier: MIT */
/*
 * named_help.h - named objects as the tests beside src/program see them: from inside.
 */
#ifndef NAMED_HELP_H
#define NAMED_HELP_H

#include "support/runner.h"

#include "platform/platform.h"
#include "program/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEM MPROC__NAME_SEMAPHORE

/* This program becomes its own tracker when it is executed for that: mproc_init must come out of the archive. */
__attribute__((used)) static void (*const init)(int, char **) = mproc_init;

/* A name that no other test process uses; static storage, four at a time. */
static inline const char *
name(const char *part)
{
        static char names[4][64];
        static unsigned next;
        char *text = names[next++ % 4];

        (void)snprintf(text, sizeof *names, "/names-test-%d-%s", (int)getpid(), part);
        return text;
}

static inline const char *
path_of(const char *object)
{
        static char paths[4][MPROC__NAMED_PATH_MAX];
        static unsigned next;
        char *path = paths[next++ % 4];

        mproc__named_path(SEM, object, path);
        return path;
}

static inline bool
exists(const char *object)
{
        return access(path_of(object), F_OK) == 0;
}

static inline int
publish(const char *object)
{
        int fd = -1, r;

        CHECK_OK(mproc__named_prepare(SEM, 4096, &fd));
        r = mproc__named_publish(SEM, object, fd);
        close(fd);
        return r;
}

static inline int
beacon(void)
{
        int fd = -1;

        CHECK_OK(mproc__program_beacon(&fd));
        return fd;
}

static inline off_t
beacon_size(void)
{
        struct stat st;

        CHECK(fstat(beacon(), &st) == 0);
        return st.st_size;
}

static inline int
used_records(void)
{
        char record[256];
        int used = 0;

        for (off_t at = MPROC__BEACON_NAMES_AT; pread(beacon(), record, sizeof record, at) == (ssize_t)sizeof record;
             at += (off_t)sizeof record)
                used += record[0] != 0;
        return used;
}

static inline struct mproc__named_header
header_of(const char *object)
{
        struct mproc__named_header header;

        CHECK_OK(mproc__named_look(SEM, object, &header));
        return header;
}

/* A complete object that a program which does not exist has made, in the place of that name. */
static inline struct mproc__named_header
put_strangers_object(const char *object)
{
        struct mproc__named_header header = {
                .magic = MPROC__NAMED_MAGIC, .version = MPROC__NAMED_VERSION, .kind = SEM, .size_bytes = sizeof header
        };
        int fd = open(path_of(object), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK_OK(mproc__plat_random(&header.program, sizeof header.program));
        CHECK_OK(mproc__plat_random(&header.object, sizeof header.object));
        write_all(fd, &header, sizeof header);
        close(fd);
        return header;
}

#endif
