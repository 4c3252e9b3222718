/* SPDX-License-Identifier: MIT */
/*
 * bench/conductor.c - starts the workers and lets them take turns.
 *
 * Runs in: the conductor, which is small and measures nothing itself.  Owns the
 * workers' sockets.
 *
 * The machine under a bench drifts: its clock, its caches, its neighbours.  So no
 * contender is measured in one stretch.  Contenders that are compared stand
 * in one unit and run one directly after the other, forth and back; units take
 * turns, and a unit that costs much takes part in fewer rounds, spread evenly.  A
 * ratio is then made from neighbours in time, and the median of such ratios
 * is steady although the figures are not.
 */
#define _GNU_SOURCE
#include "run.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX        150  /* of a unit; each gives two figures */
#define ROUNDS_MIN        5    /* even if it takes more than its share of the time */
#define OVERTIME          1.5  /* a machine that is much busier than in the trial: stop here, with what there is */
#define CHEAP_SECONDS     0.1  /* a visit that costs less is preceded by an unnoted start, to warm up */
#define RESERVE_MIB       1024 /* memory that is left to others */
#define ANSWER_TIMEOUT_MS 120000

extern char **environ;

const struct bench_info bench_infos[BENCH_WHO_COUNT] = {
        [RAW_FORK] = { "raw_fork", "fork + wait (raw)", BENCH_CORE, BENCH_NOBODY },
        [MPROC_FORK] = { "mproc_fork", "mproc fork", BENCH_CORE, RAW_FORK },
        [VFORK_EXEC] = { "vfork_exec", "vfork + exec (raw)", BENCH_CORE, BENCH_NOBODY },
        [POSIX_SPAWN] = { "posix_spawn", "posix_spawn (raw)", BENCH_CORE, BENCH_NOBODY },
        [MPROC_SPAWN] = { "mproc_spawn", "mproc spawn", BENCH_CORE, POSIX_SPAWN },
        [BARE_SERVER] = { "bare_server", "bare fork server (raw)", BENCH_CORE, BENCH_NOBODY },
        [MPROC_FORKSERVER] = { "mproc_forkserver", "mproc forkserver", BENCH_CORE, BARE_SERVER },
        [LIBUV] = { "libuv", "libuv uv_spawn", BENCH_PEERS, BENCH_NOBODY },
        [GLIB] = { "glib", "GLib g_spawn_async", BENCH_PEERS, BENCH_NOBODY },
        [GLIB_LEAVE_FDS] = { "glib_leave_fds", "GLib, descriptors left open", BENCH_PEERS, BENCH_NOBODY },
        [APR] = { "apr", "APR apr_proc_create", BENCH_PEERS, BENCH_NOBODY },
        [BOOST] = { "boost", "Boost.Process child", BENCH_PEERS, BENCH_NOBODY },
        [PYTHON_FORK] = { "python_fork", "Python fork", BENCH_PYTHON, BENCH_NOBODY },
        [PYTHON_SPAWN] = { "python_spawn", "Python spawn", BENCH_PYTHON, BENCH_NOBODY },
        [PYTHON_FORKSERVER] = { "python_forkserver", "Python forkserver", BENCH_PYTHON, BENCH_NOBODY },
};

/* --- workers ------------------------------------------------------------------------------------ */

struct worker {
        pid_t pid;
        FILE *in; /* the worker's answers */
        int fd;   /* both directions; belongs to in */
};

static struct worker workers[BENCH_GROUPS][BENCH_MAX_SIZES];

static const char *const group_names[BENCH_GROUPS] = { "raw and mproc", "peers", "Python" };

const char *
bench_size_name(size_t mib, char text[32])
{
        if (mib == 0)
                snprintf(text, 32, "0");
        else if (mib % 1024 == 0)
                snprintf(text, 32, "%zu GiB", mib / 1024);
        else
                snprintf(text, 32, "%zu MiB", mib);
        return text;
}

