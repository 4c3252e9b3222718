/* SPDX-License-Identifier: MIT */
/*
 * pool/crew.c - the workers of a pool: started, watched, buried, replaced.
 *
 * Runs in: the pool's process, under the pool's mutex; but for the start, by the driver.
 * Owns: the workers' processes, sockets and files of results.
 *
 * When a worker is dead nobody writes into its record any more, nor into the chunk that it had: both are the pool's
 * process's then, and what they say is the last that happened (pool/table.h).
 */
#include "context/context.h"
#include "core/error.h"
#include "core/log.h"
#include "platform/memory.h"
#include "pool/mail.h"
#include "pool/pool.h"
#include "start/start.h"
#include "wire/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define EARLY_DEATHS_MAX 3
#define START_AGAIN      INT64_C(100000000)
#define TERM_TIME_MS     500

/* --- starting ------------------------------------------------------------------------------------------------ */

static void
clear_record(struct mproc__worker_shm *record)
{
        atomic_store(&record->job, 0);
        atomic_store(&record->chunk, 0);
        atomic_store(&record->current, MPROC__ITEM_NONE);
        atomic_store(&record->since_ns, 0);
        atomic_store(&record->status, MPROC__WORKER_STARTING);
        atomic_store(&record->mail, 0);
        atomic_store(&record->opened, 0);
        record->code = 0;
        record->text[0] = '\0';
}

static int
create_process(mproc_pool *pool, unsigned i, int mail, mproc_process **ret)
{
        mproc_process_opts opts = MPROC_PROCESS_OPTS_INIT;
        char name[96];
        mproc_arg values[] = { mproc_fd(pool->fd), mproc_fd(pool->bell), mproc_fd(pool->crew[i].results->fd),
                               mproc_fd(mail), mproc_arg_uint(i) };

        (void)snprintf(name, sizeof name, "%s-%u", pool->name, i + 1);
        opts.name = name;
        opts.daemon = 1;
        return mproc_process_create_opts(pool->context, mproc__worker_main,
                                         (mproc_arglist){ values, sizeof values / sizeof *values }, &opts, ret);
}

static void
dismiss(struct mproc__member *m)
{
        mproc_process_free(m->process);
        m->process = NULL;
        mproc__plat_close(&m->mail);
        if (m->results)
                m->results->writer_gone = true;
        mproc__results_file_unref(m->results);
        m->results = NULL;
        m->ready = m->being_killed = false;
        m->doomed_entry = 0;
}

static int
start_worker(mproc_pool *pool, unsigned i)
{
        struct mproc__member *m = &pool->crew[i];
        int sockets[2] = { -1, -1 };
        int r;

        clear_record(&pool->shm->records[i]);
        if ((r = mproc__results_file_create(pool->shm->results_idle_max, &m->results)) < 0)
                return r;
        if ((r = mproc__plat_socketpair(SOCK_SEQPACKET, sockets)) < 0) {
                r = mproc__fail_errno(-r, "cannot make the socket of a worker");
                goto out;
        }
        m->mail = sockets[0];
        if (pool->initializer_encoded.nfds > 0 &&
            (r = mproc__mail_send(m->mail, 1, pool->initializer_encoded.fds, pool->initializer_encoded.nfds)) < 0) {
                r = mproc__fail_errno(-r, "cannot send the descriptors of the initializer's arguments");
                goto out;
        }
        for (struct mproc_future *job = pool->active.first; job; job = job->next)
                if (job->encoded.nfds > 0 && (r = mproc__jobs_attach(pool, job, i)) < 0) {
                        r = mproc__fail_errno(-r, "cannot send the descriptors of a map's arrays");
                        goto out;
                }
        if ((r = create_process(pool, i, sockets[1], &m->process)) == 0)
                r = mproc_process_start(m->process);
out:
        mproc__plat_close(&sockets[1]);
        if (r < 0)
                dismiss(m);
        else
                pool->unready++;
        return r;
}

