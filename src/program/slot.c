/* SPDX-License-Identifier: MIT */
/*
 * program/slot.c - slots: who of the program is who, and who is dead.
 *
 * Runs in: every process of a program.  Owns: this process's slot; in the beacon the
 * records of slots and the locks on their bytes.
 *
 * A slot is taken by a write lock on its byte, which the system drops when the process
 * ends.  Beside it a record tells the slot's generation, and the pid and start time of
 * the last process that had it, and for people what it is called:
 *
 *      generation u32   written by the slot's owner, under the byte's lock, once, when he
 *      pid        u32   takes it: one write, each time with the next generation; read by
 *      start      u64   anybody, without a lock
 *      name  48 bytes
 *
 * A process is dead if its slot has a later generation; or if the byte is free and
 * the pid, too, tells so.  Both have to agree, because a program that closes all its
 * descriptors loses its locks and lives on.  A taker who dies between the lock and
 * the write leaves the old record and a free byte: nothing has happened.
 *
 * Locks of open file descriptions would be wrong here: a forked child would keep its
 * parent's slot.
 */
#include "program/slot.h"
#include "core/error.h"
#include "core/locks.h"
#include "platform/futex.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "program/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOT_BYTE       ((off_t)1 << 39) /* the byte of slot 0, far behind the content, never written */
#define SLOT_MASK       (MPROC__SLOT_COUNT - 1)
#define CHUNK           64 /* records read at once: a page */
#define GENERATION_MASK ((1u << MPROC__SLOT_GENERATION_BITS) - 1)

struct record {
        uint32_t generation;
        uint32_t pid;
        uint64_t start;
        char name[MPROC__SLOT_NAME_MAX];
};
_Static_assert(sizeof(struct record) == MPROC__BEACON_SLOT_BYTES, "layout of a slot's record");
_Static_assert(MPROC__BEACON_SLOTS_AT + MPROC__SLOT_COUNT * sizeof(struct record) <= MPROC__BEACON_WAITS_AT,
               "slots end before the waits");
_Static_assert(MPROC__BEACON_WAITS_AT + MPROC__SLOT_COUNT * MPROC__BEACON_WAIT_BYTES <= MPROC__BEACON_NAMES_AT,
               "waits end before the names");

static _Atomic mproc__slot_id self; /* 0: not taken yet */
static const char *own_name = "MainProcess";

static off_t
record_at(unsigned slot)
{
        return (off_t)(MPROC__BEACON_SLOTS_AT + slot * sizeof(struct record));
}

/* A record beyond the end of the file was never written: all zeros. */
static bool
read_record(int fd, unsigned slot, struct record *ret)
{
        ssize_t n;

        memset(ret, 0, sizeof *ret);
        while ((n = pread(fd, ret, sizeof *ret, record_at(slot))) < 0 && errno == EINTR)
                ;
        if (n >= 0 && n < (ssize_t)sizeof *ret)
                memset(ret, 0, sizeof *ret);
        return n >= 0;
}

static int
lock_byte(int fd, int command, unsigned slot, struct flock *lock)
{
        *lock = (struct flock){
                .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SLOT_BYTE + (off_t)slot, .l_len = 1
        };
        return fcntl(fd, command, lock) == 0 ? 0 : -errno;
}

static void
free_byte(int fd, unsigned slot)
{
        struct flock lock = {
                .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = SLOT_BYTE + (off_t)slot, .l_len = 1
        };

        (void)fcntl(fd, F_SETLK, &lock);
}

