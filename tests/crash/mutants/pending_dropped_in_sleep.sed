# While it sleeps for the internal lock, the system does not know: who dies after it was woken takes
# the wake-up with it.
# file: src/sync/robust.c
# scenes: follow_just_woken
s/MPROC_POINT("robust.lock.sleep");/mproc__word_clear_pending(self);/
