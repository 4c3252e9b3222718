# Nobody takes those behind a gate for dead: who stands before it waits for ever.
# file: src/sync/owned.c
# scenes: pass_the_gate_while_two_wait_before_it
s/turn->stuck = gate;/(void)gate;/
