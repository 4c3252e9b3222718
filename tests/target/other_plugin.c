/* SPDX-License-Identifier: MIT */
/* Another build of target_plugin.c: the same names, other code at other places. */
#include <mproc/mproc.h>

static volatile int shifts_what_follows;

static int
answer(mproc_args *args)
{
        for (int i = 0; i < 100; i++)
                shifts_what_follows += i;
        return (int)mproc_args_count(args) + 13;
}

__attribute__((visibility("default"))) mproc_main_fn *plugin_answer(void);

mproc_main_fn *
plugin_answer(void)
{
        return answer;
}
