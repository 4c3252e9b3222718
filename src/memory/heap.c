/* SPDX-License-Identifier: MIT */
/*
 * memory/heap.c - mproc_heap: handles, and blocks as users see them.
 *
 * Runs in: every process.  Owns: for each handle a descriptor and a mapping of its own; hints.
 *
 *      page 0          struct mproc__heap_shm
 *      page 1 ...      groups: 768 bytes for each 64 pages
 *      then            block words: 512 bytes for each page
 *      then            the pages
 */
#include "memory/heap.h"
#include "context/context.h"
#include "core/error.h"
#include "core/point.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAP_MAGIC   0x6d706865u
#define HEAP_VERSION 1u

static int
check(const struct mproc_heap *heap)
{
        return heap ? 0 : mproc__fail(MPROC_EHANDLE, "a heap is wanted, NULL was given");
}

/* --- where things lie ------------------------------------------------------------------------------------ */

static uint64_t
page_up(uint64_t n)
{
        return (n + MPROC__HEAP_PAGE - 1) / MPROC__HEAP_PAGE * MPROC__HEAP_PAGE;
}

static uint64_t
words_at(uint64_t pages)
{
        uint64_t groups = (pages + MPROC__HEAP_GROUP - 1) / MPROC__HEAP_GROUP;

        return page_up(MPROC__HEAP_PAGE + groups * sizeof(struct mproc__heap_group));
}

static uint64_t
data_at(uint64_t pages)
{
        return page_up(words_at(pages) + pages * MPROC__HEAP_WORDS * sizeof(mproc__word));
}

static uint64_t
bytes_for(uint64_t pages)
{
        return data_at(pages) + pages * MPROC__HEAP_PAGE;
}

/* --- handles --------------------------------------------------------------------------------------------- */

static struct mproc_heap *
blank(void)
{
        struct mproc_heap *heap = calloc(1, sizeof *heap);

        if (heap)
                heap->fd = -1;
        else
                (void)mproc__fail(-ENOMEM, "no memory for a handle on a heap");
        return heap;
}

/* Before it is an object. */
static void
dispose(struct mproc_heap *heap)
{
        if (heap->base)
                mproc__memory_unmap(heap->base, (size_t)heap->bytes);
        mproc__plat_close(&heap->fd);
        free(heap);
}

/* pages: checked by the caller, who knows that the descriptor has as many bytes. */
static int
map(struct mproc_heap *heap, uint64_t pages)
{
        void *base;
        int r;

        heap->pages = pages;
        heap->bytes = bytes_for(pages);
        heap->data_at = data_at(pages);
        if (heap->bytes > SIZE_MAX / 2)
                return mproc__fail(-ENOMEM, "a heap of %llu bytes is more than a process can have in view",
                                   (unsigned long long)heap->bytes);
        if ((r = mproc__memory_map(heap->fd, 0, (size_t)heap->bytes, &base)) < 0)
                return mproc__fail_errno(-r, "cannot map the %llu bytes of a heap", (unsigned long long)heap->bytes);
        heap->base = base;
        heap->shm = base;
        heap->groups = (struct mproc__heap_group *)(void *)(heap->base + MPROC__HEAP_PAGE);
        heap->words = (mproc__word *)(void *)(heap->base + words_at(pages));
        return 0;
}

static int
make(struct mproc_heap *heap, uint64_t pages, bool owned)
{
        int r;

        if ((r = mproc__memory_create("mproc-heap", bytes_for(pages), &heap->fd)) < 0 ||
            (r = mproc__memory_reserve(heap->fd, 0, MPROC__HEAP_PAGE)) < 0)
                return mproc__fail_errno(-r, "cannot make the shared memory of a heap");
        if ((r = map(heap, pages)) < 0 || (r = mproc__program_identity(&heap->shm->program)) < 0)
                return r;
        heap->owned = owned;
        heap->shm->magic = HEAP_MAGIC;
        heap->shm->version = HEAP_VERSION;
        heap->shm->namespace_id = mproc__word_namespace();
        heap->shm->pages = pages;
        heap->shm->bytes = heap->bytes;
        heap->shm->owned = owned;
        return 0;
}

static int
publish(struct mproc_heap *heap, bool fork_only, mproc_heap **ret)
{
        int r;

        mproc__object_init(&heap->object, &mproc__heap_type, fork_only);
        if ((r = mproc__object_publish(&heap->object)) < 0) {
                mproc__object_unref(&heap->object);
                return r;
        }
        *ret = heap;
        return 0;
}

