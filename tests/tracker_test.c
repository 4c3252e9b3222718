/* SPDX-License-Identifier: MIT */
/*
 * tracker_test.c - whatever ends a program, nothing it named stays behind.
 *
 * The cases: it ends well; parts of it, all of it, its tracker, or everything at
 * once is killed; signals go to the whole group; a process of it lives on in
 * another session; at the named points of the algorithms; several programs at once.
 */
#include "tracker_help.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mproc/mproc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* --- the program that is talked to ----------------------------------------------------------------- */

/* A child by mproc: makes a name of its own, and stays. */
static int
create_and_stay(mproc_args *args)
{
        mproc_semaphore *semaphore;
        int r = mproc_semaphore_create(NULL, mproc_args_string(args, 0), 1, &semaphore);

        dprintf(STDOUT_FILENO, "%ld\n", r < 0 ? (long)r : (long)getpid());
        while (pause() < 0)
                ;
        return 0;
}

/* The child answers itself. */
static int
start_child(char *arg)
{
        char *name = strchr(arg, ' ');
        mproc_process *child;
        mproc_context *ctx;
        int r;

        *name++ = 0;
        if ((r = mproc_get_context(arg, &ctx)) < 0 ||
            (r = mproc_process_create(ctx, create_and_stay, MPROC_ARGS(name), &child)) < 0 ||
            (r = mproc_process_start(child)) < 0)
                return r;
        mproc_process_free(child);
        return 1;
}

static int
do_nothing(mproc_args *args)
{
        (void)args;
        return 0;
}

static int
start_and_join(char *method)
{
        mproc_process *child;
        mproc_context *ctx;
        int r;

        if ((r = mproc_get_context(method, &ctx)) < 0 ||
            (r = mproc_process_create(ctx, do_nothing, MPROC_NO_ARGS, &child)) < 0 ||
            (r = mproc_process_start(child)) < 0 || (r = mproc_process_join(child, 30000)) < 0)
                return r;
        mproc_process_free(child);
        return 0;
}

/* As daemons do it: forked by the program itself, not by mproc, and in a session of its own. */
static int
leave_daemon(char *arg)
{
        pid_t pid = fork();

        (void)arg;
        if (pid == 0) {
                setsid();
                for (;;)
                        pause();
        }
        return pid;
}

/* Not one of the program's: what is executed inherits nothing. */
static int
leave_stranger(char *arg)
{
        pid_t pid = fork();

        (void)arg;
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);

                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO);
                execlp("sleep", "sleep", "1000", (char *)NULL);
                _exit(127);
        }
        return pid;
}

/* Processes that all find at the same moment that the tracker is gone. */
static int
create_in_many(char *name)
{
        enum { MANY = 8 };
        pid_t pids[MANY];
        int failed = 0;

        for (int i = 0; i < MANY; i++) {
                pids[i] = fork();
                if (pids[i] == 0) {
                        mproc_semaphore *semaphore;
                        char text[128];

                        snprintf(text, sizeof text, "%s%d", name, i);
                        _exit(mproc_semaphore_create(NULL, text, 1, &semaphore) != 0);
                }
        }
        for (int i = 0; i < MANY; i++)
                failed += wait_program(pids[i], 60000) != 0;
        return failed;
}

static int
create(char *name)
{
        mproc_semaphore *semaphore;
        int r = mproc_semaphore_create(NULL, name, 1, &semaphore);

        if (r == 0)
                mproc_semaphore_free(semaphore);
        return r;
}

static int
unlink_name(char *name)
{
        return mproc_semaphore_unlink(name);
}

/* 0: no children that the program did not start itself. */
static int
wait_for_any(char *arg)
{
        pid_t pid = wait(NULL);

        (void)arg;
        return pid == -1 && errno == ECHILD ? 0 : pid;
}

static void *
steal_statuses(void *arg)
{
        (void)arg;
        for (;;)
                if (waitpid(-1, NULL, 0) < 0)
                        usleep(100);
        return NULL;
}

static int
begin_stealing(char *arg)
{
        pthread_t thread;

        (void)arg;
        return pthread_create(&thread, NULL, steal_statuses, NULL);
}

static int
ignore_children(char *arg)
{
        (void)arg;
        return signal(SIGCHLD, SIG_IGN) == SIG_ERR;
}

static int
begin_session(char *arg)
{
        (void)arg;
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        return setsid() < 0;
}

