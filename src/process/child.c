/* SPDX-License-Identifier: MIT */
/*
 * process/child.c - children as the system knows them; see child.h.
 *
 * Runs in: parent.
 * Owns: for each child its pidfd and our end of its channel; the list.
 *
 * How a child ended is asked of four sources, the first that knows decides:
 * wait, if it is our child and nobody else has reaped it; the fork server's message;
 * the pidfd, from which newer kernels tell the status even after it was stolen; what
 * the child said itself before it ended.  If none knows, somebody else has it:
 * MPROC_EXITCODE_UNKNOWN.
 */
#include "process/child.h"
#include "core/error.h"
#include "core/locks.h"
#include "core/log.h"
#include "start/channel.h"
#include "sync/waits.h"
#include "wire/fdpass.h"

#include <errno.h>
#include <mproc/process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the fork server may take to report a child that is dead, in which time it is itself found dead or alive. */
#define REPORT_NS  INT64_C(2000000000)
#define RELOOK_NS  INT64_C(5000000)

#define WORDS_MAX  4096 /* messages that are read from a channel at a time */

/* How long the system may take, after a process's death, until somebody has reaped it and its status is known. */
#define SETTLE_NS INT64_C(100000000)

static struct mproc__child list = { .prev = &list, .next = &list };

/* --- what the child says ------------------------------------------------------------------------------ */

static void
note_failure(struct mproc__child *child, const struct mproc__status *s, const char *text)
{
        child->failed_seen = true;
        child->error = s->code;
        (void)snprintf(child->step, sizeof child->step, "%.31s", s->step);
        (void)snprintf(child->text, sizeof child->text, "%s", text);
}

/* The child may be hostile: every value is taken as a claim, none as a size. */
static void
note_status(struct mproc__child *child, const struct mproc__status *s, const char *text)
{
        switch (s->kind) {
        case MPROC__STATUS_RUNNING:
                child->running_seen = true;
                break;
        case MPROC__STATUS_FAILED:
                note_failure(child, s, text);
                break;
        case MPROC__STATUS_ENDED:
                child->end_seen = true;
                child->said.exitcode = s->exitcode & 0xff;
                if (s->code != 0)
                        note_failure(child, s, text);
                else
                        (void)snprintf(child->step, sizeof child->step, "%.31s", s->step); /* by exit(), or nothing */
                break;
        case MPROC__STATUS_EXIT: /* not from the child: it does not know the token */
                if (s->token != child->token || s->exitcode < -64 || s->exitcode > 255)
                        break;
                child->exit_seen = true;
                child->reported.exitcode = s->exitcode;
                child->reported.core_dumped = s->core_dumped != 0;
                child->reported.has_usage = true;
                child->reported.usage.ru_utime.tv_sec = (time_t)(s->user_us / 1000000);
                child->reported.usage.ru_utime.tv_usec = (suseconds_t)(s->user_us % 1000000);
                child->reported.usage.ru_stime.tv_sec = (time_t)(s->system_us / 1000000);
                child->reported.usage.ru_stime.tv_usec = (suseconds_t)(s->system_us % 1000000);
                child->reported.usage.ru_maxrss = (long)(s->maxrss_bytes / 1024);
                break;
        default:
                break;
        }
}

/* Without a pidfd the channel is the sentinel, which the user may be polling: it stays open, at its end, for him. */
static void
end_channel_locked(struct mproc__child *child)
{
        if (child->pidfd < 0 && child->spent < 0) {
                child->spent = child->channel;
                child->channel = -1;
        }
        mproc__channel_close(&child->channel);
}

static void
drain_locked(struct mproc__child *child)
{
        struct {
                struct mproc__status status;
                char text[MPROC__STATUS_TEXT_MAX];
        } in;

        /*
         * The end is a child's last word; the fork server has one more, about a child that is its own.  One
         * that never stops talking does not keep us here: no channel holds more than so many.
         */
        for (int i = 0; i < WORDS_MAX && child->channel >= 0 && !(child->end_seen && child->ours); i++) {
                ssize_t n = mproc__channel_recv(child->channel, &in, sizeof in - 1, NULL, NULL, MPROC__AT_ONCE);

                if (n == 0)
                        end_channel_locked(child);
                if (n <= 0)
                        return;
                if (n < (ssize_t)sizeof in.status)
                        continue; /* not our language */
                in.text[(size_t)n - sizeof in.status] = 0;
                in.status.step[sizeof in.status.step - 1] = 0;
                note_status(child, &in.status, in.text);
        }
}

/* --- its end ---------------------------------------------------------------------------------------------- */

