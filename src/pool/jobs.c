/* SPDX-License-Identifier: MIT */
/*
 * pool/jobs.c - jobs on their way: backlog, slot and ring, end.
 *
 * Runs in: the pool's process, under the pool's mutex.  Owns: slots and areas of jobs.
 */
#include "core/error.h"
#include "platform/memory.h"
#include "pool/mail.h"
#include "pool/pool.h"
#include "start/entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_STEP 32u         /* slots get their pages so many at a time */
#define COPY_MAX   (64u << 10) /* results up to this size are copied at once, so that few places serve many futures */

/* --- lists ------------------------------------------------------------------------------------------------- */

void
mproc__jobs_append(struct mproc__jobs *list, struct mproc_future *job)
{
        job->next = NULL;
        job->prev = list->last;
        if (list->last)
                list->last->next = job;
        else
                list->first = job;
        list->last = job;
}

void
mproc__jobs_remove(struct mproc__jobs *list, struct mproc_future *job)
{
        if (job->prev)
                job->prev->next = job->next;
        else
                list->first = job->next;
        if (job->next)
                job->next->prev = job->prev;
        else
                list->last = job->prev;
        job->next = job->prev = NULL;
}

/* A task with descriptors goes to one worker; what a map has of them goes to all. */
static bool
is_mailed(const struct mproc_future *job)
{
        return job->kind == MPROC__JOB_TASK && job->encoded.nfds > 0;
}

/* --- functions ------------------------------------------------------------------------------------------------- */

static int
name_function(mproc_pool *pool, void (*function)(void), struct mproc__function_name *ret)
{
        struct mproc__encoder e = MPROC__ENCODER_INIT;
        uint64_t at;
        int r;

        if ((r = mproc__entry_encode(function, &e)) == 0) {
                if ((r = mproc__areas_take(&pool->areas, e.len, &at)) < 0 ||
                    (r = mproc__areas_write(&pool->areas, at, e.data, e.len)) < 0)
                        r = mproc__fail_errno(-r, "no room in the pool's memory for the name of a function");
                else
                        *ret = (struct mproc__function_name){ function, at, (uint32_t)e.len };
        }
        mproc__encoder_fini(&e);
        return r;
}

int
mproc__jobs_function(mproc_pool *pool, void (*function)(void), uint64_t *ret_at, uint32_t *ret_len)
{
        struct mproc__function_name *f = pool->functions;
        size_t i = 0;
        int r;

        while (i < pool->nfunctions && f[i].function != function)
                i++;
        if (i == pool->nfunctions) {
                if (!(f = reallocarray(pool->functions, i + 1, sizeof *f)))
                        return mproc__fail(-ENOMEM, "no memory for the name of a function");
                pool->functions = f;
                if ((r = name_function(pool, function, &f[i])) < 0)
                        return r;
                pool->nfunctions++;
        }
        *ret_at = f[i].at;
        *ret_len = f[i].len;
        return 0;
}

/* --- slots -------------------------------------------------------------------------------------------------------
 */

/* 0: none is free. */
static uint32_t
take_slot(mproc_pool *pool)
{
        uint32_t number = pool->free_slots;

        if (number) {
                pool->free_slots = pool->slots[number - 1].next;
                return number;
        }
        if (pool->slots_made == MPROC__POOL_SLOTS)
                return 0;
        if (pool->slots_made % SLOTS_STEP == 0 &&
            mproc__memory_reserve(pool->fd,
                                  offsetof(struct mproc__pool_shm, jobs) +
                                          pool->slots_made * sizeof(struct mproc__job_shm),
                                  SLOTS_STEP * sizeof(struct mproc__job_shm)) < 0)
                return 0;
        return ++pool->slots_made;
}

static void
put_slot(mproc_pool *pool, uint32_t number)
{
        struct mproc__slot *slot = &pool->slots[number - 1];

        mproc__areas_give(&pool->areas, slot->area_at, slot->area_len);
        slot->area_len = 0;
        slot->next = pool->free_slots;
        pool->free_slots = number;
}

static bool
somebody_is_in(const mproc_pool *pool, uint64_t entry)
{
        for (unsigned i = 0; i < pool->workers; i++)
                if (atomic_load(&pool->shm->records[i].job) == entry)
                        return true;
        return false;
}

