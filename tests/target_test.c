/* SPDX-License-Identifier: MIT */
/* Targets: how a function is found again in another process, and what is said when it is not. */
#include "process_help.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* --- programs of every kind
 * ------------------------------------------------------------------------------------------ */

static void
run_program_by(const char *path, const char *method)
{
        char *argv[] = { (char *)path, (char *)method, NULL };

        CHECK_INT(wait_program(run_program(argv, NULL, NULL), LONG_MS), 0);
}

static void
run_variant(const char *name, const char *method)
{
        if (access(support_path(name), X_OK) != 0)
                SKIP("%s has not been built here", name);
        run_program_by(support_path(name), method);
}

START_METHOD_TEST(dynamic_program)
{
        run_variant("target_prog", method);
}

START_METHOD_TEST(static_program)
{
        run_variant("target_prog-static", method);
}

START_METHOD_TEST(static_pie_program)
{
        run_variant("target_prog-static-pie", method);
}

START_METHOD_TEST(stripped_program)
{
        run_variant("target_prog-stripped", method);
}

START_METHOD_TEST(program_without_build_id)
{
        run_variant("target_prog-no-id", method);
}

/* Copied elsewhere, under a name that is hard to like. */
START_METHOD_TEST(program_of_a_strange_name)
{
        char *path = path_in(temp_dir(), "a program, (deleted)");

        copy_file(support_path("target_prog"), path);
        run_program_by(path, method);
        free(path);
}

/* The running file, whatever stands in its place on disk meanwhile. */
static void
run_replaced(const char *method, const char *name, void (*replace)(const char *path))
{
        char *path = path_in(temp_dir(), "program"), *argv[] = { path, (char *)method, (char *)"wait", NULL }, *line;
        int in, out;
        pid_t pid;

        if (access(support_path(name), X_OK) != 0)
                SKIP("%s has not been built here", name);
        copy_file(support_path(name), path);
        pid = run_program(argv, &in, &out);
        line = read_line(out);
        CHECK_STR(line, "ready");
        replace(path);
        close(in);
        CHECK_INT(wait_program(pid, LONG_MS), 0);
        free(line);
        free(path);
        close(out);
}

static void
delete_file(const char *path)
{
        CHECK(unlink(path) == 0);
}

static void
put_another_there(const char *path)
{
        CHECK(unlink(path) == 0);
        copy_file("/bin/false", path);
}

START_METHOD_TEST(deleted_program)
{
        if (under_valgrind())
                SKIP("valgrind cannot execute a deleted file");
        run_replaced(method, "target_prog", delete_file);
}

START_METHOD_TEST(replaced_program)
{
        if (under_valgrind())
                SKIP("valgrind cannot execute a deleted file");
        run_replaced(method, "target_prog", put_another_there);
}

START_METHOD_TEST(deleted_program_without_build_id)
{
        if (under_valgrind())
                SKIP("valgrind cannot execute a deleted file");
        run_replaced(method, "target_prog-no-id", delete_file);
}

START_METHOD_TEST(deleted_static_program)
{
        if (under_valgrind())
                SKIP("valgrind cannot execute a deleted file");
        run_replaced(method, "target_prog-static", delete_file);
}

/* --- loaded objects
 * ----------------------------------------------------------------------------------------------------- */

struct plugin {
        void *handle;
        mproc_main_fn *(*answer)(void);
        mproc_main_fn *(*is_prepared)(void);
        int (*(*prepare)(void))(void);
};

static struct plugin
load(const char *path)
{
        struct plugin p;

        p.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        CHECK_MSG(p.handle, "%s", dlerror());
        p.answer = (mproc_main_fn * (*)(void))(uintptr_t)dlsym(p.handle, "plugin_answer");
        p.is_prepared = (mproc_main_fn * (*)(void))(uintptr_t)dlsym(p.handle, "plugin_is_prepared");
        p.prepare = (int (*(*)(void))(void))(uintptr_t)dlsym(p.handle, "plugin_prepare");
        CHECK(p.answer != NULL);
        return p;
}

