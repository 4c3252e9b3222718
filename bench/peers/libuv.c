/* SPDX-License-Identifier: MIT */
/* bench/peers/libuv.c - libuv's uv_spawn as a contender.  Runs in: the workers of the peers. */
#include "peers.h"
#include "worker.h"

#include <string.h>
#include <uv.h>

static int64_t exit_status;

static void
on_exit_status(uv_process_t *process, int64_t status, int signal)
{
        exit_status = signal != 0 ? -signal : status;
        uv_close((uv_handle_t *)process, NULL);
}

int
bench_libuv(void)
{
        static uv_loop_t *loop;
        uv_process_options_t options;
        uv_process_t process;
        int r;

        if (loop == NULL)
                loop = uv_default_loop();
        memset(&options, 0, sizeof options);
        options.file = bench_program;
        options.args = bench_child_argv;
        options.exit_cb = on_exit_status;
        exit_status = -1;
        r = uv_spawn(loop, &process, &options);
        if (r != 0) {
                bench_say("libuv: %s", uv_strerror(r));
                uv_close((uv_handle_t *)&process, NULL);
        }
        uv_run(loop, UV_RUN_DEFAULT);
        return r == 0 && exit_status == 0 ? 0 : -1;
}
