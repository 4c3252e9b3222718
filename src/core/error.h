/* SPDX-License-Identifier: MIT */
/*
 * core/error.h - setting the words that mproc_last_error tells.
 *
 * Every public function that fails leaves a sentence: which object, which rule,
 * what to do.  The helpers here store it for the calling thread and hand the
 * code back, so that a failure is one line: return mproc__fail(MPROC_ECLOSED, "...").
 */
#ifndef MPROC_CORE_ERROR_H
#define MPROC_CORE_ERROR_H

#include <mproc/error.h>
#include <stdarg.h>

/* The longest sentence kept, its NUL included. */
#define MPROC__ERROR_TEXT_MAX 480

/*
 * Store a sentence, return code.  Keeps errno.  A macro, so that the compiler sees what is returned: a
 * caller that looks whether it is negative has then set what he uses afterwards.
 */
#define mproc__fail(code, ...) (mproc__fail_words(code, __VA_ARGS__), mproc__fail_result(code))
void mproc__fail_words(int code, const char *format, ...) MPROC_PRINTF(2, 3);

static inline int
mproc__fail_result(int code)
{
        return code;
}

/* The same for a system error: appends ": " and strerror's text; returns -err. */
int mproc__fail_errno(int err, const char *format, ...) MPROC_PRINTF(2, 3);

/* Which code the words that stand go with; 0: there are none. */
int mproc__fail_code(void);

/* A newborn process: what failed in its parent is not its concern. */
void mproc__fail_forget(void);

/* Put words in front of the sentence that stands: "argument 2: ..." */
void mproc__fail_prefix(const char *format, ...) MPROC_PRINTF(1, 2);

#endif
