/* SPDX-License-Identifier: MIT */
/*
 * memory/value.c - mproc_value: one number that processes share.
 *
 * Runs in: every process.  Owns: a place in a small segment for each value, and one for its lock.
 *
 * A number is changed in one step, by an atomic store or a compare-and-swap of its own width.  So no reader
 * sees half of one, no addition is lost, and who is killed has changed it or has not: there is no state between.
 * The lock is not needed for that, and nothing here takes it.
 */
#include "memory/value.h"
#include "context/context.h"
#include "core/error.h"
#include "memory/guard.h"
#include "memory/number.h"
#include "shm/small.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdlib.h>

#define VALUE_MAGIC 0x6d707661u

/* In shared memory.  magic, type: constant once the creator's call has returned.  bits: anybody, in single steps. */
struct value_shm {
        uint32_t magic;
        uint32_t type;
        uint64_t reserved;
        union {
                _Atomic uint8_t b1;
                _Atomic uint16_t b2;
                _Atomic uint32_t b4;
                _Atomic uint64_t b8;
        } bits;
};
_Static_assert(sizeof(struct value_shm) <= MPROC__SMALL_BYTES, "a value fits into its place");

struct mproc_value {
        struct mproc__object object;
        struct mproc__small place;
        struct value_shm *shm;
        mproc_type type;
        struct mproc__number_bounds bounds; /* of the type */
        mproc_rlock *lock;                  /* NULL: none */
};

/* --- the number in memory ---------------------------------------------------------------------------------- */

static uint64_t
load(const struct mproc_value *value)
{
        switch (value->bounds.size) {
        case 1:
                return atomic_load(&value->shm->bits.b1);
        case 2:
                return atomic_load(&value->shm->bits.b2);
        case 4:
                return atomic_load(&value->shm->bits.b4);
        default:
                return atomic_load(&value->shm->bits.b8);
        }
}

static void
store(struct mproc_value *value, uint64_t bits)
{
        switch (value->bounds.size) {
        case 1:
                atomic_store(&value->shm->bits.b1, (uint8_t)bits);
                break;
        case 2:
                atomic_store(&value->shm->bits.b2, (uint16_t)bits);
                break;
        case 4:
                atomic_store(&value->shm->bits.b4, (uint32_t)bits);
                break;
        default:
                atomic_store(&value->shm->bits.b8, bits);
        }
}

/* True: it was *expected and is now bits.  False: *expected is what it is. */
static bool
swap(struct mproc_value *value, uint64_t *expected, uint64_t bits)
{
        uint8_t e1 = (uint8_t)*expected;
        uint16_t e2 = (uint16_t)*expected;
        uint32_t e4 = (uint32_t)*expected;
        bool done;

        switch (value->bounds.size) {
        case 1:
                done = atomic_compare_exchange_strong(&value->shm->bits.b1, &e1, (uint8_t)bits);
                *expected = e1;
                return done;
        case 2:
                done = atomic_compare_exchange_strong(&value->shm->bits.b2, &e2, (uint16_t)bits);
                *expected = e2;
                return done;
        case 4:
                done = atomic_compare_exchange_strong(&value->shm->bits.b4, &e4, (uint32_t)bits);
                *expected = e4;
                return done;
        default:
                return atomic_compare_exchange_strong(&value->shm->bits.b8, expected, bits);
        }
}

/* --- making it -------------------------------------------------------------------------------------------- */

/* Takes over the place and the lock. */
static int
make(struct mproc__small *place, mproc_rlock *lock, bool fork_only, struct mproc_value **ret)
{
        struct mproc_value *value = calloc(1, sizeof *value);

        if (!value) {
                mproc__small_unref(place);
                mproc__guard_free(lock);
                return mproc__fail(-ENOMEM, "no memory for a value");
        }
        value->place = *place;
        value->shm = mproc__small_at(place);
        value->type = (mproc_type)value->shm->type;
        value->bounds = mproc__number_bounds(value->type);
        value->lock = lock;
        mproc__object_init(&value->object, &mproc__value_type, fork_only);
        *ret = value;
        return 0;
}

static bool
has_one_step(mproc_type type)
{
        size_t size = mproc_type_size(type);

        return size > 0 && size <= 8 && type != MPROC_TYPE_LONG_DOUBLE;
}

