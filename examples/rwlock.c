/* SPDX-License-Identifier: MIT */
/*
 * rwlock.c - a reader-writer lock, built from a condition.
 * Usage: rwlock [fork|spawn|forkserver]
 *
 * Any number of readers at a time, or one writer alone; a writer who waits keeps new readers out, so
 * that he is not left waiting for ever.  What the lock knows of them lies in a file that all map; the
 * condition's own lock guards it, and is held for moments only.
 *
 * Two numbers are always the same, except in the middle of a writer's work.  Readers look.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define READERS 4
#define WRITERS 2
#define LOOKS   200
#define CHANGES 50

/* In the file.  A program that expects its readers to be killed would note here who they are. */
struct shared {
        int reading, writing, writers_waiting;
        int one, other;
};

struct rwlock {
        mproc_condition *changed;
        struct shared *shared;
};

/* --- the lock ------------------------------------------------------------------------------------------- */

static int
may_read(void *arg)
{
        struct shared *s = arg;

        return !s->writing && s->writers_waiting == 0;
}

static int
may_write(void *arg)
{
        struct shared *s = arg;

        return !s->writing && s->reading == 0;
}

static int
begin_reading(struct rwlock *l)
{
        int r = mproc_condition_acquire(l->changed, MPROC_FOREVER);

        if (r < 0)
                return r;
        if ((r = mproc_condition_wait_for(l->changed, may_read, l->shared, MPROC_FOREVER)) == 0)
                l->shared->reading++;
        mproc_condition_release(l->changed);
        return r;
}

static int
end_reading(struct rwlock *l)
{
        int r = mproc_condition_acquire(l->changed, MPROC_FOREVER);

        if (r < 0)
                return r;
        if (--l->shared->reading == 0)
                r = mproc_condition_notify_all(l->changed);
        mproc_condition_release(l->changed);
        return r;
}

static int
begin_writing(struct rwlock *l)
{
        int r = mproc_condition_acquire(l->changed, MPROC_FOREVER);

        if (r < 0)
                return r;
        l->shared->writers_waiting++;
        r = mproc_condition_wait_for(l->changed, may_write, l->shared, MPROC_FOREVER);
        l->shared->writers_waiting--;
        if (r == 0)
                l->shared->writing = 1;
        mproc_condition_release(l->changed);
        return r;
}

static int
end_writing(struct rwlock *l)
{
        int r = mproc_condition_acquire(l->changed, MPROC_FOREVER);

        if (r < 0)
                return r;
        l->shared->writing = 0;
        r = mproc_condition_notify_all(l->changed);
        mproc_condition_release(l->changed);
        return r;
}

/* --- those who use it ------------------------------------------------------------------------------------ */

static int
open_lock(mproc_args *args, struct rwlock *l)
{
        l->changed = mproc_args_condition(args, 0);
        l->shared = mmap(NULL, sizeof *l->shared, PROT_READ | PROT_WRITE, MAP_SHARED, mproc_args_fd(args, 1), 0);
        return l->shared == MAP_FAILED ? -errno : 0;
}

static int
look(mproc_args *args)
{
        struct rwlock l;
        int r = open_lock(args, &l);

        for (int i = 0; r == 0 && i < LOOKS; i++) {
                if ((r = begin_reading(&l)) != 0)
                        break;
                if (l.shared->one != l.shared->other)
                        return 3; /* half a change */
                r = end_reading(&l);
        }
        return r;
}

static int
change(mproc_args *args)
{
        struct rwlock l;
        int r = open_lock(args, &l);

        for (int i = 0; r == 0 && i < CHANGES; i++) {
                if ((r = begin_writing(&l)) != 0)
                        break;
                l.shared->one++;
                sched_yield(); /* as good a moment as any to be caught */
                l.shared->other++;
                r = end_writing(&l);
        }
        return r;
}

static void
must(int result)
{
        if (result < 0) {
                fprintf(stderr, "rwlock: %s: %s\n", mproc_strerror(result), mproc_last_error());
                exit(1);
        }
}

int
main(int argc, char **argv)
{
        mproc_process *p[READERS + WRITERS];
        struct shared shared = { 0 };
        mproc_condition *changed;
        mproc_context *ctx;
        int exitcode, bad = 0;
        FILE *file;

        mproc_init(argc, argv);
        must(mproc_get_context(argc > 1 ? argv[1] : NULL, &ctx));
        if (!(file = tmpfile()) || pwrite(fileno(file), &shared, sizeof shared, 0) != sizeof shared) {
                perror("rwlock: a file");
                return 1;
        }
        must(mproc_condition_create(ctx, NULL, &changed));
        for (int i = 0; i < READERS + WRITERS; i++) {
                must(mproc_process_create(ctx, i < READERS ? look : change,
                                          MPROC_ARGS(changed, mproc_fd(fileno(file))), &p[i]));
                must(mproc_process_start(p[i]));
        }
        for (int i = 0; i < READERS + WRITERS; i++) {
                must(mproc_process_join(p[i], MPROC_FOREVER));
                must(mproc_process_exitcode(p[i], &exitcode));
                bad |= exitcode;
                mproc_process_free(p[i]);
        }
        if (bad != 0 || pread(fileno(file), &shared, sizeof shared, 0) != sizeof shared ||
            shared.one != WRITERS * CHANGES) {
                fprintf(stderr, "rwlock: somebody saw or left half a change\n");
                return 1;
        }
        printf("%d readers looked %d times, %d writers wrote %d times, and nobody saw half a change\n", READERS,
               READERS * LOOKS, WRITERS, WRITERS * CHANGES);
        mproc_condition_free(changed);
        fclose(file);
        return 0;
}