int
mproc_heap_create_opts(mproc_context *ctx, size_t size_bytes, const mproc_heap_opts *opts, mproc_heap **ret_heap)
{
        static const mproc_heap_opts none = MPROC_HEAP_OPTS_INIT;
        const mproc_heap_opts *o = opts ? opts : &none;
        uint64_t pages = (uint64_t)size_bytes / MPROC__HEAP_PAGE + (size_bytes % MPROC__HEAP_PAGE != 0);
        struct mproc_heap *heap;
        int r;

        if (size_bytes == 0)
                return mproc__fail(-EINVAL, "a heap has room for 1 byte at least, 0 were asked for");
        if (o->owned < 0 || o->owned > 1)
                return mproc__fail(-EINVAL, "option owned of a heap is %d: it takes 1 (yes) or 0 (no)", o->owned);
        if (pages > MPROC__HEAP_PAGES_MAX || size_bytes > SIZE_MAX / 2)
                return mproc__fail(-EFBIG, "a heap of %zu bytes: the largest has %llu", size_bytes,
                                   (unsigned long long)(MPROC__HEAP_PAGES_MAX * MPROC__HEAP_PAGE));
        if (!(heap = blank()))
                return -ENOMEM;
        if ((r = make(heap, pages, o->owned != 0)) < 0) {
                dispose(heap);
                return r;
        }
        return publish(heap, mproc__context_is_fork(mproc__context_resolve(ctx)), ret_heap);
}

int
mproc_heap_create(mproc_context *ctx, size_t size_bytes, mproc_heap **ret_heap)
{
        return mproc_heap_create_opts(ctx, size_bytes, NULL, ret_heap);
}

void
mproc_heap_free(mproc_heap *heap)
{
        mproc__object_free(heap ? &heap->object : NULL);
}

/* --- offsets --------------------------------------------------------------------------------------------- */

void *
mproc_heap_pointer(mproc_heap *heap, uint64_t offset)
{
        if (!heap || offset == 0 || offset >= heap->bytes)
                return NULL;
        return heap->base + offset;
}

uint64_t
mproc_heap_offset(mproc_heap *heap, const void *pointer)
{
        uintptr_t at = (uintptr_t)pointer;

        if (!heap || at < (uintptr_t)heap->base || at - (uintptr_t)heap->base >= heap->bytes)
                return 0;
        return at - (uintptr_t)heap->base;
}

uint64_t
mproc_heap_root(mproc_heap *heap)
{
        return heap ? offsetof(struct mproc__heap_shm, root) : 0;
}

/* --- allocating ------------------------------------------------------------------------------------------ */

static int
fail_full(const struct mproc_heap *heap, size_t size)
{
        return mproc__fail(-ENOMEM, "no %zu bytes in one piece are free in the heap of %llu bytes", size,
                           (unsigned long long)(heap->pages * MPROC__HEAP_PAGE));
}

/* Of its own accord it takes what is free; then what slabs hold that nobody uses; then what the dead had. */
static int
allocate_run(struct mproc_heap *heap, size_t size, mproc__slot_id self, uint64_t *ret_head)
{
        uint64_t pages = (uint64_t)size / MPROC__HEAP_PAGE + (size % MPROC__HEAP_PAGE != 0);
        int64_t n;
        int r;

        if (pages > heap->pages)
                return -ENOMEM;
        if ((r = mproc__heap_run_create(heap, pages, self, ret_head)) != -ENOMEM)
                return r;
        if ((n = mproc__heap_trim(heap)) < 0)
                return (int)n;
        if (n > 0 && (r = mproc__heap_run_create(heap, pages, self, ret_head)) != -ENOMEM)
                return r;
        if ((n = mproc__heap_reclaim(heap)) < 0)
                return (int)n;
        if (n == 0)
                return -ENOMEM;
        if ((n = mproc__heap_trim(heap)) < 0)
                return (int)n;
        return mproc__heap_run_create(heap, pages, self, ret_head);
}

/*
 * A block is this process's until alloc's last step, in which it becomes nobody's, if that is what was wanted.  So
 * one whose allocator dies before that belongs to a dead process.
 */
static int
allocate_large(struct mproc_heap *heap, size_t size, const mproc_block_opts *opts, bool owned, mproc__slot_id self,
               uint64_t *ret_offset)
{
        uint64_t head, offset;
        int r = allocate_run(heap, size, self, &head);

        if (r < 0)
                return r;
        offset = heap->data_at + head * MPROC__HEAP_PAGE;
        MPROC_POINT("heap.alloc.run");
        if (opts->zero)
                memset(heap->base + offset, 0, size);
        if (!owned)
                atomic_store_explicit(mproc__heap_page(heap, head),
                                      (mproc__heap_page_word(heap, head) & ~(uint64_t)MPROC__HEAP_OWNER),
                                      memory_order_release);
        *ret_offset = offset;
        return 0;
}

