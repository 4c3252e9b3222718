# Who goes to sleep while a committer is inside believes that he will be woken.
# file: src/sync/counter.c
# scenes: put_during_which_a_consumer_comes
s/if (mproc__robust_owner(theirs) != 0 .*) {/if (false) {/
