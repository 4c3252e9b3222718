/* SPDX-License-Identifier: MIT */
/*
 * wire/args.c - the typed arguments of a target; see args.h.
 *
 * Runs in: parent (gather, encode), child (decode, the getters).
 * Owns: copies, duplicates and references until mproc__args_free.
 *
 * On the wire: u32 count, then for each u32 type and its value; an object's value is
 * a block of its own, so that it can be skipped, and rebuilt when it is asked for.
 */
#include "wire/args.h"
#include "core/error.h"
#include "platform/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct value {
        mproc_arg_type type;
        int fd;
        union {
                int64_t i;
                uint64_t u;
                double d;
        } number;
        void *copy;       /* parent: the text or bytes, ours */
        const void *data; /* text or bytes; in the child, for an object, what it is made from */
        size_t len;
        struct mproc__object *object;
        bool is_handle; /* child: published, so that the target may pass it on */
        bool fork_only; /* in a message: it was, where it came from */
};

/* What a message has where something else was asked for. */
static struct value nothing = { .fd = -1 };

struct mproc_args {
        size_t count;
        struct value *values;
        pthread_mutex_t mutex; /* making objects on demand */
        struct mproc__block block;
        int *fds;
        bool *taken;
        size_t nfds;
        bool received;
        bool message;        /* it came through a queue: what is wrong with it ends nobody */
        int failed;          /* of a message: why the last getter that failed did */
        struct value few[4]; /* where values are, if they are no more */
};

/* A process receives one list in its life: it needs no memory of the heap, which a fork-served child would have to
 * copy. */
static mproc_args received_args;

static mproc__args_failure_fn *failure;

void
mproc__args_set_failure(mproc__args_failure_fn *fn)
{
        failure = fn;
}

/* --- the values by themselves ------------------------------------------------------------------ */

mproc_arg
mproc_arg_int(int64_t value)
{
        return (mproc_arg){ .type = MPROC_ARG_INT, .fd = -1, .value.i = value };
}

mproc_arg
mproc_arg_uint(uint64_t value)
{
        return (mproc_arg){ .type = MPROC_ARG_UINT, .fd = -1, .value.u = value };
}

mproc_arg
mproc_arg_double(double value)
{
        return (mproc_arg){ .type = MPROC_ARG_DOUBLE, .fd = -1, .value.d = value };
}

mproc_arg
mproc_arg_string(const char *text)
{
        return (mproc_arg){ .type = MPROC_ARG_STRING, .fd = -1, .value.p = text };
}

mproc_arg
mproc_bytes(const void *data, size_t len_bytes)
{
        return (mproc_arg){ .type = MPROC_ARG_BYTES, .fd = -1, .len_bytes = len_bytes, .value.p = data };
}

mproc_arg
mproc_fd(int fd)
{
        return (mproc_arg){ .type = MPROC_ARG_FD, .fd = fd };
}

static mproc_arg
object_arg(mproc_arg_type type, const void *handle)
{
        return (mproc_arg){ .type = type, .fd = -1, .value.p = handle };
}

mproc_arg
mproc_arg_queue(mproc_queue *queue)
{
        return object_arg(MPROC_ARG_QUEUE, queue);
}

mproc_arg
mproc_arg_connection(mproc_connection *connection)
{
        return object_arg(MPROC_ARG_CONNECTION, connection);
}

mproc_arg
mproc_arg_lock(mproc_lock *lock)
{
        return object_arg(MPROC_ARG_LOCK, lock);
}

mproc_arg
mproc_arg_semaphore(mproc_semaphore *semaphore)
{
        return object_arg(MPROC_ARG_SEMAPHORE, semaphore);
}

mproc_arg
mproc_arg_rlock(mproc_rlock *rlock)
{
        return object_arg(MPROC_ARG_RLOCK, rlock);
}

mproc_arg
mproc_arg_event(mproc_event *event)
{
        return object_arg(MPROC_ARG_EVENT, event);
}

mproc_arg
mproc_arg_condition(mproc_condition *condition)
{
        return object_arg(MPROC_ARG_CONDITION, condition);
}

mproc_arg
mproc_arg_barrier(mproc_barrier *barrier)
{
        return object_arg(MPROC_ARG_BARRIER, barrier);
}

mproc_arg
mproc_arg_shm(mproc_shm *shm)
{
        return object_arg(MPROC_ARG_SHM, shm);
}

