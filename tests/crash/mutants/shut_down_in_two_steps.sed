# A queue is ended, then its sleepers are woken: who dies between the two leaves them asleep.
# file: src/channel/queue_ending.c
# scenes: shut_down_while_two_consumers_sleep shut_down_while_two_producers_sleep
s/(void)mproc__word_set_and_wake_all(&shm->ended, .*);/(void)putters, atomic_store(\&shm->ended, 1);/
