# The count and the wake are two steps: who dies between them leaves a sleeper beside a message.
# file: src/sync/counter.h
# scenes: put_while_a_consumer_sleeps
s/(void)mproc__word_add_and_wake_one(n, k);/atomic_store(n, old + k); (void)mproc__word_wake(n, 1);/
