/* SPDX-License-Identifier: MIT */
/*
 * chaos/chaos.c - the conductor of storms; see chaos.h.
 *
 * Runs in: test processes.  MPROC_CHAOS=SECONDS[,SEED] makes it last longer than its moment, or repeats
 * the same choices.
 */
#include "chaos/chaos.h"
#include "support/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EPOCH_MS = 1500, STOPPED = 3, LIMIT_S = 86400 };

struct worker {
        mproc_process *process;
        struct crew *crew;
        unsigned i;
        int64_t stopped_until; /* 0: it runs */
};

static struct crew *crews;
static struct worker workers[CREWS * WORKERS];
static unsigned worker_count, crew_count;
static struct office *office;
int office_fd = -1;
static uint64_t dice_state;

/* What is told at the end. */
static struct {
        unsigned killed, stopped, trackers, servers, creators, storms;
        int64_t worst_stall_ms;
        const char *worst_crew;
} told;

void
add_crew(struct crew *crew)
{
        struct crew **end = &crews;

        while (*end)
                end = &(*end)->next;
        crew->number = crew_count++;
        *end = crew;
}

unsigned
dice(unsigned sides)
{
        dice_state ^= dice_state << 13;
        dice_state ^= dice_state >> 7;
        dice_state ^= dice_state << 17;
        return (unsigned)(dice_state >> 32) % sides;
}

void *
read_books(int fd, size_t size)
{
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        CHECK(p != MAP_FAILED);
        return p;
}

void *
open_books(size_t size, int *ret_fd)
{
        *ret_fd = memfd_create("books", MFD_CLOEXEC);
        CHECK(*ret_fd >= 0 && ftruncate(*ret_fd, (off_t)size) == 0);
        return read_books(*ret_fd, size);
}

void
close_books(void *books, size_t size, int fd)
{
        CHECK(munmap(books, size) == 0);
        (void)close(fd);
}

struct office *
enter_office(mproc_args *args)
{
        dice_state = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15) + 1;
        return read_books(mproc_args_fd(args, 0), sizeof(struct office));
}

/* --- hiring and firing ---------------------------------------------------------------------------------- */

/* A start that fails because the fork server was killed under it is tried again. */
static void
hire(mproc_context *ctx, struct worker *worker)
{
        int64_t end = monotonic_ms() + scaled_ms(LONG_MS);

        for (;;) {
                int r;

                worker->process = worker->crew->hire(worker->crew, ctx, worker->i);
                r = mproc_process_start(worker->process);
                if (r == 0)
                        break;
                CHECK_MSG(monotonic_ms() < end, "no worker can be started: %s", mproc_last_error());
                mproc_process_free(worker->process);
        }
        worker->stopped_until = 0;
}

static bool
bury(struct worker *worker)
{
        int exitcode;

        CHECK_OK(mproc_process_join(worker->process, scaled_ms(LONG_MS)));
        CHECK_OK(mproc_process_exitcode(worker->process, &exitcode));
        CHECK_MSG(exitcode == -SIGKILL || exitcode == 0, "worker %u of %s ended with %d: %s", worker->i,
                  worker->crew->name, exitcode, mproc_process_error(worker->process));
        mproc_process_free(worker->process);
        worker->process = NULL;
        worker->stopped_until = 0;
        return exitcode != 0;
}

/* The library's own processes of this test.  A newborn child bears the server's name for a moment; killing that is a
 * worker's death before its time, which is fair, too. */
static bool
kill_named(const char *name)
{
        struct procfs_stat *list;
        size_t count = procfs_descendants(process_parent(getsid(0)), &list);
        bool killed = false;

        for (size_t i = 0; i < count && !killed; i++) /* (a tracker has a session of its own) */
                if (list[i].state != 'Z' && strcmp(list[i].name, name) == 0)
                        killed = kill(list[i].pid, SIGKILL) == 0;
        free(list);
        return killed;
}

/* --- a creator dies, and those whom it started go on with its objects ------------------------------------- */

