/* SPDX-License-Identifier: MIT */
/*
 * support/runner.h - what a test includes: how it is declared, how it checks.
 *
 *      #include "support/runner.h"
 *
 *      static int answer(mproc_args *args) { return (int)mproc_args_int(args, 0); }
 *
 *      START_METHOD_TEST(exit_code_reaches_join)
 *      {
 *              mproc_process *p;
 *              CHECK_OK(mproc_process_create(ctx, answer, MPROC_ARGS(42), &p));
 *              ...
 *      }
 *
 * There is no main() to write and no list to keep: tests register themselves.
 * Each one runs in a process of its own, freshly executed, in a session of its
 * own, with a time limit.  After it the runner looks whether descriptors,
 * children, orphans or shared names remain; what remains is a failure.
 *
 * A CHECK that fails ends the process it stands in, at once, by _exit(1), after
 * a line on stderr; in a child of the test the test has to look at its exit code.
 */
#ifndef SUPPORT_RUNNER_H
#define SUPPORT_RUNNER_H

#include "support/support.h"

#include <mproc/context.h>
#include <mproc/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct runner_test {
        const char *name;
        void (*body)(void);
        void (*method_body)(const char *method, mproc_context *ctx);
        const char *method; /* NULL for a TEST */
        const char *file;
        unsigned limit_s;      /* time limit; 0: 60 seconds.  Scaled, see timeout_scale(). */
        unsigned grace_ms;     /* for processes that end by themselves afterwards; 0: 10 seconds.  Scaled. */
        bool hidden;           /* runs only when named in full: for the runner's own tests */
        bool leaves_zombies;   /* the body may end with children nobody has waited for */
        bool leaves_processes; /* what still runs afterwards is ended without a word */
        bool leaves_names;     /* names in /dev/shm may stay */
        struct runner_test *next;
};

struct runner_helper {
        const char *name;
        int (*body)(int argc, char **argv);
        bool without_init; /* main() does not call mproc_init */
        struct runner_helper *next;
};

void runner_add_test(struct runner_test *test);
void runner_add_helper(struct runner_helper *helper);

/*
 * TEST(name) { ... }
 * TEST(name, .limit_s = 300, .leaves_zombies = true) { ... }
 */
#define TEST(...) RUNNER_TEST_(__VA_ARGS__, )
#define RUNNER_TEST_(name_, ...)                                                                                     \
        static void test_##name_(void);                                                                              \
        static struct runner_test test_entry_##name_ = {                                                             \
                .name = #name_, .body = test_##name_, .file = __FILE__, __VA_ARGS__                                  \
        };                                                                                                           \
        __attribute__((constructor)) static void test_register_##name_(void)                                         \
        {                                                                                                            \
                runner_add_test(&test_entry_##name_);                                                                \
        }                                                                                                            \
        static void test_##name_(void)

/*
 * START_METHOD_TEST(name) { ... }: three tests, name/fork, name/spawn and
 * name/forkserver.  The body sees `const char *method` and `mproc_context *ctx`.
 */
#define START_METHOD_TEST(...) RUNNER_METHOD_TEST_(__VA_ARGS__, )
#define RUNNER_METHOD_ENTRY_(name_, method_, ...)                                                                    \
        {                                                                                                            \
                .name = #name_ "/" method_, .method_body = test_##name_, .method = method_, .file = __FILE__,        \
                __VA_ARGS__                                                                                          \
        }
#define RUNNER_METHOD_TEST_(name_, ...)                                                                              \
        static void test_##name_(const char *method, mproc_context *ctx);                                            \
        static struct runner_test test_entry_##name_[] = {                                                           \
                RUNNER_METHOD_ENTRY_(name_, "fork", __VA_ARGS__),                                                    \
                RUNNER_METHOD_ENTRY_(name_, "spawn", __VA_ARGS__),                                                   \
                RUNNER_METHOD_ENTRY_(name_, "forkserver", __VA_ARGS__),                                              \
        };                                                                                                           \
        __attribute__((constructor)) static void test_register_##name_(void)                                         \
        {                                                                                                            \
                for (size_t i_ = 0; i_ < 3; i_++)                                                                    \
                        runner_add_test(&test_entry_##name_[i_]);                                                    \
        }                                                                                                            \
        static void test_##name_(const char *method __attribute__((unused)),                                         \
                                 mproc_context *ctx __attribute__((unused)))