static int
set_point(char *plan)
{
        return setenv("MPROC_POINT", plan, 1);
}

static int
set_executable(char *path)
{
        return mproc_set_executable(*path ? path : NULL);
}

static int
become_nobody(char *arg)
{
        (void)arg;
        return setgid(65534) != 0 || setuid(65534) != 0;
}

static int
allow_no_more_processes(char *arg)
{
        struct rlimit limit = { 0, 0 };

        (void)arg;
        return setrlimit(RLIMIT_NPROC, &limit);
}

/* The inode of this process's beacon, 0 if it has none. */
static long
beacon_inode(void)
{
        struct dirent *entry;
        DIR *dir = opendir("/proc/self/fd");
        long found = 0;

        while (dir && (entry = readdir(dir))) {
                int fd = atoi(entry->d_name);
                struct stat st;
                char magic[8];

                if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && pread(fd, magic, 8, 0) == 8 &&
                    memcmp(magic, "mproc\0B", 7) == 0)
                        found = (long)st.st_ino;
        }
        if (dir)
                closedir(dir);
        return found;
}

static int
tell_beacon(char *arg)
{
        (void)arg;
        printf("%ld\n", beacon_inode());
        return 1;
}

/* Without the ceremonies of exit(), which waits for children. */
static int
leave(char *arg)
{
        (void)arg;
        _exit(0);
}

static int
tell_words(char *arg)
{
        (void)arg;
        puts(mproc_last_error());
        return 1;
}

/* Commands answer with their result; 1 means that the answer was given already. */
static const struct {
        const char *name;
        int (*run)(char *arg);
        bool answers_itself;
} commands[] = {
        { "create", create, false },
        { "unlink", unlink_name, false },
        { "child", start_child, true },
        { "start", start_and_join, false },
        { "daemon", leave_daemon, false },
        { "stranger", leave_stranger, false },
        { "create-in-many", create_in_many, false },
        { "leave", leave, true },
        { "wait", wait_for_any, false },
        { "steal-statuses", begin_stealing, false },
        { "ignore-children", ignore_children, false },
        { "session", begin_session, false },
        { "point", set_point, false },
        { "executable", set_executable, false },
        { "nobody", become_nobody, false },
        { "no-more-processes", allow_no_more_processes, false },
        { "beacon", tell_beacon, true },
        { "words", tell_words, true },
};

static int
run_command(const char *name, char *arg)
{
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
                int r;

                if (strcmp(commands[i].name, name) != 0)
                        continue;
                r = commands[i].run(arg);
                if (!commands[i].answers_itself || r != 1)
                        printf("%d\n", r);
                return 0;
        }
        printf("no such command: %s\n", name);
        return 1;
}

static int
serve(void)
{
        char *line;

        setvbuf(stdout, NULL, _IONBF, 0);
        dup2(STDOUT_FILENO, STDERR_FILENO);
        while ((line = read_line(STDIN_FILENO))) {
                char *arg = strchr(line, ' ');

                if (arg)
                        *arg++ = 0;
                if (strcmp(line, "end") == 0) {
                        free(line);
                        puts("0");
                        return 0;
                }
                if (run_command(line, arg ? arg : line + strlen(line)) != 0)
                        return 1;
                free(line);
        }
        return 0;
}

HELPER(program)
{
        return serve();
}

HELPER_WITHOUT_INIT(program_without_init)
{
        return serve();
}

/* --- looking at trackers ---------------------------------------------------------------------------- */

/* A process may end between two looks at it; then it is no tracker. */
static bool
is_tracker(const char *pid, long inode)
{
        char path[64], comm[32] = "";
        struct stat st;
        int fd;

        snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
        if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
                return false;
        if (read(fd, comm, sizeof comm - 1) < 0)
                comm[0] = 0;
        close(fd);
        snprintf(path, sizeof path, "/proc/%.16s/fd/3", pid);
        return strcmp(comm, "mproc-tracker\n") == 0 && stat(path, &st) == 0 && (long)st.st_ino == inode;
}

/* The trackers of the program with that beacon: their number, and one of them. */
static int
find_trackers(long inode, pid_t *ret_pid)
{
        struct dirent *entry;
        DIR *dir = opendir("/proc");
        int found = 0;

        CHECK(dir);
        while ((entry = readdir(dir))) {
                if (is_tracker(entry->d_name, inode)) {
                        *ret_pid = (pid_t)atoi(entry->d_name);
                        found++;
                }
        }
        closedir(dir);
        return found;
}

