/* SPDX-License-Identifier: MIT */
/*
 * channel/ledger.c - the table of what was taken out of a queue; see ledger.h.
 *
 * Runs in: every process that gets from a queue with a ledger.  Owns: a segment, through
 * a part of a queue's handle.
 *
 * No value that is read here is believed: indexes are below a checked copy of the
 * capacity, lengths and places go through pread, which does not reach beyond the file.
 */
#include "channel/ledger.h"
#include "core/error.h"
#include "core/point.h"
#include "platform/memory.h"
#include "wire/codec.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define FAR 64 /* entries to look at for a free one */

/* --- where things lie -------------------------------------------------------------------------------- */

static uint64_t
page_up(uint64_t n)
{
        uint64_t page = mproc__memory_page();

        return (n + page - 1) / page * page;
}

/* The page of the head, then the entries: this much is mapped. */
static size_t
mapped_bytes(uint32_t capacity)
{
        return (size_t)(mproc__memory_page() + page_up((uint64_t)capacity * sizeof(struct mproc__entry)));
}

static uint64_t
cell_at(const struct mproc__ledger *ledger, uint32_t index)
{
        return mapped_bytes(ledger->capacity) + (uint64_t)index * MPROC__LEDGER_CELL;
}

static uint64_t
tape_begin(const struct mproc__ledger *ledger)
{
        return page_up(cell_at(ledger, ledger->capacity));
}

/* --- making and passing on ---------------------------------------------------------------------------- */

static int
make(struct mproc__segment *segment, uint32_t capacity, bool counts, struct mproc__ledger **ret)
{
        struct mproc__ledger *ledger = calloc(1, sizeof *ledger);

        if (!ledger) {
                mproc__segment_unref(segment);
                return mproc__fail(-ENOMEM, "no memory for a queue");
        }
        ledger->segment = segment;
        ledger->shm = (struct mproc__ledger_shm *)segment->base;
        ledger->entries = (struct mproc__entry *)(segment->base + mproc__memory_page());
        ledger->capacity = capacity;
        ledger->counts = counts;
        *ret = ledger;
        return 0;
}

int
mproc__ledger_create(uint32_t capacity, bool counts, struct mproc__ledger **ret)
{
        struct mproc__segment *segment;
        int r = mproc__segment_create(MPROC__SEGMENT_LEDGER, "ledger", mapped_bytes(capacity), mproc__memory_page(),
                                      false, &segment);

        if (r < 0 || (r = make(segment, capacity, counts, ret)) < 0)
                return r;
        (*ret)->shm->capacity = capacity;
        (*ret)->shm->counts = counts;
        atomic_init(&(*ret)->shm->tape, tape_begin(*ret));
        return 0;
}

void
mproc__ledger_encode(const struct mproc__ledger *ledger, struct mproc__encoder *encoder)
{
        mproc__segment_encode(ledger->segment, encoder);
}

int
mproc__ledger_decode(struct mproc__decoder *decoder, struct mproc__ledger **ret)
{
        struct mproc__segment *segment;
        uint32_t capacity, counts;
        int r = mproc__segment_decode(decoder, MPROC__SEGMENT_LEDGER, "ledger", mapped_bytes(1),
                                      mapped_bytes(MPROC__LEDGER_MAX), &segment);

        if (r < 0)
                return r;
        capacity = ((struct mproc__ledger_shm *)segment->base)->capacity;
        counts = ((struct mproc__ledger_shm *)segment->base)->counts;
        if (capacity < 1 || capacity > MPROC__LEDGER_MAX || mapped_bytes(capacity) != segment->size) {
                mproc__segment_unref(segment);
                return mproc__fail(MPROC_ECORRUPT, "what came as the ledger of a queue is none");
        }
        return make(segment, capacity, counts != 0, ret);
}

void
mproc__ledger_free(struct mproc__ledger *ledger)
{
        if (ledger)
                mproc__segment_unref(ledger->segment);
        free(ledger);
}

/* --- who is dead -------------------------------------------------------------------------------------- */

bool
mproc__roll_is_dead(struct mproc__roll *roll, mproc__slot_id id)
{
        unsigned size = sizeof roll->id / sizeof *roll->id, i;

        for (i = 0; i < size; i++)
                if (roll->id[i] == id)
                        return roll->dead[i];
        i = roll->next++ % size;
        roll->id[i] = id;
        roll->dead[i] = mproc__slot_is_dead(id);
        return roll->dead[i];
}

