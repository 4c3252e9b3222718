/* SPDX-License-Identifier: MIT */
/* start/preload.h - what the fork server prepares before its first fork. */
#ifndef MPROC_START_PRELOAD_H
#define MPROC_START_PRELOAD_H

#include "wire/codec.h"

/* The list as it stands; the child's process inherits it so that it can start a server, too.  With words. */
int mproc__preload_encode(struct mproc__encoder *encoder);

/* Child: remember it.  Fork server: carry it out.  With words. */
int mproc__preload_inherit(struct mproc__decoder *decoder);
int mproc__preload_run(struct mproc__decoder *decoder);

#endif
