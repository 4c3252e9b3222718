/* SPDX-License-Identifier: MIT */
/*
 * process/process.c - the process object, as the user holds it.
 *
 * Runs in: parent; the handles on the calling process and its parent in every process.
 * Owns: a process's target, name and arguments until its start, and a reference
 * to the child's record from then on.
 */
#include "process/process.h"
#include "context/context.h"
#include "core/error.h"
#include "core/log.h"
#include "process/child.h"
#include "process/exit.h"
#include "sync/waits.h"

#include <errno.h>
#include <mproc/process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum role { ROLE_CHILD, ROLE_SELF, ROLE_PARENT };

struct mproc_process {
        enum role role;
        mproc_context *context;
        mproc_main_fn *target;
        mproc_args *args; /* NULL after the start */
        char *name;
        char *identity;
        bool daemon, die_with_parent, keep_signals, inherit_connections;
        bool default_tie; /* die_with_parent was not chosen: it goes with daemon */
        pid_t creator;
        bool closed;
        bool starting; /* in a thread that does not hold the mutex meanwhile: the log hook may call us */
        pthread_mutex_t mutex;
        struct mproc__child *child; /* NULL before the start and after the close; set once under the mutex */
        pid_t pid;
};

/* --- checks ------------------------------------------------------------------------------------------------ */

static int
check_handle(const mproc_process *p)
{
        return p ? 0 : mproc__fail(MPROC_EHANDLE, "a process is wanted, NULL was given");
}

static int
check_ours(const mproc_process *p)
{
        if (!p)
                return check_handle(p);
        if (p->role != ROLE_CHILD)
                return mproc__fail(MPROC_ENOTCHILD, "%s: only a child can be used this way",
                                   p->role == ROLE_SELF ? "this is the calling process itself"
                                                        : "this is the calling process's parent");
        if (p->creator != getpid())
                return mproc__fail(MPROC_ENOTCHILD, "%s was created by process %ld, not by this one (%ld): only its "
                                                    "creator can use it", p->name, (long)p->creator, (long)getpid());
        if (p->closed)
                return mproc__fail(MPROC_ECLOSED, "the process object %s is closed", p->name);
        return 0;
}

/*
 * Take the mutex of one of this process's own children.  Whose it is is asked first:
 * a forked child's copy of a handle may be locked for ever, by a thread of its parent.
 */
static int
lock_ours(mproc_process *p)
{
        int r;

        if (!p || p->role != ROLE_CHILD || p->creator != getpid())
                return check_ours(p);
        (void)pthread_mutex_lock(&p->mutex);
        if ((r = check_ours(p)) < 0)
                (void)pthread_mutex_unlock(&p->mutex);
        return r;
}

/* A started child; *ret borrowed from the handle. */
static int
get_child(mproc_process *p, struct mproc__child **ret)
{
        int r = lock_ours(p);

        if (r < 0)
                return r;
        if (!p->child)
                r = mproc__fail(MPROC_ENOTSTARTED, "%s has not been started: call mproc_process_start first", p->name);
        *ret = p->child;
        (void)pthread_mutex_unlock(&p->mutex);
        return r;
}

/* --- create ------------------------------------------------------------------------------------------------ */

static int
three_way(const char *what, int value, bool standard, bool *ret)
{
        if (value < -1 || value > 1)
                return mproc__fail(-EINVAL, "option %s is %d: it takes 1 (yes), -1 (no) or 0 (the default)", what, value);
        *ret = value == 0 ? standard : value > 0;
        return 0;
}

static int
apply_options(mproc_process *p, const mproc_process_opts *o)
{
        static const mproc_process_opts none = MPROC_PROCESS_OPTS_INIT;
        int r;

        if (!o)
                o = &none;
        if ((r = three_way("daemon", o->daemon, mproc__self.daemon, &p->daemon)) < 0 ||
            (r = three_way("die_with_parent", o->die_with_parent, p->daemon, &p->die_with_parent)) < 0 ||
            (r = three_way("keep_signals", o->keep_signals, false, &p->keep_signals)) < 0 ||
            (r = three_way("inherit_connections", o->inherit_connections, false, &p->inherit_connections)) < 0)
                return r;
        p->default_tie = o->die_with_parent == 0;
        if (mproc__self.daemon && !p->daemon)
                return mproc__fail(MPROC_EDAEMON, "%s is a daemon, and its children have to be daemons, too: nobody would "
                                                  "wait for others when it is terminated", mproc__self.name);
        if (!(p->identity = mproc__self_next_identity()) ||
            (o->name ? !(p->name = strdup(o->name)) : asprintf(&p->name, "Process-%s", p->identity) < 0)) {
                p->name = o->name ? p->name : NULL;
                return mproc__fail(-ENOMEM, "no memory for a process object");
        }
        return 0;
}