/* --- entries ------------------------------------------------------------------------------------------- */

uint32_t
mproc__ledger_used(const struct mproc__ledger *ledger)
{
        uint32_t used = atomic_load_explicit(&ledger->shm->used, memory_order_acquire);

        return used < ledger->capacity ? used : ledger->capacity;
}

bool
mproc__ledger_change(struct mproc__ledger *ledger, uint32_t index, uint64_t word, uint64_t next)
{
        return atomic_compare_exchange_strong(&ledger->entries[index].word, &word, next);
}

/* Only the holder of head.lock writes `at`, and only while the entry is free; so it is the one that belongs to the
 * word. */
static void
release_copy(struct mproc__ledger *ledger, uint32_t index)
{
        struct mproc__entry *entry = &ledger->entries[index];
        uint64_t at = atomic_load_explicit(&entry->at, memory_order_relaxed);

        if (at >= tape_begin(ledger) && at % mproc__memory_page() == 0)
                mproc__memory_release(ledger->segment->fd, at,
                                      page_up(atomic_load_explicit(&entry->len, memory_order_relaxed)));
}

/* For those who sleep until entries are free.  Who dies before he tells them leaves it to their slice. */
static void
tell_watchers(struct mproc__ledger *ledger)
{
        if (__builtin_expect(atomic_load_explicit(&ledger->shm->watched, memory_order_seq_cst) == 0, 1))
                return;
        atomic_store_explicit(&ledger->shm->watched, 0, memory_order_seq_cst);
        MPROC_POINT("ledger.settle.told");
        (void)atomic_fetch_add(&ledger->shm->settled, 1);
        (void)mproc__word_wake(&ledger->shm->settled, INT_MAX);
}

/*
 * A copy on the tape is given back between SETTLED, from which on the message is done, and FREE,
 * from which on the entry may be used again.  Who dies between the two leaves the rest to
 * whoever looks for a free entry.
 */
bool
mproc__ledger_settle(struct mproc__ledger *ledger, uint32_t index, uint64_t word, mproc__slot_id self)
{
        bool on_tape = atomic_load_explicit(&ledger->entries[index].at, memory_order_relaxed) != 0;
        uint64_t done =
                mproc__entry_next(word, on_tape ? MPROC__ENTRY_SETTLED : MPROC__ENTRY_FREE, on_tape ? self : 0, 0);

        MPROC_POINT("ledger.settle.begun");
        if (!mproc__ledger_change(ledger, index, word, done))
                return false;
        MPROC_POINT("ledger.settle.done");
        if (on_tape) {
                release_copy(ledger, index);
                MPROC_POINT("ledger.settle.released");
                (void)mproc__ledger_change(ledger, index, done, mproc__entry_next(done, MPROC__ENTRY_FREE, 0, 0));
        }
        tell_watchers(ledger);
        return true;
}

/* --- taking: head.lock is held ----------------------------------------------------------------------------- */

/* Pages for one more, so that want of memory is an error here and not a signal later. */
static int
use_another(struct mproc__ledger *ledger, uint32_t *ret_index)
{
        uint32_t used = mproc__ledger_used(ledger);
        uint64_t page = mproc__memory_page(), at = (uint64_t)used * sizeof(struct mproc__entry);
        int r;

        if (used >= ledger->capacity)
                return -ENOBUFS;
        if (at % page == 0 && (r = mproc__memory_reserve(ledger->segment->fd, page + at, page)) < 0)
                return r;
        atomic_store_explicit(&ledger->shm->used, used + 1, memory_order_release);
        *ret_index = used;
        return 0;
}

/* Is it free, or was it left by somebody who died when he was done with it? */
static bool
can_be_used(struct mproc__ledger *ledger, uint32_t index, struct mproc__roll *roll)
{
        uint64_t word = mproc__ledger_word(ledger, index);

        if (mproc__entry_state(word) == MPROC__ENTRY_SETTLED && mproc__roll_is_dead(roll, mproc__entry_owner(word))) {
                release_copy(ledger, index);
                return mproc__ledger_change(ledger, index, word, mproc__entry_next(word, MPROC__ENTRY_FREE, 0, 0));
        }
        return mproc__entry_state(word) == MPROC__ENTRY_FREE;
}

