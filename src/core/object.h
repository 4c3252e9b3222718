/* SPDX-License-Identifier: MIT */
/*
 * core/object.h - what all shareable objects have in common.
 *
 * A queue, connection, lock or semaphore begins with a struct mproc__object:
 * its type, a count of references, and whether the fork context made it.  The
 * set of live handles tells a handle that was freed from one that lives, so
 * that passing a dead one to a process is an error and not a crash.
 */
#ifndef MPROC_CORE_OBJECT_H
#define MPROC_CORE_OBJECT_H

#include <mproc/args.h>
#include <mproc/context.h>
#include <stdatomic.h>
#include <stdbool.h>

struct mproc__object;
struct mproc__encoder; /* wire/codec.h */
struct mproc__decoder;

struct mproc__object_type {
        const char *name;        /* as in messages: "queue" */
        mproc_arg_type arg_type; /* MPROC_ARG_QUEUE, ... */

        /* Write what another process needs to make its own handle.  Descriptors are borrowed by the encoder. */
        int (*encode)(struct mproc__object *object, struct mproc__encoder *encoder);

        /* Make a handle from that.  *ret has one reference and is not in the set of live handles of users. */
        int (*decode)(struct mproc__decoder *decoder, struct mproc__object **ret);

        /* 0, or the code (with words) why it cannot be passed on: closed, moved.  NULL: it always can. */
        int (*passable)(struct mproc__object *object);

        /* One-owner types: it now belongs to another process; close it here.  NULL: shared by nature. */
        void (*given)(struct mproc__object *object);

        /*
         * In a child after fork(), for every live object: make locks inside it new.
         * passed: it is among the child's arguments.  May be NULL.
         */
        void (*forked)(struct mproc__object *object, bool passed);

        /* The last reference is gone: free everything, the struct too. */
        void (*destroy)(struct mproc__object *object);
};

struct mproc__object {
        const struct mproc__object_type *type;
        _Atomic unsigned refs;
        bool fork_only;             /* made by the fork context and bound to inheritance */
        bool in_arguments;          /* scratch of start/fork.c: passed to the child being started */
        struct mproc__object *prev; /* all objects of this process, under MPROC__LOCK_OBJECTS */
        struct mproc__object *next;
};

/* A new object with one reference, listed but not yet a user's handle. */
void mproc__object_init(struct mproc__object *object, const struct mproc__object_type *type, bool fork_only);

/* Enter it in the set of users' handles.  -ENOMEM. */
int mproc__object_publish(struct mproc__object *object);

/* A user frees his handle: take it out of the set, drop its reference.  NULL is fine. */
void mproc__object_free(struct mproc__object *object);

void mproc__object_ref(struct mproc__object *object);
void mproc__object_unref(struct mproc__object *object); /* NULL is fine */

/*
 * A handle from a user: is it one, of this type and alive?  On success *ret has
 * a new reference.  MPROC_EHANDLE with words.
 */
int mproc__object_lookup(const void *handle, mproc_arg_type type, struct mproc__object **ret);

/* The type's name for messages ("queue", "string", "integer"). */
const char *mproc__arg_type_name(mproc_arg_type type);

/* In a child after fork(): calls every object's forked(); all_passed: as if each were among the arguments. */
void mproc__objects_forked(bool all_passed);

#endif
