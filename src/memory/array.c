/* SPDX-License-Identifier: MIT */
/*
 * memory/array.c - mproc_array: items of one size, side by side in shared memory.
 *
 * Runs in: every process.  Owns: for each handle a reference to the memory that it lies in, as a tenant, and
 * its lock.
 *
 * What an array is, type, count and place, travels with the handle; in the memory there are items alone.
 */
#include "memory/array.h"
#include "context/context.h"
#include "core/error.h"
#include "memory/guard.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct mproc_array {
        struct mproc__object object;
        struct mproc_shm *shm; /* entered */
        uint8_t *items;
        size_t offset;
        mproc_type type;
        size_t item_bytes;
        size_t count;
        mproc_rlock *lock; /* NULL: none */
};

/* --- making it -------------------------------------------------------------------------------------------- */

/* The size of an item, or 0 with words. */
static size_t
item_size(mproc_type type, size_t given)
{
        size_t size = mproc_type_size(type);

        if (type == MPROC_TYPE_OTHER) {
                if (given == 0)
                        mproc__fail_words(-EINVAL, "items that are no numbers need their size: option item_bytes");
                return given;
        }
        if (size == 0)
                mproc__fail_words(-EINVAL, "there is no type of numbers %d: see MPROC_TYPE", (int)type);
        if (given != 0 && given != size) {
                mproc__fail_words(-EINVAL, "an item of type %s has %zu bytes, not %zu", mproc_type_name(type), size,
                                  given);
                return 0;
        }
        return size;
}

/* Where its items begin, in memory that it has entered: within it, and aligned as such numbers want. */
static int
settle(struct mproc_array *array)
{
        size_t bytes, room = mproc_shm_size(array->shm);
        size_t align = mproc_type_size(array->type);

        if (__builtin_mul_overflow(array->count, array->item_bytes, &bytes) || array->offset > room ||
            bytes > room - array->offset)
                return mproc__fail(-EINVAL,
                                   "%zu items of %zu bytes from byte %zu on are not within %zu bytes of "
                                   "shared memory",
                                   array->count, array->item_bytes, array->offset, room);
        if (align > alignof(max_align_t))
                align = alignof(max_align_t);
        if (align > 0 && array->offset % align != 0)
                return mproc__fail(-EINVAL, "items of type %s cannot begin at byte %zu: they are aligned to %zu",
                                   mproc_type_name(array->type), array->offset, align);
        array->items = (uint8_t *)mproc_shm_data(array->shm) + array->offset;
        return 0;
}

/* Before it is an object. */
static void
dispose(struct mproc_array *array)
{
        mproc__guard_free(array->lock);
        if (array->shm)
                mproc__shm_leave(array->shm);
        free(array);
}

/* Memory that is nobody else's: only this array keeps it. */
static int
take_own_memory(struct mproc_array *array, mproc_context *ctx, const mproc_array_opts *o)
{
        mproc_shm_opts shm_opts = MPROC_SHM_OPTS_INIT;
        struct mproc_shm *shm;
        size_t bytes;
        int r;

        if (__builtin_mul_overflow(array->count, array->item_bytes, &bytes))
                return mproc__fail(-EFBIG, "%zu items of %zu bytes are more than any process can have", array->count,
                                   array->item_bytes);
        shm_opts.reserve = o->reserve;
        shm_opts.huge = o->huge;
        if ((r = mproc__shm_make(bytes ? bytes : 1, &shm_opts, mproc__context_is_fork(ctx), &shm)) < 0)
                return r;
        r = mproc__shm_enter(shm);
        mproc__object_unref(&shm->object);
        if (r == 0)
                array->shm = shm;
        return r;
}

static int
take_users_memory(struct mproc_array *array, const mproc_array_opts *o)
{
        struct mproc__object *shm;
        int r;

        if ((r = mproc__object_lookup(o->shm, MPROC_ARG_SHM, &shm)) < 0)
                return r;
        if ((r = mproc__shm_enter((struct mproc_shm *)shm)) == 0)
                array->shm = (struct mproc_shm *)shm;
        mproc__object_unref(shm);
        array->offset = o->offset_bytes;
        return r;
}

static int
copy_items(struct mproc_array *array, const void *items)
{
        if (array->shm->readonly)
                return mproc__fail(MPROC_EREADONLY, "items were given for an array in memory that is read-only");
        if (array->count > 0)
                memcpy(array->items, items, array->count * array->item_bytes);
        return 0;
}

static int
build(struct mproc_array *array, mproc_context *ctx, const mproc_array_opts *o)
{
        int r = o->shm ? take_users_memory(array, o) : take_own_memory(array, ctx, o);

        if (r < 0 || (r = settle(array)) < 0 || (r = mproc__guard_create(ctx, o->lock, &array->lock)) < 0)
                return r;
        return o->items ? copy_items(array, o->items) : 0;
}

/* It goes no further than its memory and its lock do. */
static void
become_object(struct mproc_array *array)
{
        mproc__object_init(&array->object, &mproc__array_type,
                           array->shm->object.fork_only || mproc__guard_is_fork_only(array->lock));
}