/* It takes its name a moment after it is known to live. */
static pid_t
tracker_of(struct program *program)
{
        long inode = ASK_NUMBER(program, "beacon");
        pid_t pid = 0;

        CHECK(inode != 0);
        WAIT_UNTIL(find_trackers(inode, &pid) == 1, 10000);
        return pid;
}

static void
kill_and_wait(pid_t pid)
{
        CHECK(kill(pid, SIGKILL) == 0);
        WAIT_UNTIL(!process_exists(pid), 10000);
}

/* The name of the file with that inode, a beacon's; free() it.  NULL: it has none. */
static char *
beacon_path(long inode)
{
        struct dirent *entry;
        DIR *dir = opendir("/dev/shm");
        char *path = NULL;

        while (dir && !path && (entry = readdir(dir)))
                if ((long)entry->d_ino == inode && strncmp(entry->d_name + portable_build(), "mproc-", 6) == 0)
                        path = text_format("/dev/shm/%s", entry->d_name);
        if (dir)
                closedir(dir);
        return path;
}

static bool
beacon_has_name(long inode)
{
        char *path = beacon_path(inode);

        free(path);
        return path != NULL;
}

/* Does any process of the program live, or its tracker, or somebody who sweeps? */
static bool
beacon_is_locked(long inode)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        char *path = beacon_path(inode);
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

        if (fd >= 0)
                close(fd);
        free(path);
        return locked;
}

/* --- it ends well ------------------------------------------------------------------------------------- */

START_METHOD_TEST(a_program_that_ends_well_leaves_nothing_and_says_nothing)
{
        char *a = own_name("a");
        struct program p = begin_program();
        long inode;

        ASK_OK(&p, "create %s", a);
        inode = ASK_NUMBER(&p, "beacon");
        CHECK(beacon_has_name(inode));
        ASK_OK(&p, "start %s", method);
        ASK_OK(&p, "unlink %s", a);
        end_program(&p);
        check_last_words(&p, "");
        CHECK(!name_exists(a));
        CHECK(!beacon_has_name(inode));
        free(a);
}

TEST(what_a_program_forgets_is_removed_and_told)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program();

        ASK_OK(&p, "create %s", a);
        ASK_OK(&p, "create %s", b);
        end_program(&p);
        check_told(&p, 2, a, b);
        CHECK(!name_exists(a) && !name_exists(b));
        free(a);
        free(b);
}

/* Run after run of a program that never unlinks: each finds the name free, however fast it is. */
TEST(the_next_run_finds_the_names_free)
{
        char *a = own_name("a");

        for (int i = 0; i < 10; i++) {
                struct program p = begin_program();

                ASK_OK(&p, "create %s", a);
                CHECK(kill(p.pid, SIGKILL) == 0);
                CHECK_INT(wait_program(p.pid, 30000), -SIGKILL);
                if (i % 2) /* else the next one is fast */
                        check_told(&p, 1, a, NULL);
                else
                        close(p.in), close(p.out);
        }
        WAIT_UNTIL(!name_exists(a), 10000);
        free(a);
}

TEST(a_program_that_only_forks_has_no_tracker)
{
        struct program p = begin_program();
        long inode;
        pid_t pid;

        ASK_OK(&p, "start fork");
        inode = ASK_NUMBER(&p, "beacon");
        CHECK(inode == 0 || find_trackers(inode, &pid) == 0);
        end_program(&p);
        check_last_words(&p, "");
}

/* --- parts of it are killed --------------------------------------------------------------------------- */

START_METHOD_TEST(child_then_parent_killed)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program();
        pid_t child;

        ASK_OK(&p, "create %s", a);
        child = (pid_t)ASK_NUMBER(&p, "child %s %s", method, b);
        CHECK(child > 0);
        kill_and_wait(child);
        ASK_OK(&p, "create %s-after", a); /* a program whose child died goes on */
        ASK_OK(&p, "unlink %s-after", a);
        CHECK(name_exists(a) && name_exists(b));
        kill_program(&p);
        check_told(&p, 2, a, b);
        CHECK(!name_exists(a) && !name_exists(b));
        free(a);
        free(b);
}