int
mproc_process_create_opts(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args, const mproc_process_opts *opts,
                          mproc_process **ret_process)
{
        mproc_process *p;
        int r;

        if (!target)
                return mproc__fail(-EINVAL, "a process needs a target: the function is NULL");
        if (!(p = calloc(1, sizeof *p)))
                return mproc__fail(-ENOMEM, "no memory for a process object");
        (void)pthread_mutex_init(&p->mutex, NULL);
        p->role = ROLE_CHILD;
        p->context = mproc__context_resolve(ctx);
        p->target = target;
        p->creator = getpid();
        if ((r = apply_options(p, opts)) < 0 || (r = mproc__args_gather(args, &p->args)) < 0) {
                mproc_process_free(p);
                return r;
        }
        *ret_process = p;
        return 0;
}

int
mproc_process_create(mproc_context *ctx, mproc_main_fn *target, mproc_arglist args, mproc_process **ret_process)
{
        return mproc_process_create_opts(ctx, target, args, NULL, ret_process);
}

/* --- start --------------------------------------------------------------------------------------------------- */

/* Under the mutex: may it be started, and then, nobody else may any more. */
static int
begin_start(mproc_process *p, struct mproc__child **ret_child)
{
        const struct mproc__start_method *method = p->context->method;
        int r;

        if (p->child || p->starting)
                return mproc__fail(MPROC_ESTARTED, "%s cannot be started twice: create another process object", p->name);
        if ((method->carries && (r = mproc__args_check_portable(p->args, method->name)) < 0) ||
            (r = mproc__args_check_passable(p->args)) < 0)
                return r;
        if (!(*ret_child = mproc__child_new(p->name, p->daemon)))
                return mproc__fail(-ENOMEM, "no memory for the record of %s", p->name);
        p->starting = true;
        return 0;
}

/* Without the mutex: what it takes from the object does not change while it is starting. */
static int
carry_out_start(const mproc_process *p, struct mproc__child *child)
{
        struct mproc__started started = { .pidfd = -1, .channel = -1 };
        struct mproc__launch launch = {
                .target = p->target,
                .args = p->args,
                .name = child->name, /* the object's may be changed */
                .identity = p->identity,
                .daemon = child->daemon,
                .die_with_parent = p->die_with_parent,
                .keep_signals = p->keep_signals,
                .inherit_connections = p->inherit_connections,
        };
        int r;

        mproc__exit_prepare();
        if ((r = p->context->method->start(&launch, &started)) < 0)
                return r;
        mproc__child_add(child, &started);
        mproc__args_given(p->args);
        return 0;
}

int
mproc_process_start(mproc_process *p)
{
        struct mproc__child *child = NULL;
        mproc_args *done = NULL;
        int r;

        mproc__children_reap();
        if ((r = lock_ours(p)) < 0)
                return r;
        r = begin_start(p, &child);
        (void)pthread_mutex_unlock(&p->mutex);
        if (r < 0)
                return r;
        r = carry_out_start(p, child);
        (void)pthread_mutex_lock(&p->mutex);
        p->starting = false;
        if (r == 0) {
                p->child = child;
                p->pid = child->pid;
                done = p->args;
                p->args = NULL;
        }
        (void)pthread_mutex_unlock(&p->mutex);
        if (r < 0) {
                mproc__child_unref(child);
                return r;
        }
        mproc__args_free(done);
        mproc__log(MPROC_LOG_DEBUG, "started %s, pid %ld, by %s", child->name, (long)child->pid,
                   p->context->method->name);
        return 0;
}

/* --- watching --------------------------------------------------------------------------------------------------- */

int
mproc_process_join(mproc_process *p, int64_t timeout_ms)
{
        int64_t deadline = mproc__deadline(timeout_ms);
        struct mproc__child *child;
        int r;

        if (p && p->role == ROLE_PARENT)
                return mproc__parent_wait(deadline);
        if ((r = get_child(p, &child)) < 0)
                return r;
        if (mproc__child_wait(child, deadline))
                return 0;
        mproc__fail_words(MPROC_ETIMEDOUT, "%s (pid %ld) still runs after %lld ms", p->name, (long)p->pid,
                          (long long)timeout_ms);
        mproc__wait_add_words();
        return MPROC_ETIMEDOUT;
}

