/* SPDX-License-Identifier: MIT */
/*
 * channel/args_objects.c - the getters of a target's arguments that are objects.
 *
 * Runs in: child.  Owns: nothing; the handles belong to the arguments.
 */
#include "channel/connection.h"
#include "channel/queue.h"
#include "memory/array.h"
#include "memory/heap.h"
#include "memory/shm.h"
#include "memory/value.h"
#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/lock.h"
#include "sync/rlock.h"
#include "sync/semaphore.h"
#include "wire/args.h"

mproc_queue *
mproc_args_queue(mproc_args *args, size_t index)
{
        return (mproc_queue *)mproc__args_object(args, index, &mproc__queue_type);
}

mproc_connection *
mproc_args_connection(mproc_args *args, size_t index)
{
        return (mproc_connection *)mproc__args_object(args, index, &mproc__connection_type);
}

mproc_lock *
mproc_args_lock(mproc_args *args, size_t index)
{
        return (mproc_lock *)mproc__args_object(args, index, &mproc__lock_type);
}

mproc_semaphore *
mproc_args_semaphore(mproc_args *args, size_t index)
{
        return (mproc_semaphore *)mproc__args_object(args, index, &mproc__semaphore_type);
}

mproc_rlock *
mproc_args_rlock(mproc_args *args, size_t index)
{
        return (mproc_rlock *)mproc__args_object(args, index, &mproc__rlock_type);
}

mproc_event *
mproc_args_event(mproc_args *args, size_t index)
{
        return (mproc_event *)mproc__args_object(args, index, &mproc__event_type);
}

mproc_condition *
mproc_args_condition(mproc_args *args, size_t index)
{
        return (mproc_condition *)mproc__args_object(args, index, &mproc__condition_type);
}

mproc_barrier *
mproc_args_barrier(mproc_args *args, size_t index)
{
        return (mproc_barrier *)mproc__args_object(args, index, &mproc__barrier_type);
}

mproc_shm *
mproc_args_shm(mproc_args *args, size_t index)
{
        return (mproc_shm *)mproc__args_object(args, index, &mproc__shm_type);
}

mproc_array *
mproc_args_array(mproc_args *args, size_t index)
{
        return (mproc_array *)mproc__args_object(args, index, &mproc__array_type);
}

mproc_value *
mproc_args_value(mproc_args *args, size_t index)
{
        return (mproc_value *)mproc__args_object(args, index, &mproc__value_type);
}

mproc_heap *
mproc_args_heap(mproc_args *args, size_t index)
{
        return (mproc_heap *)mproc__args_object(args, index, &mproc__heap_type);
}
