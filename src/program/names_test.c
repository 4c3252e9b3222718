/* SPDX-License-Identifier: MIT */
/*
 * program/names_test.c - named objects and the beacon's table, seen from inside.
 *
 * What users can see of it is tested in tests/names_test.c and tests/tracker_test.c;
 * here are the states that no public call can make: records without files, files
 * of strangers in our place, garbage, full and missing file systems.
 */
#include "support/runner.h"

#include "platform/platform.h"
#include "program/table.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEM MPROC__NAME_SEMAPHORE

/* This program becomes its own tracker when it is executed for that: mproc_init must come out of the archive. */
__attribute__((used)) static void (*const init)(int, char **) = mproc_init;

/* A name that no other test process uses; static storage, four at a time. */
static const char *
name(const char *part)
{
        static char names[4][64];
        static unsigned next;
        char *text = names[next++ % 4];

        (void)snprintf(text, sizeof *names, "/names-test-%d-%s", (int)getpid(), part);
        return text;
}

static const char *
path_of(const char *object)
{
        static char paths[4][MPROC__NAMED_PATH_MAX];
        static unsigned next;
        char *path = paths[next++ % 4];

        mproc__named_path(SEM, object, path);
        return path;
}

static bool
exists(const char *object)
{
        return access(path_of(object), F_OK) == 0;
}

static int
publish(const char *object)
{
        int fd = -1, r;

        CHECK_OK(mproc__named_prepare(SEM, 4096, &fd));
        r = mproc__named_publish(SEM, object, fd);
        close(fd);
        return r;
}

static int
beacon(void)
{
        int fd = -1;

        CHECK_OK(mproc__program_beacon(&fd));
        return fd;
}

static off_t
beacon_size(void)
{
        struct stat st;

        CHECK(fstat(beacon(), &st) == 0);
        return st.st_size;
}

static int
used_records(void)
{
        char record[256];
        int used = 0;

        for (off_t at = MPROC__BEACON_NAMES_AT; pread(beacon(), record, sizeof record, at) == (ssize_t)sizeof record;
             at += (off_t)sizeof record)
                used += record[0] != 0;
        return used;
}

static struct mproc__named_header
header_of(const char *object)
{
        struct mproc__named_header header;

        CHECK_OK(mproc__named_look(SEM, object, &header));
        return header;
}