mproc_arg
mproc_arg_heap(mproc_heap *heap)
{
        return object_arg(MPROC_ARG_HEAP, heap);
}

mproc_arg
mproc_arg_array(mproc_array *array)
{
        return object_arg(MPROC_ARG_ARRAY, array);
}

mproc_arg
mproc_arg_value(mproc_value *value)
{
        return object_arg(MPROC_ARG_VALUE, value);
}

mproc_arg
mproc_arg_self(mproc_arg value)
{
        return value;
}

/* A new kind of object is one line here; without it the compiler complains. */
static bool
is_object(mproc_arg_type type)
{
        switch (type) {
        case MPROC_ARG_QUEUE:
        case MPROC_ARG_CONNECTION:
        case MPROC_ARG_LOCK:
        case MPROC_ARG_EVENT:
        case MPROC_ARG_CONDITION:
        case MPROC_ARG_BARRIER:
        case MPROC_ARG_SHM:
        case MPROC_ARG_HEAP:
        case MPROC_ARG_ARRAY:
        case MPROC_ARG_VALUE:
        case MPROC_ARG_SEMAPHORE:
        case MPROC_ARG_RLOCK:
                return true;
        case MPROC_ARG_NONE:
        case MPROC_ARG_INT:
        case MPROC_ARG_UINT:
        case MPROC_ARG_DOUBLE:
        case MPROC_ARG_STRING:
        case MPROC_ARG_BYTES:
        case MPROC_ARG_FD:
                break;
        }
        return false;
}

/* --- the parent's side ---------------------------------------------------------------------------- */

static int
init_args(mproc_args *args, size_t count)
{
        args->values = args->few;
        if (count > sizeof args->few / sizeof *args->few && !(args->values = calloc(count, sizeof *args->values)))
                return -ENOMEM;
        args->count = count;
        for (size_t i = 0; i < count; i++)
                args->values[i].fd = -1;
        args->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        return 0;
}

static void
fini_args(mproc_args *args)
{
        if (args->values != args->few)
                free(args->values);
        args->count = 0;
        (void)pthread_mutex_destroy(&args->mutex);
}

static mproc_args *
new_args(size_t count)
{
        mproc_args *args = calloc(1, sizeof *args);

        if (args && init_args(args, count) < 0) {
                free(args);
                return NULL;
        }
        return args;
}

static int
copy_block(struct value *v, const void *data, size_t len)
{
        if (!data && len > 0)
                return mproc__fail(-EINVAL, "a block of %zu bytes at NULL", len);
        if (len > SIZE_MAX / 4)
                return mproc__fail(-ENOMEM, "a block of %zu bytes is more than any process can have", len);
        v->copy = malloc(len + 1);
        if (!v->copy)
                return mproc__fail(-ENOMEM, "no memory for a copy of %zu bytes", len);
        if (len)
                memcpy(v->copy, data, len);
        ((char *)v->copy)[len] = 0;
        v->data = v->copy;
        v->len = len;
        return 0;
}

static int
gather_one(const mproc_arg *arg, struct value *v)
{
        int r;

        v->type = arg->type;
        switch (arg->type) {
        case MPROC_ARG_INT:
        case MPROC_ARG_UINT:
        case MPROC_ARG_DOUBLE:
                memcpy(&v->number, &arg->value, sizeof v->number);
                return 0;
        case MPROC_ARG_STRING:
                if (!arg->value.p)
                        return mproc__fail(-EINVAL, "the string is NULL");
                return copy_block(v, arg->value.p, strlen(arg->value.p));
        case MPROC_ARG_BYTES:
                return copy_block(v, arg->value.p, arg->len_bytes);
        case MPROC_ARG_FD:
                if ((r = mproc__plat_dup(arg->fd, &v->fd)) < 0)
                        return mproc__fail_errno(-r, "duplicating file descriptor %d", arg->fd);
                return 0;
        default:
                break;
        }
        if (!is_object(arg->type))
                return mproc__fail(-EINVAL, "it has no valid type (%d)", (int)arg->type);
        if ((r = mproc__object_lookup(arg->value.p, arg->type, &v->object)) < 0)
                return r;
        return v->object->type->passable ? v->object->type->passable(v->object) : 0;
}

