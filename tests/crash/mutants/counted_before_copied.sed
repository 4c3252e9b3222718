# A message is counted as taken, then copied: its place is used again meanwhile.
# file: src/channel/queue_get.c
# scenes: get_that_is_held_up_while_the_ring_is_filled
s/if ((r = mproc__queue_settle_head(queue, n)) < 0 || (r = mproc__queue_take_out(queue, n, sink)) < 0)/if ((r = mproc__queue_settle_head(queue, n)) < 0 || ((*ret_woken = mproc__queue_count_head(queue, n)), (r = mproc__queue_take_out(queue, n, sink)) < 0))/
s/\*ret_woken = mproc__queue_count_head(queue, n);$/;/
