/* SPDX-License-Identifier: MIT */
/*
 * core/tls.h - variables of each thread that are found without a call.
 *
 * glibc keeps room for some such variables of libraries that are loaded late, about 1600 bytes, and all
 * of ours have to fit into that (tests/consumer.sh).  musl does not.
 */
#ifndef MPROC_CORE_TLS_H
#define MPROC_CORE_TLS_H

#include <limits.h> /* which says whether this is glibc */

#if defined __GLIBC__
#define MPROC__TLS __attribute__((tls_model("initial-exec")))
#else
#define MPROC__TLS
#endif

#endif
