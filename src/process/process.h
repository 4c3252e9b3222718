/* SPDX-License-Identifier: MIT */
/* process/process.h - the parent of this process, as parent_process() sees it. */
#ifndef MPROC_PROCESS_PROCESS_H
#define MPROC_PROCESS_PROCESS_H

#include <stdint.h>

/* 0 when it is dead, MPROC_ETIMEDOUT with words. */
int mproc__parent_wait(int64_t deadline_ns);

/* Readable when it is dead; opened on first need, kept.  With words. */
int mproc__parent_sentinel(void);

#endif
