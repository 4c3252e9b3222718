/* SPDX-License-Identifier: MIT */
/*
 * crew.c - the workers as the parent sees them.
 *
 * Runs in: parent.  Each worker has a queue of its own, from which it takes
 * batches of files; all put their results into one queue.
 *
 * Why nothing is lost or counted twice, wherever a worker is killed: which
 * files a worker holds is written down here, not there, before it can know of
 * them.  Once its sentinel says that it has ended, it puts nothing any more,
 * and what it had put is in the queue of results.  So that queue is emptied
 * after the sentinels were looked at, and then all that the worker still holds
 * has no result and never will: it is given out again.  A worker does its files
 * in order, so the first of them is the one it was at.
 */
#include "checksum.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/*
 * A worker holds one batch, and another so that it need not wait for us.  A
 * batch is as large as this, in bytes to hash, but smaller towards the end, so
 * that all workers end together.
 */
#define BATCH_WORK_MAX    (2 * 1024 * 1024)
#define BATCH_WORK_MIN    (64 * 1024)
#define FILE_WORK         (16 * 1024) /* opening a file takes as long as hashing so many bytes */

#define DEATHS_IN_ROW_MAX 100 /* and not one result between: something else is wrong */
#define GOODBYE_MS        5000

struct member {
        mproc_process *process; /* NULL: nobody in this place */
        mproc_queue *tasks;
        uint32_t serial;    /* of the worker; modulo the crew's size, its place */
        size_t first, last; /* the files it holds, in the order in which it does them */
        int64_t work;
        bool ended;
        bool cannot_start;
};

struct crew {
        const struct options *options;
        struct files *files;
        struct bar *bar;
        int interrupt_fd;
        mproc_queue *results;
        struct member *members;
        size_t size;
        mproc_waitable *items;
        size_t *order;                  /* the files, large ones first, so that none of those is left to the end */
        size_t given;                   /* how many of them have been given to somebody */
        size_t again_first, again_last; /* files whose worker died */
        int64_t waiting_work;
        size_t open; /* files without a result */
        int deaths_in_row;
        uint8_t *batch; /* where a message is put together */
        size_t batch_room;
};

static int64_t
work_of(const struct file *file)
{
        return file->size + FILE_WORK;
}

static void
append(struct files *files, size_t *first, size_t *last, size_t index)
{
        files->list[index].next = NO_FILE;
        if (*first == NO_FILE)
                *first = index;
        else
                files->list[*last].next = index;
        *last = index;
}

static size_t
pop(struct files *files, size_t *first)
{
        size_t index = *first;

        if (index != NO_FILE)
                *first = files->list[index].next;
        return index;
}

/* --- giving out ----------------------------------------------------------------------------------- */

static bool
is_waiting(const struct crew *crew)
{
        return crew->given < crew->files->count || crew->again_first != NO_FILE;
}

static int
add_task(struct crew *crew, struct member *m, size_t index, size_t *len)
{
        struct file *file = &crew->files->list[index];
        struct task task = { .index = index, .path_bytes = strlen(file->path) + 1 };
        size_t wanted = *len + sizeof task + task.path_bytes;

        if (wanted > crew->batch_room) {
                uint8_t *grown = realloc(crew->batch, 2 * wanted);

                if (!grown)
                        return -ENOMEM;
                crew->batch = grown;
                crew->batch_room = 2 * wanted;
        }
        memcpy(crew->batch + *len, &task, sizeof task);
        memcpy(crew->batch + *len + sizeof task, file->path, task.path_bytes);
        *len = wanted;
        file->state = FILE_HELD;
        file->holder = m->serial;
        append(crew->files, &m->first, &m->last, index);
        return 0;
}

static int64_t
batch_work(const struct crew *crew)
{
        int64_t share = crew->waiting_work / (4 * (int64_t)crew->size);

        return share > BATCH_WORK_MAX ? BATCH_WORK_MAX : share < BATCH_WORK_MIN ? BATCH_WORK_MIN : share;
}

/* Put together one batch and give it out.  Written down first: from then on these files are that worker's. */
static int
give_batch(struct crew *crew, struct member *m)
{
        int64_t wanted = batch_work(crew), work = 0;
        size_t len = 0, index;
        int r = 0;

        while (r == 0 && work < wanted && is_waiting(crew)) {
                if (crew->given < crew->files->count)
                        index = crew->order[crew->given++];
                else
                        index = pop(crew->files, &crew->again_first);
                r = add_task(crew, m, index, &len);
                work += work_of(&crew->files->list[index]);
        }
        m->work += work;
        crew->waiting_work -= work;
        return r < 0 ? r : mproc_queue_put(m->tasks, crew->batch, len, MPROC_FOREVER);
}