/* A complete object that a program which does not exist has made, in the place of that name. */
static struct mproc__named_header
put_strangers_object(const char *object)
{
        struct mproc__named_header header = {
                .magic = MPROC__NAMED_MAGIC, .version = MPROC__NAMED_VERSION, .kind = SEM, .size_bytes = sizeof header
        };
        int fd = open(path_of(object), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK_OK(mproc__plat_random(&header.program, sizeof header.program));
        CHECK_OK(mproc__plat_random(&header.object, sizeof header.object));
        write_all(fd, &header, sizeof header);
        close(fd);
        return header;
}

/* --- names --------------------------------------------------------------------------------------- */

TEST(a_name_has_one_slash_and_1_to_200_bytes_more)
{
        char text[MPROC__NAME_MAX + 2];

        CHECK_CODE(mproc__name_check(NULL), -EINVAL);
        CHECK_CODE(mproc__name_check(""), -EINVAL);
        CHECK_CODE(mproc__name_check("jobs"), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "\"jobs\" does not begin with '/'");
        CHECK_CODE(mproc__name_check("/"), -EINVAL);
        CHECK_CODE(mproc__name_check("/a/b"), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "second '/'");
        CHECK_CODE(mproc__name_check("//"), -EINVAL);
        CHECK_OK(mproc__name_check("/a"));
        CHECK_OK(mproc__name_check("/.."));
        memset(text, 'x', sizeof text);
        text[0] = '/';
        text[MPROC__NAME_MAX] = 0;
        CHECK_OK(mproc__name_check(text));
        text[MPROC__NAME_MAX] = 'x';
        text[MPROC__NAME_MAX + 1] = 0;
        CHECK_CODE(mproc__name_check(text), -EINVAL);
        CHECK_CONTAINS(mproc_last_error(), "too long");
}

TEST(the_longest_name_can_be_published)
{
        char text[MPROC__NAME_MAX + 1];
        int fd;
        size_t len;

        (void)snprintf(text, sizeof text, "%s", name("long"));
        memset(text + strlen(text), 'x', sizeof text - 1 - strlen(text));
        text[sizeof text - 1] = 0;
        CHECK_OK(publish(text));
        CHECK_OK(mproc__named_open(SEM, text, &fd, &len));
        close(fd);
        CHECK_OK(mproc__named_unlink(SEM, text));
        CHECK_INT(used_records(), 0);
}

/* --- files --------------------------------------------------------------------------------------- */

TEST(a_file_is_private_and_whole_whatever_the_umask)
{
        struct stat st;
        size_t len = 0;
        int fd;

        umask(0777);
        CHECK_OK(publish(name("a")));
        CHECK(stat(path_of(name("a")), &st) == 0);
        CHECK_INT(st.st_mode & 07777, 0600);
        CHECK_INT(st.st_size, 4096);
        CHECK_INT(st.st_blocks * 512, 4096); /* its memory is claimed */
        CHECK_OK(mproc__named_open(SEM, name("a"), &fd, &len));
        CHECK_INT(len, 4096);
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
        CHECK_OK(mproc__named_unlink(SEM, name("a")));
}

TEST(what_is_not_an_object_is_refused_with_words)
{
        const char *object = name("odd");
        const char *path = path_of(object);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t len = 7;
        int fd = -7, s;

        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), -ENOENT);
        CHECK_CONTAINS(mproc_last_error(), object);

        CHECK(symlink("/etc/passwd", path) == 0);
        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), MPROC_ECORRUPT);
        CHECK_CODE(mproc__named_unlink(SEM, object), MPROC_ECORRUPT);
        CHECK_CODE(publish(object), -EEXIST);
        CHECK_CONTAINS(mproc_last_error(), "not a semaphore of mproc");
        CHECK(unlink(path) == 0);

        CHECK(mkfifo(path, 0600) == 0);
        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), MPROC_ECORRUPT);
        CHECK_CODE(mproc__named_unlink(SEM, object), MPROC_ECORRUPT);
        CHECK(unlink(path) == 0);

        CHECK(mkdir(path, 0700) == 0);
        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), MPROC_ECORRUPT);
        CHECK_CODE(mproc__named_unlink(SEM, object), MPROC_ECORRUPT);
        CHECK(rmdir(path) == 0);

        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(s >= 0 && bind(s, (struct sockaddr *)&address, sizeof address) == 0);
        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), MPROC_ECORRUPT);
        CHECK(unlink(path) == 0);
        close(s);

        write_file(path, "not much");
        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), MPROC_ECORRUPT);
        CHECK_CONTAINS(mproc_last_error(), "remove it by hand");
        CHECK_CODE(mproc__named_unlink(SEM, object), MPROC_ECORRUPT);
        CHECK_CODE(publish(object), -EEXIST);
        CHECK(unlink(path) == 0);

        CHECK_INT(fd, -7);
        CHECK_INT(len, 7);
        CHECK_INT(used_records(), 0);
}

/* Each field of the header, one after the other, spoiled. */
TEST(a_spoiled_header_is_refused)
{
        static const off_t spoil_at[] = { 0, 7, 8, 12, 48, 55 }; /* magic, version, kind, size */
        const char *object = name("spoiled");
        size_t len;
        int fd;

        for (size_t i = 0; i < sizeof spoil_at / sizeof *spoil_at; i++) {
                char byte = 0x5a;

                (void)put_strangers_object(object);
                fd = open(path_of(object), O_RDWR | O_CLOEXEC);
                CHECK(fd >= 0 && pwrite(fd, &byte, 1, spoil_at[i]) == 1);
                close(fd);
                CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), MPROC_ECORRUPT);
                CHECK(unlink(path_of(object)) == 0);
        }
        (void)put_strangers_object(object);
        CHECK(truncate(path_of(object), 4096) == 0); /* another size than the header tells */
        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), MPROC_ECORRUPT);
        CHECK(unlink(path_of(object)) == 0);
}

