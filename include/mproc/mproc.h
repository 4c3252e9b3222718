/* SPDX-License-Identifier: MIT */
/* mproc/mproc.h - the whole of mproc: multiprocessing for C. */
#ifndef MPROC_MPROC_H
#define MPROC_MPROC_H

#include <mproc/version.h>
#include <mproc/error.h>
#include <mproc/context.h>
#include <mproc/args.h>
#include <mproc/process.h>
#include <mproc/connection.h>
#include <mproc/queue.h>
#include <mproc/simple_queue.h>
#include <mproc/lease.h>
#include <mproc/queue_args.h>
#include <mproc/joinable_queue.h>
#include <mproc/sync.h>
#include <mproc/event.h>
#include <mproc/condition.h>
#include <mproc/barrier.h>
#include <mproc/deadlock.h>
#include <mproc/shm.h>
#include <mproc/heap.h>
#include <mproc/array.h>
#include <mproc/task.h>
#include <mproc/future.h>
#include <mproc/pool.h>

#endif
