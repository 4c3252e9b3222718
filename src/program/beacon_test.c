/* SPDX-License-Identifier: MIT */
/*
 * program/beacon_test.c - whose locks are whose, and which programs live.
 */
#include "named_help.h"
#include "platform/store.h"

#include <signal.h>
#include <sys/wait.h>

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
        (void)mproc__names_sweep_dead_programs(NULL); /* passes by our own beacon, which has a name now */
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

        if (portable_build()) {
                mproc__store_discard(first);
                SKIP("a process does not see its own record locks");
        }
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
        if (!portable_build()) /* it has its name from birth there */
                CHECK(linkat(AT_FDCWD, link_path, AT_FDCWD, ret_path, AT_SYMLINK_FOLLOW) == 0);
        close(fd);
        return id;
}

TEST(a_dead_program_without_tracker_is_cleared)
{
        char path[MPROC__BEACON_PATH_MAX];

        (void)make_dead_program(name("dead"), path);
        (void)mproc__names_sweep_dead_programs(NULL); /* or somebody else's sweep, meanwhile */
        WAIT_UNTIL(!exists(name("dead")) && access(path, F_OK) != 0, 10000);
}

TEST(a_dead_program_gives_its_name_to_who_wants_it)
{
        char path[MPROC__BEACON_PATH_MAX];

        CHECK_OK(publish(name("first"))); /* the sweep that goes with the first name is over */
        (void)make_dead_program(name("dead"), path);
        CHECK_OK(publish(name("dead")));
        CHECK_OK(mproc__named_unlink(SEM, name("dead")));
        CHECK_OK(mproc__named_unlink(SEM, name("first")));
        WAIT_UNTIL(access(path, F_OK) != 0, 10000); /* another test's program may be the one who does it */
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
        (void)mproc__names_sweep_dead_programs(NULL);
        for (int i = 0; i < 3; i++)
                CHECK(unlink(path[i]) == 0);
}
