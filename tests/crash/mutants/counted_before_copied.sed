# A message is counted as taken, then copied: its place is used again meanwhile.
# file: src/channel/queue_get.c
# scenes: get_that_is_held_up_while_the_ring_is_filled
s/if ((r = take_out(queue, n + k, sink)) < 0)/if ((k == 0 \&\& (*ret_woken = count_head(queue, n, 1, 0), false)) || (r = take_out(queue, n + k, sink)) < 0)/
s/\*ret_woken = count_head(queue, n, k, bytes);$/;/