static int
start_member(struct crew *crew, struct member *m)
{
        mproc_process_opts opts = { .daemon = 1 }; /* it ends with us, however we end */
        char name[32];
        int r;

        snprintf(name, sizeof name, "worker-%u", m->serial + 1);
        opts.name = name;
        if ((r = mproc_queue_create(crew->options->ctx, 0, &m->tasks)) < 0 ||
            (r = mproc_process_create_opts(crew->options->ctx, worker, MPROC_ARGS(m->tasks, crew->results, m->serial),
                                           &opts, &m->process)) < 0 ||
            (r = mproc_process_start(m->process)) < 0) {
                bar_say(crew->bar, "cannot start %s: %s", name, mproc_last_error());
                mproc_process_free(m->process);
                mproc_queue_free(m->tasks);
                m->process = NULL, m->tasks = NULL;
                m->cannot_start = true;
        }
        return r;
}

/* See that every worker has enough to do, and that there are enough workers. */
static int
deal(struct crew *crew)
{
        size_t alive = 0;
        int r = 0;

        for (size_t i = 0; i < crew->size; i++) {
                struct member *m = &crew->members[i];

                if (!m->process && !m->cannot_start && is_waiting(crew))
                        r = start_member(crew, m); /* with fewer workers it takes longer, but it goes on */
                if (!m->process)
                        continue;
                alive++;
                while (is_waiting(crew) && m->work < batch_work(crew))
                        if ((r = give_batch(crew, m)) < 0)
                                return r;
        }
        return alive > 0 ? 0 : r;
}

/* --- taking in ------------------------------------------------------------------------------------ */

static void
note_progress(struct crew *crew, struct file *file, int64_t hashed)
{
        crew->bar->bytes += hashed - file->hashed;
        file->hashed = hashed;
}

static void
close_file(struct crew *crew, struct file *file, enum file_state state)
{
        file->state = state;
        crew->open--;
        crew->bar->files++;
        if (state == FILE_FAILED)
                crew->files->failed++;
}

static void
take_result(struct crew *crew, const struct result *result)
{
        struct file *file = &crew->files->list[result->index];
        struct member *m = &crew->members[result->serial % crew->size];

        crew->deaths_in_row = 0;
        note_progress(crew, file, result->hashed);
        if (!result->last)
                return;
        pop(crew->files, &m->first);
        m->work -= work_of(file);
        memcpy(file->digest, result->digest, DIGEST_BYTES);
        close_file(crew, file, result->error ? FILE_FAILED : FILE_DONE);
        if (result->error)
                bar_say(crew->bar, "%s: %s", printable(file->path), strerror(result->error));
}

/* All results that are there now. */
static int
take_results(struct crew *crew)
{
        struct result result;
        size_t len;
        int r;

        while ((r = mproc_queue_get(crew->results, &result, sizeof result, &len, MPROC_NOWAIT)) == 0) {
                const struct member *m = &crew->members[result.serial % crew->size];

                if (len != sizeof result || result.serial != m->serial || result.index != m->first) {
                        bar_say(crew->bar, "a result came that no worker owes");
                        return -ECANCELED;
                }
                take_result(crew, &result);
                bar_draw(crew->bar);
        }
        return r == MPROC_EEMPTY ? 0 : r;
}

/* --- the dead ------------------------------------------------------------------------------------- */

/* What it held is to be done again; the file it was at bears the blame, and only so often. */
static void
take_back(struct crew *crew, struct member *m, const char *fate)
{
        size_t index = pop(crew->files, &m->first);
        struct file *file = &crew->files->list[index];
        const char *name = mproc_process_name(m->process);
        int pid = (int)mproc_process_pid(m->process);

        if (index == NO_FILE) {
                if (!crew->bar->quiet)
                        bar_say(crew->bar, "%s (pid %d): %s, between two files; it is replaced", name, pid, fate);
                return;
        }
        note_progress(crew, file, 0);
        file->tries++;
        if (file->tries >= crew->options->tries) {
                bar_say(crew->bar, "%s: given up: %d worker%s died over it (the last one: %s)", printable(file->path),
                        file->tries, file->tries == 1 ? "" : "s", fate);
                close_file(crew, file, FILE_FAILED);
        } else {
                if (!crew->bar->quiet)
                        bar_say(crew->bar, "%s (pid %d): %s; another worker hashes again: %s", name, pid, fate,
                                printable(file->path));
                file->state = FILE_WAITING;
                crew->waiting_work += work_of(file);
                append(crew->files, &crew->again_first, &crew->again_last, index);
        }
        while ((index = pop(crew->files, &m->first)) != NO_FILE) {
                crew->files->list[index].state = FILE_WAITING;
                crew->waiting_work += work_of(&crew->files->list[index]);
                append(crew->files, &crew->again_first, &crew->again_last, index);
        }
}

