# A message is counted, then written: who dies between the two has delivered nonsense.
# file: src/channel/queue_put.c
# scenes: put_into_an_idle_queue
/^#include "channel\/queue_core.h"/a static void *late_to; static const void *late_from; static size_t late_len;
s/mproc__ring_copy(mproc__window_at(w, start), data, len);/late_to = mproc__window_at(w, start), late_from = data, late_len = len;/
s/MPROC_POINT("queue.put.committed");/if (late_len) __builtin_memcpy(late_to, late_from, late_len);/