static void
worker_end(struct worker *worker)
{
        if (worker->in == NULL)
                return;
        fclose(worker->in); /* end of file is the order to leave */
        worker->in = NULL;
        worker->fd = -1;
        waitpid(worker->pid, NULL, 0);
}

/* A process with one socket as its standard input and output. */
static int
worker_start(struct worker *worker, char *const *argv)
{
        posix_spawn_file_actions_t actions;
        int pair[2], err;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pair[1], 0);
        posix_spawn_file_actions_adddup2(&actions, pair[1], 1);
        err = posix_spawnp(&worker->pid, argv[0], &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        close(pair[1]);
        if (err != 0) {
                close(pair[0]);
                return -err;
        }
        worker->fd = pair[0];
        worker->in = fdopen(pair[0], "r");
        return 0;
}

/* A line of the worker, -1 if there is none in time: then the worker is given up. */
static int
worker_line(struct worker *worker, char *line, size_t size)
{
        struct pollfd poll_in = { .fd = worker->fd, .events = POLLIN };

        if (poll(&poll_in, 1, ANSWER_TIMEOUT_MS) == 1 && fgets(line, (int)size, worker->in) != NULL)
                return 0;
        kill(worker->pid, SIGKILL);
        worker_end(worker);
        return -1;
}

static int
group_argv(const struct bench_run *run, enum bench_group group, size_t size_mib, char number[32], const char *argv[5])
{
        snprintf(number, 32, "%zu", size_mib);
        memset(argv, 0, 5 * sizeof *argv);
        switch (group) {
        case BENCH_CORE:
                argv[0] = run->program, argv[1] = "--worker", argv[2] = number;
                return 0;
        case BENCH_PEERS:
                argv[0] = run->peers, argv[1] = number, argv[2] = run->program;
                return run->peers != NULL ? 0 : -1;
        case BENCH_PYTHON:
                argv[0] = run->python, argv[1] = run->python_worker, argv[2] = number;
                return run->python != NULL && run->python_worker != NULL ? 0 : -1;
        default:
                return -1;
        }
}

/* Memory that can be had without swapping; without an answer, plenty. */
static size_t
available_mib(void)
{
        unsigned long long kib = 0;
        char line[256];
        FILE *file = fopen("/proc/meminfo", "re");

        while (file != NULL && fgets(line, sizeof line, file) != NULL)
                if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
                        break;
        if (file != NULL)
                fclose(file);
        return kib != 0 ? (size_t)(kib / 1024) : SIZE_MAX;
}

/* "ready raw_fork mproc_fork ..." */
static void
note_present(struct bench_run *run, char *line, size_t size)
{
        char *save, *name;
        int who;

        for (name = strtok_r(line, " \n", &save); name != NULL; name = strtok_r(NULL, " \n", &save))
                for (who = 0; who < BENCH_WHO_COUNT; who++)
                        if (strcmp(bench_infos[who].name, name) == 0)
                                run->present[who][size] = true;
}

/*
 * Smaller sizes first, and of each size the core first: where memory is short,
 * what is left out is what matters least.
 */
static int
start_workers(struct bench_run *run)
{
        size_t size, planned = 0, available = available_mib();
        const char *argv[5];
        char number[32], name[32], line[1024];
        int group, r;

        for (size = 0; size < run->size_count; size++) {
                for (group = 0; group < BENCH_GROUPS; group++) {
                        if (group_argv(run, group, run->sizes_mib[size], number, argv) < 0)
                                continue;
                        if (planned + run->sizes_mib[size] + RESERVE_MIB > available) {
                                printf("Left out: %s from a parent of %s; only %zu MiB of memory are available.\n",
                                       group_names[group], bench_size_name(run->sizes_mib[size], name), available);
                                continue;
                        }
                        planned += run->sizes_mib[size];
                        r = worker_start(&workers[group][size], (char *const *)argv);
                        if (r < 0)
                                printf("Left out: %s: %s: %s\n", group_names[group], argv[0], strerror(-r));
                }
        }
        for (size = 0; size < run->size_count; size++)
                for (group = 0; group < BENCH_GROUPS; group++)
                        if (workers[group][size].in != NULL &&
                            worker_line(&workers[group][size], line, sizeof line) == 0)
                                note_present(run, line, size);
        if (workers[BENCH_CORE][0].in != NULL)
                return 0;
        fprintf(stderr, "mproc-bench: the first worker did not start\n");
        return -1;
}

