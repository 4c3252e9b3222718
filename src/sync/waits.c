/* SPDX-License-Identifier: MIT */
/*
 * sync/waits.c - the records of waits.
 *
 * Runs in: every process that waits while detection is on.  Owns: this process's page of records in the
 * beacon, and which of them are taken; for a moment, the words of a thread's wait that timed out.
 *
 * Whether it is on, children learn with their start; after how long a wait is to be told to the log, they find in the
 * beacon.
 */
#include "sync/waits.h"
#include "core/error.h"
#include "core/log.h"
#include "platform/futex.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "program/program.h"
#include "shm/small.h"
#include "sync/deadlock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS           INT64_C(1000000)
#define RECORD_AFTER (10 * MS) /* shorter waits are no trouble, and cost nothing but a look at the clock */
#define LOOK_AGAIN   (20 * MS)
#define REPORT_AGAIN (1000 * MS)
#define SLICE_FIRST  (10 * MS)
#define SLICE_LAST   (100 * MS)

_Static_assert(MPROC__WAITS_EACH * sizeof(struct mproc__wait_record) <= MPROC__BEACON_WAIT_BYTES,
               "a slot's records fit into its page");

static uint32_t
hash(const void *data, size_t len)
{
        const uint8_t *p = data;
        uint32_t h = 2166136261u;

        for (size_t i = 0; i < len; i++)
                h = (h ^ p[i]) * 16777619u;
        return h;
}

/* --- the option ------------------------------------------------------------------------------------- */

#define OPTION_MAGIC 0x6d706477u

/* In the beacon.  Of two who write at once one wins, or the check fails: then nothing is told to the log. */
struct option {
        uint32_t magic;
        uint32_t reserved;
        int64_t report_after_ns;
        uint32_t check;
        uint32_t more[3];
};
_Static_assert(sizeof(struct option) == 32, "layout of the option");

/* 0: not read yet. */
static _Atomic int64_t report_after;

static uint32_t
check_of_option(const struct option *option)
{
        return hash(option, offsetof(struct option, check));
}

static int64_t
report_after_ns(void)
{
        int64_t after = atomic_load_explicit(&report_after, memory_order_relaxed);
        struct option option;
        int fd;

        if (after)
                return after;
        after = MPROC__NEVER;
        if (mproc__program_beacon(&fd) == 0 &&
            mproc__memory_read(fd, MPROC__BEACON_OPTION_AT, &option, sizeof option) == 0 &&
            option.magic == OPTION_MAGIC && option.check == check_of_option(&option) && option.report_after_ns > 0)
                after = option.report_after_ns;
        atomic_store(&report_after, after);
        return after;
}

int
mproc__waits_set(bool on, int64_t after_ns)
{
        struct option option = { .magic = OPTION_MAGIC, .report_after_ns = after_ns };
        int fd, r;

        if ((r = mproc__program_beacon(&fd)) < 0)
                return r;
        option.check = check_of_option(&option);
        if ((r = mproc__memory_write(fd, MPROC__BEACON_OPTION_AT, &option, sizeof option)) < 0)
                return mproc__fail_errno(-r, "cannot write into the file that holds this program together");
        atomic_store(&report_after, after_ns);
        atomic_store(&mproc__waits_are_noted, on);
        return 0;
}

/* --- places ------------------------------------------------------------------------------------------- */

/*
 * Which of our 16 are taken: the slot, and a bit for each, in two halves of one word.  A forked child finds its
 * parent's, with another slot: then none of them is.
 */
static _Atomic uint64_t places;

static bool
take_place(mproc__slot_id slot, uint32_t *ret_place)
{
        uint64_t seen = atomic_load(&places);
        uint32_t taken, i;

        do {
                taken = seen >> 32 == slot ? (uint32_t)seen : 0;
                for (i = 0; i < MPROC__WAITS_EACH && (taken & 1u << i); i++)
                        ;
                if (i == MPROC__WAITS_EACH)
                        return false;
        } while (!atomic_compare_exchange_weak(&places, &seen, (uint64_t)slot << 32 | taken | 1u << i));
        *ret_place = i;
        return true;
}

