/* SPDX-License-Identifier: MIT */
/*
 * start/status.c - see status.h.
 *
 * Runs in: child, fork server.  Owns: nothing.
 */
#include "start/status.h"
#include "platform/platform.h"
#include "wire/fdpass.h"

#include <string.h>
#include <unistd.h>

void
mproc__status_send(int channel, struct mproc__status *status, const char *step, const char *text, int fd)
{
        size_t len = text ? strlen(text) : 0;
        struct iovec iov[2];

        if (channel < 0)
                return;
        if (len >= MPROC__STATUS_TEXT_MAX)
                len = MPROC__STATUS_TEXT_MAX - 1;
        if (step)
                (void)strncpy(status->step, step, sizeof status->step - 1); /* the struct came zeroed */
        iov[0] = (struct iovec){ .iov_base = status, .iov_len = sizeof *status };
        iov[1] = (struct iovec){ .iov_base = (void *)(uintptr_t)text, .iov_len = len };
        (void)mproc__send_fds(channel, iov, len ? 2 : 1, &fd, fd >= 0, MPROC__AT_ONCE, NULL);
}