START_METHOD_TEST(parent_then_child_killed)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program(), other = begin_program();
        pid_t child;

        ASK_OK(&p, "create %s", a);
        child = (pid_t)ASK_NUMBER(&p, "child %s %s", method, b);
        CHECK(child > 0);
        kill_program(&p);
        ASK_OK(&other, "create %s-other", a); /* which sweeps what is dead */
        CHECK(process_exists(child));
        CHECK(name_exists(a) && name_exists(b));
        CHECK(kill(child, SIGKILL) == 0);
        check_told(&p, 2, a, b);
        CHECK(!name_exists(a) && !name_exists(b));
        ASK_OK(&other, "unlink %s-other", a);
        end_program(&other);
        check_last_words(&other, "");
        free(a);
        free(b);
}

START_METHOD_TEST(parent_and_child_killed)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program();
        pid_t child;

        ASK_OK(&p, "create %s", a);
        child = (pid_t)ASK_NUMBER(&p, "child %s %s", method, b);
        CHECK(child > 0);
        CHECK(kill(p.pid, SIGKILL) == 0 && kill(child, SIGKILL) == 0);
        CHECK_INT(wait_program(p.pid, 30000), -SIGKILL);
        check_told(&p, 2, a, b);
        CHECK(!name_exists(a) && !name_exists(b));
        free(a);
        free(b);
}

/* --- the tracker is killed ---------------------------------------------------------------------------- */

TEST(a_killed_tracker_is_replaced_and_the_next_knows_all)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program();
        pid_t first, second;

        ASK_OK(&p, "create %s", a);
        first = tracker_of(&p);
        kill_and_wait(first);
        ASK_OK(&p, "create %s", b);
        second = tracker_of(&p);
        CHECK(second != first);
        end_program(&p);
        check_told(&p, 2, a, b);
        CHECK(!name_exists(a) && !name_exists(b));
        free(a);
        free(b);
}

TEST(a_start_notices_that_the_tracker_is_gone)
{
        static const char *const methods[] = { "spawn", "forkserver" };

        for (int i = 0; i < 2; i++) {
                char *a = own_name("a");
                struct program p = begin_program();
                pid_t first;

                ASK_OK(&p, "create %s", a);
                first = tracker_of(&p);
                kill_and_wait(first);
                ASK_OK(&p, "start %s", methods[i]);
                CHECK(tracker_of(&p) != first);
                kill_program(&p);
                check_told(&p, 1, a, NULL);
                free(a);
        }
}

TEST(many_that_miss_the_tracker_start_one)
{
        char *a = own_name("a");
        struct program p = begin_program();
        long inode;
        pid_t pid;

        ASK_OK(&p, "create %s", a);
        for (int i = 0; i < 5; i++) {
                kill_and_wait(tracker_of(&p));
                ASK_OK(&p, "create-in-many %s-%d-", a, i);
                inode = ASK_NUMBER(&p, "beacon");
                WAIT_UNTIL(find_trackers(inode, &pid) == 1, 10000);
        }
        end_program(&p);
        check_told(&p, 41, a, NULL);
        free(a);
}

/* --- everything is killed at once --------------------------------------------------------------------- */

static void
kill_all_at_once(const pid_t *pids, int count)
{
        for (int i = 0; i < count; i++)
                CHECK(kill(pids[i], SIGSTOP) == 0);
        for (int i = 0; i < count; i++)
                CHECK(kill(pids[i], SIGKILL) == 0);
        for (int i = 0; i < count; i++)
                WAIT_UNTIL(!process_exists(pids[i]), 10000);
}

/* A program, its child and its tracker, dead; names a and b stand there, unless another program came by already. */
static void
leave_names(const char *method, const char *a, const char *b)
{
        struct program p = begin_program();
        pid_t pids[3];
        long inode;

        ASK_OK(&p, "create %s", a);
        inode = ASK_NUMBER(&p, "beacon");
        pids[0] = p.pid;
        pids[1] = (pid_t)ASK_NUMBER(&p, "child %s %s", method, b);
        pids[2] = tracker_of(&p);
        kill_all_at_once(pids, 3);
        CHECK_INT(wait_program(p.pid, 30000), -SIGKILL);
        check_last_words(&p, "");
        WAIT_UNTIL(!beacon_is_locked(inode), 10000); /* the fork server ends by itself */
}

/* Other tests' programs clear up, too, and may be in the middle of it. */
#define CHECK_CLEARED(a, b) WAIT_UNTIL(!name_exists(a) && !name_exists(b), 10000)

