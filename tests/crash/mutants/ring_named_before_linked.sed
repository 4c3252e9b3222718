# The queue's tail moves on to a ring to which no link leads yet.
# file: src/channel/queue_put.c
# scenes: put_of_a_large_message put_that_links_a_ring
s/MPROC_POINT("queue.grow.built");/atomic_store(\&queue->shm->tail.ring, at);/
