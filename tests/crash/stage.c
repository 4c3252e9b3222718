/* SPDX-License-Identifier: MIT */
/*
 * crash/stage.c - see stage.h.
 *
 * Runs in: test processes and their forked children.
 */
#include "crash/stage.h"

#include <unistd.h>

struct stage stage;

void
stage_open(size_t maxsize, unsigned permits)
{
        scene_open();
        CHECK_OK(mproc_queue_create(scene_context, maxsize, &stage.queue));
        scene_keep(stage.queue, mproc_queue_free);
        CHECK_OK(mproc_lock_create(scene_context, &stage.lock));
        scene_keep(stage.lock, mproc_lock_free);
        CHECK_OK(mproc_semaphore_create(scene_context, NULL, permits, &stage.semaphore));
        scene_keep(stage.semaphore, mproc_semaphore_free);
}

int
put_number(uint32_t number, int64_t timeout_ms)
{
        uint32_t text[TEXT / 4];

        mark();
        for (uint32_t i = 0; i < TEXT / 4; i++)
                text[i] = number * 1000 + i;
        return mproc_queue_put(stage.queue, text, sizeof text, timeout_ms);
}

int
get_number(uint32_t *ret_number, int64_t timeout_ms)
{
        uint32_t text[TEXT / 4];
        size_t len;
        int r;

        mark();
        r = mproc_queue_get(stage.queue, text, sizeof text, &len, timeout_ms);
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

        CHECK_OK(mproc_queue_qsize(stage.queue, &n));
        return n;
}

void
do_get(void)
{
        uint32_t number = 0;

        board->result[current_helper] = get_number(&number, MPROC_FOREVER);
        board->value[current_helper] = number;
}

void
do_get_quietly(void)
{
        uint32_t number;

        (void)get_number(&number, MPROC_FOREVER);
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
do_acquire(void)
{
        (void)mproc_lock_acquire(stage.lock, MPROC_FOREVER);
}

void
do_release(void)
{
        (void)mproc_lock_release(stage.lock);
}

void
do_acquire_and_release(void)
{
        board->result[current_helper] = mproc_lock_acquire(stage.lock, MPROC_FOREVER);
        (void)mproc_lock_release(stage.lock);
}

void
do_wait_permit(void)
{
        board->result[current_helper] = mproc_semaphore_acquire(stage.semaphore, MPROC_FOREVER);
}

void
do_release_permit(void)
{
        (void)mproc_semaphore_release(stage.semaphore);
}

void
serve_consumer(int i, uint32_t number)
{
        (void)usleep(300);
        if (!board->done[i] && queued() == 0) {
                (void)usleep(2000); /* a message that is just being taken is not queued either */
                if (!board->done[i])
                        CHECK_OK(put_number(number, scaled_ms(SERVED_MS)));
        }
        CHECK_MSG(helped(i), "a message is there, and the consumer sleeps");
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
        CHECK(mproc_lock_acquire(stage.lock, scaled_ms(SERVED_MS)) >= 0);
        CHECK_OK(mproc_lock_release(stage.lock));
        CHECK_OK(mproc_lock_acquire(stage.lock, scaled_ms(SERVED_MS)));
        CHECK_OK(mproc_lock_release(stage.lock));
        CHECK_CODE(mproc_lock_release(stage.lock), MPROC_ERELEASED);
}