static bool
pidfd_says_dead(const struct mproc__child *child)
{
        struct pollfd p = { .fd = child->pidfd, .events = POLLIN };

        return child->pidfd >= 0 && mproc__plat_poll(&p, 1, 0) > 0;
}

/*
 * Dead, and not ours to wait for.  A server that is its parent reaps it at once, reports
 * and closes the channel; if the server is dead, too, the channel ends by itself, and
 * the system may know the status as soon as the new parent has reaped it.  False: not
 * known yet, and not given up; the child then still passes for one that runs.
 */
static bool
learn_foreign_locked(struct mproc__child *child)
{
        int64_t now = mproc__plat_now_ns();

        if (!child->dead_since_ns)
                child->dead_since_ns = now;
        drain_locked(child);
        if (child->exit_seen) {
                child->exit = child->reported;
                return true;
        }
        if (child->served && child->channel >= 0 && now - child->dead_since_ns < REPORT_NS)
                return false; /* the server's word is the fullest, and it closes the channel behind it */
        if (mproc__plat_pidfd_exit(child->pidfd, &child->exit))
                return true;
        if (child->end_seen) {
                child->exit = child->said;
                return true;
        }
        if (child->channel >= 0 && now - child->dead_since_ns < REPORT_NS)
                return false;
        if (child->pidfd >= 0 && now - child->dead_since_ns < REPORT_NS / 10)
                return false; /* the system tells a status only when it has finished reaping, a moment after the end */
        child->exit = (struct mproc__exit){ .exitcode = MPROC_EXITCODE_UNKNOWN };
        return true;
}

static const char *
signal_name(int signal)
{
        static const struct {
                int number;
                const char *name;
        } names[] = {
#define NAME(x) { x, #x }
                NAME(SIGHUP),  NAME(SIGINT),  NAME(SIGQUIT), NAME(SIGILL),  NAME(SIGTRAP), NAME(SIGABRT),
                NAME(SIGBUS),  NAME(SIGFPE),  NAME(SIGKILL), NAME(SIGUSR1), NAME(SIGSEGV), NAME(SIGUSR2),
                NAME(SIGPIPE), NAME(SIGALRM), NAME(SIGTERM), NAME(SIGXCPU), NAME(SIGXFSZ), NAME(SIGSYS),
#undef NAME
        };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (names[i].number == signal)
                        return names[i].name;
        return "another one";
}

/* What nobody else has put into words: a death by signal, an end before the target began. */
static void
describe_end_locked(struct mproc__child *child)
{
        int code = child->exit.exitcode;
        bool early = child->announces && !child->running_seen;

        if (child->failed_seen || code == MPROC_EXITCODE_UNKNOWN || (code >= 0 && !early))
                return;
        if (early) {
                child->error = MPROC_ECHILDDIED;
                (void)snprintf(child->step, sizeof child->step, "start");
        }
        if (code < 0)
                (void)snprintf(child->text, sizeof child->text, "%s (pid %ld) died by signal %d, %s%s%s", child->name,
                               (long)child->pid, -code, signal_name(-code),
                               child->exit.core_dumped ? ", and left a core" : "",
                               early ? ", before its target began" : "");
        else
                (void)snprintf(child->text, sizeof child->text,
                               "%s (pid %ld) ended with exit code %d before its target began: does its executable's "
                               "main() call mproc_init() first?",
                               child->name, (long)child->pid, code);
}

/* A forked child's last word lies in memory. */
static void
read_board_locked(struct mproc__child *child)
{
        struct mproc__status s;
        char text[MPROC__STATUS_TEXT_MAX];

        if (mproc__board_read(child->board, &s, text))
                note_status(child, &s, text);
        mproc__board_give_back(child->board);
        child->board = NULL;
}

static bool
poll_locked(struct mproc__child *child)
{
        if (child->ended)
                return true;
        if (child->ours) {
                switch (mproc__plat_wait(child->pid, child->pidfd, &child->exit)) {
                case MPROC__WAIT_RUNNING:
                        return false;
                case MPROC__WAIT_ENDED:
                        drain_locked(child);
                        read_board_locked(child);
                        child->ended = true;
                        break;
                case MPROC__WAIT_FOREIGN:
                        child->ours = false;
                        break;
                }
        }
        if (!child->ended) {
                if (child->pidfd < 0)
                        drain_locked(child);
                if (child->pidfd >= 0 ? !pidfd_says_dead(child) : child->channel >= 0 && !child->exit_seen)
                        return false;
                read_board_locked(child);
                if (!learn_foreign_locked(child))
                        return false;
                child->ended = true;
        }
        describe_end_locked(child);
        end_channel_locked(child);
        return true;
}