static bool
try_to_put_slot(mproc_pool *pool, uint32_t number)
{
        struct mproc__slot *slot = &pool->slots[number - 1];

        if (somebody_is_in(pool, mproc__entry(number - 1, slot->generation)))
                return false;
        put_slot(pool, number);
        return true;
}

/* Nobody enters it any more; who is inside may be, for a while, yet. */
static void
release_slot(mproc_pool *pool, struct mproc_future *job)
{
        struct mproc__slot *slot = &pool->slots[job->slot];

        atomic_store(&mproc__job_shm(pool, job)->generation, 0);
        slot->job = NULL;
        slot->area_at = job->area_at;
        slot->area_len = job->area_len;
        job->area_len = 0;
        if (!try_to_put_slot(pool, job->slot + 1)) {
                slot->next = pool->lingering;
                pool->lingering = job->slot + 1;
        }
}

/* The same, but the job keeps its area. */
static void
release_slot_only(mproc_pool *pool, struct mproc_future *job)
{
        uint64_t len = job->area_len;

        job->area_len = 0;
        release_slot(pool, job);
        job->area_len = len;
}

void
mproc__jobs_tidy(mproc_pool *pool)
{
        uint32_t number = pool->lingering, next;

        pool->lingering = 0;
        for (; number; number = next) {
                next = pool->slots[number - 1].next;
                if (!try_to_put_slot(pool, number)) {
                        pool->slots[number - 1].next = pool->lingering;
                        pool->lingering = number;
                }
        }
}

/* --- to the workers ----------------------------------------------------------------------------------------------
 */

/* All but the generation, by which it becomes visible. */
static void
fill_slot(mproc_pool *pool, struct mproc_future *job)
{
        struct mproc__job_shm *s = mproc__job_shm(pool, job);

        s->kind = job->kind;
        s->number = job->number;
        s->function_at = job->function_at;
        s->function_len = job->function_len;
        s->args_fds = (uint32_t)job->encoded.nfds;
        s->args_at = job->args_at;
        s->args_len = job->args_len;
        s->count = job->count;
        s->chunk = job->chunk;
        s->chunks = job->chunks;
        s->item_size = job->item_size;
        s->result_size = job->result_size;
        s->items_at = job->items_at;
        s->results_at = job->results_at;
        s->codes_at = job->codes_at;
        s->shared_at = job->shared_at;
        s->shared_len = job->shared_len;
        s->states_at = job->states_at;
        s->area_at = job->area_at;
        s->area_len = job->area_len;
        s->time_limit_ns = job->time_limit_ns;
        atomic_store_explicit(&s->next, 0, memory_order_relaxed);
        atomic_store_explicit(&s->left, job->chunks, memory_order_relaxed);
        atomic_store_explicit(&s->state, 0, memory_order_relaxed);
        atomic_store_explicit(&s->stop, 0, memory_order_relaxed);
        atomic_store_explicit(&s->shaky, 0, memory_order_relaxed);
        atomic_store_explicit(&s->any_failed, 0, memory_order_relaxed);
        atomic_store_explicit(&s->failure.owner, 0, memory_order_relaxed);
        s->result.type = MPROC_ARG_NONE;
        s->result.file = 0;
        s->result.len = 0;
        if (job->args_len > 0 && !job->args_at)
                memcpy(s->args, job->args_inline, job->args_len);
}

static bool
activate(mproc_pool *pool, struct mproc_future *job)
{
        uint32_t number = take_slot(pool);
        struct mproc__slot *slot;

        if (!number)
                return false;
        slot = &pool->slots[number - 1];
        job->slot = number - 1;
        if (++slot->generation == 0)
                slot->generation = 1;
        job->generation = slot->generation;
        slot->job = job;
        fill_slot(pool, job);
        atomic_store(&mproc__job_shm(pool, job)->generation, job->generation);
        return true;
}

static uint64_t
entry_of(const struct mproc_future *job)
{
        return mproc__entry(job->slot, job->generation);
}

