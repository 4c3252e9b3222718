/* SPDX-License-Identifier: MIT */
/*
 * core/error.c - the table of results made into names and sentences, and the
 * calling thread's last words.
 *
 * Runs in: every process.  Owns: one thread-local buffer.
 */
#include "core/error.h"
#include "core/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static __thread char last_error[MPROC__ERROR_TEXT_MAX] MPROC__TLS;
static __thread int last_code MPROC__TLS;

struct error_row {
        int code;
        const char *name;
        const char *sentence;
        const char *python;
};

static const struct error_row rows[] = {
#define ROW(name, number, sentence, python) { MPROC_##name, "MPROC_" #name, sentence, python },
        MPROC_ERROR_TABLE(ROW)
#undef ROW
};

static const struct error_row *
find_row(int code)
{
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                if (rows[i].code == code)
                        return &rows[i];
        return NULL;
}

/* The errno names a process library meets; a short list of our own, for the C libraries have no common call for it. */
static const struct {
        int value;
        const char *name;
} errno_names[] = {
#define E(x) { x, #x }
        E(EPERM), E(ENOENT), E(ESRCH), E(EINTR), E(EIO), E(E2BIG), E(ENOEXEC), E(EBADF), E(ECHILD), E(EAGAIN),
        E(ENOMEM), E(EACCES), E(EFAULT), E(EBUSY), E(EEXIST), E(ENOTDIR), E(EISDIR), E(EINVAL), E(ENFILE),
        E(EMFILE), E(ETXTBSY), E(EFBIG), E(ENOSPC), E(EROFS), E(EMLINK), E(EPIPE), E(ERANGE), E(EDEADLK),
        E(ENAMETOOLONG), E(ENOSYS), E(ELOOP), E(ENODATA), E(EPROTO), E(EOVERFLOW), E(ENOTSOCK), E(EMSGSIZE),
        E(EOPNOTSUPP), E(ECONNRESET), E(ENOBUFS), E(ETIMEDOUT), E(ETOOMANYREFS), E(ECANCELED), E(EDOM), E(EILSEQ),
        E(ENXIO), E(ENODEV), E(EXDEV), E(ESPIPE), E(ENOTTY), E(ENOTEMPTY), E(ECONNREFUSED), E(EADDRINUSE), E(EINPROGRESS),
#undef E
};

const char *
mproc_error_name(int code)
{
        const struct error_row *row = find_row(code);

        if (row)
                return row->name;
        if (code == 0)
                return "OK";
        if (code == MPROC_OWNER_DIED)
                return "MPROC_OWNER_DIED";
        for (size_t i = 0; i < sizeof errno_names / sizeof *errno_names && code > -MPROC_ERROR_BASE; i++)
                if (errno_names[i].value == -code)
                        return errno_names[i].name;
        return "unknown";
}

const char *
mproc_strerror(int code)
{
        const struct error_row *row = find_row(code);

        if (row)
                return row->sentence;
        if (code == 0)
                return "success";
        if (code == MPROC_OWNER_DIED)
                return "acquired, but the last owner died holding it";
        if (code < 0 && code > -MPROC_ERROR_BASE)
                return strerror(-code);
        return "not a result of mproc";
}

const char *
mproc_error_python(int code)
{
        const struct error_row *row = find_row(code);

        if (row)
                return row->python;
        return code == -EPIPE ? "BrokenPipeError" : "OSError";
}

const char *
mproc_last_error(void)
{
        return last_error;
}

void
mproc__fail_words(int code, const char *format, ...)
{
        int saved = errno;
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(last_error, sizeof last_error, format, ap);
        va_end(ap);
        last_code = code;
        errno = saved;
}

int
mproc__fail_code(void)
{
        return last_code;
}

void
mproc__fail_forget(void)
{
        if (*last_error)
                *last_error = 0;
        if (last_code)
                last_code = 0;
}

int
mproc__fail_errno(int err, const char *format, ...)
{
        int saved = errno;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(last_error, sizeof last_error, format, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof last_error)
                (void)snprintf(last_error + n, sizeof last_error - (size_t)n, ": %s", mproc_strerror(-err));
        last_code = -err;
        errno = saved;
        return -err;
}

void
mproc__fail_prefix(const char *format, ...)
{
        char old[sizeof last_error];
        int saved = errno;
        va_list ap;
        int n;

        memcpy(old, last_error, sizeof old);
        va_start(ap, format);
        n = vsnprintf(last_error, sizeof last_error, format, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof last_error)
                (void)snprintf(last_error + n, sizeof last_error - (size_t)n, "%s", old);
        errno = saved;
}
