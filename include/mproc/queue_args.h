/* SPDX-License-Identifier: MIT */
/*
 * mproc/queue_args.h - argument lists as messages: numbers, texts, descriptors, and mproc's own objects.
 *
 *      mproc_queue_opts opts = { .objects = 1 };
 *      mproc_queue_create_opts(ctx, &opts, &queue);
 *      ...
 *      mproc_queue_put_args(queue, MPROC_ARGS(connection, "from your neighbour", 7), MPROC_FOREVER);
 *
 *      mproc_queue_get_args(queue, &args, MPROC_FOREVER);
 *      mproc_connection_send(mproc_args_connection(args, 0), ...);
 *      mproc_args_free(args);
 *
 * What is put is taken over as the arguments of a process are (args.h): values are copied, descriptors duplicated,
 * queues, locks and the like shared; a connection has one owner, and who put it has it no more.
 */
#ifndef MPROC_QUEUE_ARGS_H
#define MPROC_QUEUE_ARGS_H

#include <mproc/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Put an argument list as one message; waits for room as mproc_queue_put.  Objects and descriptors need a
 * queue made with `objects`, else MPROC_EUNSUPPORTED; so it is, too, if the queue has leases or tasks.
 * MPROC_ECONTEXT: an object of the fork context, in a queue of another.  MPROC_EFULL: no room in the queue, or for
 * descriptors: a few hundred messages with such may be under way, the system's limit for one socket.
 * -ETOOMANYREFS: more descriptors under way than this user may have.  -EMSGSIZE: more than 253 descriptors.
 * MPROC_EHANDLE, MPROC_EMOVED, MPROC_ECLOSED, -EBADF, -EBUSY: an argument, as mproc_process_create.  Other errors as
 * mproc_queue_put.  MT-Safe.  Origin: Queue.put, of any object that pickle knows.
 */
MPROC_API int mproc_queue_put_args(mproc_queue *queue, mproc_arglist list, int64_t timeout_ms);

/*
 * Take the next message, which is such a list.  The caller owns *ret_args and ends it with mproc_args_free.
 * MPROC_EARGTYPE: it is not, and stays in place.  -EMFILE: no room for its descriptors; it stays in place.
 * MPROC_EBROKEN: its descriptors are gone.  Other errors as mproc_queue_get.  MT-Safe.
 *
 * The list is read by the getters of args.h.  But a wrong index or type does not end this process: the getter
 * returns 0, NULL or -1, and mproc_last_error tells why.
 */
MPROC_API int mproc_queue_get_args(mproc_queue *queue, mproc_args **ret_args, int64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
