/* SPDX-License-Identifier: MIT */
/*
 * core/object.c - the objects of this process and the set of users' handles.
 *
 * Runs in: every process.
 * Owns: the list of all objects (for what fork() needs) and a hash set of the
 * handles that users hold (to tell a dead one).  Both under MPROC__LOCK_OBJECTS.
 */
#include "core/object.h"
#include "core/error.h"
#include "core/locks.h"

#include <errno.h>
#include <stdlib.h>

static struct mproc__object list = { .prev = &list, .next = &list };

/* An open-addressing set of pointers; never more than half full. */
static struct {
        const void **slots;
        size_t capacity; /* a power of two, or 0 */
        size_t used;     /* live and deleted */
        size_t live;
} handles;

static char deleted; /* its address marks a slot whose handle was freed */
#define DELETED ((const void *)&deleted)

static size_t
hash(const void *pointer)
{
        return (size_t)(((uintptr_t)pointer >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
}

/* The slot that holds the handle, or NULL. */
static const void **
find_locked(const void *handle)
{
        if (!handles.capacity)
                return NULL;
        for (size_t i = hash(handle);; i++) {
                const void **slot = &handles.slots[i & (handles.capacity - 1)];

                if (*slot == handle)
                        return slot;
                if (!*slot)
                        return NULL;
        }
}

static void
insert_locked(const void *handle)
{
        size_t i = hash(handle);

        while (handles.slots[i & (handles.capacity - 1)])
                i++;
        handles.slots[i & (handles.capacity - 1)] = handle;
        handles.used++;
        handles.live++;
}

static int
grow_locked(void)
{
        const void **old = handles.slots;
        size_t old_capacity = handles.capacity;
        size_t capacity = 64;

        while (capacity < handles.live * 4)
                capacity *= 2;
        const void **slots = calloc(capacity, sizeof *slots);
        if (!slots)
                return mproc__fail(-ENOMEM, "no memory for the set of %zu handles", handles.live);
        handles.slots = slots;
        handles.capacity = capacity;
        handles.used = handles.live = 0;
        for (size_t i = 0; i < old_capacity; i++)
                if (old[i] && old[i] != DELETED)
                        insert_locked(old[i]);
        free(old);
        return 0;
}

void
mproc__object_init(struct mproc__object *object, const struct mproc__object_type *type, bool fork_only)
{
        object->type = type;
        atomic_init(&object->refs, 1);
        object->fork_only = fork_only;
        object->in_arguments = false;
        mproc__lock(MPROC__LOCK_OBJECTS);
        object->prev = list.prev;
        object->next = &list;
        list.prev->next = object;
        list.prev = object;
        mproc__unlock(MPROC__LOCK_OBJECTS);
}

int
mproc__object_publish(struct mproc__object *object)
{
        int r = 0;

        mproc__lock(MPROC__LOCK_OBJECTS);
        if ((handles.used + 1) * 2 > handles.capacity)
                r = grow_locked();
        if (r == 0)
                insert_locked(object);
        mproc__unlock(MPROC__LOCK_OBJECTS);
        return r;
}

void
mproc__object_free(struct mproc__object *object)
{
        int saved = errno;
        bool found = false;

        if (!object)
                return;
        mproc__lock(MPROC__LOCK_OBJECTS);
        const void **slot = find_locked(object);
        if (slot) {
                *slot = DELETED;
                handles.live--;
                found = true;
        }
        if (handles.live == 0 && handles.capacity) { /* nothing left behind for a leak checker to see */
                free(handles.slots);
                handles.slots = NULL;
                handles.capacity = handles.used = 0;
        }
        mproc__unlock(MPROC__LOCK_OBJECTS);
        if (found)
                mproc__object_unref(object);
        errno = saved;
}

void
mproc__object_ref(struct mproc__object *object)
{
        atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
}

void
mproc__object_unref(struct mproc__object *object)
{
        if (!object || atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) != 1)
                return;
        mproc__lock(MPROC__LOCK_OBJECTS);
        object->prev->next = object->next;
        object->next->prev = object->prev;
        mproc__unlock(MPROC__LOCK_OBJECTS);
        object->type->destroy(object);
}

int
mproc__object_lookup(const void *handle, mproc_arg_type type, struct mproc__object **ret)
{
        const char *wanted = mproc__arg_type_name(type);
        struct mproc__object *object = NULL;

        if (!handle)
                return mproc__fail(MPROC_EHANDLE, "a %s is wanted, NULL was given", wanted);
        mproc__lock(MPROC__LOCK_OBJECTS);
        if (find_locked(handle)) {
                object = (struct mproc__object *)(uintptr_t)handle;
                mproc__object_ref(object);
        }
        mproc__unlock(MPROC__LOCK_OBJECTS);
        if (!object)
                return mproc__fail(MPROC_EHANDLE, "%p is not a live %s: it was freed, or never made by mproc", handle,
                                   wanted);
        if (object->type->arg_type != type) {
                mproc__fail(MPROC_EHANDLE, "a %s is wanted, a %s was given", wanted, object->type->name);
                mproc__object_unref(object);
                return MPROC_EHANDLE;
        }
        *ret = object;
        return 0;
}

const char *
mproc__arg_type_name(mproc_arg_type type)
{
        static const char *const names[] = {
                [MPROC_ARG_NONE] = "nothing",
                [MPROC_ARG_INT] = "integer",
                [MPROC_ARG_UINT] = "unsigned integer",
                [MPROC_ARG_DOUBLE] = "double",
                [MPROC_ARG_STRING] = "string",
                [MPROC_ARG_BYTES] = "block of bytes",
                [MPROC_ARG_FD] = "file descriptor",
                [MPROC_ARG_QUEUE] = "queue",
                [MPROC_ARG_CONNECTION] = "connection",
                [MPROC_ARG_LOCK] = "lock",
                [MPROC_ARG_SEMAPHORE] = "semaphore",
                [MPROC_ARG_RLOCK] = "recursive lock",
                [MPROC_ARG_EVENT] = "event",
                [MPROC_ARG_CONDITION] = "condition",
                [MPROC_ARG_BARRIER] = "barrier",
                [MPROC_ARG_SHM] = "block of shared memory",
                [MPROC_ARG_HEAP] = "heap",
                [MPROC_ARG_ARRAY] = "array",
                [MPROC_ARG_VALUE] = "value",
        };

        return (size_t)type < sizeof names / sizeof *names ? names[type] : "unknown type";
}

/* The only thread of a new process: nobody else can change the list. */
void
mproc__objects_forked(bool all_passed)
{
        for (struct mproc__object *o = list.next, *next; o != &list; o = next) {
                next = o->next;
                if (o->type->forked)
                        o->type->forked(o, all_passed || o->in_arguments);
                o->in_arguments = false;
        }
}
