/* SPDX-License-Identifier: MIT */
/*
 * program/names.c - named objects as files: making, opening, removing.
 *
 * Runs in: every process of a program; removing also in its tracker and in
 * processes of other programs that clear up.
 * Owns: nothing; descriptors belong to the caller.
 *
 * The name /jobs of a semaphore is the file /dev/shm/mproc.sem.jobs.
 */
#include "program/names.h"
#include "core/error.h"
#include "core/locks.h"
#include "core/point.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "platform/store.h"
#include "program/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
        const char *prefix;
        const char *text;
} kinds[] = {
        [MPROC__NAME_SEMAPHORE] = { "sem", "semaphore" },
        [MPROC__NAME_SHM] = { "shm", "shared memory" },
};

const char *
mproc__name_kind_text(uint32_t kind)
{
        return kind < sizeof kinds / sizeof *kinds ? kinds[kind].text : NULL;
}

void
mproc__named_path(enum mproc__name_kind kind, const char *name, char ret_path[MPROC__NAMED_PATH_MAX])
{
        (void)snprintf(ret_path, MPROC__NAMED_PATH_MAX, MPROC__SHM_DIR "/" MPROC__STORE_PREFIX ".%s.%s", kinds[kind].prefix, name + 1);
}

int
mproc__name_check(const char *name)
{
        size_t len;

        if (!name)
                return mproc__fail(-EINVAL, "no name given (NULL): it begins with '/' and has 1 to %d bytes more",
                                   MPROC__NAME_MAX - 1);
        len = strnlen(name, MPROC__NAME_MAX + 1);
        if (name[0] != '/')
                return mproc__fail(-EINVAL, "name \"%.*s\" does not begin with '/'", MPROC__NAME_MAX, name);
        if (len == 1)
                return mproc__fail(-EINVAL, "name \"/\" has nothing after the '/'");
        if (len > MPROC__NAME_MAX)
                return mproc__fail(-EINVAL, "name \"%.40s...\" is too long: at most %d bytes after the '/'", name,
                                   MPROC__NAME_MAX - 1);
        if (strchr(name + 1, '/'))
                return mproc__fail(-EINVAL, "name \"%s\" has a second '/': names lie in one directory", name);
        return 0;
}

/* --- making ----------------------------------------------------------------------------------- */

/*
 * All its memory is claimed now: where /dev/shm is full this is an error here, and
 * not a SIGBUS in whoever touches the object first.
 */
static int
reserve(int fd, size_t len)
{
        int r;

        if ((r = mproc__memory_check_limit(len)) < 0)
                return r;
        do
                r = fallocate(fd, 0, 0, (off_t)len) == 0 ? 0 : -errno;
        while (r == -EINTR);
        if (r == -EOPNOTSUPP || r == -ENOSYS)
                r = ftruncate(fd, (off_t)len) == 0 ? 0 : -errno;
        return r;
}

