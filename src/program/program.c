/* SPDX-License-Identifier: MIT */
/*
 * program/program.c - this process's beacon.
 *
 * Runs in: every process of a program.
 * Owns: the descriptor of the beacon, for the life of the process.
 */
#include "program/program.h"
#include "core/error.h"
#include "core/locks.h"
#include "core/log.h"
#include "platform/platform.h"
#include "platform/store.h"
#include "program/beacon.h"
#include "program/names.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Written once under MPROC__LOCK_PROGRAM, before `ready` is set; then only read.
 * `take` is set while the process has one thread.  A forked child has them all as they were.
 */
static struct {
        atomic_bool ready;
        atomic_bool named; /* the beacon has its name, or had it: see mproc__program_name_beacon */
        int fd;
        dev_t dev;
        ino_t ino;
        uid_t owner;
        struct mproc__program_id id;
        int (*take)(int *ret_fd);
} self = { .fd = -1 };

/* A file of /dev/shm, which can have a name later; else anonymous memory, and named objects will say so. */
static int
make_file(void)
{
        int fd = mproc__shm_unnamed();

        if (fd < 0) {
                int r = mproc__plat_memfd("mproc-beacon", &fd);

                if (r < 0)
                        return r;
        }
        return fd;
}

static int
make_beacon(int *ret_fd, struct mproc__program_id *ret_id)
{
        int fd = make_file();
        int r;

        if (fd < 0)
                return mproc__fail_errno(-fd, "cannot make the file that holds this program together");
        r = mproc__beacon_init(fd, ret_id);
        if (r == -ENOSPC) { /* /dev/shm is full; memory is not */
                mproc__store_discard(fd);
                mproc__plat_close(&fd);
                r = mproc__plat_memfd("mproc-beacon", &fd);
                if (r == 0)
                        r = mproc__beacon_init(fd, ret_id);
        }
        if (r < 0) {
                mproc__store_discard(fd);
                mproc__plat_close(&fd);
                return mproc__fail_errno(-r, "cannot prepare the file that holds this program together%s",
                                         r == -EINVAL ? " (it needs open file description locks, Linux 3.15)" : "");
        }
        *ret_fd = fd;
        return 0;
}

/* What the parent handed over: it belongs to this process now, and must be a beacon. */
static int
take_beacon(int *ret_fd, struct mproc__program_id *ret_id)
{
        struct stat st;
        int fd = -1;
        int r;

        if ((r = self.take(&fd)) < 0)
                return r;
        if (mproc__beacon_check(fd, ret_id, &st) < 0) {
                mproc__plat_close(&fd);
                return mproc__fail(MPROC_EPROGRAM,
                                   "what the parent handed over is not the file that holds the "
                                   "program together: was descriptor closed and used for something else?");
        }
        *ret_fd = fd;
        return 0;
}

static int
join_program_locked(void)
{
        struct mproc__program_id id;
        struct stat st;
        int fd = -1;
        int r;

        r = self.take ? take_beacon(&fd, &id) : make_beacon(&fd, &id);
        if (r < 0)
                return r;
        if (fstat(fd, &st) != 0) {
                r = -errno;
                mproc__plat_close(&fd);
                return mproc__fail_errno(-r, "cannot look at the file that holds this program together");
        }
        self.fd = fd;
        self.dev = st.st_dev;
        self.ino = st.st_ino;
        self.owner = st.st_uid;
        self.id = id;
        atomic_store_explicit(&self.ready, true, memory_order_release);
        return 0;
}

static int
join_program(void)
{
        bool begun = false;
        int r = 0;

        if (atomic_load_explicit(&self.ready, memory_order_acquire))
                return 0;
        mproc__lock(MPROC__LOCK_PROGRAM);
        if (!atomic_load_explicit(&self.ready, memory_order_relaxed)) {
                r = join_program_locked();
                begun = r == 0 && !self.take;
        }
        mproc__unlock(MPROC__LOCK_PROGRAM);
        if (begun && !mproc__store_names_later()) /* files are left there that need no name elsewhere */
                (void)mproc__names_sweep_dead_programs(NULL);
        return r;
}

/*
 * Programs that turn themselves into daemons like to close every descriptor
 * there is.  Then the number may mean another file by now, and writing slots or
 * names into it would destroy somebody's data: so look each time.
 */
int
mproc__program_beacon(int *ret_fd)
{
        struct stat st;
        int r;

        if ((r = join_program()) < 0)
                return r;
        if (fstat(self.fd, &st) != 0 || st.st_dev != self.dev || st.st_ino != self.ino)
                return mproc__fail(MPROC_EPROGRAM,
                                   "descriptor %d, which holds this program's processes together, was closed by "
                                   "other code of this process; whoever closes all descriptors must do so before "
                                   "he uses mproc",
                                   self.fd);
        *ret_fd = self.fd;
        return 0;
}

int
mproc__program_need_beacon(void)
{
        static atomic_bool there;
        int beacon, r;

        if (atomic_load_explicit(&there, memory_order_relaxed))
                return 0;
        if ((r = mproc__program_beacon(&beacon)) < 0)
                return r;
        atomic_store_explicit(&there, true, memory_order_relaxed);
        return 0;
}

int
mproc__program_identity(struct mproc__program_id *ret_id)
{
        int r;

        if ((r = join_program()) < 0)
                return r;
        *ret_id = self.id;
        return 0;
}

bool
mproc__program_is(const struct mproc__program_id *id)
{
        if (!self.take && !atomic_load_explicit(&self.ready, memory_order_acquire))
                return false;
        return join_program() == 0 && mproc__program_id_equal(&self.id, id);
}

bool
mproc__program_owns_file(dev_t dev, ino_t ino)
{
        return atomic_load_explicit(&self.ready, memory_order_acquire) && dev == self.dev && ino == self.ino;
}

/*
 * The system decides between siblings that do this at the same moment.  -ENOENT
 * means that the name was there and somebody has removed it: a file can be given
 * its first name, but not a new one.  The tracker works without; what is lost is
 * the repair after the tracker dies together with everybody else.
 */
int
mproc__program_name_beacon(void)
{
        char path[MPROC__BEACON_PATH_MAX];
        int fd, r;

        if ((r = mproc__program_beacon(&fd)) < 0)
                return r;
        if (atomic_load_explicit(&self.named, memory_order_relaxed))
                return 0;
        mproc__beacon_path(self.owner, &self.id, path);
        if (mproc__store_names_later())
                r = mproc__store_name(fd, path);
        else /* it had its name before anybody had it */
                r = access(path, F_OK) == 0 ? 0 : -errno;
        if (r < 0 && r != -EEXIST) {
                if (r == -EXDEV || r == -EROFS)
                        return mproc__fail(MPROC_EPROGRAM, "named objects need " MPROC__SHM_DIR ", and it could not "
                                                           "be used, or was another one, when this program began");
                if (r != -ENOENT)
                        return mproc__fail_errno(-r, "cannot make %s, which every program with named objects needs",
                                                 path);
                mproc__log(MPROC_LOG_WARNING,
                           "%s was removed by somebody; if this program and its tracker are killed together, its "
                           "named objects will stay",
                           path);
        }
        atomic_store_explicit(&self.named, true, memory_order_relaxed);
        return 0;
}

void
mproc__program_set_source(int (*take)(int *ret_fd))
{
        self.take = take;
}

/*
 * The description is inherited, and with it the program; so is what we know of
 * it.  The locks that this process holds on the beacon as a process (names,
 * start) are held under MPROC__LOCK_PROGRAM, which fork waits for: none was lost.
 */
void
mproc__program_forked(void)
{
}
