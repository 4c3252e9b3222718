/* SPDX-License-Identifier: MIT */
/*
 * platform/portable/store.c - makeshift names, flock(2), and record locks.
 *
 * Runs in: every process.  Owns: the list of files of this process that have no
 * name of their own yet, and what is to be removed at its exit.
 *
 * POSIX has no files without a name that can get one.  So a file is made under a random
 * name, which the process remembers by the file's inode until the real name is linked.
 */
#include "platform/store.h"
#include "platform/platform.h"
#include "platform/portable/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STALE_S 600

struct nameless {
        struct nameless *next;
        dev_t dev;
        ino_t ino;
        char path[]; /* the makeshift name */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct nameless *list; /* under the mutex */

static struct {
        pid_t pid; /* 0: nothing */
        int fd;
        off_t size_max;
        char path[256];
} at_exit;

int
mproc__temporary_name(const char *directory, char *ret_path, size_t size)
{
        uint64_t random;
        int n, r = mproc__plat_random(&random, sizeof random);

        if (r < 0)
                return r;
        n = snprintf(ret_path, size, "%s/" MPROC__TEMPORARY_FORMAT "%016llx", directory, (unsigned long)geteuid(),
                     (unsigned long long)random);
        return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* Nobody forks in the middle: the list is the child's, too, whole, and its mutex free. */
static void
before_fork(void)
{
        (void)pthread_mutex_lock(&mutex);
}

static void
after_fork(void)
{
        (void)pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void
register_handlers(void)
{
        (void)pthread_atfork(before_fork, after_fork, after_fork);
}

static int
remember(int fd, const char *path)
{
        size_t len = strlen(path) + 1;
        struct nameless *file = malloc(sizeof *file + len);
        struct stat st;

        if (!file)
                return -ENOMEM;
        if (fstat(fd, &st) != 0) {
                int r = -errno;

                free(file);
                return r;
        }
        file->dev = st.st_dev;
        file->ino = st.st_ino;
        memcpy(file->path, path, len);
        (void)pthread_mutex_lock(&mutex);
        file->next = list;
        list = file;
        (void)pthread_mutex_unlock(&mutex);
        return 0;
}

/* Take the file out of the list; free() what it was. */
static struct nameless *
recall(int fd)
{
        struct nameless **link, *found = NULL;
        struct stat st;

        if (fstat(fd, &st) != 0)
                return NULL;
        (void)pthread_mutex_lock(&mutex);
        for (link = &list; *link && !found;) {
                if ((*link)->dev == st.st_dev && (*link)->ino == st.st_ino) {
                        found = *link;
                        *link = found->next;
                } else {
                        link = &(*link)->next;
                }
        }
        (void)pthread_mutex_unlock(&mutex);
        return found;
}

int
mproc__store_unnamed(const char *directory)
{
        char path[256];
        int fd, r;

        do {
                if ((r = mproc__temporary_name(directory, path, sizeof path)) < 0)
                        return r;
                fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        } while (fd < 0 && errno == EEXIST);
        if (fd < 0)
                return -errno;
        if ((fd = mproc__plat_off_streams(fd)) < 0 || (r = remember(fd, path)) < 0) {
                r = fd < 0 ? fd : r;
                (void)unlink(path);
                mproc__plat_close(&fd);
                return r;
        }
        (void)fchmod(fd, 0600); /* the umask may have taken away more than it should */
        return fd;
}

/* The entry goes back if it was not to be: the caller may try another name. */
int
mproc__store_name(int fd, const char *path)
{
        struct nameless *file = recall(fd);
        int r;

        if (!file)
                return -ENOENT;
        r = link(file->path, path) == 0 ? 0 : -errno;
        if (r == 0) {
                (void)unlink(file->path);
                free(file);
        } else {
                (void)pthread_mutex_lock(&mutex);
                file->next = list;
                list = file;
                (void)pthread_mutex_unlock(&mutex);
        }
        return r;
}

void
mproc__store_discard(int fd)
{
        int saved = errno;
        struct nameless *file = recall(fd);

        if (file)
                (void)unlink(file->path);
        free(file);
        errno = saved;
}

bool
mproc__store_names_later(void)
{
        return false;
}

int
mproc__store_reopen(int fd, const char *path, int *ret_fd)
{
        struct stat a, b;
        int copy = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC), r;

        if (copy < 0)
                return -errno;
        if (fstat(fd, &a) != 0 || fstat(copy, &b) != 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) {
                r = -ENOENT; /* somebody has put another one there */
                mproc__plat_close(&copy);
                return r;
        }
        if ((copy = mproc__plat_off_streams(copy)) < 0)
                return copy;
        *ret_fd = copy;
        return 0;
}

/*
 * Removing a makeshift name that is still wanted would cost its owner an error, and who was
 * stopped for ten minutes between two calls of the system may get that.
 */
void
mproc__store_sweep(const char *directory)
{
        char prefix[64], path[512];
        struct dirent *entry;
        DIR *dir = opendir(directory);
        time_t now = time(NULL);
        struct stat st;

        (void)snprintf(prefix, sizeof prefix, MPROC__TEMPORARY_FORMAT, (unsigned long)geteuid());
        while (dir && (entry = readdir(dir))) {
                if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
                        continue;
                (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
                if (lstat(path, &st) == 0 && st.st_uid == geteuid() && now - st.st_mtime > STALE_S)
                        (void)unlink(path);
        }
        if (dir)
                (void)closedir(dir);
}

/* --- at exit -------------------------------------------------------------------------------------- */

void
mproc__store_forget_at_exit(int fd, const char *path, off_t size_max)
{
        if (strlen(path) >= sizeof at_exit.path)
                return;
        (void)strcpy(at_exit.path, path);
        at_exit.fd = fd;
        at_exit.size_max = size_max;
        at_exit.pid = getpid();
}

__attribute__((destructor)) static void
forget(void)
{
        struct stat a, b;

        if (at_exit.pid != getpid() || fstat(at_exit.fd, &a) != 0 || lstat(at_exit.path, &b) != 0 ||
            a.st_dev != b.st_dev || a.st_ino != b.st_ino)
                return; /* a forked child's exit; or somebody has closed or removed it */
        if (a.st_size <= at_exit.size_max)
                (void)unlink(at_exit.path);
}

/* --- who lives -------------------------------------------------------------------------------------- */

/*
 * flock() belongs to the open file description, like the life that it stands for, but it
 * cannot be asked about, only tried for.  So the program holds it exclusively, and who wants to know
 * tries to share it, which any number may do at once, and gives it back.  A claim is two
 * locks: a record lock of the claiming process, which tells of it, then flock().
 *
 * It is only good on systems where the two kinds of lock know nothing of each other.
 */
#define LOOK_RETRIES 20
#define LOOK_NS      500000

static int
hold(int fd, int how)
{
        while (flock(fd, how) != 0)
                if (errno != EINTR)
                        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
        return 0;
}

int
mproc__life_hold(int fd, off_t byte)
{
        (void)byte;
        return hold(fd, LOCK_EX | LOCK_NB);
}

enum mproc__life
mproc__life_look(int fd, off_t byte)
{
        if (mproc__mark_taken(fd, byte))
                return MPROC__LIFE_CLAIMED;
        if (hold(fd, LOCK_SH | LOCK_NB) < 0)
                return MPROC__LIFE_HELD;
        (void)hold(fd, LOCK_UN);
        return MPROC__LIFE_OVER;
}

/* Who only looks is gone again in a moment: an exclusive lock that fails is tried for a few more times. */
static int
claim_now(int fd)
{
        int r;

        for (int i = 0; (r = hold(fd, LOCK_EX | LOCK_NB)) == -EAGAIN && i < LOOK_RETRIES; i++)
                mproc__plat_sleep_ns(LOOK_NS);
        return r;
}

int
mproc__life_claim(int fd, off_t byte, bool wait)
{
        int r;

        if (wait && (r = hold(fd, LOCK_EX)) < 0)
                return r;
        if ((r = mproc__plat_lock_byte(fd, wait ? F_SETLKW : F_SETLK, F_WRLCK, byte)) < 0)
                return r;
        if (!wait && (r = claim_now(fd)) < 0)
                (void)mproc__plat_lock_byte(fd, F_SETLK, F_UNLCK, byte);
        return r;
}

void
mproc__life_release(int fd, off_t byte)
{
        (void)mproc__plat_lock_byte(fd, F_SETLK, F_UNLCK, byte);
        (void)hold(fd, LOCK_UN);
}

int
mproc__mark_take(int fd, off_t byte)
{
        return mproc__plat_lock_byte(fd, F_SETLK, F_WRLCK, byte);
}

bool
mproc__mark_taken(int fd, off_t byte)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        return fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}