/* What has one owner cannot be two arguments: the child would have two handles that close the same descriptor. */
static int
check_owner(const mproc_args *args, size_t index)
{
        const struct mproc__object *object = args->values[index].object;

        for (size_t i = 0; object && object->type->given && i < index; i++)
                if (args->values[i].object == object)
                        return mproc__fail(MPROC_EMOVED,
                                           "the %s is argument %zu already, and it can have one owner only",
                                           object->type->name, i);
        return 0;
}

int
mproc__args_gather(mproc_arglist list, mproc_args **ret_args)
{
        mproc_args *args;

        if (list.count > 0 && !list.values)
                return mproc__fail(-EINVAL, "an argument list of %zu values at NULL", list.count);
        if (!(args = new_args(list.count)))
                return mproc__fail(-ENOMEM, "no memory for %zu arguments", list.count);
        for (size_t i = 0; i < list.count; i++) {
                int r = gather_one(&list.values[i], &args->values[i]);

                r = r < 0 ? r : check_owner(args, i);
                if (r < 0) {
                        mproc__fail_prefix("argument %zu: ", i);
                        mproc__args_free(args);
                        return r;
                }
        }
        *ret_args = args;
        return 0;
}

int
mproc__args_check_portable(const mproc_args *args, const char *method)
{
        for (size_t i = 0; i < args->count; i++) {
                const struct mproc__object *o = args->values[i].object;

                if (o && o->fork_only)
                        return mproc__fail(
                                MPROC_ECONTEXT,
                                "argument %zu is %s %s made in the fork context, which only a child by fork "
                                "can inherit; this process starts by %s: make the %s%s in the %s context",
                                i, strchr("aeiou", *o->type->name) ? "an" : "a", o->type->name, method, o->type->name,
                                o->type->arg_type == MPROC_ARG_CONDITION ? " and its lock" : "", method);
        }
        return 0;
}

const char *
mproc__args_fork_only(const mproc_args *args, size_t *ret_index)
{
        for (size_t i = 0; i < args->count; i++)
                if (args->values[i].object && args->values[i].object->fork_only) {
                        *ret_index = i;
                        return args->values[i].object->type->name;
                }
        return NULL;
}

int
mproc__args_check_passable(const mproc_args *args)
{
        for (size_t i = 0; i < args->count; i++) {
                struct mproc__object *o = args->values[i].object;
                int r = o && o->type->passable ? o->type->passable(o) : 0;

                if (r < 0) {
                        mproc__fail_prefix("argument %zu: ", i);
                        return r;
                }
        }
        return 0;
}

static int
encode_object(struct mproc__object *object, struct mproc__encoder *e)
{
        size_t at;
        uint64_t len;
        int r;

        mproc__enc_u64(e, 0); /* its length, known afterwards */
        at = e->len;
        if (!e->error && (r = object->type->encode(object, e)) < 0)
                return r;
        if (e->error)
                return 0;
        len = e->len - at;
        memcpy(e->data + at - sizeof len, &len, sizeof len);
        return 0;
}

int
mproc__args_encode(const mproc_args *args, struct mproc__encoder *e)
{
        mproc__enc_u32(e, (uint32_t)args->count);
        for (size_t i = 0; i < args->count; i++) {
                const struct value *v = &args->values[i];
                int r;

                mproc__enc_u32(e, (uint32_t)v->type);
                if (v->object) {
                        if ((r = encode_object(v->object, e)) < 0) {
                                mproc__fail_prefix("argument %zu: ", i);
                                return r;
                        }
                } else if (v->type == MPROC_ARG_FD) {
                        mproc__enc_fd(e, v->fd);
                } else if (v->type == MPROC_ARG_STRING || v->type == MPROC_ARG_BYTES) {
                        mproc__enc_bytes(e, v->data, v->len);
                } else {
                        mproc__enc_u64(e, v->number.u);
                }
        }
        if (e->error)
                return mproc__fail(e->error, "no memory to encode %zu arguments", args->count);
        return 0;
}

void
mproc__args_given(mproc_args *args)
{
        for (size_t i = 0; i < args->count; i++) {
                struct mproc__object *o = args->values[i].object;

                if (o && o->type->given)
                        o->type->given(o);
        }
}

void
mproc__args_mark(mproc_args *args, bool on)
{
        for (size_t i = 0; i < args->count; i++)
                if (args->values[i].object)
                        args->values[i].object->in_arguments = on;
}

/* --- the child's side ------------------------------------------------------------------------------ */

