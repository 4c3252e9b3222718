/* SPDX-License-Identifier: MIT */
/*
 * crash/points_names.c - deaths of programs that make named objects, and of their trackers: whenever it was, no
 * name is left once another program has come and gone.
 *
 * Runs in: test processes, with a library that has the points.
 */
#include "crash/points.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A program that dies at a point, or whose tracker does; argv: the point or "", and two names, of which it leaves
 * one. */
HELPER(namer)
{
        mproc_semaphore *semaphore;
        char plan[100];

        CHECK(argc == 4 && snprintf(plan, sizeof plan, "%s=kill", argv[1]) < (int)sizeof plan);
        if (argv[1][0])
                CHECK(setenv("MPROC_POINT", plan, 1) == 0);
        for (int i = 2; i < 4; i++)
                CHECK_OK(mproc_semaphore_create(NULL, argv[i], 1, &semaphore));
        CHECK_OK(mproc_semaphore_unlink(argv[2]));
        _exit(0);
}

static bool
exists(const char *name)
{
        char *path = text_format("/dev/shm/%s.sem.%s", shm_prefix(), name + 1);
        bool found = access(path, F_OK) == 0;

        free(path);
        return found;
}

static int
run_namer(const char *point, char *name1, char *name2)
{
        char *args[] = { (char *)(uintptr_t)point, name1, name2, NULL };

        return wait_program(run_helper("namer", args, NULL, NULL), 20000);
}

static void
die_naming(const char *point, bool tracker_dies)
{
        char *name[4];

        for (int i = 0; i < 4; i++)
                name[i] = text_format("/mproc-point-%d-%d", (int)getpid(), i);
        CHECK_INT(run_namer(point, name[0], name[1]), tracker_dies ? 0 : -SIGKILL);
        CHECK_INT(run_namer("", name[2], name[3]), 0);
        WAIT_UNTIL(!exists(name[0]) && !exists(name[1]) && !exists(name[2]) && !exists(name[3]), 20000);
        for (int i = 0; i < 4; i++)
                free(name[i]);
}

TEST(death_of_programs_with_names)
{
        die_naming("names.publish.recorded", false);
        die_naming("names.publish.linked", false);
        die_naming("names.unlink.removed", false);
        die_naming("tracker.start.spawned", false);
}

TEST(death_of_trackers)
{
        die_naming("names.sweep.swept", true);
        die_naming("tracker.swept", true);
}