static int
allocate_small(struct mproc_heap *heap, size_t size, unsigned class_index, const mproc_block_opts *opts, bool owned,
               mproc__slot_id self, uint64_t *ret_offset)
{
        mproc__word *word;
        uint64_t offset;
        int r = mproc__heap_claim(heap, class_index, opts->align ? opts->align : 16, self, &offset, &class_index,
                                  &word);

        if (__builtin_expect(r < 0, 0))
                return r;
        MPROC_POINT("heap.alloc.block");
        if (opts->zero)
                memset(heap->base + offset, 0, size);
        if (!owned)
                atomic_store_explicit(word, MPROC__HEAP_HELD, memory_order_release);
        *ret_offset = offset;
        return 0;
}

/* MPROC__HEAP_CLASSES: no class will do. */
static unsigned
choose_class(size_t size, size_t align)
{
        unsigned class_index;

        if (size > MPROC__HEAP_SMALL_MAX)
                return MPROC__HEAP_CLASSES;
        class_index = mproc__heap_class_of(size);
        if (__builtin_expect(align > 16, 0))
                while (class_index < MPROC__HEAP_CLASSES && mproc__heap_classes[class_index].size % align != 0)
                        class_index++;
        return class_index;
}

static int
check_opts(size_t size, const mproc_block_opts *opts)
{
        if (size == 0)
                return mproc__fail(-EINVAL, "a block has 1 byte at least, 0 were asked for");
        if ((opts->align & (opts->align - 1)) != 0 || opts->align > MPROC__HEAP_PAGE)
                return mproc__fail(-EINVAL, "a block cannot be aligned to %zu: it takes a power of two up to %u",
                                   opts->align, MPROC__HEAP_PAGE);
        if (opts->owned < -1 || opts->owned > 1)
                return mproc__fail(-EINVAL,
                                   "option owned of a block is %d: it takes 1 (yes), -1 (no) or 0 (as the heap)",
                                   opts->owned);
        return 0;
}

static int
allocate(struct mproc_heap *heap, size_t size, const mproc_block_opts *opts, uint64_t *ret_offset)
{
        mproc__slot_id self;
        unsigned class_index;
        bool owned;
        int r;

        if (__builtin_expect((r = mproc__slot_self(&self)) < 0, 0))
                return r;
        owned = opts->owned ? opts->owned > 0 : heap->owned;
        class_index = choose_class(size, opts->align);
        if (class_index < MPROC__HEAP_CLASSES)
                r = allocate_small(heap, size, class_index, opts, owned, self, ret_offset);
        else
                r = allocate_large(heap, size, opts, owned, self, ret_offset);
        return __builtin_expect(r == -ENOMEM, 0) ? fail_full(heap, size) : r;
}

static const mproc_block_opts no_opts = MPROC_BLOCK_OPTS_INIT;

int
mproc_heap_alloc_opts(mproc_heap *heap, size_t size_bytes, const mproc_block_opts *opts, uint64_t *ret_offset)
{
        int r;

        if ((r = check(heap)) < 0 || (r = check_opts(size_bytes, opts ? opts : &no_opts)) < 0)
                return r;
        return allocate(heap, size_bytes, opts ? opts : &no_opts, ret_offset);
}

int
mproc_heap_alloc(mproc_heap *heap, size_t size_bytes, uint64_t *ret_offset)
{
        if (__builtin_expect(!heap || size_bytes == 0, 0))
                return mproc_heap_alloc_opts(heap, size_bytes, NULL, ret_offset);
        return allocate(heap, size_bytes, &no_opts, ret_offset);
}

/* --- giving back ----------------------------------------------------------------------------------------- */

/* Its owner may change meanwhile; then its word is another. */
static int
free_run(struct mproc_heap *heap, uint64_t offset, struct mproc__heap_place *place)
{
        int r;

        while (!mproc__heap_run_free(heap, place->head, place->page_word, &r)) {
                if (r < 0 || (r = mproc__heap_find(heap, offset, place)) < 0)
                        return r;
                if (!place->run)
                        return mproc__heap_fail_free(heap, offset);
        }
        return 0;
}