/* The hint goes round, so that nobody looks far: rather the table grows, as long as it can. */
static int
find_free(struct mproc__ledger *ledger, uint32_t *ret_index)
{
        uint32_t used = mproc__ledger_used(ledger), far = used < ledger->capacity && used > FAR ? FAR : used;
        uint32_t hint = atomic_load_explicit(&ledger->shm->hint, memory_order_relaxed);
        struct mproc__roll roll = { .next = 0 };
        bool found = false;

        for (uint32_t i = 0; i < far && !found; i++) {
                hint = hint < used ? hint : 0;
                *ret_index = hint++;
                found = can_be_used(ledger, *ret_index, &roll);
        }
        atomic_store_explicit(&ledger->shm->hint, hint, memory_order_relaxed);
        return found ? 0 : use_another(ledger, ret_index);
}

/*
 * The tape moves on before it is written to: who dies then has used a place for nothing, and the
 * entry, FREE as it is, says which, so that mproc__ledger_recover can give it back.  The place that the
 * entry had before is struck out first, and only then the new length written: an old place with a new length
 * would, if we died between, have recovery give back the copies behind it, which others need.
 */
static int
keep_copy(struct mproc__ledger *ledger, uint32_t index, const void *data, size_t len)
{
        struct mproc__entry *entry = &ledger->entries[index];
        uint64_t at = atomic_load_explicit(&ledger->shm->tape, memory_order_relaxed);
        int r;

        atomic_store_explicit(&entry->at, 0, memory_order_release);
        atomic_store_explicit(&entry->len, len, memory_order_release);
        MPROC_POINT("ledger.copy.measured");
        if (len <= MPROC__LEDGER_CELL)
                return mproc__memory_write(ledger->segment->fd, cell_at(ledger, index), data, len);
        if (at < tape_begin(ledger) || at % mproc__memory_page() != 0 || at > INT64_MAX - len)
                return MPROC_ECORRUPT;
        atomic_store_explicit(&entry->at, at, memory_order_release);
        atomic_store_explicit(&ledger->shm->tape, page_up(at + len), memory_order_release);
        MPROC_POINT("ledger.copy.placed");
        if ((r = mproc__memory_write(ledger->segment->fd, at, data, len)) < 0) {
                release_copy(ledger, index);
                atomic_store_explicit(&entry->at, 0, memory_order_release);
        }
        return r;
}

int
mproc__ledger_prepare(struct mproc__ledger *ledger, uint32_t number, mproc__slot_id self, bool kept, const void *data,
                      size_t len, uint32_t *ret_index)
{
        struct mproc__entry *entry;
        uint64_t word;
        uint32_t index;
        int r;

        if ((r = find_free(ledger, &index)) < 0)
                return r;
        entry = &ledger->entries[index];
        if (!kept) {
                atomic_store_explicit(&entry->at, 0, memory_order_relaxed);
                atomic_store_explicit(&entry->len, len, memory_order_relaxed);
        } else if ((r = keep_copy(ledger, index, data, len)) < 0) {
                return r;
        }
        atomic_store_explicit(&entry->number, number, memory_order_relaxed);
        atomic_store_explicit(&entry->kept, kept, memory_order_relaxed);
        word = mproc__ledger_word(ledger, index);
        MPROC_POINT("ledger.copied");
        atomic_store(&entry->word, mproc__entry_next(word, MPROC__ENTRY_PREPARED, self, 1));
        MPROC_POINT("ledger.prepared");
        *ret_index = index;
        return 0;
}

uint64_t
mproc__ledger_confirm(struct mproc__ledger *ledger, uint32_t index)
{
        uint64_t word = mproc__ledger_word(ledger, index);
        bool kept = atomic_load_explicit(&ledger->entries[index].kept, memory_order_relaxed) != 0;
        uint64_t next = mproc__entry_next(word, kept ? MPROC__ENTRY_LEASED : MPROC__ENTRY_TAKEN,
                                          mproc__entry_owner(word), mproc__entry_deliveries(word));

        (void)mproc__ledger_change(ledger, index, word, next);
        MPROC_POINT("ledger.confirmed");
        return next;
}

/*
 * What a dead holder of head.lock left.  PREPARED and not counted: the message is still in the
 * queue, so the entry is void.  PREPARED and counted: it is his, and he is dead, which
 * whoever looks for the dead will find.  FREE with a place on the tape: he died while he wrote
 * there, or it was given back before; again does no harm.
 */