static void
give_place_back(uint32_t place)
{
        (void)atomic_fetch_and(&places, ~(UINT64_C(1) << place));
}

static uint64_t
record_at(mproc__slot_id slot, uint32_t place)
{
        return MPROC__BEACON_WAITS_AT + (uint64_t)(slot % MPROC__SLOT_COUNT) * MPROC__BEACON_WAIT_BYTES +
               place * sizeof(struct mproc__wait_record);
}

/* --- threads ------------------------------------------------------------------------------------------- */

/* A system that does not tell says 1, and may mean more. */
static uint32_t
count_threads(void)
{
        int n;

        if (mproc__plat_single_threaded())
                return 1;
        n = mproc__plat_thread_count();
        return n > 1 ? (uint32_t)n : 0;
}

/* --- records --------------------------------------------------------------------------------------------- */

static uint32_t
check_of(const struct mproc__wait_record *record)
{
        return hash(record, offsetof(struct mproc__wait_record, check));
}

/* What cannot be written is not told, and the wait goes on. */
static void
write_record(struct mproc__wait *wait, const struct mproc__wait_subject *subject, int64_t now)
{
        static _Atomic uint32_t numbers;
        struct mproc__wait_record record;
        uint32_t number = wait->number;
        int fd;

        if (mproc__program_beacon(&fd) < 0 || mproc__slot_self(&wait->slot) < 0)
                return;
        if (!number) {
                if (!take_place(wait->slot, &wait->place))
                        return;
                while ((number = atomic_fetch_add(&numbers, 1) + 1) == 0)
                        ;
        }
        memset(&record, 0, sizeof record);
        record.number = number;
        record.slot = wait->slot;
        record.pid = (uint32_t)getpid();
        record.thread = mproc__word_thread_id();
        record.main_thread = mproc__plat_is_main_thread();
        record.threads = count_threads();
        record.since_ns = wait->since_ns;
        record.looked_ns = now;
        record.subject = *subject;
        record.check = check_of(&record);
        if (mproc__memory_write(fd, record_at(wait->slot, wait->place), &record, sizeof record) < 0 &&
            !wait->number) {
                give_place_back(wait->place);
                return;
        }
        wait->number = number;
        wait->looked_ns = now;
        wait->hash = hash(subject, sizeof *subject);
}

static void
clear_record(struct mproc__wait *wait)
{
        uint32_t none = 0;
        int fd;

        if (mproc__program_beacon(&fd) == 0)
                (void)mproc__memory_write(fd, record_at(wait->slot, wait->place), &none, sizeof none);
        give_place_back(wait->place);
        wait->number = 0;
}

/* What the check lets pass was written by a process of the program, which may be of another mind than ours. */
static bool
usable(struct mproc__wait_record *record, mproc__slot_id slot)
{
        struct mproc__wait_subject *subject = &record->subject;

        if (record->number == 0 || record->slot != slot || record->check != check_of(record) ||
            subject->kind < MPROC__WAIT_LOCK || subject->kind > MPROC__WAIT_EVENT ||
            subject->holder_count > MPROC__WAIT_HOLDERS_MAX)
                return false;
        subject->what[sizeof subject->what - 1] = 0;
        for (char *c = subject->what; *c; c++)
                if ((unsigned char)*c < ' ' || *c == 127)
                        *c = '?';
        return true;
}

unsigned
mproc__waits_read(mproc__slot_id slot, struct mproc__wait_record ret[MPROC__WAITS_EACH])
{
        ssize_t len;
        unsigned n = 0;
        int fd;

        if (mproc__program_beacon(&fd) < 0)
                return 0;
        len = pread(fd, ret, MPROC__WAITS_EACH * sizeof *ret, (off_t)record_at(slot, 0)); /* it may end before */
        for (unsigned i = 0; len > 0 && i < (size_t)len / sizeof *ret; i++)
                if (usable(&ret[i], slot))
                        ret[n++] = ret[i];
        return n;
}

/* --- names ---------------------------------------------------------------------------------------------------- */