/* What it is made from stays where it is until somebody asks for it. */
static void
skip_object(struct mproc__decoder *d, struct value *v)
{
        uint64_t len = mproc__dec_u64(d);

        if (d->error || len > d->len - d->pos) {
                d->error = d->error ? d->error : MPROC_EPROTO;
                return;
        }
        v->data = d->data + d->pos;
        v->len = (size_t)len;
        d->pos += (size_t)len;
}

static void
decode_one(struct mproc__decoder *d, struct value *v)
{
        v->type = (mproc_arg_type)mproc__dec_u32(d);
        switch (v->type) {
        case MPROC_ARG_INT:
        case MPROC_ARG_UINT:
        case MPROC_ARG_DOUBLE:
                v->number.u = mproc__dec_u64(d);
                return;
        case MPROC_ARG_STRING:
        case MPROC_ARG_BYTES:
                v->data = mproc__dec_bytes(d, &v->len);
                return;
        case MPROC_ARG_FD:
                v->fd = mproc__dec_fd(d);
                return;
        default:
                break;
        }
        if (is_object(v->type))
                skip_object(d, v);
        else
                d->error = d->error ? d->error : MPROC_EPROTO;
}

static int
decode_into(mproc_args *args, struct mproc__block *block, size_t at, int *fds, size_t nfds)
{
        struct mproc__decoder d = { .data = block->data, .len = block->len, .pos = at, .nfds = nfds };
        bool *taken = nfds ? calloc(nfds, sizeof *taken) : NULL;
        uint32_t count = mproc__dec_u32(&d);

        d.fds = fds;
        d.taken = taken;
        if (d.error || count > (d.len - d.pos) / sizeof(uint32_t)) {
                free(taken);
                return mproc__fail(MPROC_EPROTO, "the argument list that arrived is damaged");
        }
        if ((nfds && !taken) || init_args(args, count) < 0) {
                free(taken);
                return mproc__fail(-ENOMEM, "no memory for %u arguments", (unsigned)count);
        }
        args->received = true;
        for (uint32_t i = 0; i < count; i++)
                decode_one(&d, &args->values[i]);
        if (d.error) {
                free(taken);
                fini_args(args);
                return mproc__fail(d.error, "the argument list that arrived is damaged");
        }
        args->block = *block;
        args->fds = fds;
        args->taken = taken;
        args->nfds = nfds;
        return 0;
}

int
mproc__args_decode(struct mproc__block *block, size_t at, int *fds, size_t nfds, mproc_args **ret_args)
{
        int r = decode_into(&received_args, block, at, fds, nfds);

        if (r == 0)
                *ret_args = &received_args;
        return r;
}

int
mproc__args_decode_message(struct mproc__block *block, size_t at, int *fds, size_t nfds, const void *fork_only,
                           size_t fork_only_len, mproc_args **ret_args)
{
        mproc_args *args = calloc(1, sizeof *args);
        int r;

        if (!args)
                return mproc__fail(-ENOMEM, "no memory for arguments");
        if ((r = decode_into(args, block, at, fds, nfds)) < 0) {
                free(args);
                return r;
        }
        args->message = true;
        for (size_t i = 0; i < args->count && i < fork_only_len; i++)
                args->values[i].fork_only = ((const uint8_t *)fork_only)[i] != 0;
        *ret_args = args;
        return 0;
}

void
mproc__args_encode_fork_only(const mproc_args *args, struct mproc__encoder *e)
{
        uint8_t *marks = calloc(args->count ? args->count : 1, 1);

        for (size_t i = 0; marks && i < args->count; i++)
                marks[i] = args->values[i].object && args->values[i].object->fork_only;
        if (marks)
                mproc__enc_bytes(e, marks, args->count);
        else
                e->error = -ENOMEM;
        free(marks);
}

void
mproc__args_free(mproc_args *args)
{
        if (!args ||
            (args == &received_args && args->count == 0 && args->nfds == 0 && !args->block.mapped && !args->block.heap))
                return; /* what was received lies in static memory: a process with few pages has nothing to do here */
        for (size_t i = 0; i < args->count; i++) {
                struct value *v = &args->values[i];

                if (v->is_handle)
                        mproc__object_free(v->object);
                else
                        mproc__object_unref(v->object);
                if (!args->received)
                        mproc__plat_close(&v->fd);
                free(v->copy);
        }
        for (size_t i = 0; i < args->nfds; i++)
                if (!args->taken[i])
                        mproc__plat_close(&args->fds[i]);
        free(args->fds);
        free(args->taken);
        if (args->block.mapped)
                (void)munmap(args->block.data, args->block.len);
        if (args->block.heap)
                free(args->block.data);
        fini_args(args);
        if (args != &received_args)
                free(args);
        else
                memset(args, 0, sizeof *args);
}