START_METHOD_TEST(after_all_were_killed_the_next_program_clears_up)
{
        char *a = own_name("a"), *b = own_name("b"), *live = own_name("live");
        struct program living = begin_program(), next;

        ASK_OK(&living, "create %s", live);
        for (int i = 0; i < 3; i++) {
                leave_names(method, a, b);
                next = begin_program();
                ASK_OK(&next, "create %s-next", a);
                CHECK_CLEARED(a, b);
                CHECK(name_exists(live));
                ASK_OK(&next, "unlink %s-next", a);
                end_program(&next);
                check_last_words(&next, "");
        }
        ASK_OK(&living, "unlink %s", live);
        end_program(&living);
        check_last_words(&living, "");
        free(a);
        free(b);
        free(live);
}

/* Even while the program itself only starts a process and names nothing: its tracker does it. */
TEST(a_next_program_without_names_clears_up_too)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program next = begin_program();

        leave_names("spawn", a, b);
        ASK_OK(&next, "start spawn");
        CHECK_CLEARED(a, b);
        end_program(&next);
        check_last_words(&next, "");
        free(a);
        free(b);
}

TEST(several_that_clear_up_at_once_touch_nothing_that_lives)
{
        enum { MANY = 4 };
        char *a = own_name("a"), *b = own_name("b");
        struct program next[MANY];

        for (int round = 0; round < 3; round++) {
                leave_names("spawn", a, b);
                for (int i = 0; i < MANY; i++) {
                        char *command = text_format("create %s-%d\n", a, i);

                        next[i] = begin_program();
                        write_all(next[i].in, command, strlen(command));
                        free(command);
                }
                for (int i = 0; i < MANY; i++)
                        CHECK_INT(answer_number(read_line(next[i].out)), 0);
                CHECK_CLEARED(a, b);
                for (int i = 0; i < MANY; i++) {
                        char *mine = text_format("%s-%d", a, i);

                        CHECK(name_exists(mine));
                        ASK_OK(&next[i], "unlink %s", mine);
                        end_program(&next[i]);
                        check_last_words(&next[i], "");
                        free(mine);
                }
        }
        free(a);
        free(b);
}

/* The program has its first name already, and looks for dead ones no more, except where they are in its way. */
TEST(a_dead_programs_name_is_given_to_who_wants_it)
{
        char *a = own_name("a"), *b = own_name("b"), *c = own_name("c");
        struct program p = begin_program();

        ASK_OK(&p, "create %s", c);
        leave_names("spawn", a, b);
        ASK_OK(&p, "create %s", a);
        CHECK(name_exists(a));
        WAIT_UNTIL(!name_exists(b), 10000);
        end_program(&p);
        check_told(&p, 2, a, c);
        free(a);
        free(b);
        free(c);
}

/* --- signals to the group ----------------------------------------------------------------------------- */

static void
signal_group(const char *method, int signal)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program();
        pid_t child;

        ASK_OK(&p, "session");
        ASK_OK(&p, "create %s", a);
        child = (pid_t)ASK_NUMBER(&p, "child %s %s", method, b);
        CHECK(child > 0);
        CHECK(kill(-p.pid, signal) == 0);
        CHECK_INT(wait_program(p.pid, 30000), -signal);
        check_told(&p, 2, a, b);
        WAIT_UNTIL(!process_exists(child), 10000);
        CHECK(!name_exists(a) && !name_exists(b));
        free(a);
        free(b);
}

START_METHOD_TEST(sigint_to_the_group)
{
        signal_group(method, SIGINT);
}

START_METHOD_TEST(sigterm_to_the_group)
{
        signal_group(method, SIGTERM);
}

START_METHOD_TEST(sigkill_to_the_group)
{
        signal_group(method, SIGKILL);
}

TEST(the_tracker_itself_is_deaf)
{
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGUSR1 };
        char *a = own_name("a");
        struct program p = begin_program();
        pid_t tracker;

        ASK_OK(&p, "create %s", a);
        tracker = tracker_of(&p);
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
                CHECK(kill(tracker, signals[i]) == 0);
        CHECK_INT(tracker_of(&p), tracker);
        end_program(&p);
        check_told(&p, 1, a, NULL);
        free(a);
}

/* --- another session ---------------------------------------------------------------------------------- */