static int
orphan(mproc_args *args)
{
        struct office *o = enter_office(args);
        mproc_queue *q = mproc_args_queue(args, 1);
        bool puts = mproc_args_int(args, 2);

        atomic_fetch_add(&o->orphans_begun, 1);
        while (!o->orphans_stop) {
                uint64_t message;

                if (puts) {
                        (void)mproc_queue_put(q, &(uint64_t){ 4711 }, sizeof message, PATIENCE_MS);
                } else if (mproc_queue_get(q, &message, sizeof message, NULL, PATIENCE_MS) == 0) {
                        CHECK(message == 4711);
                        atomic_fetch_add(&o->orphans_progress, 1);
                }
        }
        atomic_fetch_add(&o->orphans_ended, 1);
        return 0;
}

static int
creator(mproc_args *args)
{
        mproc_context *ctx;
        mproc_queue *q;

        CHECK_OK(mproc_get_context(mproc_args_string(args, 1), &ctx));
        CHECK_OK(mproc_queue_create(ctx, 5, &q));
        for (int i = 0; i < 2; i++)
                (void)start(ctx, orphan, MPROC_ARGS(mproc_fd(mproc_args_fd(args, 0)), q, i));
        for (;;)
                (void)pause();
}

static void
kill_a_creator(mproc_context *ctx, const char *method)
{
        mproc_process *process;
        unsigned long before;

        office->orphans_begun = office->orphans_ended = 0;
        office->orphans_stop = 0;
        CHECK_OK(mproc_process_create(ctx, creator, MPROC_ARGS(mproc_fd(office_fd), method), &process));
        if (mproc_process_start(process) != 0) { /* the fork server has just been killed */
                mproc_process_free(process);
                return;
        }
        WAIT_UNTIL(office->orphans_begun == 2, LONG_MS);
        CHECK_OK(mproc_process_kill(process));
        CHECK_OK(mproc_process_join(process, scaled_ms(LONG_MS)));
        mproc_process_free(process);
        before = office->orphans_progress;
        WAIT_UNTIL(office->orphans_progress > before + 20, LONG_MS);
        office->orphans_stop = 1;
        WAIT_UNTIL(office->orphans_ended == 2, LONG_MS);
        told.creators++;
}

/* --- watching ----------------------------------------------------------------------------------------------- */

static struct {
        unsigned long progress;
        int64_t since_ms;
} seen[CREWS];

static void
forget_stalls(void)
{
        for (unsigned i = 0; i < CREWS; i++) {
                seen[i].since_ms = monotonic_ms();
                seen[i].progress = 0;
        }
}

/* Every crew gets on, unless somebody of it is stopped, who may be inside. */
static void
watch_stalls(void)
{
        int64_t now = monotonic_ms();

        for (struct crew *crew = crews; crew; crew = crew->next) {
                unsigned long progress = office->progress[crew->number];
                bool stopped = false;

                for (unsigned k = 0; k < worker_count; k++)
                        stopped |= workers[k].crew == crew && workers[k].stopped_until != 0;
                if (now - seen[crew->number].since_ms > told.worst_stall_ms && !stopped) {
                        told.worst_stall_ms = now - seen[crew->number].since_ms;
                        told.worst_crew = crew->name;
                }
                CHECK_MSG(now - seen[crew->number].since_ms < scaled_ms(STALL_MS) || stopped,
                          "%s stands still for %lld ms", crew->name, (long long)(now - seen[crew->number].since_ms));
                if (progress != seen[crew->number].progress || stopped) {
                        seen[crew->number].progress = progress;
                        seen[crew->number].since_ms = now;
                }
        }
}

static long
resident_pages(void)
{
        FILE *file = fopen("/proc/self/statm", "re");
        long pages = 0;

        CHECK(file && fscanf(file, "%*d %ld", &pages) == 1);
        (void)fclose(file);
        return pages;
}

/* --- the waker ----------------------------------------------------------------------------------------------- */

struct stay {
        pid_t pid;
        int64_t until_ms;
};

static pid_t waker;
static int waker_pipe = -1;

static void
wake_sleepers(int pipe)
{
        struct stay stays[64];
        size_t count = 0;

        for (;;) {
                struct pollfd p = { .fd = pipe, .events = POLLIN };
                struct stay next;

                if (poll(&p, 1, 1) > 0 && count < 64 && read(pipe, &next, sizeof next) == sizeof next)
                        stays[count++] = next;
                for (size_t i = 0; i < count; i++)
                        if (stays[i].until_ms <= monotonic_ms()) {
                                (void)kill(stays[i].pid, SIGCONT);
                                stays[i--] = stays[--count];
                        }
        }
}