static void
run_plugin(mproc_context *ctx, const char *path)
{
        struct plugin p = load(path);

        CHECK_INT(run(ctx, p.answer(), MPROC_ARGS(40)), 42);
        CHECK_INT(run(ctx, p.answer(), MPROC_ARGS(50)), 52);
        dlclose(p.handle);
}

START_METHOD_TEST(target_in_a_loaded_object)
{
        run_plugin(ctx, support_path("target_plugin.so"));
}

START_METHOD_TEST(target_in_an_object_without_build_id)
{
        run_plugin(ctx, support_path("no_id_plugin.so"));
}

START_METHOD_TEST(target_in_an_object_of_a_strange_name)
{
        char *path = path_in(temp_dir(), "an object, \xc3\xa4 (deleted) .so");

        copy_file(support_path("target_plugin.so"), path);
        run_plugin(ctx, path);
        free(path);
}

START_METHOD_TEST(target_in_an_object_behind_a_link)
{
        char *path = path_in(temp_dir(), "link.so");

        CHECK(symlink(support_path("target_plugin.so"), path) == 0);
        run_plugin(ctx, path);
        free(path);
}

/* Loaded by a name that means nothing any more where the program stands now. */
START_METHOD_TEST(target_in_an_object_of_a_relative_name)
{
        char *here = getcwd(NULL, 0), *path = path_in(temp_dir(), "relative.so");
        struct plugin p;

        copy_file(support_path("target_plugin.so"), path);
        CHECK(chdir(temp_dir()) == 0);
        p = load("./relative.so");
        CHECK_INT(run(ctx, p.answer(), MPROC_ARGS(1)), 3);
        CHECK(chdir("/") == 0);
        CHECK_INT(run(ctx, p.answer(), MPROC_ARGS(2)), 4);
        CHECK(chdir(here) == 0);
        dlclose(p.handle);
        free(here);
        free(path);
}

static int
passes_it_on(mproc_args *args)
{
        struct plugin p = load(mproc_args_string(args, 0));

        return run(NULL, p.answer(), MPROC_ARGS(60));
}

START_METHOD_TEST(grandchild_loads_it_too)
{
        CHECK_INT(run(ctx, passes_it_on, MPROC_ARGS(support_path("target_plugin.so"))), 62);
}

/* --- objects that changed
 * ------------------------------------------------------------------------------------------------ */

static void
expect_no_target(mproc_context *ctx, mproc_main_fn *target, int code, const char *words, const char *more)
{
        mproc_report report = run_report(ctx, target, MPROC_ARGS(1));

        CHECK_INT(report.exitcode, 1);
        CHECK_INT(report.error, code);
        CHECK_STR(report.step, "target");
        CHECK_CONTAINS(report.text, words);
        CHECK_CONTAINS(report.text, more);
}

START_METHOD_TEST(object_that_was_rebuilt)
{
        char *path = path_in(temp_dir(), "plugin.so"), *fresh = path_in(temp_dir(), "fresh.so");
        struct plugin p;

        copy_file(support_path("target_plugin.so"), path);
        copy_file(support_path("other_plugin.so"), fresh);
        p = load(path);
        CHECK(rename(fresh, path) == 0);
        if (strcmp(method, "fork") == 0)
                CHECK_INT(run(ctx, p.answer(), MPROC_ARGS(1)), 3); /* it has the parent's in its memory */
        else
                expect_no_target(ctx, p.answer(), MPROC_EBUILDID, path, "rebuilt");
        dlclose(p.handle);
        free(path);
        free(fresh);
}

START_METHOD_TEST(object_that_was_deleted)
{
        char *path = path_in(temp_dir(), "plugin.so");
        struct plugin p;

        copy_file(support_path("target_plugin.so"), path);
        p = load(path);
        CHECK(unlink(path) == 0);
        if (strcmp(method, "fork") == 0)
                CHECK_INT(run(ctx, p.answer(), MPROC_ARGS(1)), 3);
        else
                expect_no_target(ctx, p.answer(), MPROC_ETARGET, path, "");
        dlclose(p.handle);
        free(path);
}