static int
check_type(mproc_type type)
{
        if (has_one_step(type))
                return 0;
        if (type == MPROC_TYPE_LONG_DOUBLE)
                return mproc__fail(-EINVAL, "a value cannot be a long double, which no processor stores in one step: "
                                            "take double, or an array of one");
        return mproc__fail(-EINVAL, "a value is a number, and type %d is none: take an array of one", (int)type);
}

int
mproc_value_create_opts(mproc_context *ctx, mproc_type type, const mproc_value_opts *opts, mproc_value **ret_value)
{
        struct mproc_value *value;
        struct mproc__small place;
        mproc_rlock *lock;
        int r;

        ctx = mproc__context_resolve(ctx);
        if ((r = check_type(type)) < 0 || (r = mproc__guard_create(ctx, opts ? opts->lock : 0, &lock)) < 0)
                return r;
        if ((r = mproc__small_create("value", &place)) < 0) {
                mproc__guard_free(lock);
                return r;
        }
        *(struct value_shm *)mproc__small_at(&place) = (struct value_shm){ .magic = VALUE_MAGIC, .type = type };
        if ((r = make(&place, lock, mproc__context_is_fork(ctx), &value)) < 0)
                return r;
        if ((r = mproc__object_publish(&value->object)) < 0) {
                mproc__object_unref(&value->object);
                return r;
        }
        *ret_value = value;
        return 0;
}

int
mproc_value_create(mproc_context *ctx, mproc_type type, mproc_value **ret_value)
{
        return mproc_value_create_opts(ctx, type, NULL, ret_value);
}

void
mproc_value_free(mproc_value *value)
{
        mproc__object_free(value ? &value->object : NULL);
}

/* --- reading and changing -------------------------------------------------------------------------------- */

static int
check(const struct mproc_value *value)
{
        return value ? 0 : mproc__fail(MPROC_EHANDLE, "a value is wanted, NULL was given");
}

static struct mproc__number
get(const struct mproc_value *value)
{
        return check(value) < 0 ? mproc__number_int(0) : mproc__number_unpack(load(value), value->type);
}

static int
set(struct mproc_value *value, struct mproc__number x)
{
        uint64_t bits;
        int r;

        if ((r = check(value)) < 0 || (r = mproc__number_pack(x, value->type, &bits)) < 0)
                return r;
        store(value, bits);
        return 0;
}

/* The common case without a detour.  False: the sum does not fit, and nothing is changed; add() says so with words.
 */
static bool
add_signed(struct mproc_value *value, int64_t x, int64_t *ret_before)
{
        unsigned spare = 64 - 8 * value->bounds.size;
        uint64_t bits = load(value);
        int64_t before, sum;

        do {
                before = (int64_t)(bits << spare) >> spare;
                if (__builtin_add_overflow(before, x, &sum) || sum < value->bounds.least ||
                    (sum > 0 && (uint64_t)sum > value->bounds.most))
                        return false;
        } while (!swap(value, &bits, (uint64_t)sum));
        *ret_before = before;
        return true;
}

static int
add(struct mproc_value *value, struct mproc__number x, struct mproc__number *ret_before)
{
        struct mproc__number before, after;
        uint64_t bits, sum;
        int r;

        if ((r = check(value)) < 0)
                return r;
        bits = load(value);
        do {
                before = mproc__number_unpack(bits, value->type);
                if ((r = mproc__number_add(before, x, &after)) < 0 ||
                    (r = mproc__number_pack(after, value->type, &sum)) < 0)
                        return r;
        } while (!swap(value, &bits, sum));
        *ret_before = before;
        return 0;
}

int64_t
mproc_value_int(mproc_value *value)
{
        return mproc__number_to_int(get(value));
}

uint64_t
mproc_value_uint(mproc_value *value)
{
        return mproc__number_to_uint(get(value));
}

double
mproc_value_double(mproc_value *value)
{
        return mproc__number_to_double(get(value));
}

int
mproc_value_set_int(mproc_value *value, int64_t x)
{
        return set(value, mproc__number_int(x));
}

int
mproc_value_set_uint(mproc_value *value, uint64_t x)
{
        return set(value, mproc__number_uint(x));
}

