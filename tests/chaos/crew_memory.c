/* SPDX-License-Identifier: MIT */
/*
 * chaos/crew_memory.c - those who add to a value, move units between two items of an array, and make shared memory
 * grow.  No addition is lost, and none is made twice; an array that was left half changed is told; nobody's view
 * breaks.
 *
 * Runs in: test processes.
 */
#include "chaos/chaos.h"

#define PAGE      4096
#define PAGES_MAX 64

struct books {
        atomic_ulong added;
};

static mproc_array *accounts;
static mproc_value *total;
static mproc_shm *shm;
static struct books *books;
static int books_fd;

static void
open_memory(struct crew *crew, mproc_context *ctx)
{
        (void)crew;
        CHECK_OK(mproc_value_create(ctx, MPROC_TYPE(unsigned long), &total));
        CHECK_OK(mproc_array_create(ctx, MPROC_TYPE(long), 2, &accounts));
        CHECK_OK(mproc_shm_create(ctx, NULL, PAGE, &shm));
        books = open_books(sizeof *books, &books_fd);
}

/* Who was killed in here moved one unit, half of one, or none: the next one is told, and makes it whole. */
static void
move_unit(mproc_array *array)
{
        long *account = mproc_array_data(array);
        int r = mproc_array_acquire(array, PATIENCE_MS);

        if (r == MPROC_ETIMEDOUT)
                return;
        CHECK_MSG(r == 0 || r == MPROC_OWNER_DIED, "%s", mproc_last_error());
        if (r == MPROC_OWNER_DIED)
                account[1] = -account[0];
        CHECK_MSG(account[0] + account[1] == 0, "%ld and %ld, and nobody said so", account[0], account[1]);
        account[0]--;
        account[1]++;
        CHECK_OK(mproc_array_release(array));
}

/* Each page ends with a mark that its first user sets. */
static void
grow(mproc_shm *memory)
{
        size_t pages = 1 + dice(PAGES_MAX);
        uint8_t *bytes;

        CHECK_OK(mproc_shm_resize(memory, pages * PAGE));
        bytes = mproc_shm_data(memory);
        for (size_t i = 0; i < pages; i++) {
                uint8_t *mark = &bytes[(i + 1) * PAGE - 1];

                CHECK_MSG(*mark == 0 || *mark == 42, "page %zu ends with %u", i, *mark);
                *mark = 42;
        }
}

static int
work(mproc_args *args)
{
        struct office *office = enter_office(args);
        unsigned crew = (unsigned)mproc_args_uint(args, 1), i = (unsigned)mproc_args_uint(args, 2);
        mproc_value *value = mproc_args_value(args, 3);
        mproc_array *array = mproc_args_array(args, 4);
        mproc_shm *memory = mproc_args_shm(args, 5);
        struct books *b = read_books(mproc_args_fd(args, 6), sizeof *b);

        while (!must_leave(office, i)) {
                CHECK_OK(mproc_value_add(value, 1));
                atomic_fetch_add(&b->added, 1);
                move_unit(array);
                if (dice(100) == 0)
                        grow(memory);
                atomic_fetch_add(&office->progress[crew], 1);
        }
        return 0;
}

static mproc_process *
hire(struct crew *crew, mproc_context *ctx, unsigned i)
{
        mproc_process *process;

        CHECK_OK(mproc_process_create(
                ctx, work, MPROC_ARGS(mproc_fd(office_fd), crew->number, i, total, accounts, shm, mproc_fd(books_fd)),
                &process));
        return process;
}

static void
audit(struct crew *crew, unsigned killed)
{
        long *account = mproc_array_data(accounts);
        unsigned long sum = mproc_value_uint(total);
        int r = mproc_array_acquire(accounts, PATIENCE_MS);

        CHECK_MSG(sum >= books->added && sum - books->added <= killed, "%lu added, the value is %lu, %u killed",
                  books->added, sum, killed);
        CHECK_MSG(r == 0 || r == MPROC_OWNER_DIED, "%s", mproc_last_error());
        CHECK_MSG(r == MPROC_OWNER_DIED || account[0] + account[1] == 0, "%ld and %ld, and nobody said so",
                  account[0], account[1]);
        CHECK_OK(mproc_array_release(accounts));
        grow(shm);
        crew->sum += sum;
}

static void
close_memory(struct crew *crew)
{
        (void)crew;
        mproc_value_free(total);
        mproc_array_free(accounts);
        mproc_shm_free(shm);
        close_books(books, sizeof *books, books_fd);
}

CREW(memory, .workers = 3, .open = open_memory, .hire = hire, .audit = audit, .close = close_memory,
     .what = "additions")
