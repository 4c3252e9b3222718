# Nobody takes those behind a semaphore's gate for dead: who stands before it waits for ever.
# file: src/sync/semaphore.c
# scenes: wait_before_the_gate_of_a_semaphore
s/turn->stuck = gate;/(void)gate;/
