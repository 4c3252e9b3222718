/* SPDX-License-Identifier: MIT */
/*
 * mproc-exec - the program that runs children of programs which cannot.
 *
 * A library that uses mproc inside a host program whose main() does not call
 * mproc_init gives this program to mproc_set_executable.  All its work is done
 * inside mproc_init, which loads the target's shared object and never returns.
 *
 * Runs in: children of spawn and forkserver, the fork server, the tracker.
 */
#include <mproc/mproc.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
        mproc_init(argc, argv);
        fputs("mproc-exec: this helper is started by libmproc, see mproc_set_executable(3); it has no use by "
              "itself\n",
              stderr);
        return 2;
}
