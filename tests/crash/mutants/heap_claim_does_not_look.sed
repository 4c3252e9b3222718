# Who has claimed a block by an old hint does not look whether there is still such a block.
# file: src/memory/heap_blocks.c
# scenes: claim_by_a_hint_that_has_grown_old
s/claim->index < mproc__heap_slab_blocks(word),$/true || claim->index,/
s/__builtin_expect(mproc__heap_kind(word) == MPROC__HEAP_SLAB &&$/__builtin_expect(true ||/
