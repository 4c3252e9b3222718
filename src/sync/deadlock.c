/* SPDX-License-Identifier: MIT */
/*
 * sync/deadlock.c - finding processes that wait for each other, and telling it.
 *
 * Runs in: whoever asks, and a thread whose wait is long or has timed out.  Owns: nothing.
 *
 * A wait is stuck if all who could end it are stuck: the thread that holds the lock; all threads of all
 * processes that hold permits; the main thread of the process whose end is waited for.  One begins with all waits
 * and takes away those that have somebody who could end them, until nothing more changes; what is left is circles,
 * and what waits for them.
 *
 * Why a circle that is told was one.  The records are not written at the same moment, so two things are asked for.
 *   - W saw that H holds what W waits for at a moment when H was in his present wait already (W's look is not
 *     before H's beginning).  From there on H sleeps, and gives up nothing as long as he does.
 *   - The records are read twice, and each wait of the circle is found both times.  So all of them were in progress
 *     at the moment between, and each thread still held then what it was seen to hold.
 * What a process holds, and not a thread (permits), counts as held by threads that sleep if all its threads do, at
 * one look.  A process ends with its main thread.  Others could still release what they do not hold, or call exit()
 * in another thread: no program relies on that to go on, or then only a timeout can tell.  A wait whose holders are
 * unknown is never stuck.
 */
#include "sync/deadlock.h"
#include "core/error.h"
#include "platform/platform.h"
#include "sync/waits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YOUNG_NS INT64_C(10000000) /* waits without holders are written down at once, and told when others are */

struct node {
        struct mproc__wait_record record;
        bool stuck, told;
};

struct picture {
        struct node *node;
        size_t count;
        struct mproc__slot_entry *slot;
        size_t slot_count;
        int64_t now_ns;
};

/* --- taking it --------------------------------------------------------------------------------------- */

static void
drop(struct picture *picture)
{
        free(picture->node);
        free(picture->slot);
}

static int
by_age(const void *a, const void *b)
{
        int64_t x = ((const struct node *)a)->record.since_ns, y = ((const struct node *)b)->record.since_ns;

        return x < y ? -1 : x > y;
}

/* The records of all slots whose processes live. */
static int
take(struct picture *picture)
{
        int r;

        memset(picture, 0, sizeof *picture);
        if ((r = mproc__slot_list(&picture->slot, &picture->slot_count)) < 0)
                return r;
        for (size_t i = 0; i < picture->slot_count; i++) {
                struct mproc__wait_record record[MPROC__WAITS_EACH];
                unsigned n = mproc__waits_read(picture->slot[i].id, record);
                struct node *more;

                if (n == 0 || mproc__slot_is_dead(picture->slot[i].id))
                        continue;
                if (!(more = realloc(picture->node, (picture->count + n) * sizeof *more))) {
                        drop(picture);
                        return -ENOMEM;
                }
                picture->node = more;
                for (unsigned k = 0; k < n; k++)
                        more[picture->count++] = (struct node){ .record = record[k] };
        }
        picture->now_ns = mproc__plat_now_ns();
        if (picture->count)
                qsort(picture->node, picture->count, sizeof *picture->node, by_age);
        return 0;
}

/* --- who could end a wait -------------------------------------------------------------------------------- */

/* Is that the wait of the holder, or of one of the holder's threads that matter? */
static bool
is_of(const struct node *node, const struct mproc__wait_holder *holder, uint32_t kind)
{
        if (holder->slot ? node->record.slot != holder->slot : node->record.pid != holder->pid)
                return false;
        if (kind == MPROC__WAIT_END)
                return node->record.main_thread;
        return !holder->thread || node->record.thread == holder->thread;
}

/* The first stuck wait of a holder; of several threads, that of the main one. */
static struct node *
wait_of(struct picture *picture, const struct mproc__wait_holder *holder, uint32_t kind)
{
        struct node *found = NULL;

        for (size_t i = 0; i < picture->count; i++)
                if (is_of(&picture->node[i], holder, kind) && (!found || picture->node[i].record.main_thread))
                        found = &picture->node[i];
        return found;
}

/* All threads of the process are stuck, and were in these waits when the permit was seen to be its. */
static bool
process_is_stuck(struct picture *picture, const struct mproc__wait_holder *holder, int64_t seen_ns)
{
        uint32_t waits = 0, threads = 0;
        int64_t begun = 0;

        for (size_t i = 0; i < picture->count; i++) {
                struct node *node = &picture->node[i];

                if (!is_of(node, holder, MPROC__WAIT_PERMIT) || !node->stuck)
                        continue;
                waits++;
                if (node->record.since_ns > begun)
                        begun = node->record.since_ns;
        }
        for (size_t i = 0; i < picture->count; i++) { /* counted by one of them when all of them waited */
                struct node *node = &picture->node[i];

                if (is_of(node, holder, MPROC__WAIT_PERMIT) && node->record.looked_ns >= begun)
                        threads = node->record.threads;
        }
        return waits > 0 && threads == waits && seen_ns >= begun;
}