int
mproc_process_is_alive(mproc_process *p)
{
        struct mproc__child *child;
        int r;

        if (p && p->role == ROLE_SELF)
                return 1;
        if (p && p->role == ROLE_PARENT)
                return mproc__parent_wait(MPROC__AT_ONCE) == MPROC_ETIMEDOUT;
        r = get_child(p, &child);
        if (r == MPROC_ENOTSTARTED)
                return 0;
        return r < 0 ? r : !mproc__child_poll(child);
}

/* An ended child, whose record does not change any more. */
static int
get_ended(mproc_process *p, struct mproc__child **ret)
{
        int r = get_child(p, ret);

        if (r == 0 && !mproc__child_poll(*ret))
                r = mproc__fail(MPROC_ERUNNING, "%s (pid %ld) is still running: join it first", p->name, (long)p->pid);
        return r;
}

int
mproc_process_exitcode(mproc_process *p, int *ret_exitcode)
{
        struct mproc__child *child;
        int r = get_ended(p, &child);

        if (r == 0)
                *ret_exitcode = child->exit.exitcode;
        return r;
}

static int64_t
microseconds(struct timeval t)
{
        return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

int
mproc_process_report(mproc_process *p, mproc_report *ret)
{
        struct mproc__child *child;
        int r = get_ended(p, &child);
        int code;

        if (r < 0)
                return r;
        code = child->exit.exitcode;
        memset(ret, 0, sizeof *ret);
        ret->exitcode = code;
        ret->signal = code < 0 && code != MPROC_EXITCODE_UNKNOWN ? -code : 0;
        ret->core_dumped = child->exit.core_dumped;
        ret->error = child->error;
        ret->has_usage = child->exit.has_usage;
        ret->user_us = microseconds(child->exit.usage.ru_utime);
        ret->system_us = microseconds(child->exit.usage.ru_stime);
        ret->maxrss_bytes = (int64_t)child->exit.usage.ru_maxrss * 1024;
        (void)snprintf(ret->step, sizeof ret->step, "%s", child->step);
        (void)snprintf(ret->text, sizeof ret->text, "%s", child->text);
        return 0;
}

const char *
mproc_process_error(mproc_process *p)
{
        const char *text = "";

        if (!p || p->role != ROLE_CHILD || p->creator != getpid())
                return text;
        (void)pthread_mutex_lock(&p->mutex);
        if (p->child && !p->closed && mproc__child_poll(p->child))
                text = p->child->text;
        (void)pthread_mutex_unlock(&p->mutex);
        return text;
}

pid_t
mproc_process_pid(mproc_process *p)
{
        if (!p)
                return 0;
        return p->role == ROLE_SELF ? getpid() : p->role == ROLE_PARENT ? mproc__self.parent_pid : p->pid;
}

const char *
mproc_process_name(mproc_process *p)
{
        if (!p)
                return "";
        return p->role == ROLE_SELF ? mproc__self.name : p->role == ROLE_PARENT ? mproc__self.parent_name : p->name;
}

int
mproc_process_set_name(mproc_process *p, const char *name)
{
        char *copy;
        int r;

        if (!name)
                return mproc__fail(-EINVAL, "the name of a process must be a string, not NULL");
        if (!(copy = strdup(name)))
                return mproc__fail(-ENOMEM, "no memory for the name of a process");
        if ((r = lock_ours(p)) < 0) {
                free(copy);
                return r;
        }
        free(p->name);
        p->name = copy;
        (void)pthread_mutex_unlock(&p->mutex);
        return 0;
}

int
mproc_process_daemon(mproc_process *p)
{
        if (!p)
                return check_handle(p);
        return p->role == ROLE_SELF ? mproc__self.daemon : p->daemon;
}

int
mproc_process_set_daemon(mproc_process *p, int daemon)
{
        int r = lock_ours(p);

        if (r < 0)
                return r;
        if (p->child || p->starting)
                r = mproc__fail(MPROC_ESTARTED, "%s has already started: daemon is set before the start", p->name);
        else if (mproc__self.daemon && !daemon)
                r = mproc__fail(MPROC_EDAEMON, "%s is a daemon, and its children have to be daemons, too",
                                mproc__self.name);
        if (r == 0) {
                if (p->default_tie)
                        p->die_with_parent = daemon != 0;
                p->daemon = daemon != 0;
        }
        (void)pthread_mutex_unlock(&p->mutex);
        return r;
}

int
mproc_process_sentinel(mproc_process *p)
{
        struct mproc__child *child;
        int r;

        if (p && p->role == ROLE_PARENT)
                return mproc__parent_sentinel();
        r = get_child(p, &child);
        return r < 0 ? r : mproc__child_sentinel(child);
}

/* --- signals ---------------------------------------------------------------------------------------------------- */

static int
send_signal(mproc_process *p, int signal)
{
        struct mproc__child *child;
        int r = get_child(p, &child);

        if (r == 0 && (r = mproc__child_signal(child, signal)) < 0)
                return mproc__fail_errno(-r, "sending signal %d to %s (pid %ld)", signal, p->name, (long)p->pid);
        return r;
}

int
mproc_process_terminate(mproc_process *p)
{
        return send_signal(p, SIGTERM);
}

int
mproc_process_kill(mproc_process *p)
{
        return send_signal(p, SIGKILL);
}

int
mproc_process_interrupt(mproc_process *p)
{
        return send_signal(p, SIGINT);
}

/* --- the end of the handle ------------------------------------------------------------------------------------- */

int
mproc_process_close(mproc_process *p)
{
        int r;

        if (p && p->role == ROLE_CHILD && p->creator == getpid() && p->closed)
                return 0;
        if ((r = lock_ours(p)) < 0)
                return r;
        if (p->starting || (p->child && !mproc__child_poll(p->child)))
                r = mproc__fail(MPROC_ERUNNING, "%s (pid %ld) cannot be closed while it is running: join or terminate it "
                                                "first", p->name, (long)p->pid);
        else if (p->child)
                mproc__child_close(p->child);
        if (r == 0)
                p->closed = true;
        (void)pthread_mutex_unlock(&p->mutex);
        return r;
}

void
mproc_process_free(mproc_process *p)
{
        int saved = errno;

        if (!p || p->role != ROLE_CHILD)
                return;
        if (p->child && p->creator == getpid())
                (void)mproc__child_poll(p->child); /* nothing left to do for one that has ended */
        mproc__child_unref(p->child);
        (void)pthread_mutex_destroy(&p->mutex);
        free(p->name);
        if (p->creator == getpid()) { /* a forked child may be this very process, with these arguments and this identity */
                mproc__args_free(p->args);
                free(p->identity);
        }
        free(p);
        errno = saved;
}

/* --- the others ------------------------------------------------------------------------------------------------- */

static mproc_process *
handle_on(struct mproc__child *child)
{
        mproc_process *p = calloc(1, sizeof *p);

        if (!p || !(p->name = strdup(child->name))) {
                free(p);
                return NULL;
        }
        (void)pthread_mutex_init(&p->mutex, NULL);
        p->role = ROLE_CHILD;
        p->context = mproc__context_resolve(NULL);
        p->daemon = child->daemon;
        p->creator = getpid();
        p->pid = child->pid;
        p->child = child;
        return p;
}

int
mproc_active_children(mproc_process ***ret_list, size_t *ret_count)
{
        struct mproc__child **alive;
        mproc_process **handles;
        size_t n, made = 0;
        int r = mproc__children_alive(&alive, &n);

        if (r < 0)
                return r;
        handles = calloc(n ? n : 1, sizeof(mproc_process *));
        for (; handles && made < n; made++)
                if (!(handles[made] = handle_on(alive[made])))
                        break;
        for (size_t i = made; i < n; i++)
                mproc__child_unref(alive[i]); /* the others are the handles' now */
        free(alive);
        if (!handles || made < n) {
                mproc_process_list_free(handles, made);
                return mproc__fail(-ENOMEM, "no memory for handles on %zu children", n);
        }
        *ret_list = handles;
        *ret_count = n;
        return 0;
}

void
mproc_process_list_free(mproc_process **handles, size_t count)
{
        for (size_t i = 0; handles && i < count; i++)
                mproc_process_free(handles[i]);
        free(handles);
}

static char fixed_name[] = "this process";
static mproc_process current = { .role = ROLE_SELF, .name = fixed_name, .mutex = PTHREAD_MUTEX_INITIALIZER };
static mproc_process parent = { .role = ROLE_PARENT, .name = fixed_name, .mutex = PTHREAD_MUTEX_INITIALIZER };

mproc_process *
mproc_current_process(void)
{
        return &current;
}

mproc_process *
mproc_parent_process(void)
{
        return mproc__self.parent_pid ? &parent : NULL;
}