TEST(another_users_object_is_refused_and_stays)
{
        const char *object = name("theirs");
        size_t len;
        int fd;

        if (geteuid() != 0)
                SKIP("only root can make another user's file");
        (void)put_strangers_object(object);
        CHECK(chown(path_of(object), 12345, 12345) == 0);
        CHECK_CODE(mproc__named_open(SEM, object, &fd, &len), -EACCES);
        CHECK_CONTAINS(mproc_last_error(), "another user");
        CHECK_CODE(mproc__named_unlink(SEM, object), -EACCES);
        CHECK_CODE(publish(object), -EEXIST);
        CHECK(exists(object));
        CHECK(unlink(path_of(object)) == 0);
}

/* --- the table ----------------------------------------------------------------------------------- */

TEST(a_taken_name_is_told_and_leaves_no_record)
{
        CHECK_OK(publish(name("a")));
        CHECK_CODE(publish(name("a")), -EEXIST);
        CHECK_CONTAINS(mproc_last_error(), "exists already");
        CHECK_INT(used_records(), 1);
        CHECK_OK(mproc__named_unlink(SEM, name("a")));
        CHECK_INT(used_records(), 0);
        CHECK_CODE(mproc__named_unlink(SEM, name("a")), -ENOENT);
}

TEST(records_are_used_again)
{
        off_t size;

        CHECK_OK(publish(name("first")));
        size = beacon_size();
        for (int i = 0; i < 300; i++) {
                CHECK_OK(publish(name("a")));
                CHECK_OK(mproc__named_unlink(SEM, name("a")));
        }
        CHECK(beacon_size() <= size + 256);
        CHECK_OK(mproc__named_unlink(SEM, name("first")));
}

/* As if consumers, other programs, unlinked what this one creates. */
TEST(records_of_what_others_unlinked_do_not_pile_up)
{
        char text[80];

        for (int i = 0; i < 1000; i++) {
                (void)snprintf(text, sizeof text, "%s%d", name("job"), i);
                CHECK_OK(publish(text));
                CHECK(unlink(path_of(text)) == 0);
        }
        CHECK(used_records() <= 64);
        CHECK(beacon_size() <= MPROC__BEACON_NAMES_AT + 64 * 256);
}

TEST(living_names_survive_the_search_for_room)
{
        char text[80];
        char removed[4096];

        for (int i = 0; i < 200; i++) { /* every second one is unlinked by somebody else */
                (void)snprintf(text, sizeof text, "%s%d", name("job"), i);
                CHECK_OK(publish(text));
                if (i % 2)
                        CHECK(unlink(path_of(text)) == 0);
        }
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 100);
        CHECK_INT(used_records(), 0);
        for (int i = 0; i < 200; i++) {
                (void)snprintf(text, sizeof text, "%s%d", name("job"), i);
                CHECK(!exists(text));
        }
}

/* --- sweeping ------------------------------------------------------------------------------------ */

TEST(a_sweep_removes_what_is_recorded_and_names_it)
{
        char removed[256];
        char *wanted = text_format("%s %s", name("a"), name("b"));

        CHECK_OK(publish(name("a")));
        CHECK_OK(publish(name("b")));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 2);
        CHECK_STR(removed, wanted);
        CHECK(!exists(name("a")) && !exists(name("b")));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 0);
        CHECK_STR(removed, "");
        free(wanted);
}

TEST(a_list_that_is_cut_says_so)
{
        char removed[64];

        for (char c[] = "a"; c[0] < 'f'; c[0]++)
                CHECK_OK(publish(name(c)));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 5);
        CHECK_STR(removed + strlen(removed) - 4, " ...");
        CHECK_OK(publish(name("a")));
        CHECK_INT(mproc__names_sweep(beacon(), removed, 3), 1);
        CHECK_STR(removed, "");
}

