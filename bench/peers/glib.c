/* SPDX-License-Identifier: MIT */
/* bench/peers/glib.c - GLib's g_spawn_async as a contender.  Runs in: the workers of the peers. */
#include "peers.h"
#include "worker.h"

#include <glib.h>

static int
spawn_and_wait(GSpawnFlags flags)
{
        GError *error = NULL;
        GPid pid;
        gchar *argv[] = { bench_program, (gchar *)BENCH_ARG_RETURN, NULL };

        if (!g_spawn_async(NULL, argv, NULL, flags | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error)) {
                bench_say("GLib: %s", error->message);
                g_error_free(error);
                return -1;
        }
        return bench_wait(pid, "GLib");
}

int
bench_glib(void)
{
        return spawn_and_wait(G_SPAWN_DEFAULT);
}

int
bench_glib_leave_fds(void)
{
        return spawn_and_wait(G_SPAWN_LEAVE_DESCRIPTORS_OPEN);
}
