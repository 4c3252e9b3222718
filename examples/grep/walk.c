/* SPDX-License-Identifier: MIT */
/*
 * walk.c - finds the files, sorted by name.
 *
 * Runs in: parent.  Only directories are looked at, not the files in them: that is
 * left to the workers.
 */
#include "grep.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
        struct text path; /* where it is now, with its NUL */
        struct stat out;  /* standard output */
        found_fn *found;
        unreadable_fn *unreadable;
        void *arg;
};

static int
wanted(const struct dirent *entry)
{
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* So the files come in the order of their whole paths, though one directory is read at a time: as if its name ended
 * in "/". */
static int
by_path(const struct dirent **a, const struct dirent **b)
{
        const unsigned char *x = (const unsigned char *)(*a)->d_name, *y = (const unsigned char *)(*b)->d_name;

        while (*x && *x == *y)
                x++, y++;
        return (!*x && (*a)->d_type == DT_DIR ? '/' : *x) - (!*y && (*b)->d_type == DT_DIR ? '/' : *y);
}

/* A file that grows by what is found in it would never end. */
static int
file(struct walk *w, ino_t inode)
{
        struct stat st;

        if (inode == w->out.st_ino && S_ISREG(w->out.st_mode) && stat(w->path.data, &st) == 0 &&
            st.st_dev == w->out.st_dev) {
                fprintf(stderr, "mproc-grep: %s: input file is also the output\n", w->path.data);
                return 0;
        }
        return w->found(w->path.data, w->arg);
}

static int directory(struct walk *w);

/* What stands at w->path, if the directory says what it is; else the system is asked. */
static int
visit(struct walk *w, int type, ino_t inode)
{
        struct stat st;

        if (type == DT_UNKNOWN) {
                if (lstat(w->path.data, &st) < 0) {
                        w->unreadable(w->path.data, errno, w->arg);
                        return 0;
                }
                type = IFTODT(st.st_mode);
        }
        return type == DT_DIR ? directory(w) : type == DT_REG ? file(w, inode) : 0;
}

static int
directory(struct walk *w)
{
        size_t len = strlen(w->path.data);
        struct dirent **list;
        int count = scandir(w->path.data, &list, wanted, by_path), r = 0;

        if (count < 0) {
                w->unreadable(w->path.data, errno, w->arg);
                return 0;
        }
        for (int i = 0; i < count; i++) {
                w->path.len = len;
                if (r == 0 && (w->path.data[len - 1] == '/' || (r = text_add(&w->path, "/", 1)) == 0) &&
                    (r = text_add(&w->path, list[i]->d_name, strlen(list[i]->d_name) + 1)) == 0)
                        r = visit(w, list[i]->d_type, list[i]->d_ino);
                free(list[i]);
        }
        free(list);
        w->path.data[len] = '\0';
        return r;
}

/* What the command line names: symbolic links are followed, and pipes and devices read. */
static int
root(struct walk *w, char *path)
{
        size_t len = strlen(path);
        struct stat st;

        while (len > 1 && path[len - 1] == '/') /* "dir//" is dir */
                path[--len] = '\0';
        w->path.len = 0;
        if (text_add(&w->path, path, len + 1) < 0)
                return -ENOMEM;
        if (stat(path, &st) == 0)
                return S_ISDIR(st.st_mode) ? directory(w) : file(w, st.st_ino);
        w->unreadable(path, errno, w->arg);
        return 0;
}

static int
by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int
walk(char **dirs, found_fn *found, unreadable_fn *unreadable, void *arg)
{
        struct walk w = { .found = found, .unreadable = unreadable, .arg = arg };
        size_t count = 0;
        int r = fstat(STDOUT_FILENO, &w.out) < 0 ? -errno : 0;

        while (dirs[count])
                count++;
        qsort(dirs, count, sizeof *dirs, by_name);
        for (; r == 0 && *dirs; dirs++)
                r = root(&w, *dirs);
        free(w.path.data);
        return r;
}