static bool
ring_has_room(const mproc_pool *pool, uint64_t keep)
{
        return atomic_load_explicit(&pool->shm->tail, memory_order_relaxed) - atomic_load(&pool->shm->front) <
               MPROC__POOL_RING - keep;
}

static void
list_in_ring(mproc_pool *pool, struct mproc_future *job)
{
        uint64_t tail = atomic_load_explicit(&pool->shm->tail, memory_order_relaxed);

        atomic_store(&pool->shm->ring[tail % MPROC__POOL_RING], entry_of(job));
        job->listed_at = tail;
        atomic_store(&pool->shm->tail, tail + 1);
}

static void
now_active(mproc_pool *pool, struct mproc__jobs *backlog, struct mproc_future *job)
{
        mproc__jobs_remove(backlog, job);
        mproc__jobs_append(is_mailed(job) ? &pool->active_mail : &pool->active, job);
        job->state = MPROC__JOB_ACTIVE;
        if (job->time_limit_ns > 0)
                pool->limited++;
}

/* Who should have it: one that has few such tasks, best of all one that has nothing to do.  -1: nobody can. */
static int
choose_worker(const mproc_pool *pool, uint64_t *ret_load)
{
        int best = -1;

        *ret_load = 2 * MPROC__MAIL_MAX;
        for (unsigned i = 0; i < pool->workers; i++) {
                const struct mproc__worker_shm *record = &pool->shm->records[i];
                const struct mproc__member *m = &pool->crew[i];
                uint64_t load = 2 * (atomic_load(&record->mail) - atomic_load(&record->opened)) +
                                (atomic_load(&record->job) != 0);

                if (m->process && m->ready && !m->being_killed && load < *ret_load) {
                        best = (int)i;
                        *ret_load = load;
                }
        }
        return best;
}

/* The packet first, then its number: a worker that sees the number finds the packet. */
static int
send_packet(mproc_pool *pool, const struct mproc_future *job, unsigned worker, uint64_t flags)
{
        struct mproc__worker_shm *record = &pool->shm->records[worker];
        int r = mproc__mail_send(pool->crew[worker].mail, entry_of(job) | flags, job->encoded.fds, job->encoded.nfds);

        if (r == 0)
                atomic_store(&record->mail, atomic_load_explicit(&record->mail, memory_order_relaxed) + 1);
        return r;
}

static int
post(mproc_pool *pool, struct mproc_future *job, int worker)
{
        int r = send_packet(pool, job, (unsigned)worker, 0);

        if (r == 0)
                job->worker = worker;
        return r;
}

static void conclude(mproc_pool *pool, struct mproc_future *job);
static void give_up(mproc_pool *pool, struct mproc__jobs *backlog, struct mproc_future *job, int code,
                    const char *words);

/* A task with descriptors.  False: not now. */
static bool
feed_by_mail(mproc_pool *pool, struct mproc_future *job)
{
        uint64_t load;
        int worker = choose_worker(pool, &load), r;

        if (worker < 0 || !activate(pool, job))
                return false;
        if ((r = post(pool, job, worker)) < 0) {
                release_slot_only(pool, job);
                if (r != -EAGAIN && r != -EPIPE && r != -ECONNRESET)
                        give_up(pool, &pool->mail_backlog, job, r, "its descriptors cannot be sent to a worker");
                return false;
        }
        now_active(pool, &pool->mail_backlog, job);
        return true;
}

/* Each worker that lives gets the descriptors of a map; those that are started later, when they are. */
int
mproc__jobs_attach(mproc_pool *pool, struct mproc_future *job, unsigned worker)
{
        return send_packet(pool, job, worker, MPROC__MAIL_ATTACH);
}

/* A socket that is full, with as much room as it has kept for this, belongs to a worker that is stopped: not now. */
static bool
attach_to_all(mproc_pool *pool, struct mproc_future *job)
{
        int r;

        if (job->encoded.nfds == 0)
                return true;
        for (unsigned i = 0; i < pool->workers; i++) {
                if (!pool->crew[i].process)
                        continue;
                if ((r = mproc__jobs_attach(pool, job, i)) < 0 && r != -EPIPE && r != -ECONNRESET) {
                        release_slot_only(pool, job);
                        if (r != -EAGAIN)
                                give_up(pool, &pool->backlog, job, r,
                                        "its descriptors cannot be sent to the workers");
                        return false;
                }
        }
        return true;
}

