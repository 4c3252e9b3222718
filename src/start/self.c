/* SPDX-License-Identifier: MIT */
/*
 * start/self.c - who this process is in its program.
 *
 * Runs in: every process.  Owns: nothing; what stands here is set once, in a newborn child, which
 * has one thread; but for an option of the program, which is set at any time.
 */
#include "start/start.h"
#include "program/slot.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mproc__self mproc__self = {
        .name = "MainProcess",
        .identity = "",
        .parent_name = "",
        .channel = -1,
};

_Atomic bool mproc__waits_are_noted;

static _Atomic unsigned children;

void
mproc__self_become(const struct mproc__self *self)
{
        unsigned generation = mproc__self.generation + 1;

        mproc__self = *self;
        mproc__self.generation = generation;
        mproc__slot_call_self(self->name);
        atomic_store(&children, 0);
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
