/* SPDX-License-Identifier: MIT */
/*
 * The program around the library: it may reap what is not its own, or forbid
 * its children to leave a status at all, and it finds everything that
 * belongs to it as it was.
 */
#include "process_help.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

static int
ends_by(mproc_args *args)
{
        const char *way = mproc_args_string(args, 0);

        if (strcmp(way, "_exit") == 0)
                _exit((int)mproc_args_int(args, 1));
        if (strcmp(way, "exit") == 0)
                exit((int)mproc_args_int(args, 1));
        if (strcmp(way, "signal") == 0)
                kill(getpid(), (int)mproc_args_int(args, 1));
        return (int)mproc_args_int(args, 1);
}

/* --- those who take the status away ---------------------------------------------------------------------------- */

/* What a child says before it ends is known in any case; what only the system knows, if it still tells. */
static void
expect_truth_or_unknown(mproc_context *ctx)
{
        int exitcode;

        CHECK_INT(run(ctx, ends_by, MPROC_ARGS("return", 0)), 0);
        CHECK_INT(run(ctx, ends_by, MPROC_ARGS("return", 7)), 7);
        CHECK_INT(run(ctx, ends_by, MPROC_ARGS("exit", 9)), 9);
        exitcode = run(ctx, ends_by, MPROC_ARGS("_exit", 11));
        CHECK_MSG(exitcode == 11 || exitcode == MPROC_EXITCODE_UNKNOWN, "%d", exitcode);
        exitcode = run(ctx, ends_by, MPROC_ARGS("signal", SIGKILL));
        CHECK_MSG(exitcode == -SIGKILL || exitcode == MPROC_EXITCODE_UNKNOWN, "%d", exitcode);
}

/* Joined while it runs, joined after its end, looked at without a join. */
static void
expect_every_look_to_end(mproc_context *ctx)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));

        CHECK_INT(mproc_process_is_alive(p), 1);
        CHECK_CODE(mproc_process_join(p, 5), MPROC_ETIMEDOUT);
        let_go(&ends, 1);
        WAIT_UNTIL(mproc_process_is_alive(p) == 0, LONG_MS);
        CHECK_INT(finish(p), 0);
        p = start(ctx, ends_by, MPROC_ARGS("return", 3));
        WAIT_UNTIL(!process_exists(mproc_process_pid(p)), LONG_MS);
        CHECK_OK(mproc_process_terminate(p)); /* whoever has its pid now is not hit */
        CHECK_INT(finish(p), 3);
}

static atomic_bool thieves_go_on;

static void *
reap_everybody(void *arg)
{
        int *reaped = arg;

        while (atomic_load(&thieves_go_on)) {
                if (waitpid(-1, NULL, WNOHANG) > 0)
                        ++*reaped;
                sched_yield();
        }
        return NULL;
}

START_METHOD_TEST(foreign_wait_steals_no_end)
{
        pthread_t thief;
        int reaped = 0;

        atomic_store(&thieves_go_on, true);
        CHECK_INT(pthread_create(&thief, NULL, reap_everybody, &reaped), 0);
        for (int i = 0; i < 15; i++) {
                expect_truth_or_unknown(ctx);
                expect_every_look_to_end(ctx);
        }
        atomic_store(&thieves_go_on, false);
        pthread_join(thief, NULL);
}

static void *
block_for_everybody(void *arg)
{
        (void)arg;
        while (atomic_load(&thieves_go_on))
                if (waitpid(-1, NULL, 0) < 0)
                        sched_yield();
        return NULL;
}

START_METHOD_TEST(foreign_wait_that_blocks_steals_no_end, .leaves_zombies = true)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *last;
        pthread_t thief;

        atomic_store(&thieves_go_on, true);
        last = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        CHECK_INT(pthread_create(&thief, NULL, block_for_everybody, NULL), 0);
        for (int i = 0; i < 15; i++) {
                expect_truth_or_unknown(ctx);
                expect_every_look_to_end(ctx);
        }
        atomic_store(&thieves_go_on, false);
        let_go(&ends, 1); /* its end lets the thief see that it is over */
        CHECK_INT(finish(last), 0);
        while (pthread_tryjoin_np(thief, NULL) != 0) /* unless its end was not the thief's to see */
                if (fork() == 0)
                        _exit(0);
}

