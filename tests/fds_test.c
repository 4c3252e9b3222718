/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors are open: in a child, in its parent before, during and after,
 * and in what either of them executes.
 */
#include "support/internal.h"

#include "process_help.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define LEAKED 300

static int leaked[LEAKED];

/* What a careless program leaves open in its children: no close-on-exec, at numbers from 3 on. */
static void
leak_descriptors(void)
{
        struct rlimit limit;

        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        if (limit.rlim_max < LEAKED + 100)
                SKIP("only %llu descriptors are allowed here", (unsigned long long)limit.rlim_max);
        if (limit.rlim_cur < LEAKED + 100)
                limit.rlim_cur = LEAKED + 100;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        for (int i = 0; i < LEAKED; i++)
                CHECK((leaked[i] = dup(0)) >= 0);
}

static void
close_leaked(void)
{
        for (int i = 0; i < LEAKED; i++)
                close(leaked[i]);
}

/* Calls visit for each line "NUMBER TARGET" of a list; the list is changed. */
static void
each_fd(char *list, void (*visit)(int fd, const char *target, void *arg), void *arg)
{
        for (char *line; (line = strsep(&list, "\n")) && *line;) {
                char *target = strchr(line, ' ');

                *target++ = 0;
                visit(atoi(line), target, arg);
        }
}

static void
check_cloexec(int fd, const char *target, void *arg)
{
        int from = *(int *)arg;

        if (fd >= from)
                CHECK_MSG(fcntl(fd, F_GETFD) == FD_CLOEXEC, "descriptor %d (%s) is not close-on-exec", fd, target);
}

static void
all_close_on_exec(int from)
{
        char *list = list_fds();

        each_fd(list, check_cloexec, &from);
        free(list);
}

/* --- the child ---------------------------------------------------------------------------------------------- */

/* 0, 1, 2, the channel at 3, and after it nothing but the arguments. */
static int
holds_its_arguments_alone(mproc_args *args)
{
        char *list = list_fds(), *wanted = NULL;
        size_t fds = 0;

        for (size_t i = 0; i < mproc_args_count(args); i++) {
                if (mproc_args_type(args, i) != MPROC_ARG_FD)
                        continue;
                wanted = text_format("%d /memfd:argument %zu (deleted)\n", mproc_args_fd(args, i), i);
                CHECK_CONTAINS(list, wanted);
                free(wanted);
                fds++;
        }
        CHECK_MSG(count_fds() == 4 + (int)fds, "open are:\n%s", list);
        CHECK_CONTAINS(list, "\n3 socket:[");
        for (int fd = 0; fd < 3; fd++)
                CHECK_INT(fcntl(fd, F_GETFD), 0);
        all_close_on_exec(3);
        free(list);
        return 0;
}

static mproc_arg
memfd_argument(size_t index)
{
        char *name = text_format("argument %zu", index);
        int fd = memfd_create(name, MFD_CLOEXEC);

        CHECK(fd >= 0);
        free(name);
        return mproc_fd(fd);
}

static void
pass_memfds(mproc_context *ctx, size_t count)
{
        mproc_arg list[16];

        for (size_t i = 0; i < count; i++)
                list[i] = memfd_argument(i);
        CHECK_INT(run(ctx, holds_its_arguments_alone, ((mproc_arglist){ list, count })), 0);
        for (size_t i = 0; i < count; i++)
                close(list[i].fd);
}

static void
skip_fork_and_valgrind(const char *method)
{
        if (strcmp(method, "fork") == 0)
                SKIP("a forked child inherits all that its parent has");
        if (under_valgrind())
                SKIP("valgrind has descriptors of its own");
}

START_METHOD_TEST(child_holds_what_it_was_given)
{
        skip_fork_and_valgrind(method);
        leak_descriptors();
        for (size_t n = 0; n < 5; n++)
                pass_memfds(ctx, n);
        pass_memfds(ctx, 16);
        close_leaked();
}

static int
child_holds_what_it_was_given_too(mproc_args *args)
{
        (void)args;
        leak_descriptors();
        pass_memfds(NULL, 0);
        pass_memfds(NULL, 3);
        return 0;
}

