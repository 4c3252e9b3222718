/* SPDX-License-Identifier: MIT */
/*
 * tracker/publish.c - giving a named object its name.
 *
 * Runs in: every process of a program.  Owns: nothing; the descriptor stays the caller's.
 *
 * The function is declared in program/names.h, with its siblings; it stands here
 * because it sees to it first that a tracker lives.
 */
#include "core/error.h"
#include "core/locks.h"
#include "core/log.h"
#include "core/point.h"
#include "platform/platform.h"
#include "platform/store.h"
#include "program/table.h"
#include "tracker/tracker.h"

#include <errno.h>
#include <stdatomic.h>

/* How long a name may take to become free whose program is dead and whose tracker is at work. */
#define ENDING_MS 5000

/* Look once in a process's life: what is left by then is in nobody's way, or found when it is. */
static atomic_bool swept;

static void
tell_removed(int removed)
{
        if (removed > 0)
                mproc__log(MPROC_LOG_INFO, "removed %d name%s that a dead program of this user had left", removed,
                           removed == 1 ? "" : "s");
}

/*
 * The record, then the name, without anybody changing the table in between: a
 * sibling that looks for records out of date would take ours for one while the
 * file has no name yet.  Killed before the record: nothing.  After it: a record that
 * means nothing.  After the link: an object that is tracked.
 */
static int
record_and_link(int beacon, enum mproc__name_kind kind, const char *name, const struct mproc__object_id *object,
                int fd)
{
        char path[MPROC__NAMED_PATH_MAX];
        off_t at;
        int r;

        mproc__named_path(kind, name, path);
        mproc__lock(MPROC__LOCK_PROGRAM);
        if ((r = mproc__beacon_lock(beacon, MPROC__BEACON_NAMES_BYTE)) == 0) {
                if ((r = mproc__table_add(beacon, kind, name, object, &at)) == 0) {
                        MPROC_POINT("names.publish.recorded");
                        if ((r = mproc__store_name(fd, path)) < 0)
                                mproc__table_erase(beacon, at);
                        MPROC_POINT("names.publish.linked");
                }
                mproc__beacon_unlock(beacon, MPROC__BEACON_NAMES_BYTE);
        }
        mproc__unlock(MPROC__LOCK_PROGRAM);
        return r;
}

static int
fail_taken(enum mproc__name_kind kind, const char *name, int look)
{
        const char *text = mproc__name_kind_text(kind);

        if (look == -EACCES)
                return mproc__fail(-EEXIST, "the name \"%s\" is taken: another user has a %s of that name", name,
                                   text);
        if (look == MPROC_ECORRUPT)
                return mproc__fail(-EEXIST, "the name \"%s\" is taken by a file that is not a %s of mproc", name,
                                   text);
        return mproc__fail(-EEXIST, "a %s named \"%s\" exists already: attach to it, or unlink it first", text, name);
}

/*
 * The name is taken.  By a dead program?  Then it is free soon, or now.  0: try again.
 * -EEXIST with words otherwise.  *tries: how often an object without a living or
 * ending program was found; once may be the last moment of an end, twice is none.
 */
static int
settle_taken(enum mproc__name_kind kind, const char *name, int64_t deadline, int *tries)
{
        struct mproc__named_header header;
        enum mproc__program_state state;
        int removed = 0;
        int r;

        r = mproc__named_look(kind, name, &header);
        if (r == -ENOENT)
                return mproc__deadline_passed(deadline) ? fail_taken(kind, name, 0) : 0;
        if (r < 0)
                return fail_taken(kind, name, r);
        state = mproc__names_settle(&header.program, &removed);
        tell_removed(removed);
        if (state == MPROC__PROGRAM_ALIVE || mproc__deadline_passed(deadline))
                return fail_taken(kind, name, 0);
        if (state == MPROC__PROGRAM_DEAD && ++*tries > 1)
                return fail_taken(kind, name, 0);
        if (state == MPROC__PROGRAM_ENDING) /* its tracker has been woken and needs a moment */
                mproc__plat_sleep_ns(1000000);
        return 0;
}

static int
publish(int beacon, enum mproc__name_kind kind, const char *name, int fd)
{
        struct mproc__named_header header;
        int64_t deadline = mproc__deadline(ENDING_MS);
        int tries = 0;
        int r;

        if (mproc__named_header_read(fd, &header) < 0 || header.kind != (uint32_t)kind)
                return mproc__fail(-EINVAL, "the file for \"%s\" was not prepared as one for a %s", name,
                                   mproc__name_kind_text(kind));
        while ((r = record_and_link(beacon, kind, name, &header.object, fd)) == -EEXIST)
                if ((r = settle_taken(kind, name, deadline, &tries)) < 0)
                        return r;
        if (r < 0)
                return mproc__fail_errno(-r, "cannot give the %s its name \"%s\"", mproc__name_kind_text(kind), name);
        return 0;
}

static int
track_and_publish(enum mproc__name_kind kind, const char *name, int fd)
{
        int beacon, r;

        if ((r = mproc__name_check(name)) < 0)
                return r;
        if ((r = mproc__tracker_ensure(&beacon)) < 0) {
                mproc__fail_prefix("%s is a name, and names need the tracker: ", name);
                return r;
        }
        if ((r = mproc__program_name_beacon()) < 0)
                return r;
        if (!atomic_exchange_explicit(&swept, true, memory_order_relaxed))
                tell_removed(mproc__names_sweep_dead_programs(NULL));
        return publish(beacon, kind, name, fd);
}

int
mproc__named_publish(enum mproc__name_kind kind, const char *name, int fd)
{
        int r = track_and_publish(kind, name, fd);

        if (r < 0)
                mproc__store_discard(fd);
        return r;
}