static int
write_header(int fd, enum mproc__name_kind kind, size_t len, const struct mproc__program_id *program)
{
        struct mproc__named_header header = { .magic = MPROC__NAMED_MAGIC,
                                              .version = MPROC__NAMED_VERSION,
                                              .kind = kind,
                                              .program = *program,
                                              .size_bytes = len };
        int r;

        if ((r = mproc__plat_random(header.object.bytes, sizeof header.object.bytes)) < 0)
                return r;
        if (pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
                return -errno;
        return 0;
}

int
mproc__named_prepare(enum mproc__name_kind kind, size_t len, int *ret_fd)
{
        struct mproc__program_id program;
        int fd, r;

        if (len < MPROC__NAMED_HEADER_BYTES)
                return mproc__fail(-EINVAL, "a named object has at least %d bytes", MPROC__NAMED_HEADER_BYTES);
        if ((r = mproc__program_identity(&program)) < 0)
                return r;
        if ((fd = mproc__shm_unnamed()) < 0)
                return mproc__fail_errno(-fd, "cannot make a file in " MPROC__SHM_DIR ", where named objects live");
        if ((r = reserve(fd, len)) < 0 || (r = write_header(fd, kind, len, &program)) < 0) {
                mproc__store_discard(fd);
                mproc__plat_close(&fd);
                return mproc__fail_errno(-r, "no room for %zu bytes of a named %s in " MPROC__SHM_DIR, len,
                                         kinds[kind].text);
        }
        *ret_fd = fd;
        return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

int
mproc__named_header_read(int fd, struct mproc__named_header *ret)
{
        struct stat st;

        if (fstat(fd, &st) != 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || pread(fd, ret, sizeof *ret, 0) != (ssize_t)sizeof *ret ||
            memcmp(ret->magic, MPROC__NAMED_MAGIC, sizeof ret->magic) != 0 || ret->version != MPROC__NAMED_VERSION)
                return MPROC_ECORRUPT;
        if (ret->kind == MPROC__NAME_SHM) /* it may have grown */
                return ret->size_bytes <= (uint64_t)st.st_size ? 0 : MPROC_ECORRUPT;
        return ret->size_bytes == (uint64_t)st.st_size ? 0 : MPROC_ECORRUPT;
}

/*
 * Open what has this name.  No link is followed, since anybody may put one
 * into /dev/shm, and a fifo must not make us wait.  A thing of another type is "corrupt".
 */
static int
open_path(const char *path, int mode)
{
        int fd = open(path, mode | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

        if (fd >= 0)
                return mproc__plat_off_streams(fd);
        return errno == ELOOP || errno == ENXIO || errno == EISDIR || errno == ENODEV ? MPROC_ECORRUPT : -errno;
}

int
mproc__named_look(enum mproc__name_kind kind, const char *name, struct mproc__named_header *ret_header)
{
        char path[MPROC__NAMED_PATH_MAX];
        int fd, r;

        mproc__named_path(kind, name, path);
        if ((fd = open_path(path, O_RDONLY)) < 0)
                return fd;
        r = mproc__named_header_read(fd, ret_header);
        mproc__plat_close(&fd);
        return r;
}

static int
fail_open(int r, enum mproc__name_kind kind, const char *name)
{
        const char *text = kinds[kind].text;

        if (r == -ENOENT)
                return mproc__fail(r, "there is no %s named \"%s\"", text, name);
        if (r == -EACCES || r == -EPERM)
                return mproc__fail(-EACCES, "the %s \"%s\" belongs to another user", text, name);
        if (r == MPROC_ECORRUPT)
                return mproc__fail(r,
                                   "what lies at " MPROC__SHM_DIR "/" MPROC__STORE_PREFIX ".%s.%s is not a %s of mproc; if it is not "
                                   "needed, remove it by hand",
                                   kinds[kind].prefix, name + 1, text);
        return mproc__fail_errno(-r, "cannot open the %s \"%s\"", text, name);
}

/* A file of this user with a header of this kind?  0, -EACCES, MPROC_ECORRUPT, -errno; no words. */
static int
check_file(int fd, enum mproc__name_kind kind, struct mproc__named_header *ret_header)
{
        struct stat st;
        int r;

        if (fstat(fd, &st) != 0)
                return -errno;
        if (st.st_uid != geteuid())
                return -EACCES;
        if ((r = mproc__named_header_read(fd, ret_header)) < 0)
                return r;
        return ret_header->kind == (uint32_t)kind ? 0 : MPROC_ECORRUPT;
}

int
mproc__named_open(enum mproc__name_kind kind, const char *name, int *ret_fd, size_t *ret_len)
{
        struct mproc__named_header header;
        char path[MPROC__NAMED_PATH_MAX];
        int fd, r;

        if ((r = mproc__name_check(name)) < 0)
                return r;
        mproc__named_path(kind, name, path);
        if ((fd = open_path(path, O_RDWR)) < 0)
                return fail_open(fd, kind, name);
        if ((r = check_file(fd, kind, &header)) < 0) {
                mproc__plat_close(&fd);
                return fail_open(r, kind, name);
        }
        *ret_fd = fd;
        *ret_len = (size_t)header.size_bytes;
        return 0;
}

/* --- removing --------------------------------------------------------------------------------- */

static int
lock_file(int fd)
{
        while (flock(fd, LOCK_EX) != 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

static bool
path_means(const char *path, int fd)
{
        struct stat by_fd, by_path;

        return fstat(fd, &by_fd) == 0 && fstatat(AT_FDCWD, path, &by_path, AT_SYMLINK_NOFOLLOW) == 0 &&
               by_fd.st_dev == by_path.st_dev && by_fd.st_ino == by_path.st_ino;
}

/*
 * Open the file and hold it in its place.  Two removers that only looked and
 * then unlinked could do this: A and B look at file X; A unlinks it; somebody
 * creates Y under the same name; B unlinks Y.  Here whoever removes X has X locked, so
 * while we have the lock and the path means X it goes on meaning X: no remover
 * can take X away, and no creator can put Y where X is.  The lock is nobody
 * else's business: users of the object never take it.
 */
static int
open_and_hold(const char *path, int *ret_fd)
{
        for (;;) {
                int fd = open_path(path, O_RDONLY);
                int r;

                if (fd < 0)
                        return fd;
                if ((r = lock_file(fd)) < 0) {
                        mproc__plat_close(&fd);
                        return r;
                }
                if (path_means(path, fd)) {
                        *ret_fd = fd;
                        return 0;
                }
                mproc__plat_close(&fd); /* removed before we had the lock: see what is there now */
        }
}

/* The lock is given up in words: a child forked at this moment by another thread would keep it. */
static void
let_go(int *fd)
{
        (void)flock(*fd, LOCK_UN);
        mproc__plat_close(fd);
}

int
mproc__named_remove(enum mproc__name_kind kind, const char *name, const struct mproc__program_id *program,
                    const struct mproc__object_id *object)
{
        struct mproc__named_header header;
        char path[MPROC__NAMED_PATH_MAX];
        int fd = -1;
        int r;

        mproc__named_path(kind, name, path);
        if ((r = open_and_hold(path, &fd)) < 0)
                return r == -ENOENT || r == MPROC_ECORRUPT ? 0 : r;
        if (mproc__named_header_read(fd, &header) == 0 && mproc__program_id_equal(&header.program, program) &&
            memcmp(&header.object, object, sizeof header.object) == 0)
                r = unlink(path) == 0 ? 1 : -errno;
        let_go(&fd);
        return r;
}

static int
unlink_held(enum mproc__name_kind kind, const char *path, struct mproc__named_header *ret_header)
{
        int fd = -1;
        int r;

        if ((r = open_and_hold(path, &fd)) < 0)
                return r;
        r = check_file(fd, kind, ret_header);
        if (r == 0 && unlink(path) != 0)
                r = -errno;
        let_go(&fd);
        return r;
}

/*
 * The name first, then the record.  If this process dies in between, or the
 * object is another program's, a record stays that means nothing any more.
 */
int
mproc__named_unlink(enum mproc__name_kind kind, const char *name)
{
        struct mproc__named_header header;
        char path[MPROC__NAMED_PATH_MAX];
        bool ours = false;
        int beacon, r;

        if ((r = mproc__name_check(name)) < 0)
                return r;
        mproc__named_path(kind, name, path);
        mproc__lock(MPROC__LOCK_PROGRAM); /* no child is forked while the file is open here */
        r = unlink_held(kind, path, &header);
        mproc__unlock(MPROC__LOCK_PROGRAM);
        if (r < 0)
                return fail_open(r, kind, name);
        MPROC_POINT("names.unlink.removed");
        ours = mproc__program_is(&header.program);
        if (!ours || mproc__program_beacon(&beacon) < 0)
                return 0;
        mproc__lock(MPROC__LOCK_PROGRAM);
        if (mproc__beacon_lock(beacon, MPROC__BEACON_NAMES_BYTE) == 0) {
                mproc__table_erase_object(beacon, &header.object);
                mproc__beacon_unlock(beacon, MPROC__BEACON_NAMES_BYTE);
        }
        mproc__unlock(MPROC__LOCK_PROGRAM);
        return 0;
}