void
mproc_args_free(mproc_args *args)
{
        if (args && args->message)
                mproc__args_free(args);
}

int
mproc__args_failed(const mproc_args *args)
{
        return args->failed;
}

/* --- the getters ------------------------------------------------------------------------------------ */

size_t
mproc_args_count(const mproc_args *args)
{
        return args->count;
}

mproc_arg_type
mproc_args_type(const mproc_args *args, size_t index)
{
        return index < args->count ? args->values[index].type : MPROC_ARG_NONE;
}

static void
mismatch(mproc_args *args, size_t index, const char *wanted)
{
        if (index >= args->count)
                mproc__fail(MPROC_EARGTYPE, "argument %zu (%s) is wanted, but there %s only %zu argument%s", index,
                            wanted, args->count == 1 ? "is" : "are", args->count, args->count == 1 ? "" : "s");
        else
                mproc__fail(MPROC_EARGTYPE, "argument %zu is wanted as %s, but it is of type %s", index, wanted,
                            mproc__arg_type_name(args->values[index].type));
        args->failed = MPROC_EARGTYPE;
        if (!args->message)
                failure(MPROC_EARGTYPE);
}

static struct value *
get(mproc_args *args, size_t index, mproc_arg_type type)
{
        if (index >= args->count || args->values[index].type != type) {
                mismatch(args, index, mproc__arg_type_name(type));
                return &nothing;
        }
        return &args->values[index];
}

int64_t
mproc_args_int(mproc_args *args, size_t index)
{
        if (mproc_args_type(args, index) == MPROC_ARG_UINT && args->values[index].number.u <= INT64_MAX)
                return (int64_t)args->values[index].number.u;
        return get(args, index, MPROC_ARG_INT)->number.i;
}

uint64_t
mproc_args_uint(mproc_args *args, size_t index)
{
        if (mproc_args_type(args, index) == MPROC_ARG_INT && args->values[index].number.i >= 0)
                return (uint64_t)args->values[index].number.i;
        return get(args, index, MPROC_ARG_UINT)->number.u;
}

double
mproc_args_double(mproc_args *args, size_t index)
{
        switch (mproc_args_type(args, index)) {
        case MPROC_ARG_INT:
                return (double)args->values[index].number.i;
        case MPROC_ARG_UINT:
                return (double)args->values[index].number.u;
        default:
                return get(args, index, MPROC_ARG_DOUBLE)->number.d;
        }
}

const char *
mproc_args_string(mproc_args *args, size_t index)
{
        return get(args, index, MPROC_ARG_STRING)->data;
}

const void *
mproc_args_bytes(mproc_args *args, size_t index, size_t *ret_len_bytes)
{
        struct value *v = get(args, index, MPROC_ARG_BYTES);

        if (ret_len_bytes)
                *ret_len_bytes = v->len;
        return v->data;
}

int
mproc_args_fd(mproc_args *args, size_t index)
{
        return get(args, index, MPROC_ARG_FD)->fd;
}

static int
make_object(mproc_args *args, struct value *v, const struct mproc__object_type *type)
{
        struct mproc__decoder d = {
                .data = v->data, .len = v->len, .fds = args->fds, .taken = args->taken, .nfds = args->nfds
        };
        int r = type->decode(&d, &v->object);

        if (r == 0 && v->fork_only)
                v->object->fork_only = true;
        if (r == 0 && (r = mproc__object_publish(v->object)) == 0)
                v->is_handle = true;
        return r;
}

struct mproc__object *
mproc__args_object(mproc_args *args, size_t index, const struct mproc__object_type *type)
{
        struct value *v = get(args, index, type->arg_type);
        int r = 0;

        if (v == &nothing)
                return NULL;
        (void)pthread_mutex_lock(&args->mutex);
        if (!v->object)
                r = make_object(args, v, type);
        (void)pthread_mutex_unlock(&args->mutex);
        if (r < 0) {
                mproc__fail_prefix("argument %zu: rebuilding the %s: ", index, type->name);
                args->failed = r;
                if (args->message)
                        return NULL;
                failure(r);
        }
        return v->object;
}
