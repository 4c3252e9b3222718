// SPDX-License-Identifier: MIT
// bench/peers/boost_heap.cc - Boost's memory algorithm for shared memory as a contender.  Runs in: the conductor and
// its members.
#include "heap/heap.h"

#include <boost/interprocess/indexes/null_index.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <exception>
#include <new>
#include <sys/mman.h>

namespace ipc = boost::interprocess;

using buffer = ipc::basic_managed_external_buffer<char, ipc::rbtree_best_fit<ipc::mutex_family>, ipc::null_index>;

static void *
create()
{
        void *memory = mmap(nullptr, BENCH_HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
                return nullptr;
        try {
                return new buffer(ipc::create_only, memory, BENCH_HEAP_BYTES);
        } catch (const std::exception &) {
                munmap(memory, BENCH_HEAP_BYTES);
                return nullptr;
        }
}

static uint64_t
alloc(void *heap, size_t size)
{
        buffer *b = static_cast<buffer *>(heap);
        void *block = b->allocate(size, std::nothrow);

        return block ? static_cast<uint64_t>(b->get_handle_from_address(block)) : 0;
}

static void
dealloc(void *heap, uint64_t block)
{
        buffer *b = static_cast<buffer *>(heap);

        b->deallocate(b->get_address_from_handle(static_cast<buffer::handle_t>(block)));
}

// A member may have been killed with its mutex: the memory goes as it is.
static void
destroy(void *heap)
{
        buffer *b = static_cast<buffer *>(heap);
        void *memory = b->get_address();

        delete b;
        munmap(memory, BENCH_HEAP_BYTES);
}

extern const bench_heap bench_heap_boost = {
        "boost", "Boost.Interprocess rbtree_best_fit", create, alloc, dealloc, destroy,
};
