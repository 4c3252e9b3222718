/* SPDX-License-Identifier: MIT */
/*
 * start/status.h - what a child (and the fork server about it) tells its parent.
 *
 * One packet each on the channel: the struct, and behind it its text, as long as the packet
 * is.  Told, not answered.
 */
#ifndef MPROC_START_STATUS_H
#define MPROC_START_STATUS_H

#include <stdint.h>

enum mproc__status_kind {
        MPROC__STATUS_HELLO = 0x6d700001, /* fork server: the child exists; its pidfd goes beside it */
        MPROC__STATUS_RUNNING,            /* child: the arguments have arrived, the target begins */
        MPROC__STATUS_FAILED,             /* child or fork server: code, step, text */
        MPROC__STATUS_ENDED,              /* child: exitcode, and code and text if the target failed */
        MPROC__STATUS_EXIT                /* fork server: what wait told about a child that is not ours */
};

#define MPROC__STATUS_TEXT_MAX 480

struct mproc__status {
        uint32_t kind;
        int32_t pid;
        int32_t code;
        int32_t exitcode;
        uint32_t core_dumped;
        uint32_t reserved;
        uint64_t token; /* of the fork server's messages: the request's, which the child does not know */
        int64_t user_us, system_us, maxrss_bytes; /* MPROC__STATUS_EXIT */
        char step[32];                            /* NUL-terminated */
};

/* Send one; never waits, never fails the caller: a parent that is gone needs no news.  fd -1: none. */
void mproc__status_send(int channel, struct mproc__status *status, const char *step, const char *text, int fd);

#endif
