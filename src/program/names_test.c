/* SPDX-License-Identifier: MIT */
/*
 * program/names_test.c - names and files of named objects, seen from inside.
 *
 * What users can see of it is tested in tests/names_test.c and tests/tracker_test.c;
 * here are the states that no public call can make: files of strangers in our
 * place, spoiled headers, full and missing file systems; and creators
 * and removers racing.
 */
#include "named_help.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

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
        CHECK_OK(publish(
                object)); /* the tracker is started by a process with one thread, for ThreadSanitizer's sake */
        CHECK_OK(mproc__named_unlink(SEM, object));
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

        if (portable_build())
                SKIP("without /dev/shm there is no memory without a name either");
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