TEST(bytes_that_terminals_obey_are_not_shown)
{
        char removed[256], object[64];

        (void)snprintf(object, sizeof object, "%s\033[2J\n\177", name("x"));
        CHECK_OK(publish(object));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 1);
        CHECK_CONTAINS(removed, "x?[2J??");
}

/* A process that died between record and link has left this. */
TEST(a_record_without_a_file_does_nothing)
{
        struct mproc__object_id id = { { 1, 2, 3 } };
        char removed[256];
        off_t at;

        CHECK_OK(mproc__table_add(beacon(), SEM, name("ghost"), &id, &at));
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 0);
        CHECK_STR(removed, "");
        CHECK_INT(used_records(), 0);
}

TEST(a_strangers_object_of_the_same_name_stays)
{
        struct mproc__object_id id = { { 1, 2, 3 } };
        char removed[256];
        off_t at;

        CHECK_OK(publish(name("a")));
        CHECK(unlink(path_of(name("a"))) == 0);
        (void)put_strangers_object(name("a")); /* another file by now */
        (void)put_strangers_object(name("b"));
        CHECK_OK(mproc__table_add(beacon(), SEM, name("b"), &id, &at)); /* died before its link */
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 0);
        CHECK(exists(name("a")) && exists(name("b")));
        CHECK(unlink(path_of(name("a"))) == 0 && unlink(path_of(name("b"))) == 0);
}

/* The other half: both identities have to be right. */
TEST(an_older_object_of_the_same_program_is_told_from_a_newer)
{
        struct mproc__program_id program;
        struct mproc__named_header old, new;

        CHECK_OK(mproc__program_identity(&program));
        CHECK_OK(publish(name("a")));
        old = header_of(name("a"));
        CHECK_OK(mproc__named_unlink(SEM, name("a")));
        CHECK_OK(publish(name("a")));
        new = header_of(name("a"));
        CHECK_INT(mproc__named_remove(SEM, name("a"), &program, &old.object), 0);
        CHECK(exists(name("a")));
        CHECK_INT(mproc__named_remove(SEM, name("a"), &program, &new.object), 1);
        CHECK(!exists(name("a")));
}

TEST(garbage_in_the_table_is_not_followed)
{
        unsigned char record[256];
        char removed[256];

        CHECK_OK(publish(name("a")));
        for (unsigned round = 0; round < 64; round++) {
                CHECK_OK(mproc__plat_random(record, sizeof record));
                record[0] = 1;
                record[1] = record[2] = record[3] = 0;
                record[4] = 1;
                record[5] = record[6] = record[7] = 0;
                if (round % 2)
                        memcpy(record + 24, "/../../tmp/x", 13);
                else
                        memset(record + 24, 'x', 232);
                CHECK(pwrite(beacon(), record, sizeof record, MPROC__BEACON_NAMES_AT + 256 * (off_t)(round + 1)) ==
                      (ssize_t)sizeof record);
        }
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 1);
        CHECK_INT(used_records(), 0);
}

/* --- locks --------------------------------------------------------------------------------------- */

static short
lock_seen_by_another_process(off_t byte)
{
        int status;
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

                _exit(fcntl(beacon(), F_GETLK, &lock) == 0 ? lock.l_type : 99);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        return (short)WEXITSTATUS(status);
}

/* A process's slot is such a lock, and closing the wrong descriptor anywhere would drop it. */
TEST(locks_of_the_process_survive_all_that_names_do)
{
        struct flock lock = {
                .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = MPROC__BEACON_SLOTS_AT, .l_len = 1
        };
        char removed[256];
        size_t len;
        int fd;

        CHECK(fcntl(beacon(), F_SETLK, &lock) == 0);
        CHECK_OK(publish(name("a")));
        CHECK_CODE(publish(name("a")), -EEXIST);
        CHECK_OK(mproc__named_open(SEM, name("a"), &fd, &len));
        close(fd);
        CHECK_OK(mproc__named_unlink(SEM, name("a")));
        CHECK_OK(publish(name("a")));
        (void)mproc__names_sweep_dead_programs(); /* passes by our own beacon, which has a name now */
        CHECK_INT(mproc__names_sweep(beacon(), removed, sizeof removed), 1);
        CHECK_INT(lock_seen_by_another_process(MPROC__BEACON_SLOTS_AT), F_WRLCK);
        CHECK_INT(lock_seen_by_another_process(MPROC__BEACON_NAMES_BYTE), F_UNLCK);
        CHECK_INT(lock_seen_by_another_process(MPROC__BEACON_START_BYTE), F_UNLCK);
}