/* The byte is locked: make the slot ours. */
static int
write_record(int fd, unsigned slot, mproc__slot_id *ret_id)
{
        struct record record;
        ssize_t n;
        int r;

        if (!read_record(fd, slot, &record))
                return -errno;
        record.generation = (record.generation + 1) & GENERATION_MASK;
        if (record.generation == 0)
                record.generation = 1;
        record.pid = (uint32_t)getpid();
        record.start = mproc__plat_process_start_time(getpid());
        memset(record.name, 0, sizeof record.name);
        memcpy(record.name, own_name, strnlen(own_name, sizeof record.name - 1));
        if ((r = mproc__memory_check_limit((uint64_t)record_at(slot) + sizeof record)) < 0)
                return r;
        while ((n = pwrite(fd, &record, sizeof record, record_at(slot))) < 0 && errno == EINTR)
                ;
        if (n != (ssize_t)sizeof record)
                return n < 0 ? -errno : -ENOSPC;
        *ret_id = record.generation << MPROC__SLOT_BITS | slot;
        return 0;
}

/* Start at a place of one's own, so that a thousand processes do not all knock at the first thousand doors. */
static int
take_locked(int fd, mproc__slot_id *ret_id)
{
        unsigned first = (unsigned)getpid() & SLOT_MASK;

        for (unsigned i = 0; i < MPROC__SLOT_COUNT; i++) {
                unsigned slot = (first + i) & SLOT_MASK;
                struct flock lock;
                int r = lock_byte(fd, F_SETLK, slot, &lock);

                if (r == -EAGAIN || r == -EACCES)
                        continue;
                if (r < 0)
                        return r;
                r = write_record(fd, slot, ret_id);
                if (r < 0)
                        free_byte(fd, slot);
                return r;
        }
        return -EAGAIN;
}

/* Threads share their process's locks, so among them it needs the mutex. */
int
mproc__slot_self(mproc__slot_id *ret_id)
{
        mproc__slot_id id = atomic_load_explicit(&self, memory_order_acquire);
        int fd, r;

        if (__builtin_expect(id != 0, 1)) {
                *ret_id = id;
                return 0;
        }
        if ((r = mproc__program_beacon(&fd)) < 0)
                return r;
        mproc__lock(MPROC__LOCK_PROGRAM);
        id = atomic_load(&self);
        if (id == 0 && (r = take_locked(fd, &id)) == 0)
                atomic_store(&self, id);
        mproc__unlock(MPROC__LOCK_PROGRAM);
        if (r == -EAGAIN)
                return mproc__fail(r, "this program has %u processes that use locks; there is no room for another",
                                   MPROC__SLOT_COUNT);
        if (r < 0)
                return mproc__fail(MPROC_EPROGRAM, "cannot take a slot among the program's processes: %s",
                                   strerror(-r));
        *ret_id = id;
        return 0;
}

/* Where the system tells nobody of the unreaped, the byte alone counts. */
static bool
process_is_gone(const struct record *record)
{
        pid_t pid = (pid_t)record->pid;
        uint64_t start;

        if (pid <= 0)
                return false;
        if (mproc__plat_process_life(pid) != MPROC__PROCESS_RUNS)
                return true;
        start = mproc__plat_process_start_time(pid);
        return start != 0 && record->start != 0 && start != record->start;
}

bool
mproc__slot_is_dead(mproc__slot_id id)
{
        unsigned slot = id & SLOT_MASK;
        int saved = errno, fd;
        struct record record;
        struct flock lock;
        bool dead = false;

        /* Asked about, a lock of our own looks like none. */
        if (id == 0 || id == atomic_load(&self) || mproc__program_beacon(&fd) < 0)
                return false;
        if (read_record(fd, slot, &record)) {
                if (record.generation != id >> MPROC__SLOT_BITS)
                        dead = true;
                else
                        dead = lock_byte(fd, F_GETLK, slot, &lock) == 0 && lock.l_type == F_UNLCK &&
                               process_is_gone(&record);
        }
        errno = saved;
        return dead;
}

pid_t
mproc__slot_pid(mproc__slot_id id)
{
        int saved = errno, fd;
        struct record record;
        pid_t pid = 0;

        if (id != 0 && mproc__program_beacon(&fd) == 0 && read_record(fd, id & SLOT_MASK, &record) &&
            record.generation == id >> MPROC__SLOT_BITS)
                pid = (pid_t)record.pid;
        errno = saved;
        return pid;
}