void
mproc__jobs_feed(mproc_pool *pool)
{
        struct mproc_future *job;
        uint64_t work = 0;

        while ((job = pool->backlog.first) && ring_has_room(pool, MPROC__POOL_SLOTS) && activate(pool, job) &&
               attach_to_all(pool, job)) {
                now_active(pool, &pool->backlog, job);
                list_in_ring(pool, job);
                work += job->chunks;
        }
        while ((job = pool->mail_backlog.first) && feed_by_mail(pool, job))
                work = MPROC__POOL_WORKERS_MAX; /* whoever it is for */
        if (work)
                mproc__crew_wake(pool, work);
}

void
mproc__jobs_give(mproc_pool *pool, struct mproc_future *job)
{
        struct mproc__jobs *backlog = is_mailed(job) ? &pool->mail_backlog : &pool->backlog;

        job->number = pool->given;
        pool->given += job->count;
        job->worker = -1;
        if (job->count == 0) { /* there is nothing that a worker could say of it */
                conclude(pool, job);
                return;
        }
        job->state = MPROC__JOB_BACKLOG;
        mproc__jobs_append(backlog, job);
        mproc__jobs_feed(pool);
}

static bool
is_waiting(mproc_pool *pool, struct mproc_future *job)
{
        return mproc__chunk_kind(atomic_load(&mproc__job_shm(pool, job)->state)) == MPROC__CHUNK_OPEN;
}

void
mproc__jobs_spread(mproc_pool *pool)
{
        bool sent = false;
        uint64_t load;
        int worker;

        for (struct mproc_future *job = pool->active_mail.first; job; job = job->next) {
                if (!is_waiting(pool, job) || atomic_load(&pool->shm->records[job->worker].job) == 0)
                        continue; /* or about to be opened */
                worker = choose_worker(pool, &load);
                if (worker < 0 || load > 0)
                        break;
                if (worker != job->worker && post(pool, job, worker) == 0)
                        sent = true;
        }
        if (sent)
                mproc__crew_wake(pool, MPROC__POOL_WORKERS_MAX);
}

/*
 * Another worker may have this task, too, and claim it at this moment: then it is that one's.  Otherwise it is
 * nobody's from now on, so that its slot can be left.
 */
static bool
take_chunk_away(mproc_pool *pool, struct mproc_future *job)
{
        _Atomic uint64_t *state = &mproc__job_shm(pool, job)->state;
        uint64_t seen = atomic_load(state);

        return mproc__chunk_kind(seen) == MPROC__CHUNK_OPEN &&
               atomic_compare_exchange_strong(state, &seen, mproc__chunk_state(MPROC__CHUNK_DONE, 0, 0));
}

/* To be sent again, when somebody can have it. */
static void
take_back(mproc_pool *pool, struct mproc_future *job)
{
        release_slot_only(pool, job);
        if (job->time_limit_ns > 0)
                pool->limited--;
        mproc__jobs_remove(&pool->active_mail, job);
        job->worker = -1;
        job->state = MPROC__JOB_BACKLOG;
        mproc__jobs_append(&pool->mail_backlog, job);
}

void
mproc__jobs_send_again(mproc_pool *pool, int worker)
{
        struct mproc_future *next;

        for (struct mproc_future *job = pool->active_mail.first; job; job = next) {
                next = job->next;
                if (job->worker == worker && !job->cancelled && take_chunk_away(pool, job))
                        take_back(pool, job);
        }
}

static bool
has_open_chunk(mproc_pool *pool, struct mproc_future *job)
{
        _Atomic uint64_t *states = mproc__jobs_states(pool, job);

        for (uint64_t i = job->settled; states && i < job->chunks; i++)
                if (mproc__chunk_kind(atomic_load(&states[i])) == MPROC__CHUNK_OPEN)
                        return true;
        return false;
}

/*
 * Only for something that is there to be had: workers that find nothing call again, and so a job whose last chunk
 * takes long would keep everybody busy.  An open chunk may also be one that a worker, stopped there, has passed in
 * `next` and not claimed yet; `next` goes back for that one.
 */
