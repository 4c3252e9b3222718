# A party that died waiting still counts.
# file: src/sync/rounds.c
# scenes: come_first_of_two come_last_of_three
s/mproc__slot_is_dead(/false \&\& mproc__slot_is_dead(/