/* --- what is no function of any object
 * -------------------------------------------------------------------------------------- */

static int some_data = 1;

/* Told at the start, before there is a process. */
static void
expect_refused(mproc_context *ctx, void *address)
{
        mproc_process *p = create(ctx, (mproc_main_fn *)(uintptr_t)address, MPROC_NO_ARGS);
        int fds = count_fds();

        CHECK_CODE(mproc_process_start(p), MPROC_ETARGET);
        CHECK_CONTAINS(mproc_last_error(), "no loaded program or shared object");
        CHECK_INT(count_children(), 0);
        CHECK_INT(count_fds(), fds);
        mproc_process_free(p);
}

START_METHOD_TEST(address_that_is_no_function_is_refused)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        void *heap = malloc(100);

        if (strcmp(method, "fork") == 0)
                SKIP("a fork has the same memory, whatever lies there");
        CHECK_INT(run(ctx, return_argument, MPROC_NO_ARGS), 0);
        expect_refused(ctx, page);
        expect_refused(ctx, heap);
        expect_refused(ctx, &some_data);
        expect_refused(ctx, &page); /* the stack, where compilers put the trampolines of nested functions */
        expect_refused(ctx, (void *)(uintptr_t)16);
        expect_refused(ctx, (void *)UINTPTR_MAX);
        free(heap);
        CHECK(munmap(page, 4096) == 0);
}

/* --- another executable
 * ------------------------------------------------------------------------------------------------------ */

static char *
exec_path(void)
{
        return path_in(build_dir(), "mproc-exec");
}

static mproc_context *
context_of(const char *method)
{
        mproc_context *ctx;

        CHECK_OK(mproc_get_context(method, &ctx));
        return ctx;
}

/* A host program that knows nothing of mproc, and a plug-in of it that uses mproc. */
HELPER_WITHOUT_INIT(uses_mproc_exec)
{
        mproc_context *ctx = context_of(argv[1]);
        char *path = exec_path();

        CHECK_OK(mproc_set_executable(path));
        free(path);
        run_plugin(ctx, support_path("target_plugin.so"));
        if (strcmp(argv[1], "fork") != 0)
                expect_no_target(ctx, return_argument, MPROC_EBUILDID, "target_test", "shared object");
        return 0;
}

START_METHOD_TEST(helper_executable_serves_a_library)
{
        char *args[] = { (char *)method, NULL };

        CHECK_INT(wait_program(run_helper("uses_mproc_exec", args, NULL, NULL), LONG_MS), 0);
}

HELPER_WITHOUT_INIT(gives_mproc_exec_up)
{
        char *path = exec_path();
        struct plugin p = load(support_path("target_plugin.so"));

        CHECK_OK(mproc_set_executable(path));
        free(path);
        CHECK_INT(run(context_of(argv[1]), p.answer(), MPROC_ARGS(1)), 3);
        CHECK_OK(mproc_set_executable(NULL));
        if (strcmp(argv[1], "spawn") == 0) {
                mproc_process *q = create(context_of("spawn"), p.answer(), MPROC_ARGS(1));

                CHECK_CODE(mproc_process_start(q), MPROC_EBOOTSTRAP);
                mproc_process_free(q);
        }
        return 0;
}

START_METHOD_TEST(without_the_helper_executable_the_error_is_back)
{
        char *args[] = { (char *)method, NULL };

        CHECK_INT(wait_program(run_helper("gives_mproc_exec_up", args, NULL, NULL), LONG_MS), 0);
}

TEST(helper_executable_started_by_hand_says_what_it_is)
{
        char *path = exec_path(), *command = text_format("'%s' 2>&1; echo $?", path);
        char *argv[] = { (char *)"sh", (char *)"-c", command, NULL };
        char *text = capture_program(argv, NULL);

        CHECK_CONTAINS(text, "libmproc");
        CHECK_CONTAINS(text, "\n2\n");
        free(text);
        free(command);
        free(path);
}