int
mproc_heap_dealloc(mproc_heap *heap, uint64_t offset)
{
        struct mproc__heap_place place;
        uint32_t word;
        int r;

        if (__builtin_expect((r = check(heap)) < 0 || (r = mproc__heap_find(heap, offset, &place)) < 0, 0))
                return r;
        if (__builtin_expect(place.run, 0))
                return free_run(heap, offset, &place);
        word = atomic_load_explicit(place.word, memory_order_relaxed);
        do
                if (__builtin_expect(mproc__heap_kind(word) != MPROC__HEAP_HELD, 0))
                        return mproc__heap_fail_free(heap, offset);
        while (!atomic_compare_exchange_weak(place.word, &word, MPROC__HEAP_FREE));
        MPROC_POINT("heap.dealloc.freed");
        mproc__heap_freed(heap, place.head, place.index, place.class_index);
        return 0;
}

int
mproc_heap_usable_size(mproc_heap *heap, uint64_t offset, size_t *ret_bytes)
{
        struct mproc__heap_place place;
        int r;

        if ((r = check(heap)) < 0 || (r = mproc__heap_find(heap, offset, &place)) < 0)
                return r;
        if (!place.run && mproc__heap_kind(atomic_load(place.word)) != MPROC__HEAP_HELD)
                return mproc__heap_fail_free(heap, offset);
        *ret_bytes = (size_t)place.bytes;
        return 0;
}

/* --- as an object ---------------------------------------------------------------------------------------- */

static int
heap_encode(struct mproc__object *object, struct mproc__encoder *encoder)
{
        mproc__enc_fd(encoder, ((struct mproc_heap *)object)->fd);
        return 0;
}

/* The head is read once.  A slot, and so an owner, means something in its own program only. */
static int
inspect(struct mproc_heap *heap)
{
        struct mproc__program_id program;
        struct mproc__heap_shm head;
        uint64_t bytes;
        int r;

        if (!mproc__memory_cannot_shrink(heap->fd))
                return mproc__fail(MPROC_ECORRUPT,
                                   "what came as the memory of a heap can be taken away from under us");
        if ((r = mproc__memory_look(heap->fd, &bytes, NULL)) < 0 ||
            (r = mproc__memory_read(heap->fd, 0, &head, sizeof head)) < 0)
                return mproc__fail_errno(-r, "cannot read the memory of a heap");
        if (head.magic != HEAP_MAGIC || head.pages == 0 || head.pages > MPROC__HEAP_PAGES_MAX ||
            bytes_for(head.pages) > bytes || head.bytes != bytes_for(head.pages))
                return mproc__fail(MPROC_ECORRUPT, "what came as the memory of a heap is something else");
        if (head.version != HEAP_VERSION)
                return mproc__fail(MPROC_ECORRUPT,
                                   "the heap has layout %u, this library knows %u: both processes must run "
                                   "the same version of mproc",
                                   head.version, HEAP_VERSION);
        if (head.namespace_id != mproc__word_namespace())
                return mproc__fail(MPROC_EUNSUPPORTED,
                                   "a heap cannot be shared between PID namespaces: its lock holds thread ids");
        if ((r = mproc__program_identity(&program)) < 0)
                return r;
        if (memcmp(&program, &head.program, sizeof program) != 0)
                return mproc__fail(MPROC_EUNSUPPORTED, "the heap belongs to another program: who owns its blocks is "
                                                       "known there only");
        heap->owned = head.owned != 0;
        return map(heap, head.pages);
}

/* The same descriptor may stand there for several handles: each has a duplicate. */
static int
heap_decode(struct mproc__decoder *decoder, struct mproc__object **ret)
{
        struct mproc_heap *heap = blank();
        int fd = mproc__dec_fd(decoder), r;

        if (!heap)
                return -ENOMEM;
        if (decoder->error)
                r = mproc__fail(MPROC_EPROTO, "the message that brought a heap is damaged");
        else if ((r = mproc__plat_dup(fd, &heap->fd)) < 0)
                r = mproc__fail_errno(-r, "the descriptor that came as a heap's is not usable");
        else
                r = inspect(heap);
        if (r < 0) {
                dispose(heap);
                return r;
        }
        mproc__object_init(&heap->object, &mproc__heap_type, false);
        *ret = &heap->object;
        return 0;
}

static void
heap_destroy(struct mproc__object *object)
{
        dispose((struct mproc_heap *)object);
}

const struct mproc__object_type mproc__heap_type = {
        .name = "heap",
        .arg_type = MPROC_ARG_HEAP,
        .encode = heap_encode,
        .decode = heap_decode,
        .destroy = heap_destroy,
};
