# Nobody says that he is about to end the queue: a poller whom he has rung for silences the bell again.
# file: src/channel/queue_ending.c
# scenes: shut_down_while_two_poll
s/atomic_store(&queue->shm->ending, me);//