TEST(a_process_in_another_session_keeps_the_names)
{
        char *a = own_name("a");
        struct program p = begin_program(), other = begin_program();
        pid_t daemon, tracker;

        ASK_OK(&p, "create %s", a);
        tracker = tracker_of(&p);
        daemon = (pid_t)ASK_NUMBER(&p, "daemon");
        CHECK(daemon > 0);
        end_program(&p);
        ASK_OK(&other, "create %s-other", a); /* which looks for dead programs */
        CHECK(process_exists(tracker));
        CHECK(name_exists(a));
        CHECK(kill(daemon, SIGKILL) == 0);
        check_told(&p, 1, a, NULL);
        CHECK(!name_exists(a));
        ASK_OK(&other, "unlink %s-other", a);
        end_program(&other);
        check_last_words(&other, "");
        free(a);
}

TEST(a_program_that_was_executed_does_not_keep_the_names)
{
        char *a = own_name("a");
        struct program p = begin_program();
        pid_t stranger;

        ASK_OK(&p, "create %s", a);
        stranger = (pid_t)ASK_NUMBER(&p, "stranger");
        CHECK(stranger > 0);
        end_program(&p);
        check_told(&p, 1, a, NULL);
        CHECK(process_exists(stranger));
        kill_and_wait(stranger);
        free(a);
}

/* The same, and its tracker is gone: still nobody else may touch the names. */
TEST(a_process_in_another_session_keeps_the_names_without_a_tracker)
{
        char *a = own_name("a");
        struct program p = begin_program(), other = begin_program();
        pid_t daemon;

        ASK_OK(&p, "create %s", a);
        daemon = (pid_t)ASK_NUMBER(&p, "daemon");
        CHECK(daemon > 0);
        kill_and_wait(tracker_of(&p));
        end_program(&p);
        ASK_OK(&other, "create %s-other", a);
        CHECK(name_exists(a));
        ASK_OK(&other, "unlink %s-other", a);
        kill_and_wait(daemon);
        ASK_OK(&other, "create %s", a);
        ASK_OK(&other, "unlink %s", a);
        end_program(&other);
        check_last_words(&other, "");
        check_last_words(&p, "");
        free(a);
}

/* --- whose it is -------------------------------------------------------------------------------------- */

TEST(a_name_that_belongs_to_another_program_by_now_stays)
{
        char *a = own_name("a");
        struct program first = begin_program(), second = begin_program();

        ASK_OK(&first, "create %s", a);
        CHECK_INT(ASK_NUMBER(&second, "create %s", a), -EEXIST);
        ASK_OK(&second, "unlink %s", a);
        ASK_OK(&second, "create %s", a);
        kill_program(&first);
        check_last_words(&first, ""); /* its tracker has been, and gone */
        CHECK(name_exists(a));
        kill_program(&second);
        check_told(&second, 1, a, NULL);
        CHECK(!name_exists(a));
        free(a);
}

/* --- the host program --------------------------------------------------------------------------------- */

TEST(the_tracker_is_nobodys_child)
{
        char *a = own_name("a");
        struct program p = begin_program();

        ASK_OK(&p, "create %s", a);
        CHECK(process_parent(tracker_of(&p)) != p.pid);
        ASK_OK(&p, "wait"); /* would block if there were a child, and tell of a zombie */
        ASK_OK(&p, "unlink %s", a);
        end_program(&p);
        check_last_words(&p, "");
        free(a);
}

static int
highest_fd(pid_t pid)
{
        char *text = list_fds_of(pid), *rest = text;
        int highest = -1;

        for (char *line; (line = strsep(&rest, "\n")) && *line;)
                highest = atoi(line) > highest ? atoi(line) : highest;
        free(text);
        return highest;
}

TEST(the_tracker_holds_nothing_but_the_beacon)
{
        char *a = own_name("a"), *path, *text, link[64] = "";
        struct program p = begin_program();
        pid_t tracker;

        ASK_OK(&p, "create %s", a);
        tracker = tracker_of(&p);
        WAIT_UNTIL(highest_fd(tracker) == 3, 10000); /* at its start it looks at dead programs */
        text = list_fds_of(tracker);
        CHECK_CONTAINS(text, "0 /dev/null\n1 /dev/null\n2 pipe:[");
        CHECK_CONTAINS(text, portable_build() ? "\n3 /dev/shm/pmproc-" : "\n3 /dev/shm/#");
        CHECK(getsid(tracker) != getsid(p.pid));
        path = text_format("/proc/%d/cwd", (int)tracker);
        CHECK(readlink(path, link, sizeof link - 1) == 1);
        CHECK_STR(link, "/");
        free(path);
        free(text);
        path = text_format("/proc/%d/maps", (int)tracker);
        text = read_file(path, NULL);
        CHECK(text && !strstr(text, "/dev/shm") && !strstr(text, "memfd"));
        free(path);
        free(text);
        ASK_OK(&p, "unlink %s", a);
        end_program(&p);
        check_last_words(&p, "");
        free(a);
}