static void
on_child(int number)
{
        int saved = errno;

        (void)number;
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        errno = saved;
}

/* The handler that half of all programs have. */
START_METHOD_TEST(handler_that_reaps_everybody_steals_no_end)
{
        struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_RESTART };

        CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
        for (int i = 0; i < 15; i++) {
                expect_truth_or_unknown(ctx);
                expect_every_look_to_end(ctx);
        }
}

START_METHOD_TEST(handler_that_interrupts_every_call)
{
        struct sigaction action = { .sa_handler = on_child };

        CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
        for (int i = 0; i < 15; i++) {
                expect_truth_or_unknown(ctx);
                expect_every_look_to_end(ctx);
        }
}

START_METHOD_TEST(ignored_sigchld_steals_no_end)
{
        CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        for (int i = 0; i < 5; i++) {
                expect_truth_or_unknown(ctx);
                expect_every_look_to_end(ctx);
        }
}

START_METHOD_TEST(refused_zombies_steal_no_end)
{
        struct sigaction action = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };

        CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
        for (int i = 0; i < 5; i++) {
                expect_truth_or_unknown(ctx);
                expect_every_look_to_end(ctx);
        }
}

/* Words come from the child, so nobody can take them. */
static int
fails_with_words(mproc_args *args)
{
        return (int)mproc_args_int(args, 5);
}

START_METHOD_TEST(words_arrive_without_a_status)
{
        mproc_report report;

        CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        report = run_report(ctx, fails_with_words, MPROC_ARGS(1));
        CHECK_INT(report.exitcode, 1);
        CHECK_INT(report.error, MPROC_EARGTYPE);
        CHECK_CONTAINS(report.text, "argument 5");
}

/* Its children inherit that SIGCHLD is ignored, and are parents as good as any. */
static int
is_a_parent(mproc_args *args)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(mproc_args_string(args, 0), &ctx));
        expect_truth_or_unknown(ctx);
        return 0;
}

START_METHOD_TEST(ignored_sigchld_is_inherited_without_harm)
{
        CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        CHECK_INT(run(ctx, is_a_parent, MPROC_ARGS(method)), 0);
}

/* Two at once join a process whose status a third takes away. */
static void *
join_it(void *p)
{
        CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
        return NULL;
}

START_METHOD_TEST(stolen_process_is_joined_by_many)
{
        pthread_t thief, threads[4];
        int reaped = 0;

        atomic_store(&thieves_go_on, true);
        CHECK_INT(pthread_create(&thief, NULL, reap_everybody, &reaped), 0);
        for (int i = 0; i < 20; i++) {
                struct pipe_ends ends = make_pipe();
                mproc_process *p = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));

                for (int t = 0; t < 4; t++)
                        CHECK_INT(pthread_create(&threads[t], NULL, join_it, p), 0);
                let_go(&ends, 1);
                for (int t = 0; t < 4; t++)
                        CHECK_INT(pthread_join(threads[t], NULL), 0);
                CHECK_INT(finish(p), 0);
        }
        atomic_store(&thieves_go_on, false);
        pthread_join(thief, NULL);
}

/* --- what belongs to the program -----------------------------------------------------------------------------------
 */

/* The library reaps by name: a stranger's child stays for its parent. */
START_METHOD_TEST(children_of_the_program_are_left_to_it)
{
        mproc_process **list;
        size_t count;
        pid_t pid = fork();

        if (pid == 0)
                _exit(5);
        WAIT_UNTIL(process_is_zombie(pid), LONG_MS);
        for (int i = 0; i < 5; i++) {
                CHECK_INT(run(ctx, ends_by, MPROC_ARGS("return", i)), i);
                CHECK_OK(mproc_active_children(&list, &count));
                CHECK_INT(count, 0);
                mproc_process_list_free(list, count);
        }
        CHECK_INT(wait_program(pid, LONG_MS), 5);
}

struct belongings {
        struct sigaction actions[65];
        sigset_t mask;
        char *environment, directory[4096];
        mode_t mask_of_files;
        struct rlimit limits[RLIM_NLIMITS];
        stack_t stack;
        struct itimerval timer;
        int priority, threads;
        pid_t group, session;
};

extern char **environ;

