# Several messages of one call are counted one after the other: a part of them may be delivered.
# file: src/channel/queue_put.c
# scenes: put_many_into_an_idle_queue
s/woken = mproc__counter_commit(&tail->n, &tail->armed, n, k);/woken = false; for (uint32_t i = 0; i < k; i++) woken |= mproc__counter_commit(\&tail->n, \&tail->armed, n + i, 1);/