TEST(a_host_that_ignores_its_children_can_have_names)
{
        char *a = own_name("a");
        struct program p = begin_program();

        ASK_OK(&p, "ignore-children");
        ASK_OK(&p, "create %s", a);
        end_program(&p);
        check_told(&p, 1, a, NULL);
        free(a);
}

TEST(a_host_that_waits_for_all_children_can_have_names)
{
        char *a = own_name("a");

        for (int i = 0; i < 5; i++) {
                struct program p = begin_program();

                ASK_OK(&p, "steal-statuses");
                ASK_OK(&p, "create %s", a);
                end_program(&p);
                check_told(&p, 1, a, NULL);
        }
        free(a);
}

TEST(a_host_that_gave_up_its_rights_is_tracked_still)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p;

        if (geteuid() != 0)
                SKIP("only root has rights to give up");
        if (!anybody_can_reach(build_dir()))
                SKIP("who has no rights cannot run what lies in %s", build_dir());
        p = begin_program();
        ASK_OK(&p, "create %s", a);
        ASK_OK(&p, "nobody");
        ASK_OK(&p, "create %s", b);
        end_program(&p);
        check_told(&p, 2, a, b);
        p = begin_program();
        ASK_OK(&p, "nobody");
        ASK_OK(&p, "create %s", a);
        end_program(&p);
        check_told(&p, 1, a, NULL);
        free(a);
        free(b);
}

/* --- it cannot be started ----------------------------------------------------------------------------- */

static void
check_no_tracker(struct program *p, int code, const char *words)
{
        char *a = own_name("a"), *text;

        CHECK_INT(ASK_NUMBER(p, "create %s", a), code);
        text = ask(p, "words");
        CHECK_CONTAINS(text, words);
        CHECK(!name_exists(a));
        ASK_OK(p, "wait"); /* no zombie */
        free(text);
        free(a);
}

TEST(an_executable_that_is_no_tracker_is_an_error)
{
        char *a = own_name("a");
        struct program p = begin_program();

        ASK_OK(&p, "executable /bin/true");
        check_no_tracker(&p, MPROC_EPROGRAM, "instead of becoming the tracker");
        if (!under_asan()) { /* which has to say something about a child that could not exec */
                ASK_OK(&p, "executable /nonexistent/program");
                check_no_tracker(&p, MPROC_EPROGRAM, "exec");
        }
        ASK_OK(&p, "executable ");
        ASK_OK(&p, "create %s", a);
        ASK_OK(&p, "unlink %s", a);
        end_program(&p);
        check_last_words(&p, "");
        free(a);
}

TEST(a_process_limit_is_an_error)
{
        struct program p;

        if (under_asan())
                SKIP("the leak checker needs a process of its own at the end");
        p = begin_program();
        if (geteuid() == 0)
                ASK_OK(&p, "nobody");
        ASK_OK(&p, "no-more-processes");
        check_no_tracker(&p, MPROC_EPROGRAM, portable_build() ? "fork" : "clone");
        end_program(&p);
        check_last_words(&p, "");
}

TEST(a_program_without_mproc_init_is_told)
{
        struct program p;

        p.pid = run_helper("program_without_init", NULL, &p.in, &p.out);
        check_no_tracker(&p, MPROC_EBOOTSTRAP, "mproc_init");
        end_program(&p);
        check_last_words(&p, "");
}

/* --- at the named points ------------------------------------------------------------------------------ */

/*
 * The program, told to die there, dies; a library without such points would obey
 * the next command, which is to end at once.  Its answers are not read: its tracker's
 * words may stand in their place.
 */
