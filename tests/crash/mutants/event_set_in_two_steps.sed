# An event is set, then its waiters are woken: who dies between the two leaves them asleep.
# file: src/sync/event.c
# scenes: set_while_two_wait
s/(void)mproc__word_clear_low_and_wake_all(event->word, WAITERS | UNSET);/(void)atomic_fetch_and(event->word, ~(WAITERS | UNSET)), (void)mproc__word_wake(event->word, 1000000);/