START_METHOD_TEST(grandchild_holds_what_it_was_given)
{
        skip_fork_and_valgrind(method);
        leak_descriptors();
        CHECK_INT(run(ctx, child_holds_what_it_was_given_too, MPROC_NO_ARGS), 0);
        close_leaked();
}

/* Of a hundred siblings, each holds its own alone. */
START_METHOD_TEST(siblings_do_not_inherit_each_other)
{
        struct pipe_ends ends = make_pipe();
        mproc_process *p[20];

        skip_fork_and_valgrind(method);
        for (int i = 0; i < 20; i++)
                p[i] = start(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        pass_memfds(ctx, 2);
        let_go(&ends, 20);
        for (int i = 0; i < 20; i++)
                CHECK_INT(finish(p[i]), 0);
}

/* --- the forked child ------------------------------------------------------------------------------------------ */

struct forked_list {
        const char *before;
        int others;
};

static void
was_there_before(int fd, const char *target, void *arg)
{
        struct forked_list *f = arg;
        char *line = text_format("%d %s\n", fd, target);

        if (!strstr(f->before, line)) {
                CHECK_MSG(strncmp(target, "anon_inode:[pidfd]", 18) != 0 && strncmp(target, "pidfd:", 6) != 0,
                          "a child holds a pidfd: %s", line);
                f->others++;
        }
        free(line);
}

/* Argument 0: what was open in the parent before its first child; nothing but the channel and one argument is more.
 */
static int
inherits_the_program_alone(mproc_args *args)
{
        struct forked_list f = { mproc_args_string(args, 0), 0 };
        char *list = list_fds(), *copy = text_format("%s", list);

        each_fd(list, was_there_before, &f);
        CHECK_MSG(f.others <= 2, "open are:\n%sbefore the start were:\n%s", copy, f.before);
        free(list);
        free(copy);
        return 0;
}

/* Of the library's descriptors, a forked child has only its own, whatever its parent has for other children. */
TEST(forked_child_inherits_no_sibling)
{
        struct pipe_ends ends = make_pipe();
        mproc_process_opts tied = { .die_with_parent = 1 };
        mproc_context *fork_ctx, *spawn;
        mproc_process *p[6];
        char *before;

        CHECK_OK(mproc_get_context("fork", &fork_ctx));
        CHECK_OK(mproc_get_context("spawn", &spawn));
        CHECK_INT(run(spawn, return_argument, MPROC_NO_ARGS), 0);
        before = list_fds();
        for (int i = 0; i < 6; i++)
                p[i] = start_opts(i % 2 ? spawn : fork_ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)), &tied);
        CHECK_INT(run(fork_ctx, inherits_the_program_alone, MPROC_ARGS(before, mproc_fd(0))), 0);
        CHECK_INT(finish(start_opts(fork_ctx, inherits_the_program_alone, MPROC_ARGS(before, mproc_fd(0)), &tied)),
                  0);
        let_go(&ends, 6);
        for (int i = 0; i < 6; i++)
                CHECK_INT(finish(p[i]), 0);
        free(before);
}

static void
count_library_sockets(int fd, const char *target, void *arg)
{
        (void)fd;
        *(int *)arg += strncmp(target, "socket:", 7) == 0 || strstr(target, "pidfd") != NULL;
}

static bool
holds_one_socket(mproc_process *p)
{
        char *list = list_fds_of(mproc_process_pid(p));
        int sockets = 0;

        each_fd(list, count_library_sockets, &sockets);
        free(list);
        return sockets == 1;
}

struct crowd {
        mproc_context *ctx;
        int wait_fd;
        pthread_barrier_t *barrier;
        mproc_process *p[10];
};

static void *
start_ten(void *arg)
{
        struct crowd *c = arg;
        mproc_process_opts tied = { .die_with_parent = 1 };

        for (int i = 0; i < 10; i++) {
                pthread_barrier_wait(c->barrier);
                c->p[i] = start_opts(c->ctx, wait_for_byte, MPROC_ARGS(mproc_fd(c->wait_fd)), &tied);
        }
        return NULL;
}