/*
 * HELPER(name) { ... }: a program of its own, int main(int argc, char **argv)
 * with the arguments given to run_helper from argv[1] on.  main() has called
 * mproc_init before; HELPER_WITHOUT_INIT is a program that never calls it.
 */
#define HELPER(name_)              RUNNER_HELPER_(name_, false)
#define HELPER_WITHOUT_INIT(name_) RUNNER_HELPER_(name_, true)
#define RUNNER_HELPER_(name_, without_init_)                                                                         \
        static int helper_##name_(int argc, char **argv);                                                            \
        static struct runner_helper helper_entry_##name_ = { #name_, helper_##name_, without_init_, NULL };          \
        __attribute__((constructor)) static void helper_register_##name_(void)                                       \
        {                                                                                                            \
                runner_add_helper(&helper_entry_##name_);                                                            \
        }                                                                                                            \
        static int helper_##name_(int argc __attribute__((unused)), char **argv __attribute__((unused)))

/* --- checks: true, or the process ends with a line that tells what was found ----------------------- */

#define CHECK(expr)                 ((expr) ? (void)0 : check_failed(__FILE__, __LINE__, "CHECK(%s)", #expr))
#define CHECK_MSG(expr, ...)        ((expr) ? (void)0 : check_failed(__FILE__, __LINE__, __VA_ARGS__))
#define CHECK_INT(found, wanted)    check_int(__FILE__, __LINE__, #found, (long long)(found), (long long)(wanted))
#define CHECK_EQ(found, wanted)     CHECK_INT(found, wanted)
#define CHECK_STR(found, wanted)    check_str(__FILE__, __LINE__, #found, (found), (wanted))
#define CHECK_CONTAINS(text, part)  check_contains(__FILE__, __LINE__, #text, (text), (part))
#define CHECK_MEM(found, wanted, n) check_mem(__FILE__, __LINE__, #found, (found), (wanted), (n))

/* The result is 0; if not, its name, its sentence and mproc_last_error() are told. */
#define CHECK_OK(rc)                CHECK_CODE_(#rc, (rc), 0)
/* The result is this code: CHECK_CODE(mproc_queue_get(...), MPROC_EEMPTY). */
#define CHECK_CODE(rc, wanted)      CHECK_CODE_(#rc, (rc), (wanted))
#define CHECK_CODE_(text, rc, wanted)                                                                                \
        do {                                                                                                         \
                int check_rc_ = (rc), check_wanted_ = (wanted);                                                      \
                if (check_rc_ != check_wanted_)                                                                      \
                        check_failed(__FILE__, __LINE__, "%s gave %d %s (%s), not %d %s\n    last error: %s", text,  \
                                     check_rc_, mproc_error_name(check_rc_), mproc_strerror(check_rc_),              \
                                     check_wanted_, check_wanted_ ? mproc_error_name(check_wanted_) : "OK",          \
                                     mproc_last_error());                                                            \
        } while (0)

/* Wait until the expression is true, looking every millisecond, at most so long (scaled). */
#define WAIT_UNTIL(expr, timeout_ms)                                                                                 \
        do {                                                                                                         \
                int64_t wait_end_ = monotonic_ms() + scaled_ms(timeout_ms);                                          \
                while (!(expr)) {                                                                                    \
                        CHECK_MSG(monotonic_ms() < wait_end_, "WAIT_UNTIL(%s): not within %lld ms", #expr,           \
                                  (long long)scaled_ms(timeout_ms));                                                 \
                        sleep_ms(1);                                                                                 \
                }                                                                                                    \
        } while (0)

/* This test cannot run here; the reason is told, and the process ends with 77. */
#define SKIP(...) skip_test(__VA_ARGS__)

void check_failed(const char *file, int line, const char *format, ...)
        __attribute__((noreturn, format(printf, 3, 4)));
void check_int(const char *file, int line, const char *text, long long found, long long wanted);
void check_str(const char *file, int line, const char *text, const char *found, const char *wanted);
void check_contains(const char *file, int line, const char *name, const char *text, const char *part);
void check_mem(const char *file, int line, const char *name, const void *found, const void *wanted, size_t len);
void skip_test(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/*
 * What the test has opened so far is no leak: call it after warming the library
 * up (its beacon, its fork server's socket), and from there on every descriptor
 * more is one.  Without this call, those that the library keeps for the
 * process's life are let through by their kind: see leaks.c.
 */
void support_fd_baseline(void);

#endif
