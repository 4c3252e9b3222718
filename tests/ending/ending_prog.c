/* SPDX-License-Identifier: MIT */
/*
 * ending_prog METHOD FILE [PLUGIN] - a plain C program, without constructors, whose child leaves much to exit().
 *
 * The child writes to FILE through a stream that it leaves open, and again in a handler; an
 * object that it loads writes when it is destroyed.  Ends with 0 if the child did.
 */
#include <dlfcn.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *left_open;

static void
say_goodbye(void)
{
        fputs("handler\n", left_open);
}

static int
leave(mproc_args *args)
{
        const char *path = mproc_args_string(args, 0), *plugin = mproc_args_string(args, 1);
        void (*write_to)(const char *);
        void *object;

        if (!(left_open = fopen(path, "ae")) || atexit(say_goodbye) != 0)
                return 1;
        fputs("target\n", left_open);
        if (!*plugin)
                return 0;
        if (!(object = dlopen(plugin, RTLD_NOW)))
                return 2;
        write_to = (void (*)(const char *))(uintptr_t)dlsym(object, "ending_plugin_write_to");
        if (!write_to)
                return 3;
        write_to(path);
        return 0;
}

int
main(int argc, char **argv)
{
        mproc_context *ctx;
        mproc_process *p;
        int exitcode = -1;

        mproc_init(argc, argv);
        if (argc < 3 || mproc_get_context(argv[1], &ctx) < 0 ||
            mproc_process_create(ctx, leave, MPROC_ARGS(argv[2], argc > 3 ? argv[3] : ""), &p) < 0 ||
            mproc_process_start(p) < 0 || mproc_process_join(p, MPROC_FOREVER) < 0 ||
            mproc_process_exitcode(p, &exitcode) < 0)
                fprintf(stderr, "%s\n", mproc_last_error());
        else
                mproc_process_free(p);
        return exitcode;
}