void
mproc__ledger_recover(struct mproc__ledger *ledger, uint32_t head_n)
{
        uint32_t used = mproc__ledger_used(ledger);

        for (uint32_t i = 0; i < used; i++) {
                struct mproc__entry *entry = &ledger->entries[i];
                uint64_t word = mproc__ledger_word(ledger, i);

                if (mproc__entry_state(word) == MPROC__ENTRY_PREPARED) {
                        if (atomic_load_explicit(&entry->number, memory_order_relaxed) != head_n)
                                (void)mproc__ledger_confirm(ledger, i);
                        else if (mproc__ledger_change(ledger, i, word,
                                                      mproc__entry_next(word, MPROC__ENTRY_FREE, 0, 0)))
                                word = mproc__ledger_word(ledger, i);
                }
                if (mproc__entry_state(word) == MPROC__ENTRY_FREE && atomic_load(&entry->at) != 0) {
                        release_copy(ledger, i);
                        atomic_store(&entry->at, 0);
                }
        }
        atomic_store(&ledger->shm->attention, true);
}

int
mproc__ledger_len(struct mproc__ledger *ledger, uint32_t index, size_t *ret_len)
{
        uint64_t len = atomic_load_explicit(&ledger->entries[index].len, memory_order_relaxed);
        uint64_t at = atomic_load_explicit(&ledger->entries[index].at, memory_order_relaxed);

        if (len > SIZE_MAX / 4 || (at == 0 && len > MPROC__LEDGER_CELL))
                return MPROC_ECORRUPT;
        *ret_len = (size_t)len;
        return 0;
}

int
mproc__ledger_read(struct mproc__ledger *ledger, uint32_t index, void *buffer, size_t len)
{
        uint64_t at = atomic_load_explicit(&ledger->entries[index].at, memory_order_relaxed);
        int r = mproc__memory_read(ledger->segment->fd, at ? at : cell_at(ledger, index), buffer, len);

        return r == -ENODATA || r == -EINVAL ? MPROC_ECORRUPT : r;
}

/* Numbers wrap; the oldest is the one that lies farthest behind. */
bool
mproc__ledger_oldest(struct mproc__ledger *ledger, uint32_t head_n, uint32_t *ret_index, uint64_t *ret_word)
{
        uint32_t used = mproc__ledger_used(ledger), farthest = 0;
        bool found = false;

        for (uint32_t i = 0; i < used; i++) {
                uint64_t word = mproc__ledger_word(ledger, i);
                uint32_t behind = head_n - atomic_load_explicit(&ledger->entries[i].number, memory_order_relaxed);

                if (mproc__entry_state(word) == MPROC__ENTRY_RETURNED && (!found || behind > farthest)) {
                        found = true;
                        farthest = behind;
                        *ret_index = i;
                        *ret_word = word;
                }
        }
        return found;
}

/* --- looking, for anybody ------------------------------------------------------------------------------ */

bool
mproc__ledger_bury(struct mproc__ledger *ledger, bool *ret_out)
{
        uint32_t used = mproc__ledger_used(ledger);
        struct mproc__roll roll = { .next = 0 };
        bool found = false;

        *ret_out = false;
        for (uint32_t i = 0; i < used; i++) {
                uint64_t word = mproc__ledger_word(ledger, i);

                if (mproc__entry_state(word) == MPROC__ENTRY_RETURNED)
                        found = true; /* by one who may have died before he said so */
                if (mproc__entry_state(word) != MPROC__ENTRY_LEASED)
                        continue;
                if (!mproc__roll_is_dead(&roll, mproc__entry_owner(word)))
                        *ret_out = true;
                else if (mproc__ledger_change(
                                 ledger, i, word,
                                 mproc__entry_next(word, MPROC__ENTRY_RETURNED, 0, mproc__entry_deliveries(word))))
                        found = true;
        }
        if (found)
                atomic_store(&ledger->shm->attention, true);
        return found;
}

uint32_t
mproc__ledger_returned(struct mproc__ledger *ledger)
{
        uint32_t used = mproc__ledger_used(ledger), count = 0;

        for (uint32_t i = 0; i < used; i++)
                count += mproc__entry_state(mproc__ledger_word(ledger, i)) == MPROC__ENTRY_RETURNED;
        return count;
}

void
mproc__ledger_wake(struct mproc__ledger *ledger)
{
        atomic_store(&ledger->shm->attention, true);
        (void)mproc__word_wake(&ledger->shm->settled, INT_MAX);
}
