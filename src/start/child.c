/* SPDX-License-Identifier: MIT */
/*
 * start/child.c - the life of a child.
 *
 * Runs in: child.
 * Owns: the channel to the parent (in mproc__self) and, in an exec'd child, the
 * arguments.
 */
#include "start/child.h"
#include "core/error.h"
#include "platform/platform.h"
#include "start/boot.h"
#include "start/destructors.h"
#include "start/entry.h"
#include "start/status.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
        mproc_main_fn *target;
        bool forked;   /* the handlers that its parent gave to atexit() are in its memory, and not to be run */
        bool watched;  /* exiting() will be called by exit() */
        bool returned; /* not by exit(): exitcode says with what */
        int exitcode;
        _Atomic bool told; /* how it ended is already on the channel */
} child;

static void
tell_end(int exitcode, int error, const char *step, const char *text)
{
        struct mproc__status s = { .kind = MPROC__STATUS_ENDED, .code = error, .exitcode = exitcode };

        if (atomic_exchange(&child.told, true))
                return;
        if (mproc__self.board)
                mproc__board_tell(mproc__self.board, &s, step, text);
        else
                mproc__status_send(mproc__self.channel, &s, step, text, -1);
}

/*
 * What __fpending(3) and __fbufsize(3) tell, as a rule without the page faults of going to either of them: glibc's
 * header shows the fields, which stdio's macros once read; a stream of wide characters has others.
 */
static bool
holds_output(FILE *stream)
{
#ifdef __GLIBC__
        if (stream->_mode <= 0)
                return stream->_IO_write_ptr > stream->_IO_write_base;
#endif
        return __fpending(stream) > 0;
}

static bool
has_buffer(FILE *stream)
{
#ifdef __GLIBC__
        if (stream->_mode <= 0)
                return stream->_IO_buf_end != stream->_IO_buf_base;
#endif
        return __fbufsize(stream) > 0;
}

/* Does no stream of this process hold output?  For a process with one thread; false when in doubt. */
static bool
nothing_held(void)
{
#ifdef __GLIBC__
        extern FILE *_IO_list_all __attribute__((weak)); /* of libc's interface for debuggers, as old as that */

        if (!&_IO_list_all)
                return false;
        for (FILE *stream = _IO_list_all; stream; stream = stream->_chain)
                if (holds_output(stream))
                        return false;
        return true;
#else
        return false;
#endif
}

/* The standard streams only: buffers of other streams may hold what the parent is going to write. */
static void
flush_streams(void)
{
        if (holds_output(stdout))
                (void)fflush(stdout);
        if (holds_output(stderr))
                (void)fflush(stderr);
}

static void leave_forked(int exitcode) __attribute__((noreturn));

static void
leave_forked(int exitcode)
{
        if (mproc__start_hooks.finish)
                mproc__start_hooks.finish();
        flush_streams();
        _exit(exitcode);
}

/*
 * All that exit() would do with streams.  A thread that sits in a read has its stream locked,
 * which exit() would not wait for; and what was read ahead of stdin, exit() gives back.
 */
static bool
flush_all(void)
{
        if (!mproc__plat_single_threaded() || has_buffer(stdin))
                return false;
        if (!nothing_held())
                (void)fflush(NULL);
        return true;
}

/*
 * exit() calls its handlers in the reverse order of their registration, so this one, the
 * first that a child registers, comes after all others of the child, and in a
 * forked one before all that it inherited, which are never reached.  The fork server has
 * registered it for its children: where nothing else was there before, they are done.
 * The parent learns the exit code even if somebody else takes the status from the system.
 */
static void
exiting(int exitcode, void *arg)
{
        (void)arg;
        tell_end(exitcode & 0xff, 0, "exit", NULL);
        if (child.forked)
                leave_forked(exitcode);
        if (mproc__destructors_none() && flush_all())
                mproc__plat_newborn_exit(exitcode);
}

#ifdef __GLIBC__
static void
watch_exit(void)
{
        child.watched = on_exit(exiting, NULL) == 0;
}
#else
/* Without on_exit(), the argument of a call of exit() is not known here: only of a child that returned. */
static void
exiting_without_code(void)
{
        if (child.returned)
                exiting(child.exitcode, NULL);
}

static void
watch_exit(void)
{
        child.watched = atexit(exiting_without_code) == 0;
}
#endif

void
mproc__child_watch_exit(void)
{
        if (!child.watched)
                watch_exit();
}

