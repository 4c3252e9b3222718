# A message is counted, then written: who dies between the two has delivered nonsense.
# file: src/channel/queue_put.c
# scenes: put_into_an_idle_queue
s/memcpy(mproc__window_at(w, start), data, len);/(void)data;/
s/MPROC_POINT("queue.put.committed");/memcpy(mproc__window_at(\&queue->tail, start), messages[0].data, messages[0].len_bytes);/
