/* SPDX-License-Identifier: MIT */
/*
 * crash/steps_memory.c - deaths inside the operations of shared memory, values and arrays.
 *
 * Runs in: test processes.
 */
#include "crash/crash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096

static mproc_value *value;
static mproc_array *array;
static mproc_shm *shm, *keeper;
static char name[64];

/* --- values and arrays -------------------------------------------------------------------------------------- */

static void
do_add(void)
{
        (void)mproc_value_add(value, 1);
}

/* It is added or it is not, and the next one adds as ever. */
SCENE(add_to_a_value)
{
        enum fate fate;
        int64_t before;

        scene_open();
        CHECK_OK(mproc_value_create(scene_context, MPROC_TYPE(short), &value));
        scene_keep(value, mproc_value_free);
        CHECK_OK(mproc_value_set(value, 255));
        fate = step_and_kill(make_victim(do_add), steps);
        CHECK_OK(mproc_value_add_int(value, 1000, &before));
        CHECK_MSG(before == 255 || before == 256, "255 and 1, or nothing, make %d", (int)before);
        CHECK_INT(mproc_value_int(value), before + 1000);
        return fate;
}

static void
do_move(void)
{
        int *item = mproc_array_data(array);
        int r = mproc_array_acquire(array, MPROC_FOREVER);

        if (r < 0)
                return;
        item[0]--;
        item[1]++;
        (void)mproc_array_release(array);
}

/* Whoever acquires next is told, if the sum may be wrong. */
SCENE(work_on_an_array_under_its_lock)
{
        enum fate fate;
        int *item, r;

        scene_open();
        CHECK_OK(mproc_array_create(scene_context, MPROC_TYPE(int), 2, &array));
        scene_keep(array, mproc_array_free);
        fate = step_and_kill(make_victim(do_move), steps);
        r = mproc_array_acquire(array, scaled_ms(SERVED_MS));
        CHECK(r == 0 || r == MPROC_OWNER_DIED);
        item = mproc_array_data(array);
        CHECK_MSG(r == MPROC_OWNER_DIED || item[0] + item[1] == 0, "%d and %d, and nobody said so", item[0], item[1]);
        CHECK_OK(mproc_array_release(array));
        return fate;
}

/* --- shared memory ---------------------------------------------------------------------------------------- */

static void
do_grow(void)
{
        (void)mproc_shm_resize(shm, 9 * PAGE);
}

SCENE(make_shared_memory_grow)
{
        enum fate fate;
        char *bytes;

        scene_open();
        CHECK_OK(mproc_shm_create(scene_context, NULL, 3 * PAGE, &shm));
        scene_keep(shm, mproc_shm_free);
        fate = step_and_kill(make_victim(do_grow), steps);
        bytes = mproc_shm_data(shm);
        memset(bytes, 1, 3 * PAGE);
        CHECK_OK(mproc_shm_resize(shm, 0));
        CHECK_MSG(mproc_shm_size(shm) == 3 * PAGE || mproc_shm_size(shm) == 9 * PAGE, "it has %zu bytes",
                  mproc_shm_size(shm));
        CHECK_OK(mproc_shm_resize(shm, 12 * PAGE));
        CHECK_INT(((char *)mproc_shm_data(shm))[3 * PAGE - 1], 1);
        CHECK_INT(((char *)mproc_shm_data(shm))[12 * PAGE - 1], 0);
        return fate;
}

/* A program that has a name has a tracker and a table: what is stepped through is naming, and not that. */
static void
open_scene_of_names(void)
{
        scene_open();
        (void)snprintf(name, sizeof name, "/crash-steps-%d-keeper", (int)getpid());
        if (!keeper)
                CHECK_OK(mproc_shm_create(scene_context, name, 1, &keeper));
        (void)snprintf(name, sizeof name, "/crash-steps-%d", (int)getpid());
}

static void
close_scene_of_names(void)
{
        char *kept = text_format("%s-keeper", name);

        mproc_shm_free(keeper);
        keeper = NULL;
        CHECK_OK(mproc_shm_unlink(kept));
        free(kept);
}

static void
do_create_named(void)
{
        (void)mproc_shm_create(scene_context, name, 3 * PAGE, &shm);
}

/* The name means memory that is whole, or it is free. */
SCENE(give_shared_memory_a_name)
{
        enum fate fate;
        int r;

        open_scene_of_names();
        fate = step_and_kill(make_victim(do_create_named), steps);
        r = mproc_shm_create(scene_context, name, PAGE, &shm);
        if (r == -EEXIST) {
                CHECK_OK(mproc_shm_attach(scene_context, name, &shm));
                CHECK_INT(mproc_shm_size(shm), 3 * PAGE);
        } else {
                CHECK_OK(r);
                CHECK_INT(mproc_shm_size(shm), PAGE);
        }
        CHECK_INT(*(char *)mproc_shm_data(shm), 0);
        mproc_shm_free(shm);
        CHECK_OK(mproc_shm_unlink(name));
        close_scene_of_names();
        return fate;
}

static void
do_unlink(void)
{
        (void)mproc_shm_unlink(name);
}

SCENE(unlink_shared_memory)
{
        enum fate fate;
        int r;

        open_scene_of_names();
        CHECK_OK(mproc_shm_create(scene_context, name, PAGE, &shm));
        fate = step_and_kill(make_victim(do_unlink), steps);
        *(char *)mproc_shm_data(shm) = 1;
        mproc_shm_free(shm);
        r = mproc_shm_unlink(name);
        CHECK(r == 0 || r == -ENOENT);
        CHECK_OK(mproc_shm_create(scene_context, name, PAGE, &shm));
        mproc_shm_free(shm);
        CHECK_OK(mproc_shm_unlink(name));
        close_scene_of_names();
        return fate;
}
