/* SPDX-License-Identifier: MIT */
/*
 * core/point.h - named places in the shared algorithms where a test may strike.
 *
 * MPROC_POINT("queue.put.copied") is nothing, unless the library is built with
 * -DMPROC_POINTS.  Then the environment variable MPROC_POINT of the process that
 * comes by tells what happens there: "NAME=kill" ends it with SIGKILL, "NAME=stop"
 * stops it; "NAME=kill@3" does so at the third time.  Nothing in a release.
 */
#ifndef MPROC_CORE_POINT_H
#define MPROC_CORE_POINT_H

#ifdef MPROC_POINTS
void mproc__point(const char *name);
#define MPROC_POINT(name) mproc__point(name)
#else
#define MPROC_POINT(name) ((void)0)
#endif

#endif
