/* SPDX-License-Identifier: MIT */
/* support/fds.c - which descriptors are open, and reading and writing whole things. */
#include "support/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

static int
compare_ints(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

/* The numbers in /proc/PID/fd, in order, without the one that reads the folder; -1 if the process is gone. */
static int
read_fd_numbers(pid_t pid, int **ret_numbers)
{
        int *numbers = NULL, count = 0, room = 0;
        struct dirent *entry;
        char path[64];
        DIR *dir;

        snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
        if (!(dir = opendir(path)))
                return -1;
        while ((entry = readdir(dir))) {
                int number = atoi(entry->d_name);

                if (!isdigit((unsigned char)entry->d_name[0]) || (pid == getpid() && number == dirfd(dir)))
                        continue;
                if (count == room) {
                        room = room ? room * 2 : 64;
                        numbers = realloc(numbers, (size_t)room * sizeof *numbers);
                        CHECK_MSG(numbers, "out of memory");
                }
                numbers[count++] = number;
        }
        closedir(dir);
        if (count)
                qsort(numbers, (size_t)count, sizeof *numbers, compare_ints);
        *ret_numbers = numbers;
        return count;
}

int
count_fds(void)
{
        int *numbers = NULL;
        int count = read_fd_numbers(getpid(), &numbers);

        CHECK_MSG(count >= 0, "cannot read /proc/self/fd: %s", strerror(errno));
        free(numbers);
        return count;
}

char *
list_fds_of(pid_t pid)
{
        int *numbers = NULL;
        int count = read_fd_numbers(pid, &numbers);
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);

        CHECK_MSG(out, "out of memory");
        for (int i = 0; i < count; i++) {
                char path[64], target[4096];
                ssize_t n;

                snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, numbers[i]);
                if ((n = readlink(path, target, sizeof target - 1)) < 0)
                        continue;
                target[n] = '\0';
                fprintf(out, "%d %s\n", numbers[i], target);
        }
        fclose(out);
        free(numbers);
        return text;
}

char *
list_fds(void)
{
        return list_fds_of(getpid());
}

bool
fd_is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

void
write_all(int fd, const void *data, size_t len)
{
        const char *p = data;

        while (len > 0) {
                ssize_t n = write(fd, p, len);

                if (n < 0 && errno == EINTR)
                        continue;
                CHECK_MSG(n > 0, "write to descriptor %d: %s", fd, strerror(errno));
                p += n, len -= (size_t)n;
        }
}

char *
read_to_end(int fd, size_t *ret_len)
{
        size_t len = 0, room = 4096;
        char *text = malloc(room);

        for (;;) {
                ssize_t n;

                CHECK_MSG(text, "out of memory");
                n = read(fd, text + len, room - len - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                CHECK_MSG(n >= 0, "read from descriptor %d: %s", fd, strerror(errno));
                if (n == 0)
                        break;
                len += (size_t)n;
                if (room - len < 2)
                        text = realloc(text, room *= 2);
        }
        text[len] = '\0';
        if (ret_len)
                *ret_len = len;
        return text;
}

/* Byte by byte, so that nothing of the next line is taken. */
char *
read_line(int fd)
{
        size_t len = 0, room = 256;
        char *line = malloc(room);

        for (;;) {
                ssize_t n;

                CHECK_MSG(line, "out of memory");
                n = read(fd, line + len, 1);
                if (n < 0 && errno == EINTR)
                        continue;
                CHECK_MSG(n >= 0, "read from descriptor %d: %s", fd, strerror(errno));
                if (n == 0 && len == 0) {
                        free(line);
                        return NULL;
                }
                if (n == 0 || line[len] == '\n')
                        break;
                if (++len == room)
                        line = realloc(line, room *= 2);
        }
        line[len] = '\0';
        return line;
}

char *
text_format(const char *format, ...)
{
        char *text = NULL;
        va_list ap;
        int len;

        va_start(ap, format);
        len = vasprintf(&text, format, ap);
        va_end(ap);
        CHECK_MSG(len >= 0, "out of memory");
        return text;
}