static void
die_at(struct program *p, const char *point, const char *command, const char *name, pid_t child)
{
        char *text = text_format("%s %s\nleave\n", command, name);
        int exitcode;

        ASK_OK(p, "point %s=kill", point);
        write_all(p->in, text, strlen(text));
        free(text);
        exitcode = wait_program(p->pid, 30000);
        if (exitcode == 0) {
                if (child > 0)
                        (void)kill(child, SIGKILL);
                free(last_words(p));
                SKIP("the library was built without points");
        }
        CHECK_INT(exitcode, -SIGKILL);
}

TEST(killed_with_a_record_and_no_file)
{
        char *a = own_name("a");
        struct program p = begin_program();

        ASK_OK(&p, "start spawn"); /* the tracker was born before the plan was made */
        die_at(&p, "names.publish.recorded", "create", a, 0);
        check_last_words(&p, "");
        CHECK(!name_exists(a));
        free(a);
}

TEST(killed_with_a_record_and_a_file)
{
        char *a = own_name("a");
        struct program p = begin_program();

        ASK_OK(&p, "start spawn");
        die_at(&p, "names.publish.linked", "create", a, 0);
        check_told(&p, 1, a, NULL);
        CHECK(!name_exists(a));
        free(a);
}

/* The lock on the table went with the process: a sibling goes on, and the next tracker knows the rest. */
TEST(killed_inside_the_table_a_sibling_goes_on)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program();
        pid_t child = (pid_t)ASK_NUMBER(&p, "child spawn %s", b);

        CHECK(child > 0);
        die_at(&p, "names.publish.recorded", "create", a, child);
        CHECK(process_exists(child));
        CHECK(name_exists(b) && !name_exists(a));
        CHECK(kill(child, SIGKILL) == 0);
        check_told(&p, 1, b, NULL);
        free(a);
        free(b);
}

/* Its starter gone, the tracker is born all the same, finds the program over, and ends. */
TEST(killed_while_the_tracker_starts)
{
        char *a = own_name("a");
        struct program p = begin_program();

        die_at(&p, "tracker.start.spawned", "create", a, 0);
        check_last_words(&p, "");
        CHECK(!name_exists(a));
        free(a);
}

TEST(killed_while_the_next_tracker_starts)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program p = begin_program();
        pid_t child = (pid_t)ASK_NUMBER(&p, "child spawn %s", b);
        long inode = ASK_NUMBER(&p, "beacon");
        pid_t pid;

        CHECK(child > 0);
        kill_and_wait(tracker_of(&p));
        die_at(&p, "tracker.start.spawned", "create", a, child);
        WAIT_UNTIL(find_trackers(inode, &pid) == 1, 10000);
        CHECK(kill(child, SIGKILL) == 0);
        check_told(&p, 1, b, NULL);
        free(a);
        free(b);
}

TEST(killed_after_unlinking)
{
        char *a = own_name("a");
        struct program p = begin_program();

        ASK_OK(&p, "create %s", a);
        die_at(&p, "names.unlink.removed", "unlink", a, 0);
        check_last_words(&p, "");
        CHECK(!name_exists(a));
        free(a);
}

/* What a tracker that dies in the middle of its work leaves is the next program's work. */
TEST(a_tracker_killed_while_it_removes)
{
        char *a = own_name("a");
        struct program p = begin_program(), next = begin_program();
        long inode;

        ASK_OK(&p, "point tracker.swept=kill"); /* the tracker inherits it */
        ASK_OK(&p, "create %s", a);
        inode = ASK_NUMBER(&p, "beacon");
        end_program(&p);
        free(last_words(&p));
        ASK_OK(&next, "create %s-next", a);
        WAIT_UNTIL(!name_exists(a) && !beacon_has_name(inode), 10000);
        ASK_OK(&next, "unlink %s-next", a);
        end_program(&next);
        free(last_words(&next));
        free(a);
}

TEST(a_program_killed_while_it_clears_up)
{
        char *a = own_name("a"), *b = own_name("b");
        struct program next = begin_program(), last = begin_program();
        char *text = text_format("create %s\nend\n", a);

        leave_names("spawn", a, b);
        ASK_OK(&next, "point names.sweep.swept=kill");
        write_all(next.in, text, strlen(text));
        (void)wait_program(next.pid, 30000); /* killed, unless another program was faster, or there are no points */
        free(last_words(&next));
        free(text);
        ASK_OK(&last, "create %s", a);
        WAIT_UNTIL(!name_exists(b), 10000);
        ASK_OK(&last, "unlink %s", a);
        end_program(&last);
        check_last_words(&last, "");
        free(a);
        free(b);
}
