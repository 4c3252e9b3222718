# Nobody looks for permits of the dead.
# file: src/sync/permits.c
# scenes: restore_the_permits_of_the_dead acquire_a_permit_that_is_written_down
s/if (!holds_some(holder) .. !is_dead(pid, start))/if (true || !holds_some(holder) || !is_dead(pid, start))/