/* Started at the same moment by several threads, each has its own channel and no other: it would hide a death. */
START_METHOD_TEST(simultaneous_children_inherit_no_sibling)
{
        struct pipe_ends ends = make_pipe();
        struct crowd crowd[3];
        pthread_barrier_t barrier;
        pthread_t threads[3];

        CHECK_INT(pthread_barrier_init(&barrier, NULL, 3), 0);
        for (int t = 0; t < 3; t++) {
                crowd[t] = (struct crowd){ .ctx = ctx, .wait_fd = ends.out, .barrier = &barrier };
                CHECK_INT(pthread_create(&threads[t], NULL, start_ten, &crowd[t]), 0);
        }
        for (int t = 0; t < 3; t++)
                CHECK_INT(pthread_join(threads[t], NULL), 0);
        for (int i = 0; i < 30; i++) { /* a newborn child of the fork server has for a moment the server's, too */
                mproc_process *p = crowd[i / 10].p[i % 10];
                int64_t end = monotonic_ms() + scaled_ms(LONG_MS);

                while (!holds_one_socket(p))
                        CHECK_MSG(monotonic_ms() < end, "%s holds\n%s", mproc_process_name(p),
                                  list_fds_of(mproc_process_pid(p)));
        }
        let_go(&ends, 30);
        for (int i = 0; i < 30; i++)
                CHECK_INT(finish(crowd[i / 10].p[i % 10]), 0);
        pthread_barrier_destroy(&barrier);
}

/* --- the parent ------------------------------------------------------------------------------------------------- */

START_METHOD_TEST(parent_holds_two_a_child_and_gives_them_back)
{
        struct pipe_ends ends;
        mproc_process *p[10];
        int before;

        CHECK_INT(run(ctx, return_argument, MPROC_NO_ARGS), 0);
        support_fd_baseline();
        before = count_fds();
        ends = make_pipe();
        for (int i = 0; i < 10; i++)
                p[i] = create(ctx, wait_for_byte, MPROC_ARGS(mproc_fd(ends.out)));
        CHECK_INT(count_fds(), before + 2 + 10); /* of each its argument */
        for (int i = 0; i < 10; i++)
                CHECK_OK(mproc_process_start(p[i]));
        CHECK_MSG(count_fds() <= before + 2 + 20, "%d", count_fds() - before); /* of each a pidfd and a channel */
        all_close_on_exec(3);
        let_go(&ends, 10);
        for (int i = 0; i < 10; i++)
                CHECK_OK(mproc_process_join(p[i], MPROC_FOREVER));
        CHECK_MSG(count_fds() <= before + 10, "%d", count_fds() - before); /* of each its sentinel */
        for (int i = 0; i < 5; i++) {
                CHECK_OK(mproc_process_close(p[i]));
                CHECK_CODE(mproc_process_sentinel(p[i]), MPROC_ECLOSED);
        }
        CHECK_MSG(count_fds() <= before + 5, "%d", count_fds() - before);
        for (int i = 0; i < 10; i++)
                mproc_process_free(p[i]);
        CHECK_INT(count_fds(), before);
}

/* Those that belong to the program and not to a child: few, and not more each time. */
START_METHOD_TEST(first_start_opens_few)
{
        int before = count_fds(), first;

        CHECK_INT(run(ctx, return_argument, MPROC_NO_ARGS), 0);
        first = count_fds() - before;
        CHECK_MSG(first <= 4, "%d", first);
        for (int i = 0; i < 10; i++)
                CHECK_INT(run(ctx, return_argument, MPROC_NO_ARGS), 0);
        CHECK_INT(count_fds() - before, first);
        all_close_on_exec(3);
}

static int
holds_nothing_of_the_program(mproc_args *args)
{
        (void)args;
        CHECK_INT(run(NULL, return_argument, MPROC_NO_ARGS), 0);
        all_close_on_exec(3);
        return 0;
}

START_METHOD_TEST(child_that_is_a_parent_closes_on_exec)
{
        CHECK_INT(run(ctx, holds_nothing_of_the_program, MPROC_NO_ARGS), 0);
}

/* --- what the program executes meanwhile --------------------------------------------------------------------------
 */

