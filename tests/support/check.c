/* SPDX-License-Identifier: MIT */
/*
 * support/check.c - a check that failed, a test that cannot run.
 *
 * Runs in: any process of a test.  The process ends by _exit, so that nothing the
 * library does at a normal exit (joining children, for one) comes between the
 * failure and its report; the runner ends what is left.
 */
#include "support/internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

void
check_failed(const char *file, int line, const char *format, ...)
{
        const char *base = strstr(file, "tests/");
        char text[4096];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        fflush(stdout);
        fprintf(stderr, "%s:%d: [%d] failed: %s\n", base ? base : file, line, (int)getpid(), text);
        fflush(stderr);
        _exit(1);
}

void
check_int(const char *file, int line, const char *text, long long found, long long wanted)
{
        if (found != wanted)
                check_failed(file, line, "%s is %lld, not %lld", text, found, wanted);
}

void
check_str(const char *file, int line, const char *text, const char *found, const char *wanted)
{
        if (!found || !wanted ? found != wanted : strcmp(found, wanted) != 0)
                check_failed(file, line, "%s is \"%s\", not \"%s\"", text, found ? found : "(null)",
                             wanted ? wanted : "(null)");
}

void
check_contains(const char *file, int line, const char *name, const char *text, const char *part)
{
        if (!text || !strstr(text, part))
                check_failed(file, line, "%s is \"%s\", and \"%s\" is not in it", name, text ? text : "(null)", part);
}

void
check_mem(const char *file, int line, const char *name, const void *found, const void *wanted, size_t len)
{
        const unsigned char *a = found, *b = wanted;

        for (size_t i = 0; i < len; i++)
                if (a[i] != b[i])
                        check_failed(file, line, "%s differs at byte %zu of %zu: 0x%02x, not 0x%02x", name, i, len,
                                     a[i], b[i]);
}

void
skip_test(const char *format, ...)
{
        va_list ap;

        printf("skipped: ");
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        printf("\n");
        fflush(stdout);
        _exit(77);
}