void
mproc__jobs_list_again(mproc_pool *pool, struct mproc_future *job)
{
        if (is_mailed(job) || atomic_load(&pool->shm->front) <= job->listed_at || !ring_has_room(pool, 0) ||
            !has_open_chunk(pool, job))
                return;
        atomic_store(&mproc__job_shm(pool, job)->next, job->settled);
        list_in_ring(pool, job);
        mproc__crew_wake(pool, job->chunks);
}

/* --- the end of a job ----------------------------------------------------------------------------------------------
 */

static void
set_words(struct mproc_future *job, const char *words)
{
        free(job->text);
        job->text = strdup(words);
}

void
mproc__jobs_fail_item(mproc_pool *pool, struct mproc_future *job, uint64_t item, int code, pid_t pid, int exitcode,
                      const char *words)
{
        int32_t stored = code;

        if (code != MPROC_ECANCELLED) { /* that is counted when its job ends */
                job->failed_items++;
                pool->failed++;
        }
        if (job->codes_at)
                (void)mproc__areas_write(&pool->areas, job->codes_at + item * sizeof stored, &stored, sizeof stored);
        if (job->results_at)
                (void)mproc__areas_clear(&pool->areas, job->results_at + item * job->result_size, job->result_size);
        if (job->code != 0)
                return;
        job->code = code;
        job->failed_item = item;
        job->worker_pid = pid;
        job->exitcode = exitcode;
        set_words(job, words);
}

/* What a worker told of the first failure it saw, if that is the first. */
static void
take_failure(mproc_pool *pool, struct mproc_future *job)
{
        const struct mproc__failure_shm *f = &mproc__job_shm(pool, job)->failure;
        char text[MPROC__POOL_TEXT];

        if (job->code != 0 || !atomic_load(&mproc__job_shm(pool, job)->any_failed))
                return;
        if (!(atomic_load(&f->owner) & MPROC__FAILURE_READY)) {
                job->code = MPROC_ETASK;
                set_words(job, "it failed, and its worker died before it could tell why");
                return;
        }
        memcpy(text, f->text, sizeof text);
        text[sizeof text - 1] = '\0';
        job->code = f->code < 0 ? f->code : MPROC_ETASK;
        job->function_result = f->result;
        job->failed_item = f->item;
        job->worker_pid = f->pid;
        set_words(job, text);
}

static int
copy_result(mproc_pool *pool, struct mproc_future *job, const struct mproc__result_shm *shm,
            struct mproc__results_file *file)
{
        (void)pool;
        if (job->len <= sizeof job->args_inline)
                job->data = job->args_inline;
        else if (!(job->data = malloc(job->len)))
                return -ENOMEM;
        if (shm->file == 0) {
                memcpy(job->data, shm->data, job->len < sizeof shm->data ? job->len : sizeof shm->data);
                return 0;
        }
        return mproc__memory_read(file->fd, shm->at, job->data, job->len);
}

/* The worker's word is not trusted: what it says of a place is only ever used to read. */
static void
take_result(mproc_pool *pool, struct mproc_future *job)
{
        const struct mproc__result_shm said = mproc__job_shm(pool, job)->result, *shm = &said; /* it may change */
        struct mproc__results_file *file;
        int r = 0;

        job->type = (mproc_arg_type)shm->type;
        job->len = shm->len;
        if (shm->type == MPROC_ARG_NONE || shm->worker >= pool->workers ||
            (shm->file != 0 && !pool->crew[shm->worker].results) || (shm->file == 0 && job->len > sizeof shm->data)) {
                job->type = MPROC_ARG_NONE;
                job->len = 0;
                return;
        }
        job->worker_pid = pool->crew[shm->worker].process ? mproc_process_pid(pool->crew[shm->worker].process) : 0;
        file = pool->crew[shm->worker].results;
        if (shm->file == 0 || job->len <= COPY_MAX) {
                r = copy_result(pool, job, shm, file);
                if (shm->file != 0)
                        mproc__results_file_give(file, shm->file, shm->at, shm->len);
        } else {
                job->file = file;
                file->refs++;
                job->place = shm->file;
                job->at = shm->at;
        }
        if (r < 0) {
                job->code = r;
                set_words(job, "no memory for its result");
        }
}

