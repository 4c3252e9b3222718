/* SPDX-License-Identifier: MIT */
/* channel/message.h - sending a frame of any kind, for those beside message.c who do. */
#ifndef MPROC_CHANNEL_MESSAGE_H
#define MPROC_CHANNEL_MESSAGE_H

#include "channel/connection.h"
#include "wire/frame.h"

/* As mproc_connection_send_fds; the lengths have been checked. */
int mproc__message_send(struct mproc_connection *connection, enum mproc__frame_kind kind, const void *data,
                        size_t len, const int *fds, size_t nfds, int64_t deadline);

#endif