TEST(a_closed_beacon_is_noticed_and_the_new_file_there_stays_as_it_is)
{
        int fd = beacon(), file, other = -7;
        char *path = path_in(temp_dir(), "precious");

        close(fd);
        CHECK_CODE(mproc__program_beacon(&other), MPROC_EPROGRAM);
        write_file(path, "precious");
        file = open(path, O_RDWR | O_CLOEXEC);
        CHECK_INT(file, fd);
        CHECK_CODE(mproc__program_beacon(&other), MPROC_EPROGRAM);
        CHECK_CONTAINS(mproc_last_error(), "was closed by other code");
        CHECK_CODE(publish(name("a")), MPROC_EPROGRAM);
        CHECK_INT(other, -7);
        CHECK_INT(lseek(file, 0, SEEK_END), 8);
        close(file);
        free(path);
}

/* --- states of programs -------------------------------------------------------------------------- */

static enum mproc__program_state
state_of(int fd)
{
        return mproc__beacon_state(fd);
}

/* The description decides, not the process: the lock goes with the last copy of the descriptor. */
TEST(a_program_lives_as_long_as_anybody_has_its_description)
{
        struct mproc__program_id id;
        int first = mproc__shm_unnamed(), second, stranger, sweeper, pair[2];
        pid_t pid;

        CHECK(first >= 0);
        CHECK_OK(mproc__beacon_init(first, &id));
        CHECK_OK(mproc__beacon_reopen(first, &stranger));
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_ALIVE);
        CHECK_CODE(mproc__beacon_claim_end(stranger, false), -EAGAIN);

        second = dup(first);
        close(first);
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_ALIVE);

        CHECK(pipe2(pair, O_CLOEXEC) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                char byte;

                close(pair[1]);
                (void)!read(pair[0], &byte, 1);
                _exit(0);
        }
        close(pair[0]);
        close(second);
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_ALIVE); /* the child has it */
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_DEAD);

        CHECK_OK(mproc__beacon_reopen(stranger, &sweeper));
        CHECK_OK(mproc__beacon_claim_end(sweeper, false));
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_ENDING);
        CHECK_CODE(mproc__beacon_claim_end(stranger, false), -EAGAIN);
        mproc__beacon_release(&sweeper);
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_DEAD);
        CHECK_OK(mproc__beacon_reopen(stranger, &sweeper));
        CHECK_OK(mproc__beacon_claim_tracker(sweeper));
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_ENDING);
        close(sweeper);
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_DEAD);
        close(stranger);
        close(pair[1]);
}

/* A child that another thread forks in the middle of a sweep must not keep the claim alive. */
TEST(a_claim_ends_although_a_forked_child_has_the_description)
{
        struct mproc__program_id id;
        int first = mproc__shm_unnamed(), sweeper, stranger, pair[2];
        char byte;
        pid_t pid;

        CHECK_OK(mproc__beacon_init(first, &id));
        CHECK_OK(mproc__beacon_reopen(first, &stranger));
        CHECK_OK(mproc__beacon_reopen(first, &sweeper));
        close(first);
        CHECK_OK(mproc__beacon_claim_end(sweeper, false));
        CHECK(pipe2(pair, O_CLOEXEC) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                close(pair[1]);
                (void)!read(pair[0], &byte, 1);
                _exit(0);
        }
        mproc__beacon_release(&sweeper);
        CHECK_INT(state_of(stranger), MPROC__PROGRAM_DEAD);
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        close(stranger);
        close(pair[0]);
        close(pair[1]);
}