/* --- units ---------------------------------------------------------------------------------------- */

#define UNIT_MEMBERS 5
#define ALL_SIZES    (-1)

struct unit {
        enum bench_who members[UNIT_MEMBERS]; /* of one group, ended by BENCH_NOBODY if fewer */
        int size;                             /* an index, or ALL_SIZES: one size after the other in each round */
        double seconds;                       /* what one visit takes, from the trial */
        size_t rounds;                        /* how many visits it gets */
};

/*
 * Ratios between sizes are asked of what does not depend on the size; there the
 * sizes take turns within a round.
 */
static const struct unit unit_table[] = {
        { { VFORK_EXEC, POSIX_SPAWN, MPROC_SPAWN, BARE_SERVER, MPROC_FORKSERVER }, ALL_SIZES, 0, 0 },
        { { RAW_FORK, MPROC_FORK, BENCH_NOBODY }, 0, 0, 0 },
        { { LIBUV, BENCH_NOBODY }, 0, 0, 0 },
        { { GLIB, BENCH_NOBODY }, 0, 0, 0 },
        { { GLIB_LEAVE_FDS, BENCH_NOBODY }, 0, 0, 0 },
        { { APR, BENCH_NOBODY }, 0, 0, 0 },
        { { BOOST, BENCH_NOBODY }, 0, 0, 0 },
        { { PYTHON_FORK, BENCH_NOBODY }, 0, 0, 0 },
        { { PYTHON_SPAWN, BENCH_NOBODY }, 0, 0, 0 },
        { { PYTHON_FORKSERVER, BENCH_NOBODY }, 0, 0, 0 },
};

#define UNIT_KINDS (sizeof unit_table / sizeof unit_table[0])

static struct unit units[UNIT_KINDS * BENCH_MAX_SIZES];
static size_t unit_count;

static size_t
member_count(const struct unit *unit)
{
        size_t n = 0;

        while (n < UNIT_MEMBERS && unit->members[n] != BENCH_NOBODY)
                n++;
        return n;
}

static void
make_units(const struct bench_run *run)
{
        size_t kind, size;

        for (kind = 0; kind < UNIT_KINDS; kind++)
                for (size = 0; size < run->size_count; size++) {
                        if (unit_table[kind].size == ALL_SIZES && size > 0)
                                break;
                        if (!run->present[unit_table[kind].members[0]][size])
                                continue;
                        units[unit_count] = unit_table[kind];
                        if (units[unit_count].size != ALL_SIZES)
                                units[unit_count].size = (int)size;
                        unit_count++;
                }
}

/* Who runs in which order in one visit: forth and back. */
static size_t
visit_order(const struct unit *unit, bool warm_up, enum bench_who order[2 * UNIT_MEMBERS + 1])
{
        size_t n = member_count(unit), i, len = 0;

        if (warm_up)
                order[len++] = unit->members[0];
        for (i = 0; i < n; i++)
                order[len++] = unit->members[i];
        for (i = n; i-- > 0;)
                order[len++] = unit->members[i];
        return len;
}

static void
note_sample(struct bench_series *series, uint64_t ns)
{
        if (series->count < BENCH_MAX_SAMPLES)
                series->ns[series->count++] = ns;
}