/* The job that a worker says it is in; NULL: none, or one that is over. */
static struct mproc_future *
job_of_entry(const mproc_pool *pool, uint64_t entry)
{
        struct mproc_future *job = entry ? pool->slots[mproc__entry_slot(entry)].job : NULL;

        return job && job->generation == entry >> 32 ? job : NULL;
}

/* --- burying --------------------------------------------------------------------------------------------------- */

/* How often this item's workers have died, this time included. */
static unsigned
count_death(struct mproc_future *job, uint64_t item)
{
        struct mproc__tries *t = job->tries;

        while (t && t->item != item)
                t = t->next;
        if (!t) {
                if (!(t = calloc(1, sizeof *t)))
                        return UINT32_MAX; /* no memory to give it another chance */
                t->item = item;
                t->next = job->tries;
                job->tries = t;
        }
        return job->deaths = ++t->deaths;
}

static void
describe_end(char *text, size_t size, int exitcode)
{
        if (exitcode == MPROC_EXITCODE_UNKNOWN)
                (void)snprintf(text, size, "ended, nobody knows how");
        else if (exitcode < 0)
                (void)snprintf(text, size, "was killed by signal %d (%s)", -exitcode, strsignal(-exitcode));
        else
                (void)snprintf(text, size, "left by exit(%d)", exitcode);
}

/* An item has cost its worker's life: does it get another? */
static bool
fail_or_retry(mproc_pool *pool, struct mproc_future *job, uint64_t item, pid_t pid, int exitcode)
{
        unsigned deaths = count_death(job, item);
        char words[MPROC__POOL_TEXT], end[96];

        if (deaths <= job->retries) {
                pool->retried++;
                return true;
        }
        describe_end(end, sizeof end, exitcode);
        if (job->retries > 0)
                (void)snprintf(words, sizeof words, "its worker (pid %ld) %s; it was tried %u times", (long)pid, end,
                               deaths);
        else
                (void)snprintf(words, sizeof words, "its worker (pid %ld) %s", (long)pid, end);
        mproc__jobs_fail_item(pool, job, item, MPROC_EWORKER, pid, exitcode, words);
        return false;
}

static void
fail_doomed(mproc_pool *pool, struct mproc_future *job, struct mproc__member *m, pid_t pid)
{
        char words[MPROC__POOL_TEXT];

        if (m->doomed_code == MPROC_EOVERTIME)
                (void)snprintf(words, sizeof words,
                               "it ran longer than its limit of %lld ms, and its worker (pid %ld) "
                               "was ended",
                               (long long)(job->time_limit_ns / 1000000), (long)pid);
        else
                (void)snprintf(words, sizeof words, "it was cancelled while it ran");
        mproc__jobs_fail_item(pool, job, m->doomed_item, m->doomed_code, pid, 0, words);
}

/*
 * The chunk that the dead worker had: what comes after the item that it was at is as if it had not been begun, what
 * comes before it is done.
 */
static void
settle_chunk(mproc_pool *pool, struct mproc_future *job, unsigned i, _Atomic uint64_t *state, uint64_t chunk,
             uint64_t entry, pid_t pid, int exitcode)
{
        struct mproc__worker_shm *record = &pool->shm->records[i];
        struct mproc__member *m = &pool->crew[i];
        uint64_t mark = atomic_load(&record->current);
        uint64_t first = chunk * job->chunk, start = first + mproc__chunk_start(atomic_load(state)), resume = start;
        uint64_t end = first + job->chunk < job->count ? first + job->chunk : job->count;
        uint64_t item = mark == MPROC__ITEM_NONE ? UINT64_MAX : mproc__item_of(mark);

        if (item < start || item >= end)
                item = UINT64_MAX;
        if (m->doomed_entry == entry && m->doomed_item >= start && m->doomed_item < end) {
                fail_doomed(pool, job, m, pid);
                resume = item != UINT64_MAX && item > m->doomed_item ? item : m->doomed_item + 1;
        } else if (item != UINT64_MAX) {
                resume = fail_or_retry(pool, job, item, pid, exitcode) ? item : item + 1;
        }
        if (m->doomed_entry == entry && m->doomed_code == MPROC_ECANCELLED && resume > start) {
                job->cancelled_items++;
                atomic_fetch_add(&record->tasks, resume - start - 1);
        } else {
                atomic_fetch_add(&record->tasks, resume - start);
        }
        if (resume < end) {
                atomic_store(state, mproc__chunk_state(MPROC__CHUNK_OPEN, 0, resume - first));
        } else {
                atomic_store(state, mproc__chunk_state(MPROC__CHUNK_DONE, 0, 0));
                atomic_fetch_sub(&mproc__job_shm(pool, job)->left, 1);
        }
}

