/* SPDX-License-Identifier: MIT */
/*
 * start/spawn.c - the start method "spawn": the program's executable again, afresh.
 *
 * Runs in: parent.  Owns: nothing after it returns.
 */
#include "core/error.h"
#include "platform/platform.h"
#include "program/executable.h"
#include "program/program.h"
#include "start/boot.h"
#include "start/channel.h"
#include "start/forkserver.h"
#include "tracker/tracker.h"

#include <string.h>

static int
execute(const struct mproc__launch *launch, int channel, struct mproc__started *ret)
{
        char argument[] = MPROC__ARG_CHILD, *path;
        const char *own_name;
        struct mproc__plat_spawn spawn = { .fd3 = channel, .keep_signals = launch->keep_signals };
        int r = mproc__executable_acquire(&path, &own_name);

        if (r < 0)
                return r;
        char *argv[] = { (char *)(uintptr_t)own_name, argument, (char *)(uintptr_t)launch->name, NULL };
        spawn.path = path;
        spawn.argv = argv;
        r = mproc__plat_spawn(&spawn, &ret->pid, &ret->pidfd);
        if (r < 0)
                mproc__fail_errno(-r, "starting %s by spawn: %s of %s", launch->name, spawn.reterr_step,
                                  path ? path : "the running executable");
        mproc__executable_release(path);
        return r;
}

/*
 * Everything the child needs lies in its channel before it exists: whatever is
 * wrong with the arguments is told while nothing has to be undone, and nobody waits.
 */
static int
start(const struct mproc__launch *launch, struct mproc__started *ret)
{
        int beacon, server = -1, ours = -1, childs = -1;
        int r;

        if ((r = mproc__tracker_ensure(&beacon)) < 0 || (r = mproc__forkserver_socket(&server)) < 0)
                return r;
        r = mproc__boot_prepare(launch, "spawn", beacon, server, &ours, &childs);
        mproc__plat_close(&server);
        if (r < 0)
                return r;
        if ((r = execute(launch, childs, ret)) == 0) {
                mproc__channel_note(ret->pidfd);
                ret->channel = ours;
                ret->ours = true;
                ret->announces = true;
                ours = -1;
        }
        mproc__channel_close(&childs);
        mproc__channel_close(&ours);
        return r;
}

const struct mproc__start_method mproc__start_spawn = { .name = "spawn", .carries = true, .start = start };