static bool
holder_is_stuck(struct picture *picture, const struct node *waiter, const struct mproc__wait_holder *holder)
{
        uint32_t kind = waiter->record.subject.kind;
        struct node *node;

        if (kind == MPROC__WAIT_PERMIT)
                return process_is_stuck(picture, holder, waiter->record.looked_ns);
        if (kind == MPROC__WAIT_LOCK && !holder->thread)
                return false; /* he has just got it */
        node = wait_of(picture, holder, kind);
        return node && node->stuck && (kind == MPROC__WAIT_END || waiter->record.looked_ns >= node->record.since_ns);
}

static bool
can_end(struct picture *picture, const struct node *waiter)
{
        const struct mproc__wait_subject *subject = &waiter->record.subject;

        if (subject->kind == MPROC__WAIT_EVENT || subject->holder_count == 0 || subject->unknown)
                return true;
        for (uint32_t i = 0; i < subject->holder_count; i++)
                if (!holder_is_stuck(picture, waiter, &subject->holder[i]))
                        return true;
        return false;
}

/* Returns how many are left. */
static size_t
take_away(struct picture *picture)
{
        size_t left;
        bool changed;

        do {
                changed = false;
                left = 0;
                for (size_t i = 0; i < picture->count; i++) {
                        struct node *node = &picture->node[i];

                        if (!node->stuck)
                                continue;
                        if (can_end(picture, node)) {
                                node->stuck = false;
                                changed = true;
                        } else {
                                left++;
                        }
                }
        } while (changed);
        return left;
}

static bool
still_stands(const struct node *node)
{
        struct mproc__wait_record record[MPROC__WAITS_EACH];
        unsigned n = mproc__waits_read(node->record.slot, record);

        for (unsigned i = 0; i < n; i++)
                if (record[i].number == node->record.number)
                        return !mproc__slot_is_dead(node->record.slot);
        return false;
}

/* Mark what is stuck.  Returns how many. */
static size_t
find_stuck(struct picture *picture)
{
        for (size_t i = 0; i < picture->count; i++)
                picture->node[i].stuck = true;
        if (take_away(picture) == 0)
                return 0;
        for (size_t i = 0; i < picture->count; i++)
                if (picture->node[i].stuck && !still_stands(&picture->node[i]))
                        picture->node[i].stuck = false;
        return take_away(picture);
}

/* --- words --------------------------------------------------------------------------------------------------- */

static void
tell_process(const struct picture *picture, const struct mproc__wait_holder *who, bool thread, FILE *out)
{
        const char *name = "process";
        uint32_t pid = who->pid;

        for (size_t i = 0; i < picture->slot_count; i++)
                if (who->slot ? picture->slot[i].id == who->slot : (uint32_t)picture->slot[i].pid == pid) {
                        name = *picture->slot[i].name ? picture->slot[i].name : name;
                        pid = (uint32_t)picture->slot[i].pid;
                }
        (void)fprintf(out, "%s (pid %lu", name, (unsigned long)pid);
        if (thread)
                (void)fprintf(out, ", thread %lu", (unsigned long)who->thread);
        (void)fputc(')', out);
}

/* " has waited 3.2 s for lock 'a', held by " */
static void
tell_wait(const struct picture *picture, const struct node *node, FILE *out)
{
        const struct mproc__wait_subject *subject = &node->record.subject;
        int64_t ms = (picture->now_ns - node->record.since_ns) / 1000000;

        (void)fprintf(out, " has waited %lld.%lld s for ", (long long)(ms / 1000), (long long)(ms / 100 % 10));
        switch (subject->kind) {
        case MPROC__WAIT_END:
                (void)fputs("the end of ", out);
                return; /* of whom, is told by his name */
        case MPROC__WAIT_PERMIT:
                (void)fprintf(out, "a permit of %s", subject->what);
                break;
        default:
                (void)fputs(subject->what, out);
        }
        if (subject->kind == MPROC__WAIT_EVENT)
                return;
        if (subject->holder_count == 0)
                (void)fputs(subject->kind == MPROC__WAIT_PERMIT ? ", held by nobody that is known"
                                                                : ", held by nobody",
                            out);
        else if (subject->holder_count == 1)
                (void)fputs(", held by ", out);
        else
                (void)fprintf(out, ", held by %lu processes, one of them ", (unsigned long)subject->holder_count);
}

static struct mproc__wait_holder
waiter_of(const struct node *node)
{
        return (struct mproc__wait_holder){ node->record.slot, node->record.pid, node->record.thread };
}

/* The process whose end is waited for may have no slot: then its parent's word for it. */
static void
tell_holder(const struct picture *picture, const struct node *node, const struct node *next, FILE *out)
{
        const struct mproc__wait_subject *subject = &node->record.subject;
        struct mproc__wait_holder holder = subject->holder[0];

        if (node == next) {
                (void)fputs("itself", out);
        } else if (next) {
                holder = waiter_of(next);
                tell_process(picture, &holder, !next->record.main_thread, out);
        } else if (subject->kind == MPROC__WAIT_END && *subject->what) {
                (void)fprintf(out, "%s (pid %lu)", subject->what, (unsigned long)holder.pid);
        } else {
                tell_process(picture, &holder, holder.thread && holder.thread != holder.pid, out);
        }
}

