/* SPDX-License-Identifier: MIT */
/*
 * start/self.c - who this process is in its program.
 *
 * Runs in: every process.  Owns: the texts, replaced only in a newborn child, which
 * has one thread.
 */
#define _GNU_SOURCE
#include "start/start.h"
#include "core/error.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char main_name[] = "MainProcess";
static char no_text[] = "";

struct mproc__self mproc__self = {
        .name = main_name,
        .identity = no_text,
        .parent_name = no_text,
        .channel = -1,
};

static _Atomic unsigned children;

static void
release(char *text)
{
        if (text != main_name && text != no_text)
                free(text);
}

int
mproc__self_set(const char *name, const char *identity, const char *method, bool daemon, pid_t parent_pid,
                const char *parent_name, int channel)
{
        struct mproc__self s = {
                .name = strdup(name),
                .identity = strdup(identity),
                .method = strdup(method),
                .daemon = daemon,
                .parent_pid = parent_pid,
                .parent_name = strdup(parent_name),
                .channel = channel,
        };

        if (!s.name || !s.identity || !s.method || !s.parent_name) {
                free(s.name);
                free(s.identity);
                free(s.method);
                free(s.parent_name);
                return mproc__fail(-ENOMEM, "no memory for the name of a new process");
        }
        release(mproc__self.name);
        release(mproc__self.identity);
        release(mproc__self.method);
        release(mproc__self.parent_name);
        mproc__self = s;
        atomic_store(&children, 0);
        return 0;
}

char *
mproc__self_next_identity(void)
{
        unsigned n = atomic_fetch_add(&children, 1) + 1;
        char *text = NULL;

        if (asprintf(&text, "%s%s%u", mproc__self.identity, *mproc__self.identity ? ":" : "", n) < 0)
                return NULL;
        return text;
}