void
mproc__wait_number(const void *at, const char *kind, char ret_what[MPROC__WAIT_WHAT_MAX])
{
        uint64_t number;
        size_t offset;

        if (mproc__segment_find(at, &number, &offset))
                (void)snprintf(ret_what, MPROC__WAIT_WHAT_MAX, "%s %llu.%zu", kind, (unsigned long long)number,
                               offset / MPROC__SMALL_BYTES);
        else
                (void)snprintf(ret_what, MPROC__WAIT_WHAT_MAX, "a %s", kind);
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

static _Thread_local char *words; /* of a wait that timed out in a circle */

/* The log hears once of a long wait, and once of a circle.  *ret_words: of a circle, to be freed; may be NULL. */
static void
report(struct mproc__wait *wait, bool circle_only, char **ret_words)
{
        char *text;
        bool circle = mproc__deadlock_look(wait->slot, wait->number, &text);

        if (text && (circle ? !wait->told_circle : !wait->told_long && !circle_only))
                mproc__log(MPROC_LOG_WARNING, "%s", text);
        if (circle)
                wait->told_circle = true;
        wait->told_long = true;
        if (circle && ret_words)
                *ret_words = text;
        else
                free(text);
}

void
mproc__wait_look_slow(struct mproc__wait *wait, mproc__wait_describe_fn *describe, void *arg, bool at_end)
{
        int64_t now = mproc__plat_now_ns(), after = report_after_ns();
        struct mproc__wait_subject subject;
        int saved = errno;

        if (!wait->since_ns) {
                wait->since_ns = now;
                wait->report_ns = after < MPROC__NEVER - now ? now + after : MPROC__NEVER;
                return;
        }
        if (now - wait->since_ns < RECORD_AFTER)
                return;
        memset(&subject, 0, sizeof subject);
        describe(arg, &subject);
        if (at_end || !wait->number || now - wait->looked_ns >= LOOK_AGAIN ||
            hash(&subject, sizeof subject) != wait->hash)
                write_record(wait, &subject, now);
        if (!at_end && wait->number && now >= wait->report_ns && !wait->told_circle) {
                wait->report_ns = now + REPORT_AGAIN;
                report(wait, false, NULL);
        }
        errno = saved;
}

void
mproc__wait_note_slow(struct mproc__wait *wait, mproc__wait_describe_fn *describe, void *arg)
{
        struct mproc__wait_subject subject;
        int saved = errno;

        memset(&subject, 0, sizeof subject);
        subject.kind = MPROC__WAIT_EVENT;
        describe(arg, &subject);
        wait->since_ns = mproc__plat_now_ns();
        write_record(wait, &subject, wait->since_ns);
        errno = saved;
}

/* Out of time: was it in a circle?  Looked at while the record still stands. */
void
mproc__wait_end_slow(struct mproc__wait *wait, bool timed_out, mproc__wait_describe_fn *describe, void *arg)
{
        int saved = errno;

        free(words);
        words = NULL;
        if (timed_out) {
                mproc__wait_look_slow(wait, describe, arg, true);
                if (wait->number)
                        report(wait, true, &words);
        }
        if (wait->number)
                clear_record(wait);
        errno = saved;
}

int
mproc__wait_watched(int (*wait_until)(void *arg, int64_t deadline_ns), mproc__wait_describe_fn *describe, void *arg,
                    int64_t deadline_ns)
{
        struct mproc__wait wait = { 0 };
        int64_t slice = SLICE_FIRST;
        int r;

        for (;;) {
                int64_t until = mproc__plat_now_ns() + slice;
                bool last = deadline_ns <= until;

                mproc__wait_look(&wait, describe, arg);
                r = wait_until(arg, last ? deadline_ns : until);
                if (r != MPROC_ETIMEDOUT || last)
                        break;
                slice = slice * 2 < SLICE_LAST ? slice * 2 : SLICE_LAST;
        }
        mproc__wait_end(&wait, r == MPROC_ETIMEDOUT, describe, arg);
        return r;
}

void
mproc__wait_add_words(void)
{
        char stands[MPROC__ERROR_TEXT_MAX];

        if (__builtin_expect(!words, 1))
                return;
        (void)strncpy(stands, mproc_last_error(), sizeof stands - 1);
        stands[sizeof stands - 1] = 0;
        mproc__fail_words(mproc__fail_code(), "%s; %s", stands, words);
        free(words);
        words = NULL;
}