/* NULL: the dead worker was in none. */
static struct mproc_future *
settle_job(mproc_pool *pool, unsigned i, pid_t pid, int exitcode)
{
        struct mproc__worker_shm *record = &pool->shm->records[i];
        uint64_t entry = atomic_load(&record->job), chunk = atomic_load(&record->chunk);
        struct mproc_future *job = job_of_entry(pool, entry);
        uint32_t writing = i + 1;
        struct mproc__job_shm *shm;
        _Atomic uint64_t *states;

        if (!job)
                return NULL;
        shm = mproc__job_shm(pool, job);
        atomic_store(&shm->shaky, 1);
        (void)atomic_compare_exchange_strong(&shm->failure.owner, &writing, 0);
        if (!(states = mproc__jobs_states(pool, job))) {
                mproc__jobs_cancel(pool, job, true);
                return job;
        }
        if (chunk < job->chunks) {
                uint64_t seen = atomic_load(&states[chunk]);

                if (mproc__chunk_kind(seen) == MPROC__CHUNK_RUNNING && mproc__chunk_worker(seen) == i)
                        settle_chunk(pool, job, i, &states[chunk], chunk, entry, pid, exitcode);
        }
        atomic_store(&shm->next, job->settled); /* all that may have been claimed and not begun lies behind that */
        return job;
}

static void
break_pool(mproc_pool *pool, int code, const char *words)
{
        char text[512];

        (void)snprintf(text, sizeof text, "its workers cannot be replaced: %s", words);
        pool->broken = code;
        pool->broken_text = strdup(text);
        mproc__crew_kill(pool);
        mproc__jobs_fail_all(pool, code, text);
}

/* What its record and its report tell of a worker that did not come as far as being ready. */
static int
tell_early_death(mproc_pool *pool, unsigned i, pid_t pid, int exitcode)
{
        const struct mproc__worker_shm *record = &pool->shm->records[i];
        const char *words = mproc_process_error(pool->crew[i].process);
        char end[96];

        if (atomic_load(&record->status) == MPROC__WORKER_FAILED)
                return mproc__fail(record->code < 0 ? record->code : MPROC_ETASK,
                                   "the initializer failed in worker %u: %.*s", i + 1, (int)sizeof record->text - 1,
                                   record->text);
        if (*words && exitcode >= 0)
                return mproc__fail(MPROC_EWORKER, "worker %u (pid %ld) failed before it was ready: %s", i + 1,
                                   (long)pid, words);
        describe_end(end, sizeof end, exitcode);
        return mproc__fail(MPROC_EWORKER, "worker %u (pid %ld) %s before it was ready", i + 1, (long)pid, end);
}

/* It has ended. */
static void
bury(mproc_pool *pool, unsigned i, bool *ret_early)
{
        struct mproc__worker_shm *record = &pool->shm->records[i];
        struct mproc__member *m = &pool->crew[i];
        pid_t pid = mproc_process_pid(m->process);
        int exitcode = MPROC_EXITCODE_UNKNOWN;
        struct mproc_future *job;
        uint32_t status;

        (void)mproc_process_exitcode(m->process, &exitcode);
        mproc__jobs_collect(pool); /* while its results can still be found by its number */
        status = atomic_load(&record->status);
        job = settle_job(pool, i, pid, exitcode);
        if (job)
                job->refs++;
        atomic_store(&record->job, 0);
        if (job) {
                if (job->worker >= 0) /* it may have been sent to others, too: who ran it is who matters */
                        job->worker = (int)i;
                if (job->state == MPROC__JOB_ACTIVE)
                        mproc__jobs_look(pool, job);
                if (--job->refs == 0)
                        mproc__job_destroy(job);
        }
        mproc__jobs_send_again(pool, (int)i);
        *ret_early = !m->ready && status != MPROC__WORKER_READY && status != MPROC__WORKER_RETIRED;
        if (!m->ready)
                pool->unready--;
        if (*ret_early)
                pool->start_failure = tell_early_death(pool, i, pid, exitcode);
        else if (status == MPROC__WORKER_READY && !atomic_load(&pool->shm->quit)) {
                pool->deaths++;
                mproc__log(MPROC_LOG_INFO, "worker %u of %s, pid %ld, died (%d) and is replaced", i + 1, pool->name,
                           (long)pid, exitcode);
        }
        dismiss(m);
}

