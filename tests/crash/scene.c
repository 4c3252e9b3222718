/* SPDX-License-Identifier: MIT */
/*
 * crash/scene.c - the scene of crash tests; see crash.h.
 *
 * Runs in: test processes and their forked children.
 */
#include "crash/crash.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct board *board;
struct scene scene;
int current_helper;

void
scene_open(size_t maxsize, unsigned permits)
{
        if (!board) {
                board = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                CHECK(board != MAP_FAILED);
                CHECK_OK(mproc_get_context("fork", &scene.ctx));
        }
        memset(board, 0, sizeof *board);
        CHECK_OK(mproc_queue_create(scene.ctx, maxsize, &scene.queue));
        CHECK_OK(mproc_lock_create(scene.ctx, &scene.lock));
        CHECK_OK(mproc_semaphore_create(scene.ctx, NULL, permits, &scene.semaphore));
}

void
scene_close(void)
{
        for (int i = 0; i < HELPERS; i++)
                if (scene.helper[i] > 0) {
                        kill_and_reap(scene.helper[i]);
                        scene.helper[i] = 0;
                }
        mproc_queue_free(scene.queue);
        mproc_lock_free(scene.lock);
        mproc_semaphore_free(scene.semaphore);
}

int
put_number(uint32_t number, int64_t timeout_ms)
{
        uint32_t text[TEXT / 4];

        for (uint32_t i = 0; i < TEXT / 4; i++)
                text[i] = number * 1000 + i;
        return mproc_queue_put(scene.queue, text, sizeof text, timeout_ms);
}

int
get_number(uint32_t *ret_number, int64_t timeout_ms)
{
        uint32_t text[TEXT / 4];
        size_t len;
        int r = mproc_queue_get(scene.queue, text, sizeof text, &len, timeout_ms);

        if (r < 0)
                return r;
        CHECK_INT(len, TEXT);
        for (uint32_t i = 0; i < TEXT / 4; i++)
                CHECK_MSG(text[i] == text[0] + i, "a torn message");
        *ret_number = text[0] / 1000;
        return 0;
}

size_t
queued(void)
{
        size_t n;

        CHECK_OK(mproc_queue_qsize(scene.queue, &n));
        return n;
}

bool
sleeps(pid_t pid)
{
        for (int i = 0; i < 3; i++) {
                char path[40], text[300], *p;
                FILE *file;
                size_t n;

                (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
                if (!(file = fopen(path, "r")))
                        return false;
                n = fread(text, 1, sizeof text - 1, file);
                (void)fclose(file);
                text[n] = 0;
                p = strrchr(text, ')');
                if (!p || p[2] != 'S')
                        return false;
                (void)usleep(30);
        }
        return true;
}

void
await_sleep_of(pid_t pid)
{
        int64_t end = monotonic_ms() + scaled_ms(20000);

        while (!sleeps(pid) && process_exists(pid)) {
                CHECK_MSG(monotonic_ms() < end, "a helper does not go to sleep");
                (void)usleep(50);
        }
}

void
help(int i, operation *op)
{
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                current_helper = i;
                op();
                board->done[i] = 1;
                _exit(0);
        }
        scene.helper[i] = pid;
        board->done[i] = 0;
        await_sleep_of(pid);
}

bool
helped(int i)
{
        int64_t end = monotonic_ms() + scaled_ms(SERVED_MS);

        while (!board->done[i] && monotonic_ms() < end)
                (void)usleep(20);
        return board->done[i];
}

void
do_get(void)
{
        uint32_t number = 0;

        board->result[current_helper] = get_number(&number, MPROC_FOREVER);
        board->value[current_helper] = number;
}

void
do_put_5(void)
{
        board->result[current_helper] = put_number(5, MPROC_FOREVER);
}

void
do_put_6(void)
{
        board->result[current_helper] = put_number(6, MPROC_FOREVER);
}

void
do_acquire_and_release(void)
{
        board->result[current_helper] = mproc_lock_acquire(scene.lock, MPROC_FOREVER);
        (void)mproc_lock_release(scene.lock);
}

void
do_wait_permit(void)
{
        board->result[current_helper] = mproc_semaphore_acquire(scene.semaphore, MPROC_FOREVER);
}

void
kill_and_reap(pid_t pid)
{
        int status;

        (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, __WALL) != pid || WIFSTOPPED(status))
                ;
}

void
expect_messages(const uint32_t *numbers, size_t count)
{
        uint32_t number;

        CHECK_INT(queued(), count);
        for (size_t i = 0; i < count; i++) {
                CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
                CHECK_INT(number, numbers[i]);
        }
        CHECK_INT(queued(), 0);
        CHECK_OK(put_number(99, scaled_ms(SERVED_MS)));
        CHECK_OK(get_number(&number, scaled_ms(SERVED_MS)));
        CHECK_INT(number, 99);
}

void
expect_lock_works(void)
{
        CHECK(mproc_lock_acquire(scene.lock, scaled_ms(SERVED_MS)) >= 0);
        CHECK_OK(mproc_lock_release(scene.lock));
        CHECK_OK(mproc_lock_acquire(scene.lock, scaled_ms(SERVED_MS)));
        CHECK_OK(mproc_lock_release(scene.lock));
        CHECK_CODE(mproc_lock_release(scene.lock), MPROC_ERELEASED);
}
