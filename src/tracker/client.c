/* SPDX-License-Identifier: MIT */
/*
 * tracker/client.c - seeing to it that the program has a tracker.
 *
 * Runs in: every process of a program.  Owns: nothing.
 */
#include "core/error.h"
#include "core/locks.h"
#include "core/log.h"
#include "core/point.h"
#include "platform/platform.h"
#include "program/beacon.h"
#include "program/executable.h"
#include "tracker/exit.h"
#include "tracker/tracker.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

/* What is executed says within this time whether it has become the tracker. */
#define START_MS 30000

/* A tracker was seen alive: if there is none any more, it has died. */
static atomic_bool seen;

/* Wait for the process that was spawned; it ends as soon as the tracker has its lock. */
static enum mproc__wait_result
wait_for(pid_t pid, int pidfd, int64_t deadline, struct mproc__exit *ret_exit)
{
        struct pollfd p = { .fd = pidfd, .events = POLLIN };
        enum mproc__wait_result result;

        if (pidfd >= 0)
                (void)mproc__plat_poll(&p, 1, deadline);
        while ((result = mproc__plat_wait(pid, pidfd, ret_exit)) == MPROC__WAIT_RUNNING &&
               !mproc__deadline_passed(deadline))
                mproc__plat_sleep_ns(1000000); /* no pidfds here */
        return result;
}

static int
fail_start(const struct mproc__exit *exit, const char *path)
{
        const char *step = mproc__tracker_exit_text(exit->exitcode);

        if (exit->exitcode < 0)
                return mproc__fail(MPROC_EPROGRAM, "the tracker was killed by signal %d while it started",
                                   -exit->exitcode);
        if (step)
                return mproc__fail(MPROC_EPROGRAM, "the tracker could not start: it failed to %s", step);
        return mproc__fail(MPROC_EPROGRAM,
                           "%s ended with code %d instead of becoming the tracker: does its main() call mproc_init first?",
                           path ? path : "the running executable", exit->exitcode);
}

/* The status is only good for words: somebody else may have reaped it.  What counts is the tracker's lock. */
static int
await_tracker(int beacon, const char *path, pid_t pid, int pidfd, bool *ret_killed)
{
        struct mproc__exit exit = { .exitcode = 0 };

        if (wait_for(pid, pidfd, mproc__deadline(START_MS), &exit) == MPROC__WAIT_RUNNING) {
                (void)(pidfd >= 0 ? mproc__plat_pidfd_signal(pidfd, SIGKILL) : kill(pid, SIGKILL));
                (void)wait_for(pid, pidfd, mproc__deadline(START_MS), &exit);
                return mproc__fail(MPROC_EPROGRAM,
                                   "%s did not become the tracker within %d s: does its main() call mproc_init first?",
                                   path ? path : "the running executable", START_MS / 1000);
        }
        if (mproc__beacon_tracked(beacon))
                return 0;
        *ret_killed = exit.exitcode == -SIGKILL || exit.exitcode == MPROC__TRACKER_BORN;
        return fail_start(&exit, path);
}

static int
spawn_tracker(int beacon, const char *path, const char *name, bool *ret_killed)
{
        char *argv[] = { (char *)(uintptr_t)name, (char *)(uintptr_t)MPROC__ARG_TRACKER, NULL };
        struct mproc__plat_spawn spawn = { .path = path, .argv = argv, .fd3 = beacon, .ignore_signals = true };
        int pidfd = -1;
        pid_t pid;
        int r;

        r = mproc__plat_spawn(&spawn, &pid, &pidfd);
        if (r < 0)
                return mproc__fail(MPROC_EPROGRAM, "the tracker could not be started: %s of %s: %s", spawn.reterr_step,
                                   path ? path : "the running executable", mproc_strerror(r));
        MPROC_POINT("tracker.start.spawned");
        r = await_tracker(beacon, path, pid, pidfd, ret_killed);
        mproc__plat_close(&pidfd);
        return r;
}

/*
 * One at a time: the lock of this process against its threads, the byte's
 * against other processes.  Nobody waits here for a process that is gone, for its
 * lock went with it.  If two got through all the same, the second tracker would find
 * the first and end.  The spawning does not fork() and takes no lock of ours.
 */
static int
start_tracker(int beacon, const char *path, const char *name, bool *ret_started)
{
        bool killed = false;
        int r;

        mproc__lock(MPROC__LOCK_PROGRAM);
        if ((r = mproc__beacon_lock(beacon, MPROC__BEACON_START_BYTE)) < 0) {
                mproc__unlock(MPROC__LOCK_PROGRAM);
                return mproc__fail_errno(-r, "cannot lock the file that holds this program together");
        }
        if (!mproc__beacon_tracked(beacon)) {
                r = spawn_tracker(beacon, path, name, &killed);
                if (r < 0 && killed) /* as good as a tracker that is killed later: the next one takes its place */
                        r = spawn_tracker(beacon, path, name, &killed);
                *ret_started = r == 0;
        }
        mproc__beacon_unlock(beacon, MPROC__BEACON_START_BYTE);
        mproc__unlock(MPROC__LOCK_PROGRAM);
        return r;
}

static void
tell_started(void)
{
        if (atomic_load_explicit(&seen, memory_order_relaxed))
                mproc__log(MPROC_LOG_WARNING,
                           "the tracker has died; another one was started, which knows all it knew");
        else
                mproc__log(MPROC_LOG_DEBUG, "started the tracker");
}

int
mproc__tracker_ensure(int *ret_beacon)
{
        bool started = false;
        const char *name;
        char *path;
        int beacon, r;

        if ((r = mproc__program_beacon(&beacon)) < 0)
                return r;
        if (!mproc__beacon_tracked(beacon)) {
                if ((r = mproc__executable_acquire(&path, &name)) < 0)
                        return r;
                r = start_tracker(beacon, path, name, &started);
                mproc__executable_release(path);
                if (r < 0)
                        return r;
                if (started)
                        tell_started();
        }
        atomic_store_explicit(&seen, true, memory_order_relaxed);
        *ret_beacon = beacon;
        return 0;
}
