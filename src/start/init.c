/* SPDX-License-Identifier: MIT */
/*
 * start/init.c - mproc_init: where a process that mproc executes finds its work.
 *
 * Runs in: every process that calls it.  Owns: nothing.
 */
#include "platform/memory.h"
#include "program/executable.h"
#include "start/child.h"
#include "start/forkserver.h"
#include "tracker/tracker.h"

#include <alloca.h>
#include <fcntl.h>
#include <mproc/context.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Somebody typed an argument that is ours: there is nobody to report to. */
static void
demand(bool ok, const char *argument)
{
        if (ok)
                return;
        (void)fprintf(stderr, "%s: this argument is for processes that mproc starts itself\n", argument);
        exit(2);
}

static bool
is_socket(int fd, int wanted)
{
        int type = 0;
        socklen_t len = sizeof type;

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == wanted;
}

/*
 * The server's children write again over its stack from here on, and each page that they come to is copied:
 * so it begins with a page.
 */
static __attribute__((noinline)) void
serve(void)
{
        size_t above = (uintptr_t)__builtin_frame_address(0) % mproc__memory_page();
        void *unused = alloca(above + 1);

        __asm__ volatile("" : : "r"(unused) : "memory");
        mproc__child_main(mproc__forkserver_main(MPROC__FD_INHERITED)); /* in the server's children */
}

void
mproc_init(int argc, char **argv)
{
        struct stat st;

        mproc__executable_initialised(argc > 0 ? argv[0] : NULL);
        if (argc < 2)
                return;
        if (strcmp(argv[1], MPROC__ARG_CHILD) == 0) {
                demand(is_socket(MPROC__FD_INHERITED, SOCK_SEQPACKET), argv[1]);
                (void)fcntl(MPROC__FD_INHERITED, F_SETFD, FD_CLOEXEC);
                mproc__child_main(MPROC__FD_INHERITED);
        }
        if (strcmp(argv[1], MPROC__ARG_FORKSERVER) == 0) {
                demand(is_socket(MPROC__FD_INHERITED, SOCK_SEQPACKET), argv[1]);
                serve();
        }
        if (strcmp(argv[1], MPROC__ARG_TRACKER) == 0) {
                demand(fstat(MPROC__FD_INHERITED, &st) == 0 && S_ISREG(st.st_mode), argv[1]);
                mproc__tracker_main();
        }
}