void
mproc__slot_name(mproc__slot_id id, char ret_name[MPROC__SLOT_NAME_MAX])
{
        int saved = errno, fd;
        struct record record;

        ret_name[0] = 0;
        if (id != 0 && mproc__program_beacon(&fd) == 0 && read_record(fd, id & SLOT_MASK, &record) &&
            record.generation == id >> MPROC__SLOT_BITS) {
                memcpy(ret_name, record.name, MPROC__SLOT_NAME_MAX);
                ret_name[MPROC__SLOT_NAME_MAX - 1] = 0;
        }
        errno = saved;
}

/* Names are for people: what would not be one line of text is not shown. */
static void
copy_name(char ret_name[MPROC__SLOT_NAME_MAX], const char *name)
{
        memcpy(ret_name, name, MPROC__SLOT_NAME_MAX);
        ret_name[MPROC__SLOT_NAME_MAX - 1] = 0;
        for (char *c = ret_name; *c; c++)
                if ((unsigned char)*c < ' ' || *c == 127)
                        *c = '?';
}

int
mproc__slot_list(struct mproc__slot_entry **ret, size_t *ret_count)
{
        struct mproc__slot_entry *list = NULL;
        size_t n = 0;
        int fd, r;

        if ((r = mproc__program_beacon(&fd)) < 0)
                return r;
        for (unsigned slot = 0; slot < MPROC__SLOT_COUNT; slot += CHUNK) {
                struct record chunk[CHUNK] = { 0 };

                if (pread(fd, chunk, sizeof chunk, record_at(slot)) <= 0)
                        break;
                for (unsigned i = 0; i < CHUNK; i++) {
                        struct mproc__slot_entry *more;

                        if (chunk[i].generation == 0)
                                continue;
                        if (!(more = realloc(list, (n + 1) * sizeof *list))) {
                                free(list);
                                return -ENOMEM;
                        }
                        list = more;
                        list[n].id = (chunk[i].generation & GENERATION_MASK) << MPROC__SLOT_BITS | (slot + i);
                        list[n].pid = (pid_t)chunk[i].pid;
                        copy_name(list[n++].name, chunk[i].name);
                }
        }
        *ret = list;
        *ret_count = n;
        return 0;
}

void
mproc__slot_call_self(const char *name)
{
        own_name = name;
}

#ifdef MPROC_PORTABLE
/*
 * Words in shared memory hold pids in this build.  A process looks for a free slot from its
 * pid's place on, so all records with a pid stand between there and the first that was never used.
 */
static bool
pid_is_dead(pid_t pid)
{
        bool found = false;
        int fd;

        if (mproc__program_beacon(&fd) < 0)
                return false;
        for (unsigned i = 0; i < MPROC__SLOT_COUNT; i++) {
                unsigned slot = ((unsigned)pid + i) & SLOT_MASK;
                struct record record;
                struct flock lock;

                if (!read_record(fd, slot, &record) || record.generation == 0)
                        break;
                if (record.pid != (uint32_t)pid)
                        continue;
                found = true;
                if (lock_byte(fd, F_GETLK, slot, &lock) < 0 || lock.l_type != F_UNLCK)
                        return false;
        }
        return found;
}

/* If it cannot, this process is recognised as dead when its parent has waited for it. */
static void
enrol(void)
{
        mproc__slot_id id;

        (void)mproc__slot_self(&id);
}

__attribute__((constructor)) static void
offer_oracle(void)
{
        static const struct mproc__word_oracle oracle = { .enrol = enrol, .process_is_dead = pid_is_dead };

        mproc__word_set_oracle(&oracle);
}
#endif

/* The child has none of its parent's record locks; it takes a slot of its own when it needs one. */
void
mproc__slot_forked(void)
{
        atomic_store(&self, 0);
}