static void
take_results(mproc_pool *pool, struct mproc_future *job)
{
        int r = 0;

        if (job->results && job->results_at)
                r = mproc__areas_read(&pool->areas, job->results_at, job->results, job->count * job->result_size);
        if (job->codes && job->codes_at)
                r = mproc__areas_read(&pool->areas, job->codes_at, job->codes, job->count * sizeof *job->codes);
        if (r < 0 && job->code == 0) {
                job->code = r;
                set_words(job, "its results cannot be read back");
        }
}

static void
free_tries(struct mproc_future *job)
{
        for (struct mproc__tries *t = job->tries, *next; t; t = next) {
                next = t->next;
                free(t);
        }
        job->tries = NULL;
}

/* It is out of all lists and slots: who waits may see it, and who wants to be called is. */
static void
conclude(mproc_pool *pool, struct mproc_future *job)
{
        job->state = MPROC__JOB_ENDED;
        if (job->cancelled && pool->cancelling > 0)
                pool->cancelling--;
        mproc__mail_release(&job->encoded);
        mproc__view_close(&job->states);
        free_tries(job);
        mproc__areas_give(&pool->areas, job->area_at, job->area_len);
        job->area_len = 0;
        (void)pthread_cond_broadcast(&pool->changed);
        if (job->callback)
                mproc__jobs_append(&pool->to_call, job); /* with the pool's reference */
        else if (--job->refs == 0)
                mproc__job_destroy(job);
}

/* Of a job that is cancelled: the items that had ended before, with success or without. */
static uint64_t
count_ended(mproc_pool *pool, struct mproc_future *job)
{
        _Atomic uint64_t *states = mproc__jobs_states(pool, job);
        uint64_t ended = 0;

        for (uint64_t i = 0; states && i < job->chunks; i++) {
                uint64_t state = atomic_load(&states[i]), size = job->chunk;

                if (i == job->chunks - 1)
                        size = job->count - i * job->chunk;
                ended += mproc__chunk_kind(state) == MPROC__CHUNK_DONE ? size : mproc__chunk_start(state);
        }
        ended -= job->cancelled_items;
        return ended < job->count ? ended : job->count;
}

static void
end_active(mproc_pool *pool, struct mproc_future *job)
{
        if (job->cancelled) {
                pool->cancelled += job->count - count_ended(pool, job);
        } else {
                take_failure(pool, job);
                if (job->kind == MPROC__JOB_TASK && job->code == 0)
                        take_result(pool, job);
                if (job->kind == MPROC__JOB_MAP)
                        take_results(pool, job);
        }
        if (job->time_limit_ns > 0)
                pool->limited--;
        mproc__jobs_remove(is_mailed(job) ? &pool->active_mail : &pool->active, job);
        release_slot(pool, job);
        conclude(pool, job);
}

static void
give_up(mproc_pool *pool, struct mproc__jobs *backlog, struct mproc_future *job, int code, const char *words)
{
        mproc__jobs_remove(backlog, job);
        pool->failed += job->count;
        job->code = code;
        set_words(job, words);
        conclude(pool, job);
}

/* --- looking
 * --------------------------------------------------------------------------------------------------------- */

_Atomic uint64_t *
mproc__jobs_states(mproc_pool *pool, struct mproc_future *job)
{
        if (job->chunks == 1)
                return &mproc__job_shm(pool, job)->state;
        if (!job->states.data && mproc__view_open(pool->fd, (uint8_t *)pool->shm, job->states_at,
                                                  job->chunks * sizeof(uint64_t), &job->states) < 0)
                return NULL;
        return (_Atomic uint64_t *)(void *)job->states.data;
}

static bool
all_done(mproc_pool *pool, struct mproc_future *job)
{
        _Atomic uint64_t *states;

        if (!atomic_load(&mproc__job_shm(pool, job)->shaky))
                return atomic_load(&mproc__job_shm(pool, job)->left) == 0;
        if (!(states = mproc__jobs_states(pool, job)))
                return false;
        while (job->settled < job->chunks &&
               mproc__chunk_kind(atomic_load(&states[job->settled])) == MPROC__CHUNK_DONE)
                job->settled++;
        return job->settled == job->chunks;
}