/*
 * A process of its own: the conductor may wait for somebody who is stopped.  (A start by the fork server waits for
 * the end of a newborn that holds what its dead server held.)
 */
static void
begin_waker(void)
{
        int fd[2];

        CHECK(pipe2(fd, O_CLOEXEC) == 0);
        waker = fork();
        CHECK(waker >= 0);
        if (waker == 0)
                wake_sleepers(fd[0]);
        (void)close(fd[0]);
        waker_pipe = fd[1];
}

static void
end_waker(void)
{
        CHECK(kill(waker, SIGKILL) == 0 && waitpid(waker, NULL, 0) == waker);
        (void)close(waker_pipe);
}

/* --- the storm ------------------------------------------------------------------------------------------------ */

static unsigned killed_of[CREWS];

static void
count_death(struct worker *worker)
{
        bool killed = bury(worker);

        killed_of[worker->crew->number] += killed;
        told.killed += killed;
}

/* The waker has let them go, a moment ago. */
static void
note_awake(void)
{
        int64_t now = monotonic_ms();

        for (unsigned k = 0; k < worker_count; k++)
                if (workers[k].stopped_until && workers[k].stopped_until + 20 <= now)
                        workers[k].stopped_until = 0;
}

/* Those who were killed, or have ended by themselves. */
static void
replace_the_gone(mproc_context *ctx)
{
        for (unsigned k = 0; k < worker_count; k++)
                if (!mproc_process_is_alive(workers[k].process)) {
                        count_death(&workers[k]);
                        hire(ctx, &workers[k]);
                }
}

static void
stop(struct worker *worker)
{
        unsigned stopped = 0;
        struct stay stay;

        for (unsigned k = 0; k < worker_count; k++)
                stopped += workers[k].stopped_until != 0;
        if (stopped >= STOPPED || worker->stopped_until)
                return;
        stay.pid = mproc_process_pid(worker->process);
        stay.until_ms = worker->stopped_until = monotonic_ms() + 1 + dice(dice(10) ? 20 : 300);
        (void)kill(stay.pid, SIGSTOP); /* it is our child, so the id is still its own */
        CHECK(write(waker_pipe, &stay, sizeof stay) == sizeof stay);
        told.stopped++;
}

static void
strike(mproc_context *ctx, const char *method)
{
        struct worker *worker = &workers[dice(worker_count)];
        unsigned n = dice(200);

        if (n < 1)
                told.trackers += kill_named("mproc-tracker");
        else if (n < 3)
                told.servers += kill_named("mproc-forksrv");
        else if (n < 5)
                kill_a_creator(ctx, method);
        else if (n < 60)
                stop(worker);
        else
                CHECK_OK(mproc_process_kill(worker->process));
}

static bool
somebody_is_finished(void)
{
        for (struct crew *crew = crews; crew; crew = crew->next)
                if (crew->finished)
                        return true;
        return false;
}

/* However slow the machine is, a storm is none before all have got on. */
static bool
all_got_on(void)
{
        for (struct crew *crew = crews; crew; crew = crew->next)
                if (office->progress[crew->number] == 0)
                        return false;
        return true;
}

static void
wind_down(void)
{
        for (int phase = FIRST_LEAVE; phase <= ALL_LEAVE; phase++) {
                office->phase = phase;
                for (unsigned k = 0; k < worker_count; k++)
                        if (workers[k].process && (phase == ALL_LEAVE || workers[k].i % 2))
                                count_death(&workers[k]);
        }
}

