/* SPDX-License-Identifier: MIT */
/*
 * search.c - what runs in a worker: finds the lines of a batch of files.
 *
 * Runs in: workers.  Owns: the pattern, made once in each worker, and the block
 * that files are read into.
 *
 * Blocks are as large as those of GNU grep: where a file turns out to be binary
 * decides which of its lines are printed before, and so both print the same.
 */
#include "grep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 98304

static struct pattern *pattern;
static bool with_names;
static struct text block, out, err;

/* A file that is searched. */
struct file {
        const char *path;
        int fd;
        bool binary;   /* there is a NUL */
        bool matched;  /* since that was known; nothing more is looked for */
        uint64_t line; /* lines before the block */
        struct found *found;
};

int
prepare(mproc_args *args)
{
        char words[256];

        pattern = pattern_create(mproc_args_string(args, 0), (unsigned)mproc_args_uint(args, 1), words, sizeof words);
        with_names = mproc_args_int(args, 2) & SEARCH_NAMES;
        return pattern ? 0 : -EINVAL;
}

int
text_room(struct text *text, size_t more)
{
        size_t wanted = text->len + more;
        char *grown;

        if (wanted <= text->room)
                return 0;
        wanted = 2 * wanted + 4096;
        if (!(grown = realloc(text->data, wanted)))
                return -ENOMEM;
        text->data = grown;
        text->room = wanted;
        return 0;
}

int
text_add(struct text *text, const void *data, size_t len)
{
        if (text_room(text, len) < 0)
                return -ENOMEM;
        memcpy(text->data + text->len, data, len);
        text->len += len;
        return 0;
}

static int
complain(struct file *file, const char *why, bool failed)
{
        int r;

        file->found->failed += failed;
        if ((r = text_add(&err, "mproc-grep: ", 12)) < 0 ||
            (r = text_add(&err, file->path, strlen(file->path))) < 0 || (r = text_add(&err, ": ", 2)) < 0 ||
            (r = text_add(&err, why, strlen(why))) < 0)
                return r;
        return text_add(&err, "\n", 1);
}

/* --- lines ------------------------------------------------------------------------------------------ */

static uint64_t
count_lines(const char *text, size_t len)
{
        uint64_t count = 0;

        for (size_t i = 0; i < len; i++)
                count += text[i] == '\n';
        return count;
}

/* "path:12:the line\n" */
static int
print_line(const struct file *file, uint64_t number, const char *line, size_t len)
{
        char digits[24], *end = digits + sizeof digits, *p = end;

        *--p = ':';
        do
                *--p = (char)('0' + number % 10);
        while ((number /= 10) > 0);
        if (with_names) {
                if (text_add(&out, file->path, strlen(file->path)) < 0)
                        return -ENOMEM;
                *--p = ':';
        }
        if (text_add(&out, p, (size_t)(end - p)) < 0)
                return -ENOMEM;
        return text_add(&out, line, len);
}

/* Whole lines.  Numbers are counted only as far as somebody wants to know them. */
static int
search_lines(struct file *file, const char *lines, size_t len, bool last)
{
        size_t from = 0, counted = 0, at;
        int r = 0;

        while (from < len && (r = pattern_find(pattern, lines, len, from, &at)) > 0) {
                const char *before = memrchr(lines + from, '\n', at - from);
                size_t begin = before ? (size_t)(before + 1 - lines) : from;

                if (file->binary) {
                        file->matched = true;
                        return 0;
                }
                from = (size_t)((char *)memchr(lines + at, '\n', len - at) + 1 - lines);
                file->line += count_lines(lines + counted, begin - counted) + 1;
                counted = from;
                file->found->lines++;
                if ((r = print_line(file, file->line, lines + begin, from - begin)) < 0)
                        return r;
        }
        if (!last && !file->binary)
                file->line += count_lines(lines + counted, len - counted);
        return r < 0 ? complain(file, "the pattern is too complex for it", true) : 0;
}

/* --- files ------------------------------------------------------------------------------------------ */

/* Read until the block is full or the file ends: as many bytes, or -errno. */
static ssize_t
read_block(int fd, char *data)
{
        size_t len = 0;
        ssize_t n;

        while (len < BLOCK_BYTES && (n = read(fd, data + len, BLOCK_BYTES - len)) != 0) {
                if (n < 0 && errno != EINTR)
                        return -errno;
                len += n > 0 ? (size_t)n : 0;
        }
        return (ssize_t)len;
}

/* A NUL makes a file a binary one, and so does a hole, which would be read as NULs. */
static bool
is_binary(int fd, char *data, size_t len, bool first)
{
        struct stat st;
        off_t hole;

        if (memchr(data, '\0', len))
                return true;
        if (!first || len < BLOCK_BYTES || fstat(fd, &st) < 0 || (hole = lseek(fd, BLOCK_BYTES, SEEK_HOLE)) < 0)
                return false;
        (void)lseek(fd, BLOCK_BYTES, SEEK_SET);
        return hole < st.st_size;
}

/* In a binary file a NUL ends a line, too. */
static void
end_lines_at_nuls(char *data, size_t len)
{
        for (size_t i = 0; i < len; i++)
                data[i] = data[i] ? data[i] : '\n';
}

static int
search_file(struct file *file)
{
        bool first = true, last = false;
        int r = 0;

        for (block.len = 0; r == 0 && !last && !file->matched; first = false) {
                const char *end;
                char *data;
                ssize_t n;

                if ((r = text_room(&block, BLOCK_BYTES + 1)) < 0)
                        return r;
                data = block.data + block.len;
                if ((n = read_block(file->fd, data)) < 0)
                        return complain(file, strerror((int)-n), true);
                file->found->bytes += (uint64_t)n;
                last = n < BLOCK_BYTES;
                file->binary = file->binary || is_binary(file->fd, data, (size_t)n, first);
                if (file->binary)
                        end_lines_at_nuls(block.data, block.len + (size_t)n);
                block.len += (size_t)n;
                if (last && block.len > 0 && block.data[block.len - 1] != '\n')
                        block.data[block.len++] = '\n';
                if (!(end = memrchr(block.data, '\n', block.len)))
                        continue;
                r = search_lines(file, block.data, (size_t)(end + 1 - block.data), last);
                block.len -= (size_t)(end + 1 - block.data);
                memmove(block.data, end + 1, block.len);
        }
        return r;
}

static int
open_and_search(const char *path, struct found *found)
{
        struct file file = { .path = path, .found = found, .fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC) };
        int r;

        if (file.fd < 0)
                return complain(&file, strerror(errno), true);
        r = search_file(&file);
        close(file.fd);
        found->files++;
        if (r == 0 && file.matched) {
                found->lines++;
                r = complain(&file, "binary file matches", false);
        }
        return r;
}

int
search_files(mproc_args *args, mproc_result *result)
{
        size_t len;
        const char *path = mproc_args_bytes(args, 0, &len), *end = path + len;
        struct found found = { 0 };
        void *data;
        int r = 0;

        for (out.len = err.len = 0; r == 0 && path < end; path += strlen(path) + 1)
                r = open_and_search(path, &found);
        found.out_bytes = out.len;
        found.err_bytes = err.len;
        if (r < 0 || (r = mproc_result_reserve(result, sizeof found + out.len + err.len, &data)) < 0)
                return r;
        memcpy(data, &found, sizeof found);
        if (out.len > 0)
                memcpy((char *)data + sizeof found, out.data, out.len);
        if (err.len > 0)
                memcpy((char *)data + sizeof found + out.len, err.data, err.len);
        return 0;
}
