/* SPDX-License-Identifier: MIT */
/* mproc/version.h - the library's version. */
#ifndef MPROC_VERSION_H
#define MPROC_VERSION_H

#include <mproc/error.h>

#define MPROC_VERSION_MAJOR 0
#define MPROC_VERSION_MINOR 1
#define MPROC_VERSION_PATCH 0
#define MPROC_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is running, as text.  Static storage. */
MPROC_API const char *mproc_version(void);

#ifdef __cplusplus
}
#endif
#endif