static void end_child(int exitcode) __attribute__((noreturn));

static void
end_child(int exitcode)
{
        child.exitcode = exitcode;
        child.returned = true;
        if (child.forked && !child.watched)
                leave_forked(exitcode);
        exit(exitcode);
}

/* An argument is not what the target wants: the words are set, put the target's name in front. */
static void
argument_failed(int code)
{
        char name[128];

        mproc__entry_describe((mproc__function *)child.target, name, sizeof name);
        mproc__fail_prefix("target %s: ", name);
        tell_end(1, code, "argument", mproc_last_error());
        end_child(1);
}

/* Apart, since its texts would have every child use more of the stack. */
static __attribute__((noinline)) void
tell_wrong_result(mproc_main_fn *target, int r)
{
        char name[128], text[MPROC__ERROR_TEXT_MAX];

        mproc__entry_describe((mproc__function *)target, name, sizeof name);
        if (r < 0 && mproc__fail_code() == r)
                (void)snprintf(text, sizeof text, "target %s returned %s: %.330s", name, mproc_error_name(r),
                               mproc_last_error());
        else if (r < 0)
                (void)snprintf(text, sizeof text, "target %s returned %s: %s", name, mproc_error_name(r),
                               mproc_strerror(r));
        else
                (void)snprintf(text, sizeof text, "target %s returned %d: an exit code is 0 to 255", name, r);
        tell_end(1, r < 0 ? r : -ERANGE, "run", text);
}

static int
run(mproc_main_fn *target, mproc_args *args)
{
        int r;

        child.target = target;
        mproc__args_set_failure(argument_failed);
        mproc__child_watch_exit();
        r = target(args);
        if (r >= 0 && r <= 255) {
                tell_end(r, 0, NULL, NULL);
                return r;
        }
        tell_wrong_result(target, r);
        return 1;
}

static void
start_failed(const char *step, int code)
{
        struct mproc__status s = {
                .kind = MPROC__STATUS_FAILED, .pid = (int32_t)mproc__plat_newborn_pid(), .code = code, .exitcode = 1
        };

        atomic_store(&child.told, true);
        mproc__status_send(mproc__self.channel, &s, step, mproc_last_error(), -1);
        exit(1);
}

/* exec put caught signals back to default, and the mask was full up to here. */
static void
set_mask(const struct mproc__boot *boot)
{
        mproc__plat_newborn_mask(boot->keep_signals ? boot->signal_mask : 0);
}

/*
 * A child that was executed stands where its parent does, and perhaps may not come there
 * again, or by that name; one of the fork server stands where the server does.
 */
static int
go_to(const char *directory)
{
        if (!directory || mproc__plat_newborn_stands_in(directory) || chdir(directory) == 0)
                return 0;
        return mproc__fail_errno(errno, "going to the parent's working directory %s", directory);
}

void
mproc__child_main(int channel)
{
        struct mproc__boot boot = { 0 };
        struct mproc__status running = { .kind = MPROC__STATUS_RUNNING, .pid = (int32_t)mproc__plat_newborn_pid() };
        const char *step;
        int r, exitcode;

        mproc__self.channel = channel;
        if ((r = mproc__boot_receive(channel, &boot, &step)) < 0)
                start_failed(step, r);
        if ((r = go_to(boot.directory)) < 0)
                start_failed("chdir", r);
        if (boot.die_with_parent && (r = mproc__plat_die_with_peer(channel)) < 0)
                start_failed("parent", mproc__fail_errno(-r, "tying this process's life to its parent's"));
        set_mask(&boot);
        mproc__plat_set_process_name(mproc__self.name);
        mproc__status_send(channel, &running, NULL, NULL, -1);
        exitcode = run(boot.target, boot.args);
        mproc__args_free(boot.args);
        end_child(exitcode);
}

void
mproc__child_run_forked(const struct mproc__launch *launch)
{
        int r;

        child.forked = true;
        child.returned = false;
        child.watched = false; /* an exec'd parent's watch comes after the handlers that it registered since */
        atomic_store(&child.told, false);
        mproc__fail_forget();
        if (launch->die_with_parent && (r = mproc__plat_die_with_peer(mproc__self.channel)) < 0) {
                mproc__fail_errno(-r, "tying this process's life to its parent's");
                tell_end(1, r, "parent", mproc_last_error());
                end_child(1);
        }
        end_child(run(launch->target, launch->args));
}
