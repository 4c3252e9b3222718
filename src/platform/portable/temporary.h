/* SPDX-License-Identifier: MIT */
/* platform/portable/temporary.h - names that last for a moment, all of one pattern so that they can be swept. */
#ifndef MPROC_PLATFORM_TEMPORARY_H
#define MPROC_PLATFORM_TEMPORARY_H

#include "platform/store.h"

#include <stddef.h>

#define MPROC__TEMPORARY_FORMAT MPROC__STORE_PREFIX "-%lu.t." /* the user */
#define MPROC__TEMPORARY_FOLDER "/dev/shm"                    /* where shm_open, too, has them */

/* DIRECTORY/mproc-UID.t.RANDOM; "" for the directory gives a name for shm_open.  0 or -errno. */
int mproc__temporary_name(const char *directory, char *ret_path, size_t size);

#endif