/* Give a dead program's beacon a name, with one object in it. */
static struct mproc__program_id
make_dead_program(const char *object, char ret_path[MPROC__BEACON_PATH_MAX])
{
        struct mproc__named_header header = put_strangers_object(object);
        char link_path[40];
        struct mproc__program_id id;
        int fd = mproc__shm_unnamed(), file;
        off_t at;

        CHECK(fd >= 0);
        CHECK_OK(mproc__beacon_init(fd, &id));
        header.program = id;
        file = open(path_of(object), O_RDWR | O_CLOEXEC);
        CHECK(file >= 0 && pwrite(file, &header, sizeof header, 0) == (ssize_t)sizeof header);
        close(file);
        CHECK_OK(mproc__table_add(fd, SEM, object, &header.object, &at));
        mproc__beacon_path(geteuid(), &id, ret_path);
        (void)snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fd);
        CHECK(linkat(AT_FDCWD, link_path, AT_FDCWD, ret_path, AT_SYMLINK_FOLLOW) == 0);
        close(fd);
        return id;
}

TEST(a_dead_program_without_tracker_is_cleared)
{
        char path[MPROC__BEACON_PATH_MAX];

        (void)make_dead_program(name("dead"), path);
        (void)mproc__names_sweep_dead_programs(); /* or somebody else's sweep, meanwhile */
        CHECK(!exists(name("dead")));
        CHECK(access(path, F_OK) != 0);
}

TEST(a_dead_program_gives_its_name_to_who_wants_it)
{
        char path[MPROC__BEACON_PATH_MAX];

        CHECK_OK(publish(name("first"))); /* the sweep that goes with the first name is over */
        (void)make_dead_program(name("dead"), path);
        CHECK_OK(publish(name("dead")));
        CHECK_OK(mproc__named_unlink(SEM, name("dead")));
        CHECK_OK(mproc__named_unlink(SEM, name("first")));
        CHECK(access(path, F_OK) != 0);
}

/* Nobody's beacon tells of it, so it is nobody's to remove; by hand it can be. */
TEST(an_object_of_no_program_keeps_its_name_until_it_is_unlinked)
{
        (void)put_strangers_object(name("lost"));
        CHECK_CODE(publish(name("lost")), -EEXIST);
        CHECK_OK(mproc__named_unlink(SEM, name("lost")));
        CHECK_OK(publish(name("lost")));
        CHECK_OK(mproc__named_unlink(SEM, name("lost")));
}

TEST(things_that_only_look_like_beacons_are_left_alone)
{
        struct mproc__program_id id;
        char path[3][MPROC__BEACON_PATH_MAX];

        for (int i = 0; i < 3; i++) {
                CHECK_OK(mproc__plat_random(&id, sizeof id));
                mproc__beacon_path(geteuid(), &id, path[i]);
        }
        write_file(path[0], "no beacon");
        CHECK(mkfifo(path[1], 0600) == 0);
        CHECK(symlink("/etc/passwd", path[2]) == 0);
        (void)mproc__names_sweep_dead_programs();
        for (int i = 0; i < 3; i++)
                CHECK(unlink(path[i]) == 0);
}

/* --- many at once -------------------------------------------------------------------------------- */

#define RACERS 4
#define ROUNDS 300

/*
 * Each creates the same name as often as it gets it, and removes it again; in
 * between all try to remove objects that have long been gone from under that
 * name.  If a remover ever hit what it did not mean, a creator would miss it.
 */
static void
race(const char *object)
{
        struct mproc__program_id program;
        struct mproc__object_id old = { { 0 } };

        CHECK_OK(mproc__program_identity(&program));
        for (int won = 0; won < ROUNDS;) {
                struct mproc__named_header mine, found;
                int fd = -1, r;

                CHECK_OK(mproc__named_prepare(SEM, 4096, &fd));
                CHECK_OK(mproc__named_header_read(fd, &mine));
                r = mproc__named_publish(SEM, object, fd);
                close(fd);
                CHECK_INT(mproc__named_remove(SEM, object, &program, &old), 0);
                if (r == -EEXIST)
                        continue;
                CHECK_OK(r);
                CHECK_OK(mproc__named_look(SEM, object, &found));
                CHECK_MEM(&found.object, &mine.object, sizeof mine.object);
                CHECK_OK(mproc__named_unlink(SEM, object));
                old = mine.object;
                won++;
        }
}

