# Nobody looks whether somebody died while he took a slab away.
# file: src/memory/heap_pages.c
# scenes: alloc_what_idle_slabs_have
s/^        roll_back(heap);$/        ;/