int
mproc_value_set_double(mproc_value *value, double x)
{
        return set(value, mproc__number_double(x));
}

int
mproc_value_add_int(mproc_value *value, int64_t x, int64_t *ret_before)
{
        struct mproc__number before;
        int64_t quick;
        int r;

        if (value && value->bounds.kind == MPROC__NUMBER_SIGNED && add_signed(value, x, &quick)) {
                if (ret_before)
                        *ret_before = quick;
                return 0;
        }
        r = add(value, mproc__number_int(x), &before);
        if (r == 0 && ret_before)
                *ret_before = mproc__number_to_int(before);
        return r;
}

int
mproc_value_add_double(mproc_value *value, double x, double *ret_before)
{
        struct mproc__number before;
        int r = add(value, mproc__number_double(x), &before);

        if (r == 0 && ret_before)
                *ret_before = mproc__number_to_double(before);
        return r;
}

int
mproc_value_exchange(mproc_value *value, int64_t x, int64_t *ret_before)
{
        uint64_t bits, before;
        int r;

        if ((r = check(value)) < 0 || (r = mproc__number_pack(mproc__number_int(x), value->type, &bits)) < 0)
                return r;
        before = load(value);
        while (!swap(value, &before, bits))
                ;
        if (ret_before)
                *ret_before = mproc__number_to_int(mproc__number_unpack(before, value->type));
        return 0;
}

/* What a real number is told as may be what was expected, though it is not: 0.5 is told as 0. */
int
mproc_value_compare_exchange(mproc_value *value, int64_t *expected, int64_t x)
{
        uint64_t wanted, bits, found;
        int r;

        if ((r = check(value)) < 0 || (r = mproc__number_pack(mproc__number_int(x), value->type, &bits)) < 0 ||
            (r = mproc__number_pack(mproc__number_int(*expected), value->type, &wanted)) < 0)
                return r;
        found = wanted;
        if (swap(value, &found, bits))
                return 1;
        *expected = mproc__number_to_int(mproc__number_unpack(found, value->type));
        return 0;
}

mproc_type
mproc_value_type(mproc_value *value)
{
        return value ? value->type : MPROC_TYPE_OTHER;
}

void *
mproc_value_data(mproc_value *value)
{
        return value ? &value->shm->bits : NULL;
}

int
mproc_value_acquire(mproc_value *value, int64_t timeout_ms)
{
        int r = check(value);

        return r < 0 ? r : mproc__guard_acquire(value->lock, "value", timeout_ms);
}

int
mproc_value_release(mproc_value *value)
{
        int r = check(value);

        return r < 0 ? r : mproc__guard_release(value->lock, "value");
}

mproc_rlock *
mproc_value_lock(mproc_value *value)
{
        return value ? value->lock : NULL;
}

/* --- as an object ---------------------------------------------------------------------------------- */

static int
value_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        struct mproc_value *value = (struct mproc_value *)object;

        mproc__small_encode(&value->place, encoder);
        return mproc__guard_encode(value->lock, encoder);
}

static int
value_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_value *value;
        struct mproc__small place;
        mproc_rlock *lock = NULL;
        int r = mproc__small_decode(decoder, "value", &place);

        if (r < 0)
                return r;
        if (((struct value_shm *)mproc__small_at(&place))->magic != VALUE_MAGIC)
                r = mproc__fail(MPROC_ECORRUPT, "what came as a value is none");
        if (r < 0 || (r = mproc__guard_decode(decoder, &lock)) < 0) {
                mproc__small_unref(&place);
                return r;
        }
        if ((r = make(&place, lock, false, &value)) < 0)
                return r;
        if (!has_one_step(value->type)) { /* looked at after it was copied */
                mproc__object_unref(&value->object);
                return mproc__fail(MPROC_ECORRUPT, "what came as a value has no type");
        }
        *ret = &value->object;
        return 0;
}

static void
value_destroy(struct mproc__object *object)
{
        struct mproc_value *value = (struct mproc_value *)object;

        mproc__guard_free(value->lock);
        mproc__small_unref(&value->place);
        free(value);
}

const struct mproc__object_type mproc__value_type = {
        .name = "value",
        .arg_type = MPROC_ARG_VALUE,
        .encode = value_encode,
        .decode = value_decode,
        .destroy = value_destroy,
};