/* A worker has ended, and all its results have been taken in. */
static int
bury(struct crew *crew, struct member *m)
{
        mproc_report report;
        char fate[64];
        int r;

        if ((r = mproc_process_join(m->process, MPROC_FOREVER)) < 0 ||
            (r = mproc_process_report(m->process, &report)) < 0)
                return r;
        if (report.signal == 0 && report.exitcode != MPROC_EXITCODE_UNKNOWN) {
                bar_say(crew->bar, "%s failed: exit code %d %s", mproc_process_name(m->process), report.exitcode,
                        mproc_process_error(m->process));
                return -ECANCELED;
        }
        snprintf(fate, sizeof fate, "ended by signal %d (%s)", report.signal, strsignal(report.signal));
        take_back(crew, m, fate);
        crew->bar->replaced++;
        mproc_process_free(m->process);
        mproc_queue_free(m->tasks);
        *m = (struct member){ .serial = m->serial + (uint32_t)crew->size, .first = NO_FILE };
        if (++crew->deaths_in_row > DEATHS_IN_ROW_MAX + crew->options->tries) {
                bar_say(crew->bar, "%d workers died one after another: this leads nowhere", crew->deaths_in_row);
                return -ECANCELED;
        }
        return 0;
}

/* --- from the beginning to the end ---------------------------------------------------------------- */

/* Wait for anything to happen, and note who has ended. */
static int
wait_for_news(struct crew *crew)
{
        size_t count = 0;
        int r;

        crew->items[count++] = MPROC_WAIT(crew->results);
        crew->items[count++] = MPROC_WAIT(crew->interrupt_fd);
        for (size_t i = 0; i < crew->size; i++)
                if (crew->members[i].process)
                        crew->items[count++] = MPROC_WAIT(crew->members[i].process);
        r = mproc_wait(crew->items, count, crew->bar->shown ? BAR_TICK_MS : MPROC_FOREVER);
        if (r < 0 && r != MPROC_ETIMEDOUT)
                return r;
        count = 2;
        for (size_t i = 0; i < crew->size; i++)
                if (crew->members[i].process)
                        crew->members[i].ended = crew->items[count++].ready;
        return 0;
}

static int
turn(struct crew *crew)
{
        int r;

        if ((r = deal(crew)) < 0 || (r = wait_for_news(crew)) < 0)
                return r;
        if (interrupt_seen())
                return -EINTR;
        if ((r = take_results(crew)) < 0) /* after the sentinels were looked at, before the dead are buried */
                return r;
        for (size_t i = 0; i < crew->size && r == 0; i++)
                if (crew->members[i].ended)
                        r = bury(crew, &crew->members[i]);
        bar_draw(crew->bar);
        return r;
}

/* The end for all: in peace when the work is done, at once otherwise. */
static void
dismiss(struct crew *crew, bool at_once)
{
        for (size_t i = 0; i < crew->size; i++)
                if (crew->members[i].process) {
                        if (at_once || mproc_queue_put(crew->members[i].tasks, "", 0, MPROC_FOREVER) < 0)
                                mproc_process_terminate(crew->members[i].process);
                }
        for (size_t i = 0; i < crew->size; i++) {
                struct member *m = &crew->members[i];

                if (m->process && mproc_process_join(m->process, GOODBYE_MS) < 0) {
                        mproc_process_kill(m->process);
                        mproc_process_join(m->process, MPROC_FOREVER);
                }
                mproc_process_free(m->process);
                mproc_queue_free(m->tasks);
        }
}

static const struct files *being_sorted;

static int
larger_first(const void *a, const void *b)
{
        const struct file *x = &being_sorted->list[*(const size_t *)a], *y = &being_sorted->list[*(const size_t *)b];

        return (x->size < y->size) - (x->size > y->size);
}

static int
crew_init(struct crew *crew)
{
        size_t count = crew->files->count;

        crew->size = (size_t)crew->options->workers < count ? (size_t)crew->options->workers : count;
        crew->open = count;
        crew->again_first = NO_FILE;
        crew->waiting_work = crew->files->bytes + (int64_t)count * FILE_WORK;
        crew->order = calloc(count, sizeof *crew->order);
        crew->members = calloc(crew->size, sizeof *crew->members);
        crew->items = calloc(crew->size + 2, sizeof *crew->items);
        if (!crew->order || !crew->members || !crew->items)
                return -ENOMEM;
        for (size_t i = 0; i < crew->size; i++)
                crew->members[i] = (struct member){ .serial = (uint32_t)i, .first = NO_FILE };
        for (size_t i = 0; i < count; i++)
                crew->order[i] = i;
        being_sorted = crew->files;
        qsort(crew->order, count, sizeof *crew->order, larger_first);
        return mproc_queue_create(crew->options->ctx, 0, &crew->results);
}

int
crew_run(const struct options *options, struct files *files, struct bar *bar, int interrupt_fd)
{
        struct crew crew = { .options = options, .files = files, .bar = bar, .interrupt_fd = interrupt_fd };
        int r;

        if (files->count == 0)
                return 0;
        if ((r = crew_init(&crew)) == 0) {
                while (r == 0 && crew.open > 0)
                        r = turn(&crew);
                dismiss(&crew, r < 0);
        }
        if (r < 0 && r != -EINTR && r != -ECANCELED)
                bar_say(bar, "%s: %s", mproc_strerror(r), mproc_last_error());
        mproc_queue_free(crew.results);
        free(crew.batch);
        free(crew.order);
        free(crew.items);
        free(crew.members);
        return r;
}
