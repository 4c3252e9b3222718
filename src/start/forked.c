/* SPDX-License-Identifier: MIT */
/*
 * start/forked.c - making the library's state right in a forked child.
 *
 * Runs in: the forking thread, before, and after in both processes; for every
 * fork() of the program, not only for ours.
 * Owns: nothing.
 */
#include "core/locks.h"
#include "core/object.h"
#include "platform/futex.h"
#include "platform/platform.h"
#include "program/program.h"
#include "program/slot.h"
#include "start/channel.h"
#include "start/forkserver.h"
#include "start/stash.h"
#include "start/start.h"

#include <pthread.h>

struct mproc__start_hooks mproc__start_hooks;

static void
prepare(void)
{
        mproc__stash_take(); /* both processes will want it, and the channel is the parent's alone */
        mproc__locks_prepare_fork();
}

static void
in_parent(void)
{
        mproc__locks_parent_after_fork();
}

/*
 * The only thread of a new process.  The channel to the grandparent is not ours:
 * held open here, it would hide our parent's death.
 */
static void
in_child(void)
{
        mproc__locks_child_after_fork();
        mproc__plat_close(&mproc__self.channel);
        mproc__channels_forked(mproc__forking_for_start ? mproc__forking_channel : -1);
        mproc__self.board = NULL;
        mproc__self.parent_pid = 0;
        mproc__board_forked();
        mproc__word_forked();
        mproc__program_forked();
        mproc__slot_forked();
        mproc__forkserver_forked();
        mproc__objects_forked(!mproc__forking_for_start || mproc__forking_keeps_connections);
        if (mproc__start_hooks.forked)
                mproc__start_hooks.forked();
}

__attribute__((constructor)) static void
register_handlers(void)
{
        (void)pthread_atfork(prepare, in_parent, in_child);
}
