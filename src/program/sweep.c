/* SPDX-License-Identifier: MIT */
/*
 * program/sweep.c - removing what dead programs have left.
 *
 * Runs in: the tracker; any process of a program, before it publishes a name.
 * Owns: nothing.
 *
 * A program that has named objects has a named beacon, /dev/shm/mproc-UID.ID,
 * and what it made stands in there.  Whether it lives is asked of the
 * beacon's locks, which cannot lie: they end with the last process that has
 * them, at once, whatever it died of, and do not know pids, which are used again.
 */
#include "core/locks.h"
#include "core/point.h"
#include "platform/platform.h"
#include "platform/store.h"
#include "program/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct name_list {
        char *text;
        size_t size, len;
        bool full;
        int shm; /* how many are shared memory */
};

/* A name may hold any byte; what is shown on a terminal may not. */
static void
list_name(enum mproc__name_kind kind, const char *name, void *arg)
{
        struct name_list *list = arg;
        size_t need = strlen(name) + strlen("  ...");

        list->shm += kind == MPROC__NAME_SHM;
        if (list->full)
                return;
        if (list->size - list->len <= need) {
                list->full = true;
                if (list->size - list->len > strlen(" ..."))
                        (void)strcpy(list->text + list->len, " ...");
                return;
        }
        if (list->len > 0)
                list->text[list->len++] = ' ';
        for (; *name; name++)
                list->text[list->len++] = (unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name;
        list->text[list->len] = 0;
}

int
mproc__names_sweep_kinds(int beacon_fd, char *ret_names, size_t size, int *ret_shm)
{
        struct name_list list = { .text = ret_names, .size = size };
        int removed;

        if (size > 0)
                ret_names[0] = 0;
        removed = mproc__table_sweep(beacon_fd, list_name, &list);
        *ret_shm = list.shm;
        return removed;
}

int
mproc__names_sweep(int beacon_fd, char *ret_names, size_t size)
{
        int shm;

        return mproc__names_sweep_kinds(beacon_fd, ret_names, size, &shm);
}

/*
 * The claim is the right to sweep, and it fails while anybody of the program
 * lives.  A program whose tracker lives is left to it: it will tell on stderr
 * what it removes, as nobody else can.  The beacon goes last: if we die before
 * that, the next one finds it and does the rest.
 */
static int
sweep_if_dead(int beacon, const char *path)
{
        int removed;

        if (mproc__beacon_state(beacon) != MPROC__PROGRAM_DEAD || mproc__beacon_claim_end(beacon, false) < 0)
                return 0;
        removed = mproc__table_sweep(beacon, NULL, NULL);
        MPROC_POINT("names.sweep.swept");
        (void)unlink(path);
        return removed;
}

/* This process's own beacon is passed over by its inode: opening and closing it would cost our locks on it. */
static int
sweep_program_locked(const struct mproc__program_id *id)
{
        char path[MPROC__BEACON_PATH_MAX];
        struct stat st;
        int beacon = -1;
        int removed;

        mproc__beacon_path(geteuid(), id, path);
        if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            mproc__program_owns_file(st.st_dev, st.st_ino) || mproc__beacon_open(id, &beacon) < 0)
                return 0;
        removed = sweep_if_dead(beacon, path);
        mproc__beacon_release(&beacon);
        return removed;
}

static bool
parse_id(const char *text, struct mproc__program_id *ret_id)
{
        if (strlen(text) != 2 * sizeof ret_id->bytes || strspn(text, "0123456789abcdef") != strlen(text))
                return false;
        for (size_t i = 0; i < sizeof ret_id->bytes; i++) {
                char digits[3] = { text[2 * i], text[2 * i + 1], 0 };

                ret_id->bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
        }
        return true;
}

static int
sweep_dead_programs_locked(DIR *directory, const struct mproc__program_id *except)
{
        struct mproc__program_id id;
        struct dirent *entry;
        char prefix[32];
        int removed = 0;

        (void)snprintf(prefix, sizeof prefix, MPROC__STORE_PREFIX "-%lu.", (unsigned long)geteuid());
        while ((entry = readdir(directory)))
                if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
                    parse_id(entry->d_name + strlen(prefix), &id) &&
                    !(except && mproc__program_id_equal(&id, except)))
                        removed += sweep_program_locked(&id);
        return removed;
}

/* With the lock: no child is forked that would inherit a stranger's beacon, or the directory. */
int
mproc__names_sweep_dead_programs(const struct mproc__program_id *except)
{
        int removed = 0;
        DIR *directory;

        mproc__lock(MPROC__LOCK_PROGRAM);
        if ((directory = opendir(MPROC__SHM_DIR))) {
                removed = sweep_dead_programs_locked(directory, except);
                (void)closedir(directory);
        }
        mproc__store_sweep(MPROC__SHM_DIR);
        mproc__unlock(MPROC__LOCK_PROGRAM);
        return removed;
}

enum mproc__program_state
mproc__names_settle(const struct mproc__program_id *id, int *ret_removed)
{
        enum mproc__program_state state = MPROC__PROGRAM_DEAD;
        int beacon = -1;

        if (mproc__program_is(id))
                return MPROC__PROGRAM_ALIVE;
        mproc__lock(MPROC__LOCK_PROGRAM);
        *ret_removed = sweep_program_locked(id);
        if (mproc__beacon_open(id, &beacon) == 0) {
                state = mproc__beacon_state(beacon);
                mproc__plat_close(&beacon);
        }
        mproc__unlock(MPROC__LOCK_PROGRAM);
        return state;
}
