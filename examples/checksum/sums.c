/* SPDX-License-Identifier: MIT */
/* sums.c - prints the result as sha256sum does. */
#include "checksum.h"

#include <errno.h>
#include <string.h>

/* A name with one of these in it is written with escapes, and its line begins with a backslash. */
static const char escaped[] = "\\\n\r";

static void
print_name(const char *name)
{
        for (; *name; name++) {
                switch (*name) {
                case '\\':
                        fputs("\\\\", stdout);
                        break;
                case '\n':
                        fputs("\\n", stdout);
                        break;
                case '\r':
                        fputs("\\r", stdout);
                        break;
                default:
                        putchar(*name);
                }
        }
        putchar('\n');
}

static void
print_sum(const struct file *file)
{
        if (strpbrk(file->path, escaped))
                putchar('\\');
        for (size_t i = 0; i < DIGEST_BYTES; i++)
                printf("%02x", file->digest[i]);
        fputs("  ", stdout);
        print_name(file->path);
}

int
sums_print(const struct files *files)
{
        for (size_t i = 0; i < files->count; i++)
                if (files->list[i].state == FILE_DONE)
                        print_sum(&files->list[i]);
        errno = 0;
        if (fflush(stdout) != 0 || ferror(stdout))
                return errno ? -errno : -EIO;
        return 0;
}
