/* SPDX-License-Identifier: MIT */
/*
 * walk.c - finds the files, as `find DIR... -type f` does.
 *
 * Runs in: parent.  No recursion: directories that are still to be read stand
 * in a list, so depth costs no stack and one descriptor is open at a time.
 */
#include "checksum.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct walk {
        struct files *files;
        struct bar *bar;
        char **dirs; /* still to be read */
        size_t count, room;
};

static int
grow(void *list, size_t *room, size_t size)
{
        size_t wanted = *room ? *room * 2 : 256;
        void *grown = realloc(*(void **)list, wanted * size);

        if (!grown)
                return -ENOMEM;
        *(void **)list = grown;
        *room = wanted;
        return 0;
}

static void
cannot_read(struct walk *w, const char *path)
{
        bar_say(w->bar, "%s: %s", printable(path), strerror(errno));
        w->files->failed++;
}

/* What stands at this path: note it, if it is for us.  The path is ours to keep or to free. */
static int
note(struct walk *w, char *path)
{
        struct files *files = w->files;
        struct stat st;

        if (lstat(path, &st) < 0) {
                cannot_read(w, path);
        } else if (S_ISDIR(st.st_mode)) {
                if (w->count == w->room && grow(&w->dirs, &w->room, sizeof *w->dirs) < 0)
                        goto no_memory;
                w->dirs[w->count++] = path;
                return 0;
        } else if (S_ISREG(st.st_mode)) {
                if (files->count == files->room && grow(&files->list, &files->room, sizeof *files->list) < 0)
                        goto no_memory;
                files->list[files->count++] = (struct file){ .path = path, .size = st.st_size, .next = NO_FILE };
                files->bytes += st.st_size;
                return 0;
        }
        free(path);
        return 0;
no_memory:
        free(path);
        return -ENOMEM;
}

static char *
join(const char *dir, const char *name)
{
        size_t dir_len = strlen(dir), name_len = strlen(name);
        bool slash = dir_len > 0 && dir[dir_len - 1] != '/';
        char *path = malloc(dir_len + slash + name_len + 1);

        if (path) {
                memcpy(path, dir, dir_len);
                path[dir_len] = '/';
                memcpy(path + dir_len + slash, name, name_len + 1);
        }
        return path;
}

static int
read_directory(struct walk *w, const char *dir)
{
        struct dirent *entry;
        DIR *stream = opendir(dir);
        int r = 0;

        if (!stream) {
                cannot_read(w, dir);
                return 0;
        }
        while (r == 0 && (errno = 0, entry = readdir(stream))) {
                char *path;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                r = (path = join(dir, entry->d_name)) ? note(w, path) : -ENOMEM;
        }
        if (r == 0 && errno != 0)
                cannot_read(w, dir);
        closedir(stream);
        return r;
}

static int
by_path(const void *a, const void *b)
{
        return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

int
walk(char **dirs, struct files *files, struct bar *bar)
{
        struct walk w = { .files = files, .bar = bar };
        int r = 0;

        for (; *dirs && r == 0; dirs++) {
                char *path = strdup(*dirs);

                r = path ? note(&w, path) : -ENOMEM;
                while (r == 0 && w.count > 0) {
                        char *dir = w.dirs[--w.count];

                        r = interrupt_seen() ? -EINTR : read_directory(&w, dir);
                        free(dir);
                        bar->files_all = files->count, bar->bytes_all = files->bytes;
                        bar_draw(bar);
                }
        }
        while (w.count > 0)
                free(w.dirs[--w.count]);
        free(w.dirs);
        if (files->count > 0)
                qsort(files->list, files->count, sizeof *files->list, by_path);
        return r;
}

void
files_free(struct files *files)
{
        for (size_t i = 0; i < files->count; i++)
                free(files->list[i].path);
        free(files->list);
        *files = (struct files){ 0 };
}
