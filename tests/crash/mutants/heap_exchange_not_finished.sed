# An exchange that was begun by one who died is left as it is.
# file: src/memory/heap_pages.c
# scenes: exchange_a_block publish_a_block
s/^        mproc__heap_finish_exchange(heap);$/        ;/
