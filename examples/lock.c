/* SPDX-License-Identifier: MIT */
/*
 * lock.c - a lock between processes, and an owner that dies with it.
 * Usage: lock [fork|spawn|forkserver]
 *
 * Children add to a number in a file, each under the lock; without the lock
 * some additions would be lost.  One child then dies while it holds the lock:
 * the next owner gets it all the same, and is told.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHILDREN 4
#define TIMES    1000

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "lock: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

static int
count(mproc_args *args)
{
        mproc_lock *lock = mproc_args_lock(args, 0);
        int file = mproc_args_fd(args, 1), number, r;

        for (int i = 0; i < TIMES; i++) {
                if ((r = mproc_lock_acquire(lock, MPROC_FOREVER)) < 0)
                        return r;
                if (pread(file, &number, sizeof number, 0) != sizeof number)
                        return -EIO;
                number++;
                if (pwrite(file, &number, sizeof number, 0) != sizeof number)
                        return -EIO;
                if ((r = mproc_lock_release(lock)) < 0)
                        return r;
        }
        return 0;
}

static int
die_with_it(mproc_args *args)
{
        int r = mproc_lock_acquire(mproc_args_lock(args, 0), MPROC_FOREVER);

        if (r < 0)
                return r;
        _exit(0);
}

int
main(int argc, char **argv)
{
        mproc_process *children[CHILDREN], *last;
        mproc_context *ctx;
        mproc_lock *lock;
        int number = 0, r;
        FILE *file;

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : NULL, &ctx));
        must(mproc_lock_create(ctx, &lock));
        if ((file = tmpfile()) == NULL || pwrite(fileno(file), &number, sizeof number, 0) != sizeof number) {
                perror("lock");
                return 1;
        }

        for (int i = 0; i < CHILDREN; i++) {
                must(mproc_process_create(ctx, count, MPROC_ARGS(lock, mproc_fd(fileno(file))), &children[i]));
                must(mproc_process_start(children[i]));
        }
        for (int i = 0; i < CHILDREN; i++) {
                must(mproc_process_join(children[i], MPROC_FOREVER));
                mproc_process_free(children[i]);
        }
        if (pread(fileno(file), &number, sizeof number, 0) == sizeof number)
                printf("%d children counted to %d\n", CHILDREN, number);

        must(mproc_process_create(ctx, die_with_it, MPROC_ARGS(lock), &last));
        must(mproc_process_start(last));
        must(mproc_process_join(last, MPROC_FOREVER));
        must(r = mproc_lock_acquire(lock, MPROC_FOREVER));
        printf("%s\n", r == MPROC_OWNER_DIED ? "the lock is ours: its last owner died with it" : "the lock is ours");
        must(mproc_lock_release(lock));

        mproc_process_free(last);
        mproc_lock_free(lock);
        fclose(file);
        return 0;
}