static void
one_storm(mproc_context *ctx, const char *method, int64_t end)
{
        mproc_semaphore *named;
        char *name = text_format("/mproc-chaos-%d-%u", (int)getpid(), told.storms);

        office->phase = WORK;
        CHECK_OK(mproc_semaphore_create(ctx, name, 1, &named)); /* something for the tracker to keep */
        memset(killed_of, 0, sizeof killed_of);
        for (unsigned i = 0; i < CREWS; i++)
                office->progress[i] = 0;
        for (struct crew *crew = crews; crew; crew = crew->next) {
                crew->finished = false;
                crew->open(crew, ctx);
        }
        for (unsigned k = 0; k < worker_count; k++)
                hire(ctx, &workers[k]);
        forget_stalls();
        while ((monotonic_ms() < end || !all_got_on()) && !somebody_is_finished()) {
                note_awake();
                strike(ctx, method);
                replace_the_gone(ctx);
                watch_stalls();
                for (volatile unsigned k = dice(400000); k > 0; k--)
                        ;
        }
        wind_down();
        for (struct crew *crew = crews; crew; crew = crew->next) {
                crew->audit(crew, killed_of[crew->number]);
                crew->close(crew);
        }
        CHECK_OK(mproc_semaphore_acquire(named, 0));
        mproc_semaphore_free(named);
        CHECK_OK(mproc_semaphore_unlink(name));
        free(name);
        told.storms++;
}

static void
recruit(void)
{
        for (struct crew *crew = crews; crew; crew = crew->next)
                for (unsigned i = 0; i < crew->workers; i++) {
                        CHECK(worker_count < sizeof workers / sizeof *workers && i < WORKERS);
                        workers[worker_count++] = (struct worker){ .crew = crew, .i = i };
                }
}

static void
tell(unsigned seed)
{
        (void)fprintf(
                stderr,
                "seed %u: %u storms; killed: %u workers, %u trackers, %u fork servers, %u creators; %u stopped\n",
                seed, told.storms, told.killed, told.trackers, told.servers, told.creators, told.stopped);
        for (struct crew *crew = crews; crew; crew = crew->next)
                (void)fprintf(stderr, "  %-14s %12lu %s\n", crew->name, crew->sum, crew->what ? crew->what : "");
        (void)fprintf(stderr, "  the worst stall: %lld ms (%s)\n", (long long)told.worst_stall_ms,
                      told.worst_crew ? told.worst_crew : "none");
}

/* The last tracker may just have been killed, unnoticed: who makes a name sees to it that there is one. */
static void
see_to_a_tracker(mproc_context *ctx)
{
        char *name = text_format("/mproc-chaos-%d-last", (int)getpid());
        mproc_semaphore *named;

        CHECK_OK(mproc_semaphore_create(ctx, name, 1, &named));
        mproc_semaphore_free(named);
        CHECK_OK(mproc_semaphore_unlink(name));
        free(name);
}

/* The runner looks afterwards whether processes, zombies, descriptors or names are left; here it is after each storm.
 */
START_METHOD_TEST(chaos, .limit_s = LIMIT_S)
{
        const char *plan = getenv("MPROC_CHAOS"), *comma = plan ? strchr(plan, ',') : NULL;
        int64_t ms = plan ? (int64_t)(strtod(plan, NULL) * 1000) : 600, end = monotonic_ms() + ms;
        unsigned seed = comma ? (unsigned)strtoul(comma + 1, NULL, 10) : (unsigned)time(NULL);
        long pages = 0;
        int fds = 0;

        (void)fprintf(stderr, "MPROC_CHAOS=%g,%u repeats this\n", (double)ms / 1000, seed);
        dice_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        office = open_books(sizeof *office, &office_fd);
        recruit();
        begin_waker();
        do {
                int64_t now = monotonic_ms(), storm_end = now + EPOCH_MS < end ? now + EPOCH_MS : end;

                one_storm(ctx, method, storm_end);
                CHECK_INT(count_zombies(), 0);
                if (told.storms == 2) { /* by now all is there that stays */
                        fds = count_fds();
                        pages = resident_pages();
                }
                if (told.storms > 2) {
                        CHECK_MSG(count_fds() <= fds + 1, "%d descriptors, %d before:\n%s", count_fds(), fds,
                                  list_fds());
                        CHECK_MSG(resident_pages() < pages + 16384, "%ld pages in use, %ld before", resident_pages(),
                                  pages);
                }
        } while (monotonic_ms() < end);
        end_waker();
        see_to_a_tracker(ctx);
        tell(seed);
        close_books(office, sizeof *office, office_fd);
}
