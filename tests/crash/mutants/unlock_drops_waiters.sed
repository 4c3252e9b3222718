# The internal lock is given up as libc does it: the mark that somebody waits goes with it.
# file: src/sync/robust.c
# scenes: follower_woken_while_another_barges_in
s/if (mproc__word_free_and_wake_one(&lock->word) > 0)/atomic_store(\&lock->word, 0);\n        if (mproc__word_wake(\&lock->word, 1) > 0)/