HELPER_WITHOUT_INIT(counts_its_descriptors)
{
        char *list = list_fds();
        int count = count_fds();

        if (count != 3)
                fprintf(stderr, "an executed program holds\n%s", list);
        free(list);
        return count;
}

static atomic_bool executing;

static void *
execute_programs(void *arg)
{
        int *count = arg;

        for (; atomic_load(&executing) || *count < 5; ++*count)
                CHECK_INT(wait_program(run_helper("counts_its_descriptors", NULL, NULL, NULL), LONG_MS), 3);
        return NULL;
}

/* No descriptor of the library is open in a program that another thread executes at any moment. */
START_METHOD_TEST(executed_programs_inherit_nothing)
{
        pthread_t thread;
        int count = 0;

        if (under_valgrind())
                SKIP("valgrind has descriptors of its own");
        atomic_store(&executing, true);
        CHECK_INT(pthread_create(&thread, NULL, execute_programs, &count), 0);
        for (int i = 0; i < 60; i++)
                CHECK_INT(run(ctx, return_argument, MPROC_ARGS(i, mproc_fd(0))), i);
        atomic_store(&executing, false);
        CHECK_INT(pthread_join(thread, NULL), 0);
        CHECK(count >= 5);
}

/* --- mproc's own processes -----------------------------------------------------------------------------------------
 */

static int
count_fds_of(pid_t pid)
{
        char *fds = list_fds_of(pid);
        int lines = 0;

        for (const char *c = fds; *c; c++)
                lines += *c == '\n';
        free(fds);
        return lines;
}

TEST(fork_server_and_tracker_hold_few)
{
        struct procfs_stat *list;
        struct pipe_ends ends;
        mproc_context *ctx;
        mproc_process *p;
        size_t count;
        int seen = 0;

        if (under_valgrind())
                SKIP("valgrind has descriptors of its own");
        leak_descriptors();
        ends = make_pipe();
        CHECK_OK(mproc_get_context("forkserver", &ctx));
        p = start(ctx, tell_and_run_on, MPROC_ARGS(mproc_fd(ends.in)));
        await_byte(ends.out); /* it bears the server's name no longer */
        do { /* the tracker changes its parent about now, to the runner, who takes orphans: a list may miss it */
                seen = 0;
                count = procfs_descendants(process_parent(getsid(0)), &list);
                for (size_t i = 0; i < count; i++) {
                        if (!procfs_is_library_process(&list[i]))
                                continue;
                        WAIT_UNTIL(count_fds_of(list[i].pid) <= 5, LONG_MS); /* the server may be at its work yet */
                        seen++;
                }
                free(list);
        } while (seen < 2);
        CHECK_INT(seen, 2);
        close_leaked();
        CHECK_OK(mproc_process_kill(p));
        CHECK_INT(finish(p), -SIGKILL);
        close_pipe(&ends);
}

/* --- no standard streams
 * --------------------------------------------------------------------------------------------- */

static int
has_standard_streams(mproc_args *args)
{
        (void)args;
        for (int fd = 0; fd < 3; fd++)
                if (fd_is_open(fd) && fcntl(fd, F_GETFD) != 0)
                        return 10 + fd; /* something of the library's in the place of a stream */
        return 0;
}

/* A daemon of the system may have closed them: what the library opens then is not taken for them. */
HELPER(has_no_standard_streams)
{
        mproc_context *ctx;
        int exitcode;

        CHECK_OK(mproc_get_context(argv[1], &ctx));
        close(0);
        close(1);
        close(2);
        for (int i = 0; i < 3; i++) {
                exitcode = run(ctx, has_standard_streams, MPROC_NO_ARGS);
                if (exitcode != 0)
                        return exitcode;
                for (int fd = 0; fd < 3; fd++)
                        if (fd_is_open(fd))
                                return 20 + fd;
        }
        return 0;
}

START_METHOD_TEST(closed_standard_streams_stay_closed)
{
        char *args[] = { (char *)method, NULL };

        if (under_valgrind())
                SKIP("valgrind has descriptors of its own");
        CHECK_INT(wait_program(run_helper("has_no_standard_streams", args, NULL, NULL), LONG_MS), 0);
}
