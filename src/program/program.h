/* SPDX-License-Identifier: MIT */
/*
 * program/program.h - the processes that belong together.
 *
 * A program is a first process and all its descendants by mproc.  What holds it
 * together is the beacon: a file without a name, whose open file description every
 * process of the program inherits, and which holds a read lock (F_OFD_SETLK).  The
 * lock lives exactly as long as the last of them, whatever kills them, and
 * anybody who can open the file can ask without touching anything.  When the
 * program creates its first named object the beacon gets a name
 * (/dev/shm/mproc-UID.ID), so that strangers can ask too.
 *
 * Layout of the beacon (sparse):
 *      0         struct mproc__beacon_header
 *      512       what is to be recorded about waits (sync/waits.h), 32 bytes
 *      4096      slots of processes (program/slot.h), 4096 x 64 bytes
 *      266240    waits of processes (sync/waits.h), 4096 x 4096 bytes
 *      17043456  records of named objects (program/names.h)
 */
#ifndef MPROC_PROGRAM_H
#define MPROC_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MPROC__BEACON_SLOTS_AT   4096
#define MPROC__BEACON_SLOT_BYTES 64
#define MPROC__BEACON_OPTION_AT  512
#define MPROC__BEACON_WAITS_AT   266240
#define MPROC__BEACON_WAIT_BYTES 4096 /* for each slot */
#define MPROC__BEACON_NAMES_AT   17043456

struct mproc__program_id {
        uint8_t bytes[16];
};

/*
 * This process's beacon, made on first need (in a child: taken from its
 * bootstrap channel).  *ret_fd stays open for the life of the process and
 * is never duplicated and closed within it (record locks would be lost).
 * With words: MPROC_EPROGRAM, -EMFILE, ...
 */
int mproc__program_beacon(int *ret_fd);

/*
 * For whoever makes an object whose users are told by their slots: there has to be a beacon before a
 * child can inherit the object, or parent and child would each make their own and not know each other.
 * Children inherit it, so it is enough to have asked once.  With words, as above.
 */
int mproc__program_need_beacon(void);

/* The program's identity; makes the beacon on first need. */
int mproc__program_identity(struct mproc__program_id *ret_id);

/* start/child.c: where this process's beacon will come from, when it is needed. */
void mproc__program_set_source(int (*take)(int *ret_fd));

/* start/forked.c: in a forked child; the beacon is inherited, record locks are not. */
void mproc__program_forked(void);

#endif
