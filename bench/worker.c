/* SPDX-License-Identifier: MIT */
/*
 * bench/worker.c - the loop of a worker, see worker.h.
 *
 * Runs in: every worker.  Owns descriptors 0 and 1, and the memory that makes
 * the process as large as it is to be.
 *
 * Lines are read and written without stdio: a forked child must not inherit a
 * buffer that it could flush a second time.
 */
#ifndef _GNU_SOURCE /* the peers' flags may define it */
#define _GNU_SOURCE
#endif
#include "worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char bench_program[4096];
char *bench_child_argv[3] = { (char *)"mproc-bench", (char *)BENCH_ARG_RETURN, NULL };

uint64_t
bench_now_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A contender that fails may fail in every round: the first few times tell what there is to know. */
void
bench_say(const char *format, ...)
{
        static int left = 10;
        char text[600];
        va_list ap;

        if (left == 0)
                return;
        va_start(ap, format);
        vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        dprintf(2, "mproc-bench: %s%s\n", text, --left == 0 ? " (and no more of these)" : "");
}

int
bench_wait(pid_t pid, const char *who)
{
        int status;
        pid_t got;

        do
                got = waitpid(pid, &status, 0);
        while (got < 0 && errno == EINTR);
        if (got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        if (got < 0)
                bench_say("%s: waitpid: %s", who, strerror(errno));
        else
                bench_say("%s: the child ended with status 0x%x", who, (unsigned)status);
        return -1;
}

/*
 * Private memory in small pages: what fork has to copy page tables for.  The
 * pages are written, not read, or all of them would be the one page of zeros.
 */
static int
grow(size_t size_mib)
{
        size_t len = size_mib << 20, page = (size_t)sysconf(_SC_PAGESIZE), at;
        volatile char *memory;
        void *map;

        if (len == 0)
                return 0;
        map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) {
                bench_say("mmap of %zu MiB: %s", size_mib, strerror(errno));
                return -1;
        }
        madvise(map, len, MADV_NOHUGEPAGE); /* a system without huge pages refuses, and needs it not */
        memory = map;
        for (at = 0; at < len; at += page)
                memory[at] = 1;
        return 0;
}

static int
write_all(const char *text, size_t len)
{
        ssize_t n;

        while (len > 0) {
                n = write(1, text, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -1;
                text += n;
                len -= (size_t)n;
        }
        return 0;
}

/* One line into text, without its newline; -1 at end of file.  The conductor never sends ahead. */
static int
read_line(char *text, size_t size)
{
        size_t len = 0;
        ssize_t n;

        while (len < size) {
                n = read(0, text + len, size - len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -1;
                len += (size_t)n;
                if (text[len - 1] == '\n') {
                        text[len - 1] = '\0';
                        return 0;
                }
        }
        return -1;
}

static uint64_t
run_timed(const struct bench_contender *contenders, const char *name)
{
        uint64_t begin;
        int r;

        for (; contenders->name != NULL; contenders++)
                if (strcmp(contenders->name, name) == 0)
                        break;
        if (contenders->name == NULL)
                return 0;
        begin = bench_now_ns();
        r = contenders->run();
        return r == 0 ? bench_now_ns() - begin : 0;
}

static int
announce(const struct bench_contender *contenders)
{
        char line[1024];
        size_t len;

        len = (size_t)snprintf(line, sizeof line, "ready");
        for (; contenders->name != NULL && len < sizeof line - 64; contenders++)
                len += (size_t)snprintf(line + len, sizeof line - len, " %s", contenders->name);
        line[len++] = '\n';
        return write_all(line, len);
}

int
bench_worker(size_t size_mib, const struct bench_contender *contenders)
{
        char request[1024], answer[1024], *save, *name;
        size_t len;

        if (grow(size_mib) < 0 || announce(contenders) < 0)
                return 1;
        while (read_line(request, sizeof request) == 0) {
                len = 0;
                for (name = strtok_r(request, " ", &save); name != NULL && len < sizeof answer - 32;
                     name = strtok_r(NULL, " ", &save))
                        len += (size_t)snprintf(answer + len, sizeof answer - len, "%llu ",
                                                (unsigned long long)run_timed(contenders, name));
                answer[len++] = '\n';
                if (write_all(answer, len) < 0)
                        return 1;
        }
        return 0;
}
