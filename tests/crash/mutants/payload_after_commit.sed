# A message is counted, then written: who dies between the two has delivered nonsense.
# file: src/channel/queue_put.c
# scenes: put_into_an_idle_queue
s/if (!written && (r = mproc__window_write(/if (false \&\& (r = mproc__window_write(/
s/MPROC_POINT("queue.put.committed");/if (!written) (void)mproc__window_write(w, queue->segment->fd, position, data, len);/
