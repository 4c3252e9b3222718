/* SPDX-License-Identifier: MIT */
/*
 * pass_fd.c - descriptors that travel: as an argument, and beside a message.
 * Usage: pass_fd [fork|spawn|forkserver]
 *
 * The parent opens a file and gives it to a child as an argument.  The child
 * writes into it, then sends the parent the writing end of a pipe of its own
 * beside a message; what the parent writes into that, the child reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "pass_fd: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

/* The same for calls of the system. */
static int
must_sys(int result, const char *what)
{
        if (result < 0) {
                perror(what);
                exit(1);
        }
        return result;
}

static int
child(mproc_args *args)
{
        int file = mproc_args_fd(args, 0); /* belongs to the arguments: closed when this function returns */
        mproc_connection *parent = mproc_args_connection(args, 1);
        char text[64];
        ssize_t len;
        int pipe_fd[2], r;

        if (dprintf(file, "the child was here\n") < 0 || pipe2(pipe_fd, O_CLOEXEC) < 0)
                return -errno;
        r = mproc_connection_send_fds(parent, "write here", sizeof "write here", &pipe_fd[1], 1, MPROC_FOREVER);
        if (r < 0)
                return r;
        close(pipe_fd[1]); /* the parent has its own now */
        if ((len = read(pipe_fd[0], text, sizeof text - 1)) < 0)
                return -errno;
        text[len] = '\0';
        close(pipe_fd[0]);
        return mproc_connection_send(parent, text, (size_t)len + 1, MPROC_FOREVER);
}

int
main(int argc, char **argv)
{
        mproc_connection *here, *there;
        mproc_process *p;
        mproc_context *ctx;
        size_t nfds = 1;
        char text[64] = "";
        FILE *file;
        int fd;

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : NULL, &ctx));
        if ((file = tmpfile()) == NULL)
                must_sys(-1, "tmpfile");

        must(mproc_pipe_create(ctx, &here, &there));
        must(mproc_process_create(ctx, child, MPROC_ARGS(mproc_fd(fileno(file)), there), &p));
        must(mproc_process_start(p)); /* `there` belongs to the child from now on */

        must(mproc_connection_recv_fds(here, text, sizeof text, NULL, &fd, &nfds, MPROC_FOREVER));
        printf("message \"%s\" with %zu descriptor beside it\n", text, nfds);
        must_sys((int)write(fd, "through your pipe", sizeof "through your pipe" - 1), "write");
        close(fd);
        must(mproc_connection_recv(here, text, sizeof text, NULL, MPROC_FOREVER));
        printf("the child read \"%s\"\n", text);

        must(mproc_process_join(p, MPROC_FOREVER));
        rewind(file);
        if (fgets(text, sizeof text, file) != NULL)
                printf("the file says: %s", text);
        fclose(file);
        mproc_process_free(p);
        mproc_connection_free(here);
        mproc_connection_free(there);
        return 0;
}
