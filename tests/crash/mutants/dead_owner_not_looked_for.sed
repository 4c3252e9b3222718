# Nobody asks whether the owner of a user's lock is dead.
# file: src/sync/owned.c
# scenes: release_during_which_a_waiter_comes
s/mproc__slot_is_dead(/false \&\& mproc__slot_is_dead(/
