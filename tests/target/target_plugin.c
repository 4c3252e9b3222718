/* SPDX-License-Identifier: MIT */
/* A loadable object whose targets are static functions, asked for by name. */
#include <mproc/mproc.h>

static int loaded_and_prepared;

static int
answer(mproc_args *args)
{
        return (int)mproc_args_int(args, 0) + 2;
}

static int
prepare(void)
{
        loaded_and_prepared++;
        return 0;
}

static int
is_prepared(mproc_args *args)
{
        (void)args;
        return loaded_and_prepared;
}

__attribute__((visibility("default"))) mproc_main_fn *plugin_answer(void);
__attribute__((visibility("default"))) mproc_main_fn *plugin_is_prepared(void);
__attribute__((visibility("default"))) int (*plugin_prepare(void))(void);

mproc_main_fn *
plugin_answer(void)
{
        return answer;
}

mproc_main_fn *
plugin_is_prepared(void)
{
        return is_prepared;
}

int (*plugin_prepare(void))(void)
{
        return prepare;
}