static void
look_around(struct belongings *b)
{
        size_t len;
        FILE *out = open_memstream(&b->environment, &len);

        CHECK(out != NULL);
        fprintf(out, "%p\n", (void *)environ);
        for (char **e = environ; *e; e++)
                fprintf(out, "%p %s\n", (void *)*e, *e);
        fclose(out);
        memset(b->actions, 0, sizeof b->actions);
        for (int s = 1; s < 65; s++)
                (void)sigaction(s, NULL, &b->actions[s]);
        CHECK(pthread_sigmask(SIG_SETMASK, NULL, &b->mask) == 0);
        CHECK(getcwd(b->directory, sizeof b->directory) != NULL);
        b->mask_of_files = umask(0);
        umask(b->mask_of_files);
        for (int i = 0; i < (int)RLIM_NLIMITS; i++)
                CHECK(getrlimit((unsigned)i, &b->limits[i]) == 0);
        CHECK(sigaltstack(NULL, &b->stack) == 0);
        CHECK(getitimer(ITIMER_REAL, &b->timer) == 0);
        b->priority = getpriority(PRIO_PROCESS, 0);
        b->threads = count_threads();
        b->group = getpgrp();
        b->session = getsid(0);
}

static void
expect_the_same(const struct belongings *before, const struct belongings *after)
{
        for (int s = 1; s < 65 && !under_tsan(); s++) { /* ThreadSanitizer tells its own of a handler */
                CHECK_MSG(after->actions[s].sa_handler == before->actions[s].sa_handler &&
                                  after->actions[s].sa_flags == before->actions[s].sa_flags &&
                                  memcmp(&after->actions[s].sa_mask, &before->actions[s].sa_mask, 8) == 0,
                          "the action of signal %d has changed", s);
                CHECK_MSG(sigismember(&after->mask, s) == sigismember(&before->mask, s), "signal %d is%s blocked", s,
                          sigismember(&after->mask, s) ? "" : " not");
        }
        CHECK_STR(after->environment, before->environment);
        CHECK_STR(after->directory, before->directory);
        CHECK_INT(after->mask_of_files, before->mask_of_files);
        CHECK_MEM(after->limits, before->limits, sizeof before->limits);
        CHECK(after->stack.ss_sp == before->stack.ss_sp);
        CHECK_MEM(&after->timer, &before->timer, sizeof before->timer);
        CHECK_INT(after->priority, before->priority);
        CHECK_INT(after->threads, before->threads);
        CHECK_INT(after->group, before->group);
        CHECK_INT(after->session, before->session);
}

static void
handle_usr(int number)
{
        (void)number;
}

START_METHOD_TEST(belongings_stay_as_they_are)
{
        struct sigaction action = { .sa_handler = handle_usr, .sa_flags = SA_RESTART | SA_NODEFER };
        struct belongings before, after;
        mproc_process *p;
        int exitcode;

        CHECK(setenv("MPROC_TEST_VARIABLE", "as it was", 1) == 0);
        sigemptyset(&action.sa_mask);
        sigaddset(&action.sa_mask, SIGALRM);
        CHECK(sigaction(SIGCHLD, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
        CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
        sigemptyset(&action.sa_mask);
        sigaddset(&action.sa_mask, SIGUSR1);
        sigaddset(&action.sa_mask, SIGTERM);
        CHECK(pthread_sigmask(SIG_SETMASK, &action.sa_mask, NULL) == 0);
        look_around(&before);
        for (int i = 0; i < 3; i++) {
                CHECK_INT(run(ctx, ends_by, MPROC_ARGS("return", i)), i);
                CHECK_INT(run(ctx, ends_by, MPROC_ARGS("signal", SIGKILL)), -SIGKILL);
        }
        CHECK_OK(mproc_set_executable("/nonexistent/program")); /* failures leave nothing changed either */
        p = create(ctx, ends_by, MPROC_ARGS("return", 0));
        if (mproc_process_start(p) == 0) {
                CHECK_OK(mproc_process_join(p, MPROC_FOREVER));
                CHECK_OK(mproc_process_exitcode(p, &exitcode));
        }
        mproc_process_free(p);
        look_around(&after);
        expect_the_same(&before, &after);
        free(before.environment);
        free(after.environment);
}