void
mproc__jobs_look(mproc_pool *pool, struct mproc_future *job)
{
        if (all_done(pool, job) || (job->cancelled && !somebody_is_in(pool, entry_of(job))))
                end_active(pool, job);
        else if (atomic_load(&mproc__job_shm(pool, job)->shaky) && !job->cancelled)
                mproc__jobs_list_again(pool, job);
}

static void
collect_word(mproc_pool *pool, size_t word)
{
        uint64_t marks = atomic_exchange(&pool->shm->done[word], 0);

        while (marks) {
                struct mproc_future *job = pool->slots[word * 64 + (size_t)__builtin_ctzll(marks)].job;

                marks &= marks - 1;
                if (job)
                        mproc__jobs_look(pool, job);
        }
}

void
mproc__jobs_collect(mproc_pool *pool)
{
        for (size_t i = 0; i < MPROC__POOL_DONE_WORDS / 64; i++) {
                uint64_t words = atomic_load_explicit(&pool->shm->done_summary[i], memory_order_acquire);

                if (!words)
                        continue;
                words = atomic_exchange(&pool->shm->done_summary[i], 0);
                for (; words; words &= words - 1)
                        collect_word(pool, i * 64 + (size_t)__builtin_ctzll(words));
        }
}

/* Cancelled ones end when nobody is in them any more, which nobody marks. */
void
mproc__jobs_look_at_cancelled(mproc_pool *pool)
{
        const struct mproc__jobs *lists[] = { &pool->active, &pool->active_mail };
        struct mproc_future *next;

        for (int i = 0; i < 2; i++)
                for (struct mproc_future *job = lists[i]->first; job && pool->cancelling > 0; job = next) {
                        next = job->next;
                        if (job->cancelled)
                                mproc__jobs_look(pool, job);
                }
}

/* --- cancelling
 * ------------------------------------------------------------------------------------------------------- */

void
mproc__jobs_cancel(mproc_pool *pool, struct mproc_future *job, bool running)
{
        if (job->state == MPROC__JOB_ENDED || job->cancelled)
                return;
        job->cancelled = true;
        if (job->code == 0) {
                job->code = MPROC_ECANCELLED;
                set_words(job, "it was cancelled");
        }
        pool->cancelling++;
        if (job->state == MPROC__JOB_BACKLOG) {
                pool->cancelled += job->count;
                mproc__jobs_remove(is_mailed(job) ? &pool->mail_backlog : &pool->backlog, job);
                conclude(pool, job);
                return;
        }
        atomic_store(&mproc__job_shm(pool, job)->stop, 1);
        for (unsigned i = 0; running && i < pool->workers; i++) {
                uint64_t at = atomic_load(&pool->shm->records[i].current);

                if (at != MPROC__ITEM_NONE && atomic_load(&pool->shm->records[i].job) == entry_of(job))
                        (void)mproc__crew_doom(pool, i, entry_of(job), at, MPROC_ECANCELLED);
        }
        mproc__jobs_look(pool, job);
}

/* No worker is left. */
void
mproc__jobs_fail_all(mproc_pool *pool, int code, const char *words)
{
        struct mproc_future *job;

        while ((job = pool->active.first) || (job = pool->active_mail.first)) {
                if (job->code == 0) {
                        job->code = code;
                        set_words(job, words);
                }
                if (!job->cancelled) {
                        job->cancelled = true;
                        pool->cancelling++;
                }
                end_active(pool, job);
        }
        while ((job = pool->backlog.first))
                give_up(pool, &pool->backlog, job, code, words);
        while ((job = pool->mail_backlog.first))
                give_up(pool, &pool->mail_backlog, job, code, words);
}

void
mproc__job_destroy(struct mproc_future *job)
{
        if (job->data != job->args_inline)
                free(job->data);
        mproc__view_close(&job->view);
        if (job->file) {
                mproc__results_file_give(job->file, job->place, job->at, job->len);
                mproc__results_file_unref(job->file);
        }
        mproc__mail_release(&job->encoded);
        job->pool->refs--;
        free(job->text);
        free(job);
}