/* From this wait on, to somebody who does not wait, or who was told of before. */
static void
tell_chain(struct picture *picture, struct node *node, bool whole, FILE *out)
{
        struct mproc__wait_holder who = waiter_of(node);

        for (size_t i = 0; i < picture->count; i++)
                picture->node[i].told = false;
        tell_process(picture, &who, !node->record.main_thread, out);
        for (;;) {
                struct mproc__wait_subject *subject = &node->record.subject;
                struct node *next = NULL;

                node->told = true;
                tell_wait(picture, node, out);
                if (subject->holder_count == 0)
                        return;
                next = wait_of(picture, &subject->holder[0], subject->kind);
                tell_holder(picture, node, next, out);
                if (!whole || (next && next->told))
                        return;
                if (!next) {
                        (void)fputs(", who does not wait", out);
                        return;
                }
                (void)fputs(", who", out);
                node = next;
        }
}

/* --- for the one who waits -------------------------------------------------------------------------------------- */

static struct node *
find_own(struct picture *picture, mproc__slot_id slot, uint32_t number)
{
        for (size_t i = 0; i < picture->count; i++)
                if (picture->node[i].record.slot == slot && picture->node[i].record.number == number)
                        return &picture->node[i];
        return NULL;
}

bool
mproc__deadlock_look(mproc__slot_id slot, uint32_t number, char **ret_words)
{
        struct picture picture;
        struct node *own;
        bool stuck = false;
        size_t len;
        FILE *out;

        *ret_words = NULL;
        if (take(&picture) < 0)
                return false;
        (void)find_stuck(&picture);
        if ((own = find_own(&picture, slot, number)) && (out = open_memstream(ret_words, &len))) {
                stuck = own->stuck;
                (void)fputs(stuck ? "deadlock: " : "long wait: ", out);
                tell_chain(&picture, own, true, out);
                if (fclose(out) != 0) {
                        free(*ret_words);
                        *ret_words = NULL;
                }
        }
        drop(&picture);
        return stuck;
}

/* --- for the program --------------------------------------------------------------------------------- */

int
mproc_set_deadlock_detection(int on, int64_t report_after_ms)
{
        int64_t after = MPROC__NEVER;

        if (report_after_ms >= 0 && report_after_ms < INT64_MAX / 2000000)
                after = report_after_ms * 1000000 + 1;
        return mproc__waits_set(on != 0, after);
}

static int
fail(int r)
{
        if (r == -ENOMEM)
                return mproc__fail(r, "no memory for a report of who waits for whom");
        return r; /* with words */
}

static int
ask(struct picture *picture)
{
        if (!mproc__waits_on())
                return mproc__fail(-ENODATA, "deadlock detection is off: call mproc_set_deadlock_detection before "
                                             "processes are started");
        return fail(take(picture));
}

/* Each circle once: its waits are not looked at any more. */
static int
tell_circles(struct picture *picture, FILE *out)
{
        int n = 0;

        if (find_stuck(picture) == 0)
                return 0;
        for (size_t i = 0; i < picture->count; i++) {
                struct node *node = &picture->node[i];

                if (!node->stuck)
                        continue;
                n++;
                (void)fputs("deadlock: ", out);
                tell_chain(picture, node, true, out);
                (void)fputc('\n', out);
                for (size_t k = 0; k < picture->count; k++)
                        if (picture->node[k].told)
                                picture->node[k].stuck = false;
        }
        return n;
}

static int
tell_waits(struct picture *picture, FILE *out)
{
        int n = 0;

        for (size_t i = 0; i < picture->count && n < INT32_MAX; i++) {
                if (picture->now_ns - picture->node[i].record.since_ns < YOUNG_NS)
                        continue;
                tell_chain(picture, &picture->node[i], false, out);
                (void)fputc('\n', out);
                n++;
        }
        return n;
}

static int
tell(int (*what)(struct picture *picture, FILE *out), char **ret_text)
{
        struct picture picture;
        char *text = NULL;
        size_t len;
        FILE *out;
        int r, n = 0;

        if (!ret_text)
                return mproc__fail(-EINVAL, "a place for the report's text is wanted, NULL was given");
        if ((r = ask(&picture)) < 0)
                return r;
        if ((out = open_memstream(&text, &len))) {
                n = what(&picture, out);
                if (fclose(out) != 0) {
                        free(text);
                        text = NULL;
                }
        }
        drop(&picture);
        if (!text)
                return fail(-ENOMEM);
        *ret_text = text;
        return n;
}

int
mproc_deadlock_find(char **ret_text)
{
        int r = tell(tell_circles, ret_text);

        return r > 0 ? 1 : r;
}

int
mproc_deadlock_waits(char **ret_text)
{
        return tell(tell_waits, ret_text);
}
