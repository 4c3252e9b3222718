/* SPDX-License-Identifier: MIT */
/* core/log.h - telling the log hook; see mproc_set_log. */
#ifndef MPROC_CORE_LOG_H
#define MPROC_CORE_LOG_H

#include <mproc/error.h>

/* Format and hand to the hook, if one is set.  Call with no lock held.  Keeps errno. */
void mproc__log(enum mproc_log_level level, const char *format, ...) MPROC_PRINTF(2, 3);

#endif
