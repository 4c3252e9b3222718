/* SPDX-License-Identifier: MIT */
/*
 * program/beacon.c - the beacon's header and locks.
 *
 * Runs in: every process of a program, its tracker, and processes of other
 * programs that clear up.  Owns: nothing; descriptors belong to the caller.
 */
#include "program/beacon.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "platform/store.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/error.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
mproc__program_id_text(const struct mproc__program_id *id, char ret_text[MPROC__ID_TEXT_MAX])
{
        for (size_t i = 0; i < sizeof id->bytes; i++)
                (void)snprintf(ret_text + 2 * i, 3, "%02x", id->bytes[i]);
}

bool
mproc__program_id_equal(const struct mproc__program_id *a, const struct mproc__program_id *b)
{
        return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void
mproc__beacon_path(uid_t owner, const struct mproc__program_id *id, char ret_path[MPROC__BEACON_PATH_MAX])
{
        char text[MPROC__ID_TEXT_MAX];

        mproc__program_id_text(id, text);
        (void)snprintf(ret_path, MPROC__BEACON_PATH_MAX, MPROC__SHM_DIR "/" MPROC__STORE_PREFIX "-%lu.%s", (unsigned long)owner, text);
}

int
mproc__shm_unnamed(void)
{
        return mproc__store_unnamed(MPROC__SHM_DIR);
}

/* Whether it is our file that has the name is settled: nobody else knows the identity. */
static int
name_at_birth(int fd, const struct mproc__program_id *id)
{
        char path[MPROC__BEACON_PATH_MAX];
        int r;

        mproc__beacon_path(geteuid(), id, path);
        if ((r = mproc__store_name(fd, path)) == 0)
                mproc__store_forget_at_exit(fd, path, MPROC__BEACON_NAMES_AT);
        return r;
}

int
mproc__beacon_init(int fd, struct mproc__program_id *ret_id)
{
        struct mproc__beacon_header header = { .magic = MPROC__BEACON_MAGIC,
                                               .version = MPROC__BEACON_VERSION,
                                               .size_bytes = sizeof header };
        ssize_t n;
        int r;

        if ((r = mproc__plat_random(header.id.bytes, sizeof header.id.bytes)) < 0)
                return r;
        if ((r = mproc__memory_check_limit(sizeof header)) < 0)
                return r;
        n = pwrite(fd, &header, sizeof header, 0);
        if (n != (ssize_t)sizeof header)
                return n < 0 ? -errno : -ENOSPC;
        if ((r = mproc__life_hold(fd, MPROC__BEACON_LIFE_BYTE)) < 0)
                return r;
        if (!mproc__store_names_later() && (r = name_at_birth(fd, &header.id)) < 0)
                return r;
        *ret_id = header.id;
        return 0;
}

int
mproc__beacon_check(int fd, struct mproc__program_id *ret_id, struct stat *ret_st)
{
        struct mproc__beacon_header header;

        if (fstat(fd, ret_st) != 0)
                return -errno;
        if (!S_ISREG(ret_st->st_mode) || pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
            memcmp(header.magic, MPROC__BEACON_MAGIC, sizeof header.magic) != 0 ||
            header.version != MPROC__BEACON_VERSION || header.size_bytes != sizeof header)
                return MPROC_ECORRUPT;
        *ret_id = header.id;
        return 0;
}

int
mproc__beacon_reopen(int fd, int *ret_fd)
{
        char path[MPROC__BEACON_PATH_MAX];
        struct mproc__program_id id;
        struct stat st;
        int r;

        if ((r = mproc__beacon_check(fd, &id, &st)) < 0)
                return r;
        mproc__beacon_path(st.st_uid, &id, path);
        return mproc__store_reopen(fd, path, ret_fd);
}

int
mproc__beacon_open(const struct mproc__program_id *id, int *ret_fd)
{
        struct mproc__program_id found;
        char path[MPROC__BEACON_PATH_MAX];
        struct stat st;
        int fd, r;

        mproc__beacon_path(geteuid(), id, path);
        fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); /* O_NONBLOCK: it might be a fifo */
        if (fd < 0)
                return -errno;
        r = mproc__beacon_check(fd, &found, &st);
        if (r == 0 && st.st_uid != geteuid())
                r = -EACCES;
        if (r == 0 && !mproc__program_id_equal(id, &found))
                r = MPROC_ECORRUPT;
        if (r < 0) {
                mproc__plat_close(&fd);
                return r;
        }
        *ret_fd = fd;
        return 0;
}

/*
 * The order of the two questions does not matter: a tracker that is being
 * started has the program's own description open until it has its lock, so a
 * program without life whose tracker byte is free will not get a tracker any more.
 */
enum mproc__program_state
mproc__beacon_state(int fd)
{
        switch (mproc__life_look(fd, MPROC__BEACON_LIFE_BYTE)) {
        case MPROC__LIFE_OVER:
                return mproc__beacon_tracked(fd) ? MPROC__PROGRAM_ENDING : MPROC__PROGRAM_DEAD;
        case MPROC__LIFE_CLAIMED:
                return MPROC__PROGRAM_ENDING;
        default:
                return MPROC__PROGRAM_ALIVE;
        }
}

bool
mproc__beacon_tracked(int fd)
{
        return mproc__mark_taken(fd, MPROC__BEACON_TRACKER_BYTE);
}

int
mproc__beacon_claim_tracker(int fd)
{
        return mproc__mark_take(fd, MPROC__BEACON_TRACKER_BYTE);
}

int
mproc__beacon_claim_end(int fd, bool wait)
{
        return mproc__life_claim(fd, MPROC__BEACON_LIFE_BYTE, wait);
}

void
mproc__beacon_release(int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                mproc__life_release(*fd, MPROC__BEACON_LIFE_BYTE);
        errno = saved;
        mproc__plat_close(fd);
}

int
mproc__beacon_lock(int fd, off_t byte)
{
        return mproc__plat_lock_byte(fd, F_SETLKW, F_WRLCK, byte);
}

void
mproc__beacon_unlock(int fd, off_t byte)
{
        int saved = errno;

        (void)mproc__plat_lock_byte(fd, F_SETLK, F_UNLCK, byte);
        errno = saved;
}