static void *
race_thread(void *object)
{
        race(object);
        return NULL;
}

TEST(removers_and_creators_do_not_hurt_each_other_as_processes)
{
        pid_t pids[RACERS];
        char object[64];

        (void)snprintf(object, sizeof object, "%s", name("race"));
        (void)beacon();
        for (int i = 0; i < RACERS; i++) {
                pids[i] = fork();
                CHECK(pids[i] >= 0);
                if (pids[i] == 0) {
                        race(object);
                        _exit(0);
                }
        }
        for (int i = 0; i < RACERS; i++)
                CHECK_INT(wait_program(pids[i], 60000), 0);
        CHECK_INT(used_records(), 0);
        CHECK(!exists(object));
}

TEST(removers_and_creators_do_not_hurt_each_other_as_threads)
{
        pthread_t threads[RACERS];
        char object[64];

        (void)snprintf(object, sizeof object, "%s", name("race"));
        for (int i = 0; i < RACERS; i++)
                CHECK(pthread_create(&threads[i], NULL, race_thread, object) == 0);
        for (int i = 0; i < RACERS; i++)
                CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_INT(used_records(), 0);
        CHECK(!exists(object));
}

/* --- surroundings -------------------------------------------------------------------------------- */

/* This process gets a /dev/shm of its own. */
static void
mount_shm(unsigned long flags, const char *options)
{
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", MPROC__SHM_DIR, "tmpfs", flags, options) != 0)
                SKIP("cannot mount a /dev/shm of this test's own: %s", strerror(errno));
}

TEST(without_dev_shm_a_program_lives_but_names_are_refused)
{
        struct mproc__program_id id;
        int fd = -1;

        mount_shm(MS_RDONLY, NULL);
        CHECK(beacon() >= 0);
        CHECK_OK(mproc__program_identity(&id));
        CHECK_CODE(mproc__named_prepare(SEM, 4096, &fd), -EROFS);
        CHECK_CONTAINS(mproc_last_error(), "/dev/shm");
        CHECK_INT(fd, -1);
        CHECK_CODE(mproc__program_name_beacon(), MPROC_EPROGRAM);
        CHECK_CONTAINS(mproc_last_error(), "named objects need /dev/shm");
}

TEST(a_full_dev_shm_is_an_error_and_not_a_bus_error)
{
        int fd = -1;

        mount_shm(0, "size=64k");
        CHECK(beacon() >= 0);
        CHECK_CODE(mproc__named_prepare(SEM, 1 << 20, &fd), -ENOSPC);
        CHECK_CONTAINS(mproc_last_error(), "no room for 1048576 bytes");
        CHECK_INT(fd, -1);
        CHECK_OK(publish(name("small")));
        CHECK_OK(mproc__named_unlink(SEM, name("small")));
}

TEST(running_out_of_descriptors_leaves_nothing_behind)
{
        struct rlimit limit, old;
        int fd = -1, used;

        CHECK_OK(publish(name("warm"))); /* beacon and tracker are there */
        CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
        used = count_fds();
        for (int room = 0; room < 3; room++) {
                int r;

                limit = old;
                limit.rlim_cur = (rlim_t)(used + room);
                CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
                r = mproc__named_prepare(SEM, 4096, &fd);
                if (r == 0) {
                        r = mproc__named_publish(SEM, name("a"), fd);
                        close(fd);
                }
                CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
                if (r == 0)
                        CHECK_OK(mproc__named_unlink(SEM, name("a")));
                else
                        CHECK_CODE(r, -EMFILE);
                CHECK_INT(used_records(), 1);
        }
        CHECK_OK(mproc__named_unlink(SEM, name("warm")));
}