static void
unlist(struct mproc__child *child)
{
        bool was;

        mproc__lock(MPROC__LOCK_CHILDREN);
        was = child->listed;
        if (was) {
                child->prev->next = child->next;
                child->next->prev = child->prev;
                child->listed = false;
        }
        mproc__unlock(MPROC__LOCK_CHILDREN);
        if (was)
                mproc__child_unref(child);
}

/* *ret_channel: where somebody may tell more of it, a number to look at for a moment. */
static bool
look(struct mproc__child *child, int *ret_channel)
{
        bool ended;

        (void)pthread_mutex_lock(&child->mutex);
        ended = poll_locked(child);
        *ret_channel = child->channel;
        (void)pthread_mutex_unlock(&child->mutex);
        return ended;
}

/*
 * Whoever was told by the sentinel that it is dead must not hear here that it still runs: its
 * status, if it is on its way, is waited for, without the mutex.  In learn_foreign_locked
 * this ends after a while whatever happens.
 */
bool
mproc__child_poll(struct mproc__child *child)
{
        struct pollfd p = { .events = POLLIN };
        bool ended;

        while (!(ended = look(child, &p.fd)) && child->dead_since_ns)
                (void)mproc__plat_poll(&p, 1, mproc__plat_now_ns() + RELOOK_NS);
        if (ended)
                unlist(child);
        return ended;
}

int
mproc__child_sentinel(struct mproc__child *child)
{
        int fd;

        (void)pthread_mutex_lock(&child->mutex);
        fd = child->pidfd >= 0 ? child->pidfd : child->channel >= 0 ? child->channel : child->spent;
        (void)pthread_mutex_unlock(&child->mutex);
        return fd;
}

static void
close_locked(struct mproc__child *child)
{
        mproc__channel_close(&child->pidfd);
        mproc__channel_close(&child->channel);
        mproc__channel_close(&child->spent);
}

/*
 * Without pidfds the channel is the sentinel: its end of file.  But messages make it
 * readable as well, so after each waking it is drained.
 */
static bool
wait_held(struct mproc__child *child, int64_t deadline_ns)
{
        for (;;) {
                struct pollfd p = { .events = POLLIN };

                if (deadline_ns == MPROC__NEVER && child->ours && child->pidfd >= 0)
                        mproc__plat_wait_end(child->pid, child->pidfd); /* fewer calls than poll, and woken sooner */
                if (mproc__child_poll(child))
                        return true;
                if (mproc__deadline_passed(deadline_ns))
                        return false;
                p.fd = mproc__child_sentinel(child);
                if (child->pidfd < 0) {
                        int64_t slice = mproc__plat_now_ns() + 10 * RELOOK_NS; /* its own children may hold the channel */

                        (void)pthread_mutex_lock(&child->mutex);
                        drain_locked(child);
                        (void)pthread_mutex_unlock(&child->mutex);
                        (void)mproc__plat_poll(&p, 1, slice < deadline_ns ? slice : deadline_ns);
                } else {
                        (void)mproc__plat_poll(&p, 1, deadline_ns);
                }
        }
}

/*
 * Somebody who closes the handle while others wait must not take the descriptors from under them:
 * a number that is closed may be another file's at the next moment, and is waited for in
 * vain.  The last one who waits closes them.
 */
static void
hold(struct mproc__child *child)
{
        (void)pthread_mutex_lock(&child->mutex);
        child->waiters++;
        (void)pthread_mutex_unlock(&child->mutex);
}

static void
let_go(struct mproc__child *child)
{
        (void)pthread_mutex_lock(&child->mutex);
        if (--child->waiters == 0 && child->closing)
                close_locked(child);
        (void)pthread_mutex_unlock(&child->mutex);
}

/* For sync/waits.h. */
static void
describe(void *arg, struct mproc__wait_subject *ret)
{
        const struct mproc__child *child = arg;

        ret->kind = MPROC__WAIT_END;
        ret->holder_count = 1;
        ret->holder[0].pid = (uint32_t)child->pid;
        (void)snprintf(ret->what, sizeof ret->what, "%s", child->name);
}

static int
wait_watched(void *arg, int64_t deadline_ns)
{
        return wait_held(arg, deadline_ns) ? 0 : MPROC_ETIMEDOUT;
}

bool
mproc__child_wait(struct mproc__child *child, int64_t deadline_ns)
{
        bool ended;

        hold(child);
        if (mproc__waits_on())
                ended = mproc__wait_watched(wait_watched, describe, child, deadline_ns) == 0;
        else
                ended = wait_held(child, deadline_ns);
        let_go(child);
        return ended;
}

