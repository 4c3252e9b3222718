/* SPDX-License-Identifier: MIT */
/*
 * mproc/error.h - result codes and the words that go with them.
 *
 * A function that can fail returns int: 0, or a negative code.  System errors
 * keep their errno value, negated (-ENOMEM, -EMFILE, ...); mproc's own codes
 * lie beyond errno's range and are listed below, once, in a table from which
 * names, sentences and the enumeration are made.
 */
#ifndef MPROC_ERROR_H
#define MPROC_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MPROC_API __attribute__((visibility("default")))
#define MPROC_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define MPROC_API
#define MPROC_PRINTF(f, a)
#endif

/* Timeouts are in milliseconds, measured on CLOCK_MONOTONIC. */
#define MPROC_FOREVER INT64_C(-1) /* wait without limit; any negative value means this */
#define MPROC_NOWAIT  INT64_C(0)  /* do not wait at all */

/* X(code, number, sentence, what Python's multiprocessing raises in this case) */
#define MPROC_ERROR_TABLE(X)                                                                            \
        X(ECONTEXT, 1, "object of the fork context cannot go to this start method", "RuntimeError")     \
        X(EMETHOD, 2, "no such start method", "ValueError")                                             \
        X(EMETHODSET, 3, "start method has already been set", "RuntimeError")                           \
        X(EBOOTSTRAP, 4, "process has not finished its bootstrapping phase", "RuntimeError")            \
        X(ESTARTED, 5, "process has already been started", "AssertionError")                            \
        X(ENOTSTARTED, 6, "process has not been started", "ValueError")                                 \
        X(ENOTCHILD, 7, "process is not a child of the calling process", "AssertionError")              \
        X(EDAEMON, 8, "daemonic process may not have a non-daemonic child", "AssertionError")           \
        X(ERUNNING, 9, "process is still running", "ValueError")                                        \
        X(ECLOSED, 10, "object is closed", "ValueError")                                                \
        X(ETARGET, 11, "target function not found", "AttributeError")                                   \
        X(EBUILDID, 12, "object file does not match the parent's", "AttributeError")                    \
        X(EARGTYPE, 13, "argument has another type or index", "TypeError")                              \
        X(EHANDLE, 14, "not a live handle of this type", "ValueError")                                  \
        X(EMOVED, 15, "object has been given to another process", "OSError")                            \
        X(EEOF, 16, "end of file: the other side is closed", "EOFError")                                \
        X(EBROKEN, 17, "broken: another process died, or gave up, in the middle", "OSError")             \
        X(ETOOSMALL, 18, "buffer is too small for the message", "BufferTooShort")                       \
        X(ECORRUPT, 19, "shared state is damaged", "OSError")                                           \
        X(ETIMEDOUT, 20, "timed out", "TimeoutError")                                                   \
        X(EEMPTY, 21, "queue is empty", "queue.Empty")                                                  \
        X(EFULL, 22, "queue is full", "queue.Full")                                                     \
        X(ERELEASED, 23, "released more often than acquired", "ValueError")                             \
        X(EDEADLK, 24, "the caller already holds this lock", "-")                                       \
        X(EREADONLY, 25, "handle is read-only", "OSError")                                              \
        X(EWRITEONLY, 26, "connection is write-only", "OSError")                                        \
        X(ECHILDDIED, 27, "child died before it began its target", "EOFError")                          \
        X(EPROTO, 28, "message not understood", "OSError")                                              \
        X(EPRELOAD, 29, "fork server could not be prepared", "EOFError")                                \
        X(EPROGRAM, 30, "program state is not available", "OSError")                                    \
        X(EUNSUPPORTED, 31, "not supported on this system", "NotImplementedError")                      \
        X(ENOTOWNER, 32, "the caller does not hold this lock", "AssertionError")                        \
        X(ELOST, 33, "tasks were lost with a process that died", "-")                                  \
        X(ETASK, 34, "the task failed", "-")                                                            \
        X(EWORKER, 35, "the task's worker died", "concurrent.futures.process.BrokenProcessPool")        \
        X(EOVERTIME, 36, "the task ran longer than its limit", "TimeoutError")                          \
        X(ECANCELLED, 37, "the task was cancelled", "concurrent.futures.CancelledError")

#define MPROC_ERROR_BASE 5000

enum mproc_error_code {
#define MPROC_ERROR_ENUM(name, number, sentence, python) MPROC_##name = -(MPROC_ERROR_BASE + (number)),
        MPROC_ERROR_TABLE(MPROC_ERROR_ENUM)
#undef MPROC_ERROR_ENUM
};

/* Returned by acquire functions, positive: the lock is held, but its last owner died holding it. */
#define MPROC_OWNER_DIED 1

/*
 * A short sentence for a result code: mproc's own or a negated errno value.
 * Never NULL; static or thread-local storage, not to be freed; valid until
 * the thread's next call.  Does not block.  MT-Safe.
 */
MPROC_API const char *mproc_strerror(int code);

/*
 * The name of a result code as it is written in a program ("MPROC_ECONTEXT",
 * "ENOMEM"), or "unknown".  Static storage.  Does not block.  MT-Safe.
 */
MPROC_API const char *mproc_error_name(int code);

/*
 * The exception that Python's multiprocessing raises for this code
 * ("queue.Empty"), for those who write bindings.  Static storage.  MT-Safe.
 */
MPROC_API const char *mproc_error_python(int code);

/*
 * What went wrong in this thread's last failed call, as a sentence: which
 * object, which rule, what to do.  "" if no call failed yet.  Belongs to the
 * library; valid until the thread's next failing call.  A call that succeeds
 * leaves it alone.  Does not block.  MT-Safe.
 */
MPROC_API const char *mproc_last_error(void);

/* Levels of the log hook. */
enum mproc_log_level { MPROC_LOG_DEBUG, MPROC_LOG_INFO, MPROC_LOG_WARNING };

typedef void mproc_log_fn(enum mproc_log_level level, const char *text, void *arg);

/*
 * Name the function that hears what the library has to tell beside results:
 * warnings (a fork from a process with threads) and, at lower levels, what it
 * starts and ends.  NULL, the default, means silence: the library itself never
 * prints.  The hook may be called from any thread that calls the library, with
 * none of the library's locks held; text has no newline.  The fork server and the
 * children do not inherit it, except under fork.  MT-Safe.
 * Origin: multiprocessing.get_logger.
 */
MPROC_API void mproc_set_log(mproc_log_fn *fn, void *arg);

/*
 * A ready-made hook: writes "mproc[pid] level: text" to standard error.
 * mproc_set_log(mproc_log_stderr, NULL).  Origin: multiprocessing.log_to_stderr.
 */
MPROC_API void mproc_log_stderr(enum mproc_log_level level, const char *text, void *arg);

#ifdef __cplusplus
}
#endif
#endif