int
mproc_array_create_opts(mproc_context *ctx, mproc_type type, size_t count, const mproc_array_opts *opts,
                        mproc_array **ret_array)
{
        static const mproc_array_opts none = MPROC_ARRAY_OPTS_INIT;
        const mproc_array_opts *o = opts ? opts : &none;
        size_t item_bytes = item_size(type, o->item_bytes);
        struct mproc_array *array;
        int r;

        if (item_bytes == 0)
                return -EINVAL;
        if (!(array = calloc(1, sizeof *array)))
                return mproc__fail(-ENOMEM, "no memory for an array");
        array->type = type;
        array->count = count;
        array->item_bytes = item_bytes;
        if ((r = build(array, mproc__context_resolve(ctx), o)) < 0) {
                dispose(array);
                return r;
        }
        become_object(array);
        if ((r = mproc__object_publish(&array->object)) < 0) {
                mproc__object_unref(&array->object);
                return r;
        }
        *ret_array = array;
        return 0;
}

int
mproc_array_create(mproc_context *ctx, mproc_type type, size_t count, mproc_array **ret_array)
{
        return mproc_array_create_opts(ctx, type, count, NULL, ret_array);
}

void
mproc_array_free(mproc_array *array)
{
        mproc__object_free(array ? &array->object : NULL);
}

/* --- looking ------------------------------------------------------------------------------------------------- */

static int
check(const struct mproc_array *array)
{
        return array ? 0 : mproc__fail(MPROC_EHANDLE, "an array is wanted, NULL was given");
}

void *
mproc_array_data(mproc_array *array)
{
        return array ? array->items : NULL;
}

size_t
mproc_array_count(mproc_array *array)
{
        return array ? array->count : 0;
}

size_t
mproc_array_item_size(mproc_array *array)
{
        return array ? array->item_bytes : 0;
}

mproc_type
mproc_array_type(mproc_array *array)
{
        return array ? array->type : MPROC_TYPE_OTHER;
}

void *
mproc_array_data_of(mproc_array *array, mproc_type type)
{
        if (check(array) < 0)
                return NULL;
        if (array->type == type)
                return array->items;
        mproc__fail_words(MPROC_EARGTYPE, "the array's items are of type %s, and %s was asked for",
                          mproc_type_name(array->type), mproc_type_name(type));
        return NULL;
}

void *
mproc_array_at(mproc_array *array, size_t index)
{
        if (check(array) < 0)
                return NULL;
        if (index < array->count)
                return array->items + index * array->item_bytes;
        mproc__fail_words(-ERANGE, "item %zu is wanted of an array of %zu", index, array->count);
        return NULL;
}

int
mproc__array_look(struct mproc_array *array, struct mproc__array_view *ret_view)
{
        int r = check(array);

        if (r < 0)
                return r;
        *ret_view = (struct mproc__array_view){
                .items = array->items,
                .count = array->count,
                .item_bytes = array->item_bytes,
                .readonly = array->shm->readonly,
                .shm = array->shm,
                .offset = array->offset,
        };
        return 0;
}

int
mproc_array_acquire(mproc_array *array, int64_t timeout_ms)
{
        int r = check(array);

        return r < 0 ? r : mproc__guard_acquire(array->lock, "array", timeout_ms);
}

int
mproc_array_release(mproc_array *array)
{
        int r = check(array);

        return r < 0 ? r : mproc__guard_release(array->lock, "array");
}

mproc_rlock *
mproc_array_lock(mproc_array *array)
{
        return array ? array->lock : NULL;
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
array_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_array *array = (struct mproc_array *)object;
        int r;

        mproc__enc_u32(encoder, array->type);
        mproc__enc_u64(encoder, array->item_bytes);
        mproc__enc_u64(encoder, array->count);
        mproc__enc_u64(encoder, array->offset);
        if ((r = mproc__shm_type.encode(&array->shm->object, encoder)) < 0)
                return r;
        return mproc__guard_encode(array->lock, encoder);
}

/* Nobody but the array has a handle on the memory that came with it. */
static int
receive(struct mproc_array *array, struct mproc__decoder *decoder)
{
        uint32_t type = mproc__dec_u32(decoder);
        uint64_t item_bytes = mproc__dec_u64(decoder);
        uint64_t count = mproc__dec_u64(decoder);
        uint64_t offset = mproc__dec_u64(decoder);
        struct mproc__object *shm;
        int r;

        if (decoder->error || type > MPROC_TYPE_LONG_DOUBLE || count > SIZE_MAX || offset > SIZE_MAX ||
            item_bytes == 0 || item_bytes > SIZE_MAX ||
            (type != MPROC_TYPE_OTHER && item_bytes != mproc_type_size((mproc_type)type)))
                return mproc__fail(MPROC_EPROTO, "the message that brought an array is damaged");
        array->type = (mproc_type)type;
        array->item_bytes = (size_t)item_bytes;
        array->count = (size_t)count;
        array->offset = (size_t)offset;
        if ((r = mproc__shm_type.decode(decoder, &shm)) < 0)
                return r;
        if ((r = mproc__shm_enter((struct mproc_shm *)shm)) == 0)
                array->shm = (struct mproc_shm *)shm;
        mproc__object_unref(shm);
        if (r < 0 || (r = settle(array)) < 0)
                return r;
        return mproc__guard_decode(decoder, &array->lock);
}

static int
array_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_array *array = calloc(1, sizeof *array);
        int r;

        if (!array)
                return mproc__fail(-ENOMEM, "no memory for an array");
        if ((r = receive(array, decoder)) < 0) {
                dispose(array);
                return r;
        }
        become_object(array);
        *ret = &array->object;
        return 0;
}

static void
array_destroy(struct mproc__object *object)
{
        dispose((struct mproc_array *)object);
}

const struct mproc__object_type mproc__array_type = {
        .name = "array",
        .arg_type = MPROC_ARG_ARRAY,
        .encode = array_encode,
        .decode = array_decode,
        .destroy = array_destroy,
};