/* One visit at one size.  A worker that is gone gives zeros, so that the series stay in step. */
static void
visit_size(struct bench_run *run, const struct unit *unit, size_t size, bool noted)
{
        enum bench_who order[2 * UNIT_MEMBERS + 1];
        struct worker *worker = &workers[bench_infos[unit->members[0]].group][size];
        bool warm_up = unit->seconds < CHEAP_SECONDS;
        size_t count = visit_order(unit, warm_up, order), i, len = 0;
        char line[1024] = "", *at = line;
        uint64_t ns;

        for (i = 0; i < count; i++)
                len += (size_t)snprintf(line + len, sizeof line - len, "%s ", bench_infos[order[i]].name);
        line[len++] = '\n';
        if (worker->in == NULL)
                line[0] = '\0';
        else if (send(worker->fd, line, len, MSG_NOSIGNAL) != (ssize_t)len ||
                 worker_line(worker, line, sizeof line) < 0) {
                fprintf(stderr, "mproc-bench: the worker \"%s\" of %zu MiB is gone\n",
                        group_names[bench_infos[unit->members[0]].group], run->sizes_mib[size]);
                worker_end(worker);
                line[0] = '\0';
        }
        for (i = 0; i < count; i++) {
                ns = strtoull(at, &at, 10);
                if (noted && !(warm_up && i == 0))
                        note_sample(&run->series[order[i]][size], ns);
        }
}

/* Sizes begin with another one in each round, so that none is always the first. */
static void
visit(struct bench_run *run, const struct unit *unit, size_t round, bool noted)
{
        size_t i, size;

        for (i = 0; i < run->size_count; i++) {
                size = (i + round) % run->size_count;
                if (unit->size == ALL_SIZES ? run->present[unit->members[0]][size] : (size_t)unit->size == size)
                        visit_size(run, unit, size, noted);
        }
}

static double
seconds_since(uint64_t begin_ns)
{
        return (double)(bench_now_ns() - begin_ns) / 1e9;
}

/*
 * A trial of each unit tells how many rounds it gets for its share of the time.
 * The first visit of a cheap one starts servers and fills caches: try again.
 */
static void
plan(struct bench_run *run)
{
        double share = run->seconds / (double)unit_count, rounds;
        uint64_t begin;
        size_t i, trial;

        for (i = 0; i < unit_count; i++) {
                for (trial = 0; trial < 2 && (trial == 0 || units[i].seconds < CHEAP_SECONDS); trial++) {
                        begin = bench_now_ns();
                        visit(run, &units[i], 0, false);
                        units[i].seconds = seconds_since(begin);
                }
                rounds = share / units[i].seconds;
                units[i].rounds = rounds > ROUNDS_MAX   ? ROUNDS_MAX
                                  : rounds < ROUNDS_MIN ? ROUNDS_MIN
                                                        : (size_t)rounds;
        }
}

/* Spread n visits evenly over ROUNDS_MAX rounds: is there one in this round? */
static bool
takes_part(size_t n, size_t round)
{
        return (round + 1) * n / ROUNDS_MAX > round * n / ROUNDS_MAX;
}

static void
show_progress(size_t round, uint64_t begin_ns)
{
        if (!isatty(2))
                return;
        if (round == ROUNDS_MAX)
                fprintf(stderr, "\r\033[K");
        else
                fprintf(stderr, "\rround %zu of %d, %.0f s ", round + 1, ROUNDS_MAX, seconds_since(begin_ns));
}

int
bench_conduct(struct bench_run *run)
{
        uint64_t begin;
        size_t round, i;
        int group;

        if (start_workers(run) < 0)
                return -1;
        make_units(run);
        plan(run);
        begin = bench_now_ns();
        for (round = 0; round < ROUNDS_MAX; round++) {
                show_progress(round, begin);
                for (i = 0; i < unit_count && seconds_since(begin) < run->seconds * OVERTIME; i++)
                        if (takes_part(units[i].rounds, round))
                                visit(run, &units[i], round, true);
        }
        show_progress(ROUNDS_MAX, begin);
        for (group = 0; group < BENCH_GROUPS; group++)
                for (i = 0; i < run->size_count; i++)
                        worker_end(&workers[group][i]);
        return 0;
}