/* Somebody types an argument that is the library's own. */
TEST(own_arguments_typed_by_hand_are_refused)
{
        const char *own[] = { "--mproc-child", "--mproc-forkserver", "--mproc-tracker" };

        for (int i = 0; i < 3; i++) {
                char *command = text_format("'%s' %s x 2>&1 3</dev/null; echo $?; '%s' %s 2>&1 3<&-; echo $?",
                                            support_path("target_prog"), own[i], support_path("target_prog"), own[i]);
                char *argv[] = { (char *)"sh", (char *)"-c", command, NULL };
                char *text = capture_program(argv, NULL);

                CHECK_CONTAINS(text, own[i]);
                CHECK_CONTAINS(text, "\n2\n");
                free(text);
                free(command);
        }
}

/* --- before mproc_init
 * ---------------------------------------------------------------------------------------------------------- */

HELPER_WITHOUT_INIT(never_calls_init)
{
        mproc_process *p;
        mproc_context *ctx = context_of(argv[1]);

        if (strcmp(argv[1], "fork") == 0)
                return run(ctx, return_argument, MPROC_ARGS(0)); /* needs none */
        p = create(ctx, return_argument, MPROC_ARGS(0));
        for (int i = 0; i < 2; i++) {
                CHECK_CODE(mproc_process_start(p), MPROC_EBOOTSTRAP);
                CHECK_CONTAINS(mproc_last_error(), "mproc_init(argc, argv)");
                CHECK_CONTAINS(mproc_last_error(), "mproc_set_executable");
        }
        mproc_process_free(p);
        CHECK_INT(count_children(), 0);
        return 0;
}

START_METHOD_TEST(without_init_nothing_is_started)
{
        char *args[] = { (char *)method, NULL };

        CHECK_INT(wait_program(run_helper("never_calls_init", args, NULL, NULL), LONG_MS), 0);
}

/* How often main() ran, and what the first of them said. */
static size_t
run_early(const char *method, const char *how, const char *words)
{
        char *log = path_in(temp_dir(), "log"), *runs, *text;
        char *argv[] = { (char *)support_path("early_prog"), (char *)method, log, (char *)how, NULL };
        size_t count;
        int exitcode;

        (void)unlink(log);
        text = capture_program(argv, &exitcode);
        runs = read_file(log, &count);
        CHECK_CONTAINS(text, words);
        CHECK_MSG(exitcode != 99 && count < 20, "main() ran %zu times", count);
        CHECK_INT(exitcode, 0);
        free(runs);
        free(text);
        free(log);
        return count;
}

START_METHOD_TEST(start_before_init_is_the_bootstrapping_error)
{
        if (strcmp(method, "fork") == 0)
                SKIP("a fork runs no main()");
        CHECK_INT(run_early(method, "then init", "start: MPROC_EBOOTSTRAP"), 1);
        CHECK_INT(run_early(method, "never", "start: MPROC_EBOOTSTRAP"), 1);
}

/* It names itself as the executable, so its first start is allowed; its children's are not. */
START_METHOD_TEST(program_that_executes_itself_is_no_bomb)
{
        if (strcmp(method, "fork") == 0)
                SKIP("a fork runs no main()");
        CHECK(run_early(method, "self", "start: ") <= 8);
}

/* --- preparations in objects
 * ---------------------------------------------------------------------------------------------------- */

TEST(fork_server_loads_and_prepares_an_object)
{
        struct plugin p = load(support_path("target_plugin.so"));
        mproc_preload items[] = { { .path = support_path("target_plugin.so") }, { .function = p.prepare() } };

        CHECK_OK(mproc_set_forkserver_preload(items, 2));
        CHECK_INT(run(context_of("forkserver"), p.is_prepared(), MPROC_NO_ARGS), 1);
        CHECK_INT(run(context_of("forkserver"), p.is_prepared(), MPROC_NO_ARGS), 1);
        CHECK_INT(run(context_of("spawn"), p.is_prepared(), MPROC_NO_ARGS), 0);
        dlclose(p.handle);
}