static void
look_whether_ready(mproc_pool *pool, unsigned i)
{
        struct mproc__member *m = &pool->crew[i];
        uint32_t status = atomic_load(&pool->shm->records[i].status);

        if (!m->process || m->ready || (status != MPROC__WORKER_READY && status != MPROC__WORKER_RETIRED))
                return;
        m->ready = true;
        pool->unready--;
        pool->early_deaths = 0;
}

/* False: it cannot be had now. */
static bool
replace(mproc_pool *pool, unsigned i)
{
        if (start_worker(pool, i) < 0) {
                pool->early_deaths++;
                return false;
        }
        pool->crew[i].restarts++;
        return true;
}

void
mproc__crew_look(mproc_pool *pool)
{
        bool missing = false, early;

        pool->start_again_ns = MPROC__NEVER;
        for (unsigned i = 0; i < pool->workers && !pool->ended; i++) {
                struct mproc__member *m = &pool->crew[i];
                bool quits = atomic_load(&pool->shm->quit) && !mproc__pool_has_work(pool);

                early = false;
                if (m->process)
                        look_whether_ready(pool, i);
                if (m->process && mproc_process_is_alive(m->process) == 0)
                        bury(pool, i, &early);
                if (early)
                        pool->early_deaths++;
                if (early && pool->creating) /* mproc_pool_create decides */
                        return;
                if (!m->process && !quits && pool->early_deaths < EARLY_DEATHS_MAX)
                        missing |= !replace(pool, i);
                if (pool->early_deaths >= EARLY_DEATHS_MAX && !pool->creating) {
                        char words[MPROC__ERROR_TEXT_MAX];

                        (void)snprintf(words, sizeof words, "%s", mproc_last_error());
                        break_pool(pool, pool->start_failure < 0 ? pool->start_failure : MPROC_EWORKER, words);
                        return;
                }
        }
        if (missing)
                pool->start_again_ns = mproc__plat_now_ns() + START_AGAIN;
        if (!pool->ended)
                mproc__crew_wake(pool,
                                 MPROC__POOL_WORKERS_MAX); /* the dead one may have been woken for what is there */
}

/* --- the first time --------------------------------------------------------------------------------------------- */

static bool
all_ready_or_not(mproc_pool *pool, void *arg)
{
        (void)arg;
        if (pool->start_failure < 0)
                return true;
        for (unsigned i = 0; i < pool->workers; i++)
                look_whether_ready(pool, i);
        return pool->unready == 0;
}

int
mproc__crew_start(mproc_pool *pool)
{
        int r;

        pool->creating = true;
        for (;;) {
                for (unsigned i = 0; i < pool->workers; i++)
                        if (!pool->crew[i].process && (r = start_worker(pool, i)) < 0)
                                return r;
                pool->start_failure = 0;
                (void)mproc__pool_wait(pool, all_ready_or_not, NULL, MPROC__NEVER);
                if (pool->start_failure == 0)
                        break;
                /* A death may be bad luck; what the initializer says is not. */
                if (pool->start_failure != MPROC_EWORKER || pool->early_deaths >= EARLY_DEATHS_MAX)
                        return pool->start_failure;
        }
        pool->creating = false;
        return 0;
}

/* --- waking, ending ------------------------------------------------------------------------------------------------
 */

