/* SPDX-License-Identifier: MIT */
/*
 * start/boot.h - what an exec'd or fork-served child is told before its target runs.
 *
 * One message on the channel, put there before the child exists, so that nobody
 * waits for anybody: who it is, the settings it inherits, the target's name, the
 * arguments.  Behind it the stash.  docs/wire.md has the fields.
 */
#ifndef MPROC_START_BOOT_H
#define MPROC_START_BOOT_H

#include "start/start.h"

/*
 * Make a channel, put the message and the stash into it.  *ret_ours stays with
 * the parent, *ret_childs goes to the child.  server: the fork server's socket or
 * -1.  With words: MPROC_ETARGET, -EMFILE, -ENOMEM, ...
 */
int mproc__boot_prepare(const struct mproc__launch *launch, const char *method, int beacon, int server, int *ret_ours,
                        int *ret_childs);

/* What the child makes of it. */
struct mproc__boot {
        mproc_main_fn *target;
        mproc_args *args;
        bool die_with_parent;
        bool keep_signals;
        uint64_t signal_mask; /* the parent's, to be kept */
        const char *directory; /* the parent's working directory; NULL if it has none */
};

/*
 * Receive it, and become who it says (start/self.c).  On failure *reterr_step
 * names the step, and words are set.  The stash lies behind it, and is not taken out.
 */
int mproc__boot_receive(int channel, struct mproc__boot *ret_boot, const char **reterr_step);

#endif
