/* SPDX-License-Identifier: MIT */
/*
 * core/log.c - the log hook.
 *
 * Runs in: every process.  Owns: the hook and its argument.
 */
#include "core/log.h"
#include "core/locks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static mproc_log_fn *hook;
static void *hook_arg;

void
mproc_set_log(mproc_log_fn *fn, void *arg)
{
        mproc__lock(MPROC__LOCK_LOG);
        hook = fn;
        hook_arg = arg;
        mproc__unlock(MPROC__LOCK_LOG);
}

void
mproc__log(enum mproc_log_level level, const char *format, ...)
{
        int saved = errno;
        char text[512];
        mproc_log_fn *fn;
        void *arg;
        va_list ap;

        mproc__lock(MPROC__LOCK_LOG);
        fn = hook;
        arg = hook_arg;
        mproc__unlock(MPROC__LOCK_LOG);
        if (!fn)
                return;
        va_start(ap, format);
        (void)vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        fn(level, text, arg);
        errno = saved;
}

void
mproc_log_stderr(enum mproc_log_level level, const char *text, void *arg)
{
        static const char *const names[] = { "debug", "info", "warning" };

        (void)arg;
        (void)fprintf(stderr, "mproc[%ld] %s: %s\n", (long)getpid(),
                      (unsigned)level <= MPROC_LOG_WARNING ? names[level] : "?", text);
}
