/* SPDX-License-Identifier: MIT */
/*
 * tracker/exit.h - how the process that becomes the tracker says that it could not.
 *
 * Its exit codes, with the words that the starter has for them.
 */
#ifndef MPROC_TRACKER_EXIT_H
#define MPROC_TRACKER_EXIT_H

#include <stddef.h>

enum mproc__tracker_exit {
        MPROC__TRACKER_NO_BEACON = 101,
        MPROC__TRACKER_NO_REOPEN = 102,
        MPROC__TRACKER_NO_LOCK = 103,
        MPROC__TRACKER_NO_FORK = 104,
        MPROC__TRACKER_NOT_NEEDED = 105, /* the program has one already: no failure, and not told */
        MPROC__TRACKER_BORN = 106        /* there is a tracker, or was a moment ago */
};

/* "it failed to ..."; NULL: the process was something else than a tracker. */
static inline const char *
mproc__tracker_exit_text(int code)
{
        switch (code) {
        case MPROC__TRACKER_NO_BEACON:
                return "find the program's file at descriptor 3";
        case MPROC__TRACKER_NO_REOPEN:
                return "open the program's file anew (is /proc mounted, and is the user still the one "
                       "who began the program?)";
        case MPROC__TRACKER_NO_LOCK:
                return "lock the program's file";
        case MPROC__TRACKER_NO_FORK:
                return "fork (process limit or memory)";
        case MPROC__TRACKER_BORN:
                return "stay alive: it was killed as soon as it was there, twice";
        default:
                return NULL;
        }
}

#endif