int
mproc__child_signal(struct mproc__child *child, int signal)
{
        int r = 0;

        (void)pthread_mutex_lock(&child->mutex);
        if (!poll_locked(child)) {
                r = child->pidfd >= 0 ? mproc__plat_pidfd_signal(child->pidfd, signal) : -ENOSYS;
                if (r == -ENOSYS) /* not reaped yet, which only we do, under this lock: the pid is still its own */
                        r = kill(child->pid, signal) == 0 ? 0 : -errno;
        }
        (void)pthread_mutex_unlock(&child->mutex);
        return r == -ESRCH ? 0 : r;
}

void
mproc__child_close(struct mproc__child *child)
{
        (void)pthread_mutex_lock(&child->mutex);
        child->closing = true;
        if (child->waiters == 0)
                close_locked(child);
        (void)pthread_mutex_unlock(&child->mutex);
}

/* --- the records --------------------------------------------------------------------------------------------- */

void
mproc__child_ref(struct mproc__child *child)
{
        atomic_fetch_add_explicit(&child->refs, 1, memory_order_relaxed);
}

void
mproc__child_unref(struct mproc__child *child)
{
        if (!child || atomic_fetch_sub_explicit(&child->refs, 1, memory_order_acq_rel) != 1)
                return;
        mproc__channel_close(&child->pidfd);
        mproc__channel_close(&child->channel);
        mproc__channel_close(&child->spent);
        (void)pthread_mutex_destroy(&child->mutex);
        free(child->name);
        free(child);
}

struct mproc__child *
mproc__child_new(const char *name, bool daemon)
{
        struct mproc__child *child = calloc(1, sizeof *child);

        if (!child || !(child->name = strdup(name))) {
                free(child);
                return NULL;
        }
        atomic_init(&child->refs, 1);
        (void)pthread_mutex_init(&child->mutex, NULL);
        child->pidfd = child->channel = child->spent = -1;
        child->daemon = daemon;
        return child;
}

void
mproc__child_add(struct mproc__child *child, const struct mproc__started *started)
{
        child->pid = started->pid;
        child->pidfd = started->pidfd;
        child->channel = started->channel;
        child->board = started->board;
        child->ours = started->ours;
        child->announces = started->announces;
        child->served = !started->ours;
        child->token = started->token;
        for (unsigned i = 0; i < started->early_count; i++)
                note_status(child, &started->early[i].status, started->early[i].text);
        mproc__child_ref(child); /* the list's */
        mproc__lock(MPROC__LOCK_CHILDREN);
        child->prev = list.prev;
        child->next = &list;
        list.prev->next = child;
        list.prev = child;
        child->listed = true;
        mproc__unlock(MPROC__LOCK_CHILDREN);
}

int
mproc__children_alive(struct mproc__child ***ret_list, size_t *ret_count)
{
        struct mproc__child **all = NULL;
        size_t total = 0, n = 0;

        mproc__lock(MPROC__LOCK_CHILDREN);
        for (struct mproc__child *c = list.next; c != &list; c = c->next)
                total++;
        all = malloc((total ? total : 1) * sizeof *all);
        for (struct mproc__child *c = list.next; all && c != &list; c = c->next) {
                mproc__child_ref(c);
                all[n++] = c;
        }
        mproc__unlock(MPROC__LOCK_CHILDREN);
        if (!all)
                return mproc__fail(-ENOMEM, "no memory for a list of %zu children", total);
        n = 0;
        for (size_t i = 0; i < total; i++) {
                if (mproc__child_poll(all[i]))
                        mproc__child_unref(all[i]);
                else
                        all[n++] = all[i];
        }
        *ret_list = all;
        *ret_count = n;
        return 0;
}

bool
mproc__children_any(void)
{
        bool any;

        mproc__lock(MPROC__LOCK_CHILDREN);
        any = list.next != &list;
        mproc__unlock(MPROC__LOCK_CHILDREN);
        return any;
}

void
mproc__children_reap(void)
{
        struct mproc__child **alive;
        size_t n;

        if (!mproc__children_any() || mproc__children_alive(&alive, &n) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                mproc__child_unref(alive[i]);
        free(alive);
}

/* The records stay for handles that the child inherited, which only get told that they are not its own. */
void
mproc__children_forked(void)
{
        for (struct mproc__child *c = list.next, *next; c != &list; c = next) {
                next = c->next;
                (void)pthread_mutex_init(&c->mutex, NULL);
                c->pidfd = c->channel = c->spent = -1; /* start/channel.c has closed them */
                c->listed = false;
                c->board = NULL;
                c->prev = c->next = NULL;
                mproc__child_unref(c);
        }
        list.prev = list.next = &list;
}
