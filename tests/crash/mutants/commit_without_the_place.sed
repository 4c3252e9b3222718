# A message is committed when its place has been given up: another one may have been put there.
# file: src/channel/queue_inplace.c
# scenes: write_in_place_that_is_held_up_while_another_puts
/^ *let_go(tail, &queue->reserved);/d
s/woken = mproc__counter_commit(&tail->n, &tail->armed, n, 1);/let_go(tail, \&queue->reserved); &/
