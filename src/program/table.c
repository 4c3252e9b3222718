/* SPDX-License-Identifier: MIT */
/*
 * program/table.c - the records of named objects in the beacon.
 *
 * Runs in: every process of a program, its tracker, and processes of other
 * programs that clear up.  Owns: nothing.
 *
 * A record is 256 bytes at a multiple of 256, so it lies within one page, and a
 * write into one page is not cut by a signal, not even SIGKILL.  Still nothing
 * depends on that: name and identities are written while the state says "free",
 * and the state, four bytes, comes last.  So at any moment of any death there is a
 * whole record or none.
 */
#include "program/table.h"
#include "platform/memory.h"

#include <errno.h>
#include <mproc/error.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_FREE = 0, RECORD_USED = 1 };

/* Who may write: the holder of the names lock, or of the dead program's end. */
struct record {
        uint32_t state;
        uint32_t kind;
        struct mproc__object_id object;
        char name[232]; /* ends with a NUL; the rest is zero */
};
_Static_assert(sizeof(struct record) == 256, "a record never lies across two pages");
_Static_assert(MPROC__NAME_MAX < sizeof((struct record *)0)->name, "every name has room, and a NUL");
_Static_assert(MPROC__BEACON_NAMES_AT % 4096 == 0, "the first record begins a page");

#define CHUNK      16 /* records read at once: a page */

/* From this many records on, see whether some are out of date before the table grows. */
#define SCRUB_FROM 64

static off_t
record_at(size_t index)
{
        return MPROC__BEACON_NAMES_AT + (off_t)(index * sizeof(struct record));
}

/* How many whole records are there, free ones included? */
static size_t
record_count(int beacon)
{
        struct stat st;

        if (fstat(beacon, &st) != 0 || st.st_size <= MPROC__BEACON_NAMES_AT)
                return 0;
        return (size_t)(st.st_size - MPROC__BEACON_NAMES_AT) / sizeof(struct record);
}

/*
 * Call visit for each record, until it returns true.  What it sees is a copy, and
 * may hold anything: whoever uses the name looks at it with usable() first.
 */
static bool
visit_records(int beacon, bool (*visit)(const struct record *record, off_t at, void *arg), void *arg)
{
        struct record chunk[CHUNK];
        size_t count = record_count(beacon);

        for (size_t i = 0; i < count; i += CHUNK) {
                ssize_t n = pread(beacon, chunk, sizeof chunk, record_at(i));

                for (size_t k = 0; n > 0 && k < (size_t)n / sizeof *chunk; k++)
                        if (visit(&chunk[k], record_at(i + k), arg))
                                return true;
        }
        return false;
}

static bool
usable(const struct record *record)
{
        return record->state == RECORD_USED && mproc__name_kind_text(record->kind) &&
               memchr(record->name, 0, sizeof record->name) && record->name[0] == '/' && record->name[1] &&
               !strchr(record->name + 1, '/') && strlen(record->name) <= MPROC__NAME_MAX;
}

void
mproc__table_erase(int beacon, off_t at)
{
        uint32_t state = RECORD_FREE;

        (void)pwrite(beacon, &state, sizeof state, at);
}

struct search {
        const struct mproc__object_id *object;
        off_t at;
};

static bool
is_free(const struct record *record, off_t at, void *arg)
{
        struct search *search = arg;

        search->at = at;
        return record->state == RECORD_FREE;
}

static bool
is_object(const struct record *record, off_t at, void *arg)
{
        struct search *search = arg;

        search->at = at;
        return record->state == RECORD_USED && memcmp(&record->object, search->object, sizeof record->object) == 0;
}

void
mproc__table_erase_object(int beacon, const struct mproc__object_id *object)
{
        struct search search = { .object = object };

        if (visit_records(beacon, is_object, &search))
                mproc__table_erase(beacon, search.at);
}

/* Does the name surely mean something else than the record's object by now? */
static bool
is_out_of_date(const struct record *record)
{
        struct mproc__named_header found;
        int r;

        if (!usable(record))
                return true;
        r = mproc__named_look(record->kind, record->name, &found);
        if (r == 0)
                return memcmp(&found.object, &record->object, sizeof found.object) != 0;
        return r == -ENOENT || r == MPROC_ECORRUPT;
}

struct scrub {
        int beacon;
        size_t erased;
};

static bool
scrub_record(const struct record *record, off_t at, void *arg)
{
        struct scrub *scrub = arg;

        if (record->state != RECORD_FREE && is_out_of_date(record)) {
                mproc__table_erase(scrub->beacon, at);
                scrub->erased++;
        }
        return false;
}

static size_t
scrub_records(int beacon)
{
        struct scrub scrub = { .beacon = beacon };

        (void)visit_records(beacon, scrub_record, &scrub);
        return scrub.erased;
}

/*
 * A free record, or a new one at the end.  Objects that other programs have
 * unlinked leave records here; so each time the table would double, all of
 * them are looked at, which costs little for each record that was ever written.  If
 * only a few are freed the table grows all the same: else a table that is
 * almost full of live names would be looked through again and again.
 */
static off_t
find_room(int beacon)
{
        struct search search = { .object = NULL };
        size_t count = record_count(beacon);

        if (visit_records(beacon, is_free, &search))
                return search.at;
        if (count >= SCRUB_FROM && (count & (count - 1)) == 0 && scrub_records(beacon) >= count / 4)
                if (visit_records(beacon, is_free, &search))
                        return search.at;
        return record_at(count);
}

static int
write_at(int beacon, const void *data, size_t len, off_t at)
{
        int r = mproc__memory_check_limit((uint64_t)at + len);
        ssize_t n;

        if (r < 0)
                return r;
        n = pwrite(beacon, data, len, at);
        return n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
}

int
mproc__table_add(int beacon, enum mproc__name_kind kind, const char *name, const struct mproc__object_id *object,
                 off_t *ret_at)
{
        struct record record = { .state = RECORD_FREE, .kind = kind, .object = *object };
        off_t at = find_room(beacon);
        int r;

        memcpy(record.name, name, strlen(name));
        if ((r = write_at(beacon, &record, sizeof record, at)) < 0)
                return r;
        record.state = RECORD_USED;
        if ((r = write_at(beacon, &record.state, sizeof record.state, at)) < 0)
                return r;
        *ret_at = at;
        return 0;
}

struct sweep {
        int beacon;
        struct mproc__program_id program;
        mproc__swept_fn *swept;
        void *arg;
        int removed;
};

static bool
sweep_record(const struct record *record, off_t at, void *arg)
{
        struct sweep *sweep = arg;

        if (usable(record) &&
            mproc__named_remove(record->kind, record->name, &sweep->program, &record->object) == 1) {
                sweep->removed++;
                if (sweep->swept)
                        sweep->swept(record->kind, record->name, sweep->arg);
        }
        if (record->state != RECORD_FREE)
                mproc__table_erase(sweep->beacon, at);
        return false;
}

int
mproc__table_sweep(int beacon, mproc__swept_fn *swept, void *arg)
{
        struct sweep sweep = { .beacon = beacon, .swept = swept, .arg = arg };
        struct stat st;

        if (mproc__beacon_check(beacon, &sweep.program, &st) < 0)
                return 0;
        (void)visit_records(beacon, sweep_record, &sweep);
        return sweep.removed;
}