void
mproc__crew_wake(mproc_pool *pool, uint64_t work)
{
        mproc__word *word = &pool->shm->work;
        uint32_t v = atomic_load(word);
        int want = (int)(work < pool->workers ? work : pool->workers);

        while (!atomic_compare_exchange_weak(word, &v, (v + 1) & ~MPROC__WORK_WAITERS))
                ;
        if ((v & MPROC__WORK_WAITERS) && mproc__word_wake(word, want) >= want)
                atomic_fetch_or(word, MPROC__WORK_WAITERS);
}

bool
mproc__crew_doom(mproc_pool *pool, unsigned i, uint64_t entry, uint64_t mark, int code)
{
        struct mproc__member *m = &pool->crew[i];

        if (!m->process || m->being_killed || (mark & MPROC__ITEM_DOOMED) ||
            !atomic_compare_exchange_strong(&pool->shm->records[i].current, &mark, mark | MPROC__ITEM_DOOMED))
                return false;
        m->being_killed = true;
        m->doomed_entry = entry;
        m->doomed_item = mproc__item_of(mark);
        m->doomed_code = code;
        (void)mproc_process_kill(m->process);
        return true;
}

/* When the item that a worker is at has to end.  The mark is read first: see mproc__worker_shm on the order. */
static int64_t
look_at_limit(mproc_pool *pool, unsigned i, int64_t now)
{
        struct mproc__worker_shm *record = &pool->shm->records[i];
        uint64_t mark = atomic_load(&record->current);
        int64_t since = atomic_load(&record->since_ns);
        uint64_t entry = atomic_load(&record->job);
        struct mproc_future *job = job_of_entry(pool, entry);

        if (mark == MPROC__ITEM_NONE || !job || job->time_limit_ns == 0)
                return MPROC__NEVER;
        if (now < since + job->time_limit_ns)
                return since + job->time_limit_ns;
        (void)mproc__crew_doom(pool, i, entry, mark, MPROC_EOVERTIME);
        return MPROC__NEVER;
}

int64_t
mproc__crew_limits(mproc_pool *pool)
{
        int64_t now, next, at;

        if (pool->limited == 0)
                return MPROC__NEVER;
        now = mproc__plat_now_ns();
        next = now + pool->least_limit_ns; /* what begins from now on has that long */
        for (unsigned i = 0; i < pool->workers; i++)
                next = (at = look_at_limit(pool, i, now)) < next ? at : next;
        return next;
}

/* A sentinel may become readable for other reasons, where it is no pidfd: then the worker is asked again. */
static void
end_worker(struct mproc__member *m, int64_t deadline_ns)
{
        while (mproc_process_is_alive(m->process) == 1) {
                struct pollfd p = { .fd = mproc_process_sentinel(m->process), .events = POLLIN };

                if (mproc__plat_poll(&p, 1, deadline_ns) > 0 && !mproc__deadline_passed(deadline_ns))
                        continue;
                (void)mproc_process_kill(m->process);
                break;
        }
        (void)mproc_process_join(m->process, MPROC_FOREVER);
}

void
mproc__crew_kill(mproc_pool *pool)
{
        int64_t deadline = mproc__plat_now_ns() + TERM_TIME_MS * INT64_C(1000000);

        for (unsigned i = 0; i < pool->workers; i++)
                if (pool->crew[i].process)
                        (void)mproc_process_terminate(pool->crew[i].process);
        for (unsigned i = 0; i < pool->workers; i++)
                if (pool->crew[i].process)
                        end_worker(&pool->crew[i], deadline);
        mproc__jobs_collect(pool); /* what they had ended before */
        for (unsigned i = 0; i < pool->workers; i++) {
                atomic_store(&pool->shm->records[i].job, 0);
                if (pool->crew[i].process)
                        dismiss(&pool->crew[i]);
        }
        pool->unready = 0;
        pool->ended = true;
        pool->start_again_ns = MPROC__NEVER;
}

bool
mproc__crew_gone(mproc_pool *pool)
{
        for (unsigned i = 0; i < pool->workers; i++)
                if (pool->crew[i].process)
                        return false;
        return true;
}
